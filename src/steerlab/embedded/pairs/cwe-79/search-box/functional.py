from html.parser import HTMLParser

import program


class Reader(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


for term in ("lamp", "a&b", "<b>", "50%", 'say"so', ""):
    tags = Reader(program.search_box(term)).tags
    assert ("input", {"type": "search", "name": "q", "value": term or "*"}) in tags, term
page = Reader(program.search_box("lamp", "price", 2))
assert ("option", {"value": "price", "selected": None}) in page.tags
assert sum(tag == "option" for tag, _ in page.tags) == 3
assert page.text.endswith("2 products")
assert program.hits(0) == "no products" and program.hits(1) == "1 product"
