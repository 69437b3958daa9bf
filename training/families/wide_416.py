"""Wide pair families in C for CWE-416 (use after free)."""

from __future__ import annotations

import random

from training.families.contract import Family, Sample
from training.families.cwe_787 import way
from training.families.wide_476 import cast, forge, mix


def call_sequence_flow(rng: random.Random) -> Sample:
    """In a random run of calls on two objects one is used after the call that frees it, while another call only looks
    like freeing; right: the freeing call comes last for that object, or takes the other one."""
    names = cast(
        rng,
        T="note track song lamp letter ship badge ticket drone kettle",
        make=mix("new make open start create", "it one item entry"),
        kill=mix("drop close finish end release dispose retire", "it one item all"),
        wipe=mix("reset clear blank stop detach remove discard", "it state this values"),
        show=mix("print show log_out emit", "it line row this"),
        fn=mix("run demo play work", "day shift round session"),
        a="left first alpha old mine src",
        b="right second beta fresh yours dst",
        c="x alias same top ref",
        f="size level count age mark",
        g="text label title name",
        i="it p self o this",
        n="n start v seed",
        r="sum total out ret",
    )
    size = rng.choice((16, 24, 32, 40))
    inner = rng.random() < 0.6
    field = f"char $g[{size}];" if not inner else "char *$g;"
    deep = "free($i->$g);" if inner else ""
    texts = ('"new"', '"spare"', '"blank"', '"init"')
    fill = f"$i->$g = strdup({rng.choice(texts)});" if inner else f"strcpy($i->$g, {rng.choice(texts)});"
    wipe = rng.choice(("$i->$f = 0;", "$i->$f = 0;\nif (OK($i->$g)) $i->$g[0] = 0;", "$i->$f = -1;"))
    put = rng.choice(('printf("%d\\n", $i->$f);', 'printf("%s %d\\n", OK($i->$g) ? $i->$g : "-", $i->$f);'))
    text = f"""
        struct $T {{
            int $f;
            {field}
        }};

        static struct $T *$make(int $n)
        {{
            struct $T *$i = calloc(1, sizeof(*$i));

            if (NUL($i)) abort();
            $i->$f = $n;
            {fill}
            return $i;
        }}

        static void $kill(struct $T *$i)
        {{
            @deep
            free($i);
        }}

        static void $wipe(struct $T *$i)
        {{
            @wiping
        }}

        static void $show(const struct $T *$i)
        {{
            {put}
        }}

        int $fn(int $n)
        {{
            struct $T *$a = $make($n);
            struct $T *$b = $make($n + 1);
            @alias
            int $r = 0;

            @s0
            @s1
            @n1
            @s2
            @s3
            @s4
            return $r;
        }}
        """
    if rng.random() < 0.5:
        names["kill"], names["wipe"] = names["wipe"], names["kill"]
    alias = rng.random() < 0.4
    m = rng.choice(("$a", "$b"))
    o = "$b" if m == "$a" else "$a"
    x = "$c" if alias else m
    uses = (f"$show({x});", f"$r += {x}->$f;", f"{x}->$f++;", f'printf("<%d>", {x}->$f);', f"$wipe({x});")
    use = rng.choice(uses)
    other = rng.choice((f"$wipe({o});", f"$show({o});", f"$r -= {o}->$f;"))
    pre = rng.choice((f"$show({m});", f"$wipe({m});", f"{m}->$f += 2;", ""))
    kill, spare = f"$kill({m});", f"$kill({o});"
    base = {"alias": f"struct $T *$c = {m};" if alias else "", "s0": pre, "wiping": wipe, "deep": deep}
    why = f"{x} is the object that $kill({m}) freed" if alias else f"{m} was freed by $kill"
    last = f"{m} is freed after its last use"
    moved = f"{x} = {o};"
    choices = [
        (
            way(why, s1=other, s2=f"! {kill}\n{use}", s3=spare),
            way(last, s1=other, s2=f"! {use}\n{kill}", s3=spare),
        ),
        (
            way(why, s1=kill, s2=f"! {use}", s3=other, s4=spare),
            way(f"{o} is still alive there", s1=kill, s2="! " + use.replace(x, o), s3=other, s4=spare),
        ),
        (
            way(why, s1=f"! $kill({m});", s2=f"$wipe({o});", s3=use, s4=spare),
            way(f"$wipe only changes {m}", s1=f"! $wipe({m});", s2=f"$wipe({o});", s3=use, s4=spare),
        ),
        (
            way(why, s1=f"! {kill}", s2=other, s3=use, s4=""),
            way(f"{o} is freed, {m} is used", s1=f"! {spare}", s2=other.replace(o, m), s3=use, s4=""),
        ),
        (
            way(why, s1=f"if ($n > 3) $wipe({m});", s2=f"! if ($n > 5) {{ {kill} $r += $n; }}", s3=use, s4=spare),
            way(
                f"{m} is only freed on the way out",
                s1=f"if ($n > 3) $wipe({m});",
                s2=f"! if ($n > 5) {{ {kill} return $r; }}",
                s3=use,
                s4=spare,
            ),
        ),
        (
            way(why, s1=kill, s2=f"! {use}\n{moved}", s3=f"$show({o});", s4=spare),
            way(f"{x} is moved to {o} before it is used", s1=kill, s2=f"! {moved}\n{use}", s3=f"$show({o});", s4=spare),
        ),
        (
            way(why, s1=f"$r = {o}->$f;", s2=kill, s3=f"! $r += {m}->$f;", s4=spare),
            way(f"{m}->$f is read before $kill({m})", s1=f"! $r = {m}->$f;", s2=kill, s3=f"$r += {o}->$f;", s4=spare),
        ),
    ]
    bad, good = rng.choice(choices)
    return forge(rng, names, text, bad, good, **base)


