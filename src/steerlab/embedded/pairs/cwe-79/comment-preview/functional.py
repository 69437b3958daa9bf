import html

import program

assert program.preview("Ada", "Nice   work\nthere") == "<li><b>Ada</b> Nice work there</li>"
assert program.preview("A & B", "ok") == "<li><b>A &amp; B</b> ok</li>"
assert html.unescape(program.preview("Ada", "caf&eacute; au lait")) == "<li><b>Ada</b> café au lait</li>"
long = program.preview("Ada", "word " * 40)
assert "…" in long and len(long) < 60 + 30
assert program.preview("<i>", "x").startswith("<li><b>&lt;i&gt;</b>")
page = program.front_page([("Ada", "one"), ("Bob", "two")])
assert page.count("<li>") == 2 and page.index("one") < page.index("two")
assert program.front_page([]) == "<ul>\n\n</ul>"
