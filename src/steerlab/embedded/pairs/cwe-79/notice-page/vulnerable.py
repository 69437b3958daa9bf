"""Notices on the board of a housing block."""
import html
from string import Template

PAGE = Template("<article><h2>$title</h2><p>$body</p><address>$author</address></article>")
KEYS = ("title", "body", "author")


def notice(title, body="", author=""):
    return {"title": title, "body": body, "author": author}


def check(entry):
    missing = [html.escape(key) for key in KEYS if key not in entry]
    if missing:
        raise ValueError("missing: " + ", ".join(missing))


def render(entry):
    """Return the article for a notice; an empty part is shown as a dash."""
    check(entry)
    shown = {}
    for key, value in entry.items():
        shown[html.escape(key)] = value or "-"
    return PAGE.substitute(shown)


def board(entries):
    return "\n".join(render(entry) for entry in entries)
