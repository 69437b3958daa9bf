"""What the workers found, to numbers beside ours, verdicts, and the dated Markdown table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 1e-4  # natural-log probability; a right answer in another batch shape differs by about 1e-6
PARTS = {
    "sweep_last": "sweep, from the last prompt token on",
    "sweep_all": "sweep, all positions",
    "generation": "generation",
    "extraction": "extraction",
}
PROBES = {
    "decoding": "decoding with the KV cache",
    "positions": "from the last prompt token on, while decoding",
    "left_padding": "left padding in a batch",
    "rows": "rows with different vectors",
    "clean_up": "clean-up after an error",
    "other_hooks": "the user's own hooks survive",
}


def close(values: Any, wanted: Any) -> bool:
    """Equal: token ids exactly, log-probabilities within TOLERANCE."""
    a, b = np.asarray(values), np.asarray(wanted)
    if a.shape != b.shape:
        return False
    whole = a.dtype.kind in "iu" and b.dtype.kind in "iu"
    return bool(np.array_equal(a, b) if whole else np.abs(a - b).max() <= TOLERANCE)


def judged(outcome: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The verdict on one way: supported, silently wrong, error, or undecided where a mistake would not show."""
    if "error" in outcome:
        return "error"
    if any(close(twin, wanted["values"]) for twin in wanted["twins"]):
        return "undecided"
    return "supported" if close(outcome["values"], wanted["values"]) else "silently wrong"


