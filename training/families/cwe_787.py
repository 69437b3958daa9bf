"""Pair families in C for CWE-787 (out-of-bounds write), and the small weaver that both C files here use.

A program is a text in which `$name` is an identifier or a size, a line `@slot` is filled by the chosen way of
being wrong or right, and a line starting with `!` is the flawed (or the mending) one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from string import Template
from textwrap import dedent

from training.families.contract import Family, Sample

MARK = "\x01"

NOUNS = [
    "packet",
    "frame",
    "label",
    "token",
    "sensor",
    "ticket",
    "route",
    "badge",
    "pixel",
    "report",
    "cell",
    "event",
    "batch",
    "song",
    "order",
    "shelf",
    "parcel",
    "region",
    "channel",
    "gauge",
    "marker",
    "profile",
    "widget",
    "voucher",
    "lesson",
    "planet",
    "harbor",
]
VERBS = [
    "store",
    "load",
    "fill",
    "push",
    "apply",
    "set",
    "put",
    "collect",
    "record",
    "update",
    "handle",
    "import",
    "add",
    "build",
    "format",
    "place",
    "parse",
    "merge",
    "take",
    "save",
    "prepare",
    "attach",
    "register",
    "emit",
    "pack",
]
STRUCTS = [
    "queue",
    "session",
    "device",
    "panel",
    "journal",
    "catalog",
    "station",
    "roster",
    "ledger",
    "mailbox",
    "depot",
    "engine",
    "client",
    "stage",
    "cache",
    "monitor",
    "buffer_set",
    "reader",
    "player",
    "vault",
    "garden",
    "board",
    "folder",
    "tracker",
]
BUFFERS = [
    "buf",
    "out",
    "dst",
    "text",
    "line",
    "name",
    "area",
    "slot_data",
    "tmp",
    "field_text",
    "scratch",
    "dest",
    "work",
    "store",
    "page",
    "body",
    "title",
    "chunk",
    "block",
    "holder",
    "row_text",
    "target",
    "outbuf",
]
SOURCES = [
    "src",
    "in",
    "input",
    "msg",
    "raw",
    "arg",
    "value_text",
    "given",
    "data",
    "payload",
    "word",
    "from",
    "str",
    "item",
    "user_text",
    "incoming",
    "request",
    "content",
    "source",
    "part",
    "piece",
]
COUNTS = [
    "len",
    "count",
    "size",
    "total",
    "used",
    "amount",
    "length",
    "num",
    "nbytes",
    "qty",
    "span",
    "extent",
    "width",
    "height",
    "depth",
    "mass",
]
COUNTS += ["need", "have", "tally", "sum", "volume"]
INDEXES = [
    "i",
    "j",
    "k",
    "pos",
    "idx",
    "at",
    "n",
    "p_at",
    "cur",
    "off",
    "where",
    "step",
    "slot",
    "ix",
    "loc",
    "spot",
    "offset",
    "cursor",
    "iter",
    "place_no",
]
VALUES = [
    "value",
    "v",
    "code",
    "level",
    "flag_bits",
    "mark",
    "score",
    "x",
    "val",
    "weight",
    "tone",
    "color",
    "rank",
    "grade",
    "unit_no",
    "phase",
    "kind",
]
VALUES += ["id", "serial", "tag", "temp"]
FIELDS = [
    "items",
    "cells",
    "data_v",
    "entries",
    "values",
    "table",
    "list_v",
    "samples",
    "slots",
    "marks",
    "points",
    "names_v",
    "records",
    "pool",
    "stack_v",
    "blocks",
    "elems",
    "queue_v",
    "codes",
    "rows",
    "nodes_v",
]
TAILS = [
    "top",
    "used_n",
    "fill_n",
    "head",
    "tail_n",
    "next_n",
    "level_n",
    "end_n",
    "last_n",
    "live",
    "stored",
    "held",
    "in_use",
    "placed",
    "mark_n",
]
TAILS += ["busy", "taken", "got", "seen", "ready"]
MACROS = [
    "MAX_LEN",
    "BUF_LEN",
    "NAME_MAX_LEN",
    "LIMIT",
    "SLOTS",
    "CAPACITY",
    "ROOM",
    "ENTRIES",
    "LINE_LEN",
    "TOTAL_MAX",
    "WIDTH",
    "HEIGHT",
    "ROWS",
    "COLS",
    "DEPTH",
    "TABLE_LEN",
    "FIELD_LEN",
    "TEXT_MAX",
    "UNITS",
    "BLOCK_LEN",
    "COUNT_MAX",
    "CELLS",
]
COUNTERS = [
    "stat_calls",
    "hits",
    "nr_ops",
    "ticks_seen",
    "debug_count",
    "rounds",
    "visits",
    "epoch_no",
    "trace_level",
    "uses",
]
COUNTERS += [
    "runs",
    "attempts",
    "jobs_done",
    "beats",
    "cycles",
    "checks_made",
    "events_seen",
    "laps",
    "passes_made",
    "turns",
]
SIZES = (4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 100, 128, 200, 256)

NOTES = (
    "keep in sync with the manual",
    "see the protocol notes",
    "bounds were reviewed last year",
    "caller has done the checks",
    "this part is slow",
    "not thread safe",
    "TODO: tidy up",
    "callers pass anything here",
    "room is limited",
    "size is known to be fine",
    "pointer is always valid here",
    "may fail",
    "legacy layout",
    "safe: checked above",
    "careful: unchecked",
    "old clients need this",
    "fast path",
    "one per request",
    "fixed in the last release",
    "no error expected",
    "untrusted data",
    "copied from the old module",
    "make sure it fits",
    "never empty",
    "result is used below",
)

HEADERS: tuple[tuple[str, str], ...] = (
    (
        "string.h",
        r"\b(str(len|cpy|ncpy|cat|ncat|chr|rchr|cmp|ncmp|tok|tok_r|dup|str|spn|cspn|pbrk|nlen)|mem\w+)\(",
    ),
    ("stdlib.h", r"\b(malloc|calloc|free|realloc|getenv|atoi|strtol|strtoul|bsearch|abs|qsort)\("),
    ("stdio.h", r"\b(\w*printf|f?puts|fopen|fclose|fgets|fread|fgetc|sscanf|putchar|FILE|getchar|fputs)\b"),
    ("unistd.h", r"\b(read|write|close|readlink|gethostname)\("),
    ("stdint.h", r"\buint(8|16|32)_t\b"),
    ("time.h", r"\b(gmtime|localtime|time_t|strftime)\b"),
    ("ctype.h", r"\b(isdigit|isspace|toupper|tolower|isalpha)\("),
    ("sys/socket.h", r"\brecv\("),
    ("pwd.h", r"\bgetpwnam\("),
    ("dirent.h", r"\bopendir\("),
    ("stddef.h", r"\b(size_t|NULL)\b"),
)


@dataclass(frozen=True)
class Way:
    """One way of being wrong or right: the sentence why, and what the program's slots hold."""

    why: str
    slots: dict[str, str] = field(default_factory=dict)


