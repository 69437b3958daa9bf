"""CWE-416 pair families: C programs that read or write an object after it was freed."""

from __future__ import annotations

import random

from training.families.contract import Family, Sample
from training.families.cwe_190 import MARK, Names, draw

STRUCTS = [
    "conn",
    "user",
    "job",
    "lease",
    "socket_ctx",
    "device",
    "request",
    "handle_s",
    "page",
    "worker",
    "entry",
    "peer",
    "timer_s",
    "fiber",
    "ticket_s",
    "node_s",
    "order",
    "player",
    "driver",
    "plugin",
    "sink",
    "mount",
    "cursor",
    "thread_s",
    "mailbox",
    "agent",
]
OWNERS = [
    "pool",
    "registry",
    "manager",
    "server",
    "cache_s",
    "scheduler",
    "dispatcher",
    "broker",
    "hub",
    "table_s",
    "store_s",
    "board",
    "desk",
    "directory",
    "queue_s",
    "keeper",
    "controller",
    "world",
    "bus",
    "engine",
    "stage_s",
    "group_s",
]
VERBS = [
    "close",
    "drop",
    "finish",
    "release",
    "shutdown",
    "retire",
    "evict",
    "expire",
    "detach",
    "remove",
    "handle",
    "update",
    "reset",
    "stop",
    "leave",
    "purge",
    "flush",
    "refresh",
    "reject",
    "replace",
    "rotate",
    "unload",
]
NOUNS = [
    "conn",
    "user",
    "job",
    "lease",
    "session",
    "device",
    "request",
    "page",
    "worker",
    "entry",
    "peer",
    "timer",
    "task",
    "ticket",
    "order",
    "player",
    "driver",
    "plugin",
    "client",
    "mount",
    "cursor",
    "mailbox",
    "agent",
    "item",
]
OBJECTS = [
    "it",
    "obj",
    "elem",
    "c",
    "u",
    "d",
    "r",
    "pg",
    "wk",
    "e",
    "pr",
    "tm",
    "task",
    "client",
    "victim",
    "owner_p",
    "member",
    "head",
    "item",
    "cur_item",
    "found",
    "last",
    "target",
    "this_one",
    "rec",
]
OTHERS = [
    "other",
    "nxt",
    "prev_one",
    "old",
    "spare_p",
    "tmp",
    "saved",
    "hold",
    "link_p",
    "peer_p",
    "copy_p",
    "keep",
    "backup",
    "alt",
    "second",
    "following",
    "rest_p",
    "twin",
    "extra_p",
    "then_p",
]
HOLDERS = [
    "p",
    "q",
    "m",
    "s",
    "b",
    "g",
    "h",
    "k",
    "ctx",
    "self",
    "mgr",
    "root",
    "env",
    "owner",
    "reg",
    "st",
    "w",
    "top",
    "base",
    "sys",
    "area",
]
FIELDS = [
    "id",
    "state",
    "fd",
    "score",
    "level",
    "flags_n",
    "code",
    "weight",
    "stamp",
    "seq",
    "count_f",
    "mode",
    "errors",
    "rank",
    "hits",
    "age_s",
    "status",
    "size_n",
    "color",
    "prio",
]
POINTERS = [
    "name",
    "label",
    "text",
    "title",
    "path",
    "body",
    "data_p",
    "note",
    "key",
    "descr",
    "payload",
    "tag_s",
    "host",
    "info",
    "buf_p",
    "line_p",
    "caption",
    "alias_s",
    "login",
    "topic",
]
LINKS = [
    "next",
    "link",
    "following_p",
    "succ",
    "chain",
    "after",
    "tail_p",
    "forward",
    "nextp",
    "sibling",
    "left",
    "first_child",
    "follow",
    "one",
    "pre",
    "lower",
    "upstream",
    "hook_p",
    "front",
    "behind",
]
LINKS2 = [
    "right",
    "second_child",
    "back",
    "post",
    "upper",
    "downstream",
    "active",
    "current",
    "primary",
    "main_p",
    "recent",
    "prev_p",
    "hind",
    "newer",
    "opposite",
    "two",
    "partner",
    "mate",
    "standby",
    "reserve",
]
VALUES = [
    "rc",
    "ret",
    "val",
    "result",
    "res",
    "err",
    "v",
    "num",
    "answer",
    "n",
    "out_v",
    "ans",
    "outcome",
    "stat",
    "got",
    "r0",
    "value",
    "reply",
    "final",
    "delta",
]
ARGS = [
    "arg",
    "reason_n",
    "want",
    "limit",
    "x",
    "y",
    "amount",
    "input",
    "step",
    "mark",
    "hint",
    "tick",
    "key_n",
    "sel",
    "param",
    "lvl",
    "no",
    "pos_n",
    "ev",
    "kind_n",
]

