import program
from program import Bookmark

assert program.link(Bookmark("Docs", "https://docs.example/x?a=1&b=2")) == '<a href="https://docs.example/x?a=1&amp;b=2">Docs</a>'
assert program.link(Bookmark("A<B", " HTTP://example/ ")) == '<a href="HTTP://example/">A&lt;B</a>'
assert program.link(Bookmark("bad", "JavaScript:alert(1)")) == '<a href="#">bad</a>'
assert '"x' not in program.link(Bookmark("q", 'https://e/"x'))
marks = [Bookmark("b", "http://b/", 1), Bookmark("a", "http://a/", 1), Bookmark("c", "http://c/", 5)]
assert [mark.title for mark in program.ranking(marks)] == ["c", "a", "b"]
page = program.render(marks)
assert page.count("<tr>") == 3 and page.index("http://c/") < page.index("http://a/") < page.index("http://b/")
