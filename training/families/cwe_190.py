"""CWE-190 pair families: C programs where an integer wraps before (or instead of) being checked."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from string import Template

from training.families.contract import Family, Sample

MARK = "!!"
"""Ends the line of a slot that is the flaw (vulnerable) or the fix (patched)."""

SHORT_STRUCT = re.compile(r"struct (\w+) \{\n\s+([^\n{}]+;)\n\};")
"""A struct of one field, which may be written on one line."""

Way = tuple[str, ...]
"""The texts for the slots @1, @2, ... and, last, the reason."""

Group = tuple[Sequence[Way], Sequence[Way]]
"""Ways to be wrong and ways to be right that fit the same skeleton."""

STRUCTS = [
    "parcel",
    "ledger",
    "sensor",
    "packet",
    "voxel",
    "ticket",
    "session",
    "frame",
    "chunk",
    "cell",
    "region",
    "tile",
    "marker",
    "sprite",
    "glyph",
    "account",
    "shelf",
    "channel",
    "route",
    "vertex",
    "sample",
    "option",
    "segment",
    "bucket",
    "layer",
    "track",
    "badge",
    "probe",
    "invoice",
    "widget",
]
VERBS = [
    "load",
    "build",
    "make",
    "collect",
    "merge",
    "pack",
    "gather",
    "store",
    "read",
    "import",
    "prepare",
    "compose",
    "copy",
    "append",
    "stage",
    "expand",
    "create",
    "open",
    "take",
    "join",
    "fetch",
    "emit",
    "push",
    "decode",
    "accept",
    "handle",
    "process",
    "submit",
    "apply",
    "record",
]
NOUNS = [
    "items",
    "batch",
    "table",
    "rows",
    "payload",
    "body",
    "image",
    "list",
    "group",
    "pool",
    "samples",
    "points",
    "names",
    "entries",
    "blocks",
    "pages",
    "cache",
    "index",
    "report",
    "feed",
    "trace",
    "queue",
    "history",
    "bundle",
    "archive",
    "message",
    "stream",
    "catalog",
    "matrix",
]
COUNTS = [
    "count",
    "num",
    "nitems",
    "total_rows",
    "n",
    "cnt",
    "entries_n",
    "howmany",
    "quantity",
    "nelem",
    "rows",
    "nblocks",
    "amount",
    "want",
    "nrec",
    "slots",
    "units",
    "pieces",
    "volume",
    "members",
]
LENS = [
    "len",
    "size",
    "alen",
    "nbytes",
    "left_len",
    "head_len",
    "part",
    "first_len",
    "body_len",
    "extra",
    "span",
    "width",
    "run_len",
    "seg_len",
    "chunk_len",
    "plen",
    "klen",
    "vlen",
    "rest",
    "tail_len",
    "prefix_len",
    "block_len",
]
SUMS = [
    "total",
    "bytes",
    "need",
    "required",
    "sum",
    "all_bytes",
    "space",
    "room",
    "whole",
    "full_size",
    "alloc_size",
    "want_bytes",
    "acc",
    "joined",
    "footprint",
    "budget_used",
    "mem",
    "bulk",
    "combined",
    "final_size",
]
BUFS = [
    "buf",
    "out",
    "dst",
    "mem_area",
    "result",
    "area",
    "copy_buf",
    "block",
    "store_ptr",
    "data_out",
    "target",
    "arr",
    "tbl",
    "dest",
    "fresh_buf",
    "obj",
    "base",
    "holder",
    "vec",
    "region_ptr",
]
SRCS = [
    "src",
    "in",
    "data",
    "input",
    "from",
    "raw",
    "bytes_in",
    "text",
    "left",
    "origin",
    "wire",
    "msg",
    "packet_data",
    "source",
    "body_in",
    "head",
    "key",
    "first",
    "ptr",
    "blob",
]
FIELDS = [
    "id",
    "flags",
    "kind",
    "color",
    "weight",
    "level",
    "state",
    "stamp",
    "score",
    "limit_f",
    "port",
    "tag",
    "age",
    "mode",
    "rank",
    "group_id",
    "price",
    "hits",
    "serial",
    "order_no",
    "depth",
]
INDEXES = [
    "i",
    "j",
    "k",
    "pos",
    "idx",
    "at",
    "row",
    "ix",
    "cur",
    "slot",
    "t",
    "step",
    "w",
    "m",
    "x",
    "y",
    "z",
    "r",
    "c",
    "s",
]
VALUES = [
    "value",
    "fill",
    "seed",
    "init_val",
    "start",
    "def_val",
    "base_val",
    "key_id",
    "owner",
    "version",
    "code",
    "hint",
    "tone",
    "option_id",
    "priority",
    "delta",
    "amount_in",
    "ttl",
    "phase",
    "origin_id",
]
LIMITS = [
    "MAX_BYTES",
    "LIMIT",
    "CAP_BYTES",
    "MAX_ALLOC",
    "BUF_LIMIT",
    "POOL_MAX",
    "MAX_SIZE",
    "AREA_MAX",
    "MEM_CAP",
    "QUOTA",
    "UPPER",
    "MAX_TOTAL",
    "SPACE_MAX",
    "HARD_LIMIT",
    "TOP",
    "MAX_MEM",
    "STORE_MAX",
    "ALLOC_CAP",
    "MAX_SPAN",
    "CEILING",
]
COUNTERS = [
    "calls_seen",
    "last_state",
    "debug_mask",
    "trace_level",
    "mode_bits",
    "stat_word",
    "probe_state",
    "log_mask",
    "boot_flags",
    "audit_word",
    "seen_mask",
    "dbg_state",
    "event_bits",
    "last_event",
    "diag_word",
    "hook_state",
    "misc_flags",
    "run_state",
    "tick_mask",
    "phase_bits",
]
HELPERS = [
    "is_ready",
    "clamp_level",
    "pick_mode",
    "to_upper_hex",
    "mix_bits",
    "parity_of",
    "is_blank",
    "swap_half",
    "low_nibble",
    "is_even",
    "first_bit",
    "fold_key",
    "min_of",
    "max_of",
    "same_sign",
    "is_digit_ch",
    "to_lower_ch",
    "half_of",
    "choose_lane",
    "flag_for",
]

COMMENTS = [
    "sizes come from the file header",
    "the caller has validated the sizes",
    "checked: cannot overflow",
    "values are read from the network",
    "limit agreed with the protocol team",
    "see the format description, section 4",
    "safe on all supported platforms",
    "make sure that everything fits",
    "TODO: review the arithmetic",
    "reject requests that are too large",
    "no check needed here",
    "32-bit arithmetic is enough",
    "overflow is handled",
    "copy the parts one after the other",
    "this runs on every request",
    "keep in step with the reader",
    "the numbers are untrusted",
    "guard against wraparound",
    "small inputs only",
    "kept simple on purpose",
]

HELPER_BODIES = (
    "static int $hp(unsigned $hv) {\n    return ($hv & 1u) == 0;\n}",
    "static unsigned $hp(unsigned $hv) {\n    return $hv ^ ($hv >> 3);\n}",
    "static int $hp(int $hv, int $hw) {\n    return $hv < $hw ? $hv : $hw;\n}",
    "static int $hp(int $hv) {\n    return $hv >= '0' && $hv <= '9';\n}",
    'static const char *$hp(int $hv) {\n    return $hv ? "on" : "off";\n}',
)


class Names:
    """Draws identifiers that differ from each other within one program."""

    def __init__(self, rng: random.Random) -> None:
        """Start with no name taken."""
        self.rng = rng
        self.used: set[str] = set()

    def one(self, pool: Sequence[str]) -> str:
        """One name of the pool that is still free."""
        free = [name for name in pool if name not in self.used]
        name = self.rng.choice(free)
        self.used.add(name)
        return name

    def function(self, verbs: Sequence[str], nouns: Sequence[str]) -> str:
        """A function name: verb and noun, at times with a short module prefix."""
        prefix = self.rng.choice(["", "", "", "do_", "my_", "x_", "lib_"])
        return self.one([f"{prefix}{self.rng.choice(verbs)}_{self.rng.choice(nouns)}" for _ in range(40)])


def _indented(text: str, indent: str) -> list[str]:
    """The lines of a slot text at the slot's indentation."""
    return [indent + line for line in text.split("\n") if line.strip()]


