import program

desk = program.Desk()
desk.issue("A-100", "Ada")
desk.issue("B-200", "Bob O'Neill")
desk.issue('C"3', "Cyd")
assert desk.card_owner("A-100") == "Ada"
assert desk.card_owner(" B-200 ") == "Bob O'Neill"
assert desk.card_owner('C"3') == "Cyd"
assert desk.card_owner("A-10") is None and desk.card_owner("") is None
assert desk.may_borrow(["A-100", "Z"]) == {"A-100": True, "Z": False}
assert desk.block("A-100") and not desk.block("Z")
assert desk.card_owner("A-100") is None
