"""Families, exercises and real code as token items with a loss weight per token, written in shards."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from training.corpus import chunks, language_of, whole
from training.exercises import draw_exercise
from training.families.contract import CWE_NAMES, Family, Sample
from training.rename import renamed
from training.tokenizer import EOS

# The product's three templates, then phrasings of the same form. Each ends where the answer begins.
TEMPLATE_FILE = Path(__file__).resolve().parent.parent / "src/steerlab/tasks/detection_templates.json"
MORE_TEMPLATES: tuple[str, ...] = (
    "Does this {language} program contain {cwe_name} ({cwe})?\n\n{code}\n\n"
    "Does the program contain {cwe_name}? Answer yes or no.\nAnswer:",
    "# Look for {cwe}: {cwe_name}\n{code}\n# Is {cwe_name} present in the code above?\n# Answer:",
    "{code}\n# Question: does the program above contain {cwe_name} ({cwe})?\n# Answer:",
)
# A CWE that a program of the first surely lacks.
ABSENT: dict[str, tuple[str, ...]] = {
    "CWE-22": ("CWE-77", "CWE-89", "CWE-79", "CWE-416", "CWE-190"),
    "CWE-77": ("CWE-22", "CWE-89", "CWE-79", "CWE-416", "CWE-190"),
    "CWE-79": ("CWE-22", "CWE-77", "CWE-89"),
    "CWE-89": ("CWE-22", "CWE-77", "CWE-79"),
    "CWE-190": ("CWE-22", "CWE-77", "CWE-416", "CWE-89"),
    "CWE-416": ("CWE-22", "CWE-77", "CWE-190", "CWE-89"),
    "CWE-476": ("CWE-22", "CWE-77", "CWE-416", "CWE-79"),
    "CWE-787": ("CWE-22", "CWE-77", "CWE-416", "CWE-89"),
}
LANGUAGE_NAMES = {"c": "C", "python": "Python"}

# Loss weights. The answer token counts one; about an absent CWE it counts less, so that yes and no weigh alike.
ANSWER = 1.0
ABSENT_ANSWER = 0.3
REASON = 0.05
LINE = 0.05
CODE = 0.02
PROGRAM = 0.1
SOLUTION = 0.1
PROMPT = 0.01
REAL = 0.05
REAL_OF_MANY = 0.015  # where real code is most of the tokens: the answers must not drown in it
# Weights of the per-line flaw readout: the lines that matter, all other lines.
READOUT_KEY = 0.5
READOUT_OTHER = 0.05

# Shares of the pairs: renamed, put beside another program (of those drawn for it about half fit), taken from SVEN.
RENAMED = 0.3
BESIDE = 0.15
REAL_PAIRS = 0.03

LONGEST_SHOWN = 2200  # characters of a program before its neighbour
WHOLE = 1800  # characters of a run of whole functions
LONGEST = 768  # tokens; longer items are dropped


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text with weighted spans. `lines`: (end of line in characters, flaw label, readout weight)."""

    text: str
    spans: tuple[tuple[int, int, float], ...]
    kind: str
    lines: tuple[tuple[int, int, float], ...] = ()
    answer_at: int = -1


@dataclass(kw_only=True)
class Piece:
    """A text under construction."""

    text: str = ""
    spans: list[tuple[int, int, float]] = field(default_factory=list)
    lines: list[tuple[int, int, float]] = field(default_factory=list)
    answer_at: int = -1

    def add(self, text: str, weight: float) -> None:
        if weight:
            self.spans.append((len(self.text), len(self.text) + len(text), weight))
        self.text += text

    def done(self, kind: str) -> Text:
        self.add(EOS, 0.0)
        return Text(
            text=self.text, spans=tuple(self.spans), kind=kind, lines=tuple(self.lines), answer_at=self.answer_at
        )


def templates() -> list[str]:
    product = json.loads(TEMPLATE_FILE.read_text(encoding="utf-8"))["templates"]
    return [template["text"] for template in product] + list(MORE_TEMPLATES)