def _fill(skeleton: str, way: Way, pads: Sequence[str]) -> list[str]:
    """The skeleton's lines with its slots (@1, @2, ...) and pads (@s) filled."""
    lines: list[str] = []
    pad = iter(pads)
    for line in skeleton.strip("\n").split("\n"):
        slot = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        if slot == "@s":
            text = next(pad)
            lines += [] if not indent and text.startswith("$") else _indented(text, indent)
        elif re.fullmatch(r"@\d", slot):
            lines += _indented(way[int(slot[1]) - 1], indent)
        else:
            lines.append(line)
    return lines


def _styled(lines: list[str], unit: str, join_ifs: bool, low_brace: bool) -> list[str]:
    """The lines in another layout: indentation, one-line ifs, the brace of a function on its own line."""
    out: list[str] = []
    pending = ""
    for line in lines:
        bare = line.lstrip(" ")
        depth = (len(line) - len(bare)) // 4
        marked = bare.endswith(MARK)
        core = bare.removesuffix(MARK).rstrip()
        if pending:
            head_marked = pending.endswith(MARK)
            joined = f"{pending.removesuffix(MARK).rstrip()} {core}"
            out.append(joined + (MARK if head_marked or marked else ""))
            pending = ""
        elif join_ifs and core.startswith("if (") and core.endswith(")"):
            pending = unit * depth + bare
        elif low_brace and depth == 0 and core.endswith(") {"):
            out += [core[:-2], "{"]
        else:
            out.append(unit * depth + bare)
    return out


def _finish(lines: Sequence[str]) -> tuple[str, str]:
    """The program's text without its mark, and the marked line, stripped."""
    marked = [line.removesuffix(MARK).strip() for line in lines if line.endswith(MARK)]
    if len(marked) != 1:
        raise ValueError(f"one marked line expected, got {marked}")
    return "\n".join(line.removesuffix(MARK).rstrip() for line in lines) + "\n", marked[0]


def pads_for(rng: random.Random, how_many: int, comments: Sequence[str]) -> tuple[list[str], bool]:
    """Comments, irrelevant statements or nothing for the pads; whether the counter variable occurs."""
    with_counter = rng.random() < 0.4
    statements = ["$ctr |= 4u;", "$ctr = 2u;", "$ctr ^= 1u;", "$ctr &= 15u;"] if with_counter else []
    pads: list[str] = []
    for _ in range(how_many):
        dice = rng.random()
        comment = rng.choice(comments)
        if dice < 0.4:
            pads.append(f"// {comment}" if rng.random() < 0.5 else f"/* {comment} */")
        elif dice < 0.65 and statements:
            pads.append(rng.choice(statements))
        else:
            pads.append("")
    return pads, any("$ctr" in pad for pad in pads)


