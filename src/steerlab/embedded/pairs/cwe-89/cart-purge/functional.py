import program

conn = program.connect()
pen = program.put(conn, "ada", "pen")
ink = program.put(conn, "ada", "ink")
cup = program.put(conn, "ada", "cup")
lamp = program.put(conn, "bob", "lamp")
assert program.content(conn, "ada") == ["pen", "ink", "cup"]
assert program.purge(conn, "ada", [str(ink)]) == 1
assert program.content(conn, "ada") == ["pen", "cup"]
assert program.purge(conn, "ada", []) == 0
assert program.purge(conn, "ada", [str(lamp), "none", "77"]) == 0
assert program.purge(conn, "ada", [str(pen), str(cup)]) == 2
assert program.content(conn, "ada") == [] and program.content(conn, "bob") == ["lamp"]
