"""Read a verdict in a written answer: vulnerable, patched, or none; knows negation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from steerlab.contrast import Label

if TYPE_CHECKING:
    pass

Array = NDArray[Any]

FIELDS = ("code", "cwe_name", "cwe", "language")
_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")


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
_WRAPPED = re.compile(
    r"(?<=[^\s.?!:;])[ \t]*\n(?=[a-z])|(?i:(?<=\bnot)|(?<=\bis)|(?<=\bno)|(?<=\bthe))[ \t]*\n(?=\w)(?!\w+:)"
)
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