COMMENTS = [
    "the caller keeps ownership",
    "the object is gone after this",
    "still valid here",
    "never used again",
    "frees everything it owns",
    "last reference",
    "see the lifetime rules in the header",
    "drop it before anything else",
    "order matters",
    "the pointer was checked above",
    "release resources",
    "keep the log line short",
    "safe: nobody else holds a pointer",
    "cleanup",
    "may be called twice",
    "must not be used after release",
    "only one owner at a time",
    "TODO: revisit the lifetime",
    "nothing to free here",
    "called with the lock held",
]


def vocabulary(rng: random.Random) -> dict[str, str]:
    """Identifiers for one program; $T is the object that is freed, $Q what holds it."""
    pick = Names(rng)
    return {
        "T": pick.one(STRUCTS),
        "Q": pick.one(OWNERS),
        "fn": pick.function(VERBS, NOUNS),
        "fn2": pick.function(VERBS, NOUNS),
        "fn3": pick.function(VERBS, NOUNS),
        "x": pick.one(OBJECTS),
        "y": pick.one(OTHERS),
        "z": pick.one(OTHERS),
        "q": pick.one(HOLDERS),
        "q2": pick.one(HOLDERS),
        "f": pick.one(FIELDS),
        "f2": pick.one(FIELDS),
        "g": pick.one(POINTERS),
        "l": pick.one(LINKS),
        "r": pick.one(LINKS2),
        "v": pick.one(VALUES),
        "a": pick.one(ARGS),
        "a2": pick.one(ARGS),
        "E": rng.choice(["-1", "-2", "-5", "-22", "-7"]),
        "C": str(rng.choice([4, 6, 8, 10, 12, 16, 20, 24, 32, 64])),
        "F": rng.choice(["%d\\n", "id %d\\n", "done: %d\\n", "%d closed\\n", "[%d]\\n"]),
        "S": rng.choice(["%s\\n", "name %s\\n", "bye %s\\n", "closing %s\\n", "(%s)\\n"]),
    }


def lines(*texts: str) -> str:
    """The texts as lines of one slot."""
    return "\n".join(texts)


def log_after_free(rng: random.Random) -> Sample:
    """Wrong: a field of the object is printed after it was freed; right: printed or copied before."""
    names = vocabulary(rng)
    part, whole = "free($x->$g);", "free($x);"
    number, text = 'printf("$F", $x->$f);', 'printf("$S", $x->$g);'
    save, later = "int $v = $x->$f;", 'printf("$F", $v);'
    bads = [
        (lines(part, whole, number + MARK), "$x->$f is printed after free($x)"),
        (lines(number, part, text + MARK, whole), "$x->$g is printed after it was freed"),
        (lines(part, whole, save + MARK, later), "$x->$f is read after free($x)"),
    ]
    goods = [
        (lines(part, number + MARK, whole), "$x->$f is printed before free($x)"),
        (lines(number, text + MARK, part, whole), "$x->$g is printed before it is freed"),
        (lines(part, save + MARK, whole, later), "$x->$f is copied to $v before free($x)"),
    ]
    groups = [([bad], [good]) for bad, good in zip(bads, goods, strict=True)]
    groups.append((bads[:1], goods[2:]))
    groups.append((bads[2:], goods[:1]))
    skeleton = """
struct $T {
    int $f;
    char *$g;
};

@s
void $fn(struct $T *$x) {
    if ($x == NULL || $x->$g == NULL)
        return;
    @s
    @1
    @s
}
"""
    return draw(rng, names, "stdio stdlib", skeleton, groups, comments=COMMENTS)


