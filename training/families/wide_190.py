"""CWE-190, wider: pair families of whole C programs that share little but the weakness.

The engine (`press`) and its small helpers are those of wide_787.
"""

# ruff: noqa: PLR0915 - a family is one long table of ways

from __future__ import annotations

import random

from training.families.contract import Family, Sample
from training.families.wide_787 import STRONG, WEAK, one, over, pool, press, reach


def flow_count(rng: random.Random) -> Sample:
    """Wrong: a count reaches a 32-bit product past a guard on another value or step; right: the guard covers it."""
    n = pool(
        rng,
        fn="load_points read_table open_set restore_marks take_batch import_rows make_index",
        v="count n num total rows amount want",
        w="count n num total rows amount want kind extra",
        buf="tab mem out list block store",
        src="hdr req msg in p arg",
        size="bytes need sz space",
        T="point entry row sample mark pair",
        id="field_at number_in pass_on as_count",
        ctx="ctx set env own st",
        lim="MAX_ROWS COUNT_LIMIT MANY TOP_COUNT",
    )
    unit = rng.choice((8, 12, 16, 20, 24, 32, 40, 64))
    limit = rng.choice((1 << 16, 100000, 4096, 1 << 20, 50000))
    n["K"] = rng.choice((str(unit), "(uint32_t)sizeof(struct $T)"))
    n["L"] = rng.choice(("$lim", "$lim", str(limit)))
    kind = rng.choice(("be", "req", "text"))
    a, b, par, decl = {
        "be": ("$id($src)", "$id($src + 4)", "const uint8_t *$src", ""),
        "req": (
            "$src->first",
            "$src->second",
            "const struct req *$src",
            "struct req {\n    uint32_t first;\n    uint32_t second;\n};\n\n",
        ),
        "text": ("(uint32_t)strtoul($src[1], NULL, 0)", "(uint32_t)strtoul($src[2], NULL, 0)", "char **$src", ""),
    }[kind]
    if kind == "be":
        decl = (
            "static uint32_t $id(const uint8_t *q)\n{\n    return (uint32_t)q[0] << 24 | (uint32_t)q[1] << 16 | "
            "(uint32_t)q[2] << 8 | q[3];\n}\n\n"
        )
    x, steps, marks = "$v", [], ["$v"]
    changed = 0
    for k in range(rng.randrange(0, 4)):
        step = rng.choice(("copy", "field", "pick", "copy"))
        new = f"{n['v']}{k + 2}"
        if step == "field":
            if any("->items" in s for s in steps):
                continue
            steps.append(f"$ctx->items = {x};")
            x = "$ctx->items"
        elif step == "pick":
            steps.append(f"uint32_t {new} = {x};\nif ($ctx->mode & 1)\n    {new} = $w;")
            x, changed = new, len(marks)
        else:
            steps.append(f"uint32_t {new} = {x};")
            x = new
        marks.append(x)
    stop = rng.choice(("return NULL;", "return NULL;", "goto out;"))
    st = f"\n    {stop}"
    big = rng.choice(("0xffffffffu", "UINT32_MAX", "(uint32_t)-1"))
    t = lambda y, lim: over(rng, y, lim)  # noqa: E731
    cut = rng.choice(("$L", f"{big} / $K"))
    right = [
        one(f"{x} is limited to {cut} before it is multiplied", pre=f"if ({t(x, cut)}){STRONG}{st}"),
        one(f"{x} is limited to {cut} before it is multiplied", pre=f"if ({x} == 0 || {t(x, cut)}){STRONG}{st}"),
        one(f"{x} and $w are limited before the product", pre=f"if ({t('$w', cut)} || {t(x, cut)}){STRONG}{st}"),
        one(f"{x} is cut to $L", pre=f"if ({t(x, '$L')})\n    {x} = $L;{STRONG}"),
        one("dividing $size by $K shows whether the product wrapped", post=f"if ($size / $K != {x}){STRONG}{st}"),
        one(f"{x} is limited to {cut} before it is multiplied", pre=f"if ({t(x, cut)}){STRONG}{st}"),
        one(f"{x} above zero is limited to {cut}", pre=f"if ({x} && {t(x, cut)}){STRONG}{st}"),
        one(
            "the product is made in 64 bits and compared with $L * $K",
            wide="uint64_t",
            cast="(uint64_t)",
            post=f"if ({t('$size', '(uint64_t)$L * $K')}){STRONG}{st}",
        ),
    ]
    wrong = [
        one(f"$w is limited, but {x} is multiplied", pre=f"if ({t('$w', cut)}){STRONG}{st}"),
        one(
            f"only zero is turned away, a large {x} makes the product wrap",
            pre=f"if ({x} == 0 || {t('$w', cut)}){STRONG}{st}",
        ),
        one(
            f"{x} below {big} / 2 still wraps times $K", pre=f"if ({t('$w', cut)} || {t(x, big + ' / 2')}){STRONG}{st}"
        ),
        one(f"$w is limited twice, {x} never", pre=f"if ($w == 0 || {t('$w', cut)}){STRONG}{st}"),
        one(f"the quotient is compared with $w, not with {x}", post=f"if ($size / $K != $w && $w != {x}){STRONG}{st}"),
        one(f"both must be large for the test to stop {x}", pre=f"if ({t('$w', cut)} && {t(x, cut)}){STRONG}{st}"),
        one(f"{x} * $K has wrapped before $size is tested", post=f"if ({t('$size', '$L * $K')}){STRONG}{st}"),
        one(f"$w is cut, {x} is not", pre=f"if ({t('$w', '$L')})\n    $w = $L;{STRONG}"),
        one(f"{x} up to {big} / 2 is allowed, times $K it wraps", pre=f"if ({t(x, big + ' / 2')}){STRONG}{st}"),
        one(
            f"{x} * $K wraps in 32 bits before it is made 64 bits wide",
            wide="uint64_t",
            post=f"if ({t('$size', '(uint64_t)$L * $K')}){STRONG}{st}",
        ),
    ]
    bad, good = rng.choice(wrong), rng.choice(right)
    if changed and rng.random() < 0.6:
        j = rng.randrange(changed)
        place = rng.randrange(j, len(steps) + 1)
        bad = one(
            f"{marks[j]} is limited, but {x} may be $w, which is not",
            **{f"g{place}": f"if ({t(marks[j], cut)}){STRONG}{st}"},
        )
    bad = {"wide": "uint32_t", "cast": ""} | bad
    good = {"wide": "uint32_t", "cast": ""} | good
    fields = [f"uint32_t id[{unit // 4}];"] if unit % 8 or rng.random() < 0.5 else [f"uint64_t key[{unit // 8}];"]
    n["cell"] = fields[0].split()[1].split("[")[0]
    body: list[str] = []
    for k, step in enumerate(steps):
        body += [f"@g{k}", step]
    body += [f"@g{len(steps)}", "@pre"]
    body.insert(rng.randrange(len(body)), "%")
    order = rng.choice((f"{x} * $K", f"$K * {x}"))
    body += [f"$wide $size = ${{cast}}{order};", "@post"]
    alloc = rng.choice(("malloc($size)", "calloc(1, $size)", "malloc($size)"))
    body += [f"struct $T *$buf = {alloc};{WEAK}", "if ($buf == NULL)", f"    {stop}"]
    fill = rng.choice(
        (
            f"for (uint32_t i = 0; i < {x}; i++)\n    $buf[i].$cell[0] = $w;",
            f"for (uint32_t i = {x}; i > 0; i--)\n    $buf[i - 1].$cell[0] = i;",
        )
    )
    body += [*fill.split("\n"), "return $buf;"]
    if "goto" in stop:
        body += ["out:", "$ctx->mode = 0;", "return NULL;"]
    text = "\n".join("    " + row for row in "\n".join(body).split("\n")).replace("    out:", "out:")
    intro = [f"    uint32_t $v = {a};", f"    uint32_t $w = {b};"]
    rng.shuffle(intro)
    if "goto" in stop:
        text = text.replace("struct $T *$buf =", "$buf =")
        intro.append("    struct $T *$buf;")
    n["defs"] = f"#define $lim {limit}" if n["L"] == "$lim" else ""
    cfields = ["uint32_t items;", "unsigned mode;"]
    rng.shuffle(cfields)
    program = (
        f"{decl}struct env {{\n    {cfields[0]}\n    {cfields[1]}\n}};\n\nstruct $T {{\n    {fields[0]}\n}};\n\n"
        f"struct $T *$fn(struct env *$ctx, {par})\n{{\n" + "\n".join(intro) + f"\n{text}\n}}\n"
    )
    return press(rng, program, bad, good, n)


SCALES = (
    ("order", "quantity qty pieces items", "price unit_price cents rate", "cost price_for line_total", "1000000"),
    ("trip", "days nights legs hours", "rate fare fee per_day", "bill_for charge quote_trip", "500000"),
    ("meter", "pulses ticks kwh litres", "factor tariff weight scale", "energy_for bill_meter usage", "250000"),
    ("tile", "steps squares moves cells", "points bonus gain worth", "score_for award gain_of", "100000"),
    (
        "disk",
        "tracks heads parts groups",
        "sectors clusters pages blocks_per",
        "capacity_of room_on blocks_in",
        "65536",
    ),
    ("pump", "strokes cycles turns runs", "dose volume drops ml_each", "deliver dose_for amount_of", "90000"),
)


