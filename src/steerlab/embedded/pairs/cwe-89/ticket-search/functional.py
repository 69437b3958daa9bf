import program

conn = program.connect()
one = program.add(conn, "ada", "Printer broken", "It smokes")
two = program.add(conn, "ada", "Mouse lost", "It's gone", "closed")
program.add(conn, "bob", "Printer out of ink", "black")
assert program.search(conn, "ada", "title", "printer") == [(one, "Printer broken")]
assert program.search(conn, "ada", "body", "It") == [(one, "Printer broken"), (two, "Mouse lost")]
assert program.search(conn, "ada", "body", "it's") == [(two, "Mouse lost")]
assert program.search(conn, "ada", "status", "closed") == [(two, "Mouse lost")]
assert program.search(conn, "ada", "body", "It", limit=1) == [(one, "Printer broken")]
assert program.search(conn, "x' OR '1'='1", "title", "") == []
assert program.columns() == ["title", "body", "status"]