def draw(
    rng: random.Random,
    names: dict[str, str],
    headers: str,
    skeleton: str,
    groups: Sequence[Group],
    *,
    comments: Sequence[str] = COMMENTS,
) -> Sample:
    """Choose a way to be wrong and one to be right, and write the program both ways."""
    taken = Names(rng)
    taken.used.update(names.values())
    extra = {
        "ctr": taken.one(COUNTERS),
        "hp": taken.one(HELPERS),
        "hv": taken.one(["u", "q", "g"]),
        "hw": "hw",
    }
    bads, goods = rng.choice(list(groups))
    bad, good = rng.choice(list(bads)), rng.choice(list(goods))
    pads, counter = pads_for(rng, skeleton.count("@s"), comments)
    includes = headers.split()
    rng.shuffle(includes)
    top = [f"#include <{name}.h>" for name in includes] + [""]
    top += ["static unsigned $ctr;"] if counter else []
    short = len(skeleton.split("\n")) < 27
    top += [*rng.choice(HELPER_BODIES).split("\n"), ""] if short and rng.random() < 0.25 else []
    tight = rng.random() < 0.5 or len(skeleton.split("\n")) > 24
    unit = rng.choice(["    ", "    ", "  ", "\t"])
    join_ifs, low_brace = rng.random() < 0.3, rng.random() < 0.25

    def program(way: Way) -> tuple[str, str]:
        lines = _styled(top + _fill(skeleton, way, pads), unit, join_ifs, low_brace)
        text = Template("\n".join(lines)).substitute(names | extra)
        text = SHORT_STRUCT.sub(r"struct \1 { \2 };", text) if tight else text
        return _finish(text.split("\n"))

    (vulnerable, flaw), (patched, fix) = program(bad), program(good)
    reasons = [Template(way[-1]).substitute(names | extra) for way in (bad, good)]
    return Sample(
        vulnerable=vulnerable,
        patched=patched,
        flaw=flaw,
        fix=fix,
        reason=reasons[0],
        reason_patched=reasons[1],
    )


def vocabulary(rng: random.Random) -> dict[str, str]:
    """Identifiers for one program; $M is a limit of 2^28 to 2^30, $K an element size of 16 to 64."""
    pick = Names(rng)
    return {
        "T": pick.one(STRUCTS),
        "fn": pick.function(VERBS, NOUNS),
        "fn2": pick.function(VERBS, NOUNS),
        "n": pick.one(COUNTS),
        "n2": pick.one(COUNTS),
        "a": pick.one(LENS),
        "b": pick.one(LENS),
        "tot": pick.one(SUMS),
        "tot2": pick.one(SUMS),
        "buf": pick.one(BUFS),
        "buf2": pick.one(BUFS),
        "p": pick.one(SRCS),
        "q": pick.one(SRCS),
        "f": pick.one(FIELDS),
        "g": pick.one(FIELDS),
        "i": pick.one(INDEXES),
        "v": pick.one(VALUES),
        "M": pick.one(LIMITS),
        "L": rng.choice(["0x10000000u", "0x20000000u", "0x40000000u", "(1u << 28)", "(1u << 30)"]),
        "K": str(rng.choice(range(16, 68, 4))),
        "H": str(rng.choice(range(2, 17))),
        "E": rng.choice(["-1", "-2", "1", "-22", "-7"]),
        "C": str(rng.choice([8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 100])),
    }


def alloc_product(rng: random.Random) -> Sample:
    """Wrong: the limit is on the wrapped product or another variable; right: on the count."""
    names = vocabulary(rng)
    names["S"] = rng.choice([names["K"] + "u", f"(uint32_t)sizeof(struct {names['T']})"])
    calc = "uint32_t $tot = $n * $S;"
    stop = "\n    return NULL;"
    bads = [
        (f"if ($v > $M / $S){MARK}{stop}\n{calc}", "the guard tests $v, so $n * $S can still wrap"),
        (f"{calc}\nif ($tot / $S > $M){MARK}{stop}", "$n * $S wraps before $tot is tested"),
        (f"{calc}\nif ($tot / $S * $S != $tot){MARK}{stop}", "$tot is tested against itself, not against $n"),
        (f"if ($n > $M){MARK}{stop}\n{calc}", "$n up to $M is allowed, so $n * $S wraps in 32 bits"),
    ]
    goods = [
        (f"if ($n > $M / $S){MARK}{stop}\n{calc}", "$n is limited to $M / $S before the product"),
        (f"{calc}\nif ($tot / $S != $n){MARK}{stop}", "dividing $tot by $S shows whether $n * $S wrapped"),
    ]
    skeleton = """
#define $M $L

struct $T {
    uint32_t $f;
    uint8_t $g[$K - 4];
};

struct $T *$fn(uint32_t $n, uint32_t $v) {
    @s
    @1
    struct $T *$buf = malloc($tot);
    if ($buf == NULL)
        return NULL;
    @s
    for (uint32_t $i = 0; $i < $n; $i++)
        $buf[$i].$f = $v;
    return $buf;
}
"""
    return draw(rng, names, "stdint stdlib", skeleton, [(bads, goods)])