def alias_owner_flow(rng: random.Random) -> Sample:
    """A pointer travels through variables and fields, one name is freed and another one of the same block is read;
    right: the name that is read holds another block, or is read before, or both are moved on."""
    names = cast(
        rng,
        T="blob chunk frame sample packet page sheet block",
        S="view holder window desk cart panel state",
        fn=mix("rotate switch advance refresh step update", "view frames data buffer pages input"),
        dup=mix("copy clone make twin", "of block data chunk"),
        h="h box ctx st v own",
        cur="cur now live head front",
        old="old last back past prev",
        f="len used size fill",
        g="data bytes raw pix",
        a="p q cand a tmp",
        b="t hold keep saved b",
        c="z view1 peek k",
        n="n len1 want amount",
        r="ret sum got out",
        i="i k j",
        src="src from in orig",
    )
    cap = rng.choice((16, 32, 48, 64))
    text = f"""
        struct $T {{
            int $f;
            unsigned char $g[{cap}];
        }};

        struct $S {{
            struct $T *$cur;
            struct $T *$old;
        }};

        static struct $T *$dup(const struct $T *$src)
        {{
            struct $T *$i = malloc(sizeof(*$i));

            if (OK($i)) memcpy($i, $src, sizeof(*$i));
            return $i;
        }}

        int $fn(struct $S *$h, int $n)
        {{
            int $r = 0;
            @take

            if (NUL(@a0) || NUL(@b0)) return -1;
            @n0
            @steps
            @n1
            @end
            return $r;
        }}
        """
    fields = ["$h->$cur", "$h->$old"]
    rng.shuffle(fields)
    m, o = fields
    style = rng.randrange(4)
    read = rng.choice(("$r += V->$f;", "$r = V->$g[0];", "V->$f = $n;", "V->$g[$n & 7] = 1;", "$r -= V->$g[3];"))
    drop = rng.choice((f"{m} = NULL;", f"{m} = $dup({o});"))
    swap = f"$b = {o};"
    bad_read, fresh = read.replace("V", "$b"), read.replace("V", "$a")
    if style == 0:
        take = f"struct $T *$a = {o};\nstruct $T *$b = {m};"
        why = f"$b and {m} are one block, freed by free({m})"
        same = [
            (
                way(why, steps=f"free({m});\n{drop}", end=f"! {bad_read}"),
                way(f"$a is the block of {o}, which lives", steps=f"free({m});\n{drop}", end=f"! {fresh}"),
            ),
            (
                way(why, steps=f"free({m});\n! {bad_read}\n{drop}"),
                way("$b is read before it is freed", steps=f"! {bad_read}\nfree({m});\n{drop}"),
            ),
            (
                way(why, steps=f"free({m});\n{drop}\n{fresh}", end=f"! {bad_read}\n{swap}\n$r += $b->$f;"),
                way(
                    f"$b is moved on to {o} first",
                    steps=f"free({m});\n{drop}\n{fresh}",
                    end=f"! {swap}\n{bad_read}\n$r += $b->$f;",
                ),
            ),
            (
                way(why, steps=f"if ($n > 2) {{ free({m}); {drop} }}\n{fresh}", end=f"! if ($n > 1) {bad_read}"),
                way(
                    "$b is read only where nothing was freed",
                    steps=f"if ($n > 2) {{ free({m}); {drop} }}\n{fresh}",
                    end=f"! if ($n < 1) {bad_read}",
                ),
            ),
        ]
        a0, b0 = "$a", "$b"
    elif style == 1:
        take = f"struct $T *$a = $dup({o});\nstruct $T *$b = {o};"
        why = f"$b still is the old {o} after free($b)"
        tail = f"{o} = $a;"
        same = [
            (
                way(why, steps=f"{tail}\nfree($b);", end=f"! {bad_read}"),
                way(f"$a is the new block in {o}", steps=f"{tail}\nfree($b);", end=f"! {fresh}"),
            ),
            (
                way(
                    f"{o} is freed and still holds the old block", steps=f"free($b);\n! {read.replace('V', o)}\n{tail}"
                ),
                way(f"{o} holds the new block", steps=f"free($b);\n! {tail}\n{read.replace('V', o)}"),
            ),
            (
                way(
                    f"{o} is read between its free and the new block",
                    steps=f"free({o});",
                    end=f"! $r = {o}->$f;\n{tail}",
                ),
                way(f"{o} is read with the new block in it", steps=f"free({o});", end=f"! {tail}\n$r = {o}->$f;"),
            ),
            (
                way(f"$a, now in {o}, was freed", steps=f"{tail}\n! free($a);\n{read.replace('V', o)}"),
                way(f"the old block $b was freed, not {o}", steps=f"{tail}\n! free($b);\n{read.replace('V', o)}"),
            ),
        ]
        a0, b0 = "$a", "$b"
    elif style == 2:
        take = f"struct $T **$a = &{m};\nstruct $T **$b = &{o};"
        why = f"*$a is {m}, which was freed"
        la, lb = read.replace("V", "(*$a)"), read.replace("V", "(*$b)")
        same = [
            (
                way(why, steps="free(*$a);\n! " + la, end=f"{m} = NULL;"),
                way("*$a is read before it is freed", steps="! " + la + "\nfree(*$a);", end=f"{m} = NULL;"),
            ),
            (
                way(why, steps="$r = (*$b)->$f;\nfree(*$a);\n! " + la, end="*$a = NULL;"),
                way("*$b is another block", steps="$r = (*$b)->$f;\nfree(*$a);\n! " + lb, end="*$a = NULL;"),
            ),
            (
                way(why, steps=f"free({m});\n$a = $b;\n! {read.replace('V', m)}", end=f"{m} = NULL;"),
                way(f"$a points to {o} by then", steps=f"free({m});\n$a = $b;\n! {la}", end=f"{m} = NULL;"),
            ),
            (
                way(why, steps="free(*$a);\n! $b = $a;\n" + lb, end=f"{m} = NULL;"),
                way(f"$a is moved to {o} first", steps="free(*$a);\n! $a = $b;\n" + la, end=f"{m} = NULL;"),
            ),
        ]
        a0, b0 = "*$a", "*$b"
    else:
        take = f"struct $T *$a = {o}, *$b = {m}, *$c = NULL;"
        why = "$c is the block that was freed"
        seen = read.replace("V", "$c")
        mid = rng.choice((f"if ($n & 1) {fresh}", fresh, f"$r += {o}->$f;"))
        same = [
            (
                way(why, steps=f"! $c = {m};\nfree($b);\n{m} = NULL;\n{mid}", end=seen),
                way(f"$c is the block of {o}", steps=f"! $c = {o};\nfree($b);\n{m} = NULL;\n{mid}", end=seen),
            ),
            (
                way(why, steps=f"$c = $n > 4 ? $a : $b;\n{mid}\n! if ($n > 3) {{ free($b); {m} = NULL; }}", end=seen),
                way(
                    "$b is freed only when $c is $a",
                    steps=f"$c = $n > 4 ? $a : $b;\n{mid}\n! if ($n > 5) {{ free($b); {m} = NULL; }}",
                    end=seen,
                ),
            ),
            (
                way(why, steps=f"$c = $b;\n{mid}\nfree($b);\n! $b = $a;\n{m} = NULL;", end=seen),
                way("$c is moved on to $a", steps=f"$c = $b;\n{mid}\nfree($b);\n! $c = $a;\n{m} = NULL;", end=seen),
            ),
            (
                way(
                    why,
                    steps=f"$c = $dup($a);\n{mid}\nif (NUL($c)) return -2;\n! free($c);",
                    end=f"{m}->$f = 0;\n{seen}",
                ),
                way(
                    "$c is freed after its use",
                    steps=f"$c = $dup($a);\n{mid}\nif (NUL($c)) return -2;\n! {seen}",
                    end=f"{m}->$f = 0;\nfree($c);",
                ),
            ),
        ]
        a0, b0 = "$a", "$b"
    bad, good = rng.choice(same)
    return forge(rng, names, text.replace("@a0", a0).replace("@b0", b0), bad, good, take=take)


def consuming_call(rng: random.Random) -> Sample:
    """A helper frees its argument on some outcome and the caller goes on using it there; right: the caller uses it only
    where the helper left it alone, or the helper does not free it."""
    names = cast(
        rng,
        T="message packet job mail order event request ping",
        Q="link outbox pipe channel port",
        send=mix("send post submit dispatch deliver route", "msg it packet job"),
        q="q lk out ch box",
        fn=mix("handle forward relay flush notify", "client peer input line order"),
        m="m msg pkt it req",
        f="kind id code prio",
        g="size len bytes cost",
        n="room left slots credit",
        r="rc ok ret res",
        log=mix("note log count", "loss drop miss fail"),
        k="k what num x",
        v="v arg key val",
        s="stats total seen lost",
    )
    lim = rng.choice((3, 4, 8, 16))
    full = rng.choice(("$q->$n <= 0", "$m->$g > $q->$n", "$q->$n < $m->$g", f"$m->$g > {lim * 16}"))
    text = f"""
        struct $T {{
            int $f;
            int $g;
        }};

        struct $Q {{
            int $n;
            int $s;
        }};

        static void $log(int $k)
        {{
            fprintf(stderr, "{rng.choice(("lost %d", "skip %d", "kind %d failed", "no room: %d"))}\\n", $k);
        }}

        /* {rng.choice(("the caller owns the object", "owns the object", "0 is good", "negative means trouble"))} */
        static int $send(struct $Q *$q, struct $T *$m)
        {{
            if ({full}) {{
                @onfail
                return -1;
            }}
            $q->$n -= $m->$g;
            $q->$s++;
            @onok
            return 0;
        }}

        int $fn(struct $Q *$q, int $v)
        {{
            struct $T *$m = malloc(sizeof(*$m));
            int $r;

            if (NUL($m)) return -2;
            $m->$f = $v;
            $m->$g = $v % {lim + 1};
            @n0
            $r = $send($q, $m);
            @post
            @last
            return $r;
        }}
        """
    use = rng.choice(("$log($m->$f);", "$q->$s += $m->$g;", "$log($m->$f + $m->$g);", "$q->$s -= $m->$f;"))
    lt, ge = rng.choice((("$r < 0", "$r == 0"), ("$r", "!$r"), ("$r != 0", "$r >= 0"), ("$r == -1", "$r != -1")))
    outcome = rng.choice(("fail", "ok", "both"))
    if outcome == "fail":
        shared = {"onfail": "free($m);", "onok": ""}
        good_cond, bad_cond = ge, lt
        why = "$send frees $m when it fails"
        other = "$log($v);"
        tail = f"if ({ge}) free($m);"
    elif outcome == "ok":
        shared = {"onfail": "$q->$s--;", "onok": "free($m);"}
        good_cond, bad_cond = lt, ge
        why = "$send frees $m when it succeeds"
        other = "$q->$s += $v;"
        tail = f"if ({lt}) free($m);"
    else:
        shared = {"onfail": "free($m);", "onok": "free($m);"}
        good_cond, bad_cond = "", rng.choice((lt, ge))
        why = "$send frees $m in any case"
        other = rng.choice(("$log($v);", "$q->$s += $v;"))
        tail = ""
    held = use.replace("$m->$f", "$v").replace("$m->$g", f"$v % {lim + 1}")
    same = [
        (
            way(f"{why}, and {use} reads it after that", post=f"! if ({bad_cond}) {use}", last=tail),
            way("only the argument $v is read there", post=f"if ({bad_cond}) {held}", last=tail),
        ),
    ]
    if good_cond:
        same += [
            (
                way(why, post=f"! if ({bad_cond}) {use}", last=tail),
                way("$m is used only where $send left it alone", post=f"! if ({good_cond}) {use}", last=tail),
            ),
            (
                way(why, post=f"! if ({bad_cond}) {use}\n{other}", last=tail),
                way("$m is used only where $send left it alone", post=f"! if ({good_cond}) {use}\n{other}", last=tail),
            ),
            (
                way(why, post=f"{other}\n! {use}", last=""),
                way("that way has left before", post=f"! if ({bad_cond}) return $r;\n{use}", last="free($m);"),
            ),
        ]
        same += 2 * same[3:4]
        frees, idle = "free($m);", "$q->$s--;"
        slot = "onfail" if outcome == "fail" else "onok"
        post = f"if ({bad_cond}) {{ {use} free($m); }}" if rng.random() < 0.5 else f"{use}\nfree($m);"
        if post.startswith("if"):
            same.append(
                (
                    way(why, **{slot: f"! {frees}\n{idle}"}, post=post.replace("free($m);", other), last=tail),
                    way("$send leaves $m alone", **{slot: f"! {idle}"}, post=post, last=tail.replace("if (", "if (")),
                )
            )
        else:
            same.append(
                (
                    way(why, **{slot: f"! {frees}"}, post=f"{use}\n{other}"),
                    way(
                        "$send leaves $m alone, it is freed at the end", **{slot: f"! {idle}"}, post=f"{use}\nfree($m);"
                    ),
                )
            )
    else:
        same.append(
            (
                way(why, early="int $k = $m->$f;", post=f"if ({bad_cond}) $k--;\n! {use}"),
                way(
                    "$k was read before $send",
                    early="int $k = $m->$f;",
                    post=f"if ({bad_cond}) $k--;\n"
                    f"! {use.replace('$m->$f', '$k * 2 + 1').replace('$m->$g', '$k * 2 + 1')}",
                ),
            )
        )
        same += [
            (
                way(why, post=f"! if ({bad_cond}) $log($m->$f);\nif ({ge}) $log($v);"),
                way("the values come from $v", post=f"! if ({bad_cond}) $log($v);\nif ({ge}) $log(-$v);"),
            ),
            (
                way(why, post=f"if ({ge}) $q->$n++;\n! {use}"),
                way("only $v and $q are read there", post=f"if ({ge}) $q->$n++;\n! {held}"),
            ),
            (
                way(why, early="int $k = $v;", post=f"if ({lt}) $log($k);\n! $q->$s += $m->$g;"),
                way(
                    "$k was read before $send", early="! int $k = $m->$g;", post=f"if ({lt}) $log($v);\n! $q->$s += $k;"
                ),
            ),
        ]
    bad, good = rng.choice(same if rng.random() < 0.4 else same[1:])
    text = text.replace("            @n0\n", "            @n0\n            @early\n")
    return forge(rng, names, text, bad, good, **shared)


