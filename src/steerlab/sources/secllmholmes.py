"""SecLLMHolmes: 228 programs with ground-truth reasoning, read from the official repository."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from steerlab.contrast import ContrastPair, Label, Program, ProgramSet
from steerlab.errors import DataError
from steerlab.sources.identity import cwe_name, digest, merge_groups, text_key
from steerlab.sources.reading import read_text

LICENCE = "GPL-3.0"
PARTS = ("hand-crafted", "augmented/trivial", "augmented/non-trivial", "real-world")
LANGUAGES = {".c": "c", ".py": "python"}
PUBLISHED = {"hand-crafted": 48, "augmented/trivial": 84, "augmented/non-trivial": 66, "real-world": 30}

# The official label rule: a name that begins with p_ (real-world: patch.c) is the patched version.
_ITEM = re.compile(r"(?P<patch>p_)?(?P<item>[0-9]+)\.(?:c|py)")
_AUGMENTATION = re.compile(r"A[0-9]+")
_STAGE = re.compile(r"(?P<augmentation>A[0-9]+)_(?P<stage>[01])")


@dataclass(frozen=True, kw_only=True)
class _File:
    """One program file: where it lies and what its place says about it."""

    id: str
    path: Path
    truth: Path
    part: str
    pair: str
    group: str
    cwe: str
    label: Label
    before: bool


def load_secllmholmes(path: Path) -> ProgramSet:
    """The programs and pairs under `path`, the repository or its `datasets` folder.

    Non-trivial augmentations come as before and after; the before-versions are kept for training
    only (`evaluated` is false). A program, its patch, its augmented copies and their before-versions
    share a group, real-world programs share one per project and CVE, and so do equal texts anywhere.
    Pairs are a vulnerable program with its patch in the same part and augmentation.
    Raises: DataError when a part, a ground-truth text or a CVE's entry is missing, or a file unreadable.
    """
    files = list(_files(_datasets_folder(path)))
    if not files:
        raise DataError(f"{path} holds no SecLLMHolmes programs. Run: steerlab data fetch secllmholmes --out DIR")
    codes = {file.id: read_text(file.path) for file in files}
    groups = merge_groups({file.id: (file.group, text_key(codes[file.id])) for file in files})
    programs = tuple(
        Program(
            id=file.id,
            group=groups[file.id],
            cwe=file.cwe,
            language=LANGUAGES[file.path.suffix],
            label=file.label,
            code=codes[file.id],
            reasoning=read_text(file.truth).strip(),
            part=file.part,
            evaluated=not file.before,
        )
        for file in files
    )
    pairs = _pairs(files, programs)
    return ProgramSet(
        name="secllmholmes",
        licence=LICENCE,
        programs=programs,
        pairs=pairs,
        sha256=digest(programs, pairs),
        notes=_notes(programs, pairs),
        facts=_facts(programs, pairs),
    )


def _datasets_folder(path: Path) -> Path:
    for folder in (path / "datasets", path):
        if (folder / "hand-crafted").is_dir():
            missing = [part for part in PARTS if not (folder / part).is_dir()]
            if missing:
                raise DataError(
                    f"{folder} lacks {', '.join(missing)}: an incomplete copy of SecLLMHolmes. "
                    "Run: steerlab data fetch secllmholmes --out DIR"
                )
            return folder
    raise DataError(
        f"{path} is not SecLLMHolmes: neither it nor its datasets folder holds hand-crafted. "
        "Give the repository or its datasets folder, or run: steerlab data fetch secllmholmes --out DIR"
    )


def _files(datasets: Path) -> Iterator[_File]:
    """All program files. Whatever else lies there (embeddings, .DS_Store) is left alone."""
    folder = datasets / "hand-crafted"
    yield from _item_files(folder / "dataset", folder / "ground-truth", part="hand-crafted", prefix="hand-crafted")
    for folder in _folders(datasets / "augmented" / "trivial", _AUGMENTATION):
        part = "augmented/trivial"
        yield from _item_files(folder / "dataset", folder / "ground_truth", part=part, prefix=f"{part}/{folder.name}")
    for augmentation in _folders(datasets / "augmented" / "non-trivial", _AUGMENTATION):
        for folder in _folders(augmentation, _STAGE):
            part = "augmented/non-trivial"
            yield from _item_files(
                folder / "dataset", folder / "ground-truth", part=part, prefix=f"{part}/{folder.name}"
            )
    yield from _real_world_files(datasets / "real-world")


def _folders(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and pattern.fullmatch(child.name))


def _item_files(dataset: Path, truths: Path, *, part: str, prefix: str) -> Iterator[_File]:
    """The files CWE-n/k.c (vulnerable) and CWE-n/p_k.c (patched) of one dataset folder."""
    if not dataset.is_dir():
        raise DataError(
            f"{dataset} is missing: an incomplete copy of SecLLMHolmes. Run: steerlab data fetch secllmholmes --out DIR"
        )
    stage = _STAGE.search(prefix)
    for folder in _folders(dataset, re.compile(r"CWE-[0-9]+")):
        for path in sorted(folder.iterdir()):
            match = _ITEM.fullmatch(path.name)
            if match is None:
                continue
            pair = f"{prefix}/{folder.name}/{match['item']}"
            yield _File(
                id=f"{prefix}/{folder.name}/{path.stem}",
                path=path,
                truth=truths / folder.name / f"{path.stem}.txt",
                part=part,
                pair=pair,
                group=f"{folder.name}/{match['item']}",
                cwe=folder.name,
                label="patched" if match["patch"] else "vulnerable",
                before=stage is not None and stage["stage"] == "0",
            )


def _real_world_files(real_world: Path) -> Iterator[_File]:
    """The files PROJECT/CVE-n/vuln.c and patch.c; their CWE is in cve_details.json."""
    listing = real_world / "cve_details.json"
    try:
        details = json.loads(read_text(listing))
    except json.JSONDecodeError as error:
        raise DataError(f"{listing} line {error.lineno}: not JSON ({error.msg}).") from error
    for project in sorted(child for child in real_world.iterdir() if child.is_dir()):
        for folder in _folders(project, re.compile(r"CVE-[0-9]+-[0-9]+")):
            try:
                cwe = cwe_name(details[project.name][folder.name]["cwe"])
            except (KeyError, TypeError) as error:
                raise DataError(f"{listing} has no CWE for {project.name} {folder.name}.") from error
            if cwe is None:
                raise DataError(f"{listing}: the cwe of {project.name} {folder.name} is not a CWE number.")
            name = f"real-world/{project.name}/{folder.name}"
            for stem, label in (("vuln", "vulnerable"), ("patch", "patched")):
                for path in sorted(folder.glob(f"{stem}.*")):
                    if path.suffix in LANGUAGES:
                        yield _File(
                            id=f"{name}/{stem}",
                            path=path,
                            truth=folder / f"{stem}.txt",
                            part="real-world",
                            pair=name,
                            group=name,
                            cwe=cwe,
                            label="vulnerable" if label == "vulnerable" else "patched",
                            before=False,
                        )


def _pairs(files: list[_File], programs: tuple[Program, ...]) -> tuple[ContrastPair, ...]:
    sides: dict[str, dict[Label, Program]] = {}
    before = {file.pair for file in files if file.before}
    for file, program in zip(files, programs, strict=True):
        sides.setdefault(file.pair, {})[program.label] = program
    return tuple(
        ContrastPair(
            id=name,
            group=side["patched"].group,
            positive=side["patched"].code,
            negative=side["vulnerable"].code,
            labels={
                "cwe": side["patched"].cwe,
                "language": side["patched"].language,
                "source": "secllmholmes",
                "part": side["patched"].part,
                "stage": "before" if name in before else "",
            },
        )
        for name, side in sides.items()
        if len(side) == 2
    )


def _counted(values: Iterator[str]) -> dict[str, int]:
    counts = Counter(values)
    return {value: counts[value] for value in PARTS if counts[value]}


def _facts(programs: tuple[Program, ...], pairs: tuple[ContrastPair, ...]) -> dict[str, object]:
    evaluated = [program for program in programs if program.evaluated]
    return {
        "programs": len(evaluated),
        "with_before": len(programs),
        "vulnerable": sum(program.label == "vulnerable" for program in evaluated),
        "patched": sum(program.label == "patched" for program in evaluated),
        "by_part": _counted(program.part for program in evaluated),
        "pairs_by_part": _counted(pair.labels["part"] for pair in pairs),
        "before_pairs": sum(pair.labels["stage"] == "before" for pair in pairs),
    }


def _notes(programs: tuple[Program, ...], pairs: tuple[ContrastPair, ...]) -> tuple[str, ...]:
    notes = []
    found = _counted(program.part for program in programs if program.evaluated)
    for part in PARTS:
        if found.get(part, 0) != PUBLISHED[part]:
            notes.append(
                f"{part} has {found.get(part, 0)} programs, the published set has {PUBLISHED[part]}: "
                "another version or an incomplete copy."
            )
    before = sum(not program.evaluated for program in programs)
    if before:
        notes.append(f"{before} before-versions of non-trivial augmentations are kept for training only.")
    alone = len(programs) - 2 * len(pairs)
    if alone:
        notes.append(f"{alone} programs have no counterpart in their augmentation and are in no pair.")
    texts = Counter((pair.positive, pair.negative) for pair in pairs)
    copies = len(pairs) - len(texts)
    if copies:
        notes.append(f"{copies} pairs are exact copies of another pair (of the same group).")
    return tuple(notes)