def sum_of_lengths(rng: random.Random) -> Sample:
    """Wrong: the sum is compared, or the subtraction itself wraps; right: each length is limited first."""
    names = vocabulary(rng)
    bads = [
        (f"if ($a + $b > $M){MARK}", "$a + $b wraps before it is compared with $M"),
        (f"if ($b > $M || $b > $M - $a){MARK}", "$a is never limited, so $M - $a and $a + $b wrap"),
        (f"if ($a + $b > $M || $b > $M){MARK}", "$b is limited, but a huge $a makes $a + $b wrap"),
        (f"if ($a > $M && $b > $M){MARK}", "one of $a and $b may be huge, so $a + $b wraps"),
        (f"if ((uint64_t)($a + $b) > $M){MARK}", "$a + $b wraps in 32 bits before the cast"),
        (f"if ($a > $M - $b){MARK}", "$M - $b wraps when $b is above $M, so $a + $b wraps too"),
    ]
    goods = [
        (f"if ($a > $M || $b > $M - $a){MARK}", "$a is limited first, so neither $M - $a nor $a + $b wraps"),
        (f"if ($b > $M || $a > $M - $b){MARK}", "$b is limited first, so neither $M - $b nor $a + $b wraps"),
        (f"if (!($a <= $M && $b <= $M)){MARK}", "both are at most $M, so $a + $b stays below 2^32"),
        (f"if ($a + (uint64_t)$b > $M){MARK}", "the sum is tested in 64 bits before $tot is made"),
    ]
    skeleton = """
#define $M $L

@s
char *$fn(const char *$p, uint32_t $a, const char *$q, uint32_t $b) {
    @1
        return NULL;
    @s
    uint32_t $tot = $a + $b;
    char *$buf = malloc($tot);
    if ($buf == NULL)
        return NULL;
    memcpy($buf, $p, $a);
    memcpy($buf + $a, $q, $b);
    return $buf;
}
"""
    return draw(rng, names, "stdint stdlib string", skeleton, [(bads, goods)])


def offset_window(rng: random.Random) -> Sample:
    """Wrong: offset + length wraps in the bounds check; right: the length is compared with what is left."""
    names = vocabulary(rng)
    out = "\n    return $E;\n"
    size = "$p->$tot"
    bads = [
        (f"if ($a + $b > {size}){MARK}{out}", f"$a + $b wraps, so the check against {size} passes"),
        (f"if ($b > {size} || $b > {size} - $a){MARK}{out}", f"$a is not checked, so {size} - $a wraps"),
        (
            f"if ($b > {size}){out}if ($a + $b > {size}){MARK}{out}",
            "$b is limited but a huge $a makes $a + $b wrap",
        ),
        (
            f"if ($a > {size} || $a + $b > {size}){MARK}{out}",
            "$a is limited but a huge $b makes $a + $b wrap",
        ),
        (f"if ((uint64_t)($a + $b) > {size}){MARK}{out}", "$a + $b wraps in 32 bits before the cast"),
    ]
    goods = [
        (
            f"if ($a > {size} || $b > {size} - $a){MARK}{out}",
            f"$b is compared with {size} - $a, no sum can wrap",
        ),
        (
            f"if ($b > {size}){out}if ($a > {size} - $b){MARK}{out}",
            f"$b is limited, then {size} - $b cannot wrap",
        ),
        (
            f"if ($b > {size} - $a){out}if ($a > {size}){MARK}{out}",
            f"an $a above {size} is rejected in the end",
        ),
        (f"if ((uint64_t)$a + $b > {size}){MARK}{out}", "the sum is made in 64 bits, so $a + $b cannot wrap"),
    ]
    skeleton = """
struct $T {
    const uint8_t *$q;
    uint32_t $tot;
};

@s
int $fn(const struct $T *$p, uint8_t *$buf, uint32_t $a, uint32_t $b) {
    @s
    @1
    memcpy($buf, $p->$q + $a, $b);
    @s
    return 0;
}
"""
    return draw(rng, names, "stdint string", skeleton, [(bads, goods)])


def narrow_total(rng: random.Random) -> Sample:
    """Wrong: a sum of 16-bit lengths is kept in 16 bits; right: in size_t, or checked before narrowing."""
    names = vocabulary(rng)
    total = "$H + $a + $b"
    tally = "\nuint16_t $tot2 = $a ^ $b;"
    types: Group = (
        [(f"uint16_t $tot = {total};{MARK}\nsize_t $tot2 = $a ^ $b;", "$tot has 16 bits, so $a + $b wraps")],
        [
            (
                f"size_t $tot = {total};{MARK}\nuint16_t $tot2 = $a ^ $b;",
                "$tot is a size_t and holds any $a + $b",
            )
        ],
    )
    casts: Group = (
        [
            (
                f"size_t $tot = (uint16_t)($H + $a + $b);{MARK}{tally}",
                "the cast cuts $H + $a + $b to 16 bits",
            ),
            (f"size_t $tot = (uint16_t)($a + $b) + $H;{MARK}{tally}", "the cast cuts $a + $b to 16 bits"),
        ],
        [
            (f"size_t $tot = $H + (uint16_t)($a) + $b;{MARK}{tally}", "only $a is cast, the sum stays wide"),
            (f"size_t $tot = (uint16_t)($a) + $b + $H;{MARK}{tally}", "only $a is cast, the sum stays wide"),
        ],
    )
    stop = "\n    return NULL;\n"
    narrow = f"uint16_t $tot = {total};\n"
    other = "\nuint16_t $tot2 = $a ^ $b;"
    checks: Group = (
        [
            (
                f"{narrow}if ($tot + 1 > 65535){MARK}{stop}{other}",
                f"$tot has wrapped before it is tested: {total}",
            )
        ],
        [
            (
                f"if ({total} > 65535){MARK}{stop}{narrow}{other}",
                "the int sum is tested before it goes into $tot",
            )
        ],
    )
    skeleton = """
uint8_t *$fn(const uint8_t *$p, uint16_t $a, const uint8_t *$q, uint16_t $b) {
    @s
    @1
    uint8_t *$buf = malloc($tot);
    if ($buf == NULL)
        return NULL;
    memset($buf, (int)$tot2 & 1, $H);
    memcpy($buf + $H, $p, $a);
    @s
    memcpy($buf + $H + $a, $q, $b);
    return $buf;
}
"""
    return draw(rng, names, "stdint stdlib string", skeleton, [types, casts, checks])


