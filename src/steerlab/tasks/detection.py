"""Vulnerability detection: prompts, reading an answer, and the numbers that judge it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steerlab.contrast import CWE_NAMES, Label, Program
from steerlab.errors import DataError, OptionError, PromptError, nearest
from steerlab.statistics import Estimate, cluster_bootstrap, paired_difference, wilson

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]

FIELDS = ("code", "cwe_name", "cwe", "language")
_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")

# ---------------------------------------------------------------------------------------------- prompts


@dataclass(frozen=True, kw_only=True)
class Template:
    """A prompt with the two answers whose log-likelihoods are compared.

    `text` holds {code} and may hold {cwe_name}, {cwe}, {language}. `vulnerable` and `patched` are the
    whole answer strings, with the space that stands before them.
    """

    name: str
    text: str
    vulnerable: str
    patched: str

    def __post_init__(self) -> None:
        for field in _FIELD.findall(self.text):
            if field not in FIELDS:
                raise PromptError(f"template {self.name}: unknown field {{{field}}}. {nearest(field, FIELDS)}")
        if "{code}" not in self.text:
            raise PromptError(f"template {self.name}: the text has no {{code}}, so no program would be shown.")
        if not self.vulnerable or not self.patched or self.vulnerable == self.patched:
            raise PromptError(f"template {self.name}: give two different answers, vulnerable and patched.")


@dataclass(frozen=True, kw_only=True)
class TemplateSet:
    """The templates of a file, and sentences about those in it that were left out."""

    templates: tuple[Template, ...]
    notes: tuple[str, ...] = ()


def load_templates(path: Path | None = None) -> tuple[Template, ...]:
    """The templates of a file; the packaged ones where `path` is None. See `read_templates`."""
    return read_templates(path).templates


def read_templates(path: Path | None = None) -> TemplateSet:
    """Read our template format, or the official prompts of SecLLMHolmes, with notes on what was left out.

    Ours: {"templates": [{"name", "text", "vulnerable", "patched"}]}. SecLLMHolmes': "prompts" and
    "user_message_forms"; zero-shot single-turn prompts become templates in the plain-text form that the
    benchmark uses for completion models ("palm2"), with the system text in front; few-shot, definition
    and multi-turn prompts need material that is not in the file and are named in the notes.
    Raises: PromptError when the file is missing, not JSON, or lacks something; it names file and part.
    """
    name = str(path) if path is not None else "the packaged templates"
    try:
        if path is None:
            text = (resources.files("steerlab.tasks") / "detection_templates.json").read_text("utf-8")
        else:
            text = path.read_text("utf-8")
        content = json.loads(text)
    except OSError as error:
        raise PromptError(f"{name}: cannot be read ({error.strerror}). Give a template file.") from error
    except ValueError as error:
        raise PromptError(f"{name}: is not JSON in UTF-8 ({error}).") from error
    if isinstance(content, dict) and "templates" in content:
        return TemplateSet(templates=_own_templates(content["templates"], name=name))
    if isinstance(content, dict) and "prompts" in content:
        return _official_templates(content, name=name)
    raise PromptError(f'{name}: has neither "templates" (ours) nor "prompts" (SecLLMHolmes).')


def _own_templates(entries: object, *, name: str) -> tuple[Template, ...]:
    if not isinstance(entries, list) or not entries:
        raise PromptError(f'{name}: "templates" must be a list with at least one template.')
    templates: list[Template] = []
    keys = {"name", "text", "vulnerable", "patched"}
    for number, entry in enumerate(entries, start=1):
        where = f"{name}: template {number}"
        if not isinstance(entry, dict):
            raise PromptError(f"{where} must be an object with {', '.join(sorted(keys))}.")
        if missing := sorted(keys - entry.keys()):
            raise PromptError(f"{where} lacks {', '.join(missing)}.")
        for key in sorted(entry.keys() - keys):
            raise PromptError(f"{where} has an unknown key {key}. {nearest(key, keys)}")
        for key in sorted(keys):
            if not isinstance(entry[key], str):
                raise PromptError(f"{where}: {key} must be a text.")
        try:
            template = Template(**entry)
        except PromptError as error:
            raise PromptError(f"{name}: {error}") from error
        if any(template.name == other.name for other in templates):
            raise PromptError(f"{where} has the name {template.name}, which another one has, too.")
        templates.append(template)
    return tuple(templates)


def _official_templates(content: Mapping[str, Any], *, name: str) -> TemplateSet:
    try:
        forms = content["user_message_forms"]["palm2"]
    except (KeyError, TypeError) as error:
        raise PromptError(f'{name}: lacks "user_message_forms" with the form "palm2".') from error
    templates: list[Template] = []
    skipped: list[str] = []
    for prompt_name, prompt in content["prompts"].items():
        if reason := _why_not(prompt):
            skipped.append(f"{prompt_name} ({reason})")
            continue
        try:
            text = forms[prompt["form"]]
            for part in ("question", "answer_prefix"):
                if f"{{{part}}}" in text:
                    text = text.replace(f"{{{part}}}", prompt[part])
            system = prompt["system"]
        except KeyError as error:
            raise PromptError(f"{name}: prompt {prompt_name} lacks {error}.") from error
        yes_no = prompt["form"] == "Question"
        try:
            template = Template(
                name=prompt_name,
                text=(f"{system}\n\n{text}" if system else text).rstrip(),
                vulnerable=" yes" if yes_no else " The code is vulnerable.",
                patched=" no" if yes_no else " The code is secure.",
            )
        except PromptError as error:
            raise PromptError(f"{name}: {error}") from error
        templates.append(template)
    if not templates:
        raise PromptError(f"{name}: holds no zero-shot prompt that can be used.")
    notes = (f"Prompts of {Path(name).name} that were left out: {', '.join(skipped)}.",) if skipped else ()
    return TemplateSet(templates=tuple(templates), notes=notes)


def _why_not(prompt: Mapping[str, Any]) -> str | None:
    """Why an official prompt cannot be used, or None."""
    if "few_shot" in prompt or prompt.get("shots") != "ZS":
        return "few-shot"
    if prompt.get("form") == "Def" or "{definition}" in prompt.get("system", ""):
        return "needs a definition"
    if "turns" in prompt:
        return "several turns"
    return None


def render(template: Template, program: Program) -> str:
    """The prompt for one program. Only the fields of the template are replaced: braces in code survive.

    Raises: PromptError when the CWE of the program has no name and the template needs one.
    """
    if "{cwe_name}" in template.text and program.cwe not in CWE_NAMES:
        raise PromptError(
            f"{program.id}: {program.cwe} has no name for template {template.name}. {nearest(program.cwe, CWE_NAMES)}"
        )
    values = {
        "code": program.code.rstrip("\n"),
        "cwe_name": CWE_NAMES.get(program.cwe, ""),
        "cwe": program.cwe,
        "language": program.language,
    }
    return _FIELD.sub(lambda match: values[match.group(1)], template.text)


# ----------------------------------------------------------------------------------- reading an answer

# A text becomes sentences, a sentence clauses, a clause words. A verdict is a word in a construction that
# says something about the code ("is ... secure", "contains ... injection", "no ... overflow"); the
# negations that stand before it in its clause flip it, each one once ("not insecure" is secure).

Words = Sequence[str]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"[‘’´]", "'"),
        (r"[*#`>\"“”]", " "),
        (r"\b(?:cannot|can't|cant)\b", "can not"),
        (r"\bwon't\b", "will not"),
        (r"n't\b", " not"),
        (r"\b(is|are|was|does|did|do|has|have)nt\b", r"\1 not"),
        (r"\b(it|that|this|there|code|he|what)'s\b", r"\1 is"),
        (r"\bi(?:'m| am)\b", "i am"),
        (r"\bnon[- ](?=\w)|\bnot-(?=\w)", "not "),
        (r"\buse[- ]after[- ]free\b", "useafterfree"),
        (r"\bfree[- ](?=of\b|from\b)", "free-of "),
        (r"\b(?:yes|no)(?:\s*/\s*| or | and )(?:yes|no)\b", " "),
        (r"\bno (?:doubt|question)\b|\bwithout (?:a |any )?doubt\b|\bundoubtedly\b", " "),
        (r"\bnot (?:only|just|merely|simply)\b", " "),
        (r"\bno longer\b|\banything but\b|\bfar from\b|\bcould not (?=find|see|detect|identify|spot)", " not "),
        (r"\b(?:wrong|untrue|incorrect|false) (?=to\b|that\b)", " not "),
        (r"\bi would (?=say|consider|call|argue|conclude|answer)", "i "),
        (r",\s*(?:in (?:my|our) \w+|in fact|however|therefore|thus|indeed|strictly speaking),", " "),
    )
)
_WRAPPED = re.compile(r"(?<=[^\s.?!:;])[ \t]*\n(?=[a-z])|(?i:(?<=\bnot)|(?<=\bis)|(?<=\bno)|(?<=\bthe))[ \t]*\n(?=\w)")
_SENTENCE = re.compile(r"(?:[^.?!;\n]|[.?!;](?![\s)\]]|$))+[.?!;]*")
_WORD = re.compile(r"[a-z0-9_'+-]*[a-z0-9_][a-z0-9_'+-]*|[,:()\[\]—–]")
_YES_NO = re.compile(
    r"^\W*(?:(?:so |thus |the |my |final |short )*(?:answer|verdict|decision|conclusion|result|a|assistant)\b"
    r"\s*(?:is|would be)?\s*[:=-]?\W*|(?P<asked>vulnerable|insecure|unsafe|secure|safe|patched)\s*[:=]\s*)?"
    r"(?:(?P<yes>yes|yep|yeah)\b|(?P<no>no|nope)\b(?=\s*(?:$|[^\w\s-]|-\s|\s(?:it|its|this|that|the|there|these|i|"
    r"because|since|as|we|you|code|not|based)\b))|(?P<true>true|affirmative)\s*(?:$|[^\w\s])|"
    r"(?P<false>false|negative)\s*(?:$|[^\w\s]))"
)
_SPOKEN = re.compile(r"\b(?:say|answer|answer is|answer would be|verdict is|decision is)\s*:?\s*(yes|no)\b(?!\s+\w)")

_VULNERABLE = frozenset(
    ("vulnerable", "insecure", "unsafe", "exploitable", "susceptible", "prone", "unpatched", "unsecure", "unsecured")
)
_SECURE = frozenset(("secure", "safe", "patched", "invulnerable", "immune", "secured"))
_NEGATIONS = _set(
    "no not never neither nor without none nothing nobody hardly barely scarcely lack lacks lacking fails "
    "free-of unlikely doubt deny"
)
_HEDGES = _set("may might could maybe perhaps possibly would should must necessarily")
_JOINTS = _set(
    "but so because since therefore thus hence and which however although though when while then making "
    "leaving rendering yet due"
)
_BE = _set("is are was were be been being remains remain seems appears looks becomes considered deemed as")
_MAKE = _set("make makes made leave leaves left render renders keep keeps consider call making leaving")
_CODE = _set("code program function implementation version snippet application script")
_NOUN = re.compile(
    r"vulnerab\w*t(?:y|ies)|vulns?|injections?|traversals?|overflows?|xss|scripting|sqli|useafterfree|"
    r"dereferenc\w*|weakness(?:es)?|flaws?|exploits?|cwe-?\d*|out-of-bounds?"
)
_TROUBLE = re.compile(r"(?:issue|problem|bug|risk|concern|hole|defect)s?")
_SHIELD = re.compile(
    r"(?:protect|prevent|check|filter|validat|mitigat|sanitiz|sanitis|detect|defen[cs]e|guard|test|scan|polic)\w*"
)
_GUARD = re.compile(r"against|for|(?:prevent|avoid|mitigat|protect|eliminat|stop|fix|address|block|thwart)\w*")
_EXIST = re.compile(
    r"contain\w*|has|have|having|had|includes?|including|exhibits?|suffers?|introduc\w*|finds?|found|sees?|"
    r"detect(?:ed|s)?|identif\w*|spot|shows?|there|exists?|here|any"
)
_PRESENT = frozenset(("present", "exists", "exist", "found", "detected", "identified", "possible"))
_GONE = frozenset(("fixed", "mitigated", "addressed", "prevented", "eliminated", "resolved", "avoided", "absent"))
_CAUSE = re.compile(r"(?:lead|caus|result|allow|enabl|expos|introduc|creat)(?:s|e|es|ed|ing)?|exploited")
_UNKNOWN = re.compile(
    r"can not (?:\w+ )?(?:say|tell|determine|confirm|conclude|rule|know|be sure|be certain|decide|verify|guarantee)\b|"
    r"\b(?:not|un)[ -]?(?:sure|certain|clear)\b|\bunable to (?:say|tell|determine|confirm|decide|verify)\b|"
    r"\b(?:hard|difficult|impossible) to (?:say|tell|determine)\b|\bnot (?:know|enough)\b|"
    r"(?<!appears )(?<!seems )(?<!considered )(?<!deemed )(?<!likely )(?<!found )(?<!believed )\bto be\b|"
    r"\b(?:to|can|will|and|please|must|should|also|help) (?:make|ensure|keep)\b|"
    r"^\s*(?:ensure|make|check|consider)\b|\bwhether\b"
)


def parse_answer(text: str) -> Label | None:
    """What an answer says about a program: "vulnerable", "patched", or None when it says neither.

    The question was whether the code contains the vulnerability: a leading "yes" is vulnerable, "no" is
    patched, in any capitals. Otherwise the first explicit verdict counts, on whole words and with
    negation. Hedges ("may be vulnerable"), questions and conditions are no verdict. Where nothing is
    explicit, what the text says last about consequences ("leads to an injection", "prevents the
    overflow") counts. None is an outcome of its own, never a default.
    """
    lowered = _WRAPPED.sub(" ", text).lower()
    for pattern, replacement in _REWRITES:
        lowered = pattern.sub(replacement, lowered)
    implied: list[bool] = []
    asked_for_secure = False
    for sentence in _SENTENCE.findall(lowered):
        if sentence.rstrip().endswith("?"):
            words = set(_WORD.findall(sentence))
            asked_for_secure = bool(words & _SECURE) and not words & _VULNERABLE
            continue
        verdict = _yes_or_no(sentence, asked_for_secure=asked_for_secure)
        if verdict is None:
            verdict = _explicit(sentence, implied)
        if verdict is not None:
            return "vulnerable" if verdict else "patched"
    if implied:
        return "vulnerable" if implied[-1] else "patched"
    return None


def _yes_or_no(sentence: str, *, asked_for_secure: bool) -> bool | None:
    """True for a sentence that begins with yes (vulnerable), False for no, None otherwise."""
    match = _YES_NO.match(sentence)
    if match is None:
        return None
    yes = bool(match["yes"] or match["true"])
    return yes != (match["asked"] in _SECURE or (asked_for_secure and not match["asked"]))


def _explicit(sentence: str, implied: list[bool]) -> bool | None:
    """The first explicit verdict (True: vulnerable); what is only implied is appended to `implied`."""
    for clause in _clauses(sentence):
        if spoken := _SPOKEN.search(clause):
            return spoken[1] == "yes"
        words = _WORD.findall(clause)
        for place, word in enumerate(words):
            before = words[:place]
            negated = sum(other in _NEGATIONS for other in before) % 2 == 1
            says = _adjective(words, place)
            if says is None:
                says = _noun(words, place)
            if says is not None and not _HEDGES.intersection(before):
                return says != negated
            if says is None and (hint := _hint(word, before)) is not None:
                implied.append(hint != negated)
    return None


def _clauses(sentence: str) -> list[str]:
    """The clauses of a sentence that can hold a verdict: no conditions, doubts or instructions."""
    sentence = re.sub(r"\beven if\b[^,]*,?", " ", sentence)
    sentence = re.split(r"\b(?:if|unless|assuming|provided that)\b", sentence)[0]
    clauses: list[str] = []
    for part in re.split(r"[,:()\[\]—–]| - |\bbut\b", sentence):
        doubt = _UNKNOWN.search(part)
        known = part[: doubt.start()] if doubt else part
        clause: list[str] = []
        for word in _WORD.findall(known):
            if word in _JOINTS:
                clauses.append(" ".join(clause))
                clause = [word] if word in _MAKE else []
            else:
                clause.append(word)
        clauses.append(" ".join(clause))
    return clauses


def _adjective(words: Words, place: int) -> bool | None:
    """True, False where the word is an adjective that is said of the code (vulnerable, secure)."""
    word = words[place]
    if word not in _VULNERABLE | _SECURE:
        return None
    after = words[place + 1] if place + 1 < len(words) else ""
    if place and words[place - 1] in ("more", "less", "most"):
        return None
    before = [w for w in words[:place] if w not in _NEGATIONS and not (w.endswith("ly") and w not in _HEDGES)]
    before = [
        w for w in before if w not in ("very", "quite", "still", "also", "now", "to", "both", "again", "the", "a", "an")
    ]
    said = (
        (not before and (not after or after in _CODE or after in ("to", "from", "against", "in", "by", "with")))
        or (bool(before) and before[-1] in _BE and not _attributive(words, place))
        or (after in _CODE and _attributive(words, place) and words[0] in ("this", "it", "that", "the", "overall"))
        or (after == "to" and word in ("vulnerable", "susceptible", "prone"))
        or (after in ("from", "against") and word in _SECURE)
        or (not after and bool(_MAKE.intersection(before[-4:])))
    )
    return (word in _VULNERABLE) if said else None


def _attributive(words: Words, place: int) -> bool:
    """Whether the adjective describes the next noun: "is a safe function"."""
    return place > 0 and words[place - 1] in ("a", "an", "the")


def _noun(words: Words, place: int) -> bool | None:
    """True where the words up to here say that a vulnerability exists, False that it is gone."""
    word, before = words[place], words[:place]
    earlier = any(_NOUN.fullmatch(w) for w in before[-9:])
    if earlier and word in _PRESENT:
        return True
    if earlier and word in _GONE:
        return False
    trouble = _TROUBLE.fullmatch(word) and (
        (place and words[place - 1] == "security") or _NEGATIONS.intersection(before[-4:])
    )
    if not (_NOUN.fullmatch(word) or trouble):
        return None
    after = next((w for w in words[place + 1 :] if not _NOUN.fullmatch(w)), "")
    if _SHIELD.fullmatch(after) or any(_GUARD.fullmatch(w) or _CAUSE.fullmatch(w) for w in before[-7:]):
        return None
    near = before[-7:]
    exists = any(_EXIST.fullmatch(w) for w in near) or bool(
        {"no", "without", "free-of", "nor"}.intersection(before[-5:])
    )
    is_a = any(a in _BE and a != "as" and b in ("a", "an") for a, b in zip(_bare(near), _bare(near)[1:], strict=False))
    return True if exists or is_a else None


def _bare(words: Words) -> list[str]:
    """Without negations and adverbs."""
    return [word for word in words if word not in _NEGATIONS and not word.endswith("ly")]


def _hint(word: str, before: Words) -> bool | None:
    """What a word implies without saying it: consequences, prevention, manner."""
    if word in ("insecurely", "unsafely", "exploited"):
        return True
    if word in ("securely", "safely"):
        return False
    if not _NOUN.fullmatch(word):
        return None
    for earlier in reversed(before[-8:]):
        if _GUARD.fullmatch(earlier) and earlier != "for":
            return False
        if _CAUSE.fullmatch(earlier):
            return True
    return None


# -------------------------------------------------------------------------------------------- numbers


def answers_from_margins(margins: Sequence[float | None] | Array, *, bias: float = 0.0) -> list[Label | None]:
    """The answer that each margin stands for: "vulnerable" above -bias, "patched" below; None at it, NaN or None.

    A margin is the log-likelihood of the vulnerable answer minus that of the patched one (nats).
    """
    moved = _margins(margins) + bias
    return ["vulnerable" if margin > 0 else "patched" if margin < 0 else None for margin in moved]


def metrics(
    labels: Sequence[Label], answers: Sequence[Label | None], margins: Sequence[float | None] | Array | None = None
) -> dict[str, float | None]:
    """The numbers of one set of rows; "vulnerable" is the positive class; None where undefined.

    Keys: accuracy, balanced_accuracy, f1, mcc, yes_rate, yes_rate_patched (share of the patched programs
    called vulnerable), auroc (of the margin; larger is more vulnerable), parsed_share, n (answered),
    n_unscored. A row without an answer is left out and counted, never wrong. With one class only,
    balanced_accuracy, mcc and auroc are None.
    Raises: DataError when the lengths differ or a value is unknown.
    """
    from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef, roc_auc_score

    truth, said, margin = _columns(labels, answers, margins)
    scored = np.isfinite(said)
    y, z = truth[scored], said[scored]
    n = len(y)
    both = 0 < y.sum() < n
    patched = z[y == 0]
    reads = np.isfinite(margin)
    read_both = 0 < truth[reads].sum() < reads.sum()
    return {
        "accuracy": float((y == z).mean()) if n else None,
        "balanced_accuracy": float(balanced_accuracy_score(y, z)) if both else None,
        "f1": float(f1_score(y, z)) if y.sum() + z.sum() > 0 else None,
        "mcc": float(matthews_corrcoef(y, z)) if both else None,
        "yes_rate": float(z.mean()) if n else None,
        "yes_rate_patched": float(patched.mean()) if len(patched) else None,
        "auroc": float(roc_auc_score(truth[reads], margin[reads])) if read_both else None,
        "parsed_share": n / len(truth) if len(truth) else None,
        "n": float(n),
        "n_unscored": float(len(truth) - n),
    }


def pair_order(
    labels: Sequence[Label], margins: Sequence[float | None] | Array, groups: Sequence[Hashable]
) -> float | None:
    """Share of pairs in which the vulnerable program has the larger margin; ties count one half.

    A pair is a vulnerable and a patched program of one group. None where there is no pair with two margins.
    Raises: DataError when the lengths differ.
    """
    truth, _, margin = _columns(labels, [None] * len(labels), margins)
    _same_length(labels=labels, groups=groups)
    scored = np.isfinite(margin)
    values = np.column_stack([truth, truth, margin, _numbers(groups)])[scored]
    if not len(values):
        return None
    value = float(_pair_order(values, np.ones((1, len(values)), dtype=np.int64))[0])
    return value if math.isfinite(value) else None


def estimates(rows: pd.DataFrame, *, level: float = 0.95, seed: int = 0, draws: int = 2000) -> dict[str, Estimate]:
    """All numbers of `metrics` and `pair_order` with intervals from a bootstrap over groups.

    `rows` has the columns label, answer (None: no answer), group, and may have margin. `n` counts the
    rows that enter a number (for yes_rate_patched the patched ones), `n_unscored` those left out for
    want of an answer or margin. Where a number between 0 and 1 is at its end in every draw, the
    bootstrap has no width; then the interval is Wilson's with the groups as trials.
    Raises: DataError when a column is missing.
    """
    table = _table(rows)
    result: dict[str, Estimate] = {}
    for metric in ESTIMATED:
        usable, column = _usable(table, metric), table[:, _COLUMN_OF.get(metric, 1)]
        scored = usable & np.isfinite(column) if metric != "parsed_share" else usable
        estimate = cluster_bootstrap(
            table[scored],
            table[scored, 3],
            _WEIGHTED[metric],
            level=level,
            seed=seed,
            draws=draws,
            n_unscored=int(usable.sum() - scored.sum()),
            statistic_on="weights",
        )
        result[metric] = _with_width(estimate, n_groups=len(np.unique(table[scored, 3])), metric=metric)
    return result


def difference(
    baseline: pd.DataFrame,
    steered: pd.DataFrame,
    *,
    metric: str = "balanced_accuracy",
    level: float = 0.95,
    seed: int = 0,
    draws: int = 2000,
) -> Estimate:
    """A metric of `steered` minus that of `baseline` on the same rows, bootstrapped over groups.

    Both tables as for `estimates`, in the same order. A row that is unscored on either side is left out
    of both and counted.
    Raises: DataError when the rows are not the same; OptionError for an unknown metric.
    """
    if metric not in _WEIGHTED:
        raise OptionError(f"metric {metric} does not exist. {nearest(metric, _WEIGHTED)}")
    before, after = _table(baseline), _table(steered)
    same_groups = list(baseline["group"]) == list(steered["group"])
    if before.shape != after.shape or not np.array_equal(before[:, 0], after[:, 0]) or not same_groups:
        raise DataError(
            f"the two tables ({len(before)} and {len(after)} rows) do not hold the same programs in the same order."
        )
    usable = _usable(before, metric)
    before, after = before[usable], after[usable]
    unused = 2 if _COLUMN_OF.get(metric, 1) == 1 else 1  # what this metric does not read must not drop rows
    for table in (before, after):
        table[:, unused] = 0.0
        if metric == "parsed_share":
            table[:, 1] = np.where(np.isfinite(table[:, 1]), 1.0, 0.0)
    statistic = _rate if metric == "parsed_share" else _WEIGHTED[metric]
    return paired_difference(
        before,
        after,
        clusters=before[:, 3],
        level=level,
        seed=seed,
        statistic=statistic,
        draws=draws,
        statistic_on="weights",
    )


def discordant(baseline: pd.DataFrame, steered: pd.DataFrame) -> tuple[int, int]:
    """Programs right only in `baseline` and right only in `steered`, among those answered in both.

    Tables as for `difference`; the two counts are what `mcnemar_exact` takes.
    """
    before, after = _table(baseline), _table(steered)
    if len(before) != len(after):
        raise DataError(f"{len(before)} and {len(after)} rows: McNemar needs the same programs on both sides.")
    scored = np.isfinite(before[:, 1]) & np.isfinite(after[:, 1])
    was, now = before[scored, 0] == before[scored, 1], after[scored, 0] == after[scored, 1]
    return int((was & ~now).sum()), int((~was & now).sum())


def best_bias(margins: Sequence[float | None] | Array, labels: Sequence[Label]) -> float:
    """The number to add to every margin (nats) so that "vulnerable where above 0" has the best balanced accuracy.

    Candidates are 0, minus the midpoints between neighbouring margins, and one nat beyond both ends; of
    equally good ones the nearest to 0, then the smaller. For training rows only; rows without a margin
    are left out.
    Raises: DataError when not both labels occur.
    """
    truth, _, margin = _columns(labels, [None] * len(labels), margins)
    truth, margin = truth[np.isfinite(margin)], margin[np.isfinite(margin)]
    if not 0 < truth.sum() < len(truth):
        raise DataError("a threshold needs vulnerable and patched programs with a margin; one of them is missing.")
    levels = np.unique(margin)
    candidates = np.concatenate([[0.0], -(levels[:-1] + levels[1:]) / 2, [-levels[-1] - 1.0, 1.0 - levels[0]]])
    moved = margin[None, :] + candidates[:, None]
    right = (moved > 0)[:, truth == 1].mean(axis=1) + (moved < 0)[:, truth == 0].mean(axis=1)
    best = candidates[right >= right.max() - 1e-12]
    return float(min(best, key=lambda bias: (abs(bias), bias)))


_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_CITED = re.compile(r"`([^`\n]{1,80})`|\b([A-Za-z_]\w*)(?=\()|\b(\w*[A-Za-z]_\w+|[a-z]+[A-Z]\w*)\b")


def reasoning_quality(completion: str, reasoning: str, program: Program) -> dict[str, float | None]:
    """How an explanation compares with the ground truth and the code; None where there is nothing to compare.

    rouge1_precision: share of the words of `completion` that occur in `reasoning` (rouge-score, without
    stemming). names_cwe: 1.0 where the completion names the CWE of the program by number or name.
    cited_in_code: of the identifiers that the completion cites (in backticks, called, snake_case or
    camelCase) the share that occurs in the code. n_cited: how many it cites.
    """
    from rouge_score.rouge_scorer import RougeScorer

    rouge = None
    if reasoning.strip() and completion.strip():
        rouge = float(RougeScorer(["rouge1"]).score(reasoning, completion)["rouge1"].precision)
    words = re.sub(r"[\s_-]+", " ", completion.lower())
    number = program.cwe.rpartition("-")[2]
    name = re.sub(r"[\s_-]+", " ", CWE_NAMES.get(program.cwe, program.cwe).lower())
    named = name in words or re.search(rf"\bcwe ?{re.escape(number)}\b", words) is not None
    cited: set[str] = set()
    for match in _CITED.finditer(completion):
        cited.update(_IDENTIFIER.findall(next(part for part in match.groups() if part)))
    in_code = cited & set(_IDENTIFIER.findall(program.code))
    return {
        "rouge1_precision": rouge,
        "names_cwe": float(named),
        "cited_in_code": len(in_code) / len(cited) if cited else None,
        "n_cited": float(len(cited)),
    }


# Weighted forms of the numbers, for all bootstrap draws at once: values [row, 4] are label (1 vulnerable),
# answer, margin, group; weights [draw, row]; NaN where undefined. tests hold them to scikit-learn's.


def _counts(values: Array, weights: Array) -> tuple[Array, Array, Array, Array]:
    """True positives, false positives, false negatives, true negatives per draw."""
    y, z = values[:, 0] == 1, values[:, 1] == 1
    kinds = np.stack([y & z, ~y & z, y & ~z, ~y & ~z], axis=1).astype(np.float64)
    tp, fp, fn, tn = (weights @ kinds).T
    return tp, fp, fn, tn


def _share(part: Array, whole: Array) -> Array:
    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))


def _accuracy(values: Array, weights: Array) -> Array:
    tp, fp, fn, tn = _counts(values, weights)
    return _share(tp + tn, tp + fp + fn + tn)


def _balanced_accuracy(values: Array, weights: Array) -> Array:
    tp, fp, fn, tn = _counts(values, weights)
    return (_share(tp, tp + fn) + _share(tn, tn + fp)) / 2


def _f1(values: Array, weights: Array) -> Array:
    tp, fp, fn, _ = _counts(values, weights)
    return _share(2 * tp, 2 * tp + fp + fn)


def _mcc(values: Array, weights: Array) -> Array:
    tp, fp, fn, tn = _counts(values, weights)
    square = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    value = np.divide(tp * tn - fp * fn, np.sqrt(square), out=np.zeros(len(tp)), where=square > 0)
    return np.where((tp + fn > 0) & (tn + fp > 0), value, np.nan)


def _yes_rate(values: Array, weights: Array) -> Array:
    tp, fp, fn, tn = _counts(values, weights)
    return _share(tp + fp, tp + fp + fn + tn)


def _yes_rate_patched(values: Array, weights: Array) -> Array:
    _, fp, _, tn = _counts(values, weights)
    return _share(fp, fp + tn)


def _rate(values: Array, weights: Array) -> Array:
    return _share(weights @ values[:, 1], weights.sum(axis=1).astype(np.float64))


def _parsed_share(values: Array, weights: Array) -> Array:
    return _share(weights @ np.isfinite(values[:, 1]).astype(np.float64), weights.sum(axis=1).astype(np.float64))


def _auroc(values: Array, weights: Array) -> Array:
    y = values[:, 0] == 1
    high, low = values[y, 2], values[~y, 2]
    wins = (high[:, None] > low[None, :]) + 0.5 * (high[:, None] == low[None, :])
    positive, negative = weights[:, y].astype(np.float64), weights[:, ~y].astype(np.float64)
    return _share(((positive @ wins) * negative).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))


def _pair_order(values: Array, weights: Array) -> Array:
    wins = np.zeros(len(weights))
    pairs = np.zeros(len(weights))
    for group in np.unique(values[:, 3]):
        rows = np.flatnonzero(values[:, 3] == group)
        y = values[rows, 0] == 1
        high, low = values[rows[y], 2], values[rows[~y], 2]
        drawn = weights[:, rows[0]]  # all rows of a group carry the same weight
        wins += drawn * ((high[:, None] > low[None, :]) + 0.5 * (high[:, None] == low[None, :])).sum()
        pairs += drawn * (len(high) * len(low))
    return _share(wins, pairs)


_WEIGHTED: Mapping[str, Callable[[Array, Array], Array]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "mcc": _mcc,
    "auroc": _auroc,
    "pair_order": _pair_order,
    "yes_rate": _yes_rate,
    "yes_rate_patched": _yes_rate_patched,
    "parsed_share": _parsed_share,
}
ESTIMATED = tuple(_WEIGHTED)
_COLUMN_OF: Mapping[str, int] = {"auroc": 2, "pair_order": 2}  # the others read column 1, the answer


def _with_width(estimate: Estimate, *, n_groups: int, metric: str) -> Estimate:
    """Wilson's interval over groups where a share is 0 or 1 in every draw."""
    if metric == "mcc" or estimate.value not in (0.0, 1.0) or estimate.low != estimate.high:
        return estimate
    wide = wilson(round(estimate.value) * n_groups, n_groups, level=estimate.level)
    return replace(estimate, low=wide.low, high=wide.high, method="wilson over groups")


def _usable(table: Array, metric: str) -> Array:
    """The rows that a metric is about."""
    return table[:, 0] == 0 if metric == "yes_rate_patched" else np.ones(len(table), dtype=bool)


def _table(rows: pd.DataFrame) -> Array:
    """Label, answer, margin, group as float64 [row, 4]; NaN where there is none."""
    for column in ("label", "answer", "group"):
        if column not in rows.columns:
            raise DataError(f"the rows have no column {column}: label, answer, group and margin are needed.")
    margins = list(rows["margin"]) if "margin" in rows.columns else None
    truth, said, margin = _columns(list(rows["label"]), list(rows["answer"]), margins)
    return np.column_stack([truth, said, margin, _numbers(list(rows["group"]))])


def _columns(
    labels: Sequence[Any], answers: Sequence[Any], margins: Sequence[Any] | Array | None
) -> tuple[Array, Array, Array]:
    margin = np.full(len(labels), np.nan) if margins is None else _margins(margins)
    _same_length(labels=labels, answers=answers, margins=margin)
    codes = {"vulnerable": 1.0, "patched": 0.0}
    answers = [None if isinstance(answer, float) and math.isnan(answer) else answer for answer in answers]
    for value in {*labels, *answers} - {None}:
        if value not in codes:
            raise DataError(f"label or answer {value!r} is not known. {nearest(str(value), codes)}")
    if None in labels:
        raise DataError("a row has no label.")
    truth = np.array([codes[label] for label in labels], dtype=np.float64)
    said = np.array([math.nan if answer is None else codes[answer] for answer in answers], dtype=np.float64)
    return truth, said, margin


def _margins(margins: Sequence[Any] | Array) -> Array:
    return np.array([math.nan if margin is None else float(margin) for margin in margins], dtype=np.float64)


def _numbers(groups: Sequence[Hashable]) -> Array:
    """Groups as 0, 1, 2, ... in order of first occurrence."""
    names: dict[Hashable, int] = {}
    return np.array([names.setdefault(group, len(names)) for group in groups], dtype=np.float64)


def _same_length(**columns: Any) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns of different lengths: {lengths}. Give one entry per row.")