def way(why: str, **slots: str) -> Way:
    """A `Way` whose slots are given as keywords, `_` standing for an empty line's absence."""
    return Way(why, slots)


def draw_names(rng: random.Random) -> dict[str, str]:
    """Distinct identifiers for every role a program may use."""
    taken: set[str] = set()

    def pick(pool: Sequence[str]) -> str:
        word = rng.choice(pool)
        while word in taken:
            word = rng.choice(pool)
        taken.add(word)
        return word

    def function() -> str:
        verb, noun = pick(VERBS), pick(NOUNS)
        return rng.choice((f"{verb}_{noun}", f"{noun}_{verb}", f"{verb}_{noun}_at", f"do_{verb}_{noun}"))

    names = {"fn": function(), "fn2": function(), "fn3": function()}
    pools = {
        "st": STRUCTS,
        "st2": STRUCTS,
        "o": SOURCES,
        "buf": BUFFERS,
        "buf2": BUFFERS,
        "src": SOURCES,
        "src2": SOURCES,
        "len": COUNTS,
        "len2": COUNTS,
        "len3": COUNTS,
        "i": INDEXES,
        "j": INDEXES,
        "v": VALUES,
        "v2": VALUES,
        "v3": VALUES,
        "arr": FIELDS,
        "arr2": FIELDS,
        "top": TAILS,
        "top2": TAILS,
        "ctr": COUNTERS,
        "a": NOUNS,
        "b": NOUNS,
        "c": NOUNS,
        "d": NOUNS,
    }
    return names | {role: pick(pool) for role, pool in pools.items()}


def draw_sizes(rng: random.Random) -> tuple[dict[str, str], list[str]]:
    """Three sizes, `CAP` < `BIG` and any `OTH`, as macros, enum constants or numbers, and their
    definitions."""
    low, high = sorted(rng.sample(SIZES, 2))
    other = rng.choice([size for size in SIZES if size not in (low, high)])
    macros = rng.sample(MACROS, 3)
    how = rng.choice(("macro", "macro", "number", "number", "enum"))
    values, lines = {}, []
    for role, name, size in zip(("CAP", "BIG", "OTH"), macros, (low, high, other), strict=True):
        plain = how == "number"
        values[role] = str(size) if plain else name
        values[role + "m"] = str(size - 1) if plain else f"{name} - 1"
        values[role + "p"] = str(size + 1) if plain else f"{name} + 1"
        values[role + "v"], values[role + "w"], values[role + "u"] = str(size), str(size - 1), str(size + 1)
        if not plain:
            lines.append(f"#define {name} {size}" if how == "macro" else f"enum {{ {name} = {size} }};")
    if rng.random() < 0.5:
        lines.reverse()
    return values, lines


def noise(rng: random.Random, names: dict[str, str]) -> str:
    """An irrelevant statement, or a comment, or nothing."""
    ctr = names["ctr"]
    statements = (
        f"{ctr}++;",
        f"{ctr} += {rng.randrange(2, 9)};",
        f"{ctr} = {ctr} * 3 + 1;",
        f"{ctr} ^= {rng.randrange(9)};",
    )
    draw = rng.random()
    if draw < 0.45:
        return ""
    return rng.choice(statements) if draw < 0.75 else note(rng)


def note(rng: random.Random) -> str:
    """A comment that proves nothing."""
    text = rng.choice(NOTES)
    return rng.choice((f"/* {text} */", f"// {text}"))


def fill(text: str, slots: dict[str, str]) -> list[str]:
    """The lines of `text` with `@slot` lines replaced, the flagged line ending in MARK."""
    lines: list[str] = []
    for line in dedent(text).strip("\n").split("\n"):
        bare = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        inner = dedent(slots.get(bare[1:], "")).strip("\n").split("\n") if bare.startswith("@") else [bare]
        lines += [indent + part for part in inner if part.strip()]
    marked = [at for at, line in enumerate(lines) if line.lstrip().startswith("!")]
    shared = [line.strip() for line in text.split("\n")]
    own = [at for at in marked if lines[at].strip() not in shared] or marked
    assert marked, text
    for at in marked:
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        lines[at] = indent + lines[at].lstrip()[1:].lstrip() + (MARK if at == own[0] else "")
    return lines


