"""Where contrast pairs come from: SecLLMHolmes, SVEN, your own file, the starter pairs; SOURCES table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from steerlab.contrast import ProgramSet, cwe_number
from steerlab.embedded import fresh_file, pairs_directory
from steerlab.errors import DataError, nearest
from steerlab.sources.fresh import load_generated
from steerlab.sources.jsonl import load_jsonl
from steerlab.sources.secllmholmes import load_secllmholmes
from steerlab.sources.starter import load_starter, prove_pairs, starter_folders
from steerlab.sources.sven import load_sven


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source of programs and pairs.

    `load` takes the path that the user gave, or the package's own folder where `needs_path` is false.
    `where` is a URL, or words where there is none; `counts` says in words how much it holds.
    """

    name: str
    what: str
    licence: str
    counts: str
    where: str
    needs_path: bool
    load: Callable[[Path], ProgramSet]


def _load_fresh(path: Path) -> ProgramSet:
    return load_generated(path, name="fresh")


SOURCES: dict[str, Source] = {
    "secllmholmes": Source(
        name="secllmholmes",
        what="vulnerable and patched programs with the reason why: hand-crafted, augmented, real CVEs",
        licence="GPL-3.0",
        counts="228 programs (117 vulnerable, 111 patched), 8 CWEs; 66 before-versions for training",
        where="https://github.com/ai4cloudops/SecLLMHolmes",
        needs_path=True,
        load=load_secllmholmes,
    ),
    "sven": Source(
        name="sven",
        what="functions of real projects before and after a security fix",
        licence="MIT",
        counts="799 pairs (803 less 4 with identical sides), 9 CWEs, C, C++ and Python",
        where="https://github.com/eth-sri/sven",
        needs_path=True,
        load=load_sven,
    ),
    "jsonl": Source(
        name="jsonl",
        what='your own pairs, one JSON object per line with "vulnerable" and "patched"',
        licence="yours",
        counts="as many as you write",
        where="a file of yours",
        needs_path=True,
        load=load_jsonl,
    ),
    "starter": Source(
        name="starter",
        what="small programs with functional tests and exploits that prove each pair",
        licence="Apache-2.0",
        counts="48 pairs, 6 for each of 8 CWEs, C and Python",
        where="in the package",
        needs_path=False,
        load=load_starter,
    ),
    "fresh": Source(
        name="fresh",
        what="generated programs of the families that the embedded model was trained on, none of them in its training",
        licence="Apache-2.0",
        counts="the same number of pairs for each of 8 CWEs, C and Python",
        where="in the package",
        needs_path=False,
        load=_load_fresh,
    ),
}


def load_source(spec: str) -> ProgramSet:
    """The programs and pairs of "secllmholmes:PATH", "sven:PATH", "jsonl:FILE", "starter" or "fresh".

    Raises: DataError for an unknown name, a path that is missing or not needed, and what the source
    finds wrong in its files.
    """
    source, path = _parse(spec)
    return source.load(path)


def check_source(spec: str) -> dict[str, object]:
    """What the source at `spec` holds, as JSON values, for `steerlab data check`.

    Always: source, licence, sha256, programs, pairs, groups, by_cwe, notes. SecLLMHolmes adds
    with_before, vulnerable, patched and by_part (by_cwe and groups count what is evaluated); SVEN and
    jsonl count pairs in by_cwe; the starter pairs are run, which takes about a minute on two cores,
    and add proven and failures.
    Raises: DataError as `load_source`; MissingExtraError when the starter pairs meet no gcc.
    """
    source, path = _parse(spec)
    loaded = source.load(path)
    by_pairs = source.name != "secllmholmes"
    counted = Counter(pair.labels["cwe"] for pair in loaded.pairs) if by_pairs else loaded.by_cwe()
    groups = {pair.group for pair in loaded.pairs} | {program.group for program in loaded.evaluated()}
    summary: dict[str, object] = {
        "source": source.name,
        "licence": loaded.licence,
        "sha256": loaded.sha256,
        "programs": len(loaded.evaluated()),
        "pairs": len(loaded.pairs),
        "groups": len(groups),
        "by_cwe": {cwe: counted[cwe] for cwe in sorted(counted, key=cwe_number)},
        **loaded.facts,
    }
    if source.name == "starter":
        proofs = prove_pairs(starter_folders(path))
        summary["proven"] = sum(proof.proven for proof in proofs)
        summary["failures"] = [failure for proof in proofs for failure in proof.failures]
    summary["notes"] = list(loaded.notes)
    return summary


def list_sources() -> list[dict[str, object]]:
    """The sources, as JSON values, for `steerlab data list`; `spec` is what a person types."""
    return [
        {
            "name": source.name,
            "spec": _form(source),
            "what": source.what,
            "counts": source.counts,
            "licence": source.licence,
            "where": source.where,
            "needs_path": source.needs_path,
        }
        for source in SOURCES.values()
    ]


def _form(source: Source) -> str:
    if not source.needs_path:
        return source.name
    return f"{source.name}:{'FILE' if source.name == 'jsonl' else 'PATH'}"


def _how_to_get(source: Source) -> str:
    if source.name == "jsonl":
        return 'Write one object per line with "vulnerable" and "patched".'
    return f"Get it from {source.where}: steerlab data fetch {source.name} --out DIR"


def _parse(spec: str) -> tuple[Source, Path]:
    """The source and the path that `spec` names. Raises: DataError."""
    name, _, given = spec.partition(":")
    if name not in SOURCES:
        if Path(spec).expanduser().is_file():
            raise DataError(f"{spec} is a file: type jsonl:{spec} if it holds pairs of your own.")
        raise DataError(f"source {name!r} does not exist. {nearest(name, SOURCES)}")
    source = SOURCES[name]
    if not source.needs_path:
        if given:
            raise DataError(f"{spec}: {name} lies in the package and takes no path. Type: {name}")
        return source, fresh_file() if name == "fresh" else pairs_directory()
    if not given:
        raise DataError(f"{spec} names no path. Type: {_form(source)}. {_how_to_get(source)}")
    path = Path(given).expanduser()
    if not path.exists():
        raise DataError(f"{path} does not exist. Type: {_form(source)}. {_how_to_get(source)}")
    return source, path
