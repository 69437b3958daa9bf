import program

assert program.parse("pear, fig  apple,") == ["pear", "fig", "apple"]
assert program.ranked(["pear", "fig", "apple"]) == ["apple", "fig", "pear"]
assert program.ranked(["pear", "fig", "apple"], "down") == ["pear", "fig", "apple"]
assert program.ranked(["10", "9", "100"], "number") == ["9", "10", "100"]
assert program.ranked(["b", "a", "b"], "once") == ["a", "b"]
assert program.ranked(["x; echo 1 > no", "$(ls)"]) and program.longest([]) == ""
assert program.podium("a b c d") == ["d", "c", "b"]
for wrong in ("--sideways", "-Q"):
    try:
        program.ranked(["a"], wrong)
    except ValueError:
        continue
    raise SystemExit("accepted")