def list_walk(rng: random.Random) -> Sample:
    """Wrong: the link is read from a freed node; right: the link is saved before the free."""
    names = vocabulary(rng)
    step = rng.choice(["$v++;", "$v += 1;", ""])
    bads = [
        (lines("free($x);", f"$y = $x->$l;{MARK}", step, "$x = $y;"), "$x->$l is read after free($x)"),
        (
            lines("$y = $x;", "free($x);", step, f"$x = $y->$l;{MARK}"),
            "$y is the freed node $x, its $l is read",
        ),
        (
            lines("$y = $x;", "free($y);", step, f"$x = $x->$l;{MARK}"),
            "$y is the node $x, freed before $x->$l",
        ),
    ]
    goods = [
        (
            lines(f"$y = $x->$l;{MARK}", "free($x);", step, "$x = $y;"),
            "$x->$l is saved in $y before free($x)",
        ),
        (
            lines("$y = $x;", f"$x = $y->$l;{MARK}", "free($y);", step),
            "$x moves on before the node $y is freed",
        ),
        (
            lines("$y = $x;", f"$x = $x->$l;{MARK}", step, "free($y);"),
            "$x moves on before the node $y is freed",
        ),
    ]
    skeleton = """
struct $T {
    int $f;
    struct $T *$l;
};

int $fn(struct $T *$x) {
    struct $T *$y = NULL;
    int $v = 0;
    @s
    while ($x != NULL) {
        @s
        @1
    }
    @s
    return $v;
}
"""
    return draw(rng, names, "stdio stdlib", skeleton, [(bads, goods)], comments=COMMENTS)


def realloc_moved(rng: random.Random) -> Sample:
    """Wrong: a pointer from before realloc is used; right: it is computed from the new block."""
    names = vocabulary(rng)
    grow = "char *$x = realloc($q->$g, $q->$f + $a);"
    check = "if ($x == NULL)\n    return $E;"
    at, put = "char *$y = $q->$g + $q->$f;", "memcpy($y, $z, $a);"
    keep, count, direct = "$q->$g = $x;", "$q->$f += $a;", "memcpy($q->$g + $q->$f, $z, $a);"
    bads = [
        (
            lines(at + MARK, grow, check, keep, put, count),
            "$y points into the block that realloc may have freed",
        ),
        (lines(grow, check, direct + MARK, keep, count), "$q->$g is still the old block, freed by realloc"),
        (
            lines(grow, check, at + MARK, keep, put, count),
            "$y is taken from the old $q->$g that realloc freed",
        ),
    ]
    goods = [
        (lines(grow, check, keep, at + MARK, put, count), "$y is computed from the new block"),
        (lines(grow, check, keep, direct + MARK, count), "$q->$g is set to the new block $x before the copy"),
    ]
    skeleton = """
struct $Q {
    char *$g;
    size_t $f;
};

int $fn(struct $Q *$q, const char *$z, size_t $a) {
    @s
    if ($a == 0 || $a > 512 || $q->$f > $C * 1024)
        return $E;
    @1
    @s
    return 0;
}
"""
    return draw(rng, names, "string stdlib", skeleton, [(bads, goods)], comments=COMMENTS)


def error_path(rng: random.Random) -> Sample:
    """Wrong: the error branch frees and the function goes on; right: it leaves, or frees at the end."""
    names = vocabulary(rng)
    names["cmp"] = rng.choice(["$a < 0", "$a > $C", "$a == $C"]).replace("$a", names["a"]).replace("$C", names["C"])
    use = "$x->$f = $a;"
    order = (
        [
            (
                "$v = $E;",
                lines("if ($v != 0)", "    free($x);", use + MARK),
                "$x->$f is written after free($x)",
            )
        ],
        [
            (
                "$v = $E;",
                lines(use + MARK, "if ($v != 0)", "    free($x);"),
                "$x->$f is written before free($x)",
            )
        ],
    )
    leave = (
        [
            (lines("free($x);", f"$v = $E;{MARK}"), use, "after free($x) it goes on to $x->$f"),
            (lines("free($x);", f"$v = $x->$f;{MARK}", "return $v;"), use, "$x->$f is read after free($x)"),
        ],
        [
            (lines("free($x);", f"return $E;{MARK}"), use, "the branch that frees $x returns at once"),
            (lines(f"$v = $x->$f;{MARK}", "free($x);", "return $v;"), use, "$x->$f is read before free($x)"),
        ],
    )
    first = lines("free($x);", "$v = $E;")
    guard = (
        [
            (
                first,
                f"if ($a != $E){MARK}\n    {use}",
                "the guard tests $a, so $x->$f is written after free($x)",
            )
        ],
        [(first, f"if ($v != $E){MARK}\n    {use}", "$x->$f is only written when $v shows that $x is alive")],
    )
    skeleton = """
struct $T {
    int $f;
    int $f2;
};

@s
int $fn(struct $T *$x, int $a) {
    int $v = 0;
    @s
    if ($cmp) {
        @1
    }
    @s
    @2
    return $v;
}
"""
    return draw(rng, names, "stdio stdlib", skeleton, [order, leave, guard], comments=COMMENTS)