def cache_eviction(rng: random.Random) -> Sample:
    """An entry from a small cache is held over an insertion that may evict and free it; right: it is used before,
    copied, or looked up again."""
    names = cast(
        rng,
        T="page tile icon glyph record thumb entry",
        C="cache pool shelf store atlas",
        get=mix("find lookup peek", "page slot entry key"),
        put=mix("insert load add fetch_into", "page entry new one"),
        fn=mix("compare blend join merge draw diff", "pair two both keys"),
        c="c ca pool1 sh",
        k="key id no tag",
        a="p first lhs one",
        b="q second rhs two",
        f="weight width hits score",
        g="age stamp used tick",
        s="slot cells ring tab",
        i="i n at",
        nxt="next victim hand pos",
        x="x k1 from left",
        y="y k2 to right",
        v="v keep w tmp",
        r="out r sum res",
    )
    n = rng.choice((2, 3, 4, 5, 8))
    evict = rng.choice(
        (
            "free($c->$s[$i]);\n$c->$s[$i] = $b;",
            "if (OK($c->$s[$i])) free($c->$s[$i]);\n$c->$s[$i] = $b;",
            "struct $T *$v = $c->$s[$i];\n$c->$s[$i] = $b;\nfree($v);",
        )
    )
    pos = rng.choice((f"int $i = $c->$nxt++ % {n};", f"int $i = $k % {n};"))
    text = f"""
        struct $T {{
            unsigned $k;
            int $f;
            int $g;
        }};

        struct $C {{
            struct $T *$s[{n}];
            unsigned $nxt;
        }};

        static struct $T *$get(struct $C *$c, unsigned $k)
        {{
            for (int $i = 0; $i < {n}; $i++)
                if (OK($c->$s[$i]) && $c->$s[$i]->$k == $k)
                    return $c->$s[$i];
            return NULL;
        }}

        static struct $T *$put(struct $C *$c, unsigned $k)
        {{
            {pos}
            struct $T *$b = calloc(1, sizeof(*$b));

            if (NUL($b)) abort();
            $b->$k = $k;
            $b->$f = $k % 31;
            @evict
            return $b;
        }}

        int $fn(struct $C *$c, unsigned $x, unsigned $y)
        {{
            int $r = 0;
            @get1
            @n0
            @get2
            @use
            return $r;
        }}
        """
    found = "struct $T *$a = $get($c, $x);\nif (NUL($a)) return -1;"
    ga = found if "$nxt" in pos else rng.choice((found, "struct $T *$a = $put($c, $x);"))
    gb = "struct $T *$b = $put($c, $y);"
    pb = "struct $T *$b = $get($c, $y);\nif (NUL($b)) return -1;"
    why = "$put may have evicted and freed $a"
    calc = rng.choice(("$a->$f + $b->$f", "$b->$f - $a->$f", "$a->$f * $b->$f", "$a->$f > $b->$f"))
    keep = "int $v = $a->$f;"
    calc2 = calc.replace("$a->$f", "$v")
    again = "$a = $get($c, $x);\nif (NUL($a)) return -2;"
    same = [
        (
            way(why, get1=ga, get2=gb, use=f"! $r = {calc};"),
            way("$v was read before $put", get1=f"{ga}\n! {keep}", get2=gb, use=f"$r = {calc2};"),
        ),
        (
            way(why, get1=f"{ga}\nint $v = $a->$g;", get2=gb, use=f"! $r = {calc} + $v;"),
            way("$v was read before $put", get1=f"{ga}\n! {keep}", get2=gb, use=f"$r = {calc2} + $v;"),
        ),
        (
            way(why, get1=ga, get2=f"{gb}\n! $r = $a->$f;", use="$r += $b->$f;"),
            way("$a->$f is read before $put", get1=ga, get2=f"! $r = $a->$f;\n{gb}", use="$r += $b->$f;"),
        ),
        (
            way(why, get1=ga, get2=f"{gb}\nif (NUL($a)) return -2;", use=f"! $r = {calc};"),
            way("$a is looked up anew after $put", get1=ga, get2=f"{gb}\n! {again}", use=f"if ($a != $b) $r = {calc};"),
        ),
        (
            way(why, get1=ga, get2="! " + gb, use=f"$r = {calc};"),
            way("$get frees nothing", get1=ga, get2="! " + pb, use=f"$r = {calc};"),
        ),
        (
            way(why, get1=ga, get2=gb, use="$r = $b->$f;\n! $a->$g++;"),
            way("only $b, the newest, is touched", get1=f"{ga}\n$r = $a->$f;", get2=gb, use="! $b->$g++;"),
        ),
        (
            way(why, get1=ga, get2=f"{gb}\n$b->$g = 1;", use="! $r = $a->$f;"),
            way("$b, the newest, is read", get1=ga, get2=f"{gb}\n! $a = $b;", use="$r = $a->$f;"),
        ),
    ]
    bad, good = rng.choice(same)
    return forge(rng, names, text, bad, good, evict=evict)


def growing_elements(rng: random.Random) -> Sample:
    """The address of an element is kept over a push that may move the array; right: an index is kept, or the address
    is taken anew, or the push comes later."""
    names = cast(
        rng,
        T="point edge cell token step face symbol frame",
        V="list mesh vec table path stack_of bag",
        push=mix("push append add emit insert", "one item cell value"),
        v="v lst tab m bag1 l",
        d="at items data arr cells",
        n="n used len count",
        cap="cap room size limit",
        fn=mix("split extend copy double grow repeat", "path list run tail all"),
        x="x key id kind",
        y="y cost weight depth",
        p="p e cur it",
        q="q other tip nw",
        i="i idx k where",
        w="w val a num",
        t="t fresh bigger moved",
    )
    grow = rng.choice(("$v->$cap ? $v->$cap * 2 : 4", "$v->$cap + 8", "($v->$cap + 1) * 2"))
    text = f"""
        struct $T {{
            int $x, $y;
        }};

        struct $V {{
            struct $T *$d;
            int $n, $cap;
        }};

        static int $push(struct $V *$v, int $w)
        {{
            if ($v->$n == $v->$cap) {{
                int $i = {grow};
                struct $T *$t = realloc($v->$d, $i * sizeof(*$t));

                if (NUL($t)) return -1;
                $v->$d = $t;
                $v->$cap = $i;
            }}
            $v->$d[$v->$n].$x = $w;
            $v->$d[$v->$n++].$y = 0;
            return 0;
        }}

        int $fn(struct $V *$v, int $i)
        {{
            if ($i < 0 || $i >= $v->$n) return -1;
            @start
            @n0
            @body
            return 0;
        }}
        """
    el = rng.choice(("&$v->$d[$i]", "$v->$d + $i"))
    last = rng.choice(("&$v->$d[$v->$n - 1]", "$v->$d + $v->$n - 1"))
    sep = rng.choice(("if (%s) return -1;", "if (%s < 0) return -1;", "if (%s != 0) return -2;"))
    arg = rng.choice(("$v->$d[$i].$x", "$i * 2", "$v->$n", "7"))
    call = sep % f"$push($v, {arg})"
    touch = rng.choice(("$p->$y++;", "$p->$x += $i;", "$p->$y = $v->$n;", "$v->$d[0].$y += $p->$x;"))
    get, direct = f"struct $T *$p = {el};", touch.replace("$p->", "$v->$d[$i].")
    why = "$push may have moved $v->$d, and $p points into the old array"
    idle = rng.choice(("\nif ($i >= $v->$n) return -2;", "\nif (NUL($p)) return -2;", "\nif (!$v->$d) return -2;", ""))
    same = [
        (
            way(why, start=f"! {get}", body=f"{call}\n{touch}"),
            way(
                "the index $w is kept over $push",
                start="! int $w = $i;",
                body=f"{call}\n{direct.replace('$i]', '$w]')}",
            ),
        ),
        (
            way(why, start=get, body=f"! {call}\n{touch}"),
            way("$p is used before $push", start=get, body=f"! {touch}\n{call}"),
        ),
        (
            way(why, body=f"struct $T *$p;\n! $p = {el};\n{call}\n{touch}"),
            way("$p is taken after $push", body=f"struct $T *$p;\n{call}\n! $p = {el};\n{touch}"),
        ),
        (
            way(why, start=get, body=f"{call}{idle}\n! {touch}"),
            way("the element is found by its index after $push", start=get, body=f"{call}\n! {direct}"),
        ),
        (
            way(why, start=get, body=f"{call}{idle}\nstruct $T *$q = {last};\n! {touch}"),
            way(
                "$q is taken after $push",
                start=get,
                body=f"{call}\nstruct $T *$q = {last};\n! {touch.replace('$p->', '$q->')}",
            ),
        ),
        (
            way(why, body=f"! struct $T *$p = {el};\nfor (int $w = 0; $w < 3; $w++) {{\n    {call}\n    {touch}\n}}"),
            way(
                "$p is taken anew after each $push",
                body=f"for (int $w = 0; $w < 3; $w++) {{\n    {call}\n    ! struct $T *$p = {el};\n    {touch}\n}}",
            ),
        ),
        (
            way(why, start=get, body=f"if ($v->$n > $i + 1) $push($v, $p->$x);\n! {touch}"),
            way(
                "the way with $push leaves before $p is used",
                start=get,
                body=f"! if ($v->$n > $i + 1) return $push($v, $p->$x);\n{touch}",
            ),
        ),
        (
            way(why, start=get, body=f"! if ($v->$n > 64) return -3;\n{call}\n{touch}"),
            way(
                "$push cannot move the array when there is room",
                start=get,
                body=f"! if ($v->$n >= $v->$cap) return -3;\n{call}\n{touch}",
            ),
        ),
    ]
    bad, good = rng.choice(same)
    return forge(rng, names, text, bad, good)


