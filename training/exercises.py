"""Seeded list, string and number problems in MBPP's form, composed of a source, a filter, a map and an aggregate."""

from __future__ import annotations

import ast
import random
import zlib
from dataclasses import dataclass

HELD_OUT_SHARE = 10  # one composition in ten is never trained on
BRANCHING_SHARE = 0.3  # of the draws: a filter of two conditions or a map that decides
BANDS = (3, 4, 5)  # the highest cyclomatic complexity of bands 1, 2 and 3; band 4 has no end


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One problem. `prompt` ends after the docstring, `solution` is the body, `asserts` are three lines."""

    composition: str
    held_out: bool
    name: str
    prompt: str
    solution: str
    asserts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is iterated over. `words`: how the things and the container are called; `over`: the iterated expression."""

    arguments: tuple[str, ...]
    variables: tuple[str, ...]
    over: tuple[str, ...]
    container: tuple[str, ...]
    filters: dict[str, tuple[tuple[str, ...], str]]
    maps: dict[str, tuple[tuple[str, ...], str]]
    aggregates: dict[str, tuple[tuple[str, ...], str]]


# A filter: phrases with {k}, and a condition on {x}. A map: phrases around {p}, and an expression.
# An aggregate: phrases around {p}, and an expression of {items}.
NUMBER_FILTERS: dict[str, tuple[tuple[str, ...], str]] = {
    "all": (("the numbers", "all numbers", "the elements"), ""),
    "even": (("the even numbers", "all even numbers", "the even elements"), "{x} % 2 == 0"),
    "odd": (("the odd numbers", "all odd numbers", "the odd elements"), "{x} % 2 == 1"),
    "positive": (("the positive numbers", "all numbers above zero", "the positive elements"), "{x} > 0"),
    "negative": (("the negative numbers", "all numbers below zero", "the negative elements"), "{x} < 0"),
    "nonzero": (("the non-zero numbers", "all numbers other than zero"), "{x} != 0"),
    "above": (("the numbers greater than {k}", "all numbers larger than {k}", "the elements above {k}"), "{x} > {k}"),
    "below": (("the numbers less than {k}", "all numbers smaller than {k}", "the elements below {k}"), "{x} < {k}"),
    "at-least": (("the numbers that are at least {k}", "the elements not less than {k}"), "{x} >= {k}"),
    "multiple": (
        ("the multiples of {k}", "the numbers divisible by {k}", "all numbers that {k} divides"),
        "{x} % {k} == 0",
    ),
    "not-multiple": (
        ("the numbers not divisible by {k}", "the elements that are no multiple of {k}"),
        "{x} % {k} != 0",
    ),
    "between": (("the numbers between {k} and {k2}", "all numbers from {k} to {k2}"), "{k} <= {x} <= {k2}"),
    "even-above": (
        ("the even numbers greater than {k}", "all even numbers above {k}"),
        "{x} % 2 == 0 and {x} > {k}",
    ),
    "odd-below": (("the odd numbers less than {k2}", "all odd numbers below {k2}"), "{x} % 2 == 1 and {x} < {k2}"),
    "either-multiple": (
        ("the numbers divisible by {k} or {k2}", "the multiples of {k} or of {k2}"),
        "{x} % {k} == 0 or {x} % {k2} == 0",
    ),
    "outside": (
        ("the numbers less than {k} or greater than {k2}", "all numbers below {k} or above {k2}"),
        "{x} < {k} or {x} > {k2}",
    ),
}
NUMBER_MAPS: dict[str, tuple[tuple[str, ...], str]] = {
    "same": (("{p}",), "{x}"),
    "square": (("the squares of {p}", "the squared values of {p}"), "{x} ** 2"),
    "cube": (("the cubes of {p}", "the cubed values of {p}"), "{x} ** 3"),
    "double": (("the doubles of {p}", "twice the value of {p}"), "{x} * 2"),
    "times": (("{m} times {p}", "the products with {m} of {p}"), "{x} * {m}"),
    "plus": (("the values increased by {m} of {p}", "{m} added to {p}"), "{x} + {m}"),
    "minus": (("the values decreased by {m} of {p}", "{m} subtracted from {p}"), "{x} - {m}"),
    "negate": (("the negated values of {p}", "the opposites of {p}"), "-{x}"),
    "absolute": (("the absolute values of {p}", "the magnitudes of {p}"), "abs({x})"),
    "modulo": (("the remainders modulo {m} of {p}", "the remainders after division by {m} of {p}"), "{x} % {m}"),
    "halve-even": (
        ("the values of {p} with even ones halved", "{p}, each even one divided by 2"),
        "{x} // 2 if {x} % 2 == 0 else {x}",
    ),
    "double-below": (
        ("the values of {p} with those below {k2} doubled", "{p}, each one less than {k2} doubled"),
        "{x} * 2 if {x} < {k2} else {x}",
    ),
    "sign": (("the signs (1, 0 or -1) of {p}",), "1 if {x} > 0 else -1 if {x} < 0 else 0"),
}
NUMBER_AGGREGATES: dict[str, tuple[tuple[str, ...], str]] = {
    "sum": (("find the sum of {p}", "add up {p}", "compute the total of {p}"), "sum({items})"),
    "count": (("count {p}", "find how many values there are among {p}", "return the number of {p}"), "len({items})"),
    "max": (
        ("find the largest of {p}, or 0 if there is none", "return the maximum of {p}, 0 when there is none"),
        "max({items}, default=0)",
    ),
    "min": (
        ("find the smallest of {p}, or 0 if there is none", "return the minimum of {p}, 0 when there is none"),
        "min({items}, default=0)",
    ),
    "list": (("collect {p} into a list", "return a list of {p}", "get {p} as a list"), "{items}"),
    "sorted": (("return {p} sorted in ascending order", "sort {p} from smallest to largest"), "sorted({items})"),
    "descending": (
        ("return {p} sorted in descending order", "sort {p} from largest to smallest"),
        "sorted({items}, reverse=True)",
    ),
    "reversed": (("return {p} in reverse order", "list {p} backwards"), "{items}[::-1]"),
    "unique": (
        ("count the distinct values among {p}", "find the number of different values among {p}"),
        "len(set({items}))",
    ),
    "first": (("return the first {n} of {p}", "get the leading {n} of {p}"), "{items}[:{n}]"),
    "last": (("return the last {n} of {p}", "get the final {n} of {p}"), "{items}[-{n}:]"),
    "any": (("check whether there are any of {p}", "tell if there is at least one of {p}"), "len({items}) > 0"),
    "range": (
        ("find the difference between the largest and the smallest of {p}, or 0 if there is none",),
        "max({items}, default=0) - min({items}, default=0)",
    ),
}
CHARACTER_FILTERS: dict[str, tuple[tuple[str, ...], str]] = {
    "all": (("the characters", "all characters"), ""),
    "vowels": (("the vowels", "all vowels"), '{x} in "aeiouAEIOU"'),
    "consonants": (("the consonants", "all consonants"), '{x}.isalpha() and {x} not in "aeiouAEIOU"'),
    "digits": (("the digits", "all digit characters"), "{x}.isdigit()"),
    "letters": (("the letters", "all alphabetic characters"), "{x}.isalpha()"),
    "upper": (("the uppercase letters", "all capital letters"), "{x}.isupper()"),
    "lower": (("the lowercase letters", "all small letters"), "{x}.islower()"),
    "not-space": (("the characters other than spaces", "all non-space characters"), '{x} != " "'),
    "equal": (("the occurrences of '{c}'", "all characters equal to '{c}'"), '{x} == "{c}"'),
    "different": (("the characters other than '{c}'", "all characters different from '{c}'"), '{x} != "{c}"'),
    "upper-or-digit": (
        ("the characters that are uppercase letters or digits", "all capital letters and digits"),
        "{x}.isupper() or {x}.isdigit()",
    ),
    "lower-not-vowel": (
        ("the lowercase letters other than vowels", "all small letters that are no vowels"),
        '{x}.islower() and {x} not in "aeiou"',
    ),
}
CHARACTER_MAPS: dict[str, tuple[tuple[str, ...], str]] = {
    "same": (("{p}",), "{x}"),
    "to-upper": (("the uppercase forms of {p}", "{p} in uppercase"), "{x}.upper()"),
    "to-lower": (("the lowercase forms of {p}", "{p} in lowercase"), "{x}.lower()"),
    "swap": (("the swapped-case forms of {p}", "{p} with swapped case"), "{x}.swapcase()"),
    "repeat": (("{m} copies each of {p}", "{p}, each repeated {m} times"), "{x} * {m}"),
    "code": (("the character codes of {p}", "the Unicode code points of {p}"), "ord({x})"),
    "star-vowels": (
        ("{p}, with '*' in place of every vowel", "{p}, each vowel written as '*'"),
        '"*" if {x} in "aeiouAEIOU" else {x}',
    ),
}
CHARACTER_AGGREGATES: dict[str, tuple[tuple[str, ...], str]] = {
    "count": (("count {p}", "return the number of {p}"), "len({items})"),
    "list": (("collect {p} into a list", "return a list of {p}"), "{items}"),
    "sorted": (("return a sorted list of {p}", "sort {p}"), "sorted({items})"),
    "unique": (
        ("count the distinct values among {p}", "find how many different values there are among {p}"),
        "len(set({items}))",
    ),
    "join": (("join {p} into a string", "build a string of {p}"), '"".join(map(str, {items}))'),
    "join-dash": (("join {p} with dashes", "connect {p} by dashes"), '"-".join(map(str, {items}))'),
    "reverse": (("return a list of {p} in reverse order", "list {p} backwards"), "{items}[::-1]"),
    "any": (("check whether there are any of {p}", "tell if there is at least one of {p}"), "len({items}) > 0"),
}
WORD_FILTERS: dict[str, tuple[tuple[str, ...], str]] = {
    "all": (("the words", "all words"), ""),
    "longer": (("the words longer than {n} characters", "all words with more than {n} letters"), "len({x}) > {n}"),
    "shorter": (("the words shorter than {n} characters", "all words with less than {n} letters"), "len({x}) < {n}"),
    "exact": (("the words of length {n}", "all words with exactly {n} letters"), "len({x}) == {n}"),
    "starts": (("the words starting with '{c}'", "all words that begin with '{c}'"), '{x}.startswith("{c}")'),
    "ends": (("the words ending with '{c}'", "all words that end in '{c}'"), '{x}.endswith("{c}")'),
    "contains": (("the words containing '{c}'", "all words with the letter '{c}'"), '"{c}" in {x}'),
    "without": (("the words not containing '{c}'", "all words without the letter '{c}'"), '"{c}" not in {x}'),
    "palindromes": (("the words that read the same backwards", "the palindromes"), "{x} == {x}[::-1]"),
    "longer-with": (
        ("the words longer than {n} characters that contain '{c}'", "all words with more than {n} letters and a '{c}'"),
        'len({x}) > {n} and "{c}" in {x}',
    ),
    "starts-or-ends": (
        ("the words that start or end with '{c}'", "all words beginning or ending with '{c}'"),
        '{x}.startswith("{c}") or {x}.endswith("{c}")',
    ),
}
WORD_MAPS: dict[str, tuple[tuple[str, ...], str]] = {
    "same": (("{p}",), "{x}"),
    "upper": (("the uppercase forms of {p}", "{p} in uppercase"), "{x}.upper()"),
    "title": (("the capitalized forms of {p}", "{p}, capitalized"), "{x}.capitalize()"),
    "backwards": (("the reversed forms of {p}", "{p}, each reversed"), "{x}[::-1]"),
    "initial": (("the first letters of {p}", "the initials of {p}"), "{x}[0]"),
    "final": (("the last letters of {p}", "the final letters of {p}"), "{x}[-1]"),
    "length": (("the lengths of {p}", "the numbers of letters of {p}"), "len({x})"),
    "shout-long": (
        (
            "{p}, with those longer than {m} characters in uppercase",
            "{p}, each one of more than {m} letters in uppercase",
        ),
        "{x}.upper() if len({x}) > {m} else {x}",
    ),
}
WORD_AGGREGATES: dict[str, tuple[tuple[str, ...], str]] = {
    "count": CHARACTER_AGGREGATES["count"],
    "list": CHARACTER_AGGREGATES["list"],
    "sorted": CHARACTER_AGGREGATES["sorted"],
    "unique": CHARACTER_AGGREGATES["unique"],
    "join-dash": CHARACTER_AGGREGATES["join-dash"],
    "join-space": (("join {p} with spaces", "build a sentence of {p}"), '" ".join(map(str, {items}))'),
    "reverse": CHARACTER_AGGREGATES["reverse"],
    "first": NUMBER_AGGREGATES["first"],
    "last": NUMBER_AGGREGATES["last"],
}
# fmt: off
# Filters of two conditions and maps that decide: problems of higher cyclomatic complexity.
BRANCHING = frozenset((
    "even-above", "odd-below", "either-multiple", "outside", "halve-even", "double-below", "sign", "upper-or-digit",
    "lower-not-vowel", "star-vowels", "longer-with", "starts-or-ends", "shout-long",
))
# fmt: on
_SCALARS = ("sum", "count", "max", "min", "unique", "list", "any", "range")
KINDS: dict[str, Kind] = {
    "list": Kind(
        arguments=("numbers", "nums", "values", "items", "data", "lst", "arr", "elements"),
        variables=("n", "x", "num", "v", "value", "item"),
        over=("{a}",),
        container=("in a list", "in a given list", "of a list of integers", "in the list"),
        filters=NUMBER_FILTERS,
        maps=NUMBER_MAPS,
        aggregates=NUMBER_AGGREGATES,
    ),
    "range": Kind(
        arguments=("n", "limit", "upper", "top"),
        variables=("i", "x", "k", "num"),
        over=("range(1, {a} + 1)",),
        container=("from 1 to {a}", "from 1 up to {a} inclusive"),
        filters={
            key: NUMBER_FILTERS[key]
            for key in ("all", "even", "odd", "above", "multiple", "not-multiple", "even-above", "either-multiple")
        },
        maps={key: NUMBER_MAPS[key] for key in ("same", "square", "cube", "double", "plus", "modulo", "halve-even")},
        aggregates={
            key: NUMBER_AGGREGATES[key] for key in ("sum", "count", "max", "list", "reversed", "first", "last")
        },
    ),
    "digits": Kind(
        arguments=("n", "number", "num", "value"),
        variables=("d", "digit", "x"),
        over=("[int(c) for c in str({a})]", "map(int, str({a}))"),
        container=("among the digits of a number", "that are digits of a given number"),
        filters={key: NUMBER_FILTERS[key] for key in ("all", "even", "odd", "nonzero", "either-multiple")},
        maps={key: NUMBER_MAPS[key] for key in ("same", "square", "double", "halve-even")},
        aggregates={key: NUMBER_AGGREGATES[key] for key in (*_SCALARS, "sorted", "descending")},
    ),
    "divisors": Kind(
        arguments=("n", "number", "num"),
        variables=("d", "i", "k"),
        over=("[j for j in range(1, {a} + 1) if {a} % j == 0]",),
        container=("that divide a given number", "among the divisors of a number"),
        filters={key: NUMBER_FILTERS[key] for key in ("all", "even", "odd", "above", "even-above", "outside")},
        maps={key: NUMBER_MAPS[key] for key in ("same", "square", "double", "halve-even")},
        aggregates={key: NUMBER_AGGREGATES[key] for key in ("sum", "count", "list", "max", "descending")},
    ),
    "string": Kind(
        arguments=("text", "s", "string", "word", "sentence"),
        variables=("c", "ch", "char", "letter"),
        over=("{a}",),
        container=("in a string", "of a given string", "in the text"),
        filters=CHARACTER_FILTERS,
        maps=CHARACTER_MAPS,
        aggregates=CHARACTER_AGGREGATES,
    ),
    "words": Kind(
        arguments=("text", "sentence", "s", "line"),
        variables=("w", "word", "token"),
        over=("{a}.split()",),
        container=("in a sentence", "of a given sentence", "in a text"),
        filters=WORD_FILTERS,
        maps=WORD_MAPS,
        aggregates=WORD_AGGREGATES,
    ),
}
# fmt: off
_WORDS = (
    "apple", "river", "stone", "level", "banana", "noon", "green", "table", "orange", "kayak", "window", "Summer",
    "eagle", "radar", "night", "Paris", "music", "otter", "lemon", "civic", "Tokyo", "island", "echo",
)
# fmt: on
_OPENINGS = (
    "Write a function to {p}.",
    "Write a python function to {p}.",
    "Write a function that will {p}.",
    "{P}.",
    "Given the input, {p}.",
    "The function should {p}.",
)


