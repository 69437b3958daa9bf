"""Wide pair families in C for CWE-476 (NULL pointer dereference), and the small forge that both wide C files use.

A program is a text in which `$name` is an identifier or an inline piece, a line `@slot` is replaced by the lines of
that slot (nested slots are followed), and a line that starts with `!` is the flawed (or the mending) one; without
such a line the first line in which the two sides differ is taken.
"""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Sequence
from string import Template
from textwrap import dedent

from training.families.contract import Family, Sample
from training.families.cwe_787 import Way, way

MARK = "\x01"
HEADERS = (
    ("stdio.h", r"\b(printf|fprintf|snprintf|puts|fgets|FILE|popen|tmpfile|fputs|putchar|fclose|fdopen|perror)\b"),
    ("stdlib.h", r"\b(malloc|calloc|realloc|free|atoi|strtol|abort|exit|bsearch|abs|getenv)\b"),
    ("string.h", r"\b(str(len|cmp|ncmp|cpy|ncpy|dup|ndup|chr|rchr|str|pbrk|cspn|cat)|mem(cpy|set|chr|move|cmp))\b"),
    ("stddef.h", r"\b(NULL|size_t|NUL|OK)\b"),
    ("stdint.h", r"\bu?int(8|16|32|64)_t\b"),
    ("ctype.h", r"\b(isdigit|isalpha|toupper|tolower|isspace)\b"),
    ("assert.h", r"\bassert\("),
    ("dirent.h", r"\b(opendir|readdir|DIR)\b"),
    ("pwd.h", r"\bgetpwnam|getpwuid\b"),
    ("grp.h", r"\bgetgrnam|getgrgid\b"),
    ("netdb.h", r"\bgetservbyname|gethostbyname|getprotobyname\b"),
    ("unistd.h", r"\b(getuid|getgid|close)\("),
)
REMARKS = (
    "see the notes in the wiki",
    "hot path",
    "called from the main loop",
    "keep in sync with the docs",
    "order matters here",
    "caller holds the lock",
    "TODO: split this up",
    "TODO: add a test",
    "checked by the caller",
    "this cannot fail in practice",
    "legacy behaviour",
    "as in the protocol draft",
    "found by the fuzzer",
    "reviewed twice",
    "fast path first",
    "ported from the old tree",
    "never happens on 64 bit",
    "XXX revisit",
    "may be slow for big inputs",
    "the common case",
    "not thread safe",
    "ownership stays with the caller",
    "used by the tests only",
    "same layout as on the wire",
    "cheap enough",
    "numbers come from the field trial",
)


def mix(first: str, second: str) -> str:
    """All words `a_b` with a of `first` and b of `second`."""
    return " ".join(f"{a}_{b}" for a in first.split() for b in second.split())


def cast(rng: random.Random, **pools: str) -> dict[str, str]:
    """One distinct word per role, all in one spelling."""
    camel = rng.random() < 0.25
    taken: set[str] = set()
    names = {}
    for role, pool in pools.items():
        words = pool.split()
        word = rng.choice(words)
        while word in taken:
            word = rng.choice(words)
        taken.add(word)
        if camel and not word.isupper():
            word = re.sub(r"_(\w)", lambda found: found.group(1).upper(), word)
        names[role] = word
    return names


def expand(text: str, slots: dict[str, str]) -> list[str]:
    """The lines of `text` with its `@slot` lines replaced."""
    lines: list[str] = []
    for line in dedent(text).strip("\n").split("\n"):
        bare = line.strip()
        if not bare.startswith("@"):
            lines.append(line.rstrip())
            continue
        inner = slots.get(bare[1:], "")
        if inner.strip():
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + part if part else "" for part in expand(inner, slots)]
    return lines


def head_end(text: str) -> int:
    """Where the parenthesis that `text` opens first is closed."""
    depth = 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == ")" and depth == 0:
            return at + 1
    return -1


def unfold(line: str, how: str) -> list[str]:
    """A one-line `if (...) statement;` in the layout `how` (one, two, brace)."""
    bare = line.lstrip()
    pad, mark = line[: len(line) - len(bare)], MARK if MARK in line else ""
    bare = bare.replace(MARK, "")
    if re.match(r"else [^i{]", bare):
        head, body = "else", bare[5:]
    elif re.match(r"(else )?(if|for|while) \(", bare):
        end = head_end(bare)
        head, body = bare[:end], bare[end:].strip()
    else:
        return [line]
    if body.startswith("{") and body.endswith("}") and len(body) > 2:
        parts = [part.strip() + ";" for part in body[1:-1].split(";") if part.strip()]
        return [f"{pad}{head} {{{mark}", *(f"{pad}    {part}" for part in parts), pad + "}"]
    if not body or body.startswith("{") or not body.endswith(";") or body == ";":
        return [line]
    if how == "one":
        return [line]
    if how == "two":
        return [f"{pad}{head}{mark}", f"{pad}    {body}"]
    return [f"{pad}{head} {{{mark}", f"{pad}    {body}", pad + "}"]


def typedefs(text: str, suffix: str) -> str:
    """Every `struct x {` of the text as a typedef."""
    for name in re.findall(r"(?m)^struct (\w+) \{$", text):
        if re.search(rf"\bstruct {name}\b(?! \{{\n)", text[: text.index(f"struct {name} {{\n")]):
            continue
        new = name.title().replace("_", "") if suffix == "Title" else name + suffix
        body = re.search(rf"(?ms)^struct {name} \{{\n(.*?)^\}};", text)
        assert body is not None, text
        inner = body.group(1).replace(f"struct {name} ", f"struct\x02 {name} ")
        text = text.replace(body.group(), f"typedef struct\x02 {name} {{\n{inner}}} {new};")
        text = re.sub(rf"\bstruct {name}\b", new, text)
    return text.replace("\x02", "")


def reorder(rng: random.Random, texts: list[str]) -> list[str]:
    """The functions of the texts in another order, with prototypes."""
    cut = [re.split(r"\n\n(?=\S)", text) for text in texts]
    at = [k for k, block in enumerate(cut[0]) if re.search(r"(?m)^\{", block)]
    whole = at == list(range(len(cut[0]) - len(at), len(cut[0])))
    if len(at) < 2 or not whole or any(len(blocks) != len(cut[0]) for blocks in cut):
        return texts
    order = at[:]
    rng.shuffle(order)
    done = []
    for blocks in cut:
        heads = [re.sub(r"(?s)\n\{.*", ";", re.sub(r"(?m)^(/\*|//).*\n", "", blocks[k])) for k in at]
        fresh = blocks[:]
        for k, other in zip(at, order, strict=True):
            fresh[k] = blocks[other]
        fresh.insert(at[0], "\n".join(heads))
        done.append("\n\n".join(fresh))
    return done