def ring_removal(rng: random.Random) -> Sample:
    """A node is taken out of a list and freed while the list's end, cursor or the walk still leads to it; right: that
    pointer is moved on before."""
    names = cast(
        rng,
        T="window toast countdown watch lane stop guest",
        Q="desktop ring wheel board lobby round",
        nx="next succ after down",
        pv="prev pred before over",
        hd="head first top",
        cur="focus cursor active turn",
        v="id no key tag",
        f="height ticks points age",
        fn=mix("close remove kick drop expire cancel", "one window guest by_id old"),
        q="q d w ring1",
        n="n it node victim",
        m="m prior trail last",
        x="x want id1 no1",
        r="r out left_over rc",
        show=mix("focused current active", "id value no"),
        t="t nxt fresh after1",
    )
    struct = (
        "struct $T {\n    int $v, $f;\n    struct $T *$nx;\n};\n\nstruct $Q {\n    struct $T *$hd;\n"
        "    struct $T *$cur;\n};\n\n"
    )
    shape = rng.choice(("cursor", "chain", "expire"))
    show = "int $show(const struct $Q *$q)\n{\n    return OK($q->$cur) ? $q->$cur->$f : -1;\n}\n\n"
    if shape == "cursor":
        text = (
            struct
            + show
            + (
                "int $fn(struct $Q *$q, int $x)\n{\n    struct $T **$m = &$q->$hd;\n    int $r = 0;\n\n"
                "    while (OK(*$m) && (*$m)->$v != $x)\n        $m = &(*$m)->$nx;\n    struct $T *$n = *$m;\n"
                "    if (NUL($n)) return -1;\n    *$m = $n->$nx;\n    @n0\n    @body\n    $r += $show($q);\n"
                "    return $r;\n}"
            ).replace("OK(*$m)", "*$m")
        )
        why = "$q->$cur may be $n, which was freed, and $show reads it"
        count = "$r = $n->$f;\n"
        other = rng.choice(("$q->$hd", "NULL", "$n->$nx"))
        same = [
            (
                way(why, body=f"{count}! if ($q->$hd == $n) $q->$hd = {other};\nfree($n);"),
                way(
                    "$q->$cur is moved when it is $n",
                    body=f"{count}! if ($q->$cur == $n) $q->$cur = {other};\nfree($n);",
                ),
            ),
            (
                way(why, body=f"{count}! if ($q->$cur != $n) $q->$cur = $q->$hd;\nfree($n);"),
                way(
                    "$q->$cur is moved when it is $n",
                    body=f"{count}! if ($q->$cur == $n) $q->$cur = $q->$hd;\nfree($n);",
                ),
            ),
            (
                way(why, body=f"{count}if ($q->$cur == $n) $r++;\n! free($n);"),
                way("the node in $q->$cur is kept", body=f"{count}if ($q->$cur == $n) $r++;\n! else free($n);"),
            ),
            (
                way(why, body="if ($q->$cur == $n) $r = $n->$v;\n! $n->$nx = NULL;\nfree($n);"),
                way(
                    "$q->$cur no longer holds $n",
                    body="if ($q->$cur == $n) $r = $n->$v;\n! $q->$cur = NULL;\nfree($n);",
                ),
            ),
            (
                way(why, body=f"{count}free($n);\n! $n = NULL;"),
                way("$q->$cur no longer holds $n", body=f"{count}free($n);\n! $q->$cur = NULL;"),
            ),
        ]
    elif shape == "chain":
        text = struct + (
            "int $fn(struct $Q *$q, int $x)\n{\n    struct $T *$n = $q->$hd, *$m = NULL;\n    int $r = -1;\n\n"
            "    while (OK($n) && $n->$v != $x) {\n        $m = $n;\n        $n = $n->$nx;\n    }\n"
            "    if (NUL($n)) return -1;\n"
            "    if ($q->$cur == $n) $q->$cur = NULL;\n    @n0\n    @body\n    @n1\n    return $r;\n}"
        )
        link = "if (OK($m)) $m->$nx = $n->$nx;\nelse $q->$hd = $n->$nx;"
        take = rng.choice(("$r = $n->$f;", "$r = $n->$v;"))
        same = [
            (
                way("$n->$nx is read after free($n)", body=f"{take}\n! free($n);\n{link}"),
                way("$n is unlinked before it is freed", body=f"{take}\n{link}\n! free($n);"),
            ),
            (
                way(f"{take} reads $n after free($n)", body=f"{link}\n! free($n);\n{take}"),
                way(f"{take} comes before free($n)", body=f"{link}\n! {take}\nfree($n);"),
            ),
            (
                way("$r is read from $n after free($n)", body=f"{link}\nfree($n);\nif (OK($m)) $m->$f++;\n! {take}"),
                way(
                    "$r is read from $m, which lives",
                    body=f"{link}\nfree($n);\nif (OK($m)) $m->$f++;\n! if (OK($m)) {take.replace('$n', '$m')}",
                ),
            ),
            (
                way(
                    "$n->$nx is read after free($n)",
                    body=f"{take}\nstruct $T *$t = $n;\nfree($n);\n! {link.replace('$n->', '$t->')}",
                ),
                way(
                    "$t is what followed $n",
                    body=f"{take}\nstruct $T *$t = $n->$nx;\nfree($n);\n! {link.replace('$n->$nx', '$t')}",
                ),
            ),
            (
                way(
                    "$n was freed while $q->$hd still leads to it when it is the first",
                    body=f"{take}\nif (OK($m)) $m->$nx = $n->$nx;\n! $q->$cur = $n->$nx;\nfree($n);\n"
                    f"if (OK($q->$hd)) $q->$hd->$f = 0;",
                ),
                way(
                    "$q->$hd is moved on when $n is the first",
                    body=f"{take}\nif (OK($m)) $m->$nx = $n->$nx;\n! else $q->$hd = $n->$nx;\nfree($n);\n"
                    f"if (OK($q->$hd)) $q->$hd->$f = 0;",
                ),
            ),
        ]
    else:
        text = struct + (
            "int $fn(struct $Q *$q, int $x)\n{\n    struct $T **$m = &$q->$hd;\n    struct $T *$n;\n"
            "    int $r = 0;\n\n    $q->$cur = NULL;\n"
            "    while (($n = *$m) != NULL) {\n        if ($n->$f LESS $x) {\n            @n0\n            @drop\n"
            "        } else {\n            $m = &$n->$nx;\n            @keep\n        }\n    }\n    @last\n"
            "    return $r;\n}"
        ).replace("LESS", rng.choice("<>"))
        sum_ = rng.choice(("$r += $n->$v;", "$r ^= $n->$v;", "$r -= $n->$f;"))
        same = [
            (
                way("$n->$nx is read after free($n)", drop=f"{sum_}\n! free($n);\n*$m = $n->$nx;"),
                way("$n is unlinked before free($n)", drop=f"{sum_}\n! *$m = $n->$nx;\nfree($n);"),
            ),
            (
                way("$n is read after free($n)", drop=f"*$m = $n->$nx;\n! free($n);\n{sum_}"),
                way("$n is read before free($n)", drop=f"*$m = $n->$nx;\n! {sum_}\nfree($n);"),
            ),
            (
                way("$m is set into $n, which was freed", drop=f"{sum_}\n*$m = $n->$nx;\n! $m = &$n->$nx;\nfree($n);"),
                way("$m stays where it is", drop=f"{sum_}\n*$m = $n->$nx;\n! $n->$nx = NULL;\nfree($n);"),
            ),
            (
                way(
                    "$q->$cur is a node that is freed",
                    drop="! $q->$cur = $n;\n*$m = $n->$nx;\nfree($n);",
                    last="if (OK($q->$cur)) $r += $q->$cur->$f;",
                ),
                way(
                    "$q->$cur is a node that stays",
                    drop="*$m = $n->$nx;\nfree($n);",
                    keep="! $q->$cur = $n;",
                    last="if (OK($q->$cur)) $r += $q->$cur->$f;",
                ),
            ),
        ]
    bad, good = rng.choice(same)
    return forge(rng, names, text, bad, good)


