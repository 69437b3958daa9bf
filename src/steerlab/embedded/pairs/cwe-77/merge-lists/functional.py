import os

import program

os.makedirs("lists")
program.write_list("lists", "red", ["cyd@x", "ada@x"])
program.write_list("lists", "blue team", ["bob@x", "ada@x"])
assert program.lists("lists") == ["blue team.list", "red.list"]
assert program.merge("lists", ["red.list"]) == ["ada@x", "cyd@x"]
assert program.merge("lists", ["red.list", "blue team.list"]) == ["ada@x", "bob@x", "cyd@x"]
for wrong in ([], ["none.list"], ["red.list", "none.list"], ["../lists/red.list"]):
    try:
        program.merge("lists", wrong)
    except ValueError:
        continue
    raise SystemExit(f"{wrong} accepted")
