"""Wide pair families of CWE-22 (path traversal), and the program writers that wide_077 shares."""
# ruff: noqa: SIM905, E501, PLR0912, PLR0915 - word lists and program texts are easier to read and to extend in one piece

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import Template

from training.families.contract import Family, Language, Sample

REMARKS = (
    "same order as in the old tool",
    "see ticket 4411",
    "callers rely on this order",
    "values were looked at by the gateway",
    "nobody outside the team calls this",
    "keep in step with the client",
    "should be tightened one day",
    "this was audited in spring",
    "not pretty but it does the job",
    "hostile input ends here",
    "copied from the importer",
    "the proxy filters odd requests",
    "runs a few times per hour",
    "anyone may send this",
    "looks odd, is needed",
    "fine for now",
)


@dataclass(frozen=True)
class Turn:
    """One way to fill the slots of a program, and why it is wrong or right."""

    why: str
    slots: dict[str, str]


def turn(why: str, **slots: str) -> Turn:
    """A turn; the decisive line of its slots starts with '!' after the indentation."""
    return Turn(why, slots)


def cast(rng: random.Random, **pools: str) -> dict[str, str]:
    """Names k0, k1, ... for each pool k of words, in random order."""
    names: dict[str, str] = {}
    for key, words in pools.items():
        pool = words.split()
        names |= {f"{key}{i}": word for i, word in enumerate(rng.sample(pool, len(pool)))}
    return names


def settle(rng: random.Random, language: Language, text: str) -> list[str]:
    """Lines with their choices made: «a|b» one, '?' lines kept half of the time, '%' runs shuffled, '~' remarks."""
    text = re.sub("«([^»]*)»", lambda m: rng.choice(m[1].split("|")), text.strip("\n"))
    out: list[str] = []
    run: list[str] = []
    for line in [*text.split("\n"), ""]:
        bare = line.lstrip()
        pad = line[: len(line) - len(bare)]
        if bare.startswith("%"):
            run.append(pad + bare[1:])
            continue
        rng.shuffle(run)
        out += run
        run = []
        if bare == "~":
            note = rng.choice(REMARKS)
            if rng.random() < 0.25:
                out.append(pad + (f"# {note}" if language == "python" else f"/* {note} */"))
        elif bare.startswith("?"):
            out += [pad + bare[1:]] if rng.random() < 0.5 else []
        else:
            out.append(line)
    return out[:-1]


def fill(rng: random.Random, lines: list[str], chosen: Turn, names: dict[str, str]) -> tuple[str, str]:
    """The program with the slots of one turn, and its decisive line."""
    out: list[str] = []
    key = ""
    for line in lines:
        bare = line.lstrip()
        pad = line[: len(line) - len(bare)]
        if not re.fullmatch("@[A-Z]", bare):
            out.append(Template(line).substitute(names))
            continue
        slot = re.sub("«([^»]*)»", lambda m: rng.choice(m[1].split("|")), chosen.slots.get(bare[1:], ""))
        for part in slot.split("\n") if slot else []:
            made = Template(pad + part).substitute(names)
            if made.lstrip().startswith("!"):
                made = made.replace("!", "", 1)
                key = made.strip()
            out.append(made)
    return "\n".join(out) + "\n", key


def write(
    rng: random.Random, language: Language, text: str, names: dict[str, str], ways: Sequence[tuple[Turn, Turn]]
) -> Sample:
    """One program both ways, with one of the (wrong, right) turns."""
    lines = settle(rng, language, text)
    bad, good = rng.choice(ways)
    salt = rng.getrandbits(32)
    vulnerable, flaw = fill(random.Random(salt), lines, bad, names)
    patched, fix = fill(random.Random(salt), lines, good, names)
    return Sample(
        vulnerable=vulnerable,
        patched=patched,
        flaw=flaw,
        fix=fix,
        reason=Template(bad.why).substitute(names),
        reason_patched=Template(good.why).substitute(names),
    )


def cross(wrong: Sequence[Turn], right: Sequence[Turn]) -> list[tuple[Turn, Turn]]:
    """Every wrong turn with every right one."""
    return list(itertools.product(wrong, right))


def stack(rng: random.Random, blocks: Sequence[str], gap: int = 2) -> str:
    """Top-level blocks in random order with blank lines between them."""
    kept = [block.strip("\n") for block in blocks if block.strip("\n")]
    rng.shuffle(kept)
    return ("\n" * (gap + 1)).join(kept)


def fitting(rng: random.Random, make: Callable[[random.Random], Sample]) -> Sample:
    """Draw until both sides have a handy size."""
    while True:
        sample = make(rng)
        if all(8 <= text.count("\n") <= 45 and len(text) <= 1780 for text in (sample.vulnerable, sample.patched)):
            return sample


def indent(lines: Sequence[str], depth: int = 1) -> list[str]:
    """Lines moved to the right."""
    return ["    " * depth + line if line else line for line in lines]


# --- data flow in Python ---------------------------------------------------------------------------------------------

FLOW_REQ = "msg packet order call_in ask envelope payload entry_in form event cmd_in frame incoming blob spec".split()
FLOW_FIELDS = (
    "area batch bay bird boat brew camera chart city clip coin crew crop deck desk dish drum farm field_id fleet "
    "gate genre group hall harbor hotel kiln lamp lane league lens lot mill motif oven pack pallet panel parcel "
    "pilot plant plot pond port press probe pump quarry rack ramp ranch reel ring robot rover shelf ship shop "
    "silo site skin sled slot stable stage stall team tile tone tower tram truck tune valve vat vine ward wing yard"
).split()
FLOW_VARS = (
    "value piece token chosen wanted label word cur ref ident mark leaf bit cell given head inner kept last left "
    "low main mine named next_one node outer own pick plain point prior rest right seed single slot_text some "
    "stem step tail taken term that_one thing this_one top unit use what which x0 x1 y0 y1 z0 raw2 val2 tmp tmp2"
).split()
FLOW_VERBS = (
    "apply close drain enqueue export_ feed flush handle log_ mark_ on_ perform poll ship start sweep take tick".split()
)


@dataclass(frozen=True)
class Kit:
    """What a data flow of one CWE in Python needs; {v} is the value."""

    imports: tuple[str, ...]
    tests: tuple[str, ...]
    late: tuple[tuple[str, str], ...]
    cleans: tuple[str, ...]
    sinks: tuple[tuple[str, ...], ...]
    decoys: tuple[str, ...]
    danger: str


PATH_KIT = Kit(
    imports=("import os", "import re", "import shutil", "from pathlib import Path"),
    tests=(
        '".." in {v} or {v}.startswith("/")',
        '"/" in {v} or {v}.startswith(".")',
        'not re.fullmatch(r"[A-Za-z0-9_-]+", {v})',
        "not {v}.isalnum()",
        "{v} not in KNOWN",
        'os.path.basename({v}) != {v} or {v}.startswith(".")',
        'any(part in ("", "..") for part in {v}.split("/"))',
        "odd({v})",
        "odd({v})",
    ),
    late=(
        ("unquote({v})", '".." in {v} or {v}.startswith("/")'),
        ("unquote({v})", '"/" in {v} or {v}.startswith(".")'),
        ("bytes.fromhex({v}).decode()", '"/" in {v} or {v}.startswith(".")'),
        ("bytes.fromhex({v}).decode()", "not {v}.isalnum()"),
        ("b64decode({v}).decode()", '".." in {v} or {v}.startswith("/")'),
        ("{v}.replace(' ', '')", '".." in {v} or {v}.startswith("/")'),
    ),
    cleans=(
        "os.path.basename({v})",
        "Path({v}).name",
        're.sub(r"\\W", "_", {v})',
        '{v}.replace("/", "_")',
        '{v}.split("/")[-1]',
        "KNOWN.get({v}, 'none')",
        "hashlib.sha1({v}.encode()).hexdigest()",
    ),
    sinks=(
        ('with open(os.path.join(ROOT, {v}), "rb") as fh:', "    {o} = fh.read()"),
        ("{o} = Path(ROOT, {v}).read_text()",),
        ('{o} = open(ROOT + "/" + {v}).read()',),
        ("{o} = os.path.join(ROOT, {v})", "os.remove({o})"),
        ("{o} = shutil.copy(os.path.join(ROOT, {v}), OUTBOX)",),
        ('{o} = ROOT + "/" + {v} + ".json"', "os.unlink({o})"),
        ("{o} = Path(ROOT) / {v}", '{o}.write_text("seen")'),
    ),
    decoys=(
        'print(len(os.listdir(os.path.join(ROOT, "new"))))',
        'print(open(os.path.join(ROOT, "index.txt")).read())',
        'Path(ROOT, "stamp").write_text("1")',
        'print(os.path.exists(ROOT + "/" + "lock"))',
    ),
    danger="a file outside ROOT",
)


def flow_step(rng: random.Random, cur: str, words: list[str], helpers: list[str]) -> tuple[list[str], str]:
    """One step that hands a value on unchanged in nature: its lines and the new expression."""
    new = words.pop()
    default = rng.choice(FLOW_FIELDS)
    roll = rng.randrange(10)
    if roll == 0:
        return [f"{new} = {cur}"], new
    if roll == 1:
        return [f"{new} = {cur}.{rng.choice(('lower()', 'casefold()', 'lower()'))}"], new
    if roll == 2:
        name = f"{rng.choice(('as', 'to', 'get', 'with'))}_{words.pop()}"
        arg = words.pop()
        body = rng.choice((f"return {arg} or {default!r}", f"return str({arg})", f"return {arg}.lower()")).replace(
            "'", '"'
        )
        helpers.append(f"def {name}({arg}):\n    {body}")
        return [f"{new} = {name}({cur})"], new
    if roll == 3:
        return [f'{new} = {{"{default}": {cur}}}'], f'{new}["{default}"]'
    if roll == 4:
        other = rng.randint(1, 9)
        return [f"{new} = ({cur}, {other})"], f"{new}[0]"
    if roll == 5:
        return [f'{new} = {cur} if {cur} else "{default}"'], new
    if roll == 6:
        return [f'{new} = "{default}"', f"if {cur}:", f"    {new} = {cur}"], new
    if roll == 7:
        return [f"{new} = SimpleNamespace({default}={cur}, at={rng.randint(0, 99)})"], f"{new}.{default}"
    if roll == 8:
        return [f"{new} = []", f"{new}.append({cur})"], f"{new}[0]"
    return [f"{new}, {words.pop()} = {cur}, {rng.randint(2, 60)}"], new


@dataclass
class Plan:
    """The common part of one data flow: two chains of values from one request, interleaved."""

    groups: list[list[str]]
    live: list[tuple[str, int]]
    side: list[tuple[str, int]]
    helpers: list[str]
    words: list[str]
    req: str


def flow_plan(rng: random.Random, steps: int) -> Plan:
    """Draw two chains; `live` goes to the sink, `side` to a harmless place."""
    words = rng.sample(FLOW_VARS, len(FLOW_VARS))
    req = rng.choice(FLOW_REQ)
    helpers: list[str] = []
    get = rng.choice(
        ('{r}["{f}"]', '{r}.get("{f}", "")', '{r}["{f}"]', "{r}.{f}", '{r}["data"]["{f}"]', "str({r}.{f})")
    )
    fields = rng.sample(FLOW_FIELDS, 2)
    chains: list[list[list[str]]] = []
    exprs: list[list[str]] = []
    for field, count in zip(fields, (steps, rng.randint(0, 2)), strict=True):
        cur = rng.choice((field, words.pop()))
        group = [[f"{cur} = " + get.format(r=req, f=field)]]
        known = [cur]
        for _ in range(count):
            lines, cur = flow_step(rng, cur, words, helpers)
            group.append(lines)
            known.append(cur)
        chains.append(group)
        exprs.append(known)
    order = [0] * len(chains[0]) + [1] * len(chains[1])
    rng.shuffle(order)
    groups: list[list[str]] = []
    spots: list[list[tuple[str, int]]] = [[], []]
    for which in order:
        at = len(spots[which])
        groups.append(chains[which][at])
        spots[which].append((exprs[which][at], len(groups)))
    return Plan(groups, spots[0], spots[1], helpers, words, req)


def flow_known(rng: random.Random, mapping: bool) -> str:
    """The table KNOWN, as a mapping or a set."""
    items = rng.sample(FLOW_FIELDS, 3)
    if mapping:
        return "KNOWN = {" + ", ".join(f'"{item}": "{item}.dat"' for item in items) + "}"
    return "KNOWN = {" + ", ".join(f'"{item}"' for item in items) + "}"


def flow_log(rng: random.Random, word: str, expr: str) -> str:
    """A harmless use of a value."""
    return rng.choice(
        (
            f'print("{word}", {expr})',
            f"LOG.append(({rng.randint(1, 9)}, {expr}))",
            f'LOG.append("{word} " + {expr})',
            f'print("{word}=%s" % {expr})',
        )
    )


@dataclass(frozen=True)
class Ends:
    """The two bodies of a flow, with their decisive lines and reasons."""

    bad: list[str]
    good: list[str]
    flaw: str
    fix: str
    why_bad: str
    why_good: str


def joined(plan: Plan, extra: dict[int, list[str]]) -> list[str]:
    """The groups of a plan with lines inserted before group i."""
    out: list[str] = []
    for i, group in enumerate(plan.groups):
        out += extra.get(i, []) + group
    return out + extra.get(len(plan.groups), [])


def flow_which(rng: random.Random, kit: Kit, plan: Plan, leave: str, tail: list[str]) -> Ends:
    """The check is on the other value."""
    test = rng.choice(kit.tests)
    (a, at_a), (b, at_b) = rng.choice(plan.live), rng.choice(plan.side)
    spot = rng.randint(max(at_a, at_b), len(plan.groups))
    flaw, fix = f"if {test.format(v=b)}:", f"if {test.format(v=a)}:"
    bad = joined(plan, {spot: [flaw, f"    {leave}"]}) + tail
    good = joined(plan, {spot: [fix, f"    {leave}"]}) + tail
    why = f"only {b} is tested, so {plan.live[-1][0]} may name {kit.danger}"
    return Ends(bad, good, flaw, fix, why, f"{a} is tested before {plan.live[-1][0]} is used")


