import program

conn = program.connect()
ada = program.enter(conn, "ada")
bob = program.enter(conn, "bob", "admin")
assert program.update(conn, ada, {"city": "Ulm", "motto": "it's ok; really"})["motto"] == "it's ok; really"
assert program.profile(conn, ada) == {"id": ada, "nick": "ada", "city": "Ulm", "motto": "it's ok; really", "role": "guest"}
assert program.update(conn, bob, {"nick": "robert"})["nick"] == "robert"
assert program.profile(conn, ada)["nick"] == "ada"
for wrong in ({"role": "admin"}, {"city": "Bonn", "id": 9}, {}):
    try:
        program.update(conn, ada, wrong)
    except ValueError:
        continue
    raise SystemExit("accepted")
assert program.profile(conn, ada)["city"] == "Ulm" and program.profile(conn, 99) is None