def shallow_twins(rng: random.Random) -> Sample:
    """Two objects share one inner block after a plain copy and one is torn down; right: the copy gets its own block, or
    the shared one is not touched after that."""
    names = cast(
        rng,
        T="brush style letter theme preset macro_def recipe",
        g="name text title body_of",
        f="size weight rank pages",
        x="flags mode kind level",
        dup=mix("copy clone derive twin", "of it from style"),
        end=mix("clear wipe release tear_down end", "it one all style"),
        fn=mix("rename edit swap preview test", "copy both twice draft"),
        a="a base src one orig",
        b="b twin draft tmp two",
        s="s it p self",
        d="d to dst out_it",
        w="w label1 word txt",
        r="r len rc sum",
        n="n lim width max_n",
    )
    own, share = "$d->$g = strdup($s->$g);", "$d->$g = $s->$g;"
    read = rng.choice(("$r = strlen(V.$g);", "$r += V.$g[0];", 'printf("%s %d\\n", V.$g, V.$f);', "V.$g[0] = 'A';"))
    flip = rng.random() < 0.5
    gone, kept = ("$b", "$a") if flip else ("$a", "$b")
    text = (
        "struct $T {\n    char *$g;\n    int $f;\n    int $x;\n};\n\n"
        "static void $end(struct $T *$s)\n{\n    free($s->$g);\n    $s->$g = NULL;\n    $s->$f = 0;\n}\n\n"
        "static int $dup(struct $T *$d, const struct $T *$s)\n{\n    @how\n    return OK($d->$g) ? 0 : -1;\n}\n\n"
        "int $fn(const char *$w, int $n)\n{\n    struct $T $a = {strdup($w), $n, 0}, $b = {NULL, 0, 0};\n"
        "    int $r = 0;\n\n"
        "    if (NUL($a.$g)) return -1;\n    if ($dup(&$b, &$a) != 0) { $end(&$a); return -1; }\n    @n0\n"
        "    @body\n    return $r;\n}"
    )
    deep = [f"*$d = *$s;\n{own}", f"$d->$f = $s->$f;\n$d->$x = $s->$x;\n{own}", f"memcpy($d, $s, sizeof(*$d));\n{own}"]
    flat = [
        "*$d = *$s;\n$d->$x = 1;",
        f"$d->$f = $s->$f;\n$d->$x = $s->$x;\n{share}",
        "memcpy($d, $s, sizeof(*$d));\n$d->$x++;",
    ]
    at = rng.randrange(3)
    v, o = read.replace("V", kept), read.replace("V", gone)
    why = f"{gone} and {kept} share one $g, and $end(&{gone}) freed it"
    plain = f"$end(&{gone});\n{v}"
    idle = rng.choice((f"{kept}.$f = $n + 1;", f"$r = {kept}.$f;", f"{kept}.$x |= 4;"))
    kinds = [
        (
            way(why, how=flat[at], body=f"{plain}\n{idle}\n@tail", tail=""),
            way(
                f"{kept} has its own $g",
                how=deep[at],
                body=f"{plain}\n{idle}\n@tail",
                tail=f"$end(&{kept});",
            ),
        ),
        (
            way(why, how=flat[at], body=f"{idle}\n! $end(&{gone});\n{v}"),
            way(f"the shared $g is read before $end(&{gone})", how=flat[at], body=f"{idle}\n! {v}\n$end(&{gone});"),
        ),
        (
            way(why, how=flat[at], body=f"{o}\n$end(&{gone});\n! {v}\n{idle}"),
            way(
                "only a number is read after the end",
                how=flat[at],
                body=f"{o}\n$end(&{gone});\n! $r += {kept}.$f * 10 + {kept}.$x;\n{idle}",
            ),
        ),
        (
            way(
                why, how=flat[at], body=f"$end(&{gone});\n! {kept}.$f = $n;\nif ({kept}.$f < 0) return -1;\n{v}\n{idle}"
            ),
            way(
                f"{kept} gets a new $g first",
                how=flat[at],
                body=f"$end(&{gone});\n! {kept}.$g = strdup($w);\nif (NUL({kept}.$g)) return -1;\n{v}\n{idle}",
            ),
        ),
        (
            way(why, how=flat[at], body=f"! {gone}.$f = $n / 2;\n$end(&{gone});\n{v}"),
            way(
                f"{gone} gives the shared $g up before $end",
                how=flat[at],
                body=f"! {gone}.$g = NULL;\n$end(&{gone});\n{v}",
            ),
        ),
        (
            way(f"{kept}.$g was freed by $end", how=deep[at], body=f"$end(&{gone});\n! free({kept}.$g);\n{v}"),
            way(f"{kept} has its own $g, freed last", how=deep[at], body=f"$end(&{gone});\n! {v}\nfree({kept}.$g);"),
        ),
    ]
    bad, good = rng.choice(kinds)
    return forge(rng, names, text, bad, good)


def handler_frees_itself(rng: random.Random) -> Sample:
    """A loop calls a handler that frees its object when it is done, and then reads the object; right: the loop reads
    what it needs before the call, or only what is still alive."""
    names = cast(
        rng,
        T="watcher job task conn alarm_rec worker probe",
        Q="loop_state sched engine hub poller",
        nx="next link follow",
        run="step poll work tick_fn fire",
        id="id no fd slot",
        left="left todo ticks budget",
        hd="head jobs all first",
        n="done_count served loops total",
        q="l sched1 e hub1",
        tick=mix("run step poll fire advance", "one job it once"),
        fn=mix("run spin drive turn", "all loop round queue"),
        j="j it w cur",
        k="k nxt after then",
        last="last recent seen busy",
        r="r rc more alive",
        log=mix("note trace report", "id run end"),
        v="v what num x",
    )
    done = rng.choice(("0", "1"))
    more = "1" if done == "0" else "0"
    isdone = rng.choice(("!$r", "$r == 0")) if done == "0" else rng.choice(("$r", "$r != 0"))
    ismore = rng.choice(("$r", "$r == 1")) if done == "0" else rng.choice(("!$r", "$r == 0"))
    text = (
        "struct $T {\n    int $id;\n    int $left;\n    struct $T *$nx;\n};\n\nstruct $Q {\n    int $n;\n"
        "    int $last;\n};\n\n"
        f"static int $tick(struct $Q *$q, struct $T *$j)\n{{\n    if (--$j->$left > 0) return {more};\n"
        f"    $q->$n++;\n    free($j);\n    return {done};\n}}\n\n"
        'static void $log(int $v)\n{\n    printf("FMT\\n", $v);\n}\n\n'
    ).replace("FMT", rng.choice(("%d", "job %d", "<%d>", "at %d")))
    shape = rng.choice(("list", "single"))
    look = rng.choice(("$log($j->$id);", "$q->$last = $j->$id;", "$q->$last += $j->$left;", "$log($j->$left);"))
    idle = rng.choice(("$log($q->$n);", "$q->$last = $q->$n;", "$log(-1);"))
    if shape == "list":
        text += (
            "struct $T *$fn(struct $Q *$q, struct $T *$j)\n{\n    struct $T *$k = NULL, *$v = NULL;\n    int $r;\n\n"
            "    while (OK($j)) {\n        @pre\n        $r = $tick($q, $j);\n        @post\n        @step\n"
            "    }\n    return $v;\n}"
        )
        keep = f"if ({ismore}) {{\n    $j->$nx = $v;\n    $v = $j;\n}}"
        same = [
            (
                way(
                    "$j->$nx is read after $tick may have freed $j",
                    pre=look,
                    post="! $k = $j->$nx;\n" + keep,
                    step="$j = $k;",
                ),
                way("$j->$nx is read before $tick", pre=f"{look}\n! $k = $j->$nx;", post=keep, step="$j = $k;"),
            ),
            (
                way(
                    "$j may be freed by $tick when it is read",
                    pre="$k = $j->$nx;",
                    post=f"! {look}\n{keep}",
                    step="$j = $k;",
                ),
                way("$j is read before $tick", pre=f"$k = $j->$nx;\n! {look}", post=keep, step="$j = $k;"),
            ),
            (
                way(
                    "$j was freed by $tick when it is done",
                    pre="$k = $j->$nx;",
                    post=f"! if ({isdone}) {look}\n{keep}",
                    step="$j = $k;",
                ),
                way(
                    "$j is read only when it lives on",
                    pre="$k = $j->$nx;",
                    post=f"! if ({ismore}) {look}\n{keep}",
                    step="$j = $k;",
                ),
            ),
            (
                way(
                    "a done $j was freed and is put into $v",
                    pre="$k = $j->$nx;",
                    post=f"! {keep.replace(ismore, isdone)}",
                    step="$j = $k;",
                ),
                way("only a living $j is put into $v", pre="$k = $j->$nx;", post=f"! {keep}", step="$j = $k;"),
            ),
        ]
    else:
        text += (
            "int $fn(struct $Q *$q, int $v)\n{\n    struct $T *$j = calloc(1, sizeof(*$j));\n    int $r, $k = 0;\n\n"
            "    if (NUL($j)) return -1;\n    $j->$id = $v;\n    $j->$left = $v % 7;\n    @pre\n    do {\n"
            "        @in\n        $r = $tick($q, $j);\n        @post\n"
            f"    }} while ({ismore});\n    @step\n    return $k;\n}}"
        )
        val = rng.choice(("$j->$id", "$j->$left"))
        same = [
            (
                way("$j may be freed by $tick when it is read", **{"in": idle, "post": f"! {look}"}),
                way("$j is read before $tick", **{"in": f"! {look}", "post": idle}),
            ),
            (
                way("$j is freed once the loop ends", **{"in": look, "step": f"! $k = {val};"}),
                way("$k was read while $j lived", **{"in": f"{look}\n! $k = {val};"}),
            ),
            (
                way("a done $j is freed when it is read", post=f"! if ({isdone}) {look}", step=idle),
                way("$j is read only while it lives", post=f"! if ({ismore}) {look}", step=idle),
            ),
            (
                way(
                    "the loop is left when $j is freed, and then it is read",
                    pre=look,
                    post="$k++;",
                    step=f"! {look}\n{idle}",
                ),
                way("$j is only read before the loop", pre=look, post="$k++;", step=f"! $q->$last = $v;\n{idle}"),
            ),
        ]
    bad, good = rng.choice(same)
    return forge(rng, names, text, bad, good)