def flow_soft(rng: random.Random, kit: Kit, plan: Plan, leave: str, tail: list[str]) -> Ends:
    """One of two checks only takes a note."""
    tests = rng.sample(kit.tests, 2)
    a, at_a = rng.choice(plan.live)
    b, at_b = rng.choice(plan.side)
    spots = [rng.randint(at_a, len(plan.groups)), rng.randint(at_b, len(plan.groups))]
    note = rng.choice(('print("odd value")', "LOG.append('odd')", "odd_count = 1"))
    first = rng.random() < 0.5

    def body(a_leaves: bool) -> list[str]:
        extra: dict[int, list[str]] = {}
        one = [f"if {tests[0].format(v=a)}:", "    " + (leave if a_leaves else note)]
        two = [f"if {tests[1].format(v=b)}:", "    " + (note if a_leaves else leave)]
        for where, lines in zip(spots, (one, two), strict=True):
            old = extra.get(where, [])
            extra[where] = old + lines if first else lines + old
        return joined(plan, extra) + tail

    why = f"the test of {a} only takes a note, so {plan.live[-1][0]} may name {kit.danger}"
    return Ends(body(False), body(True), note, leave, why, f"a bad {a} ends the work before {plan.live[-1][0]} is used")


def flow_late(rng: random.Random, kit: Kit, plan: Plan, leave: str, tail: list[str]) -> Ends:
    """The value is decoded after it was checked."""
    decode, test = rng.choice(kit.late)
    a, at = rng.choice(plan.live)
    if not a.isidentifier() or "b64" in decode:
        a, at = plan.live[0]
    step = f"{a} = {decode.format(v=a)}"
    check = [f"if {test.format(v=a)}:", f"    {leave}"]
    bad = joined(plan, {at: [*check, step]}) + tail
    good = joined(plan, {at: [step, *check]}) + tail
    why = f"{a} is decoded after the test, so it may name {kit.danger}"
    return Ends(bad, good, step, check[0], why, f"{a} is tested in its decoded form")


def flow_copy(rng: random.Random, kit: Kit, plan: Plan, leave: str, tail: list[str]) -> Ends:
    """The cleaned copy goes to the log and the raw value to the sink."""
    clean = rng.choice(kit.cleans)
    a = plan.live[-1][0]
    new = plan.words.pop()
    made = f"{new} = {clean.format(v=a)}"
    sink = rng.choice(kit.sinks)
    log = flow_log(rng, plan.words.pop(), "{v}")
    out = plan.words.pop()
    first = rng.random() < 0.4

    def body(to_sink: str, to_log: str) -> tuple[list[str], str]:
        used = [line.format(v=to_sink, o=out) for line in sink]
        noted = [log.replace("{v}", to_log)]
        return joined(plan, {}) + [made] + (noted + used if first else used + noted), next(
            line for line, raw in zip(used, sink, strict=True) if "{v}" in raw
        )

    bad, flaw = body(a, new)
    good, fix = body(new, a)
    why = f"{new} is made from {a} and only noted, {a} itself may name {kit.danger}"
    return Ends(bad, good, flaw.strip(), fix.strip(), why, f"{new}, made harmless, is used instead of {a}")


def flow_joint(rng: random.Random, kit: Kit, plan: Plan, leave: str, tail: list[str]) -> Ends:
    """The check counts only together with another condition."""
    test = rng.choice([test for test in kit.tests if " or " not in test])
    (a, at_a), (b, at_b) = rng.choice(plan.live), rng.choice(plan.side)
    spot = rng.randint(max(at_a, at_b), len(plan.groups))
    size = rng.choice((16, 20, 24, 32, 40, 64))
    other = rng.choice((f"len({b}) > {size}", f'{b} == ""', f"{b}.isspace()", f'{b} == "{rng.choice(FLOW_FIELDS)}"'))
    mark = plan.words.pop()
    plain = f'{mark} = {rng.choice(("len({b}) > 3", "{b}.isupper()", "bool({b})")).format(b=b)} {{}} {b} != ""'
    swap = rng.random() < 0.5

    def line(word: str) -> str:
        bits = [other, test.format(v=a)]
        return f"if {f' {word} '.join(bits[::-1] if swap else bits)}:"

    def body(word: str, opposite: str) -> list[str]:
        return joined(plan, {spot: [plain.format(opposite), line(word), f"    {leave}"]}) + tail

    why = f"a bad {a} is refused only if also {b} is odd, so {plan.live[-1][0]} may name {kit.danger}"
    return Ends(
        body("and", "or"), body("or", "and"), line("and"), line("or"), why, f"a bad {a} is refused whatever {b} is"
    )


FLOW_MODES = (flow_which, flow_which, flow_soft, flow_late, flow_copy, flow_joint)


def py_flow_sample(rng: random.Random, kit: Kit) -> Sample:
    """A chain of steps from a request to a sink, with the check at a random place on the right or the wrong value."""
    plan = flow_plan(rng, rng.randint(1, 4))
    mode = rng.choice(FLOW_MODES)
    shape = rng.choice(("function", "function", "method", "loop", "try"))
    leave = rng.choice(('raise ValueError("refused")', "return None", 'raise KeyError("refused")'))
    if shape == "loop":
        leave = rng.choice(("continue", "continue", leave))
    out = plan.words.pop()
    used = [line.format(v=plan.live[-1][0], o=out) for line in rng.choice(kit.sinks)]
    noted = [flow_log(rng, plan.words.pop(), plan.side[-1][0])]
    tail = noted + used if rng.random() < 0.5 else used + noted
    ends = mode(rng, kit, plan, leave, tail)
    if mode is flow_copy and rng.random() < 0.5:
        ends.bad.append(noted[0])
        ends.good.append(noted[0])
    decoy = [rng.choice(kit.decoys)] if rng.random() < 0.4 else []
    verb, noun = rng.choice(FLOW_VERBS).strip("_"), rng.choice(FLOW_FIELDS)
    heads = {
        "function": [f"def {verb}_{noun}({plan.req}):"],
        "method": [f"class {noun.title().replace('_', '')}Desk:", f"    def {verb}(self, {plan.req}):"],
        "loop": [f"def {verb}_{noun}({plan.req}_list):", f"    for {plan.req} in {plan.req}_list:"],
        "try": [f"def {verb}_{noun}({plan.req}):", "    try:"],
    }
    depth = 1 if shape == "function" else 2
    if rng.random() < 0.3:
        heads[shape].append("    " * depth + f"# {rng.choice(REMARKS)}")
    odd = rng.choice([test for test in kit.tests if "odd(" not in test])
    helper = "def odd(text):\n    return " + odd.format(v="text")
    known = flow_known(rng, "KNOWN.get" in "".join(ends.bad))
    top = rng.random() < 0.5

    def program(body: list[str]) -> str:
        lines = [*heads[shape], *indent(decoy + body if top else body + decoy, depth)]
        if shape == "try":
            lines += ["    except OSError:", "        return None", f'    return "{noun}"']
        text = "\n".join(lines)
        parts = [*plan.helpers]
        if "odd(" in text:
            parts.append(helper)
        parts = [*parts, text] if top else [text, *parts]
        rest = "\n\n\n".join(parts)
        consts = []
        if "ROOT" in rest:
            consts.append(f'ROOT = "/{place}/{noun}"')
        if "OUTBOX" in rest:
            consts.append(f'OUTBOX = "/{place}/outbox"')
        if "KNOWN" in rest:
            consts.append(known)
        if "LOG" in rest:
            consts.append("LOG = []")
        mods = [line for line in kit.imports if re.search(rf"\b{line.split()[-1]}\b", rest)]
        mods += ["from types import SimpleNamespace"] if "SimpleNamespace" in rest else []
        mods += ["from urllib.parse import unquote"] if "unquote(" in rest else []
        mods += ["from base64 import b64decode"] if "b64decode" in rest else []
        mods += ["import hashlib"] if "hashlib" in rest else []
        return "\n".join([*mods, ""] * bool(mods) + [*consts] + ["", ""] * bool(consts or mods)) + "\n" + rest + "\n"

    place = rng.choice(("srv", "var/lib", "opt", "data", "home/app"))
    return Sample(
        vulnerable=program(ends.bad).lstrip("\n"),
        patched=program(ends.good).lstrip("\n"),
        flaw=ends.flaw,
        fix=ends.fix,
        reason=ends.why_bad,
        reason_patched=ends.why_good,
    )


def wide_py_flow(rng: random.Random) -> Sample:
    """Wrong: the check misses the value that becomes the path, or comes too early; right: it covers that value."""
    return fitting(rng, lambda r: py_flow_sample(r, PATH_KIT))


# --- data flow in C --------------------------------------------------------------------------------------------------

C_STRUCTS = "msg req frame order cmd packet record call event job_in note_in entry telegram letter".split()
C_FIELDS = (
    "name tag owner label unit topic zone lane model brand floor track shelf court color mood genre plant probe desk "
    "rack crate wagon berth cabin depot buoy kiosk vault organ choir motor wheel sieve spool"
).split()
C_VARS = (
    "cur word pick want given piece text_in token ident left right inner mine kept last seed mark cell item own part "
    "what thing that one two raw val val2 src key lead body rest head bit leaf node step"
).split()
C_VERBS = "handle serve take run_one accept drain post perform process_one on_msg dispatch_one work tick".split()


@dataclass(frozen=True)
class CKit:
    """What a data flow of one CWE in C needs; {v} is the value, {o} a fresh name."""

    tests: tuple[str, ...]
    late: tuple[str, ...]
    helpers: dict[str, str]
    sinks: tuple[tuple[str, ...], ...]
    decoys: tuple[str, ...]
    danger: str


C_HELPERS = {
    "plain": """
static int plain(const char *s) {
    if (!*s)
        return 0;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s))
            return 0;
    return 1;
}
""",
    "listed": """
static int listed(const char *s) {
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i], s) == 0)
            return 1;
    return 0;
}
""",
    "unhex": """
static void unhex(char *s) {
    unsigned c;
    char *o = s;
    while (sscanf(s, "%2x", &c) == 1 && s[1]) {
        *o++ = (char)c;
        s += 2;
    }
    *o = 0;
}
""",
    "unescape": """
static void unescape(char *s) {
    char *o = s;
    unsigned c;
    for (; *s; s++)
        if (*s == '%' && sscanf(s + 1, "%2x", &c) == 1 && s[1] && s[2]) {
            *o++ = (char)c;
            s += 2;
        } else {
            *o++ = *s;
        }
    *o = 0;
}
""",
    "tidy": """
static void tidy(char *dst, size_t n, const char *src) {
    size_t i = 0;
    for (; *src && i + 1 < n; src++)
        dst[i++] = isalnum((unsigned char)*src) ? *src : '_';
    dst[i] = 0;
}
""",
}

C_PATH_KIT = CKit(
    tests=(
        'strstr({v}, "..") != NULL',
        "strchr({v}, '/') != NULL",
        "!plain({v})",
        "!listed({v})",
        "{v}[0] == '.' || strchr({v}, '/')",
    ),
    late=(
        "unhex|!plain({v})",
        "unhex|strchr({v}, '/') != NULL",
        'unescape|strstr({v}, "..") != NULL',
        "unescape|strchr({v}, '/') != NULL",
    ),
    helpers=C_HELPERS,
    sinks=(
        ('snprintf({o}, sizeof {o}, "%s/%s", ROOT, {v});', 'FILE *fp = fopen({o}, "r");', "if (fp)", "    fclose(fp);"),
        ('snprintf({o}, sizeof {o}, ROOT "/%s.dat", {v});', "unlink({o});"),
        (
            'snprintf({o}, sizeof {o}, ROOT "/%s", {v});',
            "int fd = open({o}, O_RDONLY);",
            "if (fd >= 0)",
            "    close(fd);",
        ),
        (
            'strcpy({o}, ROOT "/");',
            "strncat({o}, {v}, 200);",
            'FILE *fp = fopen({o}, "w");',
            "if (fp)",
            "    fclose(fp);",
        ),
        ('sprintf({o}, "%s/%.180s", ROOT, {v});', 'rename("/tmp/part", {o});'),
    ),
    decoys=('unlink(ROOT "/lock");', 'FILE *lf = fopen(ROOT "/log", "a");', 'rename(ROOT "/new", ROOT "/old");'),
    danger="a file outside ROOT",
)


def c_step(rng: random.Random, cur: str, words: list[str], helpers: list[str]) -> tuple[list[str], str]:
    """One step in C that hands a string on: its lines and the new expression."""
    new = words.pop()
    default = rng.choice(C_FIELDS)
    roll = rng.randrange(7)
    if roll == 0:
        return [f"const char *{new} = {cur};"], new
    if roll == 1:
        return [f"char {new}[64];", f'snprintf({new}, sizeof {new}, "%s", {cur});'], new
    if roll == 2:
        name = f"{rng.choice(('or', 'as', 'get', 'to'))}_{default}"
        arg = rng.choice(("s", "p", "text", "in"))
        if not any(f" *{name}(" in helper for helper in helpers):
            helpers.append(
                f'static const char *{name}(const char *{arg}) {{\n    return *{arg} ? {arg} : "{default}";\n}}'
            )
        return [f"const char *{new} = {name}({cur});"], new
    if roll == 3:
        made = f"struct {{ const char *{default}; int at; }} {new} = {{ {cur}, {rng.randint(0, 90)} }};"
        return [made], f"{new}.{default}"
    if roll == 4:
        return [f'const char *{new} = {cur}[0] ? {cur} : "{default}";'], new
    if roll == 5:
        return [f"const char *{new}[2] = {{ {cur}, NULL }};"], f"{new}[0]"
    return [f'char {new}[80] = "";', f"strncat({new}, {cur}, sizeof {new} - 1);"], new


