"""The report: an honest sentence, escaped texts, one file that asks nobody, and no part that must be there."""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from rich.console import Console

from steerlab.errors import RunError
from steerlab.report import page, terminal_table, verdict, write_report

EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(2)> $x_{1$ & {code}"


def estimate(value: float | None, *, reach: float = 0.1, n: int = 46) -> dict[str, Any]:
    low, high = (None, None) if value is None else (value - reach, value + reach)
    return {"value": value, "low": low, "high": high, "level": 0.95, "n": n, "n_unscored": 2, "method": "m"}


def made(*, gains: dict[str, float] | None = None, **values: float) -> dict[str, Any]:
    """A summary with arms of these balanced accuracies; a difference reaches 0.12 to both sides."""
    values = {"unsteered": 0.56, "steered": 0.72, "prompt_only": 0.5, "recalibrated": 0.5, "random": 0.5} | values
    gains = gains or {arm: values["steered"] - value for arm, value in values.items()}
    return {
        "study": "vulnerability-detection",
        "model": EVIL,
        "pairs": EVIL,
        "n_programs": 48,
        "n_groups": 24,
        "n_too_long": 2,
        "arms": {
            arm: {"balanced_accuracy": estimate(v), "auroc": estimate(v), "yes_rate_patched": estimate(None)}
            for arm, v in values.items()
        },
        "by_cwe": {cwe: {"unsteered": {"balanced_accuracy": estimate(0.5)}, "steered": {}} for cwe in ("CWE-22", EVIL)},
        "differences": {
            arm: {"balanced_accuracy": estimate(gain, reach=0.12), "mcnemar_p": 0.02}
            for arm, gain in gains.items()
            if arm != "steered"
        },
        "holm_by_cwe": {"CWE-22": 0.25},
        "selection": [
            {"fold": 0, "template": "t", "method": "m", "layers": "3", "coefficient": 2.0, "reason": EVIL, "score": 0.7}
        ],
        "grid": [
            {
                "template": "t",
                "method": "m",
                "layers": str(la),
                "coefficient": c,
                "balanced_accuracy": 0.6,
                "auroc": None,
                "n": 9,
            }
            for la in (2, 3)
            for c in (2.0, 4.0)
        ],
        "layers": [{"layer": la, "reading_auroc": estimate(0.7), "sign_ok": la == 3} for la in (2, 3)],
        "dose": [
            {"coefficient": c, "balanced_accuracy": 0.5, "yes_rate": 0.8, "parsed_share": None}
            for c in (-2.0, 0.0, 2.0)
        ],
        "generated": {"steered": {"accuracy": estimate(0.6)}},
        "examples": [
            {
                "program": EVIL,
                "cwe": "CWE-79",
                "label": "vulnerable",
                "prompt": EVIL,
                "unsteered": "no " + EVIL,
                "steered": "yes " + EVIL,
                "answer_unsteered": "patched",
                "answer_steered": None,
            }
        ],
        "notes": [EVIL],
        "manifest": {
            "command": ["steerlab", "run", EVIL],
            "versions": {"torch": "2.13"},
            "facts": {"data_sha256": "ab12"},
        },
        "verdict": "steered 0.72 " + EVIL,
    }


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "arm": ["steered", "grid"],
            "readout": ["likelihood"] * 2,
            "program": [EVIL, "hidden-grid-row"],
            "cwe": ["CWE-22"] * 2,
            "label": ["patched"] * 2,
            "answer": [None, "patched"],
            "margin": [float("nan"), 1.0],
        }
    )