def verdict(ways: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict on a probe: that of the way documented first; degraded where that one raises and another is right."""
    each = {way: judged(outcome, wanted) for way, outcome in ways.items()}
    first = next(iter(each.values()))
    degraded = first == "error" and "supported" in each.values()
    errors = {way: outcome["error"] for way, outcome in ways.items() if "error" in outcome}
    return {"verdict": "degraded" if degraded else first, "ways": each, "errors": errors}


def verdicts(result: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """The verdicts of a side; a probe that it does not have is left out."""
    probes = result.get("probes", {})
    if "error" in probes:
        return {name: {"verdict": "error", "ways": {}, "errors": {"": probes["error"]}} for name in PROBES}
    return {name: verdict(probes[name], reference[name]) for name in PROBES if name in probes}


def part(rounds: Sequence[Mapping[str, Any]], name: str, *, n_cells: int) -> dict[str, Any]:
    """Medians over rounds of one part: seconds (a sampled sweep scaled to all cells) and seconds by the floor's.

    Empty when the side has not this part; {"error": ...} when a round of it failed.
    """
    own = [each[name] for each in rounds if name in each]
    for each in own:
        if "error" in each:
            return {"error": each["error"]}
    if not own:
        return {}
    scales = [n_cells / each["n_cells_run"] if "n_cells_run" in each else 1.0 for each in own]
    seconds = [each["seconds"] * scale for each, scale in zip(own, scales, strict=True)]
    ratios = [taken / each["floor_seconds"] for taken, each in zip(seconds, own, strict=True)]
    found = {"seconds": statistics.median(seconds), "times_floor": statistics.median(ratios)}
    if "n_cells_run" in own[0]:
        found |= {"n_cells_run": own[0]["n_cells_run"]}
        found |= {"warm_up_seconds": statistics.median(each["warm_up_seconds"] for each in own)}
    return found


def differences(name: str, result: Mapping[str, Any], ours: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """How far the values of one part are from ours."""
    if name == "generation":
        rows = list(zip(result[name]["values"], ours[name]["values"], strict=True))
        return {"rows_different": sum(a != b for a, b in rows), "n_rows": len(rows)}
    if name == "extraction":
        a, b = (np.load(folder / each[name]["values_file"], allow_pickle=False) for each in (result, ours))
        if a.shape != b.shape:
            return {"error": f"residuals of shape {a.shape}, ours {b.shape}"}
        by_layer = np.abs(a - b).max(axis=(1, 2)) / np.abs(b).max(axis=(1, 2))
        return {
            "max_difference": float(by_layer.max()),
            "max_difference_without_last_layer": float(by_layer[:-1].max()),
        }
    return {"max_difference": float(np.abs(np.subtract(result[name]["values"], ours[name]["values"])).max())}


def side(
    rounds: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]], *, n_cells: int, folder: Path
) -> dict[str, Any]:
    """Everything about one side, from its rounds and ours; {"error": ...} when a round of it gave nothing."""
    for each in rounds:
        if "error" in each:
            return {"error": each["error"]}
    found: dict[str, Any] = {key: rounds[0][key] for key in ("versions", "threads", "dtype", "notes")}
    for key in ("import_seconds", "load_seconds", "peak_mib"):
        found[key] = statistics.median(each[key] for each in rounds)
    found["plain_max_difference"] = float(np.abs(np.subtract(rounds[0]["plain"], ours[0]["plain"])).max())
    for name in PARTS:
        own, base = part(rounds, name, n_cells=n_cells), part(ours, name, n_cells=n_cells)
        if "seconds" in own and "seconds" in base:
            own["times_ours"] = own["times_floor"] / base["times_floor"]
            own |= differences(name, rounds[0], ours[0], folder)
        found[name] = own
    found["verdicts"] = verdicts(rounds[0], ours[0]["reference"])
    return found


# Words.


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _cost(own: Mapping[str, Any]) -> str:
    if "seconds" not in own:
        return "error" if "error" in own else ""
    beside = f" ({own['times_ours']:.3g} x ours)" if "times_ours" in own else ""
    return f"{own['seconds']:.3g} s = {own['times_floor']:.3g} x plain{beside}"


def _equal(own: Mapping[str, Any]) -> str:
    if "rows_different" in own:
        return f"{own['rows_different']} of {own['n_rows']} rows differ"
    if "max_difference" not in own:
        return "error" if "error" in own else ""
    text = f"{own['max_difference']:.1e}"
    if own.get("max_difference_without_last_layer", own["max_difference"]) < own["max_difference"] / 100:
        text += f" ({own['max_difference_without_last_layer']:.1e} without the last layer)"
    return text


def speed_table(sides: Mapping[str, Any]) -> str:
    """Seconds, and their ratios to the plain forwards of the same process and to ours."""
    rows = [[name, *(_cost(own[each]) for each in PARTS)] for name, own in sides.items() if "error" not in own]
    return _grid(["", *PARTS.values()], rows)


def equality_table(sides: Mapping[str, Any]) -> str:
    """Largest differences to ours."""
    rows = [
        [name, f"{own['plain_max_difference']:.1e}", *(_equal(own[each]) for each in PARTS)]
        for name, own in sides.items()
        if "error" not in own
    ]
    return _grid(["", "plain forward", *PARTS.values()], rows)


def verdict_table(sides: Mapping[str, Any]) -> str:
    """The verdicts, blank where a side has no way."""
    rows = [
        [name, *(own["verdicts"].get(each, {}).get("verdict", "") for each in PROBES)]
        for name, own in sides.items()
        if "error" not in own
    ]
    return _grid(["", *PROBES.values()], rows)


def start_table(sides: Mapping[str, Any]) -> str:
    """Versions, seconds to import, memory."""
    rows = []
    for name, own in sides.items():
        if "error" in own:
            rows.append([name, f"error: {own['error']}", "", "", ""])
            continue
        versions = own["versions"]
        rest = ", ".join(f"{key} {versions[key]}" for key in ("transformers", "torch", "numpy", "python"))
        own_version = versions.get(name, "")
        rows.append([name, own_version, rest, f"{own['import_seconds']:.1f}", f"{own['peak_mib']:.0f}"])
    return _grid(["", "version", "with", "import (s)", "peak memory (MiB)"], rows)


def notes(sides: Mapping[str, Any]) -> str:
    """What a side says of itself, the ways of a probe where there are several or one fails, and errors."""
    lines = []
    for name, own in sides.items():
        if "error" in own:
            continue
        lines += [f"- {name}: {note}." for note in own["notes"]]
        lines += [f"- {name}, {text}: {own[key]['error']}" for key, text in PARTS.items() if "error" in own[key]]
        for key, found in own["verdicts"].items():
            if len(found["ways"]) > 1 or found["errors"] or found["verdict"] != "supported":
                ways = "; ".join(
                    f"`{way}` {result}" + (f" ({found['errors'][way]})" if way in found["errors"] else "")
                    for way, result in found["ways"].items()
                )
                lines.append(f"- {name}, {PROBES[key]}: {ways or next(iter(found['errors'].values()))}.")
    return "\n".join(lines) + "\n"


PAGE = """# steerlab beside its peers

Written by `benchmarks/peers.py --write` on {date}; do not edit. Options: {options}

Random Qwen2-shaped model, {dtype}: {model}.
Threads: {threads}; cores: {cores}; load average at the start: {load_average}. Medians of {repeats} round(s); in each
the sides take turns, each a process of its own.

## Speed

Seconds; in multiples of the plain forwards (for generation: plain decoding) of the same process, which makes
environments compare; and that multiple by ours. A sweep is {n_cells} cells (every layer x {n_doses} coefficients) over
{prompts} prompts of up to {tokens} tokens, its plain forwards one per prompt. Peers run one forward per prompt and
cell, for {cells} cells spread over layers, scaled to all of them. Ours runs all cells in one wave from the last
prompt token on; at all positions it runs the same sample, scaled. Generation: {completions} prompts x {new_tokens}
tokens in one left-padded batch, steered at all positions. Extraction: the residual of every layer at the last token
of {texts} texts.

{speed}
## Equality with ours

Largest differences: natural-log probabilities of two answer tokens; rows of tokens; residuals, as a share of the
largest of their layer.

{equality}
## Correctness

Each probe is held to full forwards without a cache, one row at a time, steered by one hook written by hand: natural-log
probabilities within {tolerance:.0e}, tokens exactly. The verdict is that of the way documented first. supported: right.
silently wrong: other values, no error. error: it raises. degraded: it raises, but another way is right. undecided: a
usual mistake would give the same values. Blank: there is no way.

{verdicts}
{notes}
## Start-up and versions

{start}"""


def markdown(found: Mapping[str, Any]) -> str:
    """The whole page."""
    sides = found["sides"]
    return PAGE.format(
        **{key: found[key] for key in ("date", "options", "dtype", "threads", "cores", "load_average", "repeats")},
        **found["sizes"],
        model=", ".join(f"{key} {value}" for key, value in found["shape"].items()),
        n_cells=found["n_cells"],
        n_doses=len(found["doses"]),
        tolerance=TOLERANCE,
        speed=speed_table(sides),
        equality=equality_table(sides),
        verdicts=verdict_table(sides),
        notes=notes(sides),
        start=start_table(sides),
    )