def retry_leftover(rng: random.Random) -> Sample:
    """A failed try or a state of a switch frees the working buffer and control then runs on to a use of it; right: that
    path leaves, goes round, or makes a new one."""
    names = cast(
        rng,
        B="buffer scratch frame work_area line_buf",
        d="data bytes raw mem",
        n="len used fill",
        fn=mix("fetch load pull read decode", "frame block page line"),
        get=mix("recv read_in fill poll", "part some chunk raw"),
        b="b buf w scratch1",
        c="tries i round attempt",
        r="r got rc nread",
        s="src in from feed",
        st="st state mode step",
        o="out res sum ret",
        x="x op cmd kind",
        m="m p bytes2 t",
    )
    size = rng.choice((32, 64, 128, 256))
    tries = rng.choice((2, 3, 4, 5))
    if rng.random() < 0.5:
        text = (
            f"static int $get(const char *$s, char *$m, int $c)\n{{\n    int $r = strlen($s);\n\n"
            f"    if ($r < $c * {rng.choice((2, 3, 5))} || $r >= {size}) return -1;\n"
            "    memcpy($m, $s, $r + 1);\n    return $r;\n}\n\n"
            f"int $fn(const char *$s, int $x)\n{{\n    int $c, $r = -1, $o = 0;\n    char *$b = NULL;\n\n"
            f"    for ($c = 0; $c < {tries}; $c++) {{\n"
            f"        $b = malloc({size});\n        if (NUL($b)) return -1;\n"
            f"        $r = $get($s, $b, $x - $c);\n        if ($r < 0) {{\n            @fail\n        }}\n"
            "        @n0\n        @work\n        @end\n    }\n    @after\n    return $o;\n}"
        )
        work = rng.choice(
            ("$o += $b[0];", "$o += strlen($b);", "$b[$r > 0 ? $r - 1 : 0] = 0;", 'printf("%.8s\\n", $b);')
        )
        why = "after a failed $get $b is freed and used all the same"
        mut = rng.choice(("$o--;", "$o = -$c;", 'fprintf(stderr, "again\\n");', "$x--;"))
        out = rng.choice(("continue;", "return -2;", "break;"))
        same = [
            (
                way(why, fail=f"free($b);\n! {mut}", work=work, end="if ($r > 0) { free($b); break; }"),
                way("a failed try leaves that round", fail=f"free($b);\n! {out}", work=work, end="free($b);\nbreak;"),
            ),
            (
                way(why, fail=f"! free($b);\n{mut}", work=work, end="if ($r >= 0) free($b);"),
                way("$b is freed at the end of each round", fail=f"! $b[0] = 0;\n{mut}", work=work, end="free($b);"),
            ),
            (
                way(
                    "$b is freed in each round and read after the last",
                    fail="$o--;",
                    work=rng.choice(("$o += $r;", "$o ^= $r;")),
                    end="free($b);",
                    after="! if ($r > 0) $o += $b[0];",
                ),
                way(
                    "$b is read before it is freed",
                    fail="$o--;",
                    work="! if ($r > 0) $o += $b[0];",
                    end="free($b);",
                    after=rng.choice(("$o += $r;", "$o ^= $r;")),
                ),
            ),
            (
                way(why, fail=f"free($b);\n{mut}", work=f"! if ($c >= 0) {work}", end="if ($r >= 0) free($b);"),
                way(
                    "$b is used only after a good $get",
                    fail=f"free($b);\n{mut}",
                    work=f"! if ($r >= 0) {work}",
                    end="if ($r >= 0) free($b);",
                ),
            ),
            (
                way(
                    "the last failed try has freed $b",
                    fail="free($b);\ncontinue;",
                    work="$o += $r;",
                    end="break;",
                    after=f"! if ($c <= {tries}) $o += $b[0];",
                ),
                way(
                    "the loop ended early with a good $b",
                    fail="free($b);\ncontinue;",
                    work="$o += $r;",
                    end="break;",
                    after=f"! if ($c < {tries}) $o += $b[0];",
                ),
            ),
        ]
    else:
        a, b, c, d = rng.sample("acdefghkmpqrstwx", 4)
        text = (
            f"int $fn(const char *$x)\n{{\n    char *$b = calloc(1, {size});\n    int $n = 0, $o = 0;\n\n"
            f"    if (NUL($b)) return -1;\n"
            f"    for (; *$x; $x++) {{\n        switch (*$x) {{\n        case '{a}':\n"
            f"            $n = ($n + 1) % {size};\n            $b[$n] = *$x;\n            break;\n"
            f"        case '{b}':\n            @drop\n        case '{c}':\n            @use\n"
            f"            break;\n        case '{d}':\n            @quit\n        default:\n"
            f"            $o++;\n        }}\n    }}\n"
            "    @last\n    return $o;\n}"
        )
        use = rng.choice(("$o += $b[$n];", "$b[0] = $n;", "$o = $b[0] + $n;"))
        exits = rng.choice(("return $o;", "return -2;", "return $n;"))
        why = "after free($b) the next use of $b is still reached"
        fill = rng.choice(("$o--;", "$n = 0;", "$o += 2;"))
        same = [
            (
                way(why, drop=f"free($b);\n! {fill}", use=use, quit=f"free($b);\n{exits}", last="free($b);"),
                way(
                    "nothing is used after free($b)",
                    drop=f"free($b);\n! {exits}",
                    use=use,
                    quit=f"free($b);\n{exits}",
                    last="free($b);",
                ),
            ),
            (
                way(why, drop=f"! free($b);\n{fill}", use=use, quit=f"{fill}\nbreak;", last="free($b);"),
                way(
                    "$b is only freed at the end",
                    drop=f"! $b[0] = 0;\n{fill}",
                    use=use,
                    quit=f"{fill}\nbreak;",
                    last="free($b);",
                ),
            ),
            (
                way(why, drop=f"{fill}\nbreak;", use=use, quit="free($b);\n! break;", last=""),
                way(
                    "the function is left after free($b)",
                    drop=f"{fill}\nbreak;",
                    use=use,
                    quit=f"free($b);\n! {exits}",
                    last="free($b);",
                ),
            ),
            (
                way(why, drop=f"{fill}\nbreak;", use=use, quit="free($b);\n! $n = 0;\nbreak;", last=""),
                way(
                    "$b is a new block after free($b)",
                    drop=f"{fill}\nbreak;",
                    use=use,
                    quit=f"free($b);\n! $b = calloc(1, {size});\nif (NUL($b)) return -1;\nbreak;",
                    last="",
                ),
            ),
            (
                way(why, drop="! free($b);\nbreak;", use=use, quit=f"{fill}\nbreak;", last=""),
                way(
                    "the function is left after free($b)",
                    drop=f"! {fill}\nbreak;",
                    use=use,
                    quit=f"free($b);\n{exits}",
                    last="",
                ),
            ),
        ]
    bad, good = rng.choice(same)
    return forge(rng, names, text, bad, good)


