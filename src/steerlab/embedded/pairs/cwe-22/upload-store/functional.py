import os

import program

store = program.UploadStore("tenant", limit=100)
first = store.save(b"hello")
second = store.save(b"world")
assert first != second
assert store.read(first) == b"hello"
assert store.read(second) == b"world"
assert store.read(first.split("/")[0] + "/./" + first.split("/")[1]) == b"hello"
assert store.names() == sorted([first, second])
with open(os.path.join("tenant", "note.txt"), "wb") as out:
    out.write(b"n")
assert store.read("note.txt") == b"n"
for wrong in ("missing", "../outside.txt", first.split("/")[0]):
    try:
        store.read(wrong)
    except ValueError:
        continue
    raise SystemExit(f"{wrong} was accepted")
try:
    store.save(b"x" * 101)
except ValueError:
    pass
else:
    raise SystemExit("limit ignored")