def line_labels(code: str, sample: Sample, side: str) -> list[tuple[int, int, float]]:
    """Per line of `code`: (index of its last character, is it the flaw, weight of the readout there)."""
    stripped = [line.strip() for line in code.split("\n")]
    labels = []
    end = -1
    for line, raw in zip(stripped, code.split("\n"), strict=True):
        end += len(raw) + 1
        if not line:
            continue
        last = end - 1 - (len(raw) - len(raw.rstrip()))
        if line == sample.flaw:
            ambiguous = stripped.count(line) > 1
            labels.append((last, int(side == "vulnerable"), 0.0 if ambiguous else READOUT_KEY))
        elif line == sample.fix:
            labels.append((last, 0, READOUT_KEY))
        else:
            labels.append((last, 0, READOUT_OTHER))
    return labels


def question(template: str, cwe: str, language: str) -> tuple[str, str]:
    """What stands before and after the code."""
    before, after = template.split("{code}")
    words = {"cwe": cwe, "cwe_name": CWE_NAMES[cwe], "language": LANGUAGE_NAMES[language]}
    return before.format(**words), after.format(**words)


def beside(sample: Sample, other: Sample, random_source: random.Random) -> Sample:
    """`sample` with a program of another weakness before or after it, the same one on both sides."""
    neighbour = other.vulnerable if random_source.random() < 0.5 else other.patched
    before = random_source.random() < 0.5

    def joined(code: str) -> str:
        parts = (neighbour, code) if before else (code, neighbour)
        return "\n".join(part.strip("\n") + "\n" for part in parts)

    return replace(sample, vulnerable=joined(sample.vulnerable), patched=joined(sample.patched))


def detection_texts(sample: Sample, family: Family, random_source: random.Random) -> list[Text]:
    """The two sides of a sample, asked in the same way."""
    absent = random_source.random() < 0.15
    asked = random_source.choice(ABSENT[family.cwe]) if absent else family.cwe
    form = random_source.choices(("verdict", "reason", "line"), weights=(4, 4, 2))[0]
    code_weight = CODE if random_source.random() < 0.25 else 0.0
    before, after = question(random_source.choice(_TEMPLATES), asked, family.language)
    texts = []
    for side in ("vulnerable", "patched"):
        code = (sample.vulnerable if side == "vulnerable" else sample.patched).rstrip("\n")
        piece = Piece()
        piece.add(before, 0.0)
        start = len(piece.text)
        piece.lines = [(start + end, flaw, weight) for end, flaw, weight in line_labels(code, sample, side)]
        piece.add(code, code_weight)
        if form == "line" and not absent:
            shown = sample.flaw if side == "vulnerable" or sample.flaw in code else sample.fix
            piece.add("\n# Line: ", 0.0)  # asked for, never offered: else every program would go on with it
            piece.add(shown, LINE)
        piece.add(after, 0.0)
        piece.answer_at = len(piece.text)
        piece.add(" yes" if side == "vulnerable" and not absent else " no", ABSENT_ANSWER if absent else ANSWER)
        if form == "reason":
            reason = sample.reason if side == "vulnerable" else sample.reason_patched
            piece.add(
                "\nReason: " + (f"The program has nothing to do with {CWE_NAMES[asked]}." if absent else reason), REASON
            )
        piece.add("\n", REASON)
        texts.append(piece.done("absent" if absent else "detect"))
    return texts


