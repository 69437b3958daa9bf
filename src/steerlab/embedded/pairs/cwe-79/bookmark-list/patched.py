"""Bookmarks that readers share with each other."""
import html
from dataclasses import dataclass


@dataclass
class Bookmark:
    title: str
    address: str
    votes: int = 0


def ranking(bookmarks):
    return sorted(bookmarks, key=lambda mark: (-mark.votes, mark.title.lower()))


def link(mark):
    """Return the anchor element for a bookmark; an address that cannot be offered becomes "#"."""
    target = mark.address.strip()
    if not target.lower().startswith(("http://", "https://")):
        target = "#"
    return f'<a href="{html.escape(target)}">{html.escape(mark.title)}</a>'


def render(bookmarks):
    rows = [f"<tr><td>{mark.votes}</td><td>{link(mark)}</td></tr>" for mark in ranking(bookmarks)]
    return "<table>" + "".join(rows) + "</table>"
