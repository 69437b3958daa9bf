import program

conn = program.create()
ada = program.join(conn, "Ada", "red")
bob = program.join(conn, "Bob", "red")
cyd = program.join(conn, "Cyd", "blue")
program.join(conn, "Dan", "red", hidden=True)
assert program.colleagues(conn, ada) == ["Ada", "Bob"]
assert program.colleagues(conn, cyd) == ["Cyd"]
assert program.colleagues(conn, 999) == []
program.rename_team(conn, bob, " blue ")
assert program.colleagues(conn, bob) == ["Bob", "Cyd"]
assert program.colleagues(conn, ada) == ["Ada"]
