"""One-line previews of the newest comments for the front page."""
import html
import re

WIDTH = 60


def tidy(text):
    """Bring old imported text into one form: entities resolved, blanks collapsed."""
    return re.sub(r"\s+", " ", html.unescape(text)).strip()


def shorten(text, width=WIDTH):
    if len(text) <= width:
        return text
    return text[: width - 1] + "…"


def preview(author, body):
    """Return the list item that shows author and the beginning of body on one line."""
    name = html.escape(tidy(author))
    line = tidy(html.escape(body))
    return f"<li><b>{name}</b> {shorten(line)}</li>"


def front_page(comments):
    items = [preview(author, body) for author, body in comments]
    return "<ul>\n" + "\n".join(items) + "\n</ul>"