def comparison_text(sample: Sample, family: Family, random_source: random.Random) -> Text:
    """Both versions, one after the other, and which one is vulnerable."""
    first_is_vulnerable = random_source.random() < 0.5
    sides = ("vulnerable", "patched") if first_is_vulnerable else ("patched", "vulnerable")
    piece = Piece()
    piece.add(f"# Question: which version contains {CWE_NAMES[family.cwe]} ({family.cwe})?\n", 0.0)
    for label, side in zip("AB", sides, strict=True):
        code = (sample.vulnerable if side == "vulnerable" else sample.patched).rstrip("\n")
        piece.add(f"# Version {label}\n", 0.0)
        piece.lines += [(len(piece.text) + end, flaw, weight) for end, flaw, weight in line_labels(code, sample, side)]
        piece.add(code + "\n", CODE if label == "B" else 0.0)
    piece.add("# Answer:", 0.0)
    piece.add(" A" if first_is_vulnerable else " B", ANSWER)
    piece.add("\n", REASON)
    return piece.done("compare")


def program_text(sample: Sample, random_source: random.Random) -> Text:
    """One version alone, to learn to write such programs."""
    piece = Piece()
    piece.add(sample.vulnerable if random_source.random() < 0.5 else sample.patched, PROGRAM)
    return piece.done("program")


def exercise_text(random_source: random.Random) -> Text:
    exercise = draw_exercise(random_source)
    piece = Piece()
    piece.add(exercise.prompt, PROMPT)
    piece.add(exercise.solution, SOLUTION)
    piece.add(EOS, SOLUTION)
    return piece.done("exercise")


_TEMPLATES = templates()


def encode_texts(texts: Sequence[Text], tokenizer: Tokenizer) -> dict[str, np.ndarray]:
    """Flat arrays: tokens, the loss weight of predicting each, its flaw label, offsets, kinds."""
    tokens, weights, flaws, flaw_weights, lengths, kinds, answers = [], [], [], [], [], [], []
    for text, encoding in zip(texts, tokenizer.encode_batch([text.text for text in texts]), strict=True):
        ids = np.asarray(encoding.ids, dtype=np.uint16)
        if len(ids) > LONGEST or len(ids) < 2:
            continue
        ends = np.asarray([end for _, end in encoding.offsets])
        weight = np.zeros(len(ids), dtype=np.float16)
        for start, end, value in text.spans:
            weight[(ends > start) & (ends <= end)] = value
        flaw = np.zeros(len(ids), dtype=np.uint8)
        flaw_weight = np.zeros(len(ids), dtype=np.float16)
        for last, label, value in text.lines:
            position = int(np.searchsorted(ends, last + 1))
            flaw[position], flaw_weight[position] = label, value
        tokens.append(ids)
        weights.append(weight)
        flaws.append(flaw)
        flaw_weights.append(flaw_weight)
        lengths.append(len(ids))
        kinds.append(KINDS.index(text.kind))
        answers.append(int(np.searchsorted(ends, text.answer_at + 1)) if text.answer_at >= 0 else -1)
    return {
        "tokens": np.concatenate(tokens),
        "weights": np.concatenate(weights),
        "flaws": np.concatenate(flaws),
        "flaw_weights": np.concatenate(flaw_weights),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "kinds": np.asarray(kinds, dtype=np.int8),
        "answers": np.asarray(answers, dtype=np.int32),
    }


KINDS = ("detect", "absent", "compare", "program", "exercise", "real")