def compositions() -> list[tuple[str, str, str, str]]:
    """All (kind, filter, map, aggregate), in a fixed order."""
    return [
        (kind, f, m, a)
        for kind, spec in KINDS.items()
        for f in spec.filters
        for m in spec.maps
        for a in spec.aggregates
    ]


def is_held_out(composition: tuple[str, str, str, str]) -> bool:
    """Decided by a hash of the composition alone. Those without filter and map stay in training."""
    if composition[1] == "all" or composition[2] == "same":
        return False
    return zlib.crc32("/".join(composition).encode()) % (HELD_OUT_SHARE // 2) == 0


def is_branching(composition: tuple[str, ...]) -> bool:
    """Whether its filter has two conditions or its map decides."""
    return not BRANCHING.isdisjoint(composition[1:3])


def complexity(source: str) -> int:
    """The cyclomatic complexity of a program of one function, counted as radon does: 1 and one per decision.

    A decision is an if, a conditional expression, a loop, a comprehension and each of its conditions, and each further
    operand of and / or.
    """
    decisions = 1
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.If, ast.IfExp, ast.For, ast.While)):
            decisions += 1
        elif isinstance(node, ast.comprehension):
            decisions += 1 + len(node.ifs)
        elif isinstance(node, ast.BoolOp):
            decisions += len(node.values) - 1
    return decisions


