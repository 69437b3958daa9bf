"""The same program under other names: what a program defines itself is renamed, what it takes from libraries is kept.

A family draws its names from small pools, so that names tell the family and the family tells where to look. Renamed
programs leave only the structure to decide by.
"""

from __future__ import annotations

import ast
import keyword
import random
import re
from dataclasses import replace

from training.families.contract import Language, Sample


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WORDS = _words("""
    account album alias amount answer area asset badge batch beacon bin block board body bonus book branch brand
    bridge buffer bundle cache card cargo cell chain channel chart chunk clip clock code column coupon course crate
    cursor data deck depot detail device digest draft drawer edge engine entry event exhibit extent feed field file
    film filter flag fleet flow folder form frame gate gauge glyph grade grid group guest handle head hint history
    host hub image index info input item job journal kernel key kind label lane layer leaf lease ledger length
    letter level limit line link list loan local lot mark mask meter mode model module moment name node note notice
    number offer offset order origin output owner pack packet page panel parcel part patch path peer period photo
    piece pin pixel place plan plot point pool port post price probe profile quota rank rate ratio reading record
    region relay remark rest result ring role room root round route row rule sample scale scene score seat section
    seed segment sensor series session shape share shelf shift signal site size slice slot span spool spot stage
    stamp state station step stock store stream string style subject suffix sum table tag tail task team term text
    theme ticket tile title token tool topic total track trail tree trip tube turn unit user value vector version
    view visit voice volume wagon ward watch weight width window word work zone
""")
VERBS = _words("""
    add apply build change check clear close collect compare convert copy count create decode describe draw drop
    emit encode expand export fetch fill find fold format gather get give handle import init insert join keep list
    load lookup make mark merge move open pack parse pick place prepare print process pull push put read record
    refresh register remove render replace report reset resolve save scan search select send serve set show sort
    split start stop store submit take trim update use visit walk write
""")
SHORT = _words("""
    a b c d e f g h k m n p q r s t u v w x y z aa bb p1 p2 s1 s2 n1 n2 v1 v2 tmp cur buf ptr val res ret str out
    in_ src dst cnt pos
""")
SYLLABLES = _words("""
    ba be bo da de di do fa fi ga go ka ki ko la le lo ma mi mo na ne no pa pe po ra re ri ro sa se so ta te to va
    ve vo za zo
""")
KEPT = _words("""
    main argc argv envp self cls errno stdin stdout stderr NULL int char void long short float double unsigned
    signed const static struct union enum typedef return if else for while do switch case break continue sizeof goto
    default extern inline register volatile size_t ssize_t bool true false environ application app start_response
    request response
""")
C_TYPE = (
    r"(?:struct\s+\w+|enum\s+\w+|unsigned|signed|char|int|long|short|size_t|ssize_t|off_t|float|double|void|bool|_Bool"
    r"|FILE|u_char|uchar|\w+_t)"
)
C_DECLARED = re.compile(
    rf"\b{C_TYPE}(?:\s+(?:const|unsigned|char|int|long|short))*[\s\*]+(?:const\s+|restrict\s+)?\**(\w+)\s*(?=[\[=;,)(:])"
)
C_NAMED = re.compile(
    r"\b(?:struct|enum|union)\s+(\w+)\s*(?=\{)|\}\s*(\w+)\s*;|^\s*#\s*define\s+(\w+)|\(\s*\*\s*(\w+)\s*\)\s*\(",
    re.MULTILINE,
)
# A word that may be a name: not a conversion of a format, not an escape, not the suffix of a number.
WORD = re.compile(r"#\s*include[^\n]*|(?<![\w%\\])[A-Za-z_]\w*")


def defined_names(code: str, language: Language) -> list[str]:
    """Names that the program itself defines, in order of appearance, and that can be renamed everywhere at once."""
    if language == "python":
        return _python_names(code)
    found = [match.group(1) for match in C_DECLARED.finditer(code)]
    found += [next(name for name in match.groups() if name) for match in C_NAMED.finditer(code)]
    return [name for name in dict.fromkeys(found) if name not in KEPT and not name.isdigit()]


def _python_names(code: str) -> list[str]:
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return []
    found: list[str] = []
    fixed: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            fixed |= {child.name for child in node.body if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))}
        elif isinstance(node, ast.Attribute):
            fixed.add(node.attr)
        elif isinstance(node, ast.keyword) and node.arg:
            fixed.add(node.arg)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            fixed |= {part for alias in node.names for part in f"{alias.name}.{alias.asname or ''}".split(".")}
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.append(node.name)
        elif isinstance(node, ast.arg):
            found.append(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append(node.id)
    tags = set(re.findall(r"[</](\w+)", code))
    return [
        name
        for name in dict.fromkeys(found)
        if name not in fixed and name not in KEPT and name not in tags and not name.startswith("__")
    ]


def _new_name(old: str, style: str, random_source: random.Random) -> str:
    if style == "short" and len(old) < 12 and not old.isupper():
        return random_source.choice(SHORT)
    if style == "sounds":
        name = "".join(random_source.choices(SYLLABLES, k=random_source.choice((2, 2, 3))))
    elif "_" in old or random_source.random() < 0.3:
        first = random_source.choice(VERBS if random_source.random() < 0.5 else WORDS)
        name = f"{first}_{random_source.choice(WORDS)}"
    else:
        name = random_source.choice(WORDS)
    if old.isupper():
        return name.upper()
    return name.title().replace("_", "") if old[0].isupper() else name


def renamed(sample: Sample, language: Language, random_source: random.Random) -> Sample:
    """`sample` with the names that it defines replaced, in both versions, lines and reasons alike."""
    both = sample.vulnerable + "\n" + sample.patched
    names = [
        name for name in defined_names(sample.vulnerable, language) if len(name) > 1 or random_source.random() < 0.5
    ]
    if language == "python":
        patched = set(_python_names(sample.patched))
        names = [name for name in names if name in patched or name not in WORD.findall(sample.patched)]
    taken = {*WORD.findall(both), *KEPT, *keyword.kwlist}
    style = random_source.choices(("words", "short", "sounds"), weights=(6, 2, 2))[0]
    table: dict[str, str] = {}
    for name in names:
        for _ in range(20):
            new = _new_name(name, style if random_source.random() < 0.8 else "words", random_source)
            if new not in taken:
                break
        else:
            continue
        taken.add(new)
        table[name] = new
    if not table:
        return sample

    def other(text: str) -> str:
        return WORD.sub(lambda match: table.get(match.group(), match.group()), text)

    made = replace(
        sample,
        **{
            part: other(getattr(sample, part))
            for part in ("vulnerable", "patched", "flaw", "fix", "reason", "reason_patched")
        },
    )
    if language == "python":
        try:
            ast.parse(made.vulnerable)
            ast.parse(made.patched)
        except SyntaxError:
            return sample
    return made