def negate_minimum(rng: random.Random) -> Sample:
    """Wrong: a value that may be the minimum is negated; right: as unsigned, or excluded."""
    names = vocabulary(rng)
    plain = "$tot = (uint32_t)(-$v);"
    places: Group = (
        [
            ("", f"$tot = (uint32_t)(-$v);{MARK}", "-$v overflows for INT32_MIN before the cast"),
            ("", f"$tot = 0u + (uint32_t)(-$v);{MARK}", "-$v overflows for INT32_MIN before the cast"),
        ],
        [
            ("", f"$tot = -((uint32_t)$v);{MARK}", "$v is cast first, so the negation is unsigned"),
            ("", f"$tot = 0u - (uint32_t)($v);{MARK}", "$v is cast first, so the subtraction is unsigned"),
        ],
    )
    guards: Group = (
        [
            (
                f"if ($v == -INT32_MAX){MARK}\n    $v = INT32_MIN;",
                plain,
                "$v may be INT32_MIN and -$v overflows",
            ),
            (
                f"if ($v == INT32_MAX){MARK}\n    return INT32_MIN;",
                plain,
                "$v may be INT32_MIN and -$v overflows",
            ),
        ],
        [
            (
                f"if ($v == INT32_MIN){MARK}\n    $v = -INT32_MAX;",
                plain,
                "$v is never INT32_MIN, so -$v is fine",
            ),
            (
                f"if ($v == INT32_MIN){MARK}\n    return INT32_MAX;",
                plain,
                "INT32_MIN is excluded, so -$v is fine",
            ),
        ],
    )
    skeleton = """
struct $T {
    uint32_t $f;
    int32_t $g;
};

@s
int32_t $fn(struct $T *$p, int32_t $v) {
    @1
    uint32_t $tot = (uint32_t)$v;
    @s
    if ($v < 0)
        @2
    if ($tot > $p->$f)
        return 1;
    $p->$f -= $tot;
    $p->$g = $v;
    return 0;
}
"""
    return draw(rng, names, "stdint", skeleton, [places, guards])


def shift_blocks(rng: random.Random) -> Sample:
    """Wrong: a 32-bit left shift loses bits before the check; right: limit shifted down, or 64 bits."""
    names = vocabulary(rng)
    calc = "uint32_t $tot = $n << $a;"
    stop = "\n    return NULL;"
    bads = [
        (f"{calc}\nif ($tot > $M){MARK}{stop}", "$n << $a loses its high bits before $tot is compared"),
        (f"if ((uint64_t)($n << $a) > $M){MARK}{stop}\n{calc}", "$n << $a is a 32-bit shift inside the cast"),
        (
            f"{calc}\nif ($tot >> $a << $a != $tot){MARK}{stop}",
            "$tot is tested against itself, not against $n",
        ),
        (f"if ($v > $M >> $a){MARK}{stop}\n{calc}", "the guard is on $v, so $n << $a may overflow"),
    ]
    goods = [
        (f"if ($n > $M >> $a){MARK}{stop}\n{calc}", "$n is limited to $M >> $a before the shift"),
        (
            f"if ((uint64_t)$n << $a > $M){MARK}{stop}\n{calc}",
            "the shift is done in 64 bits before the compare",
        ),
        (
            f"{calc}\nif ($tot >> $a != $n){MARK}{stop}",
            "shifting $tot back shows whether bits of $n were lost",
        ),
    ]
    skeleton = """
#define $M $L

uint8_t *$fn(uint32_t $n, uint32_t $v, unsigned $a) {
    if ($a > $H)
        return NULL;
    @s
    @1
    uint8_t *$buf = malloc($tot);
    if ($buf == NULL)
        return NULL;
    for (uint32_t $i = 0; $i < $n; $i++)
        $buf[(size_t)$i << $a] = (uint8_t)$v;
    @s
    return $buf;
}
"""
    return draw(rng, names, "stdint stdlib", skeleton, [(bads, goods)])


def small_counter(rng: random.Random) -> Sample:
    """Wrong: the loop counter has fewer bits than its bound; right: another variable is narrow."""
    names = vocabulary(rng)
    narrow, wide = rng.choice([("uint8_t", "uint16_t"), ("uint8_t", "uint32_t"), ("uint16_t", "uint32_t")])
    names |= {"small": narrow, "wide": wide}
    swapped: Group = (
        [(f"$small $i = 0;{MARK}\n$wide $tot = 0;", "$i is a $small and wraps before it reaches $n")],
        [
            (
                f"$wide $i = 0;{MARK}\n$small $tot = 0;",
                "$i is a $wide like $n, only the check value $tot is small",
            )
        ],
    )
    late: Group = (
        [
            (
                f"$wide $tot = 0;\n$small $i = ($small)$tot;{MARK}",
                "$i is a $small and wraps before it reaches $n",
            )
        ],
        [(f"$small $tot = 0;\n$wide $i = ($wide)$tot;{MARK}", "$i is a $wide like $n and can reach it")],
    )
    body = rng.choice(
        [
            "    while ($i < $n) {\n        $tot ^= $p[$i];\n        $i++;\n    }",
            "    for (; $i < $n; $i++)\n        $tot ^= $p[$i];",
            "    while ($i != $n)\n        $tot ^= $p[$i++];",
        ]
    )
    skeleton = f"""
struct $T {{
    $wide $f;
    uint32_t $g;
}};

@s
void $fn(struct $T *$buf, const uint8_t *$p, $wide $n) {{
    @1
    @s
{body}
    $buf->$f = $n;
    @s
    $buf->$g = $tot;
}}
"""
    return draw(rng, names, "stdint", skeleton, [swapped, late])