def looks(rng: random.Random, texts: list[str]) -> list[str]:
    """All texts in one drawn layout."""
    null = rng.choice(("!", "!", "NULL", "NULL", "yoda"))
    how = rng.choice(("one", "two", "two", "brace"))
    joined, indent = rng.random() < 0.45, rng.choice(("    ", "    ", "  ", "\t"))
    alias, post = rng.choice(("", "", "", "_t", "Title")), rng.random() < 0.8
    flat = {"!": r"!\1", "NULL": r"\1 == NULL", "yoda": r"NULL == \1"}[null]
    full = {"!": r"\1", "NULL": r"\1 != NULL", "yoda": r"NULL != \1"}[null]
    if rng.random() < 0.25:
        texts = reorder(rng, texts)
    done = []
    for plain in texts:
        text = re.sub(r"NUL\(([^()]*)\)", flat, plain)
        text = re.sub(r"OK\(([^()]*)\)", full, text)
        text = "\n".join(part for line in text.split("\n") for part in unfold(line, how))
        text = text if post else re.sub(r"; (\w+)\+\+\)", r"; ++\1)", text)
        text = typedefs(text, alias) if alias else text
        text = re.sub(r"\)\n\{\n", ") {\n", text) if joined else text
        done.append(re.sub(r"(?m)^( {4})+", lambda found: indent * (len(found.group()) // 4), text))
    return done


def marked(lines: list[str], others: list[str]) -> str:
    """The marked line, else the first line that the others do not have at that place."""
    for line in lines:
        if MARK in line:
            return line.replace(MARK, "").strip()
    lines, others = [line.strip() for line in lines], [line.strip() for line in others]
    spots = [
        line
        for tag, low, high, _, _ in difflib.SequenceMatcher(None, lines, others, autojunk=False).get_opcodes()
        if tag != "equal"
        for line in lines[low:high]
        if re.search(r"[a-zA-Z]", line)
        and line not in ("else", "else {", "} else {")
        and not line.startswith(("/*", "//"))
    ]
    fresh = [line for line in spots if line not in others]
    return (fresh or spots or [""])[0]


def forge(rng: random.Random, names: dict[str, str], text: str, bad: Way, good: Way, **common: str) -> Sample:
    """Writes the two programs: `text` with `names`, the `common` slots and those of each way."""
    for key in ("n0", "n1", "n2", "n3"):
        remark = rng.choice(REMARKS)
        shown = rng.choice((f"/* {remark} */", f"// {remark}")) if rng.random() < 0.16 else ""
        common[key] = shown if not common.get(key) or rng.random() < 0.3 else common[key]
    bodies, whys = [], []
    for side in (bad, good):
        slots = common | side.slots
        table = names | {key: value.removeprefix("! ") for key, value in slots.items() if key not in names}
        body = "\n".join(expand(text, slots))
        for _ in range(3):
            body = Template(body).substitute(table)
        body = re.sub(r"(?m)^( *)! (.*)$", rf"\1\2{MARK}", body)
        bodies.append(body)
        why = side.why
        for _ in range(3):
            why = Template(why).substitute(table)
        whys.append(why)
    top = [name for name, pattern in HEADERS if any(re.search(pattern, body) for body in bodies)]
    if "stddef.h" in top and len(set(top) & {"string.h", "stdlib.h", "stdio.h"}) > 0:
        top.remove("stddef.h")
    rng.shuffle(top)
    head = "\n".join(f"#include <{name}>" for name in top)
    head += f"\n\n/* {rng.choice(REMARKS)} */" if rng.random() < 0.08 else ""
    texts = [re.sub(r"\n{3,}", "\n\n", f"{head}\n\n{body}\n") for body in looks(rng, bodies)]
    rows = [body.split("\n") for body in texts]
    return Sample(
        vulnerable=texts[0].replace(MARK, ""),
        patched=texts[1].replace(MARK, ""),
        flaw=marked(rows[0], [row.replace(MARK, "") for row in rows[1]]),
        fix=marked(rows[1], [row.replace(MARK, "") for row in rows[0]]),
        reason=whys[0],
        reason_patched=whys[1],
    )


def mirror(m: str, s: str, leave: str, sink: str, why: str, *, cond: str = "") -> list[tuple[Way, Way]]:
    """Pairs of guards made of the same words: `m` may be NULL (for the reason `why`) and is used by `sink`, `s` is
    something else; `cond` is a condition that says nothing of `m`."""
    one = "\n" not in sink and not sink.startswith(("if", "for", "while"))
    pairs = [
        (
            way(f"{s} is checked, but {why}", guard=f"! if (NUL({s})) {leave}", sink=sink),
            way(f"a NULL {m} leaves before its use", guard=f"! if (NUL({m})) {leave}", sink=sink),
        ),
        (
            way(f"only both being NULL leaves, but {why}", guard=f"! if (NUL({m}) && NUL({s})) {leave}", sink=sink),
            way(
                f"either being NULL leaves before the use of {m}",
                guard=f"! if (NUL({m}) || NUL({s})) {leave}",
                sink=sink,
            ),
        ),
        (
            way(f"{m} is used before its check, and {why}", guard="", sink=f"! {sink}\nif (NUL({m})) {leave}"),
            way(f"a NULL {m} leaves before its use", guard=f"! if (NUL({m})) {leave}", sink=sink),
        ),
    ]
    if one:
        pairs += [
            (
                way(f"{s} guards the use of {m}, but {why}", sink=f"! if (OK({s})) {sink}"),
                way(f"{m} is used only when it is set", sink=f"! if (OK({m})) {sink}"),
            ),
            (
                way(f"{s} being set is enough to use {m}, but {why}", sink=f"! if (OK({m}) || OK({s})) {sink}"),
                way(f"{m} is used only when both are set", sink=f"! if (OK({m}) && OK({s})) {sink}"),
            ),
        ]
    if cond:
        pairs += [
            (
                way(f"{s} and {cond} are checked, but {why}", guard=f"! if (NUL({s}) || {cond}) {leave}", sink=sink),
                way(f"a NULL {m} leaves whatever else holds", guard=f"! if (NUL({m}) || {cond}) {leave}", sink=sink),
            ),
            (
                way(
                    f"a NULL {m} leaves only with {cond}, but {why}",
                    guard=f"! if (NUL({m}) && {cond}) {leave}",
                    sink=sink,
                ),
                way(f"a NULL {m} leaves whatever else holds", guard=f"! if (NUL({m}) || {cond}) {leave}", sink=sink),
            ),
        ]
        if one:
            pairs.append(
                (
                    way(f"{cond} is enough to use {m}, but {why}", sink=f"! if (OK({m}) || {cond}) {sink}"),
                    way(f"{m} must be set, too", sink=f"! if (OK({m}) && {cond}) {sink}"),
                )
            )
    return pairs


def choose(
    rng: random.Random, same: Sequence[tuple[Way, Way]], wrong: Sequence[Way] = (), right: Sequence[Way] = ()
) -> tuple[Way, Way]:
    """A pair of ways: mostly one of `same`, else any of `wrong` with any of `right`."""
    if not wrong or not right or rng.random() < 0.6:
        return rng.choice(list(same))
    return rng.choice(list(wrong)), rng.choice(list(right))


def nullable_helpers_flow(rng: random.Random) -> Sample:
    """One of two lookups may give NULL and the guard stands on the other's result or too late; right: it covers the
    value that may be NULL before that value is used."""
    names = cast(
        rng,
        T="item parcel sensor member ticket crate vehicle port drone",
        tab="stock all_items registry known rows shelf fleet",
        f="amount weight level price score speed",
        k="id code key serial number",
        h1=mix("find get look_up search", "by_id entry one match"),
        h2=mix("pick select fetch take obtain", "row element slot record"),
        fn=mix("update apply show handle transfer sum", "request change total pair order"),
        a="p first cur src it left",
        b="q second ref dst other right",
        c="x same alias target sel",
        d="y hand view last",
        i="i n idx j",
        x="want wanted id1 no given",
        y="id2 peer alt also other_no",
        r="res out total acc sum",
        use=mix("print charge touch bump", "it this value"),
        N="MAX_ROWS COUNT NITEMS LIMIT",
    )
    tails = {
        "may": "return NULL;",
        "default": "return &$tab[0];",
        "claim": "$tab[$N - 1].$k = $i;\nreturn &$tab[$N - 1];",
    }
    loops = (
        "for ($i = 0; $i < $N; $i++)\n    if ($tab[$i].$k == IN)\n        return &$tab[$i];",
        "for ($i = $N - 1; $i > 0; $i--) {\n    if ($tab[$i].$k != IN)\n        continue;\n    return &$tab[$i];\n}",
        "while ($i < $N) {\n    if ($tab[$i].$k == IN)\n        return $tab + $i;\n    $i++;\n}",
    )
    sure = rng.choice(("default", "claim"))
    flip = rng.random() < 0.5
    one, two = ("$h2", "$h1") if flip else ("$h1", "$h2")
    text = """
        #define $N CAP

        struct $T {
            int $k;
            int $f;
        };

        static struct $T $tab[$N];

        static struct $T *ONE(int IN)
        {
            int $i = 0;

            @loop1
            @tail1
        }

        static struct $T *TWO(int IN)
        {
            int $i = 0;

            @loop2
            @tail2
        }

        @usefn

        int $fn(int $x, int $y)
        {
            @get
            int $r = 0;

            @n0
            @chain
            @guard
            @n1
            @sink
            @rest
            return $r;
        }
        """
    text = text.replace("CAP", str(rng.choice((8, 12, 16, 20, 32, 50)))).replace("ONE", one).replace("TWO", two)
    gets = ["struct $T *$a = ONE($x);".replace("ONE", one), "struct $T *$b = TWO($y);".replace("TWO", two)]
    rng.shuffle(gets)
    chains: list[str] = []
    m, s = "$a", "$b"
    for _ in range(rng.randrange(3)):
        new = "$c" if m == "$a" and s == "$b" else "$d"
        if "struct $T *" + new in "".join(chains):
            break
        if rng.random() < 0.6:
            chains.append(f"struct $T *{new} = {m};")
            m = new
        else:
            chains.append(f"struct $T *{new} = {s};")
            s = new
    use = rng.random() < 0.35
    sink = f"$use({m});" if use else rng.choice((f"$r += {m}->$f;", f"{m}->$f = $x;", f"$r = {m}->$f * 2;"))
    rest = rng.choice((f"$r += {s}->$f;", f"{s}->$f++;", f"$r -= {s}->$f + $y;"))
    usefn = "static void $use(struct $T *$i)\n{\n    $i->$f += 1;\n}"
    leave = rng.choice(("return -1;", "return 0;", "return $r;", "return $x;"))
    m0, s0 = rng.choice((m, "$a")), rng.choice((s, "$b"))
    shared = {
        "get": "\n".join(gets),
        "chain": "\n".join(chains),
        "sink": sink,
        "rest": rest,
        "usefn": usefn if use else "",
        "tail1": tails["may"],
        "tail2": tails[sure],
        "loop1": rng.choice(loops).replace("IN", "$x"),
        "loop2": rng.choice(loops).replace("IN", "$x"),
    }
    may = f"{one} gives NULL on a miss"
    wrong = [
        way(f"{s0} is checked, which never is NULL, but {may} and {m} is used", guard=f"! if (NUL({s0})) {leave}"),
        way(f"only both being NULL leaves, but {may}", guard=f"! if (NUL({m0}) && NUL({s0})) {leave}"),
        way(f"{m} is used before it is checked, and {may}", guard="", sink=f"{sink}\nif (NUL({m})) {leave}"),
        way(f"the check only counts and goes on, and {may}", guard=f"! if (NUL({m0})) $r--;"),
        way(f"{s0} is replaced instead of {m}, and {may}", guard=f"! if (NUL({s0})) {s} = {m};"),
        way(f"$x is checked but {may} for any $x it does not know", guard=f"! if ($x < 0) {leave}"),
    ]
    right = [
        way(f"a NULL {m0} leaves before {m} is used", guard=f"! if (NUL({m0})) {leave}"),
        way(f"either being NULL leaves before {m} is used", guard=f"! if (NUL({m0}) || NUL({s0})) {leave}"),
        way(f"{m} falls back to {s}, which never is NULL", guard=f"! if (NUL({m})) {m} = {s};"),
        way(f"{m} is used only when it is set", sink=f"! if (OK({m})) {sink}"),
    ]
    bad, good = choose(rng, mirror(m0, s0, leave, sink, may, cond=rng.choice(("$x < 0", "$y < 0"))), wrong, right)
    if rng.random() < 0.15:
        guard = f"if (NUL({s0})) {leave}"
        body = shared["loop1"]
        bad = way(f"{may}, and only {s0} is checked", guard=guard, tail1="! return NULL;", loop1=body)
        good = way(f"{one} gives a row even on a miss", guard=guard, tail1="! return $tab;", loop1=body)
    elif rng.random() < 0.2:
        again, guard = f"{m} = {one}($y);", f"if (NUL({m})) {leave}"
        bad = way(f"{m} is fetched anew after its check, and {may}", guard=f"{guard}\n! {again}")
        good = way(f"{m} is fetched anew before its check", guard=f"{again}\n! {guard}")
    return forge(rng, names, text.replace("IN", "$x"), bad, good, **shared)


def opcode_cursor_flow(rng: random.Random) -> Sample:
    """A little machine keeps cursors that start as or become NULL and a step uses one behind a guard on another; right:
    the guard is on the cursor that the step uses."""
    names = cast(
        rng,
        T="node shape clip track layer card stop zone frame lamp",
        S="editor machine player canvas deck board vm studio",
        s="ed m self st ctx w",
        cur="cur focus active here sel",
        prev="back mark origin base anchor",
        f="width volume pos hue count rank",
        g="depth gain height shade",
        pool="pool cells nodes bank slots",
        used="used taken filled n_used",
        fn=mix("run play replay execute", "script commands steps input"),
        new=mix("next claim grab new", "cell free one slot"),
        i="i at pc k",
        t="text prog line cmds ops",
        r="sum out score total",
    )
    letters = rng.sample("abcdefghkmnpqstuwxyz+-*!?<>", 5)
    n, cap = "$new($s)", rng.choice((3, 4, 6, 8, 10))
    claim = (
        f"static struct $T *$new(struct $S *$s)\n{{\n    if ($s->$used >= {cap})\n        return NULL;\n"
        f"    return &$s->$pool[$s->$used++];\n}}"
    )
    u, o = ("$cur", "$prev") if rng.random() < 0.6 else ("$prev", "$cur")
    moves = [f"$s->$cur = {n};", "$s->$prev = $s->$cur;", "$s->$cur = NULL;"]
    pick = rng.random()
    if pick < 0.4:
        moves[2] = "$s->$prev = &$s->$pool[0];"
    sinks = [f"$s->{u}->$f++;", f"$r += $s->{u}->$f;", f"$s->{u}->$f = $s->{u}->$g + 1;", f"$r -= $s->{u}->$g;"]
    sink = rng.choice(sinks)
    other = rng.choice((f"if (OK($s->{o})) $r += $s->{o}->$g;", f"if (OK($s->{o})) $s->{o}->$g = $r;"))
    cases = [*((letters[k], move) for k, move in enumerate(moves)), (letters[3], "@guard\n@sink"), (letters[4], other)]
    rng.shuffle(cases)
    if rng.random() < 0.5:
        body = "switch ($t[$i]) {\n"
        for letter, code in cases:
            body += f"case '{letter}':\n" + "\n".join("    " + part for part in code.split("\n")) + "\n    break;\n"
        body += "default:\n    $r++;\n}"
        leave = "break;"
    else:
        body = ""
        for letter, code in cases:
            lead = "else if" if body else "if"
            body += f"{lead} ($t[$i] == '{letter}') {{\n"
            body += "\n".join("    " + part for part in code.split("\n")) + "\n}\n"
        body = body.replace("\n}\nelse", "\n} else").strip("\n")
        leave = "continue;"
    leave = rng.choice((leave, "return -1;", "return $r;"))
    text = """
        struct $T {
            int $f, $g;
        };

        struct $S {
            struct $T $pool[CAP];
            int $used;
            struct $T *$cur;
            struct $T *$prev;
        };

        @claim

        int $fn(struct $S *$s, const char *$t)
        {
            int $i, $r = 0;

            $s->$cur = $s->$prev = NULL;
            @early
            for ($i = 0; $t[$i]; $i++) {
                @n0
                @body
            }
            return $r;
        }
        """.replace("CAP", str(cap))
    wrong = [
        way(f"$s->{o} is checked, but $s->{u} may be NULL", guard=f"! if (NUL($s->{o})) {leave}"),
        way(f"$s->$used says nothing about $s->{u}", guard=f"! if ($s->$used == 0) {leave}"),
        way(f"both must be NULL to leave, $s->{u} alone may be", guard=f"! if (NUL($s->{u}) && NUL($s->{o})) {leave}"),
        way(f"$s is checked, but its {u} may be NULL", guard=f"! if (NUL($s)) {leave}"),
        way(f"$s->{u} may be NULL there", guard="", sink=f"! {sink}\nif (NUL($s->{u})) {leave}"),
        way(f"$s->{o} guards the use of $s->{u}", sink=f"! if (OK($s->{o})) {sink}"),
        way(f"a NULL $s->{u} is only counted", guard=f"! if (NUL($s->{u})) $r++;"),
    ]
    right = [
        way(f"a NULL $s->{u} leaves before the use", guard=f"! if (NUL($s->{u})) {leave}"),
        way(
            f"either being NULL leaves before the use of $s->{u}", guard=f"! if (NUL($s->{u}) || NUL($s->{o})) {leave}"
        ),
        way(f"$s->{u} is used only when set", sink=f"! if (OK($s->{u})) {sink}"),
        way(f"a NULL $s->{u} becomes the first cell", guard=f"! if (NUL($s->{u})) $s->{u} = $s->$pool;"),
    ]
    same = mirror(f"$s->{u}", f"$s->{o}", leave, sink, f"$s->{u} may be NULL there", cond="$s->$used > 1")
    bad, good = choose(rng, same, wrong, right)
    return forge(rng, names, text, bad, good, claim=claim, body=body, sink=sink)


def form_values(rng: random.Random) -> Sample:
    """A value of a web request that may be missing (NULL) is measured or compared although only another, or its
    emptiness, is checked; right: the value itself is checked or replaced before."""
    names = cast(
        rng,
        P="field param pair form_entry kv",
        R="request http_req form submission query",
        key="key name k label",
        val="val value text data",
        items="items fields list params",
        n="n count used len",
        get=mix("get find form", "value param field arg"),
        dflt=mix("value default param", "or_default with_fallback"),
        fn=mix("handle on do serve", "login search comment upload signup order profile"),
        r="r req form rq",
        a="user title email term city",
        b="lang page sort theme unit",
        c="note tag token phone",
        d="shown plain text1 text2 norm",
        i="i k j",
        q="wanted which what",
        o="alt dfl instead fallback",
        out="out buf page_buf line",
        room="room size cap avail",
    )
    keys = rng.sample(("id", "q", "mail", "nick", "zip", "tab", "ref", "mode", "from", "size", "color", "day"), 3)
    text = """
        struct $P {
            const char *$key;
            const char *$val;
        };

        struct $R {
            struct $P $items[CAP];
            int $n;
        };

        static const char *$get(const struct $R *$r, const char *$q)
        {
            for (int $i = 0; $i < $r->$n; $i++)
                if (strcmp($r->$items[$i].$key, $q) == 0)
                    return $r->$items[$i].$val;
            return NULL;
        }

        @orfn

        int $fn(const struct $R *$r, char *$out, size_t $room)
        {
            @gets
            @n0
            @guard
            @n1
            @sink
            return 0;
        }
        """.replace("CAP", str(rng.choice((8, 10, 16, 24))))
    orfn = """
        static const char *$dflt(const struct $R *$r, const char *$q, const char *$o)
        {
            const char *$i = $get($r, $q);
            return OK($i) ? $i : $o;
        }
        """
    three = rng.random() < 0.35
    word = rng.choice(("none", "all", "en", "asc", "1", "main", ""))
    second = f'const char *$b = $dflt($r, "{keys[1]}", "{word}");'
    plain = rng.random() < 0.4
    third = f'const char *$c = $get($r, "{keys[2]}");' if three else ""
    gets = [f'const char *$a = $get($r, "{keys[0]}");', second, third]
    rng.shuffle(gets)
    leave = rng.choice(("return -1;", "return 400;", "return 1;", "return 0;"))
    sinks = (
        'if (strlen(V) >= $room) return -2;\nsnprintf($out, $room, "%s", V);',
        'if (strcmp(V, "admin") == 0) return 403;\nsnprintf($out, $room, "%s", $b);',
        "if (V[0] == '-') return 2;\nsnprintf($out, $room, \"%s/%c\", $b, V[0]);",
        'if (atoi(V) > 100) return 7;\nsnprintf($out, $room, "%s", $b);',
        'if (strncmp(V, $b, 3) == 0) return 3;\nsnprintf($out, $room, "[%s]", $b);',
        'snprintf($out, $room, "%s=%zu", $b, strlen(V));',
    )
    sink = rng.choice(sinks)
    if three:
        sink += "\n" + rng.choice(("if (OK($c) && *$c) $out[0] = *$c;", "if (OK($c)) $out[0] = $c[0];"))
    v = sink.replace("V", "$a")
    miss = f"$get gives NULL when {keys[0]} is missing"
    wrong = [
        way(f"$b has a default, but $a is not checked: {miss}", guard=f"! if (NUL($b)) {leave}"),
        way(f"$a is checked for being empty, but {miss}", guard=f"! if (*$a == '\\0') {leave}"),
        way(f"$a is read before its check, but {miss}", guard=f"! if ($a[0] == 0 || NUL($a)) {leave}"),
        way(f"both must be NULL to leave, but {miss}", guard=f"! if (NUL($a) && NUL($b)) {leave}"),
        way(f"$r is checked, but {miss}", guard=f"! if ($r->$n == 0 || NUL($out)) {leave}"),
        way(f"$d is the cleaned value but $a is used: {miss}", guard='! const char *$d = OK($a) ? $a : "";'),
    ]
    right = [
        way("a missing $a leaves first", guard=f"! if (NUL($a)) {leave}"),
        way("a missing or empty $a leaves first", guard=f"! if (NUL($a) || $a[0] == 0) {leave}"),
        way("either being NULL leaves", guard=f"! if (NUL($a) || NUL($b)) {leave}"),
        way("a missing $a becomes empty text", guard='! if (NUL($a)) $a = "";'),
        way("a missing $a becomes $b, which has a default", guard="! if (NUL($a)) $a = $b;"),
    ]
    same = mirror("$a", "$b", leave, v, miss, cond=rng.choice(("$r->$n == 0", "$room < 8", "NUL($out)")))
    same.append(
        (
            way(f"$b is replaced although it never is NULL, but {miss}", guard="! if (NUL($b)) $b = $a;"),
            way("a missing $a becomes $b, which has a default", guard="! if (NUL($a)) $a = $b;"),
        )
    )
    bad, good = choose(rng, same, wrong, right)
    shared = {"orfn": orfn, "sink": v}
    if plain:
        clean = 'const char *$d = OK($a) ? $a : "";'
        other = "const char *$d = OK($b) ? $b : $a;"
        bad, good = rng.choice(
            (
                (
                    way(f"$d is the cleaned copy, but $a is used: {miss}", guard=clean, sink=v),
                    way("$d, which is never NULL, is used", guard=clean, sink=sink.replace("V", "$d")),
                ),
                (
                    way(f"$d is $b, which never is NULL, while $a may be: {miss}", guard=f"! {other}", sink=v),
                    way("a NULL $a leaves", guard=f"! if (NUL($a)) {leave}", sink=v),
                ),
                (
                    way(f"$a comes from $get: {miss}", g=f'$get($r, "{keys[0]}")', guard=f"if (NUL($b)) {leave}"),
                    way("$a has a default", g=f'$dflt($r, "{keys[0]}", "")', guard=f"if (NUL($b)) {leave}"),
                ),
            )
        )
    gets = [line.replace(f'$get($r, "{keys[0]}")', "$g") if "g" in bad.slots else line for line in gets]
    return forge(rng, names, text, bad, good, gets="\n".join(line for line in gets if line), **shared)


def option_values(rng: random.Random) -> Sample:
    """A command line option that was not given, or has no argument behind it, leaves NULL that is used; right: it
    gets a default or a check, or the index of the argument is tested."""
    names = cast(
        rng,
        fn=mix("run start parse tool", "main args program options"),
        a="path input host outfile target",
        b="mode format level_name user prefix",
        c="count depth jobs limit",
        i="i k arg n",
        usage=mix("usage help show", "text page hint"),
        v="argv args av words",
        n="argc nargs ac cnt",
        len="len size width total",
        name="prog self tool_name",
    )
    x, y, z = rng.sample("abcdefghijklmopqrstuvwxyz", 3)
    default = rng.choice(('"-"', '"plain"', '"localhost"', '"out.txt"', '"a"', '"none"'))
    test = rng.choice(('strcmp($v[$i], "-L") == 0', "$v[$i][0] == '-' && $v[$i][1] == 'L'"))
    branches = [
        f"if ({test.replace('L', x)} && $i + 1 < $n)\n    $a = $v[++$i];",
        f"if ({test.replace('L', y)} && $i + 1 < $n)\n    $b = $v[++$i];",
        f"if ({test.replace('L', z)})\n    $c++;",
    ]
    rng.shuffle(branches)
    parse = "\nelse ".join(branches)
    sinks = (
        "$len = strlen(V);",
        "$len = V[0] == '/' ? 2 : 1;",
        '$len = strcmp(V, "-") ? 1 : 3;',
        "for ($len = 0; V[$len] != 0 && V[$len] != ':'; $len++)\n    $c++;",
        "$len = (size_t)strtol(V, NULL, 10);",
    )
    sink = rng.choice(sinks).replace("V", "$a")
    rest = rng.choice(('printf("%s %d %zu\\n", $b, $c, $len);', 'fprintf(stderr, "%s: %d/%zu\\n", $b, $c, $len);'))
    leave = rng.choice(("return 2;", "return 1;", "{ $usage($v[0]); return 2; }", "return $usage($v[0]);"))
    text = """
        static int $usage(const char *$name)
        {
            fprintf(stderr, "USAGE\\n", $name);
            return 64;
        }

        int $fn(int $n, char **$v)
        {
            @decl
            int $i, $c = 0;
            size_t $len;

            @early
            for ($i = 1; $i < $n; $i++) {
                @n0
                @parse
            }
            @guard
            @n1
            @sink
            @rest
            return $c > 3;
        }
        """.replace("USAGE", rng.choice(("usage: %s [options]", "%s: try again", "%s -h for help"))).replace(
        "$fn", rng.choice(("$fn", "main"))
    )
    bdef = f"const char *$b = {rng.choice(DEFAULT_WORDS)};"
    decl = ["const char *$a = NULL;", bdef]
    rng.shuffle(decl)
    shared = {"decl": "\n".join(decl), "parse": parse, "sink": sink, "rest": rest}
    wrong = [
        way(f"$n is checked but $a stays NULL without -{x}", early=f"! if ($n < 2) {leave}"),
        way(f"$b is checked but $a stays NULL without -{x}", guard=f"! if (NUL($b)) {leave}"),
        way(f"$b gets the default, $a stays NULL without -{x}", guard=f"! if (NUL($b)) $b = {default};"),
        way(f"$i is checked but $a stays NULL without -{x}", guard=f"! if ($i < 2) {leave}"),
        way(
            f"both must be NULL to leave, $b never is and $a may be without -{x}",
            guard=f"! if (NUL($a) && NUL($b)) {leave}",
        ),
        way(f"only -{z} makes the check count, $a stays NULL without -{x}", guard=f"! if (NUL($a) && $c) {leave}"),
        way(f"$a is still NULL without -{x} when it is used", guard="", sink=f"! {sink}\nif (NUL($a)) {leave}"),
    ]
    right = [
        way(f"a NULL $a (no -{x}) leaves before its use", guard=f"! if (NUL($a)) {leave}"),
        way("either being NULL leaves before the use of $a", guard=f"! if (NUL($a) || NUL($b)) {leave}"),
        way("$a gets a default before its use", guard=f"! if (NUL($a)) $a = {default};"),
        way("$a becomes $b, which has a default", guard="! if (NUL($a)) $a = $b;"),
    ]
    same = mirror(
        "$a", "$b", leave, sink, f"$a stays NULL without -{x}", cond=rng.choice(("$n < 2", "$c > 5", "$i > 9"))
    )
    same += [
        (
            way(f"$b gets the default, $a stays NULL without -{x}", guard=f"! if (NUL($b)) $b = {default};"),
            way("$a gets a default before its use", guard=f"! if (NUL($a)) $a = {default};"),
        ),
        (
            way(f"$b is set from $a, which stays NULL without -{x}", guard="! if (NUL($b)) $b = $a;"),
            way("$a becomes $b, which has a default", guard="! if (NUL($a)) $a = $b;"),
        ),
    ]
    bad, good = choose(rng, same, wrong, right)
    kind = rng.random()
    if kind < 0.25:
        one, two = rng.sample((default, *DEFAULT_WORDS), 2)
        guard = f"if (NUL($a)) {leave}"
        at = parse.index(f"{test.replace('L', x)} && $i + 1 < $n)\n    $a = $v[++$i];")
        cut = parse[at:].index("&& $i + 1 < $n)") + at
        head, tail = parse[:cut], parse[cut + len("&& $i + 1 < $n)") :]
        tail = tail.replace("$a = $v[++$i];", "$a = $v[++$i], $c += $a[0] == '-';")
        worse = rng.choice(("$i + 1 <= $n", "$i < $n && $n > 1", "OK($v[$i])", "$i <= $n", "$i - 1 < $n - 1"))
        better = rng.choice(("$i + 1 < $n", "$i < $n - 1", "OK($v[$i + 1])"))
        decl2 = shared["decl"]
        bad = way(
            "$v[++$i] is the NULL behind the last word when the option comes last",
            parse=f"{head}&& {worse}){tail}",
            guard=guard,
            decl=decl2,
        )
        good = way("there is a word behind the option", parse=f"{head}&& {better}){tail}", guard=guard, decl=decl2)
    elif kind < 0.4:
        one, two = rng.sample((default, *DEFAULT_WORDS), 2)
        null_a, set_a = "const char *$a = NULL;", f"const char *$a = {one};"
        null_b, set_b = f"const char *$b = {one};", f"const char *$b = {two};"
        guard = f"if (NUL($b)) {leave}"
        bad = way(f"$a starts as NULL and stays so without -{x}", decl=f"{null_a}\n{null_b}", guard=guard)
        good = way("$a starts with a text", decl=f"{set_a}\n{set_b}", guard=guard)
    return forge(rng, names, text, bad, good, **shared)


DEFAULT_WORDS = ('"fast"', '"utf8"', '"root"', '"quiet"', '"x"', '"json"')


def libc_lookups(rng: random.Random) -> Sample:
    """A C library search or open gives NULL and the result is used behind a check of something else; right: the
    result is checked before."""
    names = cast(
        rng,
        fn=mix("read load scan measure show describe", "home source entry stream settings part"),
        a="found hit hd res at",
        b="hold spare copy dup own",
        s="text name path word line",
        n="n size len limit",
        r="ret code total out",
        k="key want id no",
        row="unit rate city code_row",
        tab="table known rates rows",
        cmp=mix("compare order by", "rows keys ids"),
        f="value price zip factor",
        e="ent de line1 got",
        x="l p1 lhs u",
        y="r2 p2 rhs w",
    )
    leave = rng.choice(("return -1;", "return 0;", "return 1;", "return $n;"))
    mark = rng.choice(":=,;/-#|.")
    service = rng.choice(("tcp", "udp"))
    tabs = (
        "struct $row {\n    int $k;\n    int $f;\n};\n\n"
        "static int $cmp(const void *$x, const void *$y)\n{\n"
        "    return ((const struct $row *)$x)->$k - ((const struct $row *)$y)->$k;\n}"
    )
    table = f"static struct $row $tab[] = {{{{{rng.randrange(9)}, 4}}, {{{rng.randrange(10, 20)}, 7}}, {{31, 2}}}};"
    kinds = {
        "memchr": ("", f"char *$a = memchr($s, '{mark}', $n);", ("*$a = 0;", "$r = *++$a;", "$r += $a[0];"), ""),
        "strpbrk": ("", f'char *$a = strpbrk($s, "{mark}% ");', ("*$a = 0;", "$r = strlen($a);", "$r = $a[1];"), ""),
        "strstr": ("", f'char *$a = strstr($s, "{mark}{mark}");', ("$a[0] = ' ';", "$r = atoi($a + 2);"), ""),
        "bsearch": (
            tabs + "\n\n" + table,
            "struct $row $k = {$n, 0};\nstruct $row *$a = bsearch(&$k, $tab, 3, sizeof $tab[0], $cmp);",
            ("$r = $a->$f;", "$a->$f++;", "$r += $a->$f * 2;"),
            "",
        ),
        "getpwnam": ("", "struct passwd *$a = getpwnam($s);", ("$r = $a->pw_uid;", "$r = strlen($a->pw_dir);"), ""),
        "getpwuid": ("", "struct passwd *$a = getpwuid($n);", ("$r = $a->pw_gid;", "$r = $a->pw_name[0];"), ""),
        "getgrnam": ("", "struct group *$a = getgrnam($s);", ("$r = $a->gr_gid;", "$r = $a->gr_name[0];"), ""),
        "getserv": ("", f'struct servent *$a = getservbyname($s, "{service}");', ("$r = $a->s_port;",), ""),
        "opendir": (
            "",
            "DIR *$a = opendir($s);",
            ("while (readdir($a))\n    $r++;", "struct dirent *$e = readdir($a);\nif (OK($e)) $r = $e->d_name[0];"),
            "closedir($a);",
        ),
        "readdir": (
            "",
            "struct dirent *$a = readdir($dir);",
            ("$r = strlen($a->d_name);", "$r = $a->d_name[0] == '.';", "$r += strcmp($a->d_name, $s) == 0;"),
            "",
        ),
        "popen": (
            "",
            'FILE *$a = popen("uptime", "r");',
            ("if (fgets($s, $n, $a)) $r++;", "while (fgets($s, $n, $a))\n    $r++;"),
            "pclose($a);",
        ),
        "tmpfile": ("", "FILE *$a = tmpfile();", ("fputs($s, $a);", 'fprintf($a, "%s", $s);'), "fclose($a);"),
        "strdup": ("", "char *$a = strdup($s);", ("$a[0] = 'x';", "$r = strlen($a);"), "free($a);"),
        "strrchr": ("", f"char *$a = strrchr($s, '{mark}');", ("$r = atoi($a + 1);", "$a[0] = 0;"), ""),
        "setlocale": ("", "char *$a = getenv($s);", ("$r = strlen($a);", "$r = $a[0] == 'C';"), ""),
    }
    which = rng.choice(list(kinds))
    before, get, sinks, done = kinds[which]
    sink = rng.choice(sinks)
    call = get.split("= ", 1)[1].split("(")[0] if which != "bsearch" else "bsearch"
    extra = ", DIR *$dir" if which == "readdir" else ""
    text = (
        """
        @before

        static int $fn(char *$s, int $nEXTRA)
        {
            @spare
            int $r = 0;

            @early
            @n0
            @get
            @guard
            @n1
            @sink
            @done
            @last
            return $r;
        }

        int CALLER(char *$s, int $nEXTRA)
        {
            if (NUL($s)) return -1;
            return $fn($s, $nPASS) + PLUS;
        }
        """.replace("EXTRA", extra)
        .replace("PASS", ", $dir" if extra else "")
        .replace("PLUS", str(rng.randrange(1, 9)))
    )
    text = text.replace("CALLER", rng.choice(("serve", "step", "each", "entry_point", "on_input", "wrap")))
    if extra:
        names |= {"dir": rng.choice(("d", "dp", "handle"))}
    own = which != "strdup" and rng.random() < 0.6
    spare = "char *$b = strdup($s);" if own else "char *$b = $s;"
    last = "free($b);" if own else ""
    drop = leave if not own else f"{{ free($b); {leave} }}"
    use = "" if not own else rng.choice(("if (OK($b)) $b[0] = '_';", "if (OK($b)) $r += $b[0];"))
    fail = f"{call} gives NULL on failure"
    wrong = [
        way(f"$b is checked but not $a: {fail}", guard=f"! if (NUL($b)) {leave}"),
        way(f"$n is checked but not $a: {fail}", guard=f"! if ($n <= 0) {drop}"),
        way(f"$s is checked but not $a: {fail}", guard=f"! if (NUL($s) || *$s == 0) {drop}"),
        way(f"both must be NULL to leave, but {fail}", guard=f"! if (NUL($a) && NUL($b)) {drop}"),
        way(f"$a is only checked after its use: {fail}", sink=f"! {sink}\nif (NUL($a)) {drop}"),
        way(f"$a is only checked when $n is 0: {fail}", guard=f"! if (NUL($a) && $n == 0) {drop}"),
        way(f"a NULL $a is only noted: {fail}", guard=f"! if (NUL($a)) {rng.choice(MUTTER)}"),
    ]
    right = [
        way("a NULL $a leaves before the use", guard=f"! if (NUL($a)) {drop}"),
        way("a NULL $a leaves whatever $n is", guard=f"! if (NUL($a) || $n <= 0) {drop}"),
        way("a NULL $a leaves as well as a NULL $b", guard=f"! if (NUL($a) || NUL($b)) {drop}"),
    ]
    if "\n" not in sink and not done:
        right.append(way("$a is used only when it is set", sink=f"! if (OK($a)) {sink}"))
    same = mirror(
        "$a", "$b", drop, sink + "\n" if done else sink, fail, cond=rng.choice(("$n <= 0", "*$s == 0", "$n > 99"))
    )
    bad, good = choose(rng, same, wrong, right)
    return forge(
        rng,
        names,
        text,
        bad,
        good,
        before=before,
        get=get,
        sink=sink,
        done=done,
        spare=spare,
        last=f"{use}\n{last}",
    )


MUTTER = ('perror("none");', 'fprintf(stderr, "nothing\\n");', "$r = -1;", "$r = -2;", 'puts("not there");')


def tree_steps(rng: random.Random) -> Sample:  # noqa: PLR0915
    """A step in a binary tree goes to a child, parent or match that may be missing; right: that very link is checked
    before."""
    names = cast(
        rng,
        T="leaf_node branch bst twig key_node tnode entry",
        k="key rank id stamp order",
        l="left lo lhs before smaller",
        r="right hi rhs after larger",
        u="up parent owner above",
        v="val load amount price data",
        w=mix("edge leftmost lowest extreme first", "of in node"),
        fn=mix("next rotate find attach lift visit", "node key item"),
        n="n cur at node p",
        m="m hit best q t",
        root="root top tree base",
        x="want k1 target id1",
        d="item add neu leaf",
        h="h depth height level",
        o="out res ret sum",
    )
    near, far = rng.choice((("$l", "$r"), ("$r", "$l")))
    leave = rng.choice(("return -1;", "return 0;", "return $x;", "return 1;"))
    struct = "struct $T {\n    int $k, $v, $h;\n    struct $T *$l;\n    struct $T *$r;\n    struct $T *$u;\n};\n\n"
    shape = rng.choice(("extreme", "rotate", "attach", "find", "climb", "balance"))
    out = rng.choice(("$o = $m->$k;", "$o = $m->$v + $x;", "$o = $m->$k - $n->$k;"))
    shared: dict[str, str] = {}
    if shape == "extreme":
        helper = (
            f"static struct $T *$w(struct $T *$n)\n{{\n    while (OK($n->{near}))\n"
            f"        $n = $n->{near};\n    return $n;\n}}"
        )
        text = (
            struct
            + helper
            + (
                "\n\nint $fn(struct $T *$n, int $x)\n{\n    struct $T *$m;\n    int $o = 0;\n\n"
                "    if (NUL($n)) return -2;\n"
                "    @n0\n    @guard\n    @n1\n    @sink\n    @use\n    return $o;\n}"
            )
        )
        same = mirror(
            f"$n->{far}",
            f"$n->{near}",
            leave,
            f"$m = $w($n->{far});",
            f"$w reads $n->{far}, which may be NULL",
            cond=rng.choice(("$x < $n->$k", "$n->$h > 30")),
        )
        same = [pair for pair in same if "! if (OK" not in pair[0].slots["sink"]]
        shared = {"use": out}
    elif shape == "rotate":
        text = struct + (
            "struct $T *$fn(struct $T *$n, int $x)\n{\n"
            "    struct $T *$m;\n    int $o = 0;\n\n    if (NUL($n)) return NULL;\n    @n0\n"
            f"    $m = $n->{far};\n    @guard\n    @sink\n    $m->{near} = $n;\n    $n->$h = $x;\n    return $m;\n}}"
        )
        same = mirror(
            "$m",
            f"$n->{near}",
            "return $n;",
            f"$n->{far} = $m->{near};",
            f"$n->{far} in $m may be NULL",
            cond=rng.choice(("$n->$h < 1", "$x == 0")),
        )
        same = [pair for pair in same if "! if (OK" not in pair[0].slots["sink"]]
    elif shape == "attach":
        text = struct + (
            "int $fn(struct $T **$root, struct $T *$d, int $x)\n{\n    struct $T *$m = NULL;\n"
            "    struct $T *$n = *$root;\n\n"
            "    if (NUL($d)) return -3;\n    $d->$k = $x;\n"
            "    $d->$l = $d->$r = NULL;\n    while (OK($n)) {\n        $m = $n;\n"
            "        $n = $x < $n->$k ? $n->$l : $n->$r;\n    }\n    @n0\n    $d->$u = $m;\n    @guard\n    @sink\n"
            "    @rest\n    return 1;\n}"
        )
        sink, rest = rng.choice(
            (
                ("if ($x < $m->$k) $m->$l = $d;", "else $m->$r = $d;"),
                ("struct $T **$o = $x < $m->$k ? &$m->$l : &$m->$r;", "*$o = $d;"),
            )
        )
        put = "{ *$root = $d; return 0; }"
        same = mirror("$m", "$d", put, sink + "\n" + rest, "$m stays NULL when the tree is empty")
        same += [
            (
                way(
                    "$m stays NULL when the tree is empty, $d never is",
                    guard=f"! if (NUL($d->$u) && NUL($d)) {put}",
                    sink=sink,
                    rest=rest,
                ),
                way(
                    "$d->$u is $m, and a NULL one leaves",
                    guard=f"! if (NUL($d->$u) || NUL($d)) {put}",
                    sink=sink,
                    rest=rest,
                ),
            )
        ]
    elif shape == "find":
        text = struct + (
            "int $fn(struct $T *$root, int $x)\n{\n    struct $T *$n = $root;\n    int $o = 0;\n\n"
            "    if (NUL($root)) return -2;\n    @n0\n    while (@W)\n"
            "        $n = $x < $n->$k ? $n->$l : $n->$r;\n    @guard\n    @sink\n    return $o;\n}"
        )
        end = rng.choice(("$o = $n->$v;", "$o = $n->$v + $n->$h;", "$n->$h++;"))
        loop, bare, late = "OK($n) && $n->$k != $x", "$n->$k != $x", "$n->$k != $x && OK($n)"
        if rng.random() < 0.45:
            guard = f"if (NUL($n)) {leave}"
            why = "$n is read by the loop before it is found to be NULL"
            same = [
                (
                    way(why, W=late, guard=guard, sink=end),
                    way("the loop looks at $n before $n->$k", W=loop, guard=guard, sink=end),
                ),
                (
                    way(why, W=f"{bare} && OK($root)", guard=guard, sink=end),
                    way("the loop ends at a NULL $n", W=f"OK($n) && {bare}", guard=guard, sink=end),
                ),
                (
                    way(why, W=f"OK($root) && {bare}", guard=guard, sink=end),
                    way("the loop ends at a NULL $n", W=loop, guard=guard, sink=end),
                ),
                (
                    way(why, W=f"OK($n) || {bare}", guard=guard, sink=end),
                    way("the loop ends at a NULL $n", W=loop, guard=guard, sink=end),
                ),
            ]
        else:
            same = mirror(
                "$n",
                "$root",
                leave,
                end,
                "$n is NULL when $x is not in the tree",
                cond=rng.choice(("$x < 0", "$root->$h > 9")),
            )
            shared = {"W": loop}
        text = text.replace("@W", "$W")
    elif shape == "climb":
        text = struct + (
            "int $fn(struct $T *$n, int $x)\n{\n    int $o = 0;\n\n    if (NUL($n)) return -2;\n    @n0\n"
            f"    while (OK($n->$u) && $n == $n->$u->{far})\n        $n = $n->$u;\n    @guard\n    @sink\n"
            f"    return $o + $x;\n}}"
        )
        end = rng.choice(("$o = $n->$u->$v;", "$o += $n->$u->$k;", "$n->$u->$h++;"))
        same = mirror(
            "$n->$u",
            rng.choice((f"$n->{far}", f"$n->{near}")),
            leave,
            end,
            "$n->$u is NULL at the top",
            cond=rng.choice(("$x < 0", "$n->$h > 9")),
        )
    else:
        text = struct + (
            "int $fn(struct $T *$n, int $x)\n{\n    int $o;\n\n    if (NUL($n)) return 0;\n    @n0\n"
            "    @one\n    @two\n"
            "    @sink\n    return $o > $x || $o < -$x;\n}"
        )
        good = ["int $m = OK($n->$l) ? $n->$l->$h : 0;", "int $d = OK($n->$r) ? $n->$r->$h : 0;"]
        at = rng.randrange(2)
        mine, yours = (("$l", "$r"), ("$r", "$l"))[at]
        wrong = good[at].replace(f"OK($n->{mine})", rng.choice((f"OK($n->{yours})", "$n->$h")))
        flip = rng.sample(("one", "two"), 2)
        why = f"$n->{mine} may be NULL when its {mine} is read"
        bad_slots = {flip[at]: f"! {wrong}", flip[1 - at]: good[1 - at]}
        good_slots = {flip[at]: f"! {good[at]}", flip[1 - at]: good[1 - at]}
        same = [(way(why, **bad_slots), way(f"$n->{mine} is read only when it is set", **good_slots))]
        shared = {"sink": "$o = $m - $d;"}
        first = f"if (OK($n->{mine})) $o = $n->{mine}->$h;"
        same.append(
            (
                way(
                    why,
                    one="$o = 0;",
                    two=f"! if (OK($n->{yours})) $o = $n->{mine}->$h;",
                    sink=f"if (OK($n->{yours})) $o -= $n->{yours}->$h;",
                ),
                way(
                    f"$n->{mine} is read only when it is set",
                    one="$o = 0;",
                    two=f"! {first}",
                    sink=f"if (OK($n->{yours})) $o -= $n->{yours}->$h;",
                ),
            )
        )
    bad, good_way = rng.choice(same)
    return forge(rng, names, text, bad, good_way, **(shared | {"n0": ""}))


def deque_links(rng: random.Random) -> Sample:
    """A neighbour in a two-way list is written although it may be missing at the end; right: that neighbour is checked,
    or the count leaves no doubt."""
    names = cast(
        rng,
        T="train_car wagon task song visitor tab_page stop frame",
        Q="line playlist belt deque history queue_of lane",
        head="head first front begin",
        tail="tail last back end",
        nx="next succ after following",
        pv="prev pred before behind",
        v="val no load ticket mins",
        cnt="count n len total",
        q="q l dq lst",
        n="n car cur it item",
        fn=mix("take shift push_to cut drop move skip peek", "front end out off second"),
        o="res out r was",
        x="x amount mark arg",
        t="t spare fresh add",
    )
    ends = [("$head", "$tail", "$nx", "$pv"), ("$tail", "$head", "$pv", "$nx")]
    e, other, nx, pv = rng.choice(ends)
    struct = (
        "struct $T {\n    int $v;\n    struct $T *$nx;\n    struct $T *$pv;\n};\n\n"
        "struct $Q {\n    struct $T *$head;\n    struct $T *$tail;\n    int $cnt;\n};\n\n"
    )
    shape = rng.choice(("pop", "push", "unlink", "second", "insert"))
    cond = rng.choice(("$x < 0", "$q->$cnt > 99", "$x > $q->$cnt + 5"))
    if shape == "pop":
        text = struct + (
            f"int $fn(struct $Q *$q, int $x)\n{{\n    struct $T *$n = $q->{e};\n    int $o;\n\n"
            f"    if (NUL($n)) return -1;\n"
            f"    $o = $n->$v + $x;\n    @n0\n    $q->{e} = $n->{nx};\n    $q->$cnt--;\n    @guard\n    @sink\n"
            f"    $n->{nx} = NULL;\n    return $o;\n}}"
        )
        same = mirror(
            f"$q->{e}",
            rng.choice((f"$q->{other}", f"$q->{other}", "$n")),
            rng.choice((f"{{ $q->{other} = NULL; return $o; }}", "return $o;")),
            f"$q->{e}->{pv} = NULL;",
            f"$q->{e} is NULL after the only one was taken",
            cond=rng.choice(("$x < 0", "$x > $o + 5")),
        )
    elif shape == "push":
        text = struct + (
            "int $fn(struct $Q *$q, int $x)\n{\n    struct $T *$n = calloc(1, sizeof(*$n));\n\n"
            "    if (NUL($n)) return -1;\n"
            f"    $n->$v = $x;\n    $n->{nx} = $q->{e};\n    $q->$cnt++;\n    @n0\n    @guard\n    @sink\n"
            f"    $q->{e} = $n;\n    return 0;\n}}"
        )
        same = mirror(
            rng.choice((f"$q->{e}", f"$n->{nx}")),
            rng.choice(("$n", "$q")),
            "{ $q->$head = $q->$tail = $n; return 1; }",
            f"$q->{e}->{pv} = $n;",
            f"$q->{e} is NULL in an empty list",
        )
    elif shape == "unlink":
        text = struct + (
            "int $fn(struct $Q *$q, struct $T *$n, int $x)\n{\n    int $o = $n->$v * $x;\n\n    @n0\n"
            f"    if (OK($n->{pv})) $n->{pv}->{nx} = $n->{nx};\n    else $q->{e} = $n->{nx};\n    @guard\n"
            f"    @sink\n    $q->$cnt--;\n    return $o;\n}}"
        )
        same = mirror(
            f"$n->{nx}",
            f"$n->{pv}",
            f"{{ $q->{other} = $n->{pv}; return $o; }}",
            f"$n->{nx}->{pv} = $n->{pv};",
            f"$n->{nx} is NULL when $n is the last one",
            cond=cond,
        )
    elif shape == "second":
        text = struct + (
            f"int $fn(struct $Q *$q, int $x)\n{{\n    int $o = $x;\n\n    @n1\n"
            f"    if (NUL($q->{e})) return -2;\n    @n0\n    @guard\n    @sink\n    return $o;\n}}\n\n"
            "void ADD(struct $Q *$q, struct $T *$n)\n{\n    $n->$nx = NULL;\n    $n->$pv = $q->$tail;\n"
            "    if (OK($q->$tail)) $q->$tail->$nx = $n;\n"
            "    else $q->$head = $n;\n    $q->$tail = $n;\n    $q->$cnt++;\n}"
        ).replace("ADD", rng.choice(("append", "enqueue", "link_last", "join_end")))
        m = f"$q->{e}->{nx}"
        sink = rng.choice((f"$o += {m}->$v;", f"{m}->$v = $x;", f"$o = {m}->$v - $q->{e}->$v;"))
        leave = rng.choice(("return -1;", "return $o;", "return 0;"))
        why = f"{m} is NULL when there is one element"
        same = mirror(m, rng.choice((f"$q->{other}", f"$q->{e}")), leave, sink, why, cond="$x < 0")
        counts = [
            ("$q->$cnt < 1", "$q->$cnt < 2"),
            ("$q->$cnt == 0", "$q->$cnt <= 1"),
            ("$q->$cnt <= 0", "$q->$cnt <= 1"),
            ("!$q->$cnt", "$q->$cnt == 1"),
        ]
        low, high = rng.choice(counts)
        same += 3 * [
            (
                way(f"one element passes, and then {why}", guard=f"! if ({low}) {leave}", sink=sink),
                way("there are two elements at least", guard=f"! if ({high}) {leave}", sink=sink),
            )
        ]
    else:
        text = struct + (
            "int $fn(struct $Q *$q, struct $T *$n, struct $T *$t, int $x)\n{\n"
            "    if (NUL($n) || NUL($t)) return -1;\n    $t->$v = $x;\n"
            f"    $t->{nx} = $n->{nx};\n    $t->{pv} = $n;\n    @n0\n    @guard\n    @sink\n"
            f"    $n->{nx} = $t;\n    $q->$cnt++;\n    return 0;\n}}"
        )
        same = mirror(
            rng.choice((f"$n->{nx}", f"$t->{nx}")),
            rng.choice((f"$n->{pv}", f"$t->{pv}")),
            f"{{ $n->{nx} = $q->{other} = $t; return 1; }}",
            f"$n->{nx}->{pv} = $t;",
            f"$n->{nx} is NULL when $n is the last one",
            cond=cond,
        )
    bad, good = rng.choice(same)
    return forge(rng, names, text, bad, good)


def paired_buffers(rng: random.Random) -> Sample:
    """An object needs several allocations and one of them is used without its own check; right: each that is used is
    checked, or comes from the allocator that never gives NULL."""
    names = cast(
        rng,
        T="matrix mixer plot canvas mesh wave board",
        a="rows left red samples cells keys",
        b="cols right blue spare marks vals",
        n="n width count len",
        w="w stride depth step",
        o="o m obj self",
        i="i k row at",
        v="v fill init seed",
        fn=mix("new make build create alloc", "matrix mixer board plot table"),
        hard=mix("get take alloc obtain", "block mem bytes"),
        soft=mix("request reserve grab want", "space room chunk"),
        t="t p tmp mem",
        sz="sz size bytes amount",
    )
    ty = rng.choice(("int", "double", "char", "float", "short"))
    shape = rng.choice(("grid", "two", "grow", "kinds"))
    struct = f"struct $T {{\n    {ty} *$a;\n    {ty} *$b;\n    size_t $n;\n}};\n\n"
    cond = rng.choice(("$n > 4096", "$n == 0", "$v < 0"))
    make = rng.choice((f"malloc($n * sizeof({ty}))", f"calloc($n, sizeof({ty}))", f"calloc($n + 1, sizeof({ty}))"))
    drop = rng.choice(("return NULL;", "{ free($o); return NULL; }"))
    shared: dict[str, str] = {}
    if shape == "grid":
        text = (
            f"{ty} **$fn(size_t $n, size_t $w, int $v)\n{{\n    {ty} **$o = calloc($n, sizeof(*$o));\n\n"
            f"    if (NUL($o) || $n > 999) return NULL;\n"
            f"    for (size_t $i = 0; $i < $n; $i++) {{\n        @n0\n"
            f"        $o[$i] = malloc(($w + 1) * sizeof(**$o));\n        @guard\n        @sink\n    }}\n"
            f"    return $o;\n}}"
        )
        sink = rng.choice(("$o[$i][0] = $v;", "memset($o[$i], $v, $w);", "*$o[$i] = $v;"))
        leave = rng.choice(("return NULL;", "return $o;", "break;"))
        same = mirror(
            "$o[$i]", rng.choice(("$o", "$o[0]")), leave, sink, "$o[$i] is NULL when malloc fails", cond="$v < 0"
        )
        same += [
            (
                way(
                    "the loop leaves the check of $o[$i] to the next round",
                    guard="! if ($i > 0 && NUL($o[$i - 1])) break;",
                    sink=sink,
                ),
                way("each $o[$i] is checked at once", guard="! if ($i < $n && NUL($o[$i])) break;", sink=sink),
            ),
        ]
    elif shape == "two":
        order = rng.sample(("$a", "$b"), 2)
        m, s = f"$o->{order[0]}", f"$o->{order[1]}"
        text = struct + (
            f"struct $T *$fn(size_t $n, int $v)\n{{\n    struct $T *$o = calloc(1, sizeof(*$o));\n\n"
            f"    if (NUL($o)) return NULL;\n    $o->$n = $n;\n"
            f"    $o->$a = {make};\n    $o->$b = {make};\n    @n0\n    @guard\n    @sink\n"
            f"    if (OK({s})) {s}[0] = $v;\n    return $o;\n}}"
        )
        sink = rng.choice((f"{m}[0] = $v;", f"memset({m}, 0, $n);", f"*{m} = $v + 1;"))
        same = mirror(m, rng.choice((s, s, "$o")), drop, sink, f"{m} is NULL when its allocation fails", cond=cond)
    elif shape == "grow":
        text = struct + (
            f"int $fn(struct $T *$o, size_t $n, int $v)\n{{\n    {ty} *$t;\n\n"
            f"    if ($n < $o->$n || $n > 100000) return -2;\n    @n0\n"
            f"    $t = realloc($o->$a, ($n + 1) * sizeof(*$t));\n    @guard\n    @n1\n    @sink\n"
            f"    $o->$a = $t;\n    $o->$n = $n;\n    return 0;\n}}"
        )
        sink = rng.choice(("$t[$n] = $v;", "memset($t + $o->$n, 0, sizeof(*$t));", "$t[$o->$n] = $v;"))
        same = mirror(
            "$t", rng.choice(("$o->$a", "$o", "$o->$b")), "return -1;", sink, "$t is NULL when realloc fails", cond=cond
        )
        same = [pair for pair in same if "! if (OK" not in pair[0].slots["sink"]]
    else:
        if rng.random() < 0.5:
            names["hard"], names["soft"] = names["soft"], names["hard"]
        text = struct + (
            "static void *$hard(size_t $sz)\n{\n    void *$t = malloc($sz ? $sz : 1);\n\n"
            "    if (NUL($t)) abort();\n    return $t;\n}\n\n"
            "static void *$soft(size_t $sz)\n{\n    void *$t = NULL;\n\n"
            "    if ($sz < 65536) $t = calloc(1, $sz + 1);\n    return $t;\n}\n\n"
            "int $fn(struct $T *$o, size_t $n, int $v)\n{\n    @first\n    @second\n    @n0\n    @guard\n"
            "    @sink\n    $o->$n = $n;\n    return 0;\n}"
        )
        why = "$soft may give NULL for $o->$a"
        sink = rng.choice(("$o->$a[0] = $v;", "*$o->$a = $v;", "$o->$a[0] = $o->$b != $o->$a;"))
        swap = rng.random() < 0.5
        size = f"$n * sizeof({ty})" + (" + 1" if ty == "char" else "")
        lines = [f"$o->$a = SOFT({size});", f"$o->$b = HARD({size});"]
        kinds = {"first": lines[0], "second": lines[1]}
        pick = {k: t.replace("SOFT", "$soft").replace("HARD", "$hard") for k, t in kinds.items()}
        turn = {k: t.replace("SOFT", "$hard").replace("HARD", "$soft") for k, t in kinds.items()}
        guard = rng.choice(("if (NUL($o->$b)) return -1;", "if (NUL($o)) return -1;", "if ($n == 0) return -2;"))
        same = mirror("$o->$a", "$o->$b", "return -1;", sink, why, cond=cond)
        shared = pick
        if swap:
            shared = {"guard": guard, "sink": sink.replace("$o->$b != $o->$a", "$v")}
            same = [
                (
                    way(why, **{k: ("! " if k == "first" else "") + t for k, t in pick.items()}),
                    way(
                        "$hard never gives NULL for $o->$a",
                        **{k: ("! " if k == "first" else "") + t for k, t in turn.items()},
                    ),
                )
            ]
    bad, good_way = rng.choice(same)
    return forge(rng, names, text, bad, good_way, **shared)


def login_state(rng: random.Random) -> Sample:  # noqa: PLR0915
    """A session's pointer that only one command sets is used by another command behind a check of another field, state
    or table flag; right: the check is of that pointer or of what implies it."""
    names = cast(
        rng,
        U="account member user profile player",
        R="room channel table_of board lobby",
        S="session client conn peer seat",
        u="user who acct me owner",
        r="room chan where place",
        st="state stage phase mode",
        f="sent score hits balance",
        g="size seats topic_no users",
        s="s c sess cl p",
        fn=mix("on do cmd handle", "post say buy stats send"),
        lo=mix("on do cmd handle", "login auth hello enter"),
        jo=mix("on do cmd handle", "join open watch sit"),
        run=mix("dispatch process feed serve", "line command input msg"),
        arg="arg val n amount",
        list="all users_db people known",
        rl="rooms boards places halls",
        NEW="NEW START GREET",
        SEEN="SEEN HELO_DONE NAMED",
        READY="READY OPEN LIVE",
        op="op cmd code what",
        flag="need guard level gate",
        ent="row entry cmd_row rule",
        tab="table rules commands ops",
    )
    nu, nr = rng.choice((2, 4, 8)), rng.choice((3, 5, 6))
    struct = (
        "struct $U {\n    int $f;\n};\n\nstruct $R {\n    int $g;\n};\n\nstruct $S {\n    struct $U *$u;\n"
        "    struct $R *$r;\n    int $st;\n};\n\n"
        f"static struct $U $list[{nu}];\nstatic struct $R $rl[{nr}];\n\n"
    )
    shape = rng.choice(("fields", "fields", "state", "table"))
    first = rng.random() < 0.5
    m, s, f, o = ("$s->$u", "$s->$r", "$f", "$g") if first else ("$s->$r", "$s->$u", "$g", "$f")
    sink = rng.choice((f"{m}->{f} += $arg;", f"{m}->{f}++;", f"$arg -= {m}->{f};", f"{m}->{f} = $arg;"))
    log = f"    if ($arg < 0 || $arg >= {nu}) return -1;\n    $s->$u = &$list[$arg];\n"
    join = f"    if ($arg < 0 || $arg >= {nr}) return -1;\n    $s->$r = &$rl[$arg];\n"
    leave = rng.choice(("return -1;", "return 403;", "return 0;", "return -5;"))
    rest = rng.choice((f"if (OK({s})) {s}->{o}++;", f"if (OK({s})) $arg += {s}->{o};", ""))
    why = f"{m} is NULL until its command came"
    heads = [
        f"static int $lo(struct $S *$s, int $arg)\n{{\n{log}    @onlog\n    return 0;\n}}\n\n",
        f"static int $jo(struct $S *$s, int $arg)\n{{\n{join}    @onjoin\n    return 0;\n}}\n\n",
    ]
    rng.shuffle(heads)
    letters = rng.sample("abcdefghjklmnpqrstuwxyz", 3)
    calls = [f"case '{letters[0]}': return $lo($s, $arg);", f"case '{letters[1]}': return $jo($s, $arg);"]
    work = (
        "static int $fn(struct $S *$s, int $arg)\n{\n    @n0\n    @guard\n    @n1\n    @sink\n    @rest\n"
        "    return $arg;\n}\n\n"
    )
    end = "    }\n    return -2;\n}"
    shared = {"rest": rest}
    if shape == "fields":
        calls.append(f"case '{letters[2]}': return $fn($s, $arg);")
        rng.shuffle(calls)
        text = struct + heads[0] + heads[1] + work
        text += (
            "int $run(struct $S *$s, char $op, int $arg)\n{\n    switch ($op) {\n    "
            + "\n    ".join(calls)
            + "\n"
            + end
        )
        same = mirror(m, s, leave, sink, why, cond=rng.choice(("$arg < 0", "$s->$st > 3")))
    elif shape == "state":
        mine, yours = ("onlog", "onjoin") if first else ("onjoin", "onlog")
        shared |= {mine: "$s->$st |= 1;", yours: "$s->$st |= 2;"}
        ways = rng.choice(
            (
                ("!($s->$st & 2)", "!($s->$st & 1)"),
                ("$s->$st < 2", "($s->$st & 1) == 0"),
                ("$s->$st == 0", "$s->$st != 3"),
                ("($s->$st | 1) == 0", "($s->$st & 1) == 0"),
                ("$s->$st == 1", "!($s->$st & 1)"),
                ("($s->$st & 2) == 0", "!($s->$st & 1)"),
                ("$s->$st != 2 && $s->$st != 3", "($s->$st & 1) == 0"),
            )
        )
        calls.append(f"case '{letters[2]}': return $fn($s, $arg);")
        rng.shuffle(calls)
        text = struct + "/* a new one is all zero */\n" + heads[0] + heads[1] + work
        text += (
            "int $run(struct $S *$s, char $op, int $arg)\n{\n    switch ($op) {\n    "
            + "\n    ".join(calls)
            + "\n"
            + end
        )
        same = [
            (
                way(
                    f"bit 1 of $s->$st stands for {m}, and it may be missing here",
                    guard=f"! if ({ways[0]}) {leave}",
                    sink=sink,
                ),
                way(f"bit 1 of $s->$st is set together with {m}", guard=f"! if ({ways[1]}) {leave}", sink=sink),
            )
        ] * 3 + mirror(m, s, leave, sink, why, cond="$s->$st == 0")
    else:
        flags = {"$s->$u": 1, "$s->$r": 2}
        rows = [f"{{'{letters[0]}', 0, $lo}},", f"{{'{letters[1]}', FLAG2, $jo}},", f"{{'{letters[2]}', FLAG3, $fn}},"]
        other = rng.choice((0, flags[s]))
        rows[1] = rows[1].replace("FLAG2", "0")
        bad_row, good_row = (
            rows[2].replace("FLAG3", str(other)),
            rows[2].replace("FLAG3", str(rng.choice((flags[m], 3)))),
        )
        text = struct + heads[0] + heads[1] + work
        text += (
            "static const struct {\n    char $op;\n    int $flag;\n    int (*$ent)(struct $S *, int);\n} $tab[] = {\n"
        )
        slots = [rows[0], rows[1], "@row"]
        rng.shuffle(slots)
        text += "    " + "\n    ".join(slots) + "\n};\n\n"
        checks = [
            "if (($tab[$st].$flag & 1) && NUL($s->$u)) return -3;",
            "if (($tab[$st].$flag & 2) && NUL($s->$r)) return -4;",
        ]
        rng.shuffle(checks)
        text += (
            "int $run(struct $S *$s, char $op, int $arg)\n{\n    for (int $st = 0; $st < 3; $st++) {\n"
            f"        if ($tab[$st].$op != $op) continue;\n        {checks[0]}\n        {checks[1]}\n"
            "        return $tab[$st].$ent($s, $arg);\n    }\n    return -2;\n}"
        )
        idle = rng.choice(("", f"if ($arg < 0) {leave}", f"if ($s->$st > 2) {leave}"))
        shared |= {"guard": idle, "sink": sink}
        same = [
            (
                way(f"the row of $fn does not ask for {m}, so it may be NULL", row=f"! {bad_row}"),
                way(f"the row of $fn makes $run refuse a NULL {m}", row=f"! {good_row}"),
            )
        ]
    bad, good = rng.choice(same)
    return forge(rng, names, text, bad, good, **shared)


def best_candidate(rng: random.Random) -> Sample:
    """A scan for the best match leaves NULL when nothing fits and the result is used behind a check of the input;
    right: the result is checked, or the scan starts with an element."""
    names = cast(
        rng,
        T="runner bid route offer server seat slot_of planet",
        k="time price dist load rating mass",
        ok="open valid up free_seats ready",
        c="uses wins picks count",
        a="list all items arr field",
        n="n len count_of num",
        b="best top lead winner",
        l="last prior end tail",
        i="i j k at",
        p="p it cur e",
        fn=mix("pick choose find rank select assign", "winner best one nearest cheapest"),
        x="limit max_x min_x want floor_x",
        r="r out ret sum",
        nx="next link more",
    )
    as_list = rng.random() < 0.4
    sign = rng.choice("<>")
    link = "    struct $T *$nx;\n" if as_list else ""
    struct = f"struct $T {{\n    int $k, $ok, $c;\n{link}}};\n\n"
    fit = rng.choice(("$p->$ok", "$p->$ok && $p->$k != $x", "$p->$k > $x", "$p->$ok > $x"))
    better = rng.choice((f"NUL($b) || $p->$k {sign} $b->$k", f"NUL($b) || $b->$k {rng.choice('<>')}= $p->$k"))
    head = "for (struct $T *$p = $a; OK($p); $p = $p->$nx) {" if as_list else "for (int $i = 0; $i < $n; $i++) {"
    par = "struct $T *$a, int $x" if as_list else "struct $T *$a, int $n, int $x"
    step = "" if as_list else "        struct $T *$p = &$a[$i];\n\n"
    empty = "NUL($a)" if as_list else rng.choice(("$n <= 0", "$n < 1", "NUL($a) || $n <= 0"))
    leave = rng.choice(("return -1;", "return 0;", "return $x;"))
    text = struct + (
        f"int $fn({par})\n{{\n    @init\n    struct $T *$l = NULL;\n    int $r = 0;\n\n    @early\n"
        f"    {head}\n{step}        $l = $p;\n"
        f"        if (!({fit})) continue;\n        @n0\n        @take\n    }}\n    @guard\n    @n1\n"
        f"    @sink\n    if (OK($l)) $r += $l->$c;\n    return $r;\n}}"
    )
    sink = rng.choice(("$b->$c++;", "$r = $b->$k;", "$r += $b->$k * 2;", "$b->$ok = 0;"))
    shared = {"init": "struct $T *$b = NULL;", "take": f"if ({better}) $b = $p;", "early": f"if ({empty}) return -2;"}
    why = "$b stays NULL when none fits"
    same = mirror(
        "$b", rng.choice(("$l", "$a", "$l")), leave, sink, why, cond=rng.choice(("$x < 0", "$x == 7", "$x > 900"))
    )
    first = rng.choice(("$a", "&$a[0]"))
    start = rng.choice((f"if (NUL($l)) {leave}", f"if ($x < 0) {leave}", ""))
    same += [
        (
            way(why, init="! struct $T *$b = NULL;", guard=start, sink=sink),
            way(
                "$b starts with the first one, and there is one",
                init=f"! struct $T *$b = {first};",
                guard=start,
                sink=sink,
            ),
        ),
        (
            way("$l gets the first one, but $b stays NULL when none fits", guard="! if (NUL($l)) $l = $a;", sink=sink),
            way("$b becomes the first one when none fits", guard="! if (NUL($b)) $b = $a;", sink=sink),
        ),
        (
            way(
                "$b is NULL when the first fit is compared",
                take=f"! if ($p->$k {sign} $b->$k || NUL($b)) $b = $p;",
                guard=f"if (NUL($b)) {leave}",
                sink=sink,
            ),
            way(
                "$b is looked at before $b->$k",
                take=f"! if (NUL($b) || $p->$k {sign} $b->$k) $b = $p;",
                guard=f"if (NUL($b)) {leave}",
                sink=sink,
            ),
        ),
        (
            way(
                "$b is NULL when the first fit is compared",
                take=f"! if (OK($l) && $p->$k {sign} $b->$k) $b = $p;",
                guard=f"if (NUL($b)) {leave}",
                sink=sink,
            ),
            way(
                "$b is looked at before $b->$k",
                take=f"! if (NUL($b) || $p->$k {sign} $b->$k) $b = $p;",
                guard=f"if (NUL($b)) {leave}",
                sink=sink,
            ),
        ),
    ]
    bad, good = rng.choice(same)
    return forge(rng, names, text, bad, good, **shared)


def verdict_helper(rng: random.Random) -> Sample:
    """A helper or macro tells whether a pointer can be used, and its verdict is read the wrong way, dropped or asked
    about another pointer; right: the verdict on that pointer decides."""
    names = cast(
        rng,
        T="shape lens valve motor panel relay probe",
        k="rate gain angle range speed",
        g="count step state temp",
        get=mix("find lookup at get", "port place channel pin"),
        t=mix("test probe inspect look_at judge", "one it item this"),
        fn=mix("tune adjust drive sync compare", "pair both motors units"),
        a="p left one src in",
        b="q right two dst ref",
        x="x i ch from first",
        y="y j other to second",
        tab="bank units rack devs",
        v="v it o self",
        r="rc r st ret",
        M="REQUIRE NEEDS EXPECT WANT",
        NN="COUNT UNITS MAX_DEV",
    )
    cap = rng.choice((4, 6, 8, 12, 16))
    zero_good = rng.random() < 0.5
    extra = rng.choice(("", "$v->$g < 0", "$v->$k > 900"))
    yes, no = ("0", rng.choice(("-1", "1"))) if zero_good else ("1", "0")
    if extra and rng.random() < 0.5:
        body = f"if (NUL($v) || {extra}) return {no};\n    return {yes};"
    elif rng.random() < 0.5:
        body = f"if (OK($v)) return {yes};\n    return {no};"
    else:
        body = f"if (NUL($v)) return {no};\n    $v->$g++;\n    return {yes};"
    fails = (lambda e: e) if zero_good else (lambda e: f"!{e}")
    holds = (lambda e: f"!{e}") if zero_good else (lambda e: e)
    macro = rng.random() < 0.3
    leave = rng.choice(("return -1;", "return 1;", "return -3;"))
    struct = f"#define $NN {cap}\n\nstruct $T {{\n    int $k, $g;\n}};\n\nstatic struct $T *$tab[$NN];\n\n"
    getter = "static struct $T *$get(int $x)\n{\n    if ($x < 0 || $x >= $NN) return NULL;\n    return $tab[$x];\n}\n\n"
    sink = rng.choice(("$a->$k = $y;", "$a->$k++;", "$r = $a->$k;", "$a->$g += $x;"))
    rest = rng.choice((f"if ({holds('$t($b)')}) $b->$k += $r;", f"if ({holds('$t($b)')}) $r += $b->$g;"))
    if macro:
        rest = rest.replace(holds("$t($b)"), "OK($b)")
    helper = f"static int $t(struct $T *$v)\n{{\n    {body}\n}}\n\n"
    fetch = ["struct $T *$a = $get($x);", "struct $T *$b = $get($y);"]
    rng.shuffle(fetch)
    text = (
        f"int $fn(int $x, int $y)\n{{\n    {fetch[0]}\n    {fetch[1]}\n    int $r = 0;\n\n    @guard\n"
        f"    @n0\n    @sink\n    @rest\n    return $r;\n}}"
    )
    why = "$get may give NULL for $a"
    shared = {"rest": rest}
    if macro:
        say = rng.choice(('fprintf(stderr, "%s fails\\n", #c);', 'puts("no " #c);', 'fprintf(stderr, "bad\\n");'))
        form = rng.choice(("if (!(c)) ACT", "do { if (!(c)) ACT } while (0)"))
        back = rng.choice(("return -1;", "return -9;", "return -77;"))
        text = struct + "@macro\n\n" + getter + text
        use = rng.choice(("$M($a);", "$M($a != NULL);"))
        define = "#define $M(c) "
        twist = [
            (
                way(f"$M only prints, and {why}", macro="! " + define + form.replace("ACT", say), guard=use, sink=sink),
                way(
                    "$M returns when $a is NULL", macro="! " + define + form.replace("ACT", back), guard=use, sink=sink
                ),
            ),
            (
                way(
                    f"$M is asked about $b, and {why}",
                    macro=define + form.replace("ACT", back),
                    guard="! " + use.replace("$a", "$b"),
                    sink=sink,
                ),
                way(
                    "$M returns when $a is NULL", macro=define + form.replace("ACT", back), guard="! " + use, sink=sink
                ),
            ),
            (
                way(
                    f"$M comes after the use, and {why}",
                    macro=define + form.replace("ACT", back),
                    sink=f"! {sink}\n{use}",
                ),
                way("$M returns when $a is NULL", macro=define + form.replace("ACT", back), sink=f"! {use}\n{sink}"),
            ),
            (
                way(
                    "NDEBUG makes assert do nothing, so $a may be NULL",
                    macro="#define NDEBUG\n#include <assert.h>",
                    guard="! assert(OK($a));",
                    sink=sink,
                ),
                way(
                    "a NULL $a returns",
                    macro="#define NDEBUG\n#include <assert.h>",
                    guard=f"! if (NUL($a)) {leave}",
                    sink=sink,
                ),
            ),
            (
                way(
                    f"$M(0) does not hang on $a, and {why}",
                    macro=define + form.replace("ACT", back),
                    guard="! $M($x >= 0);",
                    sink=sink,
                ),
                way(
                    "$M returns when $a is NULL",
                    macro=define + form.replace("ACT", back),
                    guard="! $M(OK($a));",
                    sink=sink,
                ),
            ),
        ]
    else:
        text = struct + getter + helper + text
        ta, tb = "$t($a)", "$t($b)"
        twist = [
            (
                way(f"the verdict is read the wrong way, and {why}", guard=f"! if ({holds(ta)}) {leave}", sink=sink),
                way("a NULL $a fails $t and leaves", guard=f"! if ({fails(ta)}) {leave}", sink=sink),
            ),
            (
                way(f"$t is asked about $b, and {why}", guard=f"! if ({fails(tb)}) {leave}", sink=sink),
                way("a NULL $a fails $t and leaves", guard=f"! if ({fails(ta)}) {leave}", sink=sink),
            ),
            (
                way(
                    f"the verdict on $a is overwritten, and {why}",
                    guard=f"! $r = {ta};\n$r = {tb};\nif ({fails('$r')}) {leave}",
                    sink=sink,
                ),
                way(
                    "the verdict on $a is the last one in $r",
                    guard=f"! $r = {tb};\n$r = {ta};\nif ({fails('$r')}) {leave}",
                    sink=sink,
                ),
            ),
            (
                way(
                    f"the verdict on $a is not looked at, and {why}",
                    guard=f"! $r = {ta};\nif ({fails(tb)}) {leave}",
                    sink=sink,
                ),
                way("the verdict on $a decides", guard=f"$r = {tb};\n! if ({fails(ta)}) {leave}", sink=sink),
            ),
            (
                way(
                    f"only both failing leaves, and {why}",
                    guard=f"! if ({fails(ta)} && {fails(tb)}) {leave}",
                    sink=sink,
                ),
                way("either failing leaves", guard=f"! if ({fails(ta)} || {fails(tb)}) {leave}", sink=sink),
            ),
            (
                way(f"$b decides about $a, and {why}", sink=f"! if ({holds(tb)}) {sink}"),
                way("$t holds for $a there", sink=f"! if ({holds(ta)}) {sink}"),
            ),
            (
                way(f"the verdict is read the wrong way, and {why}", sink=f"! if ({fails(ta)}) {sink}"),
                way("$t holds for $a there", sink=f"! if ({holds(ta)}) {sink}"),
            ),
            (
                way(f"$a is used before $t is asked, and {why}", sink=f"! {sink}\nif ({fails(ta)}) {leave}"),
                way("a NULL $a leaves before its use", sink=f"! if ({fails(ta)}) {leave}\n{sink}"),
            ),
        ]
    bad, good = rng.choice(twist)
    return forge(rng, names, text, bad, good, **shared)


def member_chain(rng: random.Random) -> Sample:
    """In a tree of named members an inner one may be missing and is searched or read on the strength of another check;
    right: each step is checked, or the search takes a missing one."""
    names = cast(
        rng,
        T="node member elem json_val cfg_node tag",
        k="key name id label",
        v="num value amount ival",
        s="text str raw sval",
        ch="child kids first_in inner",
        nx="next sibling more follow",
        ty="kind type tagno cls",
        get=mix("get find member child", "of named by_key in"),
        fn=mix("read load apply parse fetch", "port limits window user_name colors"),
        o="o doc root top obj",
        a="a box part sec srv",
        b="b leaf item prop opt",
        c="c it cur p",
        d="extra alt second misc",
        r="r out n res",
        NUM="NUM INT_T NUMBER",
        STR="STR TEXT_T STRING",
        w="want q word needle",
    )
    keys = rng.sample(
        ("server", "port", "ui", "width", "limits", "max", "user", "nick", "net", "host", "log", "level", "db", "pool"),
        3,
    )
    leave = rng.choice(("return -1;", "return 0;", "return 80;", "return $r;"))
    typed = rng.random() < 0.4
    struct = (
        ("enum { $NUM, $STR };\n\n" if typed else "")
        + "struct $T {\n    const char *$k;\n    int $v;\n"
        + ("    int $ty;\n    const char *$s;\n" if typed else "")
        + "    struct $T *$ch;\n    struct $T *$nx;\n};\n\n"
    )
    loop = rng.choice(
        (
            "for (; OK($c); $c = $c->$nx)\n    if (strcmp($c->$k, $w) == 0) return $c;",
            "while (OK($c) && strcmp($c->$k, $w) != 0)\n    $c = $c->$nx;",
        )
    )
    tail = "return NULL;" if loop.startswith("for") else "return $c;"
    helper = (
        f"static struct $T *$get(const struct $T *$o, const char *$w)\n{{\n    @open\n\n    @loop\n    {tail}\n}}\n\n"
    )
    plain, soft = "struct $T *$c = $o->$ch;", "struct $T *$c = OK($o) ? $o->$ch : NULL;"
    shared = {"loop": loop, "open": plain}
    if typed:
        text = (
            struct
            + helper
            + (
                f'int $fn(const struct $T *$o)\n{{\n    struct $T *$b = $get($o, "{keys[0]}");\n    int $r = 0;\n\n'
                "    if (NUL($b)) return -2;\n    @n0\n    @guard\n    @n1\n    @sink\n    return $r + $b->$v;\n}\n\n"
                "void SETTER(struct $T *$b, const char *$w)\n{\n    $b->$ty = $w ? $STR : $NUM;\n    $b->$s = $w;\n}"
            ).replace("SETTER", rng.choice(("put_word", "assign", "set_value", "store")))
        )
        sink = rng.choice(
            ("$r = strlen($b->$s);", "$r = $b->$s[0];", "$r += atoi($b->$s);", '$r = strcmp($b->$s, "on");')
        )
        why = "$b->$s is NULL for a $NUM"
        same = mirror(
            "$b->$s",
            rng.choice(("$b->$k", "$o->$ch", "$b")),
            leave,
            sink,
            why,
            cond=rng.choice(("$b->$v < 0", "$b->$v > 99")),
        )
        same += 2 * [
            (
                way(why, guard=f"! if ($b->$ty == $STR) {leave}", sink=sink),
                way("a $STR has its $b->$s", guard=f"! if ($b->$ty == $NUM) {leave}", sink=sink),
            ),
            (
                way(why, guard=f"! if ($b->$ty != $NUM) {leave}", sink=sink),
                way("a $STR has its $b->$s", guard=f"! if ($b->$ty != $STR) {leave}", sink=sink),
            ),
            (
                way(why, sink=f"! if ($b->$ty == $NUM) {sink}"),
                way("a $STR has its $b->$s", sink=f"! if ($b->$ty == $STR) {sink}"),
            ),
        ]
    else:
        deep = rng.random() < 0.6
        second = f'struct $T *$d = $get($o, "{keys[2]}");'
        first = f'struct $T *$a = $get($o, "{keys[0]}");'
        gets = [first, second]
        rng.shuffle(gets)
        text = (
            struct
            + helper
            + (
                f"int $fn(const struct $T *$o)\n{{\n    {gets[0]}\n    {gets[1]}\n"
                f"    struct $T *$b = NULL;\n    int $r = 0;\n\n"
                "    @guard\n    @n0\n    @sink\n    @last\n    if (OK($d)) $r += $d->$v;\n    return $r;\n}"
            )
        )
        if deep:
            sink = f'$b = $get($a, "{keys[1]}");'
            last = rng.choice(
                ("if (OK($b)) $r = $b->$v;", f"if (NUL($b)) {leave}\n$r = $b->$v;", "$r = OK($b) ? $b->$v : 7;")
            )
            shared["last"] = last
            why = "$a may be missing, and $get reads it"
            same = mirror("$a", "$d", leave, sink, why, cond="$o->$v < 0")
            guard = rng.choice((f"if (NUL($d)) {leave}", "if (OK($d)) $r = 1;", "if (NUL($d)) $r = -4;"))
            same += 2 * [
                (
                    way("$get reads the NULL $a it is given", open=f"! {plain}", guard=guard, sink=sink),
                    way("$get takes a NULL and gives NULL", open=f"! {soft}", guard=guard, sink=sink),
                )
            ]
        else:
            sink = rng.choice(("$r = $a->$v;", "$r += $a->$v * 2;", "$a->$v++;", "$b = $a->$ch;"))
            same = mirror(
                "$a",
                "$d",
                leave,
                sink,
                "$get gives NULL when $a is missing",
                cond=rng.choice(("$o->$v < 0", "NUL($o->$ch)")),
            )
            same += [
                (
                    way(
                        "$d is replaced, $a may be missing",
                        guard=f'if (NUL($d)) $d = $get($o, "{keys[1]}");',
                        sink=f"! if (OK($d)) $r++;\n{sink}",
                    ),
                    way(
                        "$a is used only when it is there",
                        guard=f'if (NUL($d)) $d = $get($o, "{keys[1]}");',
                        sink=f"! if (OK($a)) $r++;\nif (NUL($a)) {leave}\n{sink}",
                    ),
                )
            ]
    bad, good = rng.choice(same)
    return forge(rng, names, text, bad, good, **shared)


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-476", name="nullable_helpers_flow", language="c", held_out=True, make=nullable_helpers_flow),
    Family(cwe="CWE-476", name="opcode_cursor_flow", language="c", held_out=True, make=opcode_cursor_flow),
    Family(cwe="CWE-476", name="form_values", language="c", held_out=True, make=form_values),
    Family(cwe="CWE-476", name="option_values", language="c", held_out=True, make=option_values),
    Family(cwe="CWE-476", name="libc_lookups", language="c", held_out=True, make=libc_lookups),
    Family(cwe="CWE-476", name="tree_steps", language="c", held_out=True, make=tree_steps),
    Family(cwe="CWE-476", name="deque_links", language="c", held_out=True, make=deque_links),
    Family(cwe="CWE-476", name="paired_buffers", language="c", held_out=True, make=paired_buffers),
    Family(cwe="CWE-476", name="login_state", language="c", held_out=True, make=login_state),
    Family(cwe="CWE-476", name="best_candidate", language="c", held_out=True, make=best_candidate),
    Family(cwe="CWE-476", name="verdict_helper", language="c", held_out=True, make=verdict_helper),
    Family(cwe="CWE-476", name="member_chain", language="c", held_out=True, make=member_chain),
)
