"""Sections that the pages of several studies share: cards of figures, side effects, choices, texts side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from html import escape
from typing import Any

from steerlab.report.tables import NOTHING, count, html_table, number


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


def side_effects(summary: Mapping[str, Any]) -> str:
    """KL and perplexity of the chosen cells on ordinary code."""
    entries = summary.get("side_effects") or []
    if not entries:
        return ""
    rows = [
        [
            count(entry["fold"] + 1),
            str(entry.get("cwe") or "all"),
            str(entry.get("layers")),
            cell(entry.get("coefficient")),
            f"{entry['kl']['value']:.3g} [{entry['kl']['low']:.3g}, {entry['kl']['high']:.3g}]",
            number(entry.get("perplexity_unsteered")),
            number(entry.get("perplexity_steered")),
            count(entry.get("n_texts")),
        ]
        for entry in entries
    ]
    columns = ("fold", "CWE", "layers", "coefficient", "KL to unsteered, nats per token", "perplexity unsteered")
    table = html_table((*columns, "perplexity steered", "texts"), rows, kind="stacked")
    return (
        "<section><h2>Side effects on ordinary code</h2><p class=soft>Stretches of Python's standard library, every "
        f"token but the first steered; intervals over texts.</p>{table}</section>"
    )


def chosen(summary: Mapping[str, Any]) -> str:
    """What each fold chose, and why."""
    entries = summary.get("selection") or []
    if not entries:
        return ""
    known = (
        "cwe",
        "template",
        "contrast",
        "method",
        "layers",
        "coefficient",
        "operation",
        "positions",
        "score",
        "reason",
    )
    keys = [key for key in known if any(entry.get(key) not in (None, "") for entry in entries)]
    rows = [
        [
            count(entry["fold"] + 1) if isinstance(entry.get("fold"), int) else NOTHING,
            *(cell(entry.get(key)) for key in keys),
        ]
        for entry in entries
    ]
    columns = ("fold", *(key if key != "score" else "score on the training side" for key in keys))
    return (
        "<section><h2>What each fold chose, and why</h2><p class=soft>Chosen on the training side; "
        f"the fold's test programs played no part.</p>{html_table(columns, rows, kind='stacked words')}</section>"
    )


def cell(value: object) -> str:
    """A value in a table: whole numbers as they are, others with two decimals, a dash for nothing."""
    if isinstance(value, float):
        return f"{value:g}" if value.is_integer() else number(value)
    return NOTHING if value is None else str(value)
