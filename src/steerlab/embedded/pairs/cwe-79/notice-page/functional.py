import program

entry = program.notice("Bike found", "A red one", "Ada")
assert program.render(entry) == "<article><h2>Bike found</h2><p>A red one</p><address>Ada</address></article>"
assert program.render(program.notice("Quiet please")).count("-") == 2
assert program.render(program.notice("", "x $author", "Bob")).startswith("<article><h2>-</h2><p>x $author</p>")
page = program.board([entry, program.notice("Second")])
assert page.count("<article>") == 2 and page.index("Bike") < page.index("Second")
try:
    program.render({"title": "only"})
except ValueError as problem:
    assert "body, author" in str(problem)
else:
    raise SystemExit("incomplete notice accepted")
