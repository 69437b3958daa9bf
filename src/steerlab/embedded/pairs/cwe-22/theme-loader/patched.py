"""Pages of the current theme, read from disk and filled with values."""
import os
from string import Template
from urllib.parse import unquote

THEMES = "themes"


def theme_folder(theme):
    if not theme.isalnum():
        raise ValueError("bad theme name")
    return os.path.abspath(os.path.join(THEMES, theme))


def fill(text, values):
    return Template(text).safe_substitute(values)


def load_page(theme, page):
    """Return the text of a theme's page, named as in the request path (percent-encoded).

    ValueError if there is no such page.
    """
    folder = theme_folder(theme)
    page = unquote(page)
    path = os.path.normpath(os.path.join(folder, page))
    if not path.startswith(folder + os.sep):
        raise ValueError("bad page name")
    try:
        with open(path, encoding="utf-8") as source:
            return source.read()
    except OSError:
        raise ValueError("no such page") from None


def show(theme, page, values):
    return fill(load_page(theme, page), values)