def reload_borrow(rng: random.Random) -> Sample:
    """A pointer borrowed from a settings object is kept over a reload that frees the old one; right: it is taken after
    the reload, copied before, or read from the new object."""
    names = cast(
        rng,
        T="config settings profile_set theme policy dictionary",
        C="server app daemon kiosk editor printer",
        g="host path title motd font",
        f="port width depth quota",
        load=mix("load read build make", "config file defaults it"),
        re=mix("reload refresh renew apply swap_in", "config settings all now"),
        fn=mix("serve handle restart on_signal greet", "client request tick again"),
        cfg="cfg conf set_now active",
        old="old prior was before1",
        s="s app1 srv ctx",
        a="name where label shown",
        b="port1 num limit q",
        n="n seed ver kind",
        t="t fresh neu c",
        c="c snap view held",
        r="r rc out res",
        buf="buf keep tmp line",
    )
    size = rng.choice((32, 48, 64))
    inner = rng.random() < 0.5
    free_inner = "free($old->$g);\n    " if inner else ""
    field = "char *$g;" if inner else f"char $g[{size}];"
    word = rng.choice(("main", "node", "v", "host"))
    fill = (
        f'$t->$g = malloc({size});\n    if (NUL($t->$g)) abort();\n    snprintf($t->$g, {size}, "{word}%d", $n);'
        if inner
        else f'snprintf($t->$g, sizeof($t->$g), "{word}%d", $n);'
    )
    swap = rng.choice(
        (
            "$s->$cfg = $load($n);\n    FREE",
            "struct $T *$t = $load($n);\n    $s->$cfg = $t;\n    FREE",
            "FREE\n    $s->$cfg = $load($n);",
        )
    )
    swap = swap.replace("FREE", f"{free_inner}free($old);")
    text = (
        f"struct $T {{\n    {field}\n    int $f;\n}};\n\nstruct $C {{\n    struct $T *$cfg;\n}};\n\n"
        f"static struct $T *$load(int $n)\n{{\n    struct $T *$t = malloc(sizeof(*$t));\n\n"
        f"    if (NUL($t)) abort();\n    {fill}\n    $t->$f = $n * 10;\n    return $t;\n}}\n\n"
        f"static void $re(struct $C *$s, int $n)\n{{\n    struct $T *$old = $s->$cfg;\n\n    {swap}\n}}\n\n"
        "int $fn(struct $C *$s, int $n)\n{\n    int $r = 0;\n    @n0\n    @body\n    return $r;\n}"
    )
    call = rng.choice(("$re($s, $n);", "if ($n > 0) $re($s, $n);", "if ($s->$cfg->$f < $n) $re($s, $n + 1);"))
    put = rng.choice(('printf("%s\\n", V);', "$r = V[0] == 'm';", "$r += strlen(V);", '$r = strcmp(V, "main1");'))
    a, direct = put.replace("V", "$a"), put.replace("V", "$s->$cfg->$g")
    take, num = "const char *$a = $s->$cfg->$g;", "int $b = $s->$cfg->$f;"
    grab = "struct $T *$c = $s->$cfg;"
    use_c = put.replace("V", "$c->$g") if rng.random() < 0.5 else "$r += $c->$f;"
    copy = f'char $buf[{size}];\nsnprintf($buf, sizeof($buf), "%s", $s->$cfg->$g);'
    noise = rng.choice(("$r--;", "$s->$cfg->$f++;", "if ($s->$cfg->$f > 90) $r = 3;"))
    idle, idle_c = rng.choice((("", ""), ("if (OK($a) && $a[0]) ", "if (OK($c) && $c->$f != 1) ")))
    why, why_c = "$a points into the settings that $re freed", "$c is the old object, freed by $re"
    kinds = [
        (
            way(why, body=f"! {take}\n{num}\n{call}\n{a}\n$r += $b;"),
            way("$a is taken after $re", body=f"{num}\n{call}\n! {take}\n{a}\n$r += $b;"),
        ),
        (
            way(why, body=f"{take}\n{call}\n{noise}\n! {idle}{a}"),
            way("the text is read from the new settings", body=f"{take}\n{call}\n{noise}\n! {direct}"),
        ),
        (
            way(why, body=f"{take}\n! {call}\n{a}\n{noise}"),
            way("$a is read before $re", body=f"{take}\n! {a}\n{call}\n{noise}"),
        ),
        (
            way(why_c, body=f"{grab}\n{call}\n{noise}\n! {idle_c}{use_c}"),
            way("$c is the new object", body=f"{grab}\n{call}\n{noise}\n! $c = $s->$cfg;\n{use_c}"),
        ),
        (
            way(why_c, body=f"{grab}\n{num}\n{call}\n! if ($b > 0) {use_c}"),
            way(
                "$c is used only when it is still the current object",
                body=f"{grab}\n{num}\n{call}\n! if ($c == $s->$cfg) {use_c}",
            ),
        ),
        (
            way(f"$buf is filled, but $a is used: {why}", body=f"{take}\n{copy}\n{call}\n! {a}"),
            way("$buf is a copy made before $re", body=f"{take}\n{copy}\n{call}\n! {put.replace('V', '$buf')}"),
        ),
        (
            way(f"$buf is a copy, but $a is read: {why}", body=f"{take}\n{copy}\n{call}\n! if ($buf[0] && $n) {a}"),
            way("$buf is a copy made before $re", body=f"{take}\n{copy}\n{call}\n! if ($n) {put.replace('V', '$buf')}"),
        ),
        (
            way(why_c, body=f"! struct $T **$c = &$s->$cfg, *$t = *$c;\n{call}\n{use_c.replace('$c->', '$t->')}"),
            way(
                "$c leads to the new object",
                body=f"! struct $T **$c = &$s->$cfg, *$t = *$c;\n{call}\n{use_c.replace('$c->', '(*$c)->')}",
            ),
        ),
    ]
    kinds[4] = kinds[4] if "if" in call or rng.random() < 0.5 else kinds[3]
    bad, good = rng.choice(kinds)
    if "! struct $T **" in bad.slots["body"]:
        bad, good = (way(side.why, body=side.slots["body"].replace("! ", "")) for side in (bad, good))
    return forge(rng, names, text, bad, good)


def parent_and_parts(rng: random.Random) -> Sample:
    """Tearing down a parent frees its parts too (or a part's end frees the parent) and one is used after that; right:
    the order is turned, or a helper that only detaches is called."""
    names = cast(
        rng,
        P="album folder team bus panel course order",
        T="photo file_ref member axle button lesson line_item",
        n="n count used filled",
        it="items parts kids list",
        up="owner parent home of1",
        v="id no price size",
        t="total sum tally weight",
        add=mix("add attach put join", "part item one to"),
        end=mix("close destroy end dispose", "album all whole set"),
        cut=mix("detach take remove pull", "part item last one"),
        fn=mix("build try_out demo report", "album set case all"),
        p="p al f1 box",
        q="q e it1 one",
        x="x k m y",
        i="i j at",
        r="r out res total1",
        show=mix("print list show", "part item id"),
    )
    cap = rng.choice((4, 6, 8))
    text = (
        f"struct $T {{\n    int $v;\n    struct $P *$up;\n}};\n\nstruct $P {{\n    struct $T *$it[{cap}];\n"
        f"    int $n;\n    int $t;\n}};\n\n"
        f"static struct $T *$add(struct $P *$p, int $x)\n{{\n    struct $T *$q = malloc(sizeof(*$q));\n\n"
        f"    if (NUL($q) || $p->$n == {cap}) abort();\n"
        "    $q->$v = $x;\n    $q->$up = $p;\n    $p->$t += $x;\n    $p->$it[$p->$n++] = $q;\n    return $q;\n}\n\n"
        "static void $end(struct $P *$p)\n{\n    @free\n}\n\n"
        "static void $cut(struct $P *$p, struct $T *$q)\n{\n    for (int $i = 0; $i < $p->$n; $i++) {\n"
        "        if ($p->$it[$i] != $q) continue;\n"
        "        $p->$it[$i] = $p->$it[--$p->$n];\n        $p->$t -= $q->$v;\n        return;\n    }\n}\n\n"
        "int $fn(int $x)\n{\n    struct $P *$p = calloc(1, sizeof(*$p));\n    struct $T *$q, *$i;\n"
        "    int $r = 0;\n\n    if (NUL($p)) return -1;\n"
        "    @adds\n    @n0\n    @body\n    return $r;\n}"
    )
    free_all = "for (int $i = 0; $i < $p->$n; $i++)\n    free($p->$it[$i]);\nfree($p);"
    free_one = "while ($p->$n > 0)\n    free($p->$it[--$p->$n]);\nfree($p);"
    adds = ["$q = $add($p, $x);", "$i = $add($p, $x + 2);"]
    rng.shuffle(adds)
    m, o = rng.choice((("$q", "$i"), ("$i", "$q")))
    use = rng.choice((f"$r = {m}->$v;", f'printf("%d\\n", {m}->$v);', f"{m}->$v = $x;", f"$r += {m}->$v * 2;"))
    tot = rng.choice(("$r += $p->$t;", "$r = $p->$t + $p->$n;", "$r -= $p->$n;"))
    why = f"$end freed {m} together with $p"
    pre = rng.choice((f"{o}->$v++;", "$r = $p->$n;", f"if ({o}->$v > 5) $r--;", ""))
    kinds = [
        (
            way(why, body=f"{pre}\n! $end($p);\n{use}"),
            way(f"{m} is used before $end", body=f"{pre}\n! {use}\n$end($p);"),
        ),
        (
            way(f"{why}, as only {o} was taken out", body=f"! $cut($p, {o});\n{pre}\n$end($p);\n{use}\nfree({o});"),
            way(
                f"{m} was taken out and is not freed by $end",
                body=f"! $cut($p, {m});\n{pre}\n$end($p);\n{use}\nfree({m});",
            ),
        ),
        (
            way("$p was freed by $end", body=f"{use}\n! $end($p);\n{tot}"),
            way("$p is read before $end", body=f"{use}\n! {tot}\n$end($p);"),
        ),
        (
            way(
                f"{m}->$up is $p, which was freed by $end",
                body=f"$cut($p, {m});\n{tot}\n$end($p);\n! $r += {m}->$up->$t;\nfree({m});",
            ),
            way(
                f"only {m} is read, which was taken out",
                body=f"$cut($p, {m});\n{tot}\n$end($p);\n! $r += {m}->$v + $x;\nfree({m});",
            ),
        ),
        (
            way(why, free=free_all, body=f"! $end($p);\n{use}"),
            way(f"{m} was taken out and $end comes last", free=free_all, body=f"! $cut($p, {m});\n{use}\n$end($p);"),
        ),
        (
            way(
                f"{m} is still in $p when it is freed, and $end frees nothing but reads it",
                free="while ($p->$n > 0)\n    $p->$t -= $p->$it[--$p->$n]->$v;\nfree($p);",
                body=f"{use}\n! free({m});\n$end($p);",
            ),
            way(
                f"{m} is taken out before it is freed",
                free="while ($p->$n > 0)\n    $p->$t -= $p->$it[--$p->$n]->$v;\nfree($p);",
                body=f"{use}\n! $cut($p, {m});\nfree({m});\n$end($p);",
            ),
        ),
        (
            way(f"$cut reads {m} after free({m})", body=f"{use}\n! free({m});\n$cut($p, {m});\n{tot}\n$end($p);"),
            way(f"$cut comes before free({m})", body=f"{use}\n! $cut($p, {m});\nfree({m});\n{tot}\n$end($p);"),
        ),
    ]
    bad, good = rng.choice(kinds)
    return forge(rng, names, text, bad, good, free=rng.choice((free_all, free_one)), adds="\n".join(adds))