def flow_amount(rng: random.Random) -> Sample:
    """Wrong: a signed product of two inputs is guarded on one factor, late or weakly; right: it cannot overflow."""
    st, av, bv, fns, _ = rng.choice(SCALES)
    n = {"st": st} | pool(
        rng,
        fn=fns,
        a=av,
        b=bv,
        r="sum total result due all",
        o="o rec in req it",
        line="line s text arg",
        lim="MAX_EACH TOP UPPER LIMIT",
        off="base extra fixed fee0 start",
    )
    if rng.random() < 0.5:
        n["a"], n["b"] = n["b"], n["a"]
    n["M"] = rng.choice(("INT_MAX", "INT_MAX", "INT32_MAX"))
    src = rng.choice(("atoi", "strtol", "struct", "scan"))
    ty = rng.choice(("int", "int32_t")) if n["M"] == "INT32_MAX" else "int"
    n["ty"] = ty
    stop = "\n    return -1;"
    neg = rng.choice(("$a < 0 || $b < 0", "$b < 0 || $a < 0", "$a < 1 || $b < 1"))
    small = rng.choice(("46340", "40000", "1000", "10000"))
    base = rng.random() < 0.4
    plus = " + $off" if base else ""
    q = "($M - $off) / $b" if base else "$M / $b"
    calc = f"$ty $r = $a * $b{plus};"
    calc64 = f"int64_t $r = (int64_t)$a * $b{plus};"
    late64 = f"int64_t $r = (int64_t)($a * $b){plus};"
    lims = over(rng, "$a", small)
    limb = over(rng, "$b", small)
    s2 = str(int(small) - 1000) if base and small == "46340" else small
    lims, limb = lims.replace(small, s2), limb.replace(small, s2)
    small = s2
    wide_stop = rng.choice(("if ($r > $M)", "if ($r >= $M)", "if ($M < $r)"))
    right = [
        one(
            "$a is compared with the quotient, so $a * $b stays in range",
            body=f"if ($b > 0 && $a > {q}){STRONG}{stop}\n{calc}",
        ),
        one(
            f"both factors are at most {small}, so the product fits",
            body=f"if ({lims} || {limb}){STRONG}{stop}\n{calc}",
        ),
        one(
            f"both factors are at most {small}, so the product fits",
            body=f"if (!($a <= {small} && $b <= {small})){STRONG}{stop}\n{calc}",
        ),
        one(
            "$a is compared with the quotient, so $a * $b stays in range",
            body=f"if ($b >= 1 && $a > {q}){STRONG}{stop}\n{calc}",
        ),
        one(
            "the product is made in 64 bits and tested before it is narrowed",
            body=f"{calc64}{STRONG}\n{wide_stop}{stop}",
        ),
        one(
            "$b is not zero there and $a is at most the quotient",
            body=f"if ($b != 0 && {q} < $a){STRONG}{stop}\n{calc}",
        ),
    ]
    wrong = [
        one("only $a is limited, a large $b makes the product overflow", body=f"if ({lims}){STRONG}{stop}\n{calc}"),
        one("only $b is limited, a large $a makes the product overflow", body=f"if ({limb}){STRONG}{stop}\n{calc}"),
        one(
            "one large factor is enough to overflow, the test wants two",
            body=f"if (!($a <= {small} || $b <= {small})){STRONG}{stop}\n{calc}",
        ),
        one(
            "only $a is limited, a large $b makes the product overflow",
            body=f"if (!($a <= {small})){STRONG}{stop}\n{calc}",
        ),
        one(
            "one large factor is enough to overflow, the test wants two",
            body=f"if ({lims} && {limb}){STRONG}{stop}\n{calc}",
        ),
        one("$a * $b has overflowed before $r is looked at", body=f"{calc}{STRONG}\nif ($r < 0){stop}"),
        one("the product overflows as $ty before the cast", body=f"{late64}{STRONG}\n{wide_stop}{stop}"),
        one(
            "the quotient is compared with $b itself, not with $a",
            body=f"if ($b > 0 && $b > {q}){STRONG}{stop}\n{calc}",
        ),
        one("the test divides the overflowed product", body=f"{calc}{STRONG}\nif ($b != 0 && $r / $b > $M){stop}"),
        one(
            "each factor may be $M, their product may not",
            body=f"if ($a > $M - 1 || $b > $M - 1){STRONG}{stop}\n{calc}",
        ),
        one(
            "the sum of $a and $b is in range, their product need not be",
            body=f"if ($b >= 1 && $a > $M - $b){STRONG}{stop}\n{calc}",
        ),
        one(
            "the quotient is compared with $b itself, not with $a",
            body=f"if ($b != 0 && $b > {q}){STRONG}{stop}\n{calc}",
        ),
        one("the test divides the overflowed product", body=f"{calc}{STRONG}\nif ($b > 0 && $r / $b > {q}){stop}"),
        one(
            "the sum of $a and $b is in range, their product need not be",
            body=f"if ($a > $M - $b){STRONG}{stop}\n{calc}",
        ),
    ]
    bad, good = rng.choice(wrong), rng.choice(right)
    decl, par = "", "const char *$line, const char *more"
    intro = ["    $ty $a = atoi($line);", "    $ty $b = atoi(more);"]
    if src == "strtol":
        intro = ["    $ty $a = ($ty)strtol($line, NULL, 10);", "    $ty $b = ($ty)strtol(more, NULL, 10);"]
    if src == "struct":
        fields = ["$ty $a;", "$ty $b;", "int flags;"]
        rng.shuffle(fields)
        decl = "struct $st {\n" + "\n".join("    " + f for f in fields) + "\n};\n\n"
        par = "const struct $st *$o"
        intro = ["    $ty $a = $o->$a;", "    $ty $b = $o->$b;"]
    elif src == "scan":
        par = "const char *$line"
        intro = ["    $ty $a, $b;", '    if (sscanf($line, "%d %d", &$a, &$b) != 2)', "        return -1;"]
        if rng.random() < 0.5:
            intro = [
                "    char *end;",
                "    $ty $a = ($ty)strtol($line, &end, 10);",
                "    $ty $b = ($ty)strtol(end, NULL, 10);",
            ]
    offs = "    const $ty $off = " + rng.choice(("10", "25", "100", "499")) + ";\n" if base else ""
    ret, outp = ("int", ", int64_t *out") if rng.random() < 0.5 else ("long long", "")
    end = "    *out = $r;\n    return 0;" if outp else "    return $r;"
    extra = rng.choice(
        (
            "",
            "static int pct(int part, int whole)\n{\n"
            "    return whole > 0 ? (int)((int64_t)part * 100 / whole) : 0;\n}\n\n",
            "static long half_of(int x)\n{\n    return x / 2;\n}\n\n",
            "static int64_t area(int x, int y)\n{\n    return (int64_t)x * y;\n}\n\n",
        )
    )
    text = (
        f"{decl}{extra}{ret} $fn({par}{outp})\n{{\n"
        + "\n".join(intro)
        + f"\n{offs}    %\n    if ({neg})\n        return -1;\n"
        f"    @body\n    %\n{end}\n}}\n"
    )
    return press(rng, text, bad, good, n)


def quota_add(rng: random.Random) -> Sample:
    """Wrong: used + extra is compared after it wrapped; right: extra is compared with what is left."""
    n = pool(
        rng,
        st="quota account tank wallet pool_state budget cache_use",
        used="used level spent held filled taken",
        lim="limit top ceiling room full",
        req="extra amount want more units asked",
        fn="reserve charge take deposit claim grow_by book",
        o="q a acct self p",
        undo="release give_back refund drop_part",
        peak="peak highest most",
        flag="frozen closed paused",
    )
    ty = rng.choice(("uint32_t", "uint32_t", "unsigned", "uint64_t", "size_t"))
    n["ty"] = ty
    u, lim, r = "$o->$used", "$o->$lim", "$req"
    stop = rng.choice(("return -1;", "return 0;", "return -2;"))
    done = {"return -1;": "return 0;", "return 0;": "return 1;", "return -2;": "return 0;"}[stop]
    st = f"\n    {stop}"
    const = rng.random() < 0.4
    if const:
        lim = "MAX_UNITS"
        n["defs"] = f"#define MAX_UNITS {rng.choice((1000, 4096, 65536, 1000000))}"
    temp = rng.random() < 0.5
    summ = rng.choice((f"{u} + {r}", f"{r} + {u}"))
    var = rng.choice(("next", "after", "sum"))
    if temp:
        wraps = f"$ty {var} = {summ};\nif ({over(rng, var, lim)}){STRONG}{st}"
    else:
        wraps = f"if ({over(rng, summ, lim)}){STRONG}{st}"
    left = rng.choice((f"{lim} - {u}",))
    right = [
        one(
            f"{r} is compared with {left}, where nothing wraps",
            pre=f"if ({u} > {lim} || {over(rng, r, left)}){STRONG}{st}",
        ),
        one(
            f"{r} is limited before it is taken from {lim}",
            pre=f"if ({r} > {lim} || {over(rng, u, f'{lim} - {r}')}){STRONG}{st}",
        ),
        one(
            f"{r} is compared with {left}, where nothing wraps",
            pre=f"if ({u} > {lim}){st}\nif ({over(rng, r, left)}){STRONG}{st}",
        ),
        one(
            f"{r} is limited before it is taken from {lim}",
            pre=f"if ({r} > {lim}){st}\nif ({over(rng, u, f'{lim} - {r}')}){STRONG}{st}",
        ),
        one(
            f"a wrapped sum is below {r} and is turned away",
            pre=f"if ({summ} < {r} || {over(rng, summ, lim)}){STRONG}{st}",
        ),
        one(
            f"a wrapped sum is below {u} and is turned away",
            pre=f"if ({summ} < {u}){STRONG}{st}\nif ({over(rng, summ, lim)}){st}",
        ),
        one(
            "zero and wrapped sums are turned away",
            pre=f"if ({r} == 0 || {summ} < {u} || {over(rng, summ, lim)}){STRONG}{st}",
        ),
        one(
            f"{r} is compared with {left}, where nothing wraps",
            pre=f"if ({r} == 0 || {u} >= {lim} || {over(rng, r, left)}){STRONG}{st}",
        ),
        one(
            f"a wrapped sum is below {u} and is turned away",
            pre=f"$ty {var} = {summ};\nif ({var} < {u} || {over(rng, var, lim)}){STRONG}{st}",
        ),
    ]
    wrong = [
        one(f"{summ} wraps for a huge {r}, so the comparison passes", pre=wraps),
        one(f"{summ} wraps for a huge {r}, so the comparison passes", pre=f"if ({u} > {lim}){st}\n{wraps}"),
        one(
            f"{r} up to the largest value wraps the sum",
            pre=f"if ({u} >= {lim} || {r} == 0 || {over(rng, summ, lim)}){STRONG}{st}",
        ),
        one(
            f"{r} above {lim} makes {lim} - {r} wrap",
            pre=f"if ({r} == 0 || {over(rng, u, f'{lim} - {r}')}){STRONG}{st}",
        ),
        one(
            f"{r} above {lim} makes {lim} - {r} wrap",
            pre=f"if ({u} > {lim} || {over(rng, u, f'{lim} - {r}')}){STRONG}{st}",
        ),
        one(
            f"{u} is limited, but a huge {r} makes the sum wrap",
            pre=f"if ({u} > {lim} || {over(rng, summ, lim)}){STRONG}{st}",
        ),
        one(
            f"zero is turned away, a huge {r} wraps the sum", pre=f"if ({r} == 0 || {over(rng, summ, lim)}){STRONG}{st}"
        ),
        one(
            "an unsigned sum is never below zero, so the wrap is not seen",
            pre=f"if ({summ} < 0 || {over(rng, summ, lim)}){STRONG}{st}",
        ),
        one(f"{lim} - {r} wraps for a {r} above {lim}", pre=f"if ({over(rng, u, f'{lim} - {r}')}){STRONG}{st}"),
        one("the wrap is tested the wrong way round", pre=f"if ({summ} < {r} && {over(rng, summ, lim)}){STRONG}{st}"),
        one(
            f"{u} is tested against {lim}, a huge {r} wraps the sum",
            pre=f"$ty {var} = {summ};\nif ({u} > {lim} || {over(rng, var, lim)}){STRONG}{st}",
        ),
    ]
    bad, good = rng.choice(wrong), rng.choice(right)
    if rng.random() < 0.3 and "== 0" not in bad["pre"]:
        bad["pre"] = f"if ({r} == 0){st}\n" + bad["pre"]
    act = rng.choice((f"{u} += {r};", f"{u} = {summ};"))
    fields = ["$ty $used;", "$ty $lim;", "int $flag;", "$ty $peak;"]
    rng.shuffle(fields)
    rows = "\n".join("    " + f for f in fields)
    undo = f"void $undo(struct $st *$o, $ty $req)\n{{\n    {u} = {r} < {u} ? {u} - {r} : 0;\n}}\n\n"
    look = rng.choice(
        (
            "int is_full(const struct $st *$o)\n{\n    return $o->$used >= $o->$lim;\n}\n\n",
            "$ty left_in(const struct $st *$o)\n{\n    return $o->$used < $o->$lim ? $o->$lim - $o->$used : 0;\n}\n\n",
            "",
            "",
        )
    )
    main = (
        f"int $fn(struct $st *$o, $ty $req)\n{{\n    %\n    if ($o->$flag)\n        {stop}\n    @pre\n    {act}{WEAK}\n"
        f"    if ({u} > $o->$peak)\n        $o->$peak = {u};\n    %\n    {done}\n}}\n\n"
    )
    parts = [main, look] + ([undo] if rng.random() < 0.6 else [])
    rng.shuffle(parts)
    return press(rng, f"struct $st {{\n{rows}\n}};\n\n" + "".join(parts), bad, good, n, 0.3)