def c_plan(rng: random.Random, steps: int, struct: str, writable: bool) -> Plan:
    """Two chains of strings from one message."""
    words = rng.sample(C_VARS, len(C_VARS))
    helpers: list[str] = []
    arrow = rng.choice(("in", "m", "p", "rq", "msg"))
    fields = rng.sample(C_FIELDS, 2)
    chains: list[list[list[str]]] = []
    exprs: list[list[str]] = []
    for index, (field, count) in enumerate(zip(fields, (steps, rng.randint(0, 2)), strict=True)):
        group: list[list[str]] = []
        cur = f"{arrow}->{field}"
        if (writable and index == 0) or rng.random() < 0.5:
            word = words.pop()
            group.append([f"char {word}[64];", f'snprintf({word}, sizeof {word}, "%s", {cur});'])
            cur = word
        known = [cur] * len(group)
        for _ in range(count if group else max(count, 1)):
            lines, cur = c_step(rng, cur, words, helpers)
            group.append(lines)
            known.append(cur)
        chains.append(group)
        exprs.append(known)
    order = [0] * len(chains[0]) + [1] * len(chains[1])
    rng.shuffle(order)
    groups: list[list[str]] = []
    spots: list[list[tuple[str, int]]] = [[], []]
    for which in order:
        at = len(spots[which])
        groups.append(chains[which][at])
        spots[which].append((exprs[which][at], len(groups)))
    plan = Plan(groups, spots[0], spots[1], helpers, words, arrow)
    shown = [f"    char {field}[64];" for field in fields]
    counts = rng.sample(("seq", "prio", "ttl", "age", "flags"), 2)
    shown += [f"    {rng.choice(('int', 'unsigned', 'long'))} {word};" for word in counts]
    rng.shuffle(shown)
    helpers.insert(0, "\n".join([f"struct {struct} {{", *shown, "};"]))
    return plan


def c_log(rng: random.Random, expr: str) -> str:
    """A harmless use of a string in C."""
    word = rng.choice(C_FIELDS)
    return rng.choice(
        (f'printf("{word} %s\\n", {expr});', f'fprintf(stderr, "{word}: %s\\n", {expr});', f"puts({expr});")
    )


def c_ends(rng: random.Random, kit: CKit, plan: Plan, mode: str) -> Ends:
    """The two bodies of one mode of being wrong."""
    sink, log = rng.choice(kit.sinks), c_log(rng, "{v}")
    live, side = plan.live[-1][0], plan.side[-1][0]
    out = plan.words.pop()
    leave = rng.choice(("return -1;", "return 0;", "return 1;"))
    used = [line.format(v=live, o=out) for line in sink]
    noted = [log.format(v=side)]
    tail = noted + used if rng.random() < 0.5 else used + noted
    (a, at_a), (b, at_b) = rng.choice(plan.live), rng.choice(plan.side)
    spot = rng.randint(max(at_a, at_b), len(plan.groups))
    test, other = rng.sample(kit.tests, 2)
    head = [f"char {out}[256];"]
    size = rng.choice((8, 12, 16, 20, 24))
    if mode == "which":
        flaw, fix = f"if ({test.format(v=b)})", f"if ({test.format(v=a)})"
        return Ends(
            head + joined(plan, {spot: [flaw, f"    {leave}"]}) + tail,
            head + joined(plan, {spot: [fix, f"    {leave}"]}) + tail,
            flaw, fix, f"only {b} is tested, so {live} may name {kit.danger}", f"{a} is tested before {live} is used",
        )  # fmt: skip
    if mode == "soft":
        note = rng.choice(('puts("odd");', 'fprintf(stderr, "odd\\n");', "errno = EINVAL;"))
        swap = rng.random() < 0.5

        def soft(first: str, second: str) -> list[str]:
            one = [f"if ({test.format(v=a)})", f"    {first}"]
            two = [f"if ({other.format(v=b)})", f"    {second}"]
            return head + joined(plan, {spot: two + one if swap else one + two}) + tail

        return Ends(
            soft(note, leave), soft(leave, note), note, leave,
            f"the test of {a} only takes a note, so {live} may name {kit.danger}", f"a bad {a} ends the work",
        )  # fmt: skip
    if mode == "late":
        decode, test = rng.choice(kit.late).split("|", 1)
        a, at_a = plan.live[0]
        step, check = f"{decode}({a});", [f"if ({test.format(v=a)})", f"    {leave}"]
        return Ends(
            head + joined(plan, {at_a: [*check, step]}) + tail, head + joined(plan, {at_a: [step, *check]}) + tail,
            step, check[0], f"{a} is decoded after the test, so it may name {kit.danger}", f"{a} is tested in its decoded form",
        )  # fmt: skip
    if mode == "copy":
        new = plan.words.pop()
        made = [f"char {new}[64];", f"tidy({new}, sizeof {new}, {live});"]
        first = rng.random() < 0.5

        def copy(to_sink: str, to_log: str) -> tuple[list[str], str]:
            lines, log_line = [line.format(v=to_sink, o=out) for line in sink], [log.format(v=to_log)]
            key = next(line for line, raw in zip(lines, sink, strict=True) if "{v}" in raw)
            return head + joined(plan, {}) + made + (log_line + lines if first else lines + log_line), key.strip()

        bad, flaw = copy(live, new)
        good, fix = copy(new, live)
        why = f"{new} is only printed, {live} may name {kit.danger}"
        return Ends(bad, good, flaw, fix, why, f"{new} holds no special characters")
    single = rng.choice([test for test in kit.tests if " || " not in test])
    cond = rng.choice((f"strlen({b}) > {size}", f"{b}[0] == 0", f"strlen({b}) < 2"))
    flag = plan.words.pop()
    swap = rng.random() < 0.5

    def line(word: str) -> str:
        bits = [cond, single.format(v=a)]
        return f"if ({f' {word} '.join(bits[::-1] if swap else bits)})"

    def joint(word: str, opposite: str) -> list[str]:
        plain = f"int {flag} = {b}[0] == '#' {opposite} strlen({b}) > {size + 3};"
        return head + joined(plan, {spot: [plain, line(word), f"    {leave}"]}) + tail

    return Ends(
        joint("&&", "||"), joint("||", "&&"), line("&&"), line("||"),
        f"a bad {a} is refused only if also {b} is odd, so {live} may name {kit.danger}", f"a bad {a} is always refused",
    )  # fmt: skip


def c_includes(text: str) -> str:
    """The headers a program needs."""
    heads = ["stdio.h", "string.h"]
    for head, marks in (
        ("ctype.h", ("isalnum", "isdigit", "isalpha", "isspace", "tolower", "isxdigit")),
        (
            "stdlib.h",
            ("system(", "atoi(", "strtoul", "strtol", "malloc", "free(", "getenv", "exit(", "calloc", "atol("),
        ),
        ("unistd.h", ("unlink(", "close(", "fork(", "exec", "access(", "getpid", "chdir(", "rmdir(", "pipe(")),
        ("fcntl.h", ("O_RDONLY", "O_WRONLY")),
        ("errno.h", ("errno", "EINVAL")),
        ("sys/wait.h", ("waitpid(", "wait(")),
        ("sys/stat.h", ("mkdir(", "stat(")),
    ):
        if any(re.search(r"(?<![a-z_])" + re.escape(mark), text) for mark in marks):
            heads.append(head)
    return "\n".join(f"#include <{head}>" for head in heads)


def c_flow_sample(rng: random.Random, kit: CKit) -> Sample:
    """A chain of steps from a message to a sink in C, with the check on the right or the wrong value."""
    mode = rng.choice(("which", "which", "soft", "late", "copy", "joint"))
    struct = rng.choice(C_STRUCTS)
    plan = c_plan(rng, rng.randint(1, 3), struct, mode == "late")
    ends = c_ends(rng, kit, plan, mode)
    decoy = [rng.choice(kit.decoys)] if rng.random() < 0.4 else []
    remark = [f"/* {rng.choice(REMARKS)} */"] if rng.random() < 0.3 else []
    func = rng.choice(C_VERBS)
    words = ", ".join(f'"{word}"' for word in rng.sample(C_FIELDS, 3))
    root = rng.choice(("/srv", "/var/lib", "/opt", "/data"))
    const = rng.choice(("const ", ""))
    noun = rng.choice(C_FIELDS)

    def program(body: list[str]) -> str:
        main = [
            f"int {func}({const}struct {struct} *{plan.req}) {{",
            *indent([*remark, *decoy, *body, "return 0;"]),
            "}",
        ]
        text = "\n".join(main)
        helpers = [kit.helpers[name].strip("\n") for name in kit.helpers if re.search(rf"\b{name}\(", text)]
        rest = "\n\n".join([*plan.helpers, *helpers, text])
        tops = [f'#define ROOT "{root}/{noun}"'] if "ROOT" in rest else []
        tops += [f"static const char *known[] = {{ {words} }};"] if "known[" in rest else []
        return "\n".join([c_includes(rest), "", *tops, *[""][: len(tops)], rest]) + "\n"

    return Sample(
        vulnerable=program(ends.bad), patched=program(ends.good), flaw=ends.flaw, fix=ends.fix,
        reason=ends.why_bad, reason_patched=ends.why_good,
    )  # fmt: skip


def wide_c_flow(rng: random.Random) -> Sample:
    """Wrong: the check misses the string that becomes the path, or comes too early; right: it covers that string."""
    return fitting(rng, lambda r: c_flow_sample(r, C_PATH_KIT))


# --- Python families -------------------------------------------------------------------------------------------------


def store_bodies(strings: bool) -> dict[str, list[str]]:
    """Method bodies; KEY is the path of the caller's key, OWN a path of the store itself."""
    if strings:
        return {
            "read": [
                "$a = KEY",
                "$b = OWN",
                'with open($b, "a") as log:',
                '    log.write("$w0\\n")',
                'with open($a, "rb") as src:',
                "    return src.read()",
            ],
            "write": [
                "$b = OWN",
                "$a = KEY",
                'with open($a, "wb") as out:',
                "    out.write(data)",
                "return os.path.getsize($b)",
            ],
            "drop": ["$a = KEY", "$b = OWN", "if os.path.exists($a):", "    os.remove($a)", "os.utime($b)"],
            "move": ["$b = OWN", "$a = KEY", "os.replace($b, $a)", "return $a"],
            "size": [
                "$a, $b = KEY, OWN",
                "with open($a) as src:",
                "    first = src.readline()",
                "return first, os.path.exists($b)",
            ],
        }
    return {
        "read": ["$a = KEY", "$b = OWN", '$b.write_text("$w0")', "return $a.read_bytes()"],
        "write": ["$b = OWN", "$a = KEY", "$a.write_bytes(data)", "return $b.exists()"],
        "drop": ["$a = KEY", "$b = OWN", "if not $b.exists():", "    $a.unlink()"],
        "move": ["$b = OWN", "$a = KEY", "$b.rename($a)", "return $a"],
        "size": ["$b = OWN", "$a = KEY", "with $a.open() as src:", "    return len(src.read()), $b.exists()"],
    }


def store_where(rng: random.Random, strings: bool) -> list[str]:
    """The body of the method that turns a key into a path below the root."""
    full = "os.path.realpath(os.path.join(self.$r, $key))" if strings else "(self.$r / $key).resolve()"
    plain = "os.path.join(self.$r, $key)" if strings else "self.$r / $key"
    inside = (
        "if os.path.commonpath([self.$r, $p]) != self.$r:" if strings else "if self.$r.resolve() not in $p.parents:"
    )
    return rng.choice(
        (
            [f"$p = {full}", inside, '    raise KeyError("$w1")', "return $p"],
            ['if not re.fullmatch(r"\\w[\\w.-]*", $key):', '    raise ValueError("$w1")', f"return {plain}"],
            ['if "/" in $key or $key.startswith("."):', '    raise ValueError("$w1")', f"return {plain}"],
            ["$key = os.path.basename($key)", f"return {plain}"],
            ['$p = [part for part in $key.split("/") if part.strip(".")]', f"return {plain.replace('$key', '$q')}"],
        )
    )


