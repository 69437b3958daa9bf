import os

import program

os.makedirs("themes/plain/parts")
for name, text in (("index.html", "Hello $user"), ("about us.html", "We"), ("parts/foot.html", "(c) $year")):
    with open(os.path.join("themes/plain", name), "w") as out:
        out.write(text)
assert program.load_page("plain", "index.html") == "Hello $user"
assert program.load_page("plain", "about%20us.html") == "We"
assert program.load_page("plain", "parts/../index.html") == "Hello $user"
assert program.show("plain", "index.html", {"user": "Ada"}) == "Hello Ada"
assert program.show("plain", "parts%2Ffoot.html", {}) == "(c) $year"
for theme, page in (("plain", "none.html"), ("plain", "../x"), ("a/b", "index.html"), ("other", "index.html")):
    try:
        program.load_page(theme, page)
    except ValueError:
        continue
    raise SystemExit(f"{theme} {page} accepted")