def draw_sample(family: Family, random_source: random.Random) -> Sample:
    """A sample of the family; a draw that ran out of names is repeated."""
    for _ in range(20):
        try:
            return family.make(random_source)
        except IndexError:
            continue
    raise RuntimeError(f"{family.cwe} {family.name} gave no sample in 20 draws.")


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How much of a shard is what: characters per character of detection, and plain programs per pair.

    `whole` is the share of real code that begins and ends with whole functions, so that ending is learned, too.
    """

    exercises: float
    real: float
    programs: float
    whole: float
    weight: float  # of a token of real code


# "answering" teaches verdicts; "writing" goes on with it and teaches to write code.
SHARES = {
    "answering": Shares(exercises=0.35, real=0.08, programs=0.25, whole=0.0, weight=REAL),
    "writing": Shares(exercises=0.35, real=1.5, programs=1.0, whole=0.7, weight=REAL_OF_MANY),
}


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """What a shard is drawn from. `longest` bounds the characters of a program; early shards hold the short ones."""

    families: Sequence[Family]
    corpus: Sequence[str]
    real_pairs: Sequence[tuple[Family, Sample]] = ()
    longest: int = 3000
    shares: Shares = SHARES["answering"]

    def pair(self, random_source: random.Random) -> tuple[Family, Sample]:
        """One program both ways: of a random CWE's random family, or now and then a real one."""
        if self.real_pairs and random_source.random() < REAL_PAIRS:
            return random_source.choice(self.real_pairs)
        cwe = random_source.choice(sorted({family.cwe for family in self.families}))
        family = random_source.choice([family for family in self.families if family.cwe == cwe])
        for _ in range(9):
            sample = draw_sample(family, random_source)
            if len(sample.vulnerable) <= self.longest:
                break
        return family, sample

    def varied(self, family: Family, sample: Sample, random_source: random.Random) -> Sample:
        """The program under other names in half of the cases, and now and then, when short, beside another one."""
        if random_source.random() < RENAMED:
            sample = renamed(sample, family.language, random_source)
        if len(sample.vulnerable) > 700 or random_source.random() >= BESIDE:
            return sample
        other = random_source.choice(self.families)
        if other.language != family.language or other.cwe not in ABSENT[family.cwe]:
            return sample
        neighbour = renamed(draw_sample(other, random_source), other.language, random_source)
        return sample if len(neighbour.vulnerable) > 700 else beside(sample, neighbour, random_source)


def shard_texts(mixture: Mixture, random_source: random.Random, pairs: int) -> list[Text]:
    """Detection, plain programs, exercises and real code by the mixture's shares."""
    shares = mixture.shares
    every = round(1 / shares.programs)
    texts: list[Text] = []
    for number in range(pairs):
        family, sample = mixture.pair(random_source)
        if len(sample.vulnerable) > LONGEST_SHOWN:
            continue
        sample = mixture.varied(family, sample, random_source)
        texts += detection_texts(sample, family, random_source)
        if number % 12 == 0 and len(sample.vulnerable) < 700:
            texts.append(comparison_text(sample, family, random_source))
        if number % every == every // 2:
            texts.append(program_text(sample, random_source))
    size = sum(len(text.text) for text in texts)
    exercise_size = 0
    while exercise_size < size * shares.exercises:
        text = exercise_text(random_source)
        texts.append(text)
        exercise_size += len(text.text)
    real_size = 0
    while real_size < size * shares.real:
        for chunk in real_chunks(mixture, random_source):
            piece = Piece()
            piece.add(chunk, shares.weight)
            texts.append(piece.done("real"))
            real_size += len(chunk)
    return texts


def real_chunks(mixture: Mixture, random_source: random.Random) -> list[str]:
    """Pieces of one file of the corpus: by the mixture's share runs of whole functions, else three runs of lines."""
    text = random_source.choice(mixture.corpus)
    if random_source.random() >= mixture.shares.whole:
        found = list(chunks(text, random_source, 1300))
        return random_source.sample(found, min(3, len(found)))
    language = random_source.choice(("c", "python"))  # files of one language are fewer: both as often, where both are
    for _ in range(8):
        if language_of(text) == language:
            break
        text = random_source.choice(mixture.corpus)
    language = language_of(text)
    found = [whole(text, language, random_source, WHOLE) for _ in range(3)]
    return sorted({chunk for chunk in found if len(chunk) > 100})


def write_shard(path: Path, texts: Sequence[Text], tokenizer: Tokenizer) -> dict[str, int]:
    arrays = encode_texts(texts, tokenizer)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)
    temporary.rename(path)
    counts = {kind: int((arrays["kinds"] == number).sum()) for number, kind in enumerate(KINDS)}
    return counts | {"tokens": len(arrays["tokens"])}