def store_sample(rng: random.Random) -> Sample:
    """One class with a path helper and a few methods, one of which gives the helper the wrong name."""
    names = cast(
        rng,
        c="Locker Cabinet Attic Cellar Pantry Drawer Closet Shelf Vault Chest Depot Hangar Barn Silo Bin Pouch",
        a="full target place spot where_to pos loc address dest item_path",
        k="key name slot title ident label tag handle ref",
        w="draft memo clip score patch recipe poem sketch tune seed pattern ballot receipt map quote",
        r="root base top home folder area",
        o="_where _at _locate _spot _path_of _resolve _place",
    )
    names |= {"a": names["a0"], "b": names["a1"], "p": names["a2"], "r": names["r0"], "key": names["k0"]}
    strings = rng.random() < 0.5
    bodies = store_bodies(strings)
    kinds = rng.sample(sorted(bodies), rng.randint(2, 3))
    odd = rng.choice(kinds)
    verbs = {"read": "load fetch take pull", "write": "save put keep push", "drop": "drop forget discard purge",
             "move": "publish settle finish promote", "size": "peek first_line describe head"}  # fmt: skip
    consts = ['"index"', '"lock"', '"journal"', "INDEX", "self.$k2", "str(self.$k3)"]
    raw = "os.path.join(self.$r, {})" if strings else "self.$r / {}"
    held = "self.$o0({})"
    use_key = names["k1"]
    bad, good = [], []
    flaw = fix = ""
    for kind in kinds:
        own = rng.choice(consts)
        extra = ", data" if kind == "write" else ""
        head = f"def {rng.choice(verbs[kind].split())}(self, {use_key}{extra}):"
        key = f"str({use_key})" if rng.random() < 0.2 else use_key
        for out, wrong in ((bad, kind == odd), (good, False)):
            path, other = (raw, held) if wrong else (held, raw)
            lines = [line.replace("KEY", path.format(key)).replace("OWN", other.format(own)) for line in bodies[kind]]
            if kind == odd:
                mark = Template(next(new for new, old in zip(lines, bodies[kind], strict=True) if "KEY" in old))
                flaw, fix = (mark.substitute(names), fix) if wrong else (flaw, mark.substitute(names))
            out.append("\n".join([head, *indent(lines)]))
    where = "\n".join(["def $o0(self, $key):", *indent(store_where(rng, strings))])
    where = where.replace("$q", '"/".join($p)')
    rootval = "os.path.realpath($r)" if strings else "Path($r)"
    init = f'def __init__(self, $r):\n    self.$r = {rootval}\n    self.$k2 = "{names["w3"]}"\n    self.$k3 = {rng.randint(1, 99)}'
    order = [0, *range(1, len(kinds) + 1)]
    rng.shuffle(order)
    remark = f"# {rng.choice(REMARKS)}\n" if rng.random() < 0.3 else ""

    def program(methods: list[str]) -> str:
        blocks = [init, *[[where, *methods][i] for i in order]]
        body = "\n\n".join("\n".join(indent(block.split("\n"))) for block in blocks)
        text = f"{remark}class $c0:\n{body}\n"
        tops = [f"import {mod}" for mod in ("os", "re") if f"{mod}." in text]
        tops += ["from pathlib import Path"] if "Path(" in text else []
        tops += ["", 'INDEX = "index.tmp"'] if "INDEX" in text else []
        return Template("\n".join([*tops, "", "", text])).substitute(names)

    key, o = names["k1"], names["o0"]
    return Sample(
        vulnerable=program(bad), patched=program(good), flaw=flaw, fix=fix,
        reason=f"{key} is joined to the root without {o}, which only the store's own name goes through",
        reason_patched=f"{key} goes through {o}, the name joined directly is the store's own",
    )  # fmt: skip


def wide_py_store_methods(rng: random.Random) -> Sample:
    """Wrong: one method joins the caller's key itself; right: every method asks the class's path helper."""
    return fitting(rng, store_sample)


NARROW = (
    "int({v})",
    "UUID({v})",
    "date.fromisoformat({v})",
    "KINDS[{v}]",
    "KINDS.get({v}, 'misc')",
    "Sort({v}).value",
    "md5({v}.encode()).hexdigest()",
    "trim({v})",
    're.sub("[^a-z0-9]", "", {v})',
    "min(int({v}), {n})",
    '"%06d" % int({v})',
    "float({v})",
    "{v} if {v}.isalnum() else 'none'",
    "{v}.encode().hex()",
    "''.join(filter(str.isalnum, {v}))",
)
VAGUE = (
    "{v}.strip()",
    "str({v})",
    "{v}.lower()",
    "{v}[:{n}]",
    "{v} or 'none'",
    "{v}.replace(' ', '_')",
    "{v}.removesuffix('.txt')",
    "unquote({v})",
    "{v}.rstrip('/')",
    "'-'.join({v}.split())",
    "{v}.expandtabs()",
)


def narrow_sample(rng: random.Random) -> Sample:
    """A path made of several request values, each brought into a narrow form except for one."""
    words = (
        "album artist atlas author basin block border budget canal cell coach colony county course degree deposit "
        "district edition exam forest garden glacier herd island journal lake lesson lot meadow meter mine orchard "
        "parish patrol plate port project quarter ridge river season sector session shift station survey term town "
        "trail unit valley village voyage ward week year zone"
    ).split()
    keys = rng.sample(words, 6)
    count = rng.randint(2, 4)
    parts, others = keys[:count], keys[count : count + rng.randint(1, 2)]
    req = rng.choice(("query", "args", "params", "q", "fields", "body"))
    affix = rng.choice(("", "", "_", "the_", "my_"))

    def var(key: str) -> str:
        return key + "_" if affix == "_" else affix + key

    access = rng.choice(('{r}["{k}"]', '{r}["{k}"]', '{r}.get("{k}", "")', "{k}_in"))
    size = rng.choice((40, 60, 64, 80))
    source = {key: access.format(r=req, k=key) for key in keys}
    target, other = rng.choice(parts), rng.choice(others)
    strong = {key: rng.choice(NARROW) for key in parts}
    weak = {key: rng.choice(VAGUE) for key in others}
    narrow, vague = strong[target], weak[other]
    order = [*parts, *others]
    rng.shuffle(order)
    loop = rng.random() < 0.25
    use = rng.choice(("open", "text", "remove", "write", "mkdir"))
    shape = rng.choice(("f", "join", "path", "list", "percent"))
    tail = rng.choice((".txt", ".json", ".csv", "", ".png"))
    root = "/" + rng.choice(("srv", "data", "var/spool", "opt")) + "/" + rng.choice(words)
    exprs = [var(key) for key in parts]
    if shape == "f":
        path = 'f"{ROOT}/' + "/".join("{" + expr + "}" for expr in exprs) + tail + '"'
    elif shape == "join":
        path = "os.path.join(ROOT, " + ", ".join(f"str({expr})" for expr in exprs) + ")"
    elif shape == "path":
        path = "Path(ROOT) / " + " / ".join(f"str({expr})" for expr in exprs)
    elif shape == "list":
        path = '"/".join([ROOT, ' + ", ".join(f"str({expr})" for expr in exprs) + "])"
    else:
        path = '"/".join(["%s"] * ' + str(count + 1) + ") % (ROOT, " + ", ".join(exprs) + ")"
    uses = {
        "open": ["with open(path) as src:", "    {o} = src.read()"],
        "text": ["{o} = open(path).readlines()"],
        "remove": ["os.remove(path)", "{o} = path"],
        "write": ['with open(path, "w") as out:', "    out.write(ROOT)", "{o} = path"],
        "mkdir": ["{o} = open(path, 'ab').tell()"],
    }
    result = rng.choice(("found", "result", "content", "outcome"))
    notes = ", ".join(var(key) for key in others)
    end = rng.choice((f"return {result}, {notes}", f"print({notes})\nreturn {result}"))
    func = f"{rng.choice(('show', 'read', 'find', 'get', 'open', 'lookup'))}_{rng.choice(words)}"
    args = ", ".join(f"{key}_in" for key in order) if access == "{k}_in" else req
    remark = [f"# {rng.choice(REMARKS)}"] if rng.random() < 0.3 else []
    kinds = ", ".join(f'"{word}": "{word[:3]}"' for word in rng.sample(words, 3))
    sorts = "; ".join(f'{word.upper()} = "{word}"' for word in rng.sample(words, 2)).split("; ")
    helpers_first = rng.random() < 0.5

    def program(good: bool) -> tuple[str, str]:
        mark = ""
        lines = list(remark)
        for key in order:
            form = strong.get(key) or weak[key]
            if key == target:
                form = narrow if good else vague
            elif key == other:
                form = vague if good else narrow
            line = f"{var(key)} = " + form.format(v=source[key], n=size)
            lines.append(line)
            mark = line if key == target else mark
        lines += [f"path = {path}", *[line.format(o=result) for line in uses[use]]]
        if loop:
            lines = [*lines, f"done.append({result})"]
            body = [f"def {func}({args}_list):", "    done = []", f"    for {args} in {args}_list:", *indent(lines, 2)]
            body += [f"    return done, {notes}"]
        else:
            body = [f"def {func}({args}):", *indent([*lines, *end.split("\n")])]
        text = "\n".join(body)
        helper = 'def trim(text):\n    return "".join(c for c in text if c not in "./")' if "trim(" in text else ""
        enum = "class Sort(Enum):\n" + "\n".join(f"    {sort}" for sort in sorts) if "Sort(" in text else ""
        blocks = [block for block in (helper, enum) if block]
        blocks = [*blocks, text] if helpers_first else [text, *blocks]
        tops = [f"import {mod}" for mod in ("os", "re") if f"{mod}." in text]
        for module, name in (
            ("datetime", "date"), ("enum", "Enum"), ("hashlib", "md5"), ("pathlib", "Path"),
            ("urllib.parse", "unquote"), ("uuid", "UUID"),
        ):  # fmt: skip
            tops += [f"from {module} import {name}"] if re.search(rf"\b{name}\b", "\n".join(blocks)) else []
        consts = [f'ROOT = "{root}"'] + ([f"KINDS = {{{kinds}}}"] if "KINDS" in text else [])
        return "\n".join([*tops, "", *consts, "", "", "\n\n\n".join(blocks)]).lstrip("\n") + "\n", mark

    loop = loop and access != "{k}_in"
    vulnerable, flaw = program(False)
    patched, fix = program(True)
    name = var(target)
    return Sample(
        vulnerable=vulnerable, patched=patched, flaw=flaw, fix=fix,
        reason=f"{name} may hold dots and slashes and is a part of path, only {var(other)} is narrowed",
        reason_patched=f"every part of path is narrowed, also {name}",
    )  # fmt: skip


def wide_py_narrow_parts(rng: random.Random) -> Sample:
    """Wrong: one part of the path keeps its free form, a value outside the path is narrowed; right: the reverse."""
    return fitting(rng, narrow_sample)


def bundle_sample(rng: random.Random) -> Sample:
    """A bundle of entries that is unpacked, with the test in or before the loop."""
    names = cast(
        rng,
        l="entries members pieces parts_in records assets blobs leaves rows payloads",
        e="entry member one item piece leaf row it x el",
        p="path name dest where rel spot target_name",
        d="data body content raw text_of bytes_in",
        f="restore unpack install expand spread import_ deploy hydrate materialise",
        n="theme plugin level backup lesson pack skin map_set fontset preset snapshot widget",
        b="odd climbs outside strange off_limits bad_name",
        s="kept chosen ready wanted accepted picked",
        t="total count size amount",
        g="_set _bundle _pack _tree _dir _archive",
        x="ValueError RuntimeError KeyError PermissionError",
    )
    names |= {"E": '$e0["$p0"]', "D": '$e0["$d0"]', "fn": f"{names['f0'].strip('_')}_{names['n0']}"}
    if rng.random() < 0.4:
        names |= {"E": "$e0.$p0", "D": "$e0.$d0"}
    for key in ("E", "D"):
        names[key] = Template(names[key]).substitute(names)
    names["E0"] = names["E"].replace(names["e0"], names["l0"] + "[0]", 1)
    test = rng.choice(
        (
            'return ".." in name.split("/") or name.startswith("/")',
            'return any(p in ("", "..") for p in name.split("/"))',
            'return not re.fullmatch(r"\\w+(/\\w+)*", name)',
            'return name.startswith("/") or ".." in name',
            'return not name.replace("_", "").isalnum()',
        )
    )
    imports = "import json\nimport os\n" + ("import re\n" if "re." in test else "")
    load = rng.choice(
        (
            "def $fn(text, root):\n    $l0 = json.loads(text)",
            'def $fn(fh, root):\n    $l0 = json.load(fh)["$n1"]',
            'def $fn(request, root):\n    $l0 = request.json["$l1"]',
            "def $fn($l0, root):\n    os.makedirs(root, exist_ok=True)",
        )
    )
    write_lines = rng.choice(
        (
            ['with open(os.path.join(root, $E), "w") as out:', "    out.write($D)"],
            [
                "full = os.path.join(root, $E)",
                "os.makedirs(os.path.dirname(full), exist_ok=True)",
                'open(full, "w").write($D)',
            ],
            ['out = open(root + "/" + $E, "wb")', "out.write($D.encode())", "out.close()"],
        )
    )

    def at(depth: int) -> str:
        return "\n".join(indent(write_lines, depth)).lstrip()

    ways = (
        (
            "    @A\n    @B\n        " + at(2) + "\n    @C",
            turn("the loop runs over all $l0, $s0 is only counted", A="$s0 = [$e0 for $e0 in $l0 if not $b0($E)]",
                 B="!for $e0 in $l0:", C="return len($s0)"),
            turn("only entries in $s0 are written", A="$s0 = [$e0 for $e0 in $l0 if not $b0($E)]",
                 B="!for $e0 in $s0:", C="return len($l0)"),
        ),
        (
            "    @A\n        raise $x0(\"$n2\")\n    @B\n        return 0\n    for $e0 in $l0:\n        " + at(2) + "\n    return len($l0)",
            turn("one harmless entry is enough to pass, the others may climb out of root",
                 A="!if all($b0($E) for $e0 in $l0):", B="if any(not $D for $e0 in $l0):"),
            turn("one entry that climbs is enough to refuse all", A="!if any($b0($E) for $e0 in $l0):",
                 B="if all(not $D for $e0 in $l0):"),
        ),
        (
            "    $t0 = 0\n    for $e0 in $l0:\n        @A\n            «continue|raise $x0(\"$n2\")»\n        " + at(2)
            + "\n        @B\n    return $t0",
            turn("only the first entry's $p0 is looked at in each round", A="!if $b0($E0):", B="$t0 += len($D)"),
            turn("the $p0 of each entry is looked at", A="!if $b0($E):", B="$t0 += len($D)"),
        ),
        (
            "    $s0 = []\n    for $e0 in $l0:\n        if $b0($E):\n            $s0.append($E)\n    @A\n    for $e0 in $l0:\n        "
            + at(2) + "\n    @B\n    return len($l0)",
            turn("the names in $s0 are refused only after everything was written",
                 A="$t0 = sum(len($D) for $e0 in $l0)\nif $t0 > 9000:\n    raise $x0(str($t0))", B="!if $s0:\n    raise $x0(str($s0))"),
            turn("nothing is written when $s0 holds a name", A="!if $s0:\n    raise $x0(str($s0))",
                 B="$t0 = sum(len($D) for $e0 in $l0)\nif $t0 > 9000:\n    raise $x0(str($t0))"),
        ),
        (
            "    for $e0 in $l0:\n        @A\n        for part in $E.split(\"/\"):\n            if $b0(part):\n                @B\n        else:\n            "
            + at(3) + "\n    return len($l0)",
            turn("continue only skips the part, so else always runs and writes $E", A="if not $D:\n    break", B="!continue"),
            turn("break skips the else branch for a part that is refused", A="if not $D:\n    continue", B="!break"),
        ),
        (
            "    $s0 = {}\n    $t0 = 0\n    for $e0 in $l0:\n        @A\n        @B\n    for $p1, $d1 in $s0.items():\n"
            "        with open(os.path.join(root, $p1), \"w\") as out:\n            out.write($d1)\n    return $t0",
            turn("entries go into $s0 whatever $b0 says", A="if $b0($E):\n    $t0 += 1\nif not $D:\n    continue", B="!$s0[$E] = $D"),
            turn("only entries that $b0 lets through go into $s0", A="if not $D:\n    $t0 += 1\n!if $b0($E):\n    continue", B="$s0[$E] = $D"),
        ),
        (
            "    $t0 = 0\n    for $e0 in $l0:\n        @A\n            $t0 += 1\n        @B\n            " + at(3) + "\n    return $t0",
            turn("an entry is written when it has content, whatever $E is", A="if not $b0($E):", B="!if $D:"),
            turn("an entry is written only when $b0 lets $E through", A="if $D:", B="!if not $b0($E):"),
        ),
    )  # fmt: skip
    body, bad, good = rng.choice(ways)
    split = "for part in" in body
    if split:
        test = rng.choice(
            ('return name in ("", "..", ".")', "return not name.isalnum()", 'return name.startswith(".") or not name')
        )
        imports = "import json\nimport os\n"
    helper = "def $b0(name):\n    " + test
    remark = f"# {rng.choice(REMARKS)}\n" if rng.random() < 0.4 else ""
    main = remark + load + "\n" + body
    text = stack(rng, [helper, main])
    return write(rng, "python", imports + "\n\n" + text, names, [(bad, good)])


