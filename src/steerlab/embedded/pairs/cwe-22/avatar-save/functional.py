import os

import program

path = program.save_avatar("avatars", "ada", "me.png", b"\x89PNG....")
assert os.path.normpath(path) == os.path.join("avatars", "ada", "me.png")
with open(path, "rb") as source:
    assert source.read() == b"\x89PNG...."
path = program.save_avatar("avatars", "ada", "cat.png", b"GIF89a")
assert path.endswith("cat.gif") and sorted(os.listdir("avatars/ada")) == ["cat.gif", "me.png"]
os.utime("avatars/ada/me.png", (1, 1))
assert program.newest("avatars/ada") == "cat.gif"
os.makedirs("empty")
assert program.newest("empty") is None
for user, name, data in (("bob", "me.txt", b"text"), ("bob", "../me.png", b"GIF8"), ("bob", "", b"GIF8"), ("bob", "..", b"GIF8")):
    try:
        program.save_avatar("avatars", user, name, data)
    except ValueError:
        continue
    raise SystemExit(f"{name} accepted")