def refcount_put(rng: random.Random) -> Sample:
    """Wrong: the object is used after its reference was put; right: before, or with one more taken."""
    names = vocabulary(rng)
    put, use, get = "$fn2($x);", "$x->$f2 = $a;", "$x->$f++;"
    bads = [
        (lines(put, use + MARK), "$fn2 may free $x, then $x->$f2 is written"),
        (lines(put, get + MARK, use, put), "the reference is taken after $fn2 may have freed $x"),
        (lines(get, put, put, use + MARK), "the second $fn2 may free $x before $x->$f2 is written"),
    ]
    goods = [
        (lines(use + MARK, put), "$x->$f2 is written before the reference is put"),
        (lines(get + MARK, put, use, put), "a reference is taken first, so $x lives until the last $fn2"),
        (lines(get, put, use + MARK, put), "$x->$f2 is written while a reference is held"),
    ]
    groups = [(bads[:1], goods[:1]), (bads[1:], goods[1:])]
    body = rng.choice(
        [
            "    if (--$x->$f == 0)\n        free($x);",
            "    $x->$f--;\n    if ($x->$f <= 0)\n        free($x);",
            "    if ($x->$f-- > 1)\n        return;\n    free($x);",
        ]
    )
    skeleton = f"""
struct $T {{
    int $f; /* references */
    int $f2;
}};

static void $fn2(struct $T *$x) {{
{body}
}}

@s
void $fn(struct $T *$x, int $a) {{
    @s
    @1
    @s
}}
"""
    return draw(rng, names, "stdio stdlib", skeleton, groups, comments=COMMENTS)


def field_not_cleared(rng: random.Random) -> Sample:
    """Wrong: another pointer is cleared than the freed field; right: the freed field is cleared."""
    names = vocabulary(rng)
    bads = [
        (
            lines("free($q->$l);", f"$q->$r = NULL;{MARK}"),
            "$q->$l is freed but $q->$r is cleared, then $l is read",
        ),
        (
            lines("$x = $q->$l;", "free($x);", f"$x = NULL;{MARK}"),
            "only the copy $x is cleared, $q->$l dangles",
        ),
        (lines("$x = $q->$l;", f"$q->$r = NULL;{MARK}", "free($x);"), "$x is $q->$l, but $q->$r is cleared"),
    ]
    goods = [
        (lines("free($q->$l);", f"$q->$l = NULL;{MARK}"), "the freed $q->$l is cleared and tested later"),
        (lines("$x = $q->$l;", "free($x);", f"$q->$l = NULL;{MARK}"), "the freed $q->$l is cleared"),
        (lines("$x = $q->$l;", f"$q->$l = NULL;{MARK}", "free($x);"), "$q->$l is cleared before $x is freed"),
    ]
    tail = rng.choice(
        [
            "    if ($q->$l != NULL)\n        return $q->$l->$f;\n    return $E;",
            "    return $q->$l ? $q->$l->$f : $E;",
            "    if ($q->$l == NULL)\n        return $E;\n    return $q->$l->$f;",
        ]
    )
    order = ["    struct $T *$l;", "    struct $T *$r;"]
    rng.shuffle(order)
    fields = "\n".join(order)
    skeleton = f"""
struct $T {{
    int $f;
}};

struct $Q {{
{fields}
}};

int $fn(struct $Q *$q, int $a) {{
    struct $T *$x = $q->$r;
    @s
    if ($a > $C && $x != $q->$l) {{
        @1
    }}
    @s
{tail}
}}
"""
    return draw(rng, names, "stdio stdlib", skeleton, [(bads, goods)], comments=COMMENTS)