def wide_py_bundle_loops(rng: random.Random) -> Sample:
    """Wrong: entries reach the write although refused, in the wrong loop or too late; right: only accepted ones do."""
    return fitting(rng, bundle_sample)


def verdict_sample(rng: random.Random) -> Sample:
    """Helpers that tell their verdict in some way, and a caller that reads or misreads it."""
    names = cast(
        rng,
        v="picture novel tariff menu banner chapter ringtone emblem script_id macro_id preset_id ballad canvas sonnet",
        w="caption greeting remark signature motto blurb heading headline footer subject",
        r="form packet ticket_in order draft hello event inbound letter update_in",
        f="fetch_one answer reply_to present deliver show_one hand_out reopen look_up bring",
        h="fits judge review_name rate_name passes weigh look_at sift grade_it probe_name",
        g="probe judge_text proof rate_text inspect_text audit_text measure gauge size_up",
        o="outcome verdict res got answer_1 state flag_1",
        q="other second more next_res aside",
        d="albums books stories themes layouts cards decks modules units maps",
    )
    bad_name = rng.choice(
        (
            '".." in text or text.startswith("/")',
            '"/" in text or text.startswith(".")',
            'not re.fullmatch("[a-z0-9_]+", text)',
            "not text.isalnum()",
            "text not in SHELF",
        )
    )
    bad_text = rng.choice(("len(text) > 80", "not text.strip()", "not text.isprintable()", '"\\n" in text'))
    names |= {"bn": bad_name, "bt": bad_text}
    helper = "def $h0(text):\n{}\n\n\ndef $g0(text):\n{}"
    why = "a bad $v0 does not end $f0, so it may name a file outside ROOT"
    good = "a bad $v0 ends $f0 before the file is opened"
    leave = '«return None|raise ValueError("$w1")»'
    raises = '    if {}:\n        raise ValueError("bad")'
    error = '    if {}:\n        return "bad"\n    return None'
    pairs = "    if {}:\n        return False, text\n    return True, text.lower()"
    truth = "    return not ({})"
    kinds = (
        (
            truth.format("$bn"), truth.format("$bt"), "@A\n@B",
            turn(why, A="!$o0 = $h0($v0)", B="if not $g0($w0):\n    " + leave),
            turn(good, A="$o0 = $g0($w0)", B="!if not $h0($v0):\n    " + leave),
        ),
        (
            raises.format("$bn"), raises.format("$bt"),
            "try:\n    $h0($v0)\nexcept ValueError:\n    @A\ntry:\n    $g0($w0)\nexcept ValueError:\n    @B",
            turn(why, A='!$v1 = "none"', B="return None"), turn(good, A="!return None", B='$v1 = "none"'),
        ),
        (
            error.format("$bn"), error.format("$bt"), "$o0 = $h0($v0)\n$q0 = $g0($w0)\n@A\n    " + leave,
            turn(why, A="!if $o0 and $q0:"), turn(good, A="!if $o0 or $q0:"),
        ),
        (
            error.format("$bn"), error.format("$bt"), "@A\n    " + leave + "\n@B\n    " + leave,
            turn(why, A="!if $h0($v0) is False:", B="if $g0($w0) is not None:"),
            turn(good, A="!if $h0($v0) is not None:", B="if $g0($w0) is False:"),
        ),
        (
            pairs.format("$bn"), pairs.format("$bt"), "@A\n    " + leave + "\n@B\n    " + leave,
            turn("$h0 returns a pair, which is never false, so a bad $v0 goes on", A="!if not $h0($v0):",
                 B="if not $g0($w0)[0]:"),
            turn(good, A="!if not $h0($v0)[0]:", B="if not $g0($w0):"),
        ),
        (
            "    if {}:\n        return -1\n    return 0".format("$bn"), "    if {}:\n        return 1\n    return 0".format("$bt"),
            "@A\n    " + leave + "\n@B\n    " + leave,
            turn("$h0 answers -1 for a bad $v0, which is not above 0", A="!if $h0($v0) > 0:", B="if $g0($w0) < 0:"),
            turn(good, A="!if $h0($v0) < 0:", B="if $g0($w0) > 0:"),
        ),
        (
            "    if {}:\n        return 1\n    return 0".format("$bn"), "    if {}:\n        return -1\n    return 0".format("$bt"),
            "$o0 = $h0($v0)\n$q0 = $g0($w0)\n@A\n    " + leave,
            turn("$h0 answers 1 for a bad $v0, which is not below 0", A="!if $o0 < 0 or $q0 > 0:"),
            turn(good, A="!if $o0 > 0 or $q0 < 0:"),
        ),
        (
            '    return "".join(c for c in text if c.isalnum())', "    return text.strip()[:60]", "@A\n@B",
            turn("the result of $h0 is dropped, so $v0 keeps its dots and slashes", A="!$h0($v0)", B="$w0 = $g0($w0)"),
            turn("$v0 is replaced by what $h0 leaves of it", A="!$v0 = $h0($v0)", B="$g0($w0)"),
        ),
        (
            truth.format("$bn"), truth.format("$bt"), "@A\n    @B\n    " + leave,
            turn("a bad $v0 is refused only when $w0 is bad too", A="!if not $h0($v0) and not $g0($w0):", B="$o0 = bool($v0 or $w0)"),
            turn(good, A="!if not $h0($v0) or not $g0($w0):", B="$o0 = bool($v0 and $w0)"),
        ),
        (
            truth.format("$bn"), truth.format("$bt"), "$o0 = $h0($v0)\n$q0 = $g0($w0)\n@A\n@B\n    " + leave,
            turn("the last assignment to $o0 drops what $h0 said of $v0", A="$q0 = $q0 and $o0", B="!$o0 = $g0($w0)\nif not $o0:"),
            turn(good, A="$o0 = $o0 and $q0", B="!$q0 = $g0($w0)\nif not $o0:"),
        ),
    )  # fmt: skip
    first, second, body, wrong, right = rng.choice(kinds)
    use = rng.choice(
        (
            'with open(ROOT + "/" + $v0) as src:\n    return src.read(), $w0',
            "path = os.path.join(ROOT, $v0)\nprint($w0)\nreturn open(path).readlines()",
            'path = os.path.join(ROOT, $v0)\nos.remove(path)\nreturn "$d1: " + $w0',
            'full = "%s/%s" % (ROOT, $v0)\nprint($w0, os.path.getsize(full))\nreturn open(full, "rb").read()',
        )
    )
    read = '%$v0 = $r0["$v0"]\n%$w0 = $r0["$w0"]'
    inner = "\n".join(indent((read + "\n~\n" + body + "\n" + use).split("\n")))
    main = "def $f0($r0):\n" + inner
    names["root"] = rng.choice(("/srv", "/var/www", "/opt", "/data")) + "/" + names["d0"]
    shelf = 'SHELF = {"$v3", "$v4", "$v5"}\n' if "SHELF" in bad_name else ""
    tops = "import os\nimport re\n" if "re." in bad_name else "import os\n"
    text = stack(rng, [helper.format(first, second), main])
    text = tops + '\nROOT = "$root"\n' + shelf + "\n\n" + text
    text = text.replace("$bn", bad_name).replace("$bt", bad_text)
    return write(rng, "python", text, names, [(wrong, right)])


def wide_py_verdict_styles(rng: random.Random) -> Sample:
    """Wrong: the helper's verdict about the name is dropped or misread; right: a bad name ends the work."""
    return fitting(rng, verdict_sample)


DOTS_STAY = (
    '{v}.replace("../", "")',
    '{v}.lstrip("./")',
    "posixpath.normpath({v})",
    '{v}.strip("/")',
    're.sub(r"^\\.+", "", {v})',
    're.sub(r"\\.\\./", "", {v})',
    '{v}.partition("/")[2]',
    '{v}.replace("..\\\\", "")',
    '{v}.removeprefix("../")',
    '{v}.split("?")[0]',
    're.sub("//+", "/", {v})',
    '"/".join({v}.split("/")[1:])',
    '{v}.replace("./", "", 2)',
    '{v}.replace("//", "/").lower()',
    '"/".join(p.strip() for p in {v}.split("/"))',
)
DOTS_GO = (
    '{v}.replace("..", "")',
    'posixpath.normpath("/" + {v}).lstrip("/")',
    '{v}.rpartition("/")[2]',
    '{v}.split("/")[-1]',
    '{v}.replace("/", "")',
    're.sub(r"\\.\\.+", "", {v})',
    're.sub("/", ".", {v})',
    '"/".join(p for p in {v}.split("/") if p.strip("."))',
    '"/".join(p for p in {v}.split("/") if p != "..")',
    '"/".join(p.strip(".") for p in {v}.split("/"))',
    '{v}.replace("/", "_").lower()',
    "posixpath.basename({v})",
)


def dots_sample(rng: random.Random) -> Sample:
    """Two texts are cleaned in two ways, one of which leaves the dots of a path in place."""
    names = cast(
        rng,
        f="tidy shape mend trim_it prepare polish smooth settle reduce rework fold press comb",
        a="place where page doc route item_id ref image_ref track clip sheet_name part_no",
        b="title comment reason origin visitor greeting agent referer topic via",
        c="serve load_page preview render_one peek bring export_one publish reply find_one",
        r="req query inp ev call data_in params msg",
        w="wiki manual gallery jukebox library museum gazette almanac atlas kiosk",
        t="s t text x raw val chunk p0",
        z="entry log_line record row trace info",
    )
    stay, go = rng.choice(DOTS_STAY), rng.choice(DOTS_GO)
    order = rng.random() < 0.5
    use = rng.choice(
        (
            'with open(ROOT + "/" + {v}, "rb") as src:\n    return src.read()',
            'path = f"{{ROOT}}/{v2}.md"\nreturn open(path).read()',
            'os.remove("%s/%s" % (ROOT, {v}))\nreturn len({v})',
            'return open("/".join([ROOT, {v}])).readlines()',
            'path = ROOT + "/" + {v}\nif os.path.isfile(path):\n    return open(path).read()\nreturn ""',
        )
    )
    use = use.format(v="$a0", v2="{$a0}")
    note = rng.choice(
        ('print("$w1", $b0)', '$z0 = {"$w2": $b0}\nprint($z0)', 'print(f"{$b0} asks")', "LOG.append($b0)")
    )
    tops = (
        f'import os\nimport posixpath\nimport re\n\nROOT = "/{rng.choice(("srv", "opt", "var/www"))}/$w0"\nLOG = []\n'
    )
    why, ok = (
        "what $a0 goes through leaves dots in it, so $a0 may climb out of ROOT",
        "no step to a parent is left in $a0",
    )
    shape = rng.choice(("inline", "helpers", "table", "loop", "reassign"))
    take = '%$a0 = $r0["$a0"]\n%$b0 = $r0["$b0"]'
    if rng.random() < 0.4:
        take = '%$a0 = $r0.get("$a0", "$w3")\n%$b0 = $r0.get("$b0", "")'
    if shape == "inline":
        get = '$r0["{}"]'
        slots = [
            {"A": "!$a0 = " + x.format(v=get.format("$a0")), "B": "$b0 = " + y.format(v=get.format("$b0"))}
            for x, y in ((stay, go), (go, stay))
        ]
        body = "@A\n@B" if order else "@B\n@A"
        blocks: list[str] = []
    elif shape == "reassign":
        slots = [
            {"A": "!$a0 = " + x.format(v="$a0"), "B": "$b0 = " + y.format(v="$b0")} for x, y in ((stay, go), (go, stay))
        ]
        body = take + "\n~\n" + ("@A\n@B" if order else "@B\n@A")
        blocks = []
    else:
        one = "def $f0($t0):\n    return " + stay.format(v="$t0")
        two = "def $f1($t1):\n    ?$t1 = $t1[:200]\n    return " + go.format(v="$t1")
        blocks = [one, two]
        if shape == "helpers":
            slots = [{"A": f"!$a0 = {x}($a0)", "B": f"$b0 = {y}($b0)"} for x, y in (("$f0", "$f1"), ("$f1", "$f0"))]
            body = take + "\n" + ("@A\n@B" if order else "@B\n@A")
        elif shape == "table":
            slots = [
                {"A": f'!STEPS = {{"$a0": {x}, "$b0": {y}}}' if order else f'!STEPS = {{"$b0": {y}, "$a0": {x}}}'}
                for x, y in (("$f0", "$f1"), ("$f1", "$f0"))
            ]
            body = '%$a0 = STEPS["$a0"]($r0["$a0"])\n%$b0 = STEPS["$b0"]($r0["$b0"])'
        else:
            slots = [{"A": f"!$a0 = {x}($a0)", "B": f"$b0 = {y}($b0)"} for x, y in (("$f0", "$f1"), ("$f1", "$f0"))]
            body = take + '\nwhile $a0.startswith(" "):\n    $a0 = $a0[1:]\n@A\nfor _ in range(2):\n    @B'
    main = "def $c0($r0):\n" + "\n".join(indent((body + "\n" + note + "\n~\n" + use).split("\n")))
    text = stack(rng, [*blocks, main]) if rng.random() < 0.6 else "\n\n\n".join([*blocks, main])
    if shape == "table":
        text = "\n\n\n".join([*rng.sample(blocks, 2), "@A", main])
    return write(rng, "python", tops + "\n\n" + text, names, [(turn(why, **slots[0]), turn(ok, **slots[1]))])


