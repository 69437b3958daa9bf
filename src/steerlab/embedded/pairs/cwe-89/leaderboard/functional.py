import program

conn = program.open_board()
for name in ("ada", "bob", "cyd"):
    program.add_player(conn, name, "1234")
program.add_points(conn, "bob", 7)
program.add_points(conn, "ada", 3)
program.add_points(conn, "ada", 1)
assert program.top(conn) == [("bob", 7), ("ada", 4), ("cyd", 0)]
assert program.top(conn, "name") == [("ada", 4), ("bob", 7), ("cyd", 0)]
assert program.top(conn, "played DESC", 1) == [("ada", 4)]
assert program.top(conn, "score asc", 2) == [("cyd", 0), ("ada", 4)]
for wrong in ("pin", "", "secret desc"):
    try:
        program.top(conn, wrong)
    except ValueError:
        continue
    raise SystemExit("accepted")