def band(complexity: int) -> int:
    """The complexity band, 1 to 4; see BANDS."""
    return 1 + sum(complexity > highest for highest in BANDS)


def _argument_value(kind: str, random_source: random.Random) -> object:
    if kind == "list":
        span = random_source.choice((9, 20, 50))
        return [
            random_source.randint(-span if random_source.random() < 0.5 else 0, span)
            for _ in range(random_source.randint(3, 9))
        ]
    if kind == "range":
        return random_source.randint(3, 25)
    if kind in ("digits", "divisors"):
        return random_source.randint(2, 99999) if kind == "digits" else random_source.randint(2, 60)
    picked = " ".join(random_source.choice(_WORDS) for _ in range(random_source.randint(1, 5)))
    if kind == "string" and random_source.random() < 0.5:
        position = random_source.randint(0, len(picked))
        return picked[:position] + str(random_source.randint(0, 99)) + picked[position:]
    return picked


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a body is made of; `result` and `kept` are names for intermediate values."""

    over: str
    variable: str
    condition: str
    expression: str
    aggregate: str
    aggregate_name: str
    result: str
    kept: str


def _body(style: str, parts: Parts) -> str:
    """The function's body in one of the styles."""
    over, variable, condition, expression = parts.over, parts.variable, parts.condition, parts.expression
    aggregate_name, result, kept = parts.aggregate_name, parts.result, parts.kept
    aggregate = parts.aggregate
    clause = f" if {condition}" if condition else ""
    listed = f"[{expression} for {variable} in {over}{clause}]"
    if style == "loop-scalar" and aggregate_name in ("sum", "count"):
        step = f"{result} += {expression if aggregate_name == 'sum' else 1}"
        inner = f"        if {condition}:\n            {step}\n" if condition else f"        {step}\n"
        return f"    {result} = 0\n    for {variable} in {over}:\n{inner}    return {result}\n"
    if style in ("loop", "loop-scalar"):
        inner = (
            f"        if {condition}:\n            {result}.append({expression})\n"
            if condition
            else f"        {result}.append({expression})\n"
        )
        returned = f"    return {aggregate.replace('{items}', result)}\n"
        return f"    {result} = []\n    for {variable} in {over}:\n{inner}" + returned
    if style == "steps":
        first = f"    {kept} = [{variable} for {variable} in {over}{clause}]\n"
        second = f"    {result} = [{expression} for {variable} in {kept}]\n"
        return first + second + f"    return {aggregate.replace('{items}', result)}\n"
    if style == "assigned":
        return f"    {result} = {listed}\n    return {aggregate.replace('{items}', result)}\n"
    return f"    return {aggregate.replace('{items}', listed)}\n"