def slot_array(rng: random.Random) -> Sample:
    """Wrong: the freed slot keeps its pointer because another index is cleared; right: the freed one."""
    names = vocabulary(rng)
    bads = [
        (lines("free($q[$a]);", f"$q[$a2] = NULL;{MARK}"), "$q[$a] is freed but slot $a2 is cleared"),
        (lines("$x = $q[$a];", "free($x);", f"$x = NULL;{MARK}"), "only $x is cleared, $q[$a] still dangles"),
        (
            lines("$x = $q[$a];", f"$q[$a2] = NULL;{MARK}", "free($x);"),
            "$x is $q[$a], but slot $a2 is cleared",
        ),
    ]
    goods = [
        (lines("free($q[$a]);", f"$q[$a] = NULL;{MARK}"), "the freed slot $a is cleared, so $fn2 skips it"),
        (lines("$x = $q[$a];", "free($x);", f"$q[$a] = NULL;{MARK}"), "the freed slot $a is cleared"),
        (
            lines("$x = $q[$a2];", f"$q[$a2] = NULL;{MARK}", "free($x);"),
            "slot $a2 is cleared and its object freed",
        ),
    ]
    skeleton = """
struct $T {
    int $f;
};

struct $T *$q[$C];

void $fn(unsigned $a, unsigned $a2) {
    struct $T *$x = NULL;
    if ($a >= $C || $a2 >= $C || $a == $a2)
        return;
    @s
    @1
    @s
}

int $fn2(unsigned $a) {
    if ($a >= $C || $q[$a] == NULL)
        return $E;
    return $q[$a]->$f;
}
"""
    return draw(rng, names, "stdio stdlib", skeleton, [(bads, goods)], comments=COMMENTS)


def callback_context(rng: random.Random) -> Sample:
    """Wrong: a callback runs with a context already freed; right: it is cancelled or runs before the free."""
    names = vocabulary(rng)
    fire, gone = "$fn2($q);", "free($x);"
    stop, stop_other = "$q->$r = NULL;", "$q2->$r = NULL;"
    bads = [
        (lines(gone, fire + MARK, stop), "$fn2 calls $q->$r with $x after free($x)"),
        (lines(stop_other + MARK, gone, fire), "$q2 is cancelled, but $q still calls back with the freed $x"),
        (lines(gone, stop_other, fire + MARK), "$q still calls back with the freed $x"),
    ]
    goods = [
        (lines(fire + MARK, gone, stop), "$fn2 runs before free($x) and $q is cancelled"),
        (lines(stop + MARK, gone, fire), "$q->$r is cancelled before $x is freed"),
        (lines(stop_other, fire + MARK, gone, stop), "the callback runs while $x is alive"),
    ]
    skeleton = """
struct $T {
    int $f;
};

struct $Q {
    void (*$r)(struct $T *);
    struct $T *$l;
};

static void $fn2(struct $Q *$q) {
    if ($q->$r != NULL)
        $q->$r($q->$l);
}

@s
void $fn(struct $Q *$q, struct $Q *$q2) {
    struct $T *$x = $q->$l;
    @s
    @1
}
"""
    return draw(rng, names, "stdio stdlib", skeleton, [(bads, goods)], comments=COMMENTS)


def tree_free(rng: random.Random) -> Sample:
    """Wrong: a node is freed before its children are visited; right: children first, or links saved."""
    names = vocabulary(rng)
    left, right, node = "$fn($x->$l);", "$fn($x->$r);", "free($x);"
    save, saved = "struct $T *$y = $x->$r;", "$fn($y);"
    bads = [
        (lines(node, left + MARK, right), "$x->$l is read after free($x)"),
        (lines(left, node, right + MARK), "$x->$r is read after free($x)"),
        (lines(right, node, left + MARK), "$x->$l is read after free($x)"),
        (lines(left, node, save + MARK, saved), "$x->$r is read into $y after free($x)"),
        (lines(save, node, left + MARK, saved), "$y is saved, but $x->$l is read after free($x)"),
    ]
    goods = [
        (lines(left, right + MARK, node), "both children are visited before free($x)"),
        (lines(right, left + MARK, node), "both children are visited before free($x)"),
        (lines(left, save + MARK, node, saved), "$x->$r is saved in $y before free($x)"),
        (lines(save, left + MARK, node, saved), "$x->$l is visited and $x->$r saved before free($x)"),
    ]
    groups = [(bads[:3], goods[:2]), (bads[3:], goods[2:])]
    skeleton = """
struct $T {
    int $f;
    struct $T *$l;
    struct $T *$r;
};

@s
void $fn(struct $T *$x) {
    @s
    if ($x == NULL)
        return;
    @1
    @s
}
"""
    return draw(rng, names, "stdio stdlib", skeleton, groups, comments=COMMENTS)


