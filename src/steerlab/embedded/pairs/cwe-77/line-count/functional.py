import os

import program

os.makedirs("texts/deep")
for name, lines in (("a.txt", 3), ("b.txt", 0), ("deep/c-1.txt", 12)):
    with open(os.path.join("texts", name), "w") as out:
        out.write("word\n" * lines)
assert program.count_lines("texts/a.txt") == 3
assert program.count_lines("texts/b.txt") == 0
assert program.count_lines(os.path.abspath("texts/deep/c-1.txt")) == 12
assert program.count_lines("texts/none.txt") is None
assert program.summary(["texts/a.txt", "texts/none.txt", "texts/b.txt"]) == [("a.txt", 3, 5.0), ("b.txt", 0, 0.0)]
assert program.average_line("texts/a.txt", 5) == 3.0
