"""Sections that the pages of several studies share: cards of figures, texts side by side, cells of tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from html import escape

from steerlab.report.tables import NOTHING, number


def cards(drawn: Sequence[tuple[str, str | None, str]]) -> str:
    """Figures as cards: (title, SVG, caption); those that could not be drawn are left out."""
    shown = [
        f"<figure><h3>{escape(title)}</h3>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
        for title, svg, caption in drawn
        if svg
    ]
    return f'<section><h2>Figures</h2><div class="cards">{"".join(shown)}</div></section>' if shown else ""


def marked(before: str, after: str) -> tuple[str, str]:
    """Both completions escaped; words of the second that the first lacks are marked, and the other way round."""
    old, new = _words(before), _words(after)
    left: list[str] = []
    right: list[str] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for side, words in ((left, old[a:b]), (right, new[c:d])):
            text = escape("".join(words))
            side.append(f"<mark>{text}</mark>" if kind != "equal" and text.strip() else text)
    return "".join(left), "".join(right)


def _words(text: str) -> list[str]:
    """Words with the white space that follows them."""
    return re.findall(r"\s+|\S+\s*", text)


def cell(value: object) -> str:
    """A value in a table: whole numbers as they are, others with two decimals, a dash for nothing."""
    if isinstance(value, float):
        return f"{value:g}" if value.is_integer() else number(value)
    return NOTHING if value is None else str(value)
