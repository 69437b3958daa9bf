"""CWE-787, wider: pair families of whole C programs that share little but the weakness.

The engine below (`press`) is shared with wide_190: a program text with `$name` substitutions, `@slot` lines that hold
what differs between the sides, `%` lines that may hold noise, and a layout drawn once for both sides.
"""

# ruff: noqa: PLR0912, PLR0915, PLR0917 - a family is one long table of ways

from __future__ import annotations

import difflib
import random
import re
from typing import Any

from training.families.contract import Family, Sample

STRONG, WEAK = "!!", "!?"

HEADERS = (
    ("stdio.h", r"\b(printf|fprintf|snprintf|sprintf|fgets|stderr|FILE|fread|perror|putchar|puts)\b"),
    ("stdlib.h", r"\b(malloc|calloc|realloc|free|atoi|atol|strtol|strtoul|strtoull|strtoll|abort|exit|getenv|qsort)\b"),
    (
        "string.h",
        r"\b(memcpy|memset|memmove|strlen|strcpy|strncpy|strcat|strncat|strcmp|strncmp|strchr|strtok|strrchr|"
        r"memchr|strnlen|memcmp|stpcpy|strspn|strcspn)\b",
    ),
    ("stdint.h", r"\b(u?int(8|16|32|64)_t|SIZE_MAX|U?INT(8|16|32|64)_MAX)\b"),
    ("stdbool.h", r"\b(bool|true|false)\b"),
    ("limits.h", r"\b(INT_MAX|INT_MIN|UINT_MAX|LONG_MAX|LLONG_MAX|SHRT_MAX|USHRT_MAX|UCHAR_MAX|ULONG_MAX)\b"),
    ("ctype.h", r"\b(isdigit|isspace|toupper|tolower|isalpha|isalnum)\("),
    ("arpa/inet.h", r"\b(ntohs|ntohl|htons|htonl)\("),
    ("unistd.h", r"\b(read|write|close|ssize_t)\("),
    ("wchar.h", r"\b(wchar_t|swprintf|wcslen|wcsncpy)\b"),
    ("sys/types.h", r"\bssize_t\b"),
    ("time.h", r"\btime_t\b"),
    ("stddef.h", r"\b(size_t|NULL)\b"),
)

COMMENTS = (
    "called with the lock held",
    "the caller owns the memory",
    "keep in step with the docs",
    "see the protocol notes",
    "sizes are checked by the caller",
    "cannot be too long here",
    "the limits were agreed on",
    "hot path",
    "TODO: add a test",
    "old clients send less",
    "not reentrant",
    "must stay small",
    "input is trusted at this point",
    "the front end limits this already",
    "FIXME: review the bounds",
    "kept for the old format",
    "values are small",
    "same as in the writer",
    "does not block",
    "returns a negative value on bad input",
    "order matters",
)

FILLERS = (
    "static int $fa(int a, int b)\n{\n    return a < b ? a : b;\n}",
    "static unsigned $fa(const char *s)\n{\n    unsigned h = 5381;\n    while (*s)\n"
    "        h = h * 33 ^ (unsigned char)*s++;\n    return h;\n}",
    "static int $fa(char c)\n{\n    return c == ' ' || c == '\\t';\n}",
    'static const char *const $fa[] = {"none", "low", "high"};',
    "static int $fa;",
    "static unsigned long $fa = 1;",
    "typedef void (*$fa_fn)(int code);",
    "enum $fa { FA_IDLE, FA_BUSY, FA_DONE };",
    "static int $fa(const unsigned char *p)\n{\n    return p[0] == 0x7f && p[1] == 'K';\n}",
    'static void $fa(const char *what)\n{\n    fprintf(stderr, "note: %s\\n", what);\n}',
    "struct $fa {\n    int level;\n    long stamp;\n};",
    "static int $fa(int level)\n{\n    switch (level) {\n"
    "    case 0:\n        return 1;\n    case 1:\n        return 4;\n"
    "    default:\n        return 9;\n    }\n}",
    "int $fa(const char *a, const char *b)\n{\n    if (a == b)\n        return 0;\n    return strcmp(a, b);\n}",
)
FILLER_NAMES = [
    "aux",
    "side_table",
    "misc",
    "util0",
    "local_kind",
    "extra",
    "opt",
    "spare",
    "dbg",
    "legacy",
    "own",
    "base_kind",
    "mode_of",
    "tiny",
    "near",
]
COUNTERS = ["hits", "calls", "ticks", "seen", "rounds", "passes", "stat_total", "uses", "visits"]


def pool(rng: random.Random, **words: str) -> dict[str, str]:
    """One word for each key, all of them different."""
    table: dict[str, str] = {}
    for key, text in words.items():
        table[key] = rng.choice([word for word in text.split() if word not in table.values()])
    return table


def caps(rng: random.Random, small: list[int], large: list[int], names: str) -> dict[str, str]:
    """A small limit C and a larger one D as literals, macros or enum constants; `defs` declares them."""
    c, d = rng.choice(small), rng.choice(large)
    how = rng.choice(("literal", "define", "define", "enum"))
    first, second = rng.sample(names.split(), 2)
    table = {"Cn": str(c), "Dn": str(d), "Cm": str(c - 1), "Dm": str(d - 1)}
    if how == "literal":
        return table | {"C": str(c), "D": str(d), "defs": ""}
    rows = [(first, c), (second, d)]
    rng.shuffle(rows)
    if how == "define":
        text = "\n".join(f"#define {name} {value}" for name, value in rows)
    else:
        text = "enum { " + ", ".join(f"{name} = {value}" for name, value in rows) + " };"
    return table | {"C": first, "D": second, "defs": text}


def over(rng: random.Random, x: str, limit: str) -> str:
    """A condition that holds when x is above the limit."""
    return rng.choice((f"{x} > {limit}", f"{x} > {limit}", f"{limit} < {x}"))


def reach(rng: random.Random, x: str, limit: str) -> str:
    """A condition that holds when x is at or above the limit."""
    return rng.choice((f"{x} >= {limit}", f"{x} >= {limit}", f"{limit} <= {x}"))


def put(text: str, table: dict[str, Any]) -> str:
    """The text with every known $name replaced, also inside replacements."""
    for _ in range(5):
        new = re.sub(r"\$([A-Za-z]\w*)", lambda m: str(table.get(m[1], m[0])), text)
        new = re.sub(r"\$\{(\w+)\}", lambda m: str(table.get(m[1], m[0])), new)
        if new == text:
            break
        text = new
    return text


def _expand(text: str, side: dict[str, str], noise: list[str]) -> list[str]:
    lines: list[str] = []
    for line in text.strip("\n").split("\n"):
        bare = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        if bare.startswith("@"):
            block = side.get(bare[1:], "")
            lines += _expand("\n".join(indent + row for row in block.split("\n")), side, noise) if block else []
        elif bare == "%":
            row = noise.pop(0) if noise else ""
            lines += [indent + row] if row else []
        else:
            lines.append(line)
    return lines