STYLES = ("loop-scalar", "loop", "steps", "assigned", "direct")


def make_exercise(composition: tuple[str, str, str, str], random_source: random.Random) -> Exercise:
    """One problem of the composition: names, phrasing, style, parameters and asserts drawn from `random_source`."""
    kind, filter_name, map_name, aggregate_name = composition
    spec = KINDS[kind]
    pick = random_source.choice
    argument, variable = pick(spec.arguments), pick(spec.variables)
    if variable == argument:
        variable = "item_" + variable
    low = random_source.randint(2, 9)
    parameters = {"k": str(low), "k2": str(low + random_source.randint(2, 12)), "m": str(random_source.randint(2, 9))}
    parameters |= {"n": str(random_source.randint(2, 5)), "c": pick("aeionrstlmpg"), "a": argument, "x": variable}

    def filled(text: str) -> str:
        for key, value in parameters.items():
            text = text.replace("{" + key + "}", value)
        return text

    filter_phrases, condition = spec.filters[filter_name]
    map_phrases, expression = spec.maps[map_name]
    aggregate_phrases, aggregate = spec.aggregates[aggregate_name]
    things = filled(f"{pick(filter_phrases)} {pick(spec.container)}")
    phrase = filled(pick(aggregate_phrases)).replace("{p}", filled(pick(map_phrases)).replace("{p}", things))
    description = pick(_OPENINGS).replace("{p}", phrase).replace("{P}", phrase[0].upper() + phrase[1:])
    parts = [aggregate_name, map_name if map_name != "same" else "", filter_name if filter_name != "all" else "", kind]
    long_name = "_".join(part.replace("-", "_") for part in parts if part)
    short_name = f"{aggregate_name}_{pick((kind, filter_name, map_name, 'values'))}".replace("-", "_")
    name = pick((long_name, short_name, pick(("solve", "compute", "process", "transform", "calculate")) + "_" + kind))
    result, kept = pick((("result", "kept"), ("out", "selected"), ("res", "chosen"), ("total", "picked")))
    style = pick(STYLES)
    body_parts = Parts(
        over=filled(pick(spec.over)),
        variable=variable,
        condition=filled(condition),
        expression=filled(expression),
        aggregate=filled(aggregate),
        aggregate_name=aggregate_name,
        result=result,
        kept=kept,
    )
    body = _body(style, body_parts)
    namespace: dict[str, object] = {}
    exec(f"def {name}({argument}):\n{body}", namespace)  # our own text, from the tables above
    asserts = []
    for _ in range(3):
        value = _argument_value(kind, random_source)
        asserts.append(f"assert {name}({value!r}) == {namespace[name](value)!r}")  # type: ignore[operator]
    lines = "\n".join("    " + line for line in asserts)
    prompt = f'def {name}({argument}):\n    """{description}\n\n{lines}\n    """\n'
    return Exercise(
        composition="/".join(composition),
        held_out=is_held_out(composition),
        name=name,
        prompt=prompt,
        solution=body,
        asserts=tuple(asserts),
    )


def draw_exercise(random_source: random.Random, which: str = "training") -> Exercise:
    """A problem of a random composition among the training ones, or with which="held-out" among the held-out ones.

    BRANCHING_SHARE of the draws have a filter of two conditions or a map that decides.
    """
    pool = _POOLS[which, random_source.random() < BRANCHING_SHARE]
    kind = random_source.choice(tuple(pool))
    return make_exercise(random_source.choice(pool[kind]), random_source)


def _pools() -> dict[tuple[str, bool], dict[str, list[tuple[str, str, str, str]]]]:
    pools: dict[tuple[str, bool], dict[str, list[tuple[str, str, str, str]]]] = {}
    for composition in compositions():
        key = "held-out" if is_held_out(composition) else "training", is_branching(composition)
        pools.setdefault(key, {}).setdefault(composition[0], []).append(composition)
    return pools


_POOLS = _pools()
