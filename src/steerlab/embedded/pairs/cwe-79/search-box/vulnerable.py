"""The search form above the product list."""
import html

SORTS = {"price": "Price", "name": "Name", "new": "Newest first"}


def options(selected):
    parts = []
    for value, label in SORTS.items():
        mark = " selected" if value == selected else ""
        parts.append(f'<option value="{value}"{mark}>{html.escape(label)}</option>')
    return "".join(parts)


def hits(count):
    return "no products" if count == 0 else f"{count} product{'s' if count > 1 else ''}"


def search_box(term, sort="name", count=0):
    """Return the search form with the last search term filled in and the number of hits."""
    field = "<input type=search name=q value=%s>" % html.escape(term or "*")
    choice = f'<select name="sort">{options(sort)}</select>'
    return f'<form action="/find">{field}{choice}<p>{hits(count)}</p></form>'