def builtin_result(rng: random.Random) -> Sample:
    """Wrong: of two overflow reports only one (or both together) counts; right: either of them refuses."""
    names = vocabulary(rng)
    mul, add = "__builtin_mul_overflow($n, $v, &$tot)", "__builtin_add_overflow($tot, $a, &$tot)"
    stop = "\n    return NULL;"
    bads = [
        (
            f"if ({mul} && {add}){MARK}{stop}",
            "both must overflow before it refuses, so $n * $v alone may wrap",
        ),
        (
            f"bool $b = {mul};\n$b = {add};{MARK}\nif ($b){stop}",
            "$b is overwritten, the wrap of $n * $v is lost",
        ),
        (f"bool $b = !{mul} || !{add};{MARK}\nif (!$b){stop}", "$b is true although $n * $v wrapped"),
        (f"(void){mul};{MARK}\nif ({add}){stop}", "the report on $n * $v is thrown away"),
        (f"if ({add}){stop}\n{mul};{MARK}", "the report on $n * $v is ignored"),
    ]
    goods = [
        (f"if ({mul} || {add}){MARK}{stop}", "either overflow report refuses the request"),
        (f"bool $b = {mul};\n$b |= {add};{MARK}\nif ($b){stop}", "$b keeps both overflow reports"),
        (f"bool $b = !{mul} && !{add};{MARK}\nif (!$b){stop}", "$b is true only if nothing wrapped"),
        (f"if ({mul}){MARK}{stop}\nif ({add}){stop}", "both overflow reports are tested"),
    ]
    skeleton = """
void *$fn(size_t $n, size_t $v, size_t $a) {
    size_t $tot = 0;
    @s
    @1
    @s
    char *$buf = malloc($tot);
    if ($buf == NULL)
        return NULL;
    for (size_t $i = 0; $i < $n; $i++)
        memset($buf + $i * $v, $H, $v);
    return $buf;
}
"""
    return draw(rng, names, "stdbool stdlib string", skeleton, [(bads, goods)])


def calloc_or_malloc(rng: random.Random) -> Sample:
    """Wrong: the untrusted count is multiplied by hand; right: calloc multiplies it."""
    names = vocabulary(rng)
    size = "sizeof(struct $T)"
    first = rng.random() < 0.5

    def both(fixed: str, open_: str) -> str:
        """The two allocations in the order of this program."""
        return "\n".join([fixed, open_] if first else [open_, fixed])

    bads = [
        (
            both(f"$buf2 = calloc($C, {size});", f"$buf = malloc($n * {size});{MARK}"),
            "$n * sizeof wraps in malloc",
        ),
        (
            both(f"$buf2 = calloc({size}, $C);", f"$buf = malloc({size} * $n);{MARK}"),
            "$n * sizeof wraps in malloc",
        ),
        (
            both(f"$buf2 = malloc({size} * $C);", f"$buf = calloc(1, $n * {size});{MARK}"),
            "$n * sizeof wraps by hand",
        ),
    ]
    goods = [
        (
            both(f"$buf2 = malloc($C * {size});", f"$buf = calloc($n, {size});{MARK}"),
            "calloc checks $n * sizeof",
        ),
        (
            both(f"$buf2 = malloc({size} * $C);", f"$buf = calloc({size}, $n);{MARK}"),
            "calloc checks $n * sizeof",
        ),
        (
            both(f"$buf2 = calloc(1, $C * {size});", f"$buf = reallocarray(NULL, $n, {size});{MARK}"),
            "reallocarray checks $n * sizeof",
        ),
    ]
    skeleton = """
struct $T {
    uint64_t $f;
    uint64_t $g;
};

@s
int $fn(struct $T **$q, struct $T **$p, size_t $n) {
    struct $T *$buf, *$buf2;
    @1
    if ($buf == NULL || $buf2 == NULL) {
        free($buf);
        free($buf2);
        return $E;
    }
    @s
    for (size_t $i = 0; $i < $n; $i++)
        $buf[$i].$f = $i;
    $buf2[0].$g = $n;
    *$q = $buf;
    *$p = $buf2;
    return 0;
}
"""
    return draw(rng, names, "stdint stdlib", skeleton, [(bads, goods)])