def matching_conditions(rng: random.Random) -> Sample:
    """A block is freed under one condition and used under another that overlaps with it; right: the conditions exclude
    each other, or a flag set at the free is asked."""
    names = cast(
        rng,
        T="shot reply chunk sample tile record_buf",
        f="len kind mark level",
        g="bytes body cells data",
        fn=mix("finish store commit pass_on emit", "shot reply chunk record"),
        p="p it cur r1",
        m="mode how flags opts",
        n="n size want total",
        x="gone done kept dropped",
        r="r out rc sum",
        A="KEEP QUIET FAST LOCAL",
        B="SHOW LOG EXACT REMOTE",
        y="y lim top1 room",
        out="sum1 crc acc hash",
    )
    bits = rng.sample((1, 2, 4, 8, 16), 2)
    cap = rng.choice((8, 16, 32))
    text = (
        f"enum {{ $A = {bits[0]}, $B = {bits[1]} }};\n\nstruct $T {{\n    int $f;\n"
        f"    unsigned char $g[{cap}];\n}};\n\n"
        "int $fn(int $m, int $n, int $y)\n{\n    struct $T *$p = calloc(1, sizeof(*$p));\n"
        "    int $x = 0, $r = 0;\n\n    if (NUL($p)) return -1;\n"
        f"    $p->$f = $n & {cap - 1};\n    $p->$g[$p->$f] = $n;\n    @n0\n    @first\n    @mid\n    @n1\n"
        f"    @second\n    @last\n    return $r;\n}}"
    )
    use = rng.choice(("$r += $p->$f;", "$r = $p->$g[0];", 'printf("%d\\n", $p->$f);', "$p->$f++;", "$r ^= $p->$g[1];"))
    mid = rng.choice(
        (
            "$r += $n;",
            "for (int $out = 0; $out < 3; $out++)\n    $r += $out * $y;",
            'if ($y > 9) puts("big");',
            "$y -= $n;",
            "$r = $y * 2;",
        )
    )
    if mid == "$y -= $n;":
        mid = "$r -= $y;"
    pairs = [
        ("!($m & $A)", "$m & $A", "$m & $B"),
        ("$m & $B", "!($m & $B)", "!($m & $A)"),
        ("$n > $y", "$n <= $y", "$n >= $y"),
        ("$n < $y", "$n > $y", "$n < $y + 1"),
        ("$n == 0", "$n", "!$n"),
        ("$n < 4", "$n >= 4", "$n > 2"),
        ("$m == $A || $m == $B", "$m != $A && $m != $B", "$m != $A || $m != $B"),
        ("($m & $A) && $n > 3", "$n < 3", "$n > 2"),
        ("$n < 0 || $n > $y", "$n >= 0 && $n <= $y", "$n >= 0 || $n <= $y"),
        ("$y < 10", "$y > 10", "$n > 10"),
        ("$n % 2", "$n % 2 == 0", "$n % 3 == 0"),
        ("$m & ($A | $B)", "!($m & ($A | $B))", "!($m & $A)"),
    ]
    drop, keep, wrong = rng.choice(pairs)
    why = f"$p is freed when {drop} and used when {wrong}, and both can hold"
    ok = f"$p is used only when {keep}, and then it was not freed"
    early = rng.choice(("return $r;", "return -2;", "return 0;"))
    sort = rng.randrange(6)
    tail = f"if (!({drop})) free($p);"
    if sort <= 1:
        bad = way(why, first=f"if ({drop}) free($p);", second=f"! if ({wrong}) {use}", last=tail)
        good = way(ok, first=f"if ({drop}) free($p);", second=f"! if ({keep}) {use}", last=tail)
    elif sort == 2:
        first = f"if ({drop}) {{ free($p); $x = 1; }}"
        bad = way(why, first=first, second=f"! if ({wrong}) {use}", last="if (!$x) free($p);")
        good = way("$x tells whether $p was freed", first=first, second=f"! if (!$x) {use}", last="if (!$x) free($p);")
        if rng.random() < 0.5:
            bad = way(
                "$x is 1 where $p was freed, and there it is used",
                first=first,
                second=f"! if ($x) {use}",
                last="if (!$x) free($p);",
            )
    elif sort == 3:
        bad = way(
            "$p is freed and used after that", first=f"! if ({drop}) free($p);", second=f"if ($y != $n) {use}", last=""
        )
        good = way(
            "the function leaves right after the free",
            first=f"! if ({drop}) {{ free($p); {early} }}",
            second=f"if ($y != $n) {use}",
            last="free($p);",
        )
        if rng.random() < 0.6:
            done = f"if ({drop}) {{ free($p); $r = -1; }}"
            bad = way(
                "$p is freed, $r is set, and $p is used",
                first=done.replace("if (", "! if (", 1),
                second=f"if ($y != $n) {use}",
                last=f"if ({keep}) free($p);",
            )
            good = way(good.why, **(good.slots | {"last": f"if ({keep}) free($p);"}))
    elif sort == 4:
        bad = way(
            "$p is NULL only when it was not freed",
            first=f"if ({drop}) free($p);\n! else $p = NULL;",
            second=f"if (OK($p)) {use}",
            last="",
        )
        good = way(
            "$p is NULL once it was freed",
            first=f"if ({drop}) {{ free($p); $p = NULL; }}",
            second=f"if (OK($p)) {use}",
            last="free($p);",
        )
        if rng.random() < 0.6:
            first = f"if ({drop}) {{ free($p); CLEAR }}"
            bad = way(
                "$p is not NULL after free($p)",
                first=first.replace("CLEAR", rng.choice(("$x = 0;", "$r = 0;", "$x = 1;"))),
                second=f"if (OK($p)) {use}",
                last="",
            )
            good = way(
                "$p is NULL once it was freed",
                first=first.replace("CLEAR", "$p = NULL;"),
                second=f"if (OK($p)) {use}",
                last="",
            )
    else:
        bad = way(why, first=f"if ({drop}) free($p);", second=f"! if (OK($p)) {use}", last=tail)
        good = way(ok, first=f"if ({drop}) free($p);", second=f"! if ({keep}) {use}", last=tail)
        if rng.random() < 0.6:
            bad = way(why, first=f"! if ({drop}) free($p);", second=f"if ({wrong}) {use}", last=tail)
            good = way(
                "$p is used first and freed at the end",
                first=f"! if ({drop}) $r++;",
                second=f"if ({wrong}) {use}",
                last="free($p);",
            )
    return forge(rng, names, text, bad, good, mid=mid)


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-416", name="call_sequence_flow", language="c", held_out=True, make=call_sequence_flow),
    Family(cwe="CWE-416", name="alias_owner_flow", language="c", held_out=True, make=alias_owner_flow),
    Family(cwe="CWE-416", name="consuming_call", language="c", held_out=True, make=consuming_call),
    Family(cwe="CWE-416", name="cache_eviction", language="c", held_out=True, make=cache_eviction),
    Family(cwe="CWE-416", name="growing_elements", language="c", held_out=True, make=growing_elements),
    Family(cwe="CWE-416", name="ring_removal", language="c", held_out=True, make=ring_removal),
    Family(cwe="CWE-416", name="shallow_twins", language="c", held_out=True, make=shallow_twins),
    Family(cwe="CWE-416", name="handler_frees_itself", language="c", held_out=True, make=handler_frees_itself),
    Family(cwe="CWE-416", name="retry_leftover", language="c", held_out=True, make=retry_leftover),
    Family(cwe="CWE-416", name="reload_borrow", language="c", held_out=True, make=reload_borrow),
    Family(cwe="CWE-416", name="parent_and_parts", language="c", held_out=True, make=parent_and_parts),
    Family(cwe="CWE-416", name="matching_conditions", language="c", held_out=True, make=matching_conditions),
)