UNITS = (
    ("1000", "sec seconds secs delay_s", "to_ms arm_timer sleep_for", "ms millis"),
    ("60000", "minutes mins idle_min", "idle_limit keep_alive snooze", "ms millis"),
    ("86400", "days keep_days age", "expiry retention lease_for", "secs seconds_total"),
    ("1000000", "secs delay pause_s", "usec_delay wait_us pace", "usec micros"),
    ("4096", "pages frames chunks", "pages_to_bytes map_span region", "bytes size"),
    ("512", "sectors blocks lbas", "disk_offset image_span volume_bytes", "bytes pos"),
    ("1024", "kib kbytes kilobytes", "limit_bytes cache_size set_quota", "bytes room"),
    ("3600", "hours shifts hrs", "shift_span log_window rest_time", "secs span"),
    ("100", "euros dollars units_whole", "to_cents fee_for price_of", "cents minor"),
)


def unit_scale(rng: random.Random) -> Sample:
    """Wrong: a unit conversion is limited in the wrong unit, variable or width; right: it cannot overflow."""
    k, ins, fns, outs = rng.choice(UNITS)
    n = pool(
        rng,
        x=ins,
        fn=fns,
        r=outs,
        y="priority slot chan level mode_no",
        K="PER_UNIT SCALE UNIT FACTOR",
        s="text arg value opt",
        o="out cfg t job",
    )
    n["Kd"] = f"#define $K {k}"
    named = rng.random() < 0.6
    n["f"] = n["K"] if named else k
    n["defs"] = f"#define $K {k}" if named else ""
    signed = rng.random() < 0.6
    ty = rng.choice(("int", "int32_t")) if signed else rng.choice(("unsigned", "uint32_t"))
    wide = rng.choice(("int64_t", "long long")) if signed else rng.choice(("uint64_t", "unsigned long long"))
    mx = {"int": "INT_MAX", "int32_t": "INT32_MAX", "unsigned": "UINT_MAX", "uint32_t": "UINT32_MAX"}[ty]
    lim = (1 << 31) // int(k) if signed else (1 << 32) // int(k)
    okay = str(rng.choice((lim // 2, lim // 10, lim - 1, max(lim // 50, 2))))
    toobig = rng.choice((mx, str(lim * 4), str(lim * 2 + 7), f"{mx} / 2"))
    stop = "\n    return -1;"
    low = "$x < 0 || " if signed else ""
    narrow, cast, late = f"{ty} $r = $x * $f;", f"{wide} $r = ({wide})$x * $f;", f"{wide} $r = ({wide})($x * $f);"
    plain = f"{wide} $r = $x * $f;"
    if toobig == mx and rng.random() < 0.6:
        toobig = str(lim * 3)
    x_ok, x_q = over(rng, "$x", okay), over(rng, "$x", f"{mx} / $f")
    y_ok = over(rng, "$y", okay)
    right = [
        one("$x is limited so that $x * $f fits", body=f"if ({low}{x_ok}){STRONG}{stop}\n{narrow}"),
        one("$x is compared with the quotient of the largest value", body=f"if ({low}{x_q}){STRONG}{stop}\n{narrow}"),
        one("$x is widened before it is multiplied", body=f"if ({low}$x == 0 || $y == 0){stop}\n{cast}{STRONG}"),
        one("$x is widened before it is multiplied", body=f"{low and f'if ($x < 0){stop}' + chr(10)}{cast}{STRONG}"),
        one("$x is limited so that $x * $f fits", body=f"if ({low}{x_ok}){STRONG}{stop}\n{plain}"),
        one(
            "$x is widened before it is multiplied",
            body=f"{low and f'if ($x < 0){stop}' + chr(10)}{wide} $r = ({wide})($x) * $f;{STRONG}",
        ),
        one(
            "$x is compared with less than the quotient of the largest value",
            body=f"if ({low}$x > {mx} / $f / 2){STRONG}{stop}\n{narrow}",
        ),
        one(
            "$x is cut to a value whose product fits",
            body=f"if ({low}$y == 0){stop}\nif ({x_ok})\n    $x = {okay};{STRONG}\n{narrow}",
        ),
    ]
    wrong = [
        one(
            "$x up to the limit makes $x * $f overflow",
            body=f"if ({low}{over(rng, '$x', toobig)}){STRONG}{stop}\n{narrow}"
            if toobig != mx
            else f"if ({low}$x == {mx}){STRONG}{stop}\n{narrow}",
        ),
        one(
            "the product is made in 32 bits and widened afterwards",
            body=f"{low and f'if ($x < 0){stop}' + chr(10)}{late}{STRONG}",
        ),
        one(
            "the product is made in 32 bits, the wide type comes too late",
            body=f"if ({low}$x == 0 || $y == 0){stop}\n{plain}{STRONG}",
        ),
        one("$y is limited but $x is multiplied", body=f"if ({low}{y_ok}){STRONG}{stop}\n{narrow}"),
        one(
            "$r has already overflowed when it is compared",
            body=f"{narrow}{STRONG}\nif ({low}{over(rng, '$r / $f', okay)}){stop}",
        ),
        one(
            "$y is cut, a large $x still overflows",
            body=f"if ({low}$y == 0){stop}\nif ({y_ok})\n    $y = {okay};{STRONG}\n{narrow}",
        ),
        one(
            "the limit counts the converted unit, so $x * $f overflows",
            body=f"if ({low}$x > {mx} - $f){STRONG}{stop}\n{narrow}",
        ),
        one("the wide result does not widen the product of $x", body=f"{plain}{STRONG}\nif ({low}$r > {mx}){stop}"),
    ]
    bad, good = rng.choice(wrong), rng.choice(right)
    conv = rng.choice(("atoi($s)", "strtol($s, NULL, 10)")) if signed else "strtoul($s, NULL, 10)"
    via = rng.choice(("text", "arg", "arg", "cfg"))
    decl = "struct conf {\n    " + f"{ty} $x;\n    {ty} $y;\n    {wide} last;\n}};\n\n" if via == "cfg" else ""
    par, intro = {
        "text": (f"const char *$s, {ty} $y", f"    {ty} $x = ({ty}){conv};\n"),
        "arg": (f"{ty} $x, {ty} $y", ""),
        "cfg": ("struct conf *$o", f"    {ty} $x = $o->$x;\n    {ty} $y = $o->$y;\n"),
    }[via]
    ret = "int" if via == "cfg" else wide
    if via != "cfg" and not signed:
        ret = "int64_t"
    end = "    $o->last = $r;\n    return 0;" if via == "cfg" else "    return $r;"
    extra = rng.choice(
        (
            "",
            f"static {wide} ticks_in({ty} n)\n{{\n    return ({wide})n * 250;\n}}\n\n",
            f"static {ty} tenth({ty} n)\n{{\n    return n / 10;\n}}\n\n",
            f"static {ty} small_scale(unsigned char n)\n{{\n    return n * 40;\n}}\n\n",
        )
    )
    prio = rng.choice(
        ("    if ($y > 7)\n        return -1;\n", '    printf("%d\\n", (int)$y);\n', "    last_seen = (int)$y;\n")
    )
    top = "static int last_seen;\n\n" if "last_seen" in prio else ""
    if "$y > 7" in prio:
        prio = "    %\n"
    text = f"{top}{decl}{extra}{ret} $fn({par})\n{{\n{intro}{prio}    @body\n    %\n{end}\n}}\n"
    return press(rng, text, bad, good, n)


def dim_product(rng: random.Random) -> Sample:
    """Wrong: a running product over dimensions is tested too late or against another; right: before each step."""
    n = pool(
        rng,
        fn="tensor_cells grid_total count_cells shape_size combos volume_of table_cells",
        d="dims shape axes ext lens radix",
        k="rank ndim nd naxes",
        t="total prod cells vol acc",
        i="i k a ax",
        lim="CELL_LIMIT MAX_CELLS TOO_MANY ROOM",
        u="unused seen largest sum",
    )
    ty = rng.choice(("uint32_t", "size_t", "uint64_t", "int", "unsigned"))
    mx = {
        "uint32_t": "UINT32_MAX",
        "size_t": "SIZE_MAX",
        "uint64_t": "UINT64_MAX",
        "int": "INT_MAX",
        "unsigned": "UINT_MAX",
    }[ty]
    limit = rng.choice((1 << 16, 1 << 20, 1000000, 1 << 24))
    n |= {"ty": ty, "M": mx}
    top = rng.choice((mx, "$lim"))
    n["defs"] = f"#define $lim {limit}" if top == "$lim" else ""
    x = "$d[$i]"
    stop = "return 0;"
    st = f"\n    {stop}"
    zero = rng.choice((f"{x} <= 0", f"{x} < 1")) if ty == "int" else f"{x} == 0"
    flip = rng.random() < 0.5
    quot = f"$t > {top} / {x}" if not flip else f"{x} > {top} / $t"
    slash = [f"$u > {top} / {x}", f"{x} > {top} / $u", f"$t > {top} / ($ty)$k", f"{x} > {top} / ($ty)$k"]
    quot_b = rng.choice((*slash, *slash, f"$t > {top} - {x}", f"{x} > {top} - $t"))
    lim = top if top != mx else rng.choice(("1000000", "65536", f"{mx} / 2"))
    half = f"{mx} / 2"
    uns, narrow = ty != "int", ty in ("uint32_t", "unsigned", "int")
    before = "$t is compared with the quotient before each product"
    right = [
        one(before, pre=f"if ({quot}){STRONG}{st}"),
        one(before, pre=f"if ({zero} || {quot}){STRONG}{st}"),
        one(before, pre=f"if ({zero})\n    continue;\nif ({quot}){STRONG}{st}"),
        one(before, pre=f"if ({x} > 1 && {quot}){STRONG}{st}"),
        one(before, pre=f"if ({x} != 0 && {quot}){STRONG}{st}"),
    ]
    keeps = "the test does not keep $t times the next one in range"
    wrong = [
        one(keeps, pre=f"if ({quot_b}){STRONG}{st}"),
        one(keeps, pre=f"if ({zero} || {quot_b}){STRONG}{st}"),
        one(keeps, pre=f"if ({x} == 1 && {quot}){STRONG}{st}"),
        one("a product that is too large is noticed, but made all the same", pre=f"if ({quot}){STRONG}\n    $u = 1;"),
        one(keeps, pre=f"if ({zero})\n    continue;\nif ({quot_b}){STRONG}{st}"),
        one(
            "$t may wrap in a step before it is compared",
            post=f"if ({over(rng, '$t', lim)} || {x} > {lim}){STRONG}{st}",
        ),
        one(
            "each is compared alone, not their product", pre=f"if ({over(rng, '$t', half)} || {x} > {half}){STRONG}{st}"
        ),
        one("the product is only tested after the loop", late=f"if ({over(rng, '$t', lim)}){STRONG}{st}"),
        one(
            "the product wraps before the quotient is looked at", post=f"if ({x} != 0 && $t > {top} / {x}){STRONG}{st}"
        ),
    ]
    if narrow:
        wide = "int64_t" if ty == "int" else "uint64_t"
        right.append(
            one("the product is made in 64 bits and compared", pre=f"if (({wide})$t * {x} > {top}){STRONG}{st}")
        )
        wrong.append(
            one("the product is made in 32 bits, the cast is late", pre=f"if (({wide})($t * {x}) > {lim}){STRONG}{st}")
        )
    else:
        wrong.append(one("the product in the test wraps too", pre=f"if ($t * {x} > {lim}){STRONG}{st}"))
    if uns:
        right.append(one("dividing the product again shows a wrap", pre=f"if ($t * {x} / {x} != $t){STRONG}{st}"))
        wrong.append(
            one(
                "the quotient is compared with $u, not with $t",
                pre=f"if ($t * {x} / {x} != $t && $u > {x}){STRONG}{st}",
            )
        )
    bad, good = rng.choice(wrong), rng.choice(right)
    guard0 = f"        if ({zero})\n            return 0;\n"
    mul = rng.choice((f"$t *= {x};", f"$t = $t * {x};", f"$t = {x} * $t;"))
    use = rng.choice(
        (f"        if ({x} > $u)\n            $u = {x};\n", f"        $u |= {x};\n" if ty != "int" else "")
    )
    use = use or f"        if ({x} > $u)\n            $u = {x};\n"
    loop = rng.choice(("for (int $i = 0; $i < $k; $i++)", "for (int $i = $k - 1; $i >= 0; $i--)"))
    final = rng.choice(("    return $t;", "    *top = $u;\n    return $t;"))
    par = f", {ty} *top" if "top" in final else ""
    body = f"    {loop} {{\n{guard0}        @pre\n        {mul}{WEAK}\n        @post\n{use}    }}\n    @late\n"
    cap = "    if ($k < 1 || $k > 8)\n        return 0;\n" if rng.random() < 0.6 else "    %\n"
    alloc = (
        rng.choice(
            (
                "",
                "double *$fn_new(const $ty *$d, int $k)\n{\n    $ty n = $fn($d, $k%s);\n"
                "    return n ? calloc(n, sizeof(double)) : NULL;\n}\n\n",
            )
        )
        if not par
        else ""
    )
    alloc = alloc.replace("%s", "").replace("$fn_new", "new_" + n["fn"])
    text = (
        f"{ty} $fn(const {ty} *$d, int $k{par})\n{{\n    {ty} $t = 1;\n"
        f"    {ty} $u = 1;\n{cap}{body}{final}\n}}\n\n{alloc}"
    )
    return press(rng, text, bad, good, n)


def compare_by_minus(rng: random.Random) -> Sample:
    """Wrong: an ordering subtracts wide signed keys; right: it compares them, and subtracts only narrow ones."""
    n = pool(
        rng,
        T="job event rec city player task_row song",
        k="prio score when rank balance depth altitude kind",
        m="prio score when rank balance depth level kind",
        fn="by_key cmp_rows order_of compare first_of",
        arr="list rows items v table",
        sort="sort_all arrange put_in_order",
        x="a p left l",
        y="b q right r",
        best="best top winner pick",
    )
    wide = rng.choice(("int", "int32_t", "int", "long"))
    small = rng.choice(("unsigned char", "uint8_t", "short", "int16_t", "signed char"))
    ka, kb, ma, mb = "$x->$k", "$y->$k", "$x->$m", "$y->$m"
    flip = rng.random() < 0.35
    if flip:
        ka, kb = kb, ka
    style = rng.choice(("qsort", "typed"))

    def minus(p: str, q: str) -> list[str]:
        return [
            f"return {p} - {q};{STRONG}",
            f"int d = {p} - {q};{STRONG}\nreturn d;",
            f"int d = {p} - {q};{STRONG}\nreturn d < 0 ? -1 : d > 0;",
            f"return -({q} - {p});{STRONG}",
        ]

    def weigh(p: str, q: str) -> list[str]:
        return [
            f"return ({p} > {q}) - ({p} < {q});{STRONG}",
            f"if ({p} < {q}){STRONG}\n    return -1;\nreturn {p} > {q};",
            f"return {p} < {q} ? -1 : {p} > {q};{STRONG}",
            f"int d = {p} < {q} ? -1 : {p} > {q};{STRONG}\nreturn d;",
        ]

    def last(rows: list[str], k: int) -> str:
        return rows[k].replace(STRONG, "")

    def first(p: str, q: str, forms: list[str]) -> str:
        core = rng.choice(forms)
        return f"if ({p} != {q}) {{\n" + "\n".join("    " + row for row in core.split("\n")) + "\n}"

    i, j = rng.randrange(4), rng.randrange(4)
    body_wide_minus, body_wide_cmp = minus(ka, kb), weigh(ka, kb)
    small_minus, small_cmp = minus(ma, mb), weigh(ma, mb)
    if rng.random() < 0.8:
        wide_first = rng.random() < 0.6
        if wide_first:
            bad_t = first(ka, kb, [body_wide_minus[i]]) + "\n" + last(small_cmp, j)
            good_t = first(ka, kb, [body_wide_cmp[j]]) + "\n" + last(small_minus, i)
        else:
            bad_t = first(ma, mb, [last(small_cmp, j)]) + "\n" + body_wide_minus[i]
            good_t = first(ma, mb, [last(small_minus, i)]) + "\n" + body_wide_cmp[j]
    else:
        bad_t, good_t = body_wide_minus[i], body_wide_cmp[j]
        if rng.random() < 0.6:
            bad_t = f"if ({ka} == {kb})\n    return 0;\n" + bad_t
    bad = one(f"$k is {wide}, {ka} - {kb} overflows for values far apart", body=bad_t)
    good = one("$k is compared, only the narrow $m is ever subtracted", body=good_t)
    fields = [f"{wide} $k;", f"{small} $m;", "char text[12];"]
    rng.shuffle(fields)
    rows = "\n".join("    " + f for f in fields)
    if style == "qsort":
        head = (
            "static int $fn(const void *pa, const void *pb)\n{\n"
            "    const struct $T *$x = pa;\n    const struct $T *$y = pb;\n"
        )
        use = "void $sort(struct $T *$arr, size_t n)\n{\n    %\n    qsort($arr, n, sizeof(*$arr), $fn);\n}\n"
    else:
        head = "static int $fn(const struct $T *$x, const struct $T *$y)\n{\n"
        use = rng.choice(
            (
                "struct $T *$sort(struct $T *$arr, int n)\n{\n"
                "    struct $T *$best = $arr;\n    for (int i = 1; i < n; i++) {\n"
                "        if ($fn(&$arr[i], $best) > 0)\n            $best = &$arr[i];\n    }\n    return $best;\n}\n",
                "void $sort(struct $T *$arr, int n)\n{\n    for (int i = 1; i < n; i++) {\n"
                "        struct $T t = $arr[i];\n        int j = i;\n"
                "        while (j > 0 && $fn(&$arr[j - 1], &t) > 0) {\n"
                "            $arr[j] = $arr[j - 1];\n            j--;\n        }\n"
                "        $arr[j] = t;\n    }\n}\n",
            )
        )
    load = rng.choice(
        (
            "",
            "void read_key(struct $T *o, const char *s)\n{\n    o->$k = atoi(s);\n    o->$m = 0;\n}\n\n",
            'int parse(struct $T *o, const char *s)\n{\n    return sscanf(s, "%11s %d", o->text, &o->$k) == 2;\n}\n\n'
            if wide != "long"
            else "",
        )
    )
    text = f"struct $T {{\n{rows}\n}};\n\n{load}{head}    %\n    @body\n}}\n\n{use}"
    return press(rng, text, bad, good, n, 0.25)


def header_room(rng: random.Random) -> Sample:
    """Wrong: length plus header wraps before or despite the test; right: the length is tested first."""
    n = pool(
        rng,
        fn="wrap_frame make_packet new_note pack_msg store_blob queue_item",
        len="len plen body_len count n_bytes kind extra",
        other="len plen body_len count n_bytes kind extra chan",
        tot="total size need sz alloc_len",
        buf="out frame pkt mem copy",
        src="data body payload text",
        H="HDR HEAD_LEN PREFIX TRAILER",
        st="frame_hdr head pkt_head preamble",
        lim="MAX_BODY BODY_LIMIT TOP_LEN BIGGEST",
    )
    ty, mx = rng.choice(
        (
            ("uint32_t", "UINT32_MAX"),
            ("uint32_t", "UINT32_MAX"),
            ("unsigned", "UINT_MAX"),
            ("uint16_t", "UINT16_MAX"),
            ("size_t", "SIZE_MAX"),
        )
    )
    hdr = rng.choice(("$H", "$H", "sizeof(struct $st)"))
    if hdr.startswith("sizeof") and ty != "size_t":
        hdr = "($ty)sizeof(struct $st)"
    k = rng.choice((8, 12, 16, 20))
    extra = rng.choice(("", "", " + 1", " + 4"))
    limit = rng.choice((1000, 1024, 1500, 4096, 9000))
    n |= {"ty": ty, "M": mx}
    defs = [f"#define $H {k}"] if hdr == "$H" else []
    has_lim = rng.random() < 0.6
    lim = "$lim" if has_lim else str(limit)
    if has_lim:
        defs.append(f"#define $lim {limit}")
    n["defs"] = "\n".join(defs)
    add = f"{hdr} + $len{extra}" if rng.random() < 0.5 else f"$len + {hdr}{extra}"
    calc = f"$ty $tot = {add};"
    stop = "\n    return NULL;"
    t = lambda x, y: over(rng, x, y)  # noqa: E731
    rest = f"$M - {hdr}{extra.replace('+', '-')}"
    right = [
        one("$len is limited before the header is added", body=f"if ({t('$len', lim)}){STRONG}{stop}\n{calc}"),
        one(
            "$len is limited before the header is added",
            body=f"if ($len == 0 || {t('$len', lim)}){STRONG}{stop}\n{calc}",
        ),
        one(
            "$len is compared with what the header leaves of the type",
            body=f"if ({t('$len', rest)}){STRONG}{stop}\n{calc}",
        ),
        one("a sum that wrapped is below $len and is turned away", body=f"{calc}\nif ($tot < $len){STRONG}{stop}"),
        one(
            "a sum that wrapped is below $len and is turned away",
            body=f"{calc}\nif ($tot <= $len || $other == 0){STRONG}{stop}",
        ),
        one("$len is cut before the header is added", body=f"if ({t('$len', lim)})\n    $len = {lim};{STRONG}\n{calc}"),
        one("$len is limited before the header is added", body=f"if ($len && {t('$len', lim)}){STRONG}{stop}\n{calc}"),
        one(
            "both $len and $other are limited",
            body=f"if ({t('$other', lim)} || {t('$len', lim)}){STRONG}{stop}\n{calc}",
        ),
    ]
    wrong = [
        one("$tot is tested after the sum may have wrapped", body=f"{calc}{STRONG}\nif ({t('$tot', lim)}){stop}"),
        one("$other is limited, $len is added", body=f"if ({t('$other', lim)}){STRONG}{stop}\n{calc}"),
        one(
            "only an empty $len is turned away, a huge one wraps the sum",
            body=f"if ($len == 0 || {t('$other', lim)}){STRONG}{stop}\n{calc}",
        ),
        one("$other is limited, $len is added", body=f"if ($other == 0 || {t('$other', lim)}){STRONG}{stop}\n{calc}"),
        one(
            "a wrapped $tot need not be at or below $other",
            body=f"{calc}{STRONG}\nif ($tot <= $other || $len == 0){stop}",
        ),
        one("a wrapped $tot need not be below $other", body=f"{calc}{STRONG}\nif ($tot < $other){stop}"),
        one("a wrapped $tot is not zero in general", body=f"{calc}{STRONG}\nif ($tot == 0 || $other == 0){stop}"),
        one(
            "$other is cut, a huge $len wraps the sum",
            body=f"if ({t('$other', lim)})\n    $other = {lim};{STRONG}\n{calc}",
        ),
        one(
            "both must be large, a huge $len alone wraps the sum",
            body=f"if ({t('$other', lim)} && {t('$len', lim)}){STRONG}{stop}\n{calc}",
        ),
        one("only the very largest $len is turned away", body=f"if ($len == $M){STRONG}{stop}\n{calc}"),
        one("the room is compared with $other, not with $len", body=f"if ({t('$other', rest)}){STRONG}{stop}\n{calc}"),
        one(
            "the test of $len comes after the sum that it should protect and lets $tot be small",
            body=f"{calc}{STRONG}\nif ({t('$other', '$tot')}){stop}",
        ),
    ]
    bad, good = rng.choice(wrong), rng.choice(right)
    par = rng.choice(
        (
            "const void *$src, $ty $len, $ty $other",
            "$ty $len, const void *$src, $ty $other",
            "$ty $other, $ty $len, const char *$src",
        )
    )
    hd = f"struct $st {{\n    uint32_t word[{k // 4}];\n}};\n\n"
    off = hdr
    copy = rng.choice((f"memcpy($buf + {off}, $src, $len);", f"memmove($buf + {off}, $src, $len);"))
    mid = rng.choice(("memset($buf, 0, %s);", "$buf[0] = (unsigned char)$other;", "memcpy($buf, &$other, 2);")).replace(
        "%s", off
    )
    alloc = rng.choice(("malloc($tot)", "calloc($tot, 1)"))
    look = rng.choice(
        ("", "", "static int small_sum(unsigned char a, unsigned char b)\n{\n    return a + b + 8;\n}\n\n")
    )
    intro, wire = "", ""
    if rng.random() < 0.35:
        bits = {"uint16_t": "(p[0] << 8 | p[1])"}.get(ty, "((uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3])")
        wire = ""
        par = "const unsigned char *p, const void *$src, $ty $other"
        intro = f"    $ty $len = {bits};\n"
        if ty == "size_t":
            intro = "    $ty $len;\n    memcpy(&$len, p, sizeof($len));\n"
    text = (
        f"{hd if 'struct' in hdr or rng.random() < 0.3 else ''}{look}{wire}unsigned "
        f"char *$fn({par})\n{{\n{intro}    %\n    @body\n    %\n"
        f"    unsigned char *$buf = {alloc};\n    if ($buf == NULL)\n"
        f"        return NULL;\n    {mid}\n    {copy}\n    return $buf;\n}}\n"
    )
    return press(rng, text, bad, good, n)


def power_loop(rng: random.Random) -> Sample:
    """Wrong: a repeated step is looked at too late or stopped by another value; right: tested before each."""
    n = pool(
        rng,
        fn="int_power compound fact steps_up growth chain_len scale_up",
        b="base rate factor mult q",
        e="exp times rounds n depth",
        r="res acc out value",
        i="i k step j",
        lim="CEILING MAX_OUT TOP_VALUE LIMIT",
        o="debug probe quiet mode",
        last="prev old before",
    )
    ty, mx = rng.choice(
        (
            ("int", "INT_MAX"),
            ("int", "INT_MAX"),
            ("uint32_t", "UINT32_MAX"),
            ("int64_t", "INT64_MAX"),
            ("uint64_t", "UINT64_MAX"),
            ("long", "LONG_MAX"),
        )
    )
    n["ty"] = ty
    op = rng.choice(("pow", "pow", "fact", "double", "grow"))
    f = {"pow": "$b", "fact": "$i", "double": "2", "grow": "3"}[op]
    step = {
        "pow": "$r *= $b;",
        "fact": "$r *= $i;",
        "double": rng.choice(("$r *= 2;", "$r += $r;")),
        "grow": "$r = $r * 3;",
    }[op]
    start = rng.choice(("1", "1", "$b")) if op != "fact" else "1"
    if op in ("double", "grow"):
        start = "$b"
    limn = rng.choice((100000, 1000000, 4096))
    lim = rng.choice((mx, mx, "$lim"))
    n["defs"] = f"#define $lim {limn}" if lim == "$lim" else ""
    st = "\n    return 0;"
    test = rng.choice((f"$r > {lim} / {f}", f"{lim} / {f} < $r"))
    signed = ty in ("int", "int64_t", "long")
    neg = " < 1" if signed else " == 0"
    cap = {"int": 30, "uint32_t": 31, "int64_t": 62, "uint64_t": 63, "long": 62}[ty]
    hug = rng.choice((cap * 2 + 10, 100, 200, 1000))
    right = [
        one(f"$r is compared with {lim} / {f} before it is multiplied", pre=f"if ({test}){STRONG}{st}"),
        one(f"$r is compared with {lim} / {f} before it is multiplied", pre=f"if ({test}){STRONG}{st}"),
        one(f"$r is compared with {lim} / {f} before it is multiplied", pre=f"if ($r == 0 || {test}){STRONG}{st}"),
        one(f"$r is compared with {lim} / {f} before it is multiplied", pre=f"if ($o > 1 || {test}){STRONG}{st}"),
        one(
            f"$r is compared with {lim} / {f} before it is multiplied",
            pre=f"if ($e != 0 && {test}){STRONG}{st}" if op == "fact" else f"if ($r != 0 && {test}){STRONG}{st}",
        ),
    ]
    seen = rng.choice(("$r < $last", "$last > $r")) if signed else rng.choice(("$r == 0", "$r <= 1 && $last > 1"))
    other = rng.choice((f"$e > {lim} / {f}", f"{lim} / {f} < $e", f"$o > {lim} / {f}"))
    big = str(limn) if lim != mx else f"{mx} / 2" if op not in ("double",) else f"{mx} - 2"
    wrong = [
        one("$r has already overflowed when it is looked at", post=f"if ({seen}){STRONG}{st}"),
        one("the quotient is compared with another value than $r", pre=f"if ({other}){STRONG}{st}"),
        one("the quotient is compared with another value than $r", pre=f"if ($o > 1 || {other}){STRONG}{st}"),
        one("$r is tested only after the product, which may have overflowed", post=f"if ({test}){STRONG}{st}")
        if start == "$b"
        else one("the quotient is compared with another value than $r", pre=f"if ($o && {other}){STRONG}{st}"),
        one("the quotient is compared with another value than $r", pre=f"if ($e != 0 && {other}){STRONG}{st}"),
        one("the quotient is compared with another value than $r", pre=f"if ($r != 0 && {other}){STRONG}{st}"),
        one("the quotient is compared with another value than $r", pre=f"if ($o > 1 || {other}){STRONG}{st}"),
        one("the quotient is compared with another value than $r", pre=f"if ($r > 1 && {other}){STRONG}{st}"),
        one("a large $r is noted in $o, and then multiplied", pre=f"if ({test}){STRONG}\n    $o = 1;"),
        one("the test asks for more than a large $r", pre=f"if ($o > 1 && {test}){STRONG}{st}"),
        one(f"{big} is too high for a value that is multiplied next", pre=f"if ({over(rng, '$r', big)}){STRONG}{st}")
        if op != "grow" and lim == mx
        else one("the quotient is compared with another value than $r", pre=f"if ({other}){STRONG}{st}"),
        one("the loop is over and $r has overflowed when it is tested", late=f"if ({test}){STRONG}{st}"),
    ]
    bad, good = rng.choice(wrong), rng.choice(right)
    if rng.random() < 0.12 and "pre" in bad:
        bad["pre"] = "if ($r == 0)\n    return 0;\n" + bad["pre"]
    if op == "fact":
        loop = "for ($ty $i = 2; $i <= $e; $i++)"
        etype = ty
    else:
        etype = rng.choice(("int", "unsigned"))
        loop = rng.choice(
            (f"for ({etype} $i = 0; $i < $e; $i++)", f"for ({etype} $i = $e; $i > 0; $i--)", "while ($e-- > 0)")
        )
    pro = f"    if ($b{neg})\n        return 0;\n" if op != "fact" else f"    if ($e{neg})\n        return 0;\n"
    ends = rng.choice(("    return $r;", '    if ($o)\n        puts("done");\n    return $r;'))
    body = f"    {loop} {{\n        $last = $r;\n        @pre\n        {step}{WEAK}\n        @post\n    }}\n    @late\n"
    guard = "" if rng.random() < 0.6 else f"    if ($e > {hug})\n        $e = {hug};\n"
    par = rng.choice((f"$ty $b, {etype} $e, int $o", f"{etype} $e, $ty $b, int $o", f"int $o, $ty $b, {etype} $e"))
    text = (
        f"$ty $fn({par})\n{{\n    $ty $r = {start}, $last = 0;\n{pro}{guard}    %\n{body}    (void)$last;\n{ends}\n}}\n"
    )
    more = rng.choice(
        (
            "",
            "int main(int argc, char **argv)\n{\n    if (argc < 3)\n"
            '        return 1;\n    printf("%ld\\n", (long)CALL);\n    return 0;\n}\n',
        )
    )
    order = {"$ty": "strtol(argv[1], NULL, 10)", etype: "atoi(argv[2])", "int $o": "argc > 3"}
    args = []
    for p in par.split(", "):
        args.append("argc > 3" if p == "int $o" else order["$ty"] if p == "$ty $b" else "atoi(argv[2])")
    text += "\n" + more.replace("CALL", "$fn(" + ", ".join(args) + ")") if more else ""
    return press(rng, text, bad, good, n, 0.3)


def byte_span(rng: random.Random) -> Sample:
    """Wrong: last - first + 1 wraps because the ends are in no order; right: their order is settled first."""
    n = pool(
        rng,
        fn="serve_range copy_span cut_section read_part slice_of fetch_rows",
        a="first upto lo begin p0 p1 y x",
        b="last upto hi begin p0 p1 y x",
        tot="size length total avail",
        c="cnt span n want len",
        o="f src doc blob rec",
        buf="out dst mem piece",
        st="file_view doc_buf blob tape",
    )
    ty = rng.choice(("uint32_t", "uint32_t", "size_t", "unsigned", "uint64_t"))
    n["ty"] = ty
    st = "\n    return NULL;"
    tot = rng.choice(("$o->$tot", "$tot"))
    calc = rng.choice(("$ty $c = $b - $a + 1;", "$ty $c = $b + 1 - $a;", "$ty $c = 1 + ($b - $a);"))
    bt, at = reach(rng, "$b", tot), reach(rng, "$a", tot)
    order = rng.choice(("$a > $b", "$b < $a"))
    right = [
        one(f"$a is at most $b, and $b below {tot}", body=f"if ({order} || {bt}){STRONG}{st}\n{calc}"),
        one(
            "a pair in the wrong order is turned away, $b is cut",
            body=f"if ({order}){STRONG}{st}\nif ({bt} || {at}){st}\n{calc}",
        ),
        one(
            f"$b is cut to {tot} and $a must not be above it",
            body=f"if ({bt})\n    $b = {tot} - 1;\nif ({order}){STRONG}{st}\n{calc}",
        ),
        one(f"$a is at most $b, and $b below {tot}", body=f"if (!($a <= $b && $b < {tot})){STRONG}{st}\n{calc}"),
        one(f"$a is at most $b, and $b below {tot}", body=f"if ({order}){STRONG}{st}\nif ({bt}){st}\n{calc}"),
        one(
            f"$a is at most $b, and $b below {tot}", body=f"if ($b == 0 || {order}){STRONG}{st}\nif ({bt}){st}\n{calc}"
        ),
        one(
            "the ends are put in order and $b is limited",
            body=f"if ({bt} || {at}){st}\nif ({order}){STRONG}{st}\n{calc}",
        ),
    ]
    cut = f"if ({bt})\n    $b = {tot} - 1;"
    wrong = [
        one("$a may be above $b, then the difference wraps", body=f"if ({at} || {bt}){STRONG}{st}\n{calc}"),
        one("$a may be above $b, then the difference wraps", body=f"if ({bt} || {at}){STRONG}{st}\n{calc}"),
        one(
            "$a may be above $b, then the difference wraps",
            body=f"if (!($a < {tot} && $b < {tot})){STRONG}{st}\n{calc}",
        ),
        one("$a may be above $b when $a is inside", body=f"if ({bt} || {order} && {at}){STRONG}{st}\n{calc}"),
        one("$a may be above $b, then the difference wraps", body=f"if ({bt}){STRONG}{st}\n{calc}"),
        one("$a may be above the cut $b, then the difference wraps", body=f"if ({order}){STRONG}{st}\n{cut}\n{calc}"),
        one(
            "$a may be above the cut $b, then the difference wraps",
            body=f"if ({order} || $b == 0){STRONG}{st}\n{cut}\n{calc}",
        ),
        one("both have to be wrong for the test to stop", body=f"if ({order} && {bt}){STRONG}{st}\n{calc}"),
        one(
            "$a above $b is let through when it is inside",
            body=f"if ({bt}){st}\nif ({order} && {at}){STRONG}{st}\n{calc}",
        ),
        one(
            "$a may be above the new $b, too", body=f"if ({order})\n    $b = {tot} - 1;{STRONG}\nif ({bt}){st}\n{calc}"
        ),
        one(
            "$a may be above $b, then $c has wrapped and is not zero",
            body=f"if ({bt}){st}\n{calc}{STRONG}\nif ($c == 0){st}",
        ),
        one(
            "the test after the difference comes too late for $c",
            body=f"if ({bt}){st}\n{calc}{STRONG}\nif ({order} && $c == 0){st}",
        ),
    ]
    bad, good = rng.choice(wrong), rng.choice(right)
    struct = f"struct $st {{\n    const unsigned char *bytes;\n    {ty} $tot;\n}};\n\n"
    local = "" if tot.startswith("$o") else "    $ty $tot = $o->$tot;\n"
    use = rng.choice(
        (
            "    unsigned char *$buf = malloc($c);\n    if ($buf == NULL)\n"
            "        return NULL;\n    memcpy($buf, $o->bytes + $a, $c);\n",
            "    unsigned char *$buf = calloc($c, 1);\n    if ($buf == NULL)\n"
            "        return NULL;\n    for ($ty i = 0; i < $c; i++)\n"
            "        $buf[i] = $o->bytes[$a + i];\n",
        )
    )
    via = rng.random() < 0.4
    par = "const struct $st *$o, $ty $a, $ty $b" if not via else "const struct $st *$o, const char *spec"
    intro = (
        ""
        if not via
        else "    char *dash;\n    $ty $a = strtoul(spec, &dash, 10);\n"
        '    $ty $b = strtoul(*dash ? dash + 1 : "0", NULL, 10);\n'
    )
    empty = rng.choice(("    if ($o->$tot == 0)\n        return NULL;\n",))
    extra = rng.choice(
        (
            "",
            "static $ty width_of(unsigned char lo, unsigned char hi)\n"
            "{\n    return hi >= lo ? hi - lo + 1u : 0;\n}\n\n",
            "",
        )
    )
    text = (
        f"{struct}{extra}unsigned char *$fn({par})\n{{\n"
        f"{intro}{local}{empty}    %\n    @body\n    %\n{use}    return $buf;\n}}\n"
    )
    return press(rng, text, bad, good, n)


def middle_value(rng: random.Random) -> Sample:
    """Wrong: two large values are added before they are halved or scaled; right: their distance is."""
    n = pool(
        rng,
        fn="middle midpoint between halfway mean_of blend centre",
        a="lo low left first near x0",
        b="hi high right second far x1",
        m="mid m centre_at avg half",
        c="w weight_pct small step_no",
        T="table keys_at marks index",
        key="key want needle target",
    )
    ty, mx = rng.choice(
        (
            ("int", "INT_MAX"),
            ("int32_t", "INT32_MAX"),
            ("uint32_t", "UINT32_MAX"),
            ("unsigned", "UINT_MAX"),
            ("long", "LONG_MAX"),
            ("size_t", "SIZE_MAX"),
        )
    )
    n["ty"] = ty
    signed = ty in ("int", "int32_t", "long")
    can_wide = ty not in ("long", "size_t")
    wide = "int64_t" if signed else "uint64_t"
    dist = rng.choice(("$ty $m = $a + ($b - $a) / 2;", "$ty $m = $b - ($b - $a) / 2;"))
    order = rng.choice(("$a > $b", "$b < $a"))
    ends = "$a < 0 || " if signed else ""
    stop = "\n    return 0;"
    shift = "/ 2" if signed else rng.choice(("/ 2", ">> 1"))
    plus = rng.choice(("$a + $b", "$b + $a"))
    naive = f"$ty $m = ({plus}) {shift};"
    right = [
        one("the halved distance is added, no sum of the two is made", body=f"{dist}{STRONG}"),
        one("each value is halved before they are added", body=f"$ty $m = $a / 2 + $b / 2 + ($a & $b & 1);{STRONG}"),
        one(f"$b is at most half of {mx}, and $a at most $b", body=f"if ($b > {mx} / 2){STRONG}{stop}\n{naive}"),
        one("the halved distance is added, no sum of the two is made", body=f"{dist}{STRONG}"),
        one("$b is compared with what $a leaves of the range", body=f"if ($b > {mx} - $a){STRONG}{stop}\n{naive}"),
        one("$a is compared with what $b leaves of the range", body=f"if ({mx} - $b < $a){STRONG}{stop}\n{naive}"),
    ]
    wrong = [
        one("$a + $b overflows before it is halved", body=f"{naive}{STRONG}"),
        one("$a + $b overflows before it is halved", body=f"{naive}{STRONG}"),
        one(
            "$a + $b overflows before the remainder is taken off",
            body=f"$ty $m = ({plus} - ($b - $a) % 2) / 2;{STRONG}",
        ),
        one("twice $a and the distance are as much as the sum", body=f"$ty $m = ($a * 2 + ($b - $a)) / 2;{STRONG}"),
        one("$a below half of the range says nothing about $b", body=f"if ($a > {mx} / 2){STRONG}{stop}\n{naive}"),
        one("the distance fits, the sum of $a and $b need not", body=f"if ($b - $a > {mx} / 2){STRONG}{stop}\n{naive}"),
        one("$b always fits its type, the sum need not", body=f"if ($b > {mx} - 1){STRONG}{stop}\n{naive}"),
        one("$c says nothing about the sum of $a and $b", body=f"if ($c > {mx} - $a){STRONG}{stop}\n{naive}"),
    ]
    if can_wide:
        right.append(one("the sum is made in 64 bits", body=f"$ty $m = ($ty)((({wide})$a + $b) {shift});{STRONG}"))
        right.append(
            one(
                "the sum is made in 64 bits",
                body=f"{wide} both = ({wide})$a + $b;{STRONG}\n$ty $m = ($ty)(both {shift});",
            )
        )
        wrong.append(
            one(
                "the cast comes after $a + $b has overflowed", body=f"$ty $m = ($ty)(({wide})({plus}) {shift});{STRONG}"
            )
        )
        wrong.append(
            one(
                "the cast comes after $a + $b has overflowed",
                body=f"{wide} both = ({wide})({plus});{STRONG}\n$ty $m = ($ty)(both {shift});",
            )
        )
    bad, good = rng.choice(wrong), rng.choice(right)
    helper = rng.choice(
        (
            "",
            "static int small_mid(unsigned char p, unsigned char q)\n{\n    return (p + q) / 2;\n}\n\n",
            "static $ty gap(unsigned char p, unsigned char q)\n{\n    return p + (q - p) / 2;\n}\n\n",
        )
    )
    src = rng.choice(("args", "args", "pair", "text"))
    decl, par, intro = "", "$ty $a, $ty $b, $ty $c", ""
    if src == "pair":
        decl = "struct span {\n    $ty $a;\n    $ty $b;\n};\n\n"
        par, intro = "const struct span *s, $ty $c", "    $ty $a = s->$a;\n    $ty $b = s->$b;\n"
    elif src == "text":
        conv = "atol" if signed else "strtoul"
        more = "" if signed else ", NULL, 10"
        par = "char **argv, $ty $c"
        intro = f"    $ty $a = {conv}(argv[1]{more});\n    $ty $b = {conv}(argv[2]{more});\n"
    end = rng.choice(
        ("    return $m;", "    return $m < $b ? $m : $b;", '    printf("%ld\\n", (long)$m);\n    return $m;')
    )
    text = (
        f"{decl}{helper}$ty $fn({par})\n{{\n{intro}    if ({ends}{order})\n"
        f"        return 0;\n    %\n    @body\n{end}\n}}\n"
    )
    return press(rng, text, bad, good, n, 0.6)


def retry_delay(rng: random.Random) -> Sample:
    """Wrong: a delay doubles or shifts past its type before the ceiling is applied; right: the ceiling comes first."""
    n = pool(
        rng,
        fn="next_delay backoff wait_for pause_ms schedule_retry",
        t="tries attempt failed count round_no step_no",
        o="tries attempt failed count round_no step_no",
        d="delay wait pause ms",
        base="base initial unit first_ms",
        cap="MAX_DELAY CEILING TOP_WAIT LONGEST",
        st="link peer timer conn_state",
        p="c s self l",
    )
    ty, bits = rng.choice((("uint32_t", 32), ("int", 31), ("unsigned", 32), ("int32_t", 31)))
    n["ty"] = ty
    base = rng.choice((50, 100, 200, 250, 500, 1000))
    cap = rng.choice((30000, 60000, 120000, 64000))
    room = bits - base.bit_length()
    okn = rng.choice((6, 7, 8, 10, room - 1))
    badn = rng.choice((31, room + 3, room + 6, 30))
    if badn <= room:
        badn = 31
    n["defs"] = f"#define $cap {cap}\n#define $base {base}"
    tt = "$p->$t"
    oo = "$p->$o"
    form = rng.choice(("shift", "loop", "loop"))
    lim = over(rng, "$d", "$cap")
    fin = f"if ({lim})\n    $d = $cap;"
    if form == "shift":
        calc = rng.choice(("$ty $d = ($ty)$base << $n;", "$ty $d = $base * (($ty)1 << $n);"))
        pre = f"unsigned $n = {tt};\n"
        right = [
            one(
                "the shift is limited before the delay is made",
                body=f"{pre}if ({over(rng, '$n', str(okn))})\n    $n = {okn};{STRONG}\n{calc}\n{fin}",
            ),
            one(
                "the shift is limited before the delay is made",
                body=f"{pre}if ({over(rng, tt, str(okn))})\n    return $cap;{STRONG}\n{calc}\n{fin}",
            ),
            one(
                "the shift is limited before the delay is made",
                body=f"unsigned $n = {tt} < {okn} ? {tt} : {okn};{STRONG}\n{calc}\n{fin}",
            ),
        ]
        wrong = [
            one("$cap is applied after the shift has lost its high bits", body=f"{pre}{calc}{STRONG}\n{fin}"),
            one(
                f"a shift by {badn} does not fit",
                body=f"{pre}if ({over(rng, '$n', str(badn))})\n    $n = {badn};{STRONG}\n{calc}\n{fin}",
            ),
            one(
                "another value than the shift is limited",
                body=f"{pre}if ({over(rng, oo, str(okn))})\n    return $cap;{STRONG}\n{calc}\n{fin}",
            ),
            one(
                "the shift is limited only after it was used",
                body=f"{pre}{calc}{STRONG}\nif ({over(rng, '$n', str(okn))})\n    $n = {okn};\n{fin}",
            ),
            one(
                "another value than the shift decides the cut",
                body=f"unsigned $n = {oo} < {okn} ? {tt} : {okn};{STRONG}\n{calc}\n{fin}",
            ),
            one(
                f"a shift by {badn} does not fit",
                body=f"unsigned $n = {tt} < {badn} ? {tt} : {badn};{STRONG}\n{calc}\n{fin}",
            ),
        ]
    else:
        loop = rng.choice(
            (f"for (unsigned i = 0; i < {tt}COND; i++) {{", f"for (unsigned i = {tt}; i > 0COND; i--) {{")
        )
        step = rng.choice(("$d *= 2;", "$d += $d;", "$d <<= 1;", "$d = $d * 3;"))
        start = "$ty $d = $base;\n"
        plain = loop.replace("COND", "")
        right = [
            one(
                "doubling ends when $cap is reached",
                body=f"{start}{loop.replace('COND', ' && $d < $cap')}{STRONG}\n    {step}\n}}\n{fin}",
            ),
            one(
                "$cap is applied in every round",
                body=f"{start}{plain}\n    {step}\n    if ({lim})\n        $d = $cap;{STRONG}\n}}",
            ),
            one(
                "doubling ends when $cap is reached",
                body=f"{start}{plain}\n    if ({lim})\n        break;{STRONG}\n    {step}\n}}\n{fin}",
            ),
            one(
                "the number of rounds is limited first",
                body=f"{start}if ({over(rng, tt, '8')})\n    return $cap;{STRONG}\n{plain}\n    {step}\n}}\n{fin}",
            ),
        ]
        wrong = [
            one(
                "$cap is applied after the loop, when $d has overflowed",
                body=f"{start}{plain}\n    {step}{STRONG}\n}}\n{fin}",
            ),
            one(
                "the rounds are limited by another value",
                body=f"{start}{loop.replace('COND', f' && {oo} < $cap')}{STRONG}\n    {step}\n}}\n{fin}",
            ),
            one(
                "another value is cut in the loop, $d keeps growing",
                body=f"{start}{plain}\n    {step}{STRONG}\n"
                f"    if ({lim.replace('$d', oo)})\n        {oo} = $cap;\n}}\n{fin}",
            ),
            one(
                "the test in the loop is for another value",
                body=f"{start}{plain}\n    if ({lim.replace('$d', oo)})\n        break;{STRONG}\n    {step}\n}}\n{fin}",
            ),
            one(
                "another value ends the loop",
                body=f"{start}{plain}\n    if ({lim.replace('$d', oo)})\n        break;{STRONG}\n    {step}\n}}\n{fin}",
            ),
            one(
                "so many rounds are too many for the type",
                body=f"{start}if ({over(rng, tt, rng.choice(('60', '48', '200')))})\n"
                f"    return $cap;{STRONG}\n{plain}\n    {step}\n}}\n{fin}",
            ),
            one(
                "another value than the rounds is limited",
                body=f"{start}if ({over(rng, oo, '8')})\n    return $cap;{STRONG}\n{plain}\n    {step}\n}}\n{fin}",
            ),
        ]
    n["n"] = rng.choice(("sh", "n", "bits", "exp2"))
    bad, good = rng.choice(wrong), rng.choice(right)
    fields = ["unsigned $t;", "unsigned $o;", "int up;"]
    rng.shuffle(fields)
    rows = "\n".join("    " + f for f in fields)
    other = rng.choice(
        (
            "void on_fail(struct $st *$p)\n{\n    $p->$t++;\n    $p->up = 0;\n}\n\n",
            "void on_ok(struct $st *$p)\n{\n    $p->$t = 0;\n    $p->up = 1;\n}\n\n",
            "void load(struct $st *$p, const char *text)\n{\n    $p->$t = strtoul(text, NULL, 10);\n}\n\n",
        )
    )
    main = (
        "$ty $fn(struct $st *$p)\n{\n    %\n    if ($p->up)\n        return 0;\n    @body\n    %\n    return $d;\n}\n\n"
    )
    parts = [other, main]
    rng.shuffle(parts)
    return press(rng, f"struct $st {{\n{rows}\n}};\n\n" + "".join(parts), bad, good, n, 0.3)


def record_offset(rng: random.Random) -> Sample:
    """Wrong: a record's offset wraps before it is compared with the file's size; right: it cannot wrap."""
    n = pool(
        rng,
        fn="row_at find_record entry_ptr glyph_data node_at sample_ptr",
        i="no idx row rec_id which part",
        j="no idx row rec_id which part",
        map="base image map file_data",
        size="size length file_len total",
        off="off pos at start",
        H="HEAD_SIZE PREAMBLE FIRST_AT",
        R="REC_SIZE ROW_BYTES STRIDE ENTRY_LEN",
        N="MAX_RECS LAST_ROW NO_LIMIT",
        st="store table_file font_file archive",
        p="t f s a",
    )
    rec = rng.choice((16, 24, 32, 48, 64, 128, 256))
    head = rng.choice((8, 16, 32, 64, 128))
    most = rng.choice((1000, 4096, 10000, 65536))
    n["defs"] = f"#define $H {head}u\n#define $R {rec}u\n#define $N {most}u"
    struct = rng.random() < 0.5
    base, size = ("$p->$map", "$p->$size") if struct else ("$map", "$size")
    prod = rng.choice(("$i * $R", "$R * $i"))
    summ = rng.choice((f"$H + {prod}", f"{prod} + $H"))
    wprod = rng.choice(
        (
            "(uint64_t)($i) * $R + $H",
            "$H + (uint64_t)($i) * $R",
            "(uint64_t)$i * $R + $H",
            f"(uint64_t){prod} + $H",
            f"$H + (uint64_t){prod}",
        )
    )
    calc = f"uint32_t $off = {summ};"
    st = "\n    return NULL;"
    over_end = rng.choice((f"$off > {size} - $R", f"{size} - $R < $off"))
    tail = f"if ({size} < $R || {over_end}){st}"
    plus = rng.choice((f"if ($off + $R > {size}){st}", f"if ({size} < $off + $R){st}"))
    last = f"({size} - $H - $R) / $R"
    short = rng.choice((f"{size} < $H + $R", f"$H + $R > {size}"))

    def near(x: str) -> str:
        return f"if ({short} || {over(rng, x, last)}){STRONG}{st}"

    def few(x: str) -> str:
        return f"if ({reach(rng, x, '$N')}){STRONG}{st}"

    right = [
        one("$i is compared with the number of records that fit", body=f"{near('$i')}\n{calc}"),
        one("$i is compared with the number of records that fit", body=f"{near('$i')}\n{calc}\n{plus}"),
        one("the offset is made in 64 bits", body=f"uint64_t $off = {wprod};{STRONG}\n{plus}"),
        one("the offset is made in 64 bits", body=f"uint64_t $off = {wprod};{STRONG}\n{tail}"),
        one("$i is below $N, so the offset cannot wrap", body=f"{few('$i')}\n{calc}\n{tail}"),
    ]
    wrong = [
        one("$j is compared, but $i is multiplied and wraps", body=f"{near('$j')}\n{calc}"),
        one("$j is compared, but $i is multiplied and wraps", body=f"{near('$j')}\n{calc}"),
        one("$j is compared, but $i is multiplied and wraps", body=f"{near('$j')}\n{calc}"),
        one("$j is compared, but $i is multiplied and wraps", body=f"{near('$j')}\n{calc}\n{plus}"),
        one("$j is below $N, but $i is multiplied and wraps", body=f"{few('$j')}\n{calc}\n{tail}"),
        one("the product wraps in 32 bits before it is widened", body=f"uint64_t $off = {summ};{STRONG}\n{plus}"),
        one(
            "the product wraps in 32 bits before it is widened",
            body=f"uint64_t $off = (uint64_t)({summ});{STRONG}\n{tail}",
        ),
        one("$i * $R wraps, so a huge $i passes the test of $off", body=f"{calc}{STRONG}\n{plus}"),
        one("the product wraps in 32 bits before it is widened", body=f"uint64_t $off = {summ};{STRONG}\n{tail}"),
        one(
            "the product wraps in 32 bits before it is widened",
            body=f"uint64_t $off = (uint64_t)$H + {prod};{STRONG}\n{tail}",
        ),
        one("$i * $R wraps, so a huge $i passes the test of $off", body=f"{calc}{STRONG}\n{tail}"),
    ]
    bad, good = rng.choice(wrong), rng.choice(right)
    if rng.random() < 0.5 and "$j" not in bad["body"]:
        bad["body"] = rng.choice((few("$j"), near("$j"))).replace(STRONG, "") + "\n" + bad["body"]
    fields = ["const unsigned char *$map;", "uint32_t $size;"]
    rng.shuffle(fields)
    decl = f"struct $st {{\n    {fields[0]}\n    {fields[1]}\n}};\n\n" if struct else ""
    first = "const struct $st *$p" if struct else "const unsigned char *$map, uint32_t $size"
    via = rng.random() < 0.3
    par = f"{first}, uint32_t $i, uint32_t $j" if not via else f"{first}, const uint32_t *req"
    intro = "    uint32_t $i = req[0];\n    uint32_t $j = req[1];\n" if via else ""
    small = rng.choice(
        (
            "",
            "",
            "static uint32_t cell_at(unsigned char row, unsigned char col)\n{\n    return row * $R + col;\n}\n\n",
            "static uint64_t span_of(uint32_t n)\n{\n    return (uint64_t)n * $R;\n}\n\n",
        )
    )
    ends = rng.choice(
        (
            f"    return {base} + $off + $j % $R;\n",
            f"    if ($j >= $R)\n        return NULL;\n    return &{base}[$off + $j];\n",
        )
    )
    text = f"{decl}{small}const unsigned char *$fn({par})\n{{\n{intro}    %\n    @body\n    %\n{ends}}}\n"
    return press(rng, text, bad, good, n)


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-190", name="flow_count", language="c", held_out=True, make=flow_count),
    Family(cwe="CWE-190", name="flow_amount", language="c", held_out=True, make=flow_amount),
    Family(cwe="CWE-190", name="quota_add", language="c", held_out=True, make=quota_add),
    Family(cwe="CWE-190", name="unit_scale", language="c", held_out=True, make=unit_scale),
    Family(cwe="CWE-190", name="dim_product", language="c", held_out=True, make=dim_product),
    Family(cwe="CWE-190", name="compare_by_minus", language="c", held_out=True, make=compare_by_minus),
    Family(cwe="CWE-190", name="header_room", language="c", held_out=True, make=header_room),
    Family(cwe="CWE-190", name="power_loop", language="c", held_out=True, make=power_loop),
    Family(cwe="CWE-190", name="byte_span", language="c", held_out=True, make=byte_span),
    Family(cwe="CWE-190", name="middle_value", language="c", held_out=True, make=middle_value),
    Family(cwe="CWE-190", name="retry_delay", language="c", held_out=True, make=retry_delay),
    Family(cwe="CWE-190", name="record_offset", language="c", held_out=True, make=record_offset),
)