def push_takes_ownership(rng: random.Random) -> Sample:
    """Wrong: the callee frees on failure and the caller still reads; right: read first."""
    names = vocabulary(rng)
    call, stop = "$v = $fn2($q, $x);", "if ($v == 0)\n    return 0;"
    read, gone = "$a = $x->$f;", "free($x);"
    bads = [
        (gone, lines(call, stop, read + MARK), "$fn2 frees $x when full, then $x->$f is read"),
        ("", lines(call, stop, gone, read + MARK), "$x->$f is read after free($x)"),
        (
            gone,
            lines("$a = $q->$f2;", call, stop, f"$a ^= $x->$f;{MARK}"),
            "$fn2 has freed $x before the read",
        ),
    ]
    goods = [
        (gone, lines(read + MARK, call, stop), "$x->$f is read before $fn2 may free $x"),
        ("", lines(call, stop, read + MARK, gone), "$fn2 leaves $x alone, it is read and then freed"),
    ]
    groups = [(bads[:2], goods), (bads[:1], goods[:1]), (bads[1:2], goods[1:]), (bads[2:], goods[:1])]
    skeleton = """
struct $T {
    int $f;
};

struct $Q {
    struct $T *$l[$C];
    int $f2;
};

static int $fn2(struct $Q *$q, struct $T *$x) {
    if ($q->$f2 >= $C) {
        @1
        return $E;
    }
    $q->$l[$q->$f2++] = $x;
    return 0;
}

int $fn(struct $Q *$q, struct $T *$x) {
    int $v, $a = 0;
    @2
    return $a;
}
"""
    return draw(rng, names, "stdio stdlib", skeleton, groups, comments=COMMENTS)


def replace_current(rng: random.Random) -> Sample:
    """Wrong: the object that stays in place is freed, or the old one is read late; right: old one read first."""
    names = vocabulary(rng)
    old, put = "struct $T *$y = $q->$l;", "$q->$l = $x;"
    copy_old = "$x->$f = $y->$f;"
    bads = [
        (lines(old, put, copy_old, f"free($x);{MARK}"), "$x is freed but stays in $q->$l, which is read"),
        (lines(old, put, "free($y);", copy_old + MARK), "$y->$f is read after free($y)"),
        (
            lines(old, copy_old, f"free($q->$l);{MARK}"),
            "$q->$l is freed and not replaced by $x before it is read",
        ),
    ]
    goods = [
        (lines(old, put, copy_old, f"free($y);{MARK}"), "the old object $y is freed after its last use"),
        (lines(old, put, copy_old + MARK, "free($y);"), "$y->$f is copied before free($y)"),
        (
            lines(old, copy_old, f"free($y);{MARK}", put),
            "$y is freed after the copy and $q->$l replaced by $x",
        ),
    ]
    skeleton = """
struct $T {
    int $f;
    int $f2;
};

struct $Q {
    struct $T *$l;
};

int $fn(struct $Q *$q, int $a) {
    struct $T *$x = $q->$l ? calloc(1, sizeof(*$x)) : NULL;
    if ($x == NULL)
        return $E;
    @s
    @1
    @s
    $q->$l->$f2 = $a;
    return 0;
}
"""
    return draw(rng, names, "stdio stdlib", skeleton, [(bads, goods)], comments=COMMENTS)