class Reader(HTMLParser):
    """Collects tags, attributes and text as a browser would."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def test_a_gain_by_the_interval_alone_is_no_gain_where_too_few_answers_changed() -> None:
    """Four answers that changed, all to the right: the bootstrap cannot reach 0, an exact test can."""
    summary = made()
    assert verdict(summary).startswith("steered 0.72")
    summary["differences"]["unsteered"]["mcnemar_p"] = 0.125
    said = verdict(summary)
    assert said.startswith("no gain: steered 0.72") and "too few answers changed to tell: McNemar p 0.125" in said


def test_the_verdict_names_a_control_that_does_as_well() -> None:
    assert verdict(made(recalibrated=0.70)) == (
        "steered 0.72, +0.16 over unsteered [0.04, 0.28], but a recalibrated threshold alone reaches 0.70 "
        "(balanced accuracy). Unsteered, the model is not above chance here: 0.56 [0.46, 0.66]."
    )


def test_the_verdict_does_not_speak_of_chance_where_the_model_is_above_it() -> None:
    able = made(unsteered=0.65)
    able["arms"]["unsteered"]["balanced_accuracy"]["low"] = 0.55
    assert "chance" not in verdict(able)


def test_of_several_controls_that_do_as_well_the_best_is_named() -> None:
    assert "a prompt alone reaches 0.71" in verdict(made(recalibrated=0.66, prompt_only=0.71))


def test_a_gain_above_every_control_says_so_and_names_the_best_control() -> None:
    sentence = verdict(made(prompt_only=0.58))
    assert sentence.startswith("steered 0.72, +0.16 over unsteered [0.04, 0.28], above every control")
    assert "a prompt alone, reaches 0.58" in sentence


def test_an_interval_that_includes_zero_is_no_gain() -> None:
    assert verdict(made(unsteered=0.65)).startswith("no gain: steered 0.72, +0.07 over unsteered [-0.05, 0.19]")
    summary = made()
    summary["differences"]["unsteered"]["balanced_accuracy"] |= {"low": None, "high": None}
    assert verdict(summary).startswith("no gain: steered 0.72, +0.16 over unsteered (no interval)")


def test_a_loss_is_called_a_loss_and_missing_controls_are_missed() -> None:
    assert verdict(made(steered=0.4)).startswith("steering hurts: steered 0.40, -0.16")
    summary = made()
    summary["arms"] = {arm: summary["arms"][arm] for arm in ("steered", "unsteered")}
    assert "without any control" in verdict(summary)


def test_a_control_without_a_difference_is_never_counted_as_beaten() -> None:
    summary = made(prompt_only=0.3, recalibrated=0.31, random=0.32)
    del summary["differences"]["random"]
    assert "but a random direction of the same norm reaches 0.32" in verdict(summary)


@pytest.mark.parametrize("summary", [{}, {"arms": {}}, {"arms": {"steered": {}}}, {"arms": None, "differences": None}])
def test_without_scores_there_is_no_verdict(summary: dict[str, Any]) -> None:
    assert verdict(summary).startswith("No verdict")


def test_every_text_is_escaped_and_only_our_script_may_run() -> None:
    html = page(made(), rows())
    reader = read(html)
    tags = [tag for tag, _ in reader.tags]
    assert tags.count("script") == 1
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert "alert(1)" in "".join(reader.text)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert "default-src 'none'" in html


def test_the_page_asks_nobody_for_anything() -> None:
    reader = read(page(made(), rows()))
    for tag, attributes in reader.tags:
        assert tag not in ("link", "iframe", "image", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert "@import" not in page(made(), rows())


def test_ids_on_the_page_are_unique_and_every_reference_is_met() -> None:
    summary = made()
    summary["grid"] += [{**cell, "method": "other"} for cell in summary["grid"]]
    html = page(summary, rows())
    ids = [attributes["id"] for _, attributes in read(html).tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", html)) <= set(ids)


def test_figures_are_well_formed_and_the_page_is_the_same_twice() -> None:
    html = page(made(), rows())
    found = re.findall(r"<svg .*?</svg>", html, re.DOTALL)
    assert len(found) == 5
    for svg in found:
        assert ElementTree.fromstring(svg).get("aria-label")
    assert html == page(made(), rows())


def test_the_verdict_comes_first_and_everything_asked_for_is_there() -> None:
    text = "".join(read(page(made(recalibrated=0.7), rows())).text)
    headings = [
        "Steered 0.72",
        "Steered and its controls",
        "Steered beside every control",
        "Reading and saying",
        "Dose and response",
        "Layer and coefficient",
        "Example answers",
        "What each fold chose",
        "All cells of the grid",
        "Run it again",
    ]
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)
    assert "[0.62,\u00a00.82]" in text
    assert "ab12" in text
    assert "hidden-grid-row" not in text


def test_any_part_may_be_missing() -> None:
    whole = made()
    for key in whole:
        part = copy.deepcopy(whole)
        del part[key]
        assert "</html>" in page(part, rows())
        for table in terminal_table(part):
            assert table.row_count
    assert "</html>" in page({}, pd.DataFrame())
    assert "No verdict" in page({}, pd.DataFrame())
    assert terminal_table({}) == []


def test_numbers_that_are_missing_or_not_finite_are_dashes() -> None:
    summary = made()
    for arm in summary["arms"].values():
        arm["balanced_accuracy"] = estimate(None) | {"n": 0}
    summary["grid"][0]["balanced_accuracy"] = None
    summary["grid"][1]["balanced_accuracy"] = float("nan")
    summary["layers"][0]["reading_auroc"] = estimate(0.6) | {"low": None, "high": None}
    summary["by_cwe"]["CWE-22"] = {"steered": {"balanced_accuracy": estimate(None)}}
    html = page(summary, rows())
    assert ">nan<" not in html
    assert ">None<" not in html


def test_the_table_in_the_terminal_shows_values_intervals_and_counts_without_markup() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    tables = terminal_table(made(recalibrated=0.7) | {"by_cwe": {"[red]CWE-22": {"steered": {}}}})
    for table in tables:
        console.print(table)
    text = console.export_text()
    assert "recalibrated" in text
    assert "[0.62, 0.82]" in text
    assert "[red]CWE-22" in text


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = write_report(made(), rows(), tmp_path / "run")
    assert path == tmp_path / "run" / "report.html"
    assert path.read_text("utf-8").endswith("</html>\n")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_report(made(), rows(), tmp_path / "file")