@dataclass(frozen=True)
class Style:
    """How both versions of a program are laid out."""

    null: str
    size: str
    ifs: str
    brace: bool
    indent: str
    step: str

    def apply(self, lines: list[str]) -> str:
        """The text in this style."""
        text = "\n".join(lines)
        text = re.sub(r"NUL\(([^()]*)\)", r"!\1" if self.null == "!" else r"\1 == NULL", text)
        text = re.sub(r"OK\(([^()]*)\)", r"\1" if self.null == "!" else r"\1 != NULL", text)
        text = re.sub(r"SZ\(([^,()]*), ([^()]*)\)", r"sizeof(\1)" if self.size == "sizeof" else r"\2", text)
        text = re.sub(r"; (\w+)\+\+\)", r"; ++\1)" if self.step == "pre" else r"; \1++)", text)
        if self.ifs != "one":
            tail = r"{" if self.ifs == "brace" else ""
            close = r"\n\1}" if self.ifs == "brace" else ""
            space = " " if tail else ""
            pattern = rf"(?m)^( *)(if \(.*\)) (return[^;\n]*;|goto \w+;|break;|continue;)({MARK}?)$"
            text = re.sub(pattern, rf"\1\2{space}{tail}\4\n\1    \3{close}", text)
        if self.brace:
            text = re.sub(r"\)\n\{\n", ") {\n", text)
        return re.sub(r"(?m)^( {4})+", lambda found: self.indent * (len(found.group()) // 4), text)


def weave(rng: random.Random, text: str, wrong: Sequence[Way], right: Sequence[Way], **given: str) -> Sample:
    """Draws a wrong and a right way, names, sizes, noise and layout, and writes the two programs.

    `given` are further names that text and ways use; their values may use the names drawn here.
    """
    bad, good = rng.choice(list(wrong)), rng.choice(list(right))
    names = draw_names(rng)
    sizes, defines = draw_sizes(rng)
    table = names | sizes | {"err": rng.choice(("-1", "-1", "1", "-2"))}
    table |= {key: Template(value).substitute(table) for key, value in given.items()}
    extra = {f"noise{k}": noise(rng, names) for k in range(4)} | {"note": note(rng) if rng.random() < 0.35 else ""}
    style = Style(
        rng.choice("!="),
        rng.choice(("sizeof", "name")),
        rng.choice(("one", "two", "two", "brace")),
        rng.random() < 0.4,
        rng.choice(("    ", "    ", "  ", "\t")),
        rng.choice(("pre", "post", "post")),
    )
    bodies = []
    for side in (bad, good):
        body = "\n".join(fill(text, extra | side.slots))
        bodies.append(style.apply(Template(body).substitute(table).split("\n")))
    top = [line for line in defines if re.search(rf"\b{line.split()[1 if line[0] == '#' else 2]}\b", "".join(bodies))]
    if names["ctr"] in "".join(bodies):
        top.insert(rng.randrange(len(top) + 1), f"static unsigned {names['ctr']};")
    if rng.random() < 0.15:
        top.insert(0, note(rng))
    top = includes(rng, "\n".join(bodies)) + top
    versions, flagged = [], []
    for body in bodies:
        flagged.append(next(line for line in body.split("\n") if MARK in line).replace(MARK, "").strip())
        versions.append("\n".join([*top, body.replace(MARK, "")]) + "\n")
    reasons = [Template(side.why).substitute(table) for side in (bad, good)]
    return Sample(
        vulnerable=versions[0],
        patched=versions[1],
        flaw=flagged[0],
        fix=flagged[1],
        reason=reasons[0],
        reason_patched=reasons[1],
    )


def includes(rng: random.Random, text: str) -> list[str]:
    """The #include lines that the text needs, now and then one more."""
    needed = [name for name, pattern in HEADERS if re.search(pattern, text)]
    if "stddef.h" in needed and set(needed) & {"string.h", "stdlib.h", "stdio.h"}:
        needed.remove("stddef.h")
    if rng.random() < 0.15:
        needed.append(
            rng.choice([name for name in ("string.h", "stdlib.h", "stdio.h", "errno.h") if name not in needed])
        )
    rng.shuffle(needed)
    return [f"#include <{name}>" for name in needed]


def loop_fill(rng: random.Random) -> Sample:
    """A counted loop runs past the end of the array it fills; right: bound and array agree."""
    text = """
        @decl
        int $fn(const int *$src, int $v)
        {
            int $i;
            @noise0
            @local
            @loop
                $arr[$i] = $src[$i % 4] + $v;
            @noise1
            @note
            return $arr[0] + $arr[$CAP / 2];
        }
        """
    where = rng.choice(("decl", "local"))
    kind = "static int" if where == "decl" else "int"
    wrong = [
        way(
            "$arr has $CAPv cells but $i goes down from $BIGw",
            **{where: f"{kind} $arr[$CAP];", "loop": "! for ($i = $BIGm; $i >= 0; $i--)"},
        ),
        way(
            "$arr has $CAPv cells but $i runs to $CAPv inclusive",
            **{where: f"{kind} $arr[$CAP];", "loop": "! for ($i = 0; $i <= $CAP; $i++)"},
        ),
        way(
            "$arr has $CAPv cells but $i runs below $BIGv",
            **{where: f"{kind} $arr[$CAP];", "loop": "! for ($i = 0; $i < $BIG; $i++)"},
        ),
        way(
            "$arr has $CAPv cells but $i goes down from $CAPv",
            **{where: f"{kind} $arr[$CAP];", "loop": "! for ($i = $CAP; $i >= 0; $i--)"},
        ),
    ]
    right = [
        way(
            "$i stays below the $CAPv cells of $arr",
            **{where: f"{kind} $arr[$CAP];", "loop": "! for ($i = 0; $i < $CAP; $i++)"},
        ),
        way(
            "$arr has $BIGv cells and $i runs to $CAPv inclusive, which is less",
            **{where: f"{kind} $arr[$BIG];", "loop": "! for ($i = 0; $i <= $CAP; $i++)"},
        ),
        way(
            "$arr has $BIGv cells and $i goes down from $BIGw",
            **{where: f"{kind} $arr[$BIG];", "loop": "! for ($i = $BIGm; $i >= 0; $i--)"},
        ),
        way(
            "$arr has $BIGv cells and $i stays below $BIGv",
            **{where: f"{kind} $arr[$BIG];", "loop": "! for ($i = 0; $i < $BIG; $i++)"},
        ),
    ]
    return weave(rng, text, wrong, right)


def copy_after_check(rng: random.Random) -> Sample:
    """strcpy guarded by a length check that is too weak, late or of another text; right: it counts the
    NUL."""
    copy = rng.choice(("strcpy($buf, $src);", "memcpy($buf, $src, strlen($src) + 1);", "strcat($buf, $src);"))
    text = """
        static char $buf[$CAP];
        static char $buf2[$BIG];

        int $fn(const char *$src, const char *$src2)
        {
            @noise0
            @other
            @before
            @note
            $buf[0] = '\\0';
            ! COPY
            @after
            @noise1
            return 0;
        }
        """.replace("COPY", copy)
    okay = "if (strlen($src2) < SZ($buf2, $BIG)) strcpy($buf2, $src2);"
    wrong = [
        way(
            "$src may have $BIGw characters, more than the $CAPv bytes of $buf",
            other=okay,
            before="! if (strlen($src) > SZ($buf2, $BIG) - 1) return $err;",
        ),
        way(
            "$src may have $CAPv characters, so its NUL goes past $buf",
            other=okay,
            before="! if (strlen($src) - 1 >= SZ($buf, $CAP)) return $err;",
        ),
        way(
            "$src may have $CAPv characters, so its NUL goes past $buf",
            other=okay,
            before="! if (strlen($src) > SZ($buf, $CAP)) return $err;",
        ),
        way(
            "the check takes the size of $buf2, $BIGv, but $buf holds $CAPv",
            other=okay,
            before="! if (strlen($src) >= SZ($buf2, $BIG)) return $err;",
        ),
        way(
            "$src2 is checked but $src is copied to $buf",
            other=okay,
            before="! if (strlen($src2) >= SZ($buf, $CAP)) return $err;",
        ),
        way(
            "the length of $src is checked only after it is in $buf",
            other=okay,
            after="if (strlen($src) >= SZ($buf, $CAP)) return $err;",
        ),
    ]
    right = [
        way(
            "$src is shorter than the $CAPv bytes of $buf",
            other=okay,
            before="! if (strlen($src) >= SZ($buf, $CAP)) return $err;",
        ),
        way(
            "$src with its NUL is at most the $CAPv bytes of $buf",
            other=okay,
            before="! if (strlen($src) + 1 > SZ($buf, $CAP)) return $err;",
        ),
        way(
            "$src has at most $CAPw characters, $buf holds $CAPv",
            other=okay,
            before="! if (strlen($src) > SZ($buf, $CAP) - 1) return $err;",
        ),
    ]
    return weave(rng, text, wrong, right)


def bounded_copy(rng: random.Random) -> Sample:
    """strncpy/memcpy with the size of another buffer, or the NUL one past the end; right: this buffer's
    size."""
    text = """
        struct $st {
            char $buf[$CAP];
            char $buf2[$BIG];
            int $v;
        };

        void $fn(struct $st *$o, const char *$src, const char *$src2)
        {
            @noise0
            @one
            @noise1
            @two
            $o->$v = 1;
        }
        """
    small = "strncpy($o->$buf, $src, {0});\n$o->$buf[{1}] = '\\0';"
    large = "strncpy($o->$buf2, $src2, {0});\n$o->$buf2[{1}] = '\\0';"
    flag_first = small.replace("strncpy", "! strncpy", 1)
    flag_second = small.replace("$o->$buf[", "! $o->$buf[", 1)
    rest = large.format("SZ($o->$buf2, $BIG) - 1", "SZ($o->$buf2, $BIG) - 1")
    wrong = [
        way(
            "$BIGw bytes are written to $buf, which holds $CAPv",
            two=rest,
            one=flag_first.format("SZ($o->$buf2, $BIG) - 1", "SZ($o->$buf, $CAP) - 1"),
        ),
        way(
            "the NUL goes to index $CAPv of $buf, which holds $CAPv",
            two=rest,
            one=flag_second.format("SZ($o->$buf, $CAP)", "SZ($o->$buf, $CAP)"),
        ),
        way(
            "the NUL goes to index $BIGw of $buf, which holds $CAPv",
            two=rest,
            one=flag_second.format("SZ($o->$buf, $CAP) - 1", "SZ($o->$buf2, $BIG) - 1"),
        ),
    ]
    right = [
        way(
            "at most $CAPw bytes and a NUL go to $buf, which holds $CAPv",
            two=rest,
            one=flag_first.format("SZ($o->$buf, $CAP) - 1", "SZ($o->$buf, $CAP) - 1"),
        ),
        way(
            "$CAPv bytes fit $buf and the NUL goes to its last index",
            two=rest,
            one=flag_second.format("SZ($o->$buf, $CAP)", "SZ($o->$buf, $CAP) - 1"),
        ),
    ]
    return weave(rng, text, wrong, right)


def index_guard(rng: random.Random) -> Sample:
    """A table is written at a caller's index whose guard misses an end or guards another; right: both
    ends."""
    text = """
        static int $arr[$CAP];
        static int $arr2[$BIG];

        int $fn(int $i, int $j, int $v)
        {
            @noise0
            @one
            @two
            @noise1
            @note
            ! $arr[$i] = $v;
            $arr2[$j] += 1;
            return 0;
        }
        """
    first, second = rng.sample(("one", "two"), 2)
    other = "if ($j < 0 || $j >= $BIG) return $err;"
    wrong = [
        way(
            "$i may be up to $BIGw but $arr has $CAPv cells",
            **{first: "! if ($i < 0 || $i > $BIGm) return $err;", second: other},
        ),
        way(
            "$i may be up to $CAPv, one past $arr",
            **{first: "! if ($i < 0 || $i - 1 >= $CAP) return $err;", second: other},
        ),
        way(
            "$i may be $CAPv, one past $arr",
            **{first: "! if ($i < 0 || $i > $CAP) return $err;", second: other},
        ),
        way(
            "$i may be up to $BIGw but $arr has $CAPv cells",
            **{first: "! if ($i < 0 || $i >= $BIG) return $err;", second: other},
        ),
        way("$i may be negative, before $arr", **{first: "! if ($i >= $CAP) return $err;", second: other}),
        way(
            "the check refuses only an $i that is both, so any $i reaches $arr",
            **{first: "! if ($i < 0 && $i >= $CAP) return $err;", second: other},
        ),
    ]
    right = [
        way(
            "$i is from 0 to $CAPw and $arr has $CAPv cells",
            **{first: "! if ($i < 0 || $i >= $CAP) return $err;", second: other},
        ),
        way(
            "$i is from 0 to $CAPw and $arr has $CAPv cells",
            **{first: "! if ($i < 0 || $i > $CAPm) return $err;", second: other},
        ),
        way(
            "$i is made unsigned, so it is from 0 to $CAPw",
            **{first: "! if ((unsigned)$i >= $CAP) return $err;", second: other},
        ),
    ]
    return weave(rng, text, wrong, right)


def append_cursor(rng: random.Random) -> Sample:
    """Bytes are appended behind a fill count that the check forgets; right: the check takes the room left."""
    text = """
        struct $st {
            unsigned char $arr[$CAP];
            size_t $top;
        };

        int $fn(struct $st *$o, const void *$src, size_t $len)
        {
            @noise0
            @before
            @note
            ! memcpy($o->$arr + $o->$top, $src, $len);
            @between
            $o->$top += $len;
            @noise1
            return 0;
        }
        """
    wrong = [
        way(
            "$len is compared with $arr, but $top bytes of it are in use",
            before="! if ($len > SZ($o->$arr, $CAP) - 1 || $o->$top > SZ($o->$arr, $CAP)) return $err;",
        ),
        way(
            "$top and $len each fit $arr but together they need not",
            before="! if ($o->$top > SZ($o->$arr, $CAP) || $len > SZ($o->$arr, $CAP)) return $err;",
        ),
        way(
            "$len is compared with all of $arr, not with what is left after $top",
            before="! if ($len > SZ($o->$arr, $CAP)) return $err;",
        ),
        way(
            "only $top is checked, $len may be more than is left of $arr",
            before="! if ($o->$top > SZ($o->$arr, $CAP)) return $err;",
        ),
        way(
            "the room left after $top is checked when $arr is already written",
            between="if ($len > SZ($o->$arr, $CAP) - $o->$top) return $err;",
        ),
        way(
            "the check refuses what fits and lets through what is more than is left of $arr",
            before="! if ($len < SZ($o->$arr, $CAP) - $o->$top) return $err;",
        ),
    ]
    right = [
        way(
            "$len is at most what is left of $arr after $top",
            before="! if ($len > SZ($o->$arr, $CAP) - $o->$top) return $err;",
        ),
        way(
            "$top is at most $CAPv and $len is at most the rest of $arr",
            before="! if ($o->$top > SZ($o->$arr, $CAP) || $len > SZ($o->$arr, $CAP) - $o->$top) return $err;",
        ),
        way(
            "$len is cut to what is left of $arr after $top",
            before="! if ($len > SZ($o->$arr, $CAP) - $o->$top) $len = SZ($o->$arr, $CAP) - $o->$top;",
        ),
    ]
    return weave(rng, text, wrong, right)


def read_then_terminate(rng: random.Random) -> Sample:
    """read() may fill the whole buffer and the NUL goes behind it, or to -1; right: a byte is kept,
    failure checked."""
    call = rng.choice(("read($v, $buf, {0})", "recv($v, $buf, {0}, 0)", "read($v, &$buf[0], {0})"))
    text = """
        int $fn(int $v)
        {
            char $buf[$CAP];
            ssize_t $len;
            @noise0
            @get
            @check
            @note
            $buf[$len] = '\\0';
            @noise1
            return $buf[0] == '$mark';
        }
        """
    get = "$len = " + call + ";"
    failed = rng.choice(("if ($len < 0) return $err;", "if ($len <= 0) return $err;", "if ($len == -1) return $err;"))
    wrong = [
        way(
            "$len may be $CAPv, so the NUL goes one past $buf",
            get="! " + get.format("SZ($buf, $CAP)"),
            check=failed,
        ),
        way(
            "$len may be -1, so the NUL goes before $buf",
            get=get.format("SZ($buf, $CAP) - 1"),
            check="! if ($len >= $CAP) return $err;",
        ),
        way(
            "$len may be $CAPv, one past $buf",
            get=get.format("SZ($buf, $CAP)"),
            check="! if ($len < 0 || $len > $CAP) return $err;",
        ),
    ]
    right = [
        way("$len is at most $CAPw, and -1 returns", get="! " + get.format("SZ($buf, $CAP) - 1"), check=failed),
        way(
            "$len of $CAPv or -1 returns before the NUL is written to $buf",
            get=get.format("SZ($buf, $CAP)"),
            check="! if ($len < 0 || $len >= $CAP) return $err;",
        ),
        way(
            "$len is from 0 to $CAPw",
            get=get.format("SZ($buf, $CAP)"),
            check="if ($len < 0) return $err;\n! if ($len == $CAP) $len = $len - 1;",
        ),
    ]
    return weave(rng, text, wrong, right, mark=rng.choice("abxyz09!#+"))


def heap_copy(rng: random.Random) -> Sample:
    """A text is copied to heap memory with no room for its NUL; right: the size has one more."""
    text = """
        char *$fn(const char *$src, const char *$src2)
        {
            size_t $len = strlen($src);
            size_t $len2 = strlen($src2);
            @noise0
            @alloc
            if (NUL($buf)) return NULL;
            @note
            memcpy($buf, $src, $len);
            memcpy($buf + $len, $src2, $len2);
            @end
            @noise1
            return $buf;
        }
        """
    end = rng.choice(("$buf[$len + $len2] = '\\0';", "*($buf + $len + $len2) = '\\0';"))
    wrong = [
        way(
            "$buf has $len + $len2 bytes and the NUL goes behind them",
            alloc="! char *$buf = malloc($len + $len2);",
            end=end,
        ),
        way("$buf has room for $src only, not for $src2", alloc="! char *$buf = malloc($len + 1);", end=end),
        way(
            "$buf has $len + $len + 1 bytes but $len + $len2 + 1 are written",
            alloc="! char *$buf = malloc($len + $len + 1);",
            end=end,
        ),
        way(
            "strlen($src2 + 1) + $len is too little for both texts and the NUL",
            alloc="! char *$buf = malloc($len + strlen($src2 + 1));",
            end=end,
        ),
        way(
            "$buf has $len + $len2 + 1 bytes and the NUL goes behind them",
            alloc="char *$buf = malloc($len + $len2 + 1);",
            end="! $buf[$len + $len2 + 1] = '\\0';",
        ),
    ]
    right = [
        way(
            "$buf has $len + $len2 + 1 bytes for both texts and the NUL",
            alloc="! char *$buf = malloc($len + $len2 + 1);",
            end=end,
        ),
        way(
            "$buf has strlen($src2) + $len + 1 bytes for both texts and the NUL",
            alloc="! char *$buf = malloc(strlen($src2) + 1 + $len);",
            end=end,
        ),
        way(
            "$buf has $len + $len2 + 2 bytes, enough for the NUL",
            alloc="! char *$buf = malloc($len + $len2 + 2);",
            end=end,
        ),
        way(
            "the NUL replaces the last of the $len + $len2 bytes of $buf",
            alloc="if ($len + $len2 == 0) return NULL;\nchar *$buf = malloc($len + $len2);",
            end="! $buf[$len + $len2 - 1] = '\\0';",
        ),
    ]
    return weave(rng, text, wrong, right)


def grid_swap(rng: random.Random) -> Sample:
    """Rows and columns of a grid are mixed up in the guard; right: each index has its own size."""
    lines, width = rng.choice((("CAP", "BIG"), ("BIG", "CAP")))
    text = """
        static unsigned char $arr[$ROWS_][$COLS_];

        int $fn(unsigned $i, unsigned $j, unsigned char $v)
        {
            @noise0
            @before
            @note
            ! $arr[$i][$j] = $v;
            @after
            @noise1
            return 0;
        }
        """.replace("ROWS_", lines).replace("COLS_", width)
    row, col = f"${lines}", f"${width}"
    joined = "! if ($i {0} {1} || $j {2} {3}) return $err;"
    wrong = [
        way("$i and $j have each other's limit", before=joined.format(">", col + "m", ">", row + "m")),
        way(
            f"$i is held below {col}v and $j below {row}v, but $arr is {row}v by {col}v",
            before=joined.format(">=", col, ">=", row),
        ),
        way(f"$i may be {row}v, one past the rows of $arr", before=joined.format(">", row, ">=", col)),
        way(f"$j may be {col}v, one past a row of $arr", before=joined.format(">=", row, ">", col)),
        way(
            "an $i or $j out of $arr is refused only if both are",
            before=f"! if ($i >= {row} && $j >= {col}) return $err;",
        ),
        way("$i and $j are checked after $arr is written", after=joined.format(">=", row, ">=", col)[2:]),
    ]
    right = [
        way(f"$i is below {row}v and $j below {col}v, as $arr is", before=joined.format(">=", row, ">=", col)),
        way(f"$i is at most {row}w and $j below {col}v", before=joined.format(">", row + "m", ">=", col)),
        way(
            f"only an $i below {row}v with a $j below {col}v goes on",
            before=f"! if (!($i < {row} && $j < {col})) return $err;",
        ),
    ]
    return weave(rng, text, wrong, right)


def stack_push(rng: random.Random) -> Sample:
    """A push tests the top against the wrong limit for how it steps; right: the limit suits the step."""
    text = """
        struct $st {
            int $arr[$CAP];
            int $top;
        };

        void $fn2(struct $st *$o)
        {
            ! $o->$top = START;
        }

        int $fn(struct $st *$o, int $v)
        {
            @noise0
            @check
            @note
            @store
            @noise1
            return 0;
        }
        """
    pre = rng.random() < 0.5
    text = text.replace("! ", "").replace("START", "-1" if pre else "0")
    store = "$o->$arr[++$o->$top] = $v;" if pre else "$o->$arr[$o->$top++] = $v;"
    if pre:
        wrong = [
            way(
                "$top may be $CAPw and is stepped before the write, to $CAPv",
                store=store,
                check="! if ($o->$top >= $CAP) return $err;",
            ),
            way(
                "$top of $CAPw passes and is stepped to $CAPv, one past $arr",
                store=store,
                check="! if ($o->$top > $CAPm) return $err;",
            ),
            way(
                "a $top of $CAPw passes and is stepped to $CAPv, one past $arr",
                store=store,
                check="! if ($o->$top == $CAP) return $err;",
            ),
        ]
        right = [
            way(
                "$top is below $CAPw, so the step goes to $CAPw at most",
                store=store,
                check="! if ($o->$top >= $CAPm) return $err;",
            ),
            way(
                "$top + 1 is below the $CAPv cells of $arr",
                store=store,
                check="! if ($o->$top + 1 >= $CAP) return $err;",
            ),
            way(
                "$top of $CAPw is the last cell and returns",
                store=store,
                check="! if ($o->$top == $CAPm) return $err;",
            ),
        ]
    else:
        wrong = [
            way("$top may be $CAPv, one past $arr", store=store, check="! if ($o->$top > $CAP) return $err;"),
            way(
                "$top of $CAPv passes, one past $arr",
                store=store,
                check="! if ($o->$top == $CAPp) return $err;",
            ),
            way(
                "$top is checked after $arr is written at it",
                store="! " + store + "\nif ($o->$top >= $CAP) return $err;",
            ),
            way(
                "$top - 1 may be $CAPw, so $top may be $CAPv",
                store=store,
                check="! if ($o->$top - 1 >= $CAP) return $err;",
            ),
        ]
        right = [
            way(
                "$top is below the $CAPv cells of $arr",
                store=store,
                check="! if ($o->$top >= $CAP) return $err;",
            ),
            way("$top is at most $CAPw", store=store, check="! if ($o->$top > $CAPm) return $err;"),
            way(
                "a $top of $CAPv means full and returns",
                store=store,
                check="! if ($o->$top == $CAP) return $err;",
            ),
        ]
    return weave(rng, text, wrong, right)


def ring_wrap(rng: random.Random) -> Sample:
    """A ring's write place is wrapped too late or by the wrong size; right: it wraps at the ring's own
    size."""
    text = """
        static unsigned char $arr[$CAP];
        static short $arr2[$BIG];
        static unsigned $top, $top2;

        void $fn(unsigned char $v)
        {
            @noise0
            @store
            @note
            $arr2[$top2] = $v;
            $top2 = ($top2 + 1) % $BIG;
            @noise1
        }
        """
    wrong = [
        way(
            "$top wraps at $BIGv but $arr has $CAPv cells",
            store="$arr[$top] = $v;\n! $top = ($top + 1) % $BIG;",
        ),
        way("$top may become $CAPv, one past $arr", store="$arr[$top] = $v;\n! if (++$top > $CAP) $top = 0;"),
        way("$top may become $CAPv, one past $arr", store="$arr[$top] = $v;\n! $top = ($top + 1) % ($CAPp);"),
        way(
            "$top is wrapped only after $arr was written one past its end",
            store="! $top = $top + 1;\n$arr[$top] = $v;\nif ($top >= $CAP) $top = 0;",
        ),
        way(
            "$top2 is wrapped in place of $top, which runs past $arr",
            store="$arr[$top++] = $v;\n! if ($top2 >= $CAP) $top2 = 0;",
        ),
        way(
            "the step follows the wrap, so $top may be $CAPv",
            store="! $top = $top % $CAP + 1;\n$arr[$top] = $v;",
        ),
    ]
    right = [
        way("$top wraps at the $CAPv cells of $arr", store="$arr[$top] = $v;\n! $top = ($top + 1) % $CAP;"),
        way("$top goes back to 0 at $CAPv", store="$arr[$top] = $v;\n! if (++$top >= $CAP) $top = 0;"),
        way(
            "$top is wrapped before $arr is written",
            store="$top = $top + 1;\n! if ($top >= $CAP) $top = 0;\n$arr[$top] = $v;",
        ),
        way("$top goes back to 0 after $CAPw", store="$arr[$top++] = $v;\n! if ($top > $CAPm) $top = 0;"),
    ]
    return weave(rng, text, wrong, right)


def shift_insert(rng: random.Random) -> Sample:
    """Cells are moved up to insert one, without room or too many of them; right: there is room for the
    last."""
    text = """
        static int $arr[$CAP];
        static unsigned $top;

        int $fn(unsigned $i, int $v)
        {
            @noise0
            @full
            if ($i > $top) return $err;
            @note
            @move
            $arr[$i] = $v;
            $top++;
            @late
            @noise1
            return 0;
        }
        """
    move = "memmove($arr + $i + 1, $arr + $i, ($top - $i) * sizeof($arr[0]));"
    wrong = [
        way(
            "$top may be $CAPv, so the last cell is moved past $arr",
            full="! if ($top > $CAP) return $err;",
            move=move,
        ),
        way(
            "$i is checked but a full $arr is still moved up",
            full="! if ($i >= $CAP) return $err;",
            move=move,
        ),
        way(
            "a full $arr is noticed after it was moved up",
            move="! " + move,
            late="if ($top >= $CAP) return $err;",
        ),
        way(
            "$CAPv - $i cells are moved up by one, the last past $arr",
            full="if ($top >= $CAP) return $err;",
            move="! memmove($arr + $i + 1, $arr + $i, ($CAP - $i) * sizeof($arr[0]));",
        ),
    ]
    right = [
        way(
            "a full $arr returns, so there is a cell for the last",
            full="! if ($top >= $CAP) return $err;",
            move=move,
        ),
        way(
            "$top is at most $CAPw, so moving up by one stays in $arr",
            full="! if ($top > $CAPm) return $err;",
            move=move,
        ),
        way("a full $arr loses its last cell first", full="! if ($top == $CAP) $top = $CAPm;\n", move=move),
    ]
    return weave(rng, text, wrong, right)


def format_append(rng: random.Random) -> Sample:
    """snprintf's result moves an offset past the buffer and the next write follows it; right: the
    offset is held."""
    text = """
        int $fn(const char *$src, const char *$src2)
        {
            char $buf[$BIG];
            size_t $i = 0;
            @noise0
            $i += snprintf($buf, SZ($buf, $BIG), "%s$sep", $src);
            @before
            @note
            ! $buf[$i] = '$m';
            @after
            $buf[SZ($buf, $BIG) - 1] = '\\0';
            @noise1
            return puts($buf) + (int)strlen($src2);
        }
        """
    wrong = [
        way(
            "$src2 is measured, $i grew with $src past $buf",
            before="! if (strlen($src2) > SZ($buf, $BIG) - 1) return $err;",
        ),
        way("$i may be $BIGv, one past $buf", before="! if ($i - 1 >= SZ($buf, $BIG)) return $err;"),
        way(
            "$i counts what snprintf would have written, past $buf, and is checked too late",
            after="if ($i >= SZ($buf, $BIG)) return $err;",
        ),
        way("$i may be $BIGv, one past $buf", before="! if ($i > SZ($buf, $BIG)) return $err;"),
        way(
            "the length of $src2 is checked, $i grew with $src past $buf",
            before="! if (strlen($src2) >= SZ($buf, $BIG)) return $err;",
        ),
        way("$i is set to $BIGv, one past $buf", before="! if ($i >= SZ($buf, $BIG)) $i = SZ($buf, $BIG);"),
        way(
            "an $i in $buf returns and one past it goes on",
            before="! if ($i < SZ($buf, $BIG) - 1) return $err;",
        ),
    ]
    right = [
        way("$i is below the $BIGv bytes of $buf", before="! if ($i >= SZ($buf, $BIG)) return $err;"),
        way("$i is at most $BIGw", before="! if ($i > SZ($buf, $BIG) - 1) return $err;"),
        way("$i past $buf is set to $BIGw", before="! if ($i >= SZ($buf, $BIG)) $i = SZ($buf, $BIG) - 1;"),
    ]
    return weave(rng, text, wrong, right, sep=rng.choice((":", " ", "/", "-", ",")), m=rng.choice("abc*#!.~"))


def scan_width(rng: random.Random) -> Sample:
    """sscanf's field width leaves no room for the NUL or belongs to the other text; right: size minus one."""
    text = """
        struct $st {
            @decl
            int $v;
        };

        int $fn(struct $st *$o, const char *$src)
        {
            @noise0
            int $len = 0;
            @note
            @scan
            @noise1
            if ($len != 2) return $err;
            $o->$v += 1;
            return 0;
        }
        """
    size, other = rng.sample((8, 12, 16, 20, 24, 32, 48, 64), 2)
    small, big = min(size, other), max(size, other)
    order = rng.random() < 0.5
    decl = [f"char $buf[{small}];", f"char $buf2[{big}];"]
    decl_text = "\n".join(decl if order else decl[::-1])
    scan = '! $len = sscanf($src, "%{0}s$sep%{1}s", $o->$buf, $o->$buf2);'
    swap = '! $len = sscanf($src, "%{0}s$sep%{1}s", $o->$buf2, $o->$buf);'
    wrong = [
        way(
            f"%{small}s writes {small} characters and a NUL to $buf of {small}",
            decl=decl_text,
            scan=scan.format(small, big - 1),
        ),
        way(
            f"%{big - 1}s may write {big} bytes to $buf of {small}",
            decl=decl_text,
            scan=swap.format(small - 1, big - 1),
        ),
        way(
            f"%{big}s writes {big} characters and a NUL to $buf2 of {big}",
            decl=decl_text,
            scan=scan.format(small - 1, big),
        ),
    ]
    right = [
        way(
            f"%{small - 1}s and the NUL fit $buf of {small}",
            decl=decl_text,
            scan=scan.format(small - 1, big - 1),
        ),
        way(
            f"%{big - 1}s goes to $buf2 of {big} and %{small - 1}s to $buf of {small}",
            decl=decl_text,
            scan=swap.format(big - 1, small - 1),
        ),
    ]
    return weave(rng, text, wrong, right, sep=rng.choice((" ", " : ", " = ")))


def hex_expand(rng: random.Random) -> Sample:
    """Each byte becomes two digits and the check forgets the factor or the NUL; right: 2 * n + 1 is
    compared."""
    text = """
        int $fn(char *$buf, size_t $len, const unsigned char *$src, size_t $len2)
        {
            static const char $c[] = "0123456789abcdef";
            size_t $i;
            @noise0
            @check
            for ($i = 0; $i < $len2; $i++) {
                $buf[2 * $i] = $c[$src[$i] >> 4];
                $buf[2 * $i + 1] = $c[$src[$i] & 15];
            }
            @note
            $buf[2 * $len2] = '\\0';
            @noise1
            return 0;
        }
        """
    wrong = [
        way(
            "two bytes are written to $buf for each of $len2, but the check counts one",
            check="! if ($len2 >= $len) return $err;",
        ),
        way("with $len2 at $len / 2 the NUL goes one past $buf", check="! if ($len2 > $len / 2) return $err;"),
        way(
            "$len and $len2 are mixed up, so a small $buf passes",
            check="! if ($len2 / 2 >= $len) return $err;",
        ),
        way("the NUL is not counted, 2 * $len2 may be $len", check="! if ($len / 2 < $len2) return $err;"),
    ]
    right = [
        way(
            "$len2 is below $len / 2, so the digits and the NUL fit $buf",
            check="! if ($len2 >= $len / 2) return $err;",
        ),
        way("2 * $len2 + 1 is at most $len", check="! if ($len == 0 || $len2 > ($len - 1) / 2) return $err;"),
        way("$len / 2 is more than $len2, so the NUL fits $buf", check="! if ($len / 2 <= $len2) return $err;"),
    ]
    return weave(rng, text, wrong, right)


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-787", name="loop_fill", language="c", held_out=False, make=loop_fill),
    Family(cwe="CWE-787", name="copy_after_check", language="c", held_out=False, make=copy_after_check),
    Family(cwe="CWE-787", name="bounded_copy", language="c", held_out=False, make=bounded_copy),
    Family(cwe="CWE-787", name="index_guard", language="c", held_out=False, make=index_guard),
    Family(cwe="CWE-787", name="append_cursor", language="c", held_out=False, make=append_cursor),
    Family(cwe="CWE-787", name="read_then_terminate", language="c", held_out=False, make=read_then_terminate),
    Family(cwe="CWE-787", name="heap_copy", language="c", held_out=False, make=heap_copy),
    Family(cwe="CWE-787", name="grid_swap", language="c", held_out=False, make=grid_swap),
    Family(cwe="CWE-787", name="stack_push", language="c", held_out=False, make=stack_push),
    Family(cwe="CWE-787", name="ring_wrap", language="c", held_out=False, make=ring_wrap),
    Family(cwe="CWE-787", name="shift_insert", language="c", held_out=False, make=shift_insert),
    Family(cwe="CWE-787", name="format_append", language="c", held_out=False, make=format_append),
    Family(cwe="CWE-787", name="scan_width", language="c", held_out=True, make=scan_width),
    Family(cwe="CWE-787", name="hex_expand", language="c", held_out=True, make=hex_expand),
)
