import os
import zipfile

import program

with zipfile.ZipFile("course.zip", "w") as archive:
    archive.writestr("intro.txt", "welcome")
    archive.writestr("week1/task.txt", "do it")
    archive.writestr("week2/", "")
assert program.unpack("course.zip", "out") == 2
with open("out/intro.txt") as source:
    assert source.read() == "welcome"
with open("out/week1/task.txt") as source:
    assert source.read() == "do it"
program.pack("out/week1", "again.zip")
assert program.unpack("again.zip", "out2") == 1 and os.listdir("out2") == ["task.txt"]
program.MAX_TOTAL = 3
try:
    program.unpack("course.zip", "out3")
except ValueError:
    pass
else:
    raise SystemExit("limit ignored")