def arena_view(rng: random.Random) -> Sample:
    """Wrong: a string inside a destroyed arena is printed; right: before the destroy, or a copy."""
    names = vocabulary(rng)
    inside, own, end = "char *$x = $fn2(&$q, $z);", "char *$y = strdup($z);", "$fn3(&$q);"
    show_in, show_own = "if ($x != NULL)\n    puts($x);", "if ($y != NULL)\n    puts($y);"
    bads = [
        (lines(inside, own, end, show_in + MARK, "free($y);"), "$x lies in $q, which $fn3 has freed"),
        (lines(own, inside, end, show_in + MARK, "free($y);"), "$x lies in $q, which $fn3 has freed"),
        (lines(inside, own, "free($y);", show_own + MARK, end), "$y is printed after free($y)"),
    ]
    goods = [
        (lines(inside, own, end, show_own + MARK, "free($y);"), "$y is a copy of its own, not in $q"),
        (lines(own, inside, show_in + MARK, end, "free($y);"), "$x is printed before $fn3 frees $q"),
        (lines(inside, own, "free($y);", show_in + MARK, end), "$x lives in $q until $fn3"),
    ]
    skeleton = """
struct $Q {
    char *$g;
};

static char *$fn2(struct $Q *$q, const char *$z) {
    $q->$g = malloc(strlen($z) + 1);
    return $q->$g ? strcpy($q->$g, $z) : NULL;
}

static void $fn3(struct $Q *$q) {
    free($q->$g);
}

void $fn(const char *$z) {
    struct $Q $q = {0};
    @s
    @1
}
"""
    return draw(rng, names, "stdio stdlib string", skeleton, [(bads, goods)], comments=COMMENTS)


def token_in_line(rng: random.Random) -> Sample:
    """Wrong: a token that points into the freed line is used; right: used before the free, or duplicated."""
    names = vocabulary(rng)
    sep = rng.choice([",", ";", ":", " ", "\\t"])
    find = rng.choice([f'strtok($x, "{sep}")', f"strchr($x, '{sep[:2]}')", '$x + strspn($x, " ")'])
    view = f"char *$y = {find};"
    show, gone = 'if ($y != NULL)\n    $v = fprintf($q, "$S", $y);', "free($x);"
    dup = "char *$z = strdup($x);"
    bads = [
        (lines(dup, view, gone, show + MARK, "free($z);"), "$y points into $x, which was freed"),
        (lines(view, dup, "free($x);", show + MARK, "free($z);"), "$y points into $x, which was freed"),
    ]
    goods = [
        (lines(dup, view, show + MARK, gone, "free($z);"), "$y is used before $x is freed"),
        (lines(dup, view, "free($z);", show + MARK, gone), "$y points into $x, only the copy $z is freed"),
    ]
    skeleton = """
int $fn(FILE *$q, FILE *$q2) {
    char *$x = NULL;
    size_t $a = 0;
    int $v = 0;
    @s
    if (getline(&$x, &$a, $q2) < 0) {
        free($x);
        return $E;
    }
    @s
    @1
    return $v;
}
"""
    return draw(rng, names, "stdio stdlib string", skeleton, [(bads, goods)], comments=COMMENTS)


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-416", name="log_after_free", language="c", held_out=False, make=log_after_free),
    Family(cwe="CWE-416", name="list_walk", language="c", held_out=False, make=list_walk),
    Family(cwe="CWE-416", name="realloc_moved", language="c", held_out=False, make=realloc_moved),
    Family(cwe="CWE-416", name="error_path", language="c", held_out=False, make=error_path),
    Family(cwe="CWE-416", name="refcount_put", language="c", held_out=False, make=refcount_put),
    Family(cwe="CWE-416", name="field_not_cleared", language="c", held_out=False, make=field_not_cleared),
    Family(cwe="CWE-416", name="slot_array", language="c", held_out=False, make=slot_array),
    Family(cwe="CWE-416", name="callback_context", language="c", held_out=False, make=callback_context),
    Family(cwe="CWE-416", name="tree_free", language="c", held_out=False, make=tree_free),
    Family(cwe="CWE-416", name="push_takes_ownership", language="c", held_out=False, make=push_takes_ownership),
    Family(cwe="CWE-416", name="replace_current", language="c", held_out=False, make=replace_current),
    Family(cwe="CWE-416", name="arena_view", language="c", held_out=True, make=arena_view),
    Family(cwe="CWE-416", name="token_in_line", language="c", held_out=True, make=token_in_line),
)