def running_total(rng: random.Random) -> Sample:
    """Wrong: the running sum is tested after the addition or wide only in name; right: before, or 64 bits."""
    names = vocabulary(rng)
    step = "$tot += $p[$i];"
    stop = "\n    return NULL;"
    head = "uint32_t $tot = 0;"
    bads = [
        (head, f"if ($tot > $M || $tot > $M - $p[$i]){MARK}{stop}\n{step}", "", "$M - $p[$i] wraps for a large $p[$i]"),
        (head, f"{step}\nif ($tot > $M){MARK}{stop}", "", "$tot += $p[$i] wraps before $tot is compared"),
        (head, f"if ($tot > $M - $p[$i]){MARK}{stop}\n{step}", "", "$M - $p[$i] wraps for a large $p[$i]"),
        (
            head,
            f"if ($p[$i] > $M){MARK}{stop}\n{step}",
            "",
            "every $p[$i] is limited but the sum $tot still wraps",
        ),
        (
            "uint64_t $tot = 0;",
            f"$tot = (uint32_t)$tot + $p[$i];{MARK}",
            f"if ($tot > $M){stop}",
            "the addition is made in 32 bits, so $tot wraps",
        ),
        (f"uint32_t $tot = 0;{MARK}", step, f"if ($tot > $M){stop}", "the 32-bit $tot wraps inside the loop"),
    ]
    goods = [
        (
            head,
            f"if ($p[$i] > $M - $tot){MARK}{stop}\n{step}",
            "",
            "$p[$i] must fit in $M - $tot before the addition",
        ),
        (
            head,
            f"if ($p[$i] > $M || $tot > $M - $p[$i]){MARK}{stop}\n{step}",
            "",
            "$p[$i] and $tot are limited before the addition",
        ),
        (
            f"uint64_t $tot = 0;{MARK}",
            step,
            f"if ($tot > $M){stop}",
            "the 64-bit $tot cannot wrap in $n additions",
        ),
        (
            head,
            f"if ($M - $tot < $p[$i]){MARK}{stop}\n{step}",
            "",
            "$p[$i] must fit in $M - $tot before the addition",
        ),
    ]
    skeleton = """
#define $M $L

char *$fn(char *const *$q, const uint32_t *$p, uint32_t $n) {
    @1
    @s
    for (uint32_t $i = 0; $i < $n; $i++) {
        @2
    }
    @3
    char *$buf = malloc($tot + 1);
    if ($buf == NULL)
        return NULL;
    size_t $a = 0;
    for (uint32_t $i = 0; $i < $n; $a += $p[$i], $i++)
        memcpy($buf + $a, $q[$i], $p[$i]);
    @s
    return $buf;
}
"""
    return draw(rng, names, "stdint stdlib string", skeleton, [(bads, goods)])


def align_up(rng: random.Random) -> Sample:
    """Wrong: rounding up wraps and only the result is tested; right: the length is tested before."""
    names = vocabulary(rng)
    names["A"] = rng.choice(["8u", "16u", "32u", "64u", "4096u"])
    names["U"] = rng.choice(["($a + $A - 1u) / $A * $A", "($a + ($A - 1u)) & ~($A - 1u)"])
    names["U"] = Template(names["U"]).substitute(names)
    calc = "uint32_t $tot = $U;"
    stop = "\n    return $E;"
    bads = [
        (f"{calc}\nif ($tot > $M){MARK}{stop}", "rounding up $a wraps before $tot is compared"),
        (f"if ($b > $M){MARK}{stop}\n{calc}", "the guard is on $b, so rounding up $a may wrap"),
        (f"if ($b > $M || $a < $b){MARK}{stop}\n{calc}", "a huge $a above $b passes, so rounding wraps"),
    ]
    goods = [
        (f"if ($a > $M){MARK}{stop}\n{calc}", "$a is at most $M before it is rounded up"),
        (f"if ($b > $M || $a > $M){MARK}{stop}\n{calc}", "$a is at most $M before it is rounded up"),
        (f"{calc}\nif ($tot < $a){MARK}{stop}", "a wrapped $tot is smaller than $a and refused"),
    ]
    skeleton = """
#define $M $L

struct $T {
    uint8_t *$f;
    uint32_t $g;
};

int $fn(struct $T *$q, const uint8_t *$p, uint32_t $a, uint32_t $b) {
    @s
    @1
    uint8_t *$buf = malloc($tot);
    if ($buf == NULL)
        return $E;
    @s
    memcpy($buf, $p, $a);
    $q->$f = $buf;
    $q->$g = $b;
    return 0;
}
"""
    return draw(rng, names, "stdint stdlib string", skeleton, [(bads, goods)])


def grow_buffer(rng: random.Random) -> Sample:
    """Wrong: used + extra (or the doubling) wraps; right: compared with the room left."""
    names = vocabulary(rng)
    used, cap = "$q->$f", "$q->$g"
    stop = "\n    return $E;\n"
    resize = (
        f"if ({used} + $a > {cap}) {{\n    uint32_t $tot = {used} + $a;\n"
        "    char *$buf = realloc($q->$b, $tot);\n"
        f"    if ($buf == NULL)\n        return $E;\n    $q->$b = $buf;\n    {cap} = $tot;\n}}"
    )
    bads = [
        (f"if ({used} > $M || {cap} > $M){MARK}{stop}{resize}", f"$a is not limited, {used} + $a may wrap"),
        (f"if ({used} > $M){MARK}{stop}{resize}", f"{used} is limited but a huge $a makes {used} + $a wrap"),
        (f"if ({used} + $a > $M){MARK}{stop}{resize}", f"{used} + $a wraps before it is compared with $M"),
        (
            f"if ({used} > $M || {cap} > $M - {used}){MARK}{stop}{resize}",
            f"$a is not limited, {used} + $a may wrap",
        ),
    ]
    goods = [
        (f"if ($a > $M - {used}){MARK}{stop}{resize}", f"$a must fit in $M - {used}, so the sum cannot wrap"),
        (
            f"if ({used} + $a < $a){MARK}{stop}{resize}",
            f"a wrapped {used} + $a is smaller than $a and refused",
        ),
        (f"if ({used} > $M - $a || $a > $M){MARK}{stop}{resize}", f"$a and {used} are limited, no sum wraps"),
    ]
    skeleton = """
#define $M $L

struct $T {
    char *$b;
    uint32_t $f, $g; /* used <= capacity <= limit */
};

int $fn(struct $T *$q, const char *$p, uint32_t $a) {
    @s
    @1
    @s
    memcpy($q->$b + $q->$f, $p, $a);
    $q->$f += $a;
    return 0;
}
"""
    return draw(rng, names, "stdint stdlib string", skeleton, [(bads, goods)])