def _layout(lines: list[str], unit: str, ifs: str, allman: bool) -> list[str]:
    out: list[str] = []
    k = 0
    while k < len(lines):
        line = lines[k]
        mark = "".join(m for m in (STRONG, WEAK) if line.rstrip().endswith(m))
        bare = line.rstrip().removesuffix(mark).rstrip() if mark else line.rstrip()
        depth = len(line) - len(line.lstrip())
        if re.match(r"\s*(if|while|for) \(.*\)$", bare) and k + 1 < len(lines) and ifs != "plain":
            body = lines[k + 1]
            after = lines[k + 2].strip() if k + 2 < len(lines) else ""
            single = body.rstrip().removesuffix(STRONG).removesuffix(WEAK).rstrip().endswith(";")
            deeper = len(body) - len(body.lstrip()) > depth
            if single and deeper and not after.startswith("else") and not body.strip().startswith(("if ", "for ")):
                if ifs == "brace":
                    out += [f"{bare} {{{mark}", body, " " * depth + "}"]
                    k += 2
                    continue
                if ifs == "join" and len(bare) + len(body.strip()) < 100:
                    out.append(f"{bare} {body.strip()}{mark}")
                    k += 2
                    continue
        out.append(line)
        k += 1
    final = []
    for line in out:
        if not allman and line == "{" and final and final[-1].endswith(")"):
            final[-1] += " {"
            continue
        depth = len(line) - len(line.lstrip())
        final.append(unit * (depth // 4) + " " * (depth % 4) + line.lstrip())
    return final


def press(
    rng: random.Random, text: str, bad: dict[str, str], good: dict[str, str], table: dict[str, Any], filler: float = 0.4
) -> Sample:
    """Writes the two programs: `bad` and `good` hold `why`, `@slot` blocks and inline $names.

    A line that ends in !! is the flaw (the fix), else the one that ends in !?, else the first that differs.
    """
    table = dict(table)
    style = (
        rng.choice(("    ", "    ", "  ", "\t")),
        rng.choice(("plain", "plain", "brace", "join")),
        rng.random() < 0.5,
    )
    counter = rng.choice([word for word in COUNTERS if word not in table.values()])
    noise = []
    for _ in range(6):
        roll = rng.random()
        if roll < 0.55:
            noise.append("")
        elif roll < 0.8:
            noise.append(rng.choice(("/* {} */", "// {}")).format(rng.choice(COMMENTS)))
        else:
            noise.append(rng.choice((f"{counter}++;", f"{counter} += 1;", f"++{counter};", f"{counter} |= 1u;")))
    tops = []
    table["ctr_err"] = rng.choice(("errors", "dropped", "refused", "bad_input"))
    if "$ctr_err" in "".join(bad.values()) + "".join(good.values()):
        tops.append(f"static unsigned {table['ctr_err']};")
    if any(counter in row for row in noise):
        tops.append(f"static unsigned {counter};")
    fillers: list[str] = []
    if rng.random() < filler:
        fillers.append(
            rng.choice(FILLERS).replace("$fa", rng.choice([w for w in FILLER_NAMES if w not in table.values()]))
        )
    at = rng.random()
    bodies, flags = [], []
    for side in (bad, good):
        full = table | side
        lines = put("\n".join(_expand(text, side, list(noise))), full).split("\n")
        lines = [line for line in lines if line.strip() != "#none"]
        chunks = re.split(r"\n\n+", "\n".join(lines))
        here = int(at * len(chunks))
        chunks[here:here] = fillers
        at_top = 1 if len(chunks) > 1 and "(" not in chunks[0] and at < 0.6 else 0
        chunks[at_top:at_top] = tops
        if put(table.get("defs", ""), full):
            chunks.insert(0, put(table["defs"], full))
        lines = _layout("\n\n".join(chunks).split("\n"), *style)
        bodies.append(lines)
    picked = random.Random(rng.random())
    heads = []
    plain = re.sub(rf" *({STRONG}|{re.escape(WEAK)})", "", "\n".join(bodies[0] + bodies[1]))
    heads = [name for name, pattern in HEADERS if re.search(pattern, plain)]
    if "stddef.h" in heads and set(heads) & {"string.h", "stdlib.h", "stdio.h"}:
        heads.remove("stddef.h")
    picked.shuffle(heads)
    head = [f"#include <{name}>" for name in heads]
    clean = []
    for lines in bodies:
        strong = [line for line in lines if STRONG in line]
        weak = [line for line in lines if WEAK in line]
        mark = (strong or weak or [""])[0]
        flags.append(_bare(mark).strip())
        clean.append([*head, "", *(_bare(line) for line in lines)])
    for k in (0, 1):
        if not flags[k]:
            other = set(clean[1 - k])
            rows = [line for line in clean[k] if line not in other and len(line.strip()) > 2]
            flags[k] = rows[0].strip() if rows else _moved(clean[k], clean[1 - k])
    why = [put(side["why"], table | side) for side in (bad, good)]
    sources = [re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n" for lines in clean]
    return Sample(
        vulnerable=sources[0],
        patched=sources[1],
        flaw=flags[0],
        fix=flags[1],
        reason=why[0],
        reason_patched=why[1],
    )


def _bare(line: str) -> str:
    return re.sub(rf" *({STRONG}|{re.escape(WEAK)})", "", line).rstrip()


def _moved(lines: list[str], other: list[str]) -> str:
    for tag, i, j, _, _ in difflib.SequenceMatcher(None, lines, other, autojunk=False).get_opcodes():
        if tag in ("delete", "replace"):
            return next(line.strip() for line in lines[i:j] if len(line.strip()) > 2)
    return next(line.strip() for line in lines if line.strip().endswith(";"))


def one(why: str, **slots: str) -> dict[str, str]:
    """One way for `press`: the reason and what the slots hold."""
    return {"why": why} | slots


def gates(
    rng: random.Random,
    v: str,
    w: str,
    cap: str = "$C",
    wide: str = "$D",
    stop: str = "return -1;",
    *,
    strict: bool = False,
    clamp: bool = True,
    late: bool = True,
    soft: str = "",
) -> tuple[dict[str, str], dict[str, str]]:
    """A wrong and a right guard for `v`, which must be at most (strict: below) cap; w is another value.

    The guards stand in slot `pre`; the late wrong one in slot `post`. v and w are unsigned.
    """
    test = reach if strict else over
    least = f"{cap} - 1" if strict else cap
    most = f"{wide} - 1" if strict else wide
    stop_line = f"\n    {stop}"
    t = lambda x, lim: test(rng, x, lim)  # noqa: E731
    joined = [t(v, cap), t(w, wide)]
    rng.shuffle(joined)
    crossed = [t(w, cap), t(v, wide)]
    rng.shuffle(crossed)
    both = [t(v, cap), t(w, cap)]
    rng.shuffle(both)
    log = soft or rng.choice(('fprintf(stderr, "too long\\n");', 'puts("truncated");', "$ctr_err++;"))
    logged = f"{{\n    {log}\n    {stop}\n}}"
    cond = t(v, cap)
    odd = rng.choice((t(w, cap), t(v, wide)))
    right = [
        one(f"{v} is limited to {cap} before the write", pre=f"if ({cond}){STRONG}{stop_line}"),
        one(f"{v} is limited to {cap} before the write", pre=f"if ({v} == 0 || {cond}){STRONG}{stop_line}"),
        one(f"{v} is limited to {cap}, {w} to {wide}", pre=f"if ({' || '.join(joined)}){STRONG}{stop_line}"),
        one(f"both {v} and {w} are limited to {cap}", pre=f"if ({' || '.join(both)}){STRONG}{stop_line}"),
        one(f"{v} above {cap} is turned away", pre=f"if ({v} != 0 && {cond}){STRONG}{stop_line}"),
        one(f"{v} above {cap} is logged and turned away", pre=f"if ({cond}) {logged}".replace(" {", f" {{{STRONG}", 1)),
    ]
    wrong = [
        one(f"{w} is limited, but {v} decides how far the write goes", pre=f"if ({t(w, cap)}){STRONG}{stop_line}"),
        one(f"{v} may be as large as {wide}, more than {cap}", pre=f"if ({t(v, wide)}){STRONG}{stop_line}"),
        one(f"{v} is never limited, only {w}", pre=f"if ({v} == 0 || {t(w, cap)}){STRONG}{stop_line}"),
        one(f"{v} may reach {wide}, more than {cap}", pre=f"if ({w} == 0 || {t(v, wide)}){STRONG}{stop_line}"),
        one(f"{v} is never limited, only {w}", pre=f"if ({w} != 0 && {t(w, cap)}){STRONG}{stop_line}"),
        one(f"{v} may reach {wide}, more than {cap}", pre=f"if ({t(w, wide)} || {t(v, wide)}){STRONG}{stop_line}"),
        one(
            f"the test needs both to be large, {v} alone may exceed {cap}",
            pre=f"if ({' && '.join(both)}){STRONG}{stop_line}",
        ),
        one(f"{v} is only limited to {wide}, more than {cap}", pre=f"if ({' || '.join(crossed)}){STRONG}{stop_line}"),
        one(f"a large {v} is noticed, but the write happens with it", pre=f"if ({cond}){STRONG}\n    {log}"),
        one(f"the test does not keep {v} within {cap}", pre=f"if ({odd}) {logged}".replace(" {", f" {{{STRONG}", 1)),
    ]
    if clamp:
        right.append(one(f"{v} is cut to {least}", pre=f"if ({t(v, cap)})\n    {v} = {least};{STRONG}"))
        right.append(one(f"{v} is cut to {least}", pre=f"{v} = {v} < {cap} ? {v} : {least};{STRONG}"))
        wrong.append(
            one(f"{v} is cut to {most}, more than {cap} allows", pre=f"if ({t(v, cap)})\n    {v} = {most};{STRONG}")
        )
        if rng.random() < 0.5:
            wrong.append(one(f"{w} is cut, but {v} is used", pre=f"if ({t(w, cap)})\n    {w} = {least};{STRONG}"))
        wrong.append(one(f"{w} is cut, but {v} is used", pre=f"{w} = {w} < {cap} ? {w} : {least};{STRONG}"))
    if late:
        wrong.append(one(f"{v} is tested only after the write", post=f"if ({t(v, cap)}){STRONG}{stop_line}"))
    if strict:
        wrong.append(one(f"{v} may equal {cap}, one past the end", pre=f"if ({over(rng, v, cap)}){STRONG}{stop_line}"))
    return rng.choice(wrong), rng.choice(right)


def flow_length(rng: random.Random) -> Sample:
    """Wrong: a length reaches a copy past a guard on another value, limit or step; right: the guard covers it."""
    n = pool(
        rng,
        fn="on_message handle_upload take_block import_row accept_note load_slot relay_cmd",
        ctx="ctx job peer unit conn box",
        st="session device slot_info uplink port_state",
        buf="body cache inbox page data label tag title",
        alt="body cache inbox page data label tag title owner",
        src="raw wire p in msg bytes",
        v="len need want amount span rest cnt extra",
        w="len need want amount span rest cnt extra",
        hp="stash commit keep_bytes fill_slot",
        id="plain_len field_of as_len same_size",
    )
    n |= caps(rng, [16, 24, 32, 48, 64], [96, 100, 128, 200], "BODY_MAX TAG_MAX ROOM LIMIT_A LIMIT_B CHUNK")
    kind = rng.choice(("net", "net", "text", "req"))
    params = {"net": "const unsigned char *$src", "text": "char **$src", "req": "const struct order *$src"}[kind]
    reads = {
        "net": [("$src[0]", "$src[1]"), ("$src[0] << 8 | $src[1]", "$src[2]"), ("$src[1] + 256u * $src[2]", "$src[3]")],
        "text": [("strtoul($src[1], NULL, 10)", "strtoul($src[2], NULL, 10)"), ("strlen($src[3])", "strlen($src[4])")],
        "req": [("$src->first", "$src->second"), ("$src->second", "$src->first")],
    }[kind]
    a, b = rng.choice(reads)
    data = {"net": "($src + 4)", "text": "$src[3]", "req": "$src->text"}[kind]
    decl = "struct order {\n    unsigned first, second;\n    const char *text;\n};\n\n" if kind == "req" else ""
    steps, x, helper, used_id, grown = [], "$v", False, False, False
    defs_at = [("$v", False)]
    for k in range(rng.randrange(0, 4)):
        step = rng.choice(("copy", "field", "call", "grow", "half"))
        if step == "field":
            if any("->used" in s for s in steps):
                continue
            steps.append(f"$ctx->used = {x};")
            x = "$ctx->used"
        else:
            new = put(f"{n['v']}{k + 2}", n)
            more = rng.choice((" + 4", " * 2", " + 16"))
            expr = {"copy": x, "call": f"$id({x})", "grow": x + more, "half": x}[step]
            used_id |= step == "call"
            grown |= step == "grow"
            if step == "half":
                steps.append(f"size_t {new} = {b};\nif ($ctx->mode == 2)\n    {new} = {x};")
                grown = True
            else:
                steps.append(f"size_t {new} = {expr};")
            x = new
        defs_at.append((x, step in ("grow", "half")))
    sink_v = x
    helper = rng.random() < 0.35
    write = rng.choice(
        (
            "memcpy($ctx->$buf, SRC, LEN);",
            "memmove($ctx->$buf, SRC, LEN);",
            "memset($ctx->$buf, 0, LEN);",
            "for (size_t i = 0; i < LEN; i++)\n    $ctx->$buf[i] = SRC[i];",
        )
    )
    sink = "$hp($ctx, SRC, LEN);" if helper else write
    cap = rng.choice(("$C", "sizeof($ctx->$buf)"))
    wide = rng.choice(("$D", "sizeof($ctx->$alt)"))
    inside = helper and rng.random() < 0.4
    early = [name for name, _ in defs_at[: max(i for i, d in enumerate(defs_at) if d[1])]] if grown else []
    if inside:
        bad, good = gates(rng, "len", "$ctx->mode", cap, wide, "return;", soft="$ctx->mode = 3;")
        bad, good = (
            {("h" + key if key in ("pre", "post") else key): val for key, val in s.items()} for s in (bad, good)
        )
    else:
        bad, good = gates(rng, sink_v, "$w", cap, wide, late=True)
    spot = len(steps)
    pres = [f"@g{k}" for k in range(len(steps) + 1)]
    bad = {("g" + str(spot) if key == "pre" else key): val for key, val in bad.items()}
    good = {("g" + str(spot) if key == "pre" else key): val for key, val in good.items()}
    if not inside and early and rng.random() < 0.6:
        j = rng.randrange(len(early))
        place = rng.randrange(j, spot + 1)
        bad = one(
            f"{early[j]} is limited, but {sink_v} is larger than what was tested",
            **{f"g{place}": f"if ({over(rng, early[j], cap)}){STRONG}\n    return -1;"},
        )
    body = []
    for k, step in enumerate(steps):
        body += [pres[k], step] + (["%"] if rng.random() < 0.5 else [])
    body.append(pres[len(steps)])
    okay = f"if ($w <= {wide})\n    memcpy($ctx->$alt, {data}, $w);"

    text = [sink.replace("SRC", data).replace("LEN", sink_v)]
    text[0] = text[0].split("\n")[0] + WEAK + ("\n" + "\n".join(text[0].split("\n")[1:]) if "\n" in text[0] else "")
    main = "\n".join([*body, *text])
    parts = [main, okay] if rng.random() < 0.5 else [okay, main]
    core = "\n".join(parts)
    core = "\n".join("    " + line for line in core.split("\n"))

    intro = [f"size_t $v = {a};", f"size_t $w = {b};"]
    rng.shuffle(intro)
    hw = write.replace("SRC", "from").replace("LEN", "len")
    hw = "\n".join("    " + line for line in hw.split("\n"))
    fields = [f"unsigned char $buf[{n['C']}];", f"unsigned char $alt[{n['D']}];", "unsigned mode;", "size_t used;"]
    rng.shuffle(fields)
    rows = "\n".join("    " + f for f in fields)
    program = f"{decl}struct $st {{\n{rows}\n}};\n\n"
    if used_id:
        program += "static size_t $id(size_t n)\n{\n    %\n    return n;\n}\n\n"
    if helper:
        ctype = "const char *" if kind != "net" else "const unsigned char *"
        program += (
            f"static void $hp(struct $st *$ctx, {ctype}from, size_t len)\n{{\n    @hpre\n{hw}\n    @hpost\n}}\n\n"
        )
    program += (
        f"int $fn(struct $st *$ctx, {params})\n{{\n    {intro[0]}\n"
        f"    {intro[1]}\n    %\n{core}\n    @post\n    return 0;\n}}\n"
    )
    return press(rng, program, bad, good, n)


def flow_index(rng: random.Random) -> Sample:
    """Wrong: an end of the range, another index or an earlier step is tested; right: the index that is used."""
    n = pool(
        rng,
        fn="set_seat assign_lane mark_cell move_piece tune_channel update_port book_desk paint_tile",
        arr="seats lanes cells ports grid rows pads gauge",
        arr2="names marks flags owners costs",
        obj="hall board panel plant shop",
        st="venue plan rack deck",
        i="pos idx k at where num line spot",
        j="pos idx k at where num line spot col other",
        val="val mode who amount code",
        ok="in_range usable known_slot is_valid fits",
        src="cmd line arg req text",
        ps="to_index pick_no number_at",
    )
    n |= caps(rng, [8, 10, 12, 16, 20, 32], [40, 50, 64, 100], "SEATS LANES NSLOT WIDTH COUNT_A COUNT_B TOTAL")
    signed = rng.random() < 0.6
    n["ty"] = rng.choice(("int", "int", "long")) if signed else rng.choice(("unsigned", "size_t", "unsigned long"))
    conv = rng.choice(("atoi(%s)", "strtol(%s, NULL, 10)")) if signed else "strtoul(%s, NULL, 10)"
    via = rng.choice(("argv", "argv", "fields", "params"))
    if via == "argv":
        params, a, b = "char **$src", conv % "$src[1]", conv % "$src[2]"
    elif via == "fields":
        params, a, b = "const struct req *$src", "$src->a", "$src->b"
    else:
        params, a, b = "$ty $src, $ty second", "$src", "second"
    table = rng.choice(("struct", "global", "global"))
    arr = "$obj->$arr" if table == "struct" else "$arr"
    cell = rng.choice(("plain", "member", "flag"))
    target = f"{arr}[%s]" + (".level" if cell == "member" else "")
    step = rng.choice(("none", "copy", "next", "field", "offset"))
    x = {"none": "$i", "copy": "target", "next": "$i", "field": "$obj->last", "offset": "slot"}[step]
    if step == "field" and table != "struct":
        step, x = "copy", "target"
    moves = {
        "none": "",
        "copy": "$ty target = $i;",
        "next": rng.choice(("$i += 1;", "$i++;", "$i = $i + 2;")),
        "field": "$obj->last = $i;",
        "offset": rng.choice(("$ty slot = $i + 1;", "$ty slot = $i + $j % 4;" if not signed else "$ty slot = $i + 3;")),
    }[step]
    low, top = rng.choice(((f"{x} < 0"), f"0 > {x}")), reach(rng, x, "$C")
    stop = "\n    return -1;"
    off = over(rng, x, "$C")
    other_low, other_top = "$j < 0", reach(rng, "$j", "$C")
    wide_top = reach(rng, x, "$D")
    right, wrong = [], []

    def add(group: list[dict[str, str]], why: str, *conds: str, slot: str = "late") -> None:
        group.append(one(why, **{slot: f"if ({' || '.join(conds)}){STRONG}{stop}"}))

    if signed:
        add(right, f"{x} is kept between 0 and $C", low, top)
        add(right, f"{x} is kept between 0 and $C", top, low)
        add(right, f"{x} is kept between 0 and $C, and $j too", low, top, other_low)
        right.append(
            one(
                f"as an unsigned value {x} is kept below $C, so it is not negative either",
                late=f"if ((unsigned long){x} >= $C){STRONG}{stop}",
            )
        )
        right.append(one(f"only 0 to $Cm of {x} goes on", late=f"if (!({x} >= 0 && {x} < $C)){STRONG}{stop}"))
        add(wrong, f"a negative {x} writes before the table", other_low, top)
        add(wrong, f"a negative {x} writes before the table", other_low, top, other_top)
        add(wrong, f"{x} may be $C, one past the end", low, off, other_low)
        add(wrong, f"{x} may be $C, one past the end", low, off)
        add(wrong, f"{x} has no upper bound, only $j has", low, other_top)
        add(wrong, f"{x} may be up to $D, more than the $C cells", low, wide_top)
        add(wrong, f"$j is tested but {x} is the index", other_low, other_top)
        wrong.append(
            one(
                f"nothing is both negative and above $C, so {x} is not limited",
                late=f"if ({low} && {top}){STRONG}{stop}",
            )
        )
        wrong.append(one(f"the unsigned test lets {x} be $C", late=f"if ((unsigned long){x} > $C){STRONG}{stop}"))
        wrong.append(
            one(
                f"{x} may be negative or large, one half of the test is enough",
                late=f"if (!({x} >= 0 || {x} < $C)){STRONG}{stop}",
            )
        )
    else:
        add(right, f"{x} stays below $C", top)
        add(right, f"{x} stays below $C", f"{x} == $j", top)
        add(right, f"{x} stays below $C, $j too", other_top, top)
        right.append(one(f"{x} wraps around inside the table", late=f"{x} %= $C;{STRONG}"))
        add(wrong, f"{x} may be $C, one past the end", off)
        add(wrong, f"an unsigned {x} is never negative and has no upper bound", low, other_top)
        add(wrong, f"{x} may be up to $D, more than $C", wide_top)
        add(wrong, f"{x} is compared only with $j", f"{x} == $j", other_top)
        wrong.append(one(f"{x} is reduced by $D, which is more than $C", late=f"{x} %= $D;{STRONG}"))
        wrong.append(one(f"$j wraps around, but {x} is the index", late=f"$j %= $C;{STRONG}"))
    if step in ("next", "offset"):
        conds = ["$i < 0", reach(rng, "$i", "$C")] if signed else [reach(rng, "$i", "$C")]
        for _ in range(2):
            add(wrong, f"$i is tested before it grows, so {x} may reach $C", *conds, slot="early")
    bad, good = rng.choice(wrong), rng.choice(right)
    write = {"plain": "= $val;", "member": "= $val;", "flag": rng.choice(("|= 1;", "+= $val;", "= 0;"))}[cell]
    sink = (target % x) + f" {write}{WEAK}"
    helper = rng.random() < 0.3
    safe = f"if ({'$j >= 0 && ' if signed else ''}$j < $D)\n        $arr2[$j] = $val;"
    elem = "struct cell {\n    int level;\n    int tag;\n};\n\n" if cell == "member" else ""
    ctype = "struct cell" if cell == "member" else rng.choice(("int", "short", "unsigned char"))
    text = elem
    if via == "fields":
        text += "struct req {\n    $ty a, b;\n};\n\n"
    text += (
        f"struct $st {{\n    {ctype} $arr[$C];\n    $ty last;\n}};\n\n"
        if table == "struct"
        else f"static {ctype} $arr[$C];\n\n"
    )
    text += "static int $arr2[$D];\n\n"
    obj = "struct $st *$obj, " if table == "struct" else ""
    first = [f"    $ty $i = {a};", f"    $ty $j = {b};"]
    rng.shuffle(first)
    middle = ["    @early"]
    if moves:
        middle.append(f"    {moves}")
    middle.append("    @late")
    if helper and step not in ("field",) and table == "global":
        text += f"static void put_one($ty n, int $val)\n{{\n    {(target % 'n')} {write}\n}}\n\n"
        sink = f"put_one({x}, $val);{WEAK}"
    spot = rng.randrange(3)
    rows = [*first, *middle, f"    {sink}"]
    rows.insert((2, 2, len(rows))[spot], f"    {safe}")
    rows.insert(rng.randrange(2, len(rows)), "    %")
    body = "\n".join(rows)
    text += f"int $fn({obj}{params}, int $val)\n{{\n{body}\n    return 0;\n}}\n"
    return press(rng, text, bad, good, n)


TEXT_DOMAINS = (
    ("chat_line", "nick", "room", "text", "post_line join_room say_to", '{"lobby", "help", "ops"}', "ROOMS"),
    (
        "log_entry",
        "origin",
        "level",
        "message",
        "log_event add_entry note_error",
        '{"info", "warn", "error"}',
        "LEVELS",
    ),
    (
        "contact",
        "email",
        "group",
        "input",
        "save_contact edit_contact add_person",
        '{"work", "home", "other"}',
        "GROUPS",
    ),
    ("song", "artist", "genre", "tag", "index_song tag_song import_song", '{"jazz", "rock", "folk"}', "GENRES"),
    ("ticket", "subject", "state", "field", "open_ticket file_issue set_subject", '{"new", "open", "done"}', "STATES"),
    ("host_entry", "alias", "family", "name", "add_host map_alias set_host", '{"inet", "inet6", "unix"}', "FAMILIES"),
    ("product", "caption", "unit", "label", "rename_item put_item list_item", '{"kg", "piece", "box"}', "UNITS"),
)


def text_calls(rng: random.Random) -> Sample:
    """Wrong: the unbounded call takes the caller's text; right: it takes only a constant word, the text is bounded."""
    st, user, word, src, fns, words, tab = rng.choice(TEXT_DOMAINS)
    if rng.random() < 0.5:
        user, word = word, user
    n = {"st": st, "user": user, "word": word, "src": rng.choice((src, "s", "value", "arg")), "tab": tab}
    n |= pool(rng, fn=fns, o="e rec item self out", k="kind which sel code", tmp="tmp line scratch work")
    n |= caps(rng, [12, 16, 20, 24, 32], [48, 64, 80, 128], "NAME_MAX_LEN SHORT_LEN LINE_LEN TEXT_LEN FIELD_LEN")
    where = rng.choice(("struct", "struct", "local"))
    d1, d2 = ("$o->$user", "$o->$word") if where == "struct" else ("$user", "$word")
    c1, c2 = (n["C"], n["D"]) if rng.random() < 0.5 else (n["D"], n["C"])
    prefix = rng.choice(("", "", "[", "id="))
    w = "$tab[$k % 3]"

    def free(form: int, d: str, s: str) -> str:
        pre = prefix if d == d1 else ""
        if pre:
            return (f'sprintf({d}, "{pre}%s", {s});', f'strcpy({d}, "{pre}");\nstrcat({d}, {s});')[form % 2]
        return (
            f"strcpy({d}, {s});",
            f'sprintf({d}, "%s", {s});',
            f"{d}[0] = '\\0';\nstrcat({d}, {s});",
            f"memcpy({d}, {s}, strlen({s}) + 1);",
        )[form % 4]

    def bounded(form: int, d: str, s: str, size: str = "") -> str:
        size = size or f"sizeof({d})"
        pre = prefix if d == d1 else ""
        forms = [f'snprintf({d}, {size}, "{pre}%s", {s});']
        if not prefix:
            forms.append(f"strncpy({d}, {s}, {size} - 1);\n{d}[sizeof({d}) - 1] = '\\0';")
            forms.append(f"if (strlen({s}) >= {size})\n    return -1;\nstrcpy({d}, {s});")
            forms.append(f"{d}[0] = '\\0';\nstrncat({d}, {s}, {size} - 1);")
        return forms[form % len(forms)]

    mode = rng.choice(("swap", "swap", "swap", "swap", "call", "size", "size", "width", "cat"))
    if mode == "size" and c1 != n["C"]:
        c1, c2 = c2, c1
    size1 = int(n["Cn"] if c1 == n["C"] else n["Dn"])
    size2 = int(n["Cn"] if c2 == n["C"] else n["Dn"])
    f, g = rng.randrange(4), rng.randrange(4)
    why_bad, why_good = f"$src is written to {d1} without a limit", f"$src is cut to the size of {d1}"
    if mode == "swap":
        bad = one(why_bad, su=free(f, d1, "$src"), sw=bounded(g, d2, w))
        good = one(why_good, su=bounded(g, d1, "$src"), sw=free(f, d2, w))
    elif mode == "call":
        rest = rng.choice((free, bounded))(g, d2, w)
        useless = rng.choice(
            ("if ($src[0] == '\\0')\n    return -1;\n", "if (strlen($src) == 0)\n    return -1;\n", "")
        )
        bad = one(why_bad, su=useless + free(f, d1, "$src"), sw=rest)
        good = one(why_good, su=bounded(rng.randrange(4), d1, "$src"), sw=rest)
    elif mode == "size":
        rest = rng.choice((free, bounded))(g, d2, w)
        bad = one(
            f"the limit is the size of {d2}, but {d1} is smaller", su=bounded(f, d1, "$src", f"sizeof({d2})"), sw=rest
        )
        good = one(f"the limit is the size of {d1} itself", su=bounded(f, d1, "$src"), sw=rest)
    elif mode == "width":
        least, most = ("%-", "%."), ("%", "%.")
        low, top = rng.choice((least, most))
        num = size1 - 1 - len(prefix)
        bad = one(
            f"a width is a minimum, so the whole $src goes to {d1}",
            su=f'sprintf({d1}, "{prefix}{low}{num}s", $src);',
            sw=f'sprintf({d2}, "{top}{size2 - 1}s", {w});',
        )
        good = one(
            f"the precision cuts $src to {num} characters",
            su=f'sprintf({d1}, "{prefix}{top}{num}s", $src);',
            sw=f'sprintf({d2}, "{low}{size2 - 1}s", {w});',
        )
    else:
        lead = f'strcpy({d1}, "{rng.choice(("to: ", "x-", "user ", "# "))}");\n'
        zero = f"{d2}[0] = '\\0';\n"
        bad = one(
            f"the limit counts the whole of {d1}, not what is left of it",
            su=lead + f"strncat({d1}, $src, sizeof({d1}) - 1);{STRONG}",
            sw=zero + f"strncat({d2}, {w}, sizeof({d2}) - strlen({d2}) - 1);",
        )
        good = one(
            f"the limit is what is left of {d1} less the NUL",
            su=lead + f"strncat({d1}, $src, sizeof({d1}) - strlen({d1}) - 1);{STRONG}",
            sw=zero + f"strncat({d2}, {w}, sizeof({d2}) - 1);",
        )
    pair = ["    @su", "    @sw"]
    rng.shuffle(pair)
    body = "\n    %\n".join(pair)
    const = f"static const char *const $tab[] = {words};\n\n"
    if where == "struct":
        fields = [f"char $user[{c1}];", f"char $word[{c2}];", "int used;"]
        rng.shuffle(fields)
        rows = "\n".join("    " + f for f in fields)
        text = (
            f"struct $st {{\n{rows}\n}};\n\n{const}int $fn(struct $st "
            f"*$o, const char *$src, unsigned $k)\n{{\n    %\n{body}\n"
        )
        text += "    $o->used = 1;\n    return 0;\n}\n"
    else:
        fields = [f"char $user[{c1}];", f"char $word[{c2}];"]
        rng.shuffle(fields)
        rows = "\n".join("    " + f for f in fields)
        text = f"{const}int $fn(const char *$src, unsigned $k)\n{{\n{rows}\n    %\n{body}\n"
        text += '    printf("%s (%s)\\n", $user, $word);\n    return 0;\n}\n'
    return press(rng, text, bad, good, n)


def path_room(rng: random.Random) -> Sample:
    """Wrong: a joined name's length is summed without a part or against another limit; right: every byte is counted."""
    n = pool(
        rng,
        fn="full_name make_path build_key join_parts open_asset spool_file",
        a="dir base root home prefix",
        b="name file leaf entry id",
        out="path key full dest where",
        la="dl alen n1 first_len",
        lb="fl blen n2 last_len",
        spare="msg note line",
    )
    n |= caps(rng, [32, 48, 64, 80], [128, 160, 256], "PATH_LEN KEY_LEN MSG_LEN NOTE_LEN BUF_LEN")
    ext = rng.choice(("", "", ".txt", ".log", ".d", ".tmp"))
    sep = rng.choice(("/", "/", ":", "-"))
    k = 2 + len(ext)
    n["sep"], n["ext"] = sep, ext
    cap = rng.choice(("$C", "sizeof($out)", "$C"))
    wide = "$D" if cap == "$C" else "sizeof($spare)"
    la, lb = rng.choice((("$la", "$lb"), ("$la", "$lb"), ("strlen($a)", "strlen($b)")))
    stop = "\n    return -1;"
    total = rng.choice((f"{la} + {lb}", f"{lb} + {la}"))

    def fits(m: int, limit: str, s: str = total) -> str:
        plus = lambda q: f" + {q}" if q else ""  # noqa: E731
        return rng.choice(
            (
                f"{s}{plus(m)} > {limit}",
                f"{s}{plus(m - 1)} >= {limit}",
                f"{s} > {limit} - {m}",
                f"{limit} < {s}{plus(m)}",
            )
        )

    right = [
        one(f"both parts and the other {k} bytes are within {cap}", pre=f"if ({fits(k, cap)}){STRONG}{stop}"),
        one(
            f"both parts and the other {k} bytes are within {cap}",
            pre=f"if ({lb} == 0 || {fits(k, cap)}){STRONG}{stop}",
        ),
        one(
            f"more than {k} bytes are kept free of {cap}", pre=f"if ({fits(k + rng.choice((1, 2)), cap)}){STRONG}{stop}"
        ),
    ]
    wrong = [
        one(f"the test forgets {k - m} of the {k} bytes besides the parts", pre=f"if ({fits(m, cap)}){STRONG}{stop}")
        for m in (rng.choice([q for q in (1, 2, len(ext) + 1, k - 1) if 0 < q < k]), 1, k - 1)
    ] + [
        one(f"the room is {cap}, the test allows {wide}", pre=f"if ({fits(k, wide)}){STRONG}{stop}"),
        one("the length of $a is not counted", pre=f"if ({fits(k, cap, lb)}){STRONG}{stop}"),
        one(
            "each part is limited alone, the sum may be near twice that",
            pre=f"if ({fits(k, cap, la)} || {fits(k, cap, lb)}){STRONG}{stop}",
        ),
        one("$b is never limited", pre=f"if ({lb} == 0 || {fits(k, cap, la)}){STRONG}{stop}"),
    ]
    build = rng.choice(
        (
            f'sprintf($out, "%s{sep}%s{ext}", $a, $b);{WEAK}',
            f'strcpy($out, $a);\nstrcat($out, "{sep}");\nstrcat($out, $b);{WEAK}'
            + (f'\nstrcat($out, "{ext}");' if ext else ""),
            f"memcpy($out, $a, {la});\n$out[{la}] = '{sep}';\n"
            + (
                f'memcpy($out + {la} + 1, $b, {lb});\nmemcpy($out + {la} + 1 + {lb}, "{ext}", {len(ext) + 1});'
                if ext
                else f"memcpy($out + {la} + 1, $b, {lb} + 1);"
            ),
            f"char *p = $out;\nfor (const char *s = $a; *s; s++)\n    *p++ = *s;\n*p++ = '{sep}';\nstrcpy(p, $b);{WEAK}"
            + (f'\nstrcat(p, "{ext}");' if ext else ""),
        )
    )
    bad, good = rng.choice(wrong), rng.choice(right)
    if rng.random() < 0.15:
        bad = one("the sum is tested only after $out is full", post=f"if ({fits(k, cap)}){STRONG}{stop}")
    body = "\n".join("    " + row for row in build.split("\n"))
    lens = "    size_t $la = strlen($a);\n    size_t $lb = strlen($b);\n" if la == "$la" else ""
    end = rng.choice(
        (
            '    FILE *f = fopen($out, "r");\n    if (f == NULL)\n        return -1;\n    fclose(f);\n    return 0;',
            "    return (int)strlen($out);",
            "    puts($out);\n    return 0;",
        )
    )
    use = rng.choice(
        (
            '    snprintf($spare, sizeof($spare), "using %s", $b);\n    puts($spare);\n',
            "    $spare[0] = '\\0';\n    strncat($spare, $a, sizeof($spare) - 1);\n    puts($spare);\n",
        )
    )
    decl = [f"    char $out[{n['C']}];", f"    char $spare[{n['D']}];"]
    rng.shuffle(decl)
    where = rng.random() < 0.5
    top = "\n".join(decl)
    text = (
        f"int $fn(const char *$a, const char *$b)\n{{\n{top}\n{lens}    %\n"
        f"{use if where else ''}    @pre\n    %\n{body}\n    @post\n"
    )
    text += f"{'' if where else use}{end}\n}}\n"
    return press(rng, text, bad, good, n)


def growing_list(rng: random.Random) -> Sample:
    """Wrong: a growing array grows too late, too little or in the wrong unit; right: there is room before the write."""
    n = pool(
        rng,
        st="list vec bag queue_buf stack_mem sample_set",
        items="items data slots elems vals",
        len="len count used size n",
        cap="cap room alloc max",
        fn="append push add_item record put_last insert_many",
        more="extra fresh need want add",
        T="int long double short uint32_t",
        v="l q s self vp",
        grow="grow extend make_room enlarge",
    )
    many = rng.random() < 0.5
    factor = rng.choice(("$v->$cap * 2", "$v->$cap + $v->$cap / 2 + 1", "$v->$cap + 8", "$v->$cap << 1"))
    if many and "8" in factor:
        factor = "$v->$cap * 2"
    unit = rng.choice(("sizeof($T)", "sizeof(*$v->$items)", "sizeof *$v->$items"))
    room = "$v->$cap"
    loop = "while" if many else "if"
    n["fac"], n["first"] = factor, rng.choice(("4", "8", "16"))

    def body(cond: str, size: str, cap: str, word: str = loop) -> dict[str, str]:
        lines = [f"size_t ncap = {room} ? {room} : $first;"]
        if many:
            lines.append(f"{word} ({cond})")
            lines.append("    ncap = " + factor.replace("$v->$cap", "ncap") + ";")
            lines.append("if (ncap != $v->$cap || $v->$items == NULL) {")
        else:
            lines = [f"if ({cond}) {{", f"    size_t ncap = {room} ? {factor} : $first;"]
        lines += [
            f"    $T *p = realloc($v->$items, {size});",
            "    if (p == NULL)",
            "        return -1;",
            "    $v->$items = p;",
            f"    $v->$cap = {cap};",
            "}",
        ]
        return {"grow": "\n".join(lines)}

    if many:
        okay = rng.choice(("ncap < $v->$len + $more", "$v->$len + $more > ncap", "ncap - $v->$len < $more"))
        conds = [
            ("ncap - $v->$len < 1", "room for one element is made, then $more of them are written"),
            ("ncap < $v->$len + 1", "room for one element is made, then $more of them are written"),
            ("ncap < $more", "the elements that are already there are not counted"),
            ("$more > ncap", "the elements that are already there are not counted"),
            ("ncap + 1 < $v->$len + $more", "one element too many passes the test"),
            ("$v->$len + $more > ncap + 1", "one element too many passes the test"),
            ("ncap + $v->$len < $more", "the elements that are already there are counted the wrong way"),
            ("ncap + $more < $v->$len", "$more is counted the wrong way"),
        ]
    else:
        okay = rng.choice(
            (
                "$v->$len == $v->$cap",
                "$v->$len >= $v->$cap",
                "$v->$len + 1 > $v->$cap",
                "!($v->$len < $v->$cap)",
                "$v->$cap == 0 || $v->$len == $v->$cap",
                "$v->$items == NULL || $v->$len >= $v->$cap",
                "$v->$cap - $v->$len < 1",
            )
        )
        conds = [
            ("$v->$len > $v->$cap", "the array grows only when $len is already past $cap"),
            ("!($v->$len <= $v->$cap)", "the array grows only when $len is already past $cap"),
            ("$v->$len - 1 == $v->$cap", "the array grows only after a write past $cap"),
            ("$v->$items == NULL || $v->$len > $v->$cap", "the array grows only when $len is already past $cap"),
            ("$v->$cap == 0 || $v->$len == $v->$cap + 1", "the array grows only after a write past $cap"),
            ("$v->$cap == 0 || $v->$len == 0", "the array grows only when it is empty"),
            ("$v->$len == $v->$cap && $v->$len == 0", "the array grows only when it is empty"),
        ]
    size = f"ncap * {unit}"
    size = rng.choice((size, f"{unit} * ncap"))
    plenty = size if rng.random() < 0.85 else f"(ncap + 1) * {unit}"
    good = body(okay, plenty, "ncap") | {"why": "there is room for every element before it is written"}
    roll = rng.random()
    if roll < 0.6:
        cond, why = rng.choice(conds)
        bad = body(cond, size, "ncap") | {"why": why}
    elif roll < 0.68:
        bad = body(okay, "ncap", "ncap") | {"why": "realloc takes bytes, but ncap counts elements"}
    elif roll < 0.78:
        bad = body(okay, f"{room} * {unit}", "ncap") | {"why": "the block keeps the old size while $cap becomes ncap"}
    elif roll < 0.84:
        bad = body(okay, f"ncap + {unit}", "ncap") | {"why": "the size is a sum where a product is needed"}
    elif many:
        bad = body(okay, size, "ncap", "if") | {"why": "growing once may not be enough for $more elements"}
    else:
        bad = body(okay, size, f"ncap * {unit}") | {"why": "$cap is set in bytes, so later pushes pass the test"}
    if many:
        write = rng.choice(
            (
                f"memcpy($v->$items + $v->$len, src, $more * {unit});",
                "for (size_t i = 0; i < $more; i++)\n        $v->$items[$v->$len + i] = src[i];",
            )
        )
        tail = f"    {write}\n    $v->$len += $more;"
        sig = "int $fn(struct $st *$v, const $T *src, size_t $more)"
    else:
        tail = rng.choice(("    $v->$items[$v->$len++] = x;", "    $v->$items[$v->$len] = x;\n    $v->$len++;"))
        sig = "int $fn(struct $st *$v, $T x)"
    fields = ["$T *$items;", "size_t $len;", "size_t $cap;"]
    rng.shuffle(fields)
    rows = "\n".join("    " + f for f in fields)
    more = rng.choice(
        (
            "",
            "void drop(struct $st *$v)\n{\n    free($v->$items);\n"
            "    $v->$items = NULL;\n    $v->$len = $v->$cap = 0;\n}\n\n",
            "$T last_of(const struct $st *$v)\n{\n    return $v->$len > 0 ? $v->$items[$v->$len - 1] : 0;\n}\n\n",
            "int start(struct $st *$v)\n{\n    $v->$items = malloc($first * sizeof($T));\n    $v->$len = 0;\n"
            "    $v->$cap = $v->$items ? $first : 0;\n    return $v->$cap != 0;\n}\n\n",
        )
    )
    text = f"struct $st {{\n{rows}\n}};\n\n{more}{sig}\n{{\n    %\n    @grow\n    %\n{tail}\n    return 0;\n}}\n"
    return press(rng, text, bad, good, n)


def split_fields(rng: random.Random) -> Sample:
    """Wrong: pieces of a line fill a table whose count is not limited rightly; right: a full table ends the loop."""
    n = pool(
        rng,
        fn="split_line parse_row read_args cut_words scan_list load_hosts",
        tab="col argv_tab word part cells opts",
        k="n cnt num k seen total rows used",
        line="line row s input cmd",
        p="p tok cur w",
        m="n cnt num k seen total rows used bad_rows",
        st="row_view args record words",
    )
    n |= caps(rng, [4, 6, 8, 10, 16], [20, 24, 32, 64], "MAX_COLS MAX_ARGS NWORDS MAX_ROWS NTOK")
    sepc = rng.choice((",", ";", " ", "|", ":"))
    n["sep"] = sepc
    tail_null = rng.random() < 0.35
    lim = "$C - 1" if tail_null else "$C"
    kk, end = rng.choice((("$k", "return $k;"), ("r->$k", "return 0;")))
    tab = "r->$tab" if kk == "r->$k" else "$tab"
    form = rng.choice(("strtok", "strtok", "strchr", "chars"))
    why_g = f"no piece is stored once {kk} reaches the {n['Cn']} places"
    inner_stop = rng.choice(("break;", "return -1;"))
    limw = "$D - 1" if tail_null else "$D"
    style = rng.choice(("cond", "inner", "inner2"))
    stylew = style if rng.random() < 0.85 else rng.choice(("cond", "inner", "inner2"))

    def limit(how: str, x: str, bound: str) -> dict[str, str]:
        if how == "cond":
            return {"cond": f" && {x} < {bound}"}
        test = reach(rng, x, bound) if how == "inner" else f"{x} == {bound}"
        return {"cond": "", "pre": f"if ({test}){STRONG}\n    {inner_stop}"}

    g = limit(style, kk, lim)
    kind = rng.choice(("other", "other", "wide", "wide", "off", "off", "late", "skip"))
    if kind == "other":
        why_b = f"$m is limited, but {kk} is the index"
        b = limit(stylew, "$m", lim)
    elif kind == "wide":
        why_b = f"{kk} may reach $D, the table has $C places"
        b = limit(stylew, kk, limw)
    elif kind == "off":
        why_b = f"{kk} may be $C when the table is written"
        b = limit(stylew, kk, "$C" if tail_null else "$C + 1")
    elif kind == "late":
        why_b = f"{kk} is looked at only when all pieces are stored"
        b = {"cond": "", "post": f"if ({over(rng, kk, lim)}){STRONG}\n    return -1;"}
    else:
        why_b = "a full table is counted in $m, but the piece is stored all the same"
        b = {"cond": "", "pre": f"if ({reach(rng, kk, lim)}){STRONG}\n    $m++;"}
    store = f"{tab}[{kk}++] = $p;"
    if form == "strtok":
        loop = (
            f'    char *$p = strtok($line, "{sepc}");\n    while ($p != '
            f"NULL$cond) {{\n        @pre\n        {store}\n        %\n"
            f'        $p = strtok(NULL, "{sepc}");\n    }}'
        )
    elif form == "strchr":
        loop = (
            f"    char *$p = $line, *end;\n    while (*$p$cond) {{\n"
            f"        end = strchr($p, '{sepc}');\n        @pre\n        {store}\n"
            "        if (end == NULL)\n            break;\n        *end = '\\0';\n        $p = end + 1;\n    }"
        )
    else:
        loop = (
            f"    char *$p = $line;\n    for (char *q = $line; *q$cond; q++) {{\n"
            f"        if (*q != '{sepc}')\n            continue;\n"
            f"        *q = '\\0';\n        @pre\n        {store}\n        $p = q + 1;\n    }}"
        )
    last = f"\n    {tab}[{kk}] = NULL;" if tail_null else ""
    intro = "    $m++;"
    if kk == "r->$k":
        fields = ["char *$tab[$C];", "size_t $k;"]
        rng.shuffle(fields)
        rows = "\n".join("    " + f for f in fields)
        text = (
            f"struct $st {{\n{rows}\n}};\n\nstatic size_t $m;\n\n"
            f"int $fn(struct $st *r, char *$line)\n{{\n    r->$k = 0;\n"
        )
    else:
        size = "$C"
        text = f"static size_t $m;\n\nstatic char *$tab[{size}];\n\nint $fn(char *$line)\n{{\n    int $k = 0;\n"
    text += f"{intro}\n    if ($m > $D)\n        $m = 0;\n{loop}{last}\n    @post\n    {end}\n}}\n"
    return press(rng, text, b | {"why": why_b}, g | {"why": why_g}, n)


def run_unpack(rng: random.Random) -> Sample:
    """Wrong: an unpacked run is limited by the input, its first byte or another buffer; right: by the room left."""
    n = pool(
        rng,
        fn="unpack_rows inflate_line expand decode_runs undo_pack blow_up read_strip",
        src="in src packed z comp",
        n_in="room limit avail size bytes_n",
        out="out dst plain row line_buf",
        cap="room limit avail size bytes_n",
        i="i k w at pos seen_n",
        o="i k w at pos seen_n",
        run="run count times rep",
        val="val v byte c",
        tot="i k w at pos seen_n",
    )
    fixed = rng.random() < 0.4
    cap = "$cap"
    if fixed:
        n |= caps(rng, [64, 80, 128], [256, 512, 1024], "ROW_MAX LINE_LEN STRIP OUT_MAX PIXELS")
        cap = "$C"
    wide = "$D" if fixed else "$n_in"
    inner = rng.choice(("for", "memset", "while"))
    write = {
        "for": "for (size_t j = 0; j < $run; j++)\n    $out[$o++] = $val;",
        "memset": "memset($out + $o, $val, $run);\n$o += $run;",
        "while": "while ($run > 0) {\n    $out[$o++] = $val;\n    $run--;\n}",
    }[inner]
    stop = rng.choice(("return -1;", "return -1;", "break;"))
    st = f"\n    {stop}"
    a = rng.choice((f"$run > {cap} - $o", f"{cap} - $o < $run", f"$o + $run > {cap}"))
    whole = rng.choice((f"$o >= {cap}", f"$o == {cap}", f"{cap} <= $o"))
    right = [
        one(f"$run is compared with the {cap} - $o bytes that are left", pre=f"if ({a}){STRONG}{st}"),
        one(f"$run is compared with the {cap} - $o bytes that are left", pre=f"if ($run == 0 || {a}){STRONG}{st}"),
        one(f"$run is cut to what is left of {cap}", pre=f"if ({a})\n    $run = {cap} - $o;{STRONG}"),
        one("the full buffer and a run beyond it are both turned away", pre=f"if ({whole} || {a}){STRONG}{st}"),
    ]
    if " + " in a:
        b = rng.choice((f"$o + $run > {wide}", f"$tot + $run > {cap}", f"$tot + $run > {cap}", f"$o + 1 > {cap}"))
    else:
        b = rng.choice(
            (
                f"$run > {wide} - $o",
                "$run > $n_in - $i",
                f"$run > {cap} - $tot",
                f"$run > {cap} - $tot",
                f"{cap} - $tot < $run",
                f"{wide} - $o < $run",
            )
        )
    wrong = [
        one("the run is compared with something other than the room left in $out", pre=f"if ({b}){STRONG}{st}"),
        one(
            "the run is compared with something other than the room left in $out",
            pre=f"if ($run == 0 || {b}){STRONG}{st}",
        ),
        one("only the first byte of the run is sure to fit", pre=f"if ({whole}){STRONG}{st}"),
        one(
            "$run is cut to something other than the room left in $out",
            pre=f"if ({b})\n    $run = {cap} - $tot;{STRONG}",
        ),
        one(
            "$run is cut to something other than the room left in $out",
            pre=f"if ({b})\n    $run = {wide} - $o;{STRONG}",
        ),
        one(
            "the run is compared with something other than the room left in $out",
            pre=f"if ($run == 0 || {b}){STRONG}{st}",
        ),
        one(
            "the run is compared with something other than the room left in $out",
            pre=f"if ($run == 0 || {b}){STRONG}{st}",
        ),
        one("only the first byte of the run is sure to fit", pre=f"if ({whole} || {b}){STRONG}{st}"),
        one("the run is compared with something other than the room left in $out", pre=f"if ({b}){STRONG}{st}"),
        one("only the first byte of the run is sure to fit", pre=f"if ({whole} || {b}){STRONG}{st}"),
        one("the run is written before the room is looked at", post=f"if ($o > {cap}){STRONG}{st}"),
    ]
    bad, good = rng.choice(wrong), rng.choice(right)
    w = "\n".join("        " + row for row in write.split("\n"))
    fmt = rng.choice(("pair", "pair", "flag"))
    if fmt == "pair":
        head = "        size_t $run = $src[$i];\n        unsigned char $val = $src[$i + 1];\n        $i += 2;\n"
        cond = "$i + 1 < $n_in"
    else:
        head = (
            "        unsigned char $val = $src[$i++];\n        size_t $run = 1;\n        if ($val >= 0xc0) {\n"
            "            if ($i == $n_in)\n                break;\n"
            "            $run = $val & 0x3f;\n            $val = $src[$i++];\n        }\n"
        )
        cond = "$i < $n_in"
    loop = f"    while ({cond}) {{\n{head}        %\n        @pre\n{w}\n        @post\n        $tot++;\n    }}\n"
    tail = rng.choice(
        ("    return (int)$o;\n", "    while ($o < CAP)\n        $out[$o++] = 0;\n    return (int)$tot;\n")
    ).replace("CAP", cap)
    if fixed:
        where = rng.choice(("struct", "static"))
        if where == "struct":
            text = (
                "struct strip {\n    unsigned char px[$C];\n    unsigned char meta[$D];\n"
                "};\n\nint $fn(struct strip *s, const unsigned char *$src, size_t $n_in)\n{\n"
            )
            text += "    unsigned char *$out = s->px;\n"
        else:
            text = (
                "static unsigned char $out[$C];\n\nstatic unsigned char meta[$D];\n"
                "\nint $fn(const unsigned char *$src, size_t $n_in)\n{\n"
            )
            text += "    memset(meta, 0, sizeof(meta));\n"
    else:
        par = rng.choice(
            (
                "const unsigned char *$src, size_t $n_in, unsigned char *$out, size_t $cap",
                "unsigned char *$out, size_t $cap, const unsigned char *$src, size_t $n_in",
            )
        )
        text = f"int $fn({par})\n{{\n"
    text += f"    size_t $i = 0, $o = 0, $tot = 0;\n{loop}{tail}}}\n"
    return press(rng, text, bad, good, n)


FIELD_SETS = (
    ("serial model vendor note", "asset", "read_asset scan_props load_asset"),
    ("user host path query", "target", "read_target parse_opts load_target"),
    ("title author isbn shelf", "book", "read_book import_book parse_book"),
    ("ssid key country alias", "wifi", "apply_wifi read_wifi parse_wifi"),
    ("street city zip region", "address", "read_address set_address parse_addr"),
    ("make plate colour owner", "vehicle", "read_car import_car parse_car"),
    ("sender topic token reply", "envelope", "read_env open_env parse_env"),
)


def tagged_fields(rng: random.Random) -> Sample:
    """Wrong: one of several tagged values is limited by another field or too late; right: by the field it goes to."""
    words, st, fns = rng.choice(FIELD_SETS)
    names = words.split()
    rng.shuffle(names)
    cnt = rng.choice((2, 3, 3))
    names = names[:cnt]
    n = pool(
        rng, fn=fns, len="len n size cnt", p="p cur d in", end="end stop lim", tag="tag type id kind", o="o rec out r"
    )
    n["st"] = st
    sizes = rng.sample([8, 12, 16, 20, 24, 32, 40, 48, 64], cnt)
    order = sorted(range(cnt), key=lambda k: sizes[k])
    hit = order[0] if rng.random() < 0.6 else order[min(1, cnt - 2)]
    bigger = rng.choice([k for k in range(cnt) if sizes[k] > sizes[hit]])
    extra = rng.choice([q for q in (16, 24, 32, 48, 64, 80, 96) if q > sizes[hit]])
    names.append(next(word for word in words.split() if word not in names))
    sizes.append(extra)
    if rng.random() < 0.75:
        bigger = cnt
    macro = rng.random() < 0.35
    size_of = {k: f"{names[k].upper()}_LEN" if macro else f"sizeof($o->{names[k]})" for k in range(cnt + 1)}
    n["defs"] = "\n".join(f"#define {names[k].upper()}_LEN {sizes[k]}" for k in range(cnt + 1)) if macro else ""
    text_kind = rng.random() < 0.5
    stop = rng.choice(("return -1;", "return -1;", "break;"))
    st_stop = f"\n    {stop}"
    form = rng.choice(("test", "test", "clamp", "nest"))

    def case(k: int, lim: str, how: str = form, mark: str = "") -> str:
        test = reach(rng, "$len", lim) if text_kind else over(rng, "$len", lim)
        copy = f"memcpy($o->{names[k]}, $p, $len);"
        term = f"\n$o->{names[k]}[$len] = '\\0';" if text_kind else ""
        if how == "test":
            return f"if ({test}){mark}{st_stop}\n{copy}{term}"
        if how == "clamp":
            most = f"{lim} - 1" if text_kind else lim
            return f"if ({test})\n    $len = {most};{mark}\n{copy}{term}"
        if how == "nest":
            inside = f"if ($len {'<' if text_kind else '<='} {lim}){mark} {{\n    {copy}"
            return inside.replace(f"{mark} {{", f" {{{mark}") + term.replace("\n", "\n    ") + "\n}"
        if how == "late":
            return f"{copy}{mark}{term}\nif ({test}){st_stop}"
        return f"if ($len == 0){st_stop}\n{copy}{mark}{term}"

    rows: dict[int, str] = {k: case(k, size_of[k], rng.choice((form, form, "test"))) for k in range(cnt) if k != hit}
    state = rng.getstate()
    good_case = case(hit, size_of[hit], form, STRONG)
    why_g = f"$len is limited by {names[hit]}, the field it is copied to"
    roll = rng.random()
    rng.setstate(state)
    if roll < 0.5:
        bad_case, why_b = (
            case(hit, size_of[bigger], form, STRONG),
            f"{names[hit]} is limited by the larger {names[bigger]}",
        )
    elif roll < 0.62:
        bad_case, why_b = (
            case(hit, "sizeof(*$o)", form, STRONG),
            f"the size of all of $o is more than that of {names[hit]}",
        )
    elif roll < 0.74 and text_kind:
        bad_case = case(hit, size_of[hit], form, STRONG)
        bad_case = bad_case.replace(f"$len >= {size_of[hit]}", f"$len > {size_of[hit]}").replace(
            f"{size_of[hit]} <= $len", f"{size_of[hit]} < $len"
        )
        bad_case = bad_case.replace(f"$len < {size_of[hit]}", f"$len <= {size_of[hit]}").replace(
            f"$len = {size_of[hit]} - 1", f"$len = {size_of[hit]}"
        )
        why_b = f"a $len equal to the size of {names[hit]} puts its NUL one past the end"
    elif roll < 0.88:
        bad_case, why_b = (
            case(hit, size_of[hit], "late", STRONG),
            f"$len is compared with {names[hit]} only after the copy",
        )
    else:
        bad_case, why_b = case(hit, size_of[hit], "zero", STRONG), f"$len is not limited by the size of {names[hit]}"
    ids = rng.sample(range(1, 20), cnt)
    quote = rng.random() < 0.3
    tags = [f"'{'abcdefghijklmnopqrstu'[ids[k]]}'" if quote else str(ids[k]) for k in range(cnt)]
    switch = rng.random() < 0.6
    lines = []
    for pos, k in enumerate(range(cnt)):
        body = "@hit" if k == hit else rows[k]
        if switch:
            lines += (
                [f"        case {tags[k]}:"]
                + [f"            {row}" for row in body.split("\n")]
                + ["            break;"]
            )
        else:
            word = "if" if pos == 0 else "} else if"
            lines += [f"        {word} ($tag == {tags[k]}) {{"] + [f"            {row}" for row in body.split("\n")]
    if switch:
        inner = "        switch ($tag) {\n" + "\n".join(lines) + "\n        default:\n            break;\n        }\n"
    else:
        inner = "\n".join(lines) + "\n        }\n"
    fields = [f"char {names[k]}[{size_of[k] if macro else sizes[k]}];" for k in range(cnt + 1)]
    rng.shuffle(fields)
    decl = "\n".join("    " + f for f in fields)
    read = (
        rng.choice(("        size_t $len = $p[1];\n", "        size_t $len = $p[1];\n"))
        if rng.random() < 0.7
        else "        size_t $len = $p[1] | $p[2] << 8;\n"
    )
    skip = 3 if "$p[2]" in read else 2
    text = f"struct $st {{\n{decl}\n}};\n\nint $fn(struct $st *$o, const unsigned char *$p, size_t total)\n{{\n"
    text += (
        f"    const unsigned char *$end = $p + total;\n    while ($end - $p > {skip}) {{\n"
        f"        unsigned $tag = $p[0];\n{read}        %\n"
    )
    text += (
        f"        $p += {skip};\n        if ((size_t)($end - $p) < $len)\n            return -1;\n"
        f"        size_t step = $len;\n{inner}        $p += step;\n    }}\n    return 0;\n}}\n"
    )
    return press(rng, text, one(why_b, hit=bad_case), one(why_g, hit=good_case), n, 0.1)


def rect_fill(rng: random.Random) -> Sample:
    """Wrong: a rectangle is clipped on one side, one axis or to the wrong extent; right: it lies within the canvas."""
    n = pool(
        rng,
        fn="fill_rect draw_box stamp paint_block clear_area place_patch",
        x="x left col cx",
        y="y top row cy",
        w="w wid cols nx",
        h="h hei rows_n ny",
        fb="canvas pixels screen cells field",
        v="ink colour fill tone",
        W="COLS WIDTH NX XMAX",
        H="LINES HEIGHT NY YMAX",
        i="i dx a",
        j="j dy b",
    )
    wv, hv = rng.sample([40, 64, 80, 96, 120, 160], 2)
    signed = rng.random() < 0.65
    dyn = rng.random() < 0.35
    ty = "int" if signed else "unsigned"
    cols, lines = ("c->cols", "c->lines") if dyn else ("$W", "$H")
    n["defs"] = "" if dyn else rng.choice((f"#define $W {wv}\n#define $H {hv}", f"enum {{ $H = {hv}, $W = {wv} }};"))
    n["ty"] = ty
    stop = rng.choice(("return -1;", "return -1;", "return 1;"))
    st = f"\n    {stop}"
    low = ["$x < 0", "$y < 0"]
    edge = [reach(rng, "$x", cols), reach(rng, "$y", lines)]
    fit = [
        rng.choice((f"$w > {cols} - $x", f"{cols} - $x < $w")),
        rng.choice((f"$h > {lines} - $y", f"{lines} - $y < $h")),
    ]
    neg = ["$w < 0", "$h < 0"]
    full = [*low, *edge, *neg, *fit] if signed else [*edge, *fit]

    def test(parts: list[str], axis: bool) -> str:
        xs = [p for p in parts if "$x" in p or "$w" in p]
        ys = [p for p in parts if p not in xs]
        if axis:
            return (
                f"if ({' || '.join(xs)}){st}\nif ({' || '.join(ys)}){st}"
                if xs and ys
                else f"if ({' || '.join(xs + ys)}){st}"
            )
        return f"if ({' || '.join(parts)}){st}"

    axis = rng.random() < 0.6
    clip = rng.random() < 0.35
    wx, wy = f"{cols} - $x", f"{lines} - $y"
    edges = low + edge if signed else edge
    if clip:

        def body(cx: str, cy: str, parts: list[str]) -> str:
            return test(parts, axis) + f"\nif ($w > {cx})\n    $w = {cx};\nif ($h > {cy})\n    $h = {cy};"

        good = one("the corner lies in the canvas and $w and $h are cut to what is left", pre=body(wx, wy, edges))
        wrong = [
            one("$w is cut to the whole width, not to what is left right of $x", pre=body(f"{cols} - $y", wy, edges)),
            one("$h is cut to the whole height, not to what is left below $y", pre=body(wx, f"{lines} - $x", edges)),
            one("what is left below $y counts for the wrong axis", pre=body(wy, wx, edges)),
        ]
        if signed:
            wrong.append(
                one("a negative $x starts before the canvas", pre=body(wx, wy, [p for p in edges if p != "$x < 0"]))
            )
            wrong.append(
                one("a negative $y starts before the canvas", pre=body(wx, wy, [p for p in edges if p != "$y < 0"]))
            )
        bad = rng.choice(wrong)
    else:
        good = one("the whole rectangle is kept within the canvas", pre=test(full, axis))
        swap = [p.replace(fit[0], rng.choice((f"$w > {cols} - $y", f"{cols} - $y < $w"))) for p in full]
        swap2 = [p.replace(fit[1], rng.choice((f"$h > {lines} - $x", f"{lines} - $x < $h"))) for p in full]
        wrong = [
            one("$w is not compared with what is left right of $x", pre=test(swap, axis)),
            one("$h is not compared with what is left below $y", pre=test(swap2, axis)),
            one("$y is not looked at with $h", pre=test([p.replace(fit[1], f"$w > {lines} - $y") for p in full], axis)),
            one(
                "$h is compared with the columns that are left",
                pre=test(
                    [p.replace(fit[0], f"$x > {cols} - $w").replace(fit[1], f"$h > {cols} - $x") for p in full], axis
                ),
            ),
            one(
                "$h is compared with the columns that are left",
                pre=test([p if p != fit[1] else f"$h > {cols} - $x" for p in full], axis),
            ),
            one(
                "one row and column too many may pass",
                pre=test(
                    [p if p not in fit else p.replace("- $x", "- $x + 1").replace("- $y", "- $y + 1") for p in full],
                    axis,
                ),
            ),
        ]
        if signed:
            wrong.append(
                one(
                    "a negative $x starts before the canvas",
                    pre=test([p for p in full if p != "$x < 0"] + ["$v < 0"], axis),
                )
            )
            wrong.append(
                one(
                    "a negative $y starts before the canvas",
                    pre=test([p for p in full if p != "$y < 0"] + ["$v < 0"], axis),
                )
            )
        bad = rng.choice(wrong)
    array2 = rng.random() < 0.5 and not dyn
    if dyn:
        cell = "c->$fb[($y + $j) * c->cols + $x + $i]"
    else:
        cell = "$fb[$y + $j][$x + $i]" if array2 else "$fb[($y + $j) * $W + $x + $i]"
    decl = (
        "struct canvas {\n    unsigned char *$fb;\n    $ty cols, lines;\n};\n\n"
        if dyn
        else ("static unsigned char $fb[$H][$W];\n\n" if array2 else "static unsigned char $fb[$H * $W];\n\n")
    )
    first = "struct canvas *c, " if dyn else ""
    loop = (
        f"    for ($ty $j = 0; $j < $h; $j++) {{\n        for ($ty "
        f"$i = 0; $i < $w; $i++)\n            {cell} = $v;\n    }}\n"
    )
    if rng.random() < 0.3:
        start = cell.replace(" + $i", "")
        loop = f"    for ($ty $j = 0; $j < $h; $j++)\n        memset(&{start}, $v, $w > 0 ? $w : 0);\n"
    src = rng.random() < 0.3 and not dyn
    par = "$ty $x, $ty $y, $ty $w, $ty $h, int $v"
    intro = ""
    if src:
        conv = "(unsigned)" if not signed else ""
        par = "const short *args, int $v"
        ks = ["$x", "$y", "$w", "$h"]
        intro = "".join(f"    $ty {k} = {conv}args[{q}];\n" for q, k in enumerate(ks))
    text = f"{decl}int $fn({first}{par})\n{{\n{intro}    %\n    @pre\n    %\n{loop}    return 0;\n}}\n"
    return press(rng, text, bad, good, n)


def bit_flags(rng: random.Random) -> Sample:
    """Wrong: a bit number is limited in bytes, words or another map's size; right: in bits of the map it is set in."""
    n = pool(
        rng,
        fn="mark_used set_flag take_id reserve_port note_seen block_page",
        map="used_map seen_bits busy taken mask_words",
        alt="locks hidden dirty pinned",
        bit="bit id n no page",
        oth="group owner lane shard",
        N="MAX_ID NBITS SLOTS TOP_ID",
        M="NLOCKS OTHER_BITS NGROUPS LIMIT_B",
        word="word cell idx slot_at",
    )
    unit = rng.choice((8, 8, 32, 64))
    ctype = {8: rng.choice(("unsigned char", "uint8_t")), 32: "uint32_t", 64: "uint64_t"}[unit]
    nbits = rng.choice((64, 128, 256, 512)) if unit < 64 else rng.choice((128, 256, 512))
    mbits = nbits * rng.choice((2, 4))
    n |= {"U": str(unit), "S": {8: "3", 32: "5", 64: "6"}[unit], "K": str(unit - 1), "ct": ctype}
    n["defs"] = (
        f"#define $N {nbits}\n#define $M {mbits}" if rng.random() < 0.8 else f"enum {{ $N = {nbits}, $M = {mbits} }};"
    )
    words = rng.choice(("$N / $U", f"{nbits // unit}"))
    div = rng.choice(("$bit / $U", "$bit >> $S"))
    mod = rng.choice(("$bit % $U", "$bit & $K"))
    oneb = {8: "1u", 32: "1u", 64: "1ull"}[unit]
    signed = rng.random() < 0.25
    ty = "int" if signed else rng.choice(("unsigned", "size_t", "uint32_t"))
    stop = "\n    return -1;"
    lows = "$bit < 0 || " if signed else ""
    cast = "(int)" if signed else ""
    use_word = rng.random() < 0.4
    ix = "$word" if use_word else (f"{div}")
    pre_word = f"{'unsigned' if not signed else 'int'} $word = {div};\n" if use_word else ""
    grp = f"({div})" if not use_word else "$word"
    right = [
        one("$bit is below the $N bits of $map", pre=f"{pre_word}if ({lows}{reach(rng, '$bit', '$N')}){STRONG}{stop}"),
        one(
            "the index is below the number of cells of $map", pre=f"{pre_word}if ({lows}{grp} >= {words}){STRONG}{stop}"
        ),
        one(
            "the index is below the number of cells of $map",
            pre=f"{pre_word}if ({lows}{grp} >= {cast}(sizeof($map) / sizeof($map[0]))){STRONG}{stop}",
        ),
        one(
            "the size of $map in bytes times 8 is its number of bits",
            pre=f"{pre_word}if ({lows}$bit >= {cast}(sizeof($map) * 8)){STRONG}{stop}",
        ),
    ]
    wrong = [
        one(
            "$M counts the bits of another map, $map has fewer",
            pre=f"{pre_word}if ({lows}{reach(rng, '$bit', '$M')}){STRONG}{stop}",
        ),
        one("$N counts bits, but the index counts cells", pre=f"{pre_word}if ({lows}{grp} >= $N){STRONG}{stop}"),
        one("one index past the last cell may pass", pre=f"{pre_word}if ({lows}{grp} > {words}){STRONG}{stop}"),
        one(
            "$bit may be $N, the first bit past $map",
            pre=f"{pre_word}if ({lows}{over(rng, '$bit', '$N')}){STRONG}{stop}",
        ),
        one("$oth is limited, $bit is not", pre=f"{pre_word}if ({lows}{reach(rng, '$oth', '$N')}){STRONG}{stop}"),
        one(
            "$alt has more cells than $map",
            pre=f"{pre_word}if ({lows}{grp} >= {cast}(sizeof($alt) / sizeof($alt[0]))){STRONG}{stop}",
        ),
        one("$alt has more bits than $map", pre=f"{pre_word}if ({lows}$bit >= {cast}(sizeof($alt) * 8)){STRONG}{stop}"),
    ]
    if unit > 8:
        wrong.append(
            one(
                "sizeof gives bytes, but the index counts wider cells",
                pre=f"{pre_word}if ({lows}{grp} >= {cast}sizeof($map)){STRONG}{stop}",
            )
        )
        wrong.append(
            one(
                "the bytes of $map are multiplied by the bits of a cell",
                pre=f"{pre_word}if ({lows}$bit >= {cast}(sizeof($map) * $U)){STRONG}{stop}",
            )
        )
    else:
        right.append(
            one("each byte of $map is a cell", pre=f"{pre_word}if ({lows}{grp} >= {cast}sizeof($map)){STRONG}{stop}")
        )
        wrong.append(
            one(
                "each byte of $alt is a cell, $map has fewer",
                pre=f"{pre_word}if ({lows}{grp} >= {cast}sizeof($alt)){STRONG}{stop}",
            )
        )
    bad, good = rng.choice(wrong), rng.choice(right)
    act = rng.choice(
        (
            f"$map[{ix}] |= {oneb} << ({mod});",
            f"$map[{ix}] ^= ($ct)({oneb} << ({mod}));",
            f"$map[{ix}] &= ~({oneb} << ({mod}));",
        )
    )
    was = rng.choice(("", "    last_bit = (int)$bit;\n"))
    top = "static int last_bit;\n\n" if was else ""
    second = (
        f"    if ($oth < $M{' && $oth >= 0' if signed else ''})\n        $alt[$oth / $U] |= {oneb} << ($oth % $U);\n"
    )
    after = rng.random() < 0.5
    maps = ["static $ct $map[$N / $U];", "static $ct $alt[$M / $U];"]
    rng.shuffle(maps)
    src = rng.choice(("arg", "arg", "text", "wire"))
    par, intro = {
        "arg": (f"{ty} $bit, {ty} $oth", ""),
        "text": (
            "const char *s, const char *t",
            f"    {ty} $bit = {'atoi(s)' if signed else 'strtoul(s, NULL, 0)'};\n"
            f"    {ty} $oth = {'atoi(t)' if signed else 'strtoul(t, NULL, 0)'};\n",
        ),
        "wire": ("const unsigned char *p", f"    {ty} $bit = p[0] << 8 | p[1];\n    {ty} $oth = p[2];\n"),
    }[src]
    get = (
        f"int is_set({ty} b)\n{{\n    return {'b >= 0 && ' if signed else ''}b "
        f"< $N && ($map[b / $U] >> (b % $U) & 1);\n}}\n\n"
    )
    text = (
        f"{top}{maps[0]}\n\n{maps[1]}\n\n{get if rng.random() < 0.4 else ''}int $fn({par})\n{{\n"
        f"{intro}{'' if after else second}    %\n    @pre\n    {act}\n{was}{second if after else ''}    return 0;\n}}\n"
    )
    return press(rng, text, bad, good, n)


def bucket_count(rng: random.Random) -> Sample:
    """Wrong: a value is sorted into a bucket beyond the last one; right: it is cut or turned away."""
    n = pool(
        rng,
        fn="note_latency add_score count_age record_size tally_temp put_grade",
        v="ms points years size reading value",
        b="b slot bin k which",
        h="bins hist counts tally freq",
        o="depth jobs errors queue_len",
        NB="NBINS BUCKETS GRADES NCOUNT",
        NO="NLEVELS STEPS CLASSES",
        t="total seen_n samples",
    )
    step = rng.choice((5, 10, 16, 20, 25, 50, 100))
    nb = rng.choice((8, 10, 12, 16, 20))
    no = nb * rng.choice((2, 3))
    n |= {"step": str(step), "nb": str(nb), "top": str(step * nb), "topm": str(step * nb - 1), "far": str(step * no)}
    n["defs"] = f"#define $NB {nb}\n#define $NO {no}"
    use = rng.choice(("$NB", "$NB", f"{nb}"))
    signed = rng.random() < 0.4
    ty = "int" if signed else rng.choice(("unsigned", "uint32_t", "unsigned long"))
    calc = f"{ty} $b = $v / $step;"
    lowr = f"if ($v < 0)\n    {'return;' if rng.random() < 0.5 else '$v = 0;'}\n" if signed else ""
    t = lambda x, y: reach(rng, x, y)  # noqa: E731
    d = rng.random()
    top, topm, far = (
        (n["top"], n["topm"], n["far"]) if d < 0.5 else (f"{use} * $step", f"{use} * $step - 1", "$NO * $step")
    )
    right = [
        one(
            "a $b beyond the last bucket is cut to the last",
            pre=f"{lowr}{calc}\nif ({t('$b', use)})\n    $b = {use} - 1;{STRONG}",
        ),
        one(
            "a $b beyond the last bucket is turned away", pre=f"{lowr}{calc}\nif ({t('$b', use)}){STRONG}\n    return;"
        ),
        one(
            "$v is kept below the end of the last bucket", pre=f"{lowr}if ({t('$v', top)}){STRONG}\n    return;\n{calc}"
        ),
        one(
            "$v is cut to the last value of the last bucket",
            pre=f"{lowr}if ({t('$v', top)})\n    $v = {topm};{STRONG}\n{calc}",
        ),
        one("$b is cut to the last bucket", pre=f"{lowr}{calc}\n$b = $b < {use} ? $b : {use} - 1;{STRONG}"),
        one(
            "a $b beyond the last bucket is cut to the last",
            pre=f"{lowr}{calc}\nif ({over(rng, '$b', use + ' - 1')})\n    $b = {use} - 1;{STRONG}",
        ),
    ]
    wrong = [
        one(
            f"$b is cut to {use}, one past the last bucket",
            pre=f"{lowr}{calc}\nif ({t('$b', use)})\n    $b = {use};{STRONG}",
        ),
        one(
            f"$b may be {use}, one past the last bucket",
            pre=f"{lowr}{calc}\nif ({over(rng, '$b', use)})\n    $b = {use} - 1;{STRONG}",
        ),
        one(
            f"$b may be {use}, one past the last bucket",
            pre=f"{lowr}{calc}\nif ({over(rng, '$b', use)}){STRONG}\n    return;",
        ),
        one(
            f"$v may be {top}, which belongs to no bucket",
            pre=f"{lowr}if ({over(rng, '$v', top)}){STRONG}\n    return;\n{calc}",
        ),
        one(
            f"$v is cut to {top}, which belongs to no bucket",
            pre=f"{lowr}if ({t('$v', top)})\n    $v = {top};{STRONG}\n{calc}",
        ),
        one(
            "$b has as many values as $NO, more than the buckets",
            pre=f"{lowr}{calc}\nif ({t('$b', '$NO')}){STRONG}\n    return;",
        ),
        one(
            f"$v may be nearly {far}, beyond the last bucket",
            pre=f"{lowr}if ({t('$v', far)}){STRONG}\n    return;\n{calc}",
        ),
        one("$v is cut after $b is made from it", pre=f"{lowr}{calc}{STRONG}\nif ({t('$v', top)})\n    $v = {topm};"),
        one("$t is cut, $b is used", pre=f"{lowr}{calc}\nif ({t('$t', use)})\n    $t = {use} - 1;{STRONG}"),
        one(f"the cut of $b allows {use}", pre=f"{lowr}{calc}\n$b = $b <= {use} ? $b : {use} - 1;{STRONG}"),
    ]
    if signed:
        wrong.append(
            one(
                "a negative $v gives an index before the first bucket",
                pre=f"{calc}\nif ({t('$b', use)})\n    $b = {use} - 1;{STRONG}",
            )
        )
        wrong.append(
            one(
                "a negative $v gives an index before the first bucket",
                pre=f"if ($v == 0)\n    return;\n{calc}\nif ({t('$b', use)}){STRONG}\n    return;",
            )
        )
    bad, good = rng.choice(wrong), rng.choice(right)
    where = rng.choice(("global", "struct"))
    h = "$h" if where == "global" else "s->$h"
    o = "$o" if where == "global" else "s->$o"
    if where == "global":
        rows = ["static unsigned $h[$NB];", "static unsigned $o[$NO];"]
        rng.shuffle(rows)
        decl, first = f"{rows[0]}\n\n{rows[1]}\n\n", ""
    else:
        rows = ["unsigned $h[$NB];", "unsigned $o[$NO];"]
        rng.shuffle(rows)
        decl, first = f"struct stats {{\n    {rows[0]}\n    {rows[1]}\n}};\n\n", "struct stats *s, "
    inc = rng.choice((f"{h}[$b]++;", f"{h}[$b] += 1;", f"++{h}[$b];"))
    second = f"    {o}[$t % $NO]++;\n"
    after = rng.random() < 0.5
    show = rng.choice(
        (
            "",
            f"void dump({first[:-2] or 'void'})\n{{\n    for (int i = 0; i < $NB; i++)\n"
            f'        printf("%d: %u\\n", i * $step, {h}[i]);\n}}\n\n',
            f"void reset({first[:-2] or 'void'})\n{{\n    memset({h}, "
            f"0, sizeof({h}));\n    memset({o}, 0, sizeof({o}));\n}}\n\n",
        )
    )
    main = (
        f"void $fn({first}{ty} $v, unsigned $t)\n{{\n{'' if after else second}    %\n"
        f"    @pre\n    {inc}\n{second if after else ''}}}\n\n"
    )
    parts = [show, main]
    rng.shuffle(parts)
    return press(rng, decl + "".join(parts), bad, good, n)


def told_capacity(rng: random.Random) -> Sample:
    """Wrong: a helper that keeps to the room it is told is told the wrong room; right: that of the buffer it fills."""
    n = pool(
        rng,
        hp="fill_text copy_upto read_into put_words take_n gather",
        fn="show_banner load_pair prepare on_open build_head make_rows",
        a="left name head first_part",
        b="right title tail second_part",
        src="text s value input",
        src2="more t other extra",
        room="room cap max lim space",
    )
    n |= caps(rng, [16, 20, 24, 32], [64, 80, 100, 128], "A_LEN B_LEN NAME_LEN TITLE_LEN ROOM_A ROOM_B")
    elem = rng.choice(("char", "char", "int", "wchar_t", "short"))
    n["T"] = elem
    is_text = elem == "char"
    style = rng.choice(("struct", "local"))
    fst, snd = ("pr->$a", "pr->$b") if style == "struct" else ("$a", "$b")
    small_first = rng.random() < 0.6
    ca, cb = ("$C", "$D") if small_first else ("$D", "$C")
    ra = [ca, f"sizeof({fst}) / sizeof({fst}[0])"] if not is_text else [ca, f"sizeof({fst})"]
    rb = [cb, f"sizeof({snd}) / sizeof({snd}[0])"] if not is_text else [cb, f"sizeof({snd})"]
    ka, kb = rng.randrange(2), rng.randrange(2)
    right_a, right_b = ra[ka], rb[kb]
    small = ("a", fst, right_a, rb[ka], ca) if small_first else ("b", snd, right_b, ra[kb], cb)
    which, buf, ok_room, wide_room, cap = small
    wrong = [
        (wide_room, "the room of the other, larger buffer is given"),
        (wide_room, "the room of the other, larger buffer is given"),
        (wide_room, "the room of the other, larger buffer is given"),
    ]
    if rng.random() < 0.3:
        wrong.append((f"{cap} + 1", "one more than the room is given"))
    if is_text:
        wrong += wrong[:1]
        wrong.append(
            ("strlen($src%s) + 1" % ("" if which == "a" else "2"), "the length of the text is given as the room")
        )
        if style == "struct":
            wrong.append(("sizeof(*pr)", "the size of the whole struct is given"))
    else:
        wrong += [(f"sizeof({buf})", "bytes are given where elements are counted")] * 3
    worse, why = rng.choice(wrong)
    good_rooms = [ok_room, ok_room] + ([f"{cap} - 1"] if rng.random() < 0.3 else [])
    if not is_text and rng.random() < 0.3:
        good_rooms.append(f"sizeof({buf}) / sizeof($T)")
    best = rng.choice(good_rooms)
    if is_text:
        helper = rng.choice(
            (
                "static void $hp(char *out, size_t $room, const char *$src)\n"
                "{\n    size_t i = 0;\n    while (i + 1 < $room && $src[i]) {\n"
                "        out[i] = $src[i];\n        i++;\n    }\n    out[i] = '\\0';\n}\n\n",
                "static void $hp(char *out, size_t $room, const char *$src)\n{\n"
                "    strncpy(out, $src, $room - 1);\n    out[$room - 1] = '\\0';\n}\n\n",
                "static void $hp(char *out, size_t $room, const char *$src)\n"
                '{\n    snprintf(out, $room, "%s", $src);\n}\n\n',
                "static void $hp(char *out, size_t $room, const char *$src)\n"
                "{\n    size_t len = strlen($src);\n    if (len >= $room)\n"
                "        len = $room - 1;\n    memcpy(out, $src, len);\n    out[len] = '\\0';\n}\n\n",
            )
        )
        sig = rng.choice(("const char *$src, const char *$src2", "const char *$src2, const char *$src"))
        c1, c2 = "$hp({A}, {ra}, $src);", "$hp({B}, {rb}, $src2);"
    else:
        helper = rng.choice(
            (
                "static size_t $hp($T *out, size_t $room, const $T *$src, size_t n)\n"
                "{\n    size_t i;\n    for (i = 0; i < n && i < $room; i++)\n"
                "        out[i] = $src[i];\n    return i;\n}\n\n",
                "static size_t $hp($T *out, size_t $room, const $T *$src, size_t n)\n"
                "{\n    if (n > $room)\n        n = $room;\n"
                "    memcpy(out, $src, n * sizeof(*out));\n    return n;\n}\n\n",
                "static size_t $hp($T *out, size_t $room, const $T *$src, size_t n)\n"
                "{\n    size_t left = n < $room ? n : $room;\n"
                "    for (size_t i = left; i > 0; i--)\n        out[i - 1] = $src[i - 1];\n    return left;\n}\n\n",
            )
        )
        sig = "const $T *$src, size_t n1, const $T *$src2, size_t n2"
        c1, c2 = "$hp({A}, {ra}, $src, n1);", "$hp({B}, {rb}, $src2, n2);"
    c1, c2 = c1.replace("{A}", fst), c2.replace("{B}", snd)
    if which == "a":
        calls = [c1.replace("{ra}", "$given") + STRONG, c2.replace("{rb}", right_b)]
    else:
        calls = [c1.replace("{ra}", right_a), c2.replace("{rb}", "$given") + STRONG]
    rng.shuffle(calls)
    rows = [f"$T $a[{ca}];", f"$T $b[{cb}];"]
    rng.shuffle(rows)
    use = "    puts($a);\n    puts($b);\n" if is_text else '    printf("%d %d\\n", (int)$a[0], (int)$b[0]);\n'
    if style == "struct":
        text = (
            f"struct pair {{\n    {rows[0]}\n    {rows[1]}\n    int set;\n}};\n\n{helper}void $fn(struct "
            f"pair *pr, {sig})\n{{\n    %\n    {calls[0]}\n    %\n    {calls[1]}\n    pr->set = 1;\n}}\n"
        )
    else:
        text = (
            f"{helper}void $fn({sig})\n{{\n    {rows[0]}\n    {rows[1]}\n"
            f"    %\n    {calls[0]}\n    {calls[1]}\n    %\n{use}}}\n"
        )
    bad = one(f"{why}, but {buf} holds {cap} elements", given=worse)
    good = one(f"{buf} is filled with its own room of {cap}", given=best)
    return press(rng, text, bad, good, n)


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-787", name="flow_length", language="c", held_out=True, make=flow_length),
    Family(cwe="CWE-787", name="flow_index", language="c", held_out=True, make=flow_index),
    Family(cwe="CWE-787", name="text_calls", language="c", held_out=True, make=text_calls),
    Family(cwe="CWE-787", name="path_room", language="c", held_out=True, make=path_room),
    Family(cwe="CWE-787", name="growing_list", language="c", held_out=True, make=growing_list),
    Family(cwe="CWE-787", name="split_fields", language="c", held_out=True, make=split_fields),
    Family(cwe="CWE-787", name="run_unpack", language="c", held_out=True, make=run_unpack),
    Family(cwe="CWE-787", name="tagged_fields", language="c", held_out=True, make=tagged_fields),
    Family(cwe="CWE-787", name="rect_fill", language="c", held_out=True, make=rect_fill),
    Family(cwe="CWE-787", name="bit_flags", language="c", held_out=True, make=bit_flags),
    Family(cwe="CWE-787", name="bucket_count", language="c", held_out=True, make=bucket_count),
    Family(cwe="CWE-787", name="told_capacity", language="c", held_out=True, make=told_capacity),
)