def wide_py_dot_cleaning(rng: random.Random) -> Sample:
    """Wrong: the path goes through a cleaning that leaves dots; right: through one after which none can climb."""
    return fitting(rng, dots_sample)


def upload_sample(rng: random.Random) -> Sample:
    """A handler of some web framework that stores, sends, shows or deletes a file."""
    names = cast(
        rng,
        w="receipts avatars scans contracts logos blueprints photos songs slides essays reports tickets",
        f="add_file put_file attach submit receive hand_in store_new",
        g="download send fetch_file get_back view_file stream export_file",
        d="remove drop_file discard forget erase_one",
        k="name file doc item key ref",
        u="upload part blob fileobj sent incoming",
        m="rec row meta info entry",
        p="path dest target full where",
        t="label shown title caption alias",
        db="db rows index catalog registry",
    )
    flask = ("from flask import Flask, abort, request, send_file, send_from_directory\nfrom werkzeug.utils import secure_filename"
             "\n\napp = Flask(__name__)\n")  # fmt: skip
    names["root"] = rng.choice(("/srv", "/var/www", "/data")) + "/" + names["w0"]
    consts = 'ROOT = "$root"\n$db0 = {}\n'
    kind = rng.choice(("upload", "upload", "send", "send", "delete", "aio", "form"))
    ids = rng.choice(("uuid4().hex", "secrets.token_hex(8)", '"%08d" % len($db0)', "str(time.time_ns())"))
    mods = {"uuid4": "from uuid import uuid4\n", "secrets": "import secrets\n", "time": "import time\n"}
    extra = "".join(line for mark, line in mods.items() if mark in ids)
    if kind == "upload":
        clean = rng.choice(
            ("secure_filename($u0.filename)", "os.path.basename($u0.filename)", ids, "hash_of($u0.filename)")
        )
        hash_of = (
            "\n\ndef hash_of(text):\n    return hashlib.sha256(text.encode()).hexdigest()\n"
            if "hash_of" in clean
            else ""
        )
        text = (
            "import hashlib\nimport os\n" + extra + flask + consts + hash_of
            + '\n\n@app.route("/$w1", methods=["POST"])\ndef $f0():\n    $u0 = request.files["$k0"]\n    @A\n    @B\n    ~\n'
            "    $p0 = os.path.join(ROOT, $k1)\n    ?os.makedirs(ROOT, exist_ok=True)\n    $u0.save($p0)\n    $db0[$t0] = $p0\n    return $t0"
        )  # fmt: skip
        ways = [
            (turn("$k1 is the client's own file name and may hold dots", A="!$k1 = $u0.filename", B="$t0 = " + clean),
             turn("$k1 cannot leave ROOT, the client's name is only a label", A="!$k1 = " + clean, B="$t0 = $u0.filename")),
            (turn("$k1 is the client's own file name and may hold dots", B="!$k1 = $u0.filename", A="$t0 = " + clean),
             turn("$k1 cannot leave ROOT, the client's name is only a label", B="!$k1 = " + clean, A="$t0 = $u0.filename")),
        ]  # fmt: skip
    elif kind == "send":
        const = rng.choice(('"none.png"', '"index.pdf"', "FALLBACK", '"empty.txt"'))
        test = rng.choice(('request.args.get("$t0")', "len($k0) > 60", '$k0 == "none"'))
        get = rng.choice(("arg", "route"))
        head = (
            '@app.route("/$w1/<path:$k0>")\ndef $g0($k0):' if get == "route"
            else '@app.route("/$w1")\ndef $g0():\n    $k0 = request.args["$k0"]'
        )  # fmt: skip
        held, raw = "send_from_directory(ROOT, {})", "send_file(os.path.join(ROOT, {}))"
        swap = rng.random() < 0.5
        body = f"\n    ~\n    if {test}:\n        @A\n    @B\n"
        body_consts = consts + 'FALLBACK = "fallback.bin"\n' if const == "FALLBACK" else consts
        text = (
            "import os\n"
            + flask.replace("from werkzeug.utils import secure_filename\n", "")
            + body_consts
            + "\n\n"
            + head
            + body
        )
        why = "$k0 is joined to ROOT as it came, only the fixed name is looked up inside the folder"
        ok = "send_from_directory refuses a $k0 that leaves ROOT, the other name is fixed"
        wrong = {"A": "return " + held.format(const), "B": "!return " + raw.format("$k0")}
        right = {"A": "return " + raw.format(const), "B": "!return " + held.format("$k0")}
        if swap and "$k0 ==" not in test:
            wrong = {"A": "!return " + raw.format("$k0"), "B": "return " + held.format(const)}
            right = {"A": "!return " + held.format("$k0"), "B": "return " + raw.format(const)}
        ways = [(turn(why, **wrong), turn(ok, **right))]
    elif kind == "delete":
        text = (
            "import os\n" + flask + consts + '\n\n@app.route("/$w1/<int:$m1>", methods=["«DELETE|POST»"])\ndef $d0($m1):\n'
            "    $m0 = $db0.get($m1)\n    if $m0 is None:\n        abort(404)\n    ~\n    @A\n    @B\n    os.«remove|unlink»($p0)\n"
            '    ?del $db0[$m1]\n    return f"gone: {$t0}"\n\n\n@app.route("/$w1", methods=["POST"])\ndef $f0():\n    $m1 = len($db0)\n'
            '    $u0 = request.files["$k0"]\n    $u0.save(f"{ROOT}/{$m1}")\n    $db0[$m1] = {"$p0": str($m1)}\n    return str($m1)'
        )  # fmt: skip
        own, given = '$m0["$p0"]', rng.choice(('request.args["$t0"]', 'request.form["$t0"]', 'request.json["$t0"]'))
        ways = [
            (turn("the file to delete is named by the request", A=f"!$p0 = os.path.join(ROOT, {given})", B=f"$t0 = {own}"),
             turn("the file to delete is named by the row", A=f"!$p0 = os.path.join(ROOT, {own})", B=f"$t0 = {given}")),
            (turn("the file to delete is named by the request", A=f"$t0 = {own}", B=f"!$p0 = ROOT + \"/\" + {given}"),
             turn("the file to delete is named by the row", A=f"$t0 = {given}", B=f"!$p0 = ROOT + \"/\" + {own}")),
        ]  # fmt: skip
    elif kind == "aio":
        text = (
            "import os\n" + extra + "\nfrom aiohttp import web\n\n" + consts + "\n\nasync def $f0(request):\n    $m0 = await request.«post|json»()\n"
            '    ~\n    @A\n    @B\n    with open(os.path.join(ROOT, $k0), "wb") as out:\n        out.write($m0["$u1"].encode())\n'
            '    $db0[$k1] = $k0\n    return web.json_response({"$t0": $k1})\n\n\ndef setup(app):\n    app.router.add_post("/$w1", $f0)'
        )  # fmt: skip
        clean = rng.choice(
            (ids, 'os.path.basename($m0["$t0"])', 'str(int($m0["$t0"]))', '$m0["$t0"].replace("/", "-")')
        )
        ways = [
            (turn("$k0 comes from the request as it is", A='!$k0 = $m0["$t0"]', B="$k1 = " + clean),
             turn("$k0 holds no slash, the free text $k1 is only a key", A="!$k0 = " + clean, B='$k1 = $m0["$t0"]')),
        ]  # fmt: skip
    else:
        text = (
            "from pathlib import Path\n" + extra + "\nfrom django.http import FileResponse, Http404, HttpResponse\n\n" + 'ROOT = Path("$root")\n$db0 = {}\n'
            '\n\ndef $g0(request, $k0):\n    @A\n        raise Http404("$w2")\n    ~\n    $p0 = ROOT / $k0\n    ?print("$w3", $p0)\n'
            '    return FileResponse($p0.open("rb"))\n\n\ndef $f0(request):\n    $t0 = request.POST["$t0"]\n    @B\n        return HttpResponse(status=400)\n'
            '    $db0[$t0] = request.user.id\n    return HttpResponse($t0)'
        )  # fmt: skip
        strict = rng.choice(
            (
                "{v} not in $db0",
                "not {v}.isidentifier()",
                "Path({v}).name != {v}",
                '"/" in {v} or {v} == ".."',
                "not {v}.isalnum()",
            )
        )
        loose = rng.choice(("not {v}", "len({v}) > 80", '{v}.endswith(".tmp")', "{v}.isspace()", '{v}.startswith("#")'))
        if "$db0" in strict:
            text = text.replace("$db0[$t0] = request.user.id", "SEEN = [$t0]").replace(
                "$db0 = {}", '$db0 = {"$w4", "$w5"}'
            )
        ways = [
            (turn("$k0 may hold slashes and dots", A=f"!if {loose.format(v='$k0')}:", B=f"if {strict.format(v='$t0')}:"),
             turn("a $k0 with slashes is refused", A=f"!if {strict.format(v='$k0')}:", B=f"if {loose.format(v='$t0')}:")),
        ]  # fmt: skip
    return write(rng, "python", text, names, ways)


def wide_py_upload(rng: random.Random) -> Sample:
    """Wrong: the client's own name decides the path on the server; right: it is a label, or looked up in the folder."""
    return fitting(rng, upload_sample)


# --- C families ------------------------------------------------------------------------------------------------------


def ops_cover_sample(rng: random.Random) -> Sample:
    """A request with an operation and a name; the test of the name covers some operations."""
    names = cast(
        rng,
        s="request command job ticket message entry verb_msg action",
        q="rq c m j it a",
        f="serve execute carry_out run_op apply_op act process_it work_on",
        h="odd_name foreign climbs bad_chars strange off_track",
        n="name file doc item title slot",
        w="notes maps tunes cards shots plans logs drafts songs",
        p="path full where target spot",
        k="FETCH STORE ERASE STATE COUNT RENEW HELLO PING",
        o="op kind verb code act_id",
    )
    n, q, o, p = "$q0->$n0", "$q0", "$o0", "$p0"
    make = f'snprintf({p}, sizeof {p}, "%s/%s", ROOT, {n});'
    risky = {
        "get": [make, f'FILE *in = fopen({p}, "rb");', "if (in)", "    fclose(in);"],
        "put": [make, f'FILE *out = fopen({p}, "w");', "if (out)", "    fclose(out);"],
        "del": [make, f"return unlink({p});"],
        "mv": [make, f'return rename("/tmp/incoming", {p});'],
        "rd": [make, f"return rmdir({p});"],
        "age": [make, f"return access({p}, R_OK);"],
    }
    calm = {
        "say": [f'printf("%s\\n", {n});'],
        "len": [f"return (int)strlen({n});"],
        "ver": ['puts("«1.2|2.0|3.1»");'],
        "cnt": [f"total += {n}[0] != 0;"],
        "idle": ["total++;"],
        "log": [f'fprintf(stderr, "$w1 %s\\n", {n});'],
    }
    acts = rng.sample(sorted(risky), rng.randint(2, 3))
    rest = rng.sample(sorted(calm), rng.randint(1, 2))
    order = [*acts, *rest]
    rng.shuffle(order)
    style = rng.choice(("char", "enum", "string", "number"))
    tags: dict[str, str] = {}
    letters = rng.sample("abcdefghklmnprstuvwxyz", len(order))
    for i, act in enumerate(order):
        tags[act] = {"char": f"'{letters[i]}'", "enum": f"$k{i}", "string": f'"{act}"', "number": str(i + 1)}[style]

    def same(act: str, negate: bool = False) -> str:
        if style == "string":
            return f"strcmp({q}->{o}, {tags[act]}) {'!=' if negate else '=='} 0"
        return f"{q}->{o} {'!=' if negate else '=='} {tags[act]}"

    missed, instead = rng.choice(acts), rng.choice(rest)
    test = f"$h0({n})"
    how = rng.choice(("list", "except", "inside", "inside", "needs"))
    wrong: dict[str, str] = {}
    right: dict[str, str] = {}
    guard = ["@A", "    return -1;"]
    if how == "list":
        covered = [*acts]
        rng.shuffle(covered)
        for slots, chosen in ((wrong, [instead if act == missed else act for act in covered]), (right, covered)):
            joined_tests = " || ".join(same(act) for act in chosen)
            slots["A"] = f"!if (({joined_tests}) && {test})"
    elif how == "except":
        for slots, act in ((wrong, missed), (right, instead)):
            left = [same(act, True)] + [same(other, True) for other in rest if other != instead]
            slots["A"] = f"!if ({' && '.join(left)} && {test})"
    elif how == "needs":
        for slots, act in ((wrong, instead), (right, missed)):
            slots["A"] = f"!int strict = {same(act)};"
        guard = ["@A"]
        others = [act for act in acts if act != missed]
        for act in others:
            guard.append(f"strict |= {same(act)};")
        guard += [f"if (strict && {test})", "    return -1;"]
    else:
        guard = []
    bodies: list[str] = []
    first = True
    for act in order:
        inner = [*(risky.get(act) or calm[act])]
        if how == "inside":
            if act == missed:
                inner = ["@A", *inner]
                right["A"] = f"!if ({test})\n    return -1;"
                wrong["A"] = f"!if ({n}[0] == 0)\n    return -1;"
            elif act == instead:
                inner = ["@B", *inner]
                right["B"] = f"if ({n}[0] == 0)\n    return -1;"
                wrong["B"] = f"if ({test})\n    return -1;"
            elif act in acts:
                inner = [f"if ({test})", "    return -1;", *inner]
        if style == "string":
            head = f"{'if' if first else '} else if'} ({same(act)}) {{"
            bodies += [head, *indent(inner)]
        else:
            ends = [] if inner[-1].startswith("return") else ["break;"]
            bodies += [f"case {tags[act]}: {{", *indent([*inner, *ends]), "}"]
        first = False
    if style == "string":
        switch = [*bodies, "}"]
    else:
        switch = [f"switch ({q}->{o}) {{", *bodies, "default:", "    return -1;", "}"]
    helper = rng.choice(
        (
            "static int $h0(const char *s) {\n    return strchr(s, '/') != NULL || s[0] == '.';\n}",
            'static int $h0(const char *s) {\n    return strstr(s, "..") != NULL;\n}',
            "static int $h0(const char *s) {\n    for (; *s; s++)\n        if (!isalnum((unsigned char)*s))\n            return 1;\n    return 0;\n}",
            "static int $h0(const char *s) {\n    if (*s == 0 || *s == '.')\n        return 1;\n    while (*s && *s != '/')\n        s++;\n    return *s == '/';\n}",
        )
    )
    kinds = {
        "char": f"    char {o};",
        "enum": f"    int {o};",
        "string": f"    char {o}[8];",
        "number": f"    unsigned {o};",
    }
    struct = ["struct $s0 {", *rng.sample([kinds[style], "    char $n0[«48|64|96»];"], 2), "};"]
    enum = "enum { " + ", ".join(f"$k{i}" for i in range(len(order))) + " };" if style == "enum" else ""
    main = [
        "int $f0(const struct $s0 *$q0) {",
        f"    char {p}[256];",
        "    ~",
        *indent([*guard, *switch]),
        "    return 0;",
        "}",
    ]
    text = "\n\n".join(
        part
        for part in (
            f'#define ROOT "/{rng.choice(("srv", "opt", "data"))}/$w0"',
            "static int total;",
            enum,
            "\n".join(struct),
            helper,
            "\n".join(main),
        )
        if part
    )
    names["act"] = missed
    why = f"{names['h0']} is not asked when the operation is {missed}, which uses the path"
    ok = "every operation that uses the path asks $h0 first"
    return write(rng, "c", c_includes(text) + "\n\n" + text, names, [(turn(why, **wrong), turn(ok, **right))])


