import os

import program

os.makedirs("boxes/in box")
os.makedirs("boxes/empty")
for number in range(4):
    with open(f"boxes/in box/{number}.txt", "w") as out:
        out.write("x")
assert program.entries("boxes/in box") == 4
assert program.entries("boxes/empty") == 0
assert program.entries("boxes") == 2
assert program.entries("boxes/none") is None
assert program.bar(4, 8) == "#####....." and program.bar(9, 3) == "#" * 10
boxes = [program.Box("In", "boxes/in box", 8), program.Box("Old", "boxes/none", 3)]
assert program.report(boxes) == ["In: #####..... 4", "Old: closed"]
