import json

import program


def data(page):
    start = page.index("chartData = ") + len("chartData = ")
    return json.loads(page[start : page.rindex(";</script>")])


assert data(program.embed({"yes": 3, "no": 1})) == {"yes": 75.0, "no": 25.0}
assert data(program.embed({"a < b & c": 1})) == {"a < b & c": 100.0}
assert data(program.embed({"</script>": 1})) == {"</script>": 100.0}
assert program.embed({"</script>": 1}).count("</script>") == 1
assert data(program.embed({})) == {}
assert data(program.embed({'qu"ote\\': 0})) == {'qu"ote\\': 0.0}
page = program.figure("A & B", {"yes": 1})
assert "A &amp; B (1 answers)" in page and page.count("<script>") == 1