def wide_c_ops_cover(rng: random.Random) -> Sample:
    """Wrong: one operation that uses the name is left out of the test; right: the test covers all that use it."""
    return fitting(rng, ops_cover_sample)


LAST_FIND = (
    (
        "char *{x} = strchr({v}, '{c}');\n{x} = {x} ? {x} + 1 : {v};",
        "char *{x} = strrchr({v}, '{c}');\n{x} = {x} ? {x} + 1 : {v};",
    ),
    (
        "char *{x} = {v};\nif (strchr({x}, '{c}'))\n    {x} = strchr({x}, '{c}') + 1;",
        "char *{x} = {v};\nwhile (strchr({x}, '{c}'))\n    {x} = strchr({x}, '{c}') + 1;",
    ),
    (
        "char *{x} = {v};\nfor (char *s = {v}; *s; s++)\n    if (*s == '{c}' && {x} == {v})\n        {x} = s + 1;",
        "char *{x} = {v};\nfor (char *s = {v}; *s; s++)\n    if (*s == '{c}' && {x} <= s)\n        {x} = s + 1;",
    ),
    ("char *{x} = from_1({v}, '{c}');", "char *{x} = from_2({v}, '{c}');"),
    ("char *{x} = from_2({v}, '{c}');", "char *{x} = from_1({v}, '{c}');"),
)  # fmt: skip


CUT_FIRST = (
    "while (*s && *s != mark)\n        s++;\n    return *s ? s + 1 : all;",
    "for (; *s; s++)\n        if (*s == mark)\n            return s + 1;\n    return all;",
    "s = strchr(s, mark);\n    return s ? s + 1 : all;",
)
CUT_LAST = (
    "s += strlen(s);\n    while (s > all && s[-1] != mark)\n        s--;\n    return s;",
    "for (; *s; s++)\n        if (*s == mark)\n            all = s + 1;\n    return all;",
    "s = strrchr(s, mark);\n    return s ? s + 1 : all;",
)


def last_part_sample(rng: random.Random) -> Sample:
    """A file name sent by a client is cut at a slash, and another text at another mark."""
    names = cast(
        rng,
        f="store_scan keep_photo land_file put_page take_part accept_doc save_clip",
        v="sent given client_name offered told remote_name",
        w="subject banner agent header line_in mail_to",
        x="leaf tail short_name last_bit end_part base_name",
        y="word field piece rest after hint",
        d="scans photos pages clips docs parts inbox",
        p="path full out_name dest",
        n="size len bytes count",
    )
    mark = rng.choice(".:;=,")
    weak, strong = rng.choice(LAST_FIND)
    cuts = [rng.choice(CUT_FIRST), rng.choice(CUT_LAST)]
    if "from_2" in weak:
        cuts = cuts[::-1]
    tools = [
        f"static char *from_{i + 1}(char *s, int mark) {{\n    char *all = s;\n    {cut}\n}}"
        for i, cut in enumerate(cuts)
    ]
    from_names = rng.sample(("skip_to", "rest_of", "part_of", "cut_at", "beyond", "after_mark", "split_off"), 2)
    first = rng.random() < 0.5
    mode = rng.choice(("find", "find", "which", "mark"))
    if mode == "find":
        slots = [
            {
                "A": one.format(x=names["x0"], v=names["v0"], c="/"),
                "B": two.format(x=names["y0"], v=names["w0"], c=mark),
            }
            for one, two in ((weak, strong), (strong, weak))
        ]
        pick = 1 if "\n" in weak and weak.startswith("char *{x} = {v};") and "while (*" not in weak else 0
        for slot in slots:
            rows = slot["A"].split("\n")
            at = pick if len(rows) > 1 else 0
            rows[at] = "!" + rows[at]
            slot["A"] = "\n".join(rows)
        why, ok = (
            "$x0 begins after the first slash of $v0, so it may hold further slashes and dots",
            "$x0 begins after the last slash",
        )
        uses = ["$x0", "$x0"]
    elif mode == "which":
        slots = [
            {
                "A": strong.format(x=names["x0"], v=names["v0"], c="/"),
                "B": strong.format(x=names["y0"], v=names["w0"], c=mark),
            }
        ] * 2
        uses = ["$v0", "$x0"]
        why, ok = (
            "the path is made from $v0 itself, $x0 only goes to the log",
            "only $x0, what follows the last slash, is used",
        )
    else:
        other = rng.choice(("\\\\", ":", mark))
        slots = [
            {
                "A": strong.format(x=names["x0"], v=names["v0"], c=one),
                "B": strong.format(x=names["y0"], v=names["w0"], c=two),
            }
            for one, two in ((other, "/"), ("/", other))
        ]
        uses = ["$x0", "$x0"]
        why, ok = "$v0 is cut at the wrong character, so $x0 may hold slashes and dots", "$x0 holds no slash"
        for slot in slots:
            rows = slot["A"].split("\n")
            cuts = (f"'{other}'", f'"{other}"', "'/'", '"/"')
            at = next(i for i, row in enumerate(rows) if any(cut in row for cut in cuts))
            rows[at] = "!" + rows[at]
            slot["A"] = "\n".join(rows)
    make = rng.choice(
        (
            'snprintf($p0, sizeof $p0, "%s/%s", DIR, {});',
            'snprintf($p0, sizeof $p0, DIR "/%.100s", {});',
            'strcpy($p0, DIR "/");\nstrncat($p0, {}, 100);',
            'sprintf($p0, "%s/%.*s", DIR, 100, {});',
        )
    )
    log = rng.choice(('fprintf(stderr, "%s %s\\n", {}, $y0);', 'printf("%s (%s)\\n", {}, $y0);'))
    others = ["$x0", "$v0"] if uses[0] != uses[1] else ["$v0", "$v0"]
    for slot_index, slot in enumerate(slots):
        made = make.format(uses[slot_index])
        if uses[0] != uses[1]:
            rows = made.split("\n")
            rows[-1] = "!" + rows[-1]
            made = "\n".join(rows)
        slots[slot_index] = slot | {"C": made, "D": log.format(others[slot_index])}
    use = rng.choice(
        (
            'FILE *out = fopen($p0, "wb");\nif (!out)\n    return -1;\nfwrite(data, 1, $n0, out);\nreturn fclose(out);',
            "int fd = open($p0, O_WRONLY | O_CREAT, 0600);\nif (fd < 0)\n    return -1;\nwrite(fd, data, $n0);\nreturn close(fd);",
            'FILE *out = fopen($p0, "a");\nif (out) {\n    fputs(data, out);\n    fclose(out);\n}\nreturn (int)$n0;',
            "if ($n0 == 0)\n    return unlink($p0);\nreturn rename(data, $p0);",
        )
    )
    two = "@A\n@B" if first else "@B\n@A"
    body = (
        f"char $p0[256];\n?if ($n0 > 65536)\n?    return -1;\n~\n{two}\n~\n"
        + ("@C\n@D" if rng.random() < 0.5 else "@D\n@C")
        + "\n"
        + use
    )
    body = body.replace("?if ($n0 > 65536)\n?    return -1;\n", rng.choice(("", "if ($n0 > 65536)\n    return -1;\n")))
    main = (
        "int $f0(char *$v0, char *$w0, const char *data, size_t $n0) {\n" + "\n".join(indent(body.split("\n"))) + "\n}"
    )
    caller = rng.choice(
        (
            "",
            '\n\nint main(void) {\n    char a[200], b[200];\n    while (scanf("%199s %199s", a, b) == 2)\n        $f0(a, b, "«opening|records|waiting»", «1|2|5»);\n    return 0;\n}',
            "\n\nstruct job {\n    char who[64], what[64];\n};\n\nint run(struct job *j) {\n    return $f0(j->what, j->who, j->who, strlen(j->who));\n}",
        )
    )
    used = "from_" in weak
    text = "\n\n".join(
        [
            f'#define DIR "/{rng.choice(("srv", "var/spool", "data"))}/$d0"',
            *(rng.sample(tools, 2) if used else []),
            main,
        ]
    )
    text += caller
    slot_text = text + slots[0]["A"]
    head = c_includes(slot_text) + (
        "\n#include <unistd.h>" if "write(fd" in text and "unistd" not in c_includes(slot_text) else ""
    )
    for i, word in enumerate(from_names, 1):
        text = text.replace(f"from_{i}", word)
        slots = [{key: slot.replace(f"from_{i}", word) for key, slot in side.items()} for side in slots]
    return write(rng, "c", head + "\n\n" + text, names, [(turn(why, **slots[0]), turn(ok, **slots[1]))])


def wide_c_last_part(rng: random.Random) -> Sample:
    """Wrong: the name is cut at its first slash or another mark, or the cut part is not used; right: after the last."""
    return fitting(rng, last_part_sample)