def parse_digits(rng: random.Random) -> Sample:
    """Wrong: the number is tested after value * 10 + digit has wrapped; right: before, or in a wider type."""
    names = vocabulary(rng)
    names["B"] = rng.choice(["10", "8", "10u", "8u"])
    step = "$tot = $tot * $B + $v;"
    stop = "\n    return $E;\n"
    head = "uint32_t $tot = 0;"
    top = "UINT32_MAX"
    bads = [
        (head, f"{step}\nif ($tot > {top} - $v){MARK}{stop}", "$tot * $B + $v wraps before $tot is tested"),
        (head, f"if ($tot > {top} - $B){MARK}{stop}{step}", "the bound lacks the factor, so $tot * $B wraps"),
        (
            head,
            f"if ($tot / $B > {top} - $v){MARK}{stop}{step}",
            "$tot / $B is always small, so $tot * $B wraps",
        ),
        (
            head,
            f"if (($tot - $v) / $B > {top} / $B){MARK}{stop}{step}",
            "the test is never true, so $tot * $B wraps",
        ),
        (head, f"{step}\nif ($tot < $v){MARK}{stop}", "a wrapped $tot can still be above $v"),
    ]
    goods = [
        (
            head,
            f"if ($tot > ({top} - $v) / $B){MARK}{stop}{step}",
            "$tot is bounded before it is multiplied by $B",
        ),
        (
            head,
            f"if ($tot >= {top} / $B){MARK}{stop}{step}",
            "$tot is below the limit / $B before the product",
        ),
    ]
    skeleton = """
int $fn(const char *$p, uint32_t *$buf) {
    @1
    @s
    if (*$p == '\\0')
        return $E;
    for (; *$p != '\\0'; $p++) {
        uint32_t $v = (uint32_t)(*$p - '0');
        if ($v >= $B)
            return $E;
        @s
        @2
    }
    *$buf = $tot;
    return 0;
}
"""
    return draw(rng, names, "stdint", skeleton, [(bads, goods)])


def image_area(rng: random.Random) -> Sample:
    """Wrong: width * height is multiplied in 32 bits and widened later; right: widened first."""
    names = vocabulary(rng)
    names["P"] = rng.choice(["3", "4", "2", "6", "8"])
    bads = [
        (f"size_t $tot = (size_t)($a * $b) * $P;{MARK}", "$a * $b wraps in 32 bits before the cast"),
        (f"size_t $tot = (size_t)($a * $b * $P);{MARK}", "$a * $b * $P wraps in 32 bits before the cast"),
        (f"size_t $tot = $a * $b * (size_t)($P);{MARK}", "$a * $b wraps in 32 bits, the cast comes too late"),
    ]
    goods = [
        (f"size_t $tot = (size_t)($a) * $b * $P;{MARK}", "$a is widened before the first product"),
        (f"size_t $tot = $P * ((size_t)$a * $b);{MARK}", "$a is widened before the first product"),
        (f"size_t $tot = $b * (size_t)($a) * $P;{MARK}", "$a is widened before the first product"),
    ]
    skeleton = """
struct $T {
    uint32_t $a, $b;
    uint8_t *$q;
};

@s
int $fn(struct $T *$p, uint32_t $a, uint32_t $b) {
    if ($a > $C * 4096u || $b > $C * 4096u)
        return $E;
    @1
    $p->$q = malloc($tot);
    if ($p->$q == NULL)
        return $E;
    @s
    for (uint32_t $i = 0; $i < $b; $i++)
        memset($p->$q + (size_t)$i * $a * $P, $H, (size_t)$a * $P);
    $p->$a = $a;
    $p->$b = $b;
    return 0;
}
"""
    names["C"] = str(rng.choice([32, 48, 64, 80, 100]))
    return draw(rng, names, "stdint stdlib string", skeleton, [(bads, goods)])


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-190", name="alloc_product", language="c", held_out=False, make=alloc_product),
    Family(cwe="CWE-190", name="sum_of_lengths", language="c", held_out=False, make=sum_of_lengths),
    Family(cwe="CWE-190", name="offset_window", language="c", held_out=False, make=offset_window),
    Family(cwe="CWE-190", name="narrow_total", language="c", held_out=False, make=narrow_total),
    Family(cwe="CWE-190", name="negate_minimum", language="c", held_out=False, make=negate_minimum),
    Family(cwe="CWE-190", name="shift_blocks", language="c", held_out=False, make=shift_blocks),
    Family(cwe="CWE-190", name="small_counter", language="c", held_out=False, make=small_counter),
    Family(cwe="CWE-190", name="builtin_result", language="c", held_out=False, make=builtin_result),
    Family(cwe="CWE-190", name="calloc_or_malloc", language="c", held_out=False, make=calloc_or_malloc),
    Family(cwe="CWE-190", name="running_total", language="c", held_out=False, make=running_total),
    Family(cwe="CWE-190", name="align_up", language="c", held_out=False, make=align_up),
    Family(cwe="CWE-190", name="grow_buffer", language="c", held_out=False, make=grow_buffer),
    Family(cwe="CWE-190", name="parse_digits", language="c", held_out=True, make=parse_digits),
    Family(cwe="CWE-190", name="image_area", language="c", held_out=True, make=image_area),
)