def depth_walk_sample(rng: random.Random) -> Sample:
    """The parts of a path are walked and their depth is counted."""
    names = cast(
        rng,
        h="stays_inside below_top within level_ok depth_of_path walk_parts",
        g="open_rel load_asset send_doc fetch_page get_model read_tile",
        d="depth level deep down_by nesting",
        c="parts pieces steps total seen_parts",
        s="rel name sub_path wanted uri",
        p="p cur at_pos part tok",
        n="n len span width",
        m="MAX_PARTS LIMIT PART_MAX TOP_LEVELS",
        r="assets pages models tiles skins shaders",
        f="full path where buf",
    )
    limit = rng.randint(5, 32)
    style = rng.choice(("tok", "scan", "split"))
    is_up, is_dot, is_void = {
        "tok": ('strcmp($p0, "..") == 0', 'strcmp($p0, ".") == 0', "$p0[0] == 0"),
        "scan": ("$n0 == 2 && $p0[0] == '.' && $p0[1] == '.'", "$n0 == 1 && $p0[0] == '.'", "$n0 == 0"),
        "split": ('$n0 == 2 && memcmp($p0, "..", 2) == 0', "$n0 == 1 && $p0[0] == '.'", "$n0 == 0"),
    }[style]
    fail, win = rng.choice((("-1", "0"), ("0", "1")))
    mode = rng.choice(("late", "late", "dot", "sign", "which"))
    skip = f"if ({is_void} || {is_dot})" if style != "tok" else f"if ({is_dot})"
    low, many = rng.choice(("$d0 < 0", "$d0 <= -1", "0 > $d0")), rng.choice(("$c0 > $m0", "$c0 >= $m0"))
    why = "$d0 is compared only at the end, so a path may climb out and come back to other folders"
    ok = "$d0 is compared after each part, so no part may climb above the start"
    inner = [f"{skip} {{", "    @N", "} else if (" + is_up + ") {", "    $d0--;", "} else {", "    $d0++;", "}"]
    wrong: dict[str, str]
    right: dict[str, str]
    count = "$c0++;"
    if mode == "late":
        inner = [count, *inner, "@A", f"    return {fail};"]
        after = ["@B", f"    return {fail};"]
        wrong = {"A": f"if ({many})", "B": f"!if ({low})", "N": ";"}
        right = {"A": f"!if ({low})", "B": f"if ({many})", "N": ";"}
    elif mode == "which":
        inner = [count, *inner, "@A", f"    return {fail};"]
        after = ["@B", f"    return {fail};"]
        why = "$c0 is never below zero, so a path may climb above the start by its dots"
        wrong = {"A": "!if ($c0 < 0)", "B": "if ($d0 > $m0)", "N": ";"}
        right = {"A": "!if ($d0 < 0)", "B": "if ($c0 > $m0)", "N": ";"}
    elif mode == "dot":
        inner = [*inner, f"if ({low})", f"    return {fail};"]
        after = [f"if ({many})", f"    return {fail};"]
        why = "a part that goes nowhere counts as a step down, which pays for a later step up"
        ok = "a part that goes nowhere leaves $d0 alone"
        wrong = {"N": "!$d0++;"}
        right = {"N": "!$c0++;"}
    else:
        inner = [count, *inner, "@A", f"    return {fail};"]
        after = ["@B", f"    return {fail};"]
        bound = rng.choice(("-1", "-$m0", "-2"))
        why = f"{names['d0']} may fall to {Template(bound).substitute(names)} before the walk is stopped"
        wrong = {"A": f"!if ($d0 < {bound})", "B": "if ($c0 < 0)", "N": ";"}
        right = {"A": "!if ($d0 < 0)", "B": f"if ($c0 < {bound})", "N": ";"}
    start = rng.sample(["int $d0 = 0;", "int $c0 = 0;"], 2)
    if style == "tok":
        walk = [
            "char copy[200];", *start, "char *save = NULL;", 'snprintf(copy, sizeof copy, "%s", $s0);', "if (strlen($s0) >= sizeof copy)", f"    return {fail};",
            'for (char *$p0 = strtok_r(copy, "/", &save); $p0; $p0 = strtok_r(NULL, "/", &save)) {', *indent(inner), "}",
        ]  # fmt: skip
    elif style == "scan":
        walk = [
            *start, "const char *$p0 = $s0;", "while (*$p0) {", "    size_t $n0 = 0;", "    while ($p0[$n0] && $p0[$n0] != '/')", "        $n0++;",
            *indent(inner), "    $p0 += $n0 + ($p0[$n0] == '/');", "}",
        ]  # fmt: skip
    else:
        walk = [
            *start, "const char *$p0 = $s0, *end;", "do {", "    end = strchr($p0, '/');", "    size_t $n0 = end ? (size_t)(end - $p0) : strlen($p0);",
            *indent(inner), "    $p0 = end ? end + 1 : NULL;", "} while ($p0);",
        ]  # fmt: skip
    helper = "static int $h0(const char *$s0) {\n" + "\n".join(indent([*walk, *after, f"return {win};"])) + "\n}"
    refuse = "$h0(rel_in) < 0" if fail == "-1" else "!$h0(rel_in)"
    make = rng.choice(
        ('snprintf($f0, sizeof $f0, "%s/%s", ROOT, rel_in);', 'snprintf($f0, sizeof $f0, ROOT "/%s", rel_in);')
    )
    shape = rng.choice(
        (
            f'FILE *$g0(const char *rel_in) {{\n    char $f0[300];\n    if ({refuse})\n        return NULL;\n    ~\n    {make}\n    return fopen($f0, "rb");\n}}',
            f"int $g0(const char *rel_in) {{\n    char $f0[300];\n    {make}\n    ~\n    if ({refuse})\n        return -1;\n    return open($f0, O_RDONLY);\n}}",
            f'long $g0(const char *rel_in) {{\n    char $f0[300];\n    long got = -1;\n    {make}\n    FILE *fp = {refuse} ? NULL : fopen($f0, "r");\n'
            "    if (fp) {\n        fseek(fp, 0, SEEK_END);\n        got = ftell(fp);\n        fclose(fp);\n    }\n    return got;\n}",
        )
    )
    text = (
        f'#define ROOT "/{rng.choice(("srv", "opt", "usr/share"))}/$r0"\n#define $m0 {limit}\n\n'
        + helper
        + "\n\n"
        + shape
    )
    return write(rng, "c", c_includes(text) + "\n\n" + text, names, [(turn(why, **wrong), turn(ok, **right))])


def wide_c_depth_walk(rng: random.Random) -> Sample:
    """Wrong: the depth is compared too late, with the wrong bound, or counted wrong; right: after each part with zero."""
    return fitting(rng, depth_walk_sample)


def numeric_name_sample(rng: random.Random) -> Sample:
    """A record with a number and a text from outside; one of them names the file."""
    names = cast(
        rng,
        s="sample reading shipment parcel visit booking order_rec reply vote",
        v="r rec s_in it cur",
        t="tag label note owner color unit_name site",
        n="id serial number seq index port",
        f="keep persist archive_rec file_it put_away dump_one",
        m="parse next_rec scan_line decode_rec split_line",
        w="readings visits parcels votes samples bookings",
        p="path out_path target_path fname",
        k="KINDS UNITS GROUPS SHELVES",
        l="line text row buf",
    )
    words = rng.sample(("red", "blue", "north", "south", "cold", "warm", "left", "right", "high", "low"), 4)
    num_forms = [
        ("%u", "$v0->$n0"), ("%08x", "$v0->$n0"), ("%05u", "$v0->$n0 % 100000"), ("%s", "$k0[$v0->$n0 % 4]"),
        ("%d", "(int)$v0->$n0"), ("%u", "hash_of($v0->$t0)"), ("%zu", "strlen($v0->$t0)"), ("%c", "'a' + $v0->$n0 % 26"),
    ]  # fmt: skip
    text_forms = [("%s", "$v0->$t0"), ("%.40s", "$v0->$t0"), ("%s", "$v0->$t0[0] ? $v0->$t0 : \"none\""), ("%s", "$v0->$t0 + ($v0->$t0[0] == ' ')"),
                  ("%-8s", "$v0->$t0")]  # fmt: skip
    num, text_form = rng.choice(num_forms), rng.choice(text_forms)
    if num[0] == "%c":
        num = ("%c", "(char)('a' + $v0->$n0 % 26)")
    ext = rng.choice((".rec", ".txt", ".bin", "", ".csv"))
    log_word = rng.choice(("kept", "got", "new", "stored"))
    how = rng.choice(("direct", "direct", "buffer", "helper", "pointer"))
    log_to = rng.choice(("stderr", "stdout"))

    def lines(name: tuple[str, str], shown: tuple[str, str], mark: str) -> dict[str, str]:
        if how == "direct":
            return {
                "A": f'!snprintf($p0, sizeof $p0, ROOT "/{name[0]}{ext}", {name[1]});',
                "B": f'snprintf($p1, sizeof $p1, ROOT "/{shown[0]}{ext}", {shown[1]});',
            }
        if how == "buffer":
            return {
                "A": f'!snprintf(stem, sizeof stem, "{name[0]}", {name[1]});',
                "B": f'snprintf($p1, sizeof $p1, "{shown[0]}", {shown[1]});',
            }
        if how == "helper":
            return {
                "A": f'char one[64], two[64];\n!snprintf(one, sizeof one, "{name[0]}", {name[1]});\nsnprintf(two, sizeof two, "{shown[0]}", {shown[1]});',
                "B": f'snprintf($p0, sizeof $p0, "%s/%s{ext}", ROOT, one);\nfprintf({log_to}, "{log_word} %s\\n", two);',
            }
        return {"A": f'char one[64], two[64];\nsnprintf(one, sizeof one, "{num[0]}", {num[1]});\nsnprintf(two, sizeof two, "{text_form[0]}", {text_form[1]});',
                "B": f'!snprintf($p0, sizeof $p0, "%s/%s{ext}", ROOT, {mark});\nfprintf({log_to}, "{log_word} %s\\n", {"one" if mark == "two" else "two"});'}  # fmt: skip

    bad, good = lines(text_form, num, "two"), lines(num, text_form, "one")
    why = "the file is named by $t0, a free text of the record, that may hold slashes and dots"
    ok = "the file is named by a number or a fixed word, the text $t0 is only shown"
    parse = rng.choice(
        (
            'static int $m0(const char *$l0, struct $s0 *$v0) {\n    return sscanf($l0, "%u %63[^\\n]", &$v0->$n0, $v0->$t0) == 2;\n}',
            "static int $m0(char *$l0, struct $s0 *$v0) {\n    char *cut = strchr($l0, «';'|','|'='»);\n    if (!cut)\n        return 0;\n"
            '    $v0->$n0 = strtoul($l0, NULL, 10);\n    snprintf($v0->$t0, sizeof $v0->$t0, "%s", cut + 1);\n    return 1;\n}',
            "static int $m0(const unsigned char *$l0, struct $s0 *$v0) {\n    $v0->$n0 = $l0[0] << 8 | $l0[1];\n"
            "    memcpy($v0->$t0, $l0 + 2, sizeof $v0->$t0 - 1);\n    $v0->$t0[sizeof $v0->$t0 - 1] = 0;\n    return $v0->$n0 != 0;\n}",
            "",
        )
    )
    use = rng.choice(
        (
            'FILE *out = fopen($p0, "a");\nif (!out)\n    return -1;\nfputs($v0->$t0, out);\nreturn fclose(out);',
            "if (access($p0, F_OK) == 0)\n    return unlink($p0);\nreturn 0;",
            "int fd = open($p0, O_RDONLY);\nif (fd < 0)\n    return -1;\nclose(fd);\nreturn 1;",
            'return rename("/tmp/$w0.part", $p0);',
        )
    )
    order = rng.random() < 0.5 or how in ("helper", "pointer")
    plain = how in ("direct", "buffer")
    body = ["char $p0[200];"] + (["char $p1[200];"] if plain else []) + (["char stem[80];"] if how == "buffer" else [])
    body += ["~", "@A" if order else "@B", "~", "@B" if order else "@A"]
    if how == "buffer":
        body.append(f'snprintf($p0, sizeof $p0, "%s/%s{ext}", ROOT, stem);')
    if plain:
        body.append(f'fprintf({log_to}, "{log_word} %s\\n", $p1);')
    body += use.split("\n")
    main = "static int $f0(const struct $s0 *$v0) {\n" + "\n".join(indent(body)) + "\n}"
    loop = rng.choice(
        (
            "int main(void) {\n    char line_in[128];\n    struct $s0 one_rec;\n    while (fgets(line_in, sizeof line_in, stdin))\n"
            "        if ($m0(«(void *)»line_in, &one_rec))\n            $f0(&one_rec);\n    return 0;\n}",
            "int handle_block(char *block, int blocks) {\n    struct $s0 one_rec;\n    int bad = 0;\n    for (int i = 0; i < blocks; i++)\n"
            "        if ($m0((void *)(block + 128 * i), &one_rec))\n            bad += $f0(&one_rec) < 0;\n    return bad;\n}",
        )
    )
    if not parse:
        loop = "int handle_all(const struct $s0 *list, int count) {\n    int bad = 0;\n    while (count-- > 0)\n        bad += $f0(list++) < 0;\n    return bad;\n}"
    struct = "struct $s0 {\n" + "\n".join(rng.sample(["    unsigned $n0;", "    char $t0[64];"], 2)) + "\n};"
    table = (
        "static const char *$k0[] = { " + ", ".join(f'"{word}"' for word in words) + " };" if "$k0" in num[1] else ""
    )
    hashing = (
        "static unsigned hash_of(const char *s) {\n    unsigned h = «5381|17|2166136261u»;\n    while (*s)\n        h = h * «33|31|16777619» + (unsigned char)*s++;\n    return h;\n}"
        if "hash_of" in num[1] else ""
    )  # fmt: skip
    root = f'#define ROOT "/{rng.choice(("srv", "var/spool", "data"))}/$w0"'
    helpers = [part for part in (parse, main) if part]
    rng.shuffle(helpers)
    text = "\n\n".join(part for part in (root, struct, table, hashing, *helpers, loop) if part)
    return write(rng, "c", c_includes(text) + "\n\n" + text, names, [(turn(why, **bad), turn(ok, **good))])


def wide_c_numeric_name(rng: random.Random) -> Sample:
    """Wrong: a record's free text names the file; right: its number or a table's word does, the text is shown."""
    return fitting(rng, numeric_name_sample)


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-22", name="wide_py_flow", language="python", held_out=True, make=wide_py_flow),
    Family(cwe="CWE-22", name="wide_c_flow", language="c", held_out=True, make=wide_c_flow),
    Family(cwe="CWE-22", name="wide_py_store_methods", language="python", held_out=True, make=wide_py_store_methods),
    Family(cwe="CWE-22", name="wide_py_narrow_parts", language="python", held_out=True, make=wide_py_narrow_parts),
    Family(cwe="CWE-22", name="wide_py_bundle_loops", language="python", held_out=True, make=wide_py_bundle_loops),
    Family(cwe="CWE-22", name="wide_py_verdict_styles", language="python", held_out=True, make=wide_py_verdict_styles),
    Family(cwe="CWE-22", name="wide_py_dot_cleaning", language="python", held_out=True, make=wide_py_dot_cleaning),
    Family(cwe="CWE-22", name="wide_py_upload", language="python", held_out=True, make=wide_py_upload),
    Family(cwe="CWE-22", name="wide_c_ops_cover", language="c", held_out=True, make=wide_c_ops_cover),
    Family(cwe="CWE-22", name="wide_c_last_part", language="c", held_out=True, make=wide_c_last_part),
    Family(cwe="CWE-22", name="wide_c_depth_walk", language="c", held_out=True, make=wide_c_depth_walk),
    Family(cwe="CWE-22", name="wide_c_numeric_name", language="c", held_out=True, make=wide_c_numeric_name),
)
