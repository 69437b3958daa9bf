"""Pair families in C for CWE-476 (NULL pointer dereference)."""

from __future__ import annotations

import random

from training.families.contract import Family, Sample
from training.families.cwe_787 import way, weave


def alloc_record(rng: random.Random) -> Sample:
    """A record from malloc/calloc is filled unchecked, or checked late or wrongly; right: checked
    before use."""
    text = """
        struct $st {
            int $v;
            struct $st *$a;
        };

        struct $st *$fn(struct $st *$o, int $len)
        {
            struct $st *$b = ALLOC;
            @noise0
            @before
            @note
            ! $b->$v = $len;
            @after
            $b->$a = $o;
            @noise1
            return $b;
        }
        """.replace(
        "ALLOC", rng.choice(("malloc(sizeof(*$b))", "calloc(1, sizeof(*$b))", "malloc(sizeof(struct $st))"))
    )
    wrong = [
        way(
            "$o and $len are checked, but $b may be NULL",
            before="! if (NUL($o) || $len < 0) { free($b); return NULL; }",
        ),
        way("$o is checked, but $b may be NULL when malloc fails", before="! if (NUL($o)) return NULL;"),
        way("$b is checked only after $b->$v was written", after="if (NUL($b)) return NULL;"),
        way(
            "the check lets a NULL $b through when $len is 0 or less",
            before="! if (NUL($b) && $len > 0) return NULL;",
        ),
        way("the check returns on success, so $b is NULL below", before="! if (OK($b)) return $b;"),
    ]
    right = [
        way("a NULL $b returns before $b->$v is written", before="! if (NUL($b)) return NULL;"),
        way(
            "a NULL $b returns whatever $len is",
            before="! if (NUL($b) || $len < 0) { free($b); return NULL; }",
        ),
        way("a NULL $b returns $o before $b->$v is written", before="! if (NUL($b)) return $o;"),
    ]
    return weave(rng, text, wrong, right)


def environment_text(rng: random.Random) -> Sample:
    """getenv may give NULL, and it is measured without or with the wrong guard; right: a guard on that
    text."""
    text = """
        size_t $fn(const char *$src)
        {
            const char *$buf = getenv("$K1");
            const char *$buf2 = getenv("$K2");
            @noise0
            size_t $len = 0;

            @before
            @note
            @use
            @noise1
            return $len + ($buf2 ? 1 : 0);
        }
        """
    use = rng.choice(("$len = strlen($buf);", "$len = strcmp($buf, $src) == 0;", "$len = $buf[0] == '/';"))
    wrong = [
        way(
            "$buf2 and $src are checked but $buf may be NULL",
            before="! if (NUL($buf2) || NUL($src)) return 0;",
            use=use,
        ),
        way("$buf2 is checked but $buf may be NULL", before="! if (NUL($buf2)) return 0;", use=use),
        way("$buf is read before the check of $buf", use=f"! {use}\nif (NUL($buf)) return 0;"),
        way(
            "one of the two being set is enough to pass, so $buf may be NULL",
            before="! if (NUL($buf) && NUL($buf2)) return 0;",
            use=use,
        ),
        way(
            "$buf is taken as empty text by looking at *$buf, which may be NULL",
            before="! if (*$buf == '\\0') return 0;",
            use=use,
        ),
        way("only $src is checked, $buf may be NULL", use="! if (OK($src)) " + use),
    ]
    right = [
        way("a NULL $buf returns first", before="! if (NUL($buf)) return 0;", use=use),
        way("both being set is needed to pass", before="! if (NUL($buf) || NUL($buf2)) return 0;", use=use),
        way("$buf is used only when it is set", use="! if (OK($buf)) " + use),
        way("a NULL $buf becomes $src", before="! if (NUL($buf)) $buf = $src;", use=use),
    ]
    keys = rng.sample(
        ("HOME", "LANG", "TERM", "SHELL", "USER", "EDITOR", "TMPDIR", "PAGER", "DISPLAY", "MAIL", "TZ"), 2
    )
    return weave(rng, text, wrong, right, K1=keys[0], K2=keys[1])


def split_at_mark(rng: random.Random) -> Sample:
    """strchr may not find the mark and the place is written anyway; right: the place itself is checked."""
    text = """
        int $fn(char *$src, char **$o)
        {
            char *$a = $find($src, '$m');
            @noise0
            @before
            @note
            ! *$a = '\\0';
            @after
            *$o = $a + 1;
            @noise1
            return 0;
        }
        """
    wrong = [
        way(
            "$src and $o are checked but $a is NULL when there is no '$m'",
            before="! if (NUL($o) || $src == *$o) return $err;",
        ),
        way(
            "$src and $o are checked but $a is NULL when there is no '$m'",
            before="! if (NUL($src) || NUL($o)) return $err;",
        ),
        way("$src is checked but $a is NULL when there is no '$m'", before="! if (NUL($src)) return $err;"),
        way(
            "$src is looked at, but $a is NULL when there is no '$m'",
            before="! if ($src[0] == '\\0') return $err;",
        ),
        way("$a is checked only after *$a was written", after="if (NUL($a)) return $err;"),
        way(
            "*$a is read by the check itself, and $a may be NULL",
            before="! if (*$a != '$m' || NUL($a)) return $err;",
        ),
        way("$o is checked but $a is NULL when there is no '$m'", before="! if (NUL($o)) return $err;"),
    ]
    right = [
        way("a text without '$m' returns, as $a is NULL", before="! if (NUL($a)) return $err;"),
        way(
            "a NULL $a or one at the start of $src returns",
            before="! if (NUL($a) || $a == $src) return $err;",
        ),
        way("a NULL $a returns before *$a is read", before="! if (NUL($a) || *$a != '$m') return $err;"),
    ]
    return weave(rng, text, wrong, right, find=rng.choice(("strchr", "strrchr")), m=rng.choice(":=,;/-#+|."))


def list_search(rng: random.Random) -> Sample:
    """A list is searched and the loop runs off its end, or the miss is used; right: the end is checked
    first."""
    text = """
        struct $st {
            int $v;
            int $v2;
            struct $st *$a;
        };

        int $fn(struct $st *$o, int $len)
        {
            struct $st *$b = $o;
            @noise0
            @loop
                $b = $b->$a;
            @after
            @note
            @use
            return 0;
        }
        """
    use = rng.choice(("$b->$v2 = $len + 1;", "$b->$v2++;", "$b->$v2 -= 2;"))
    good_loop = "while (OK($b) && $b->$v != $len)"
    wrong = [
        way(
            "$b is NULL after the loop when $len is absent",
            loop=good_loop,
            after="! if (NUL($o) || $len < 0) return $err;",
            use=use,
        ),
        way(
            "the loop has no end when $len is absent, $b becomes NULL",
            loop="! while ($b->$v != $len)",
            after="if (NUL($b)) return $err;",
            use=use,
        ),
        way(
            "$b->$v is read before $b is checked, at the end of the list",
            loop="! while ($b->$v != $len && OK($b))",
            after="if (NUL($b)) return $err;",
            use=use,
        ),
        way("$b is NULL after the loop when $len is absent", loop=good_loop, use="! " + use),
        way(
            "$o is checked after the loop, but $b is NULL when $len is absent",
            loop=good_loop,
            after="! if (NUL($o)) return $err;",
            use=use,
        ),
    ]
    right = [
        way(
            "$b is checked in the loop and after it",
            loop="! " + good_loop,
            after="if (NUL($b)) return $err;",
            use=use,
        ),
        way("$b is checked before it is written", loop=good_loop, after="! if (NUL($b)) return $err;", use=use),
        way("$b is written only when it was found", loop=good_loop, use="! if (OK($b)) " + use),
    ]
    return weave(rng, text, wrong, right)


def two_files(rng: random.Random) -> Sample:
    """Two files are opened and the check takes in one of them or only both failing; right: either
    failing returns."""
    text = """
        int $fn(const char *$src, const char *$src2)
        {
            FILE *$a = fopen($src, "$mode");
            FILE *$b = fopen($src2, "w");
            @noise0
            @before
            ! fputs("$c\\n", $b);
            @note
            fputc(fgetc($a), $b);
            @after
            fclose($a);
            fclose($b);
            return 0;
        }
        """
    close = rng.choice(("if ($a) fclose($a); if ($b) fclose($b); ", "if ($b) fclose($b); if ($a) fclose($a); "))
    quit_ = "{ " + close + "return $err; }"
    wrong = [
        way("only both failing returns, so $a or $b may be NULL", before=f"! if (NUL($a) && NUL($b)) {quit_}"),
        way("$src2 is checked, the opened $b is not", before=f"! if (NUL($a) || NUL($src2)) {quit_}"),
        way("$b is checked only after it was used", after=f"if (NUL($a) || NUL($b)) {quit_}"),
        way("the check of $a is there twice, $b may be NULL", before=f"! if (NUL($a) || $a == NULL) {quit_}"),
        way(
            "the names are checked, the opened $a and $b are not",
            before=f"! if (NUL($src) || NUL($src2)) {quit_}",
        ),
    ]
    right = [
        way("$a or $b being NULL returns before they are used", before=f"! if (NUL($a) || NUL($b)) {quit_}"),
        way("$a or $b being NULL returns before they are used", before=f"! if (NUL($b) || NUL($a)) {quit_}"),
        way("going on needs both $a and $b", before=f"! if (!($a && $b)) {quit_}"),
    ]
    return weave(rng, text, wrong, right, mode=rng.choice(("r", "rb")))


def table_lookup(rng: random.Random) -> Sample:
    """A helper returns NULL for a miss and the caller forgets, or guards another result; right: this
    result is checked."""
    text = """
        struct $st { int $v; int $v2; };

        static struct $st $arr[$CAP];

        static struct $st *$fn2(int $i)
        {
            return $i >= 0 && $i < $CAP ? &$arr[$i] : NULL;
        }

        int $fn(int $len, int $len2)
        {
            struct $st *$a = $fn2($len);
            struct $st *$b = $fn2($len2);
            @noise0
            @before
            @note
            @use
            return 0;
        }
        """
    use = "$a->$v = $len2;\nif (OK($b)) $b->$v2++;"
    wrong = [
        way(
            "the range of $len2 is checked, $fn2 may miss $len",
            before="! if ($len2 < 0 || $len2 >= $CAP) return $err;",
            use=use,
        ),
        way(
            "$b is checked, $a is NULL when $fn2 misses $len",
            before="! if (NUL($b) || $len == 0) return $err;",
            use=use,
        ),
        way("$b is checked, $a is NULL when $fn2 misses $len", before="! if (NUL($b)) return $err;", use=use),
        way("$a may be NULL when $b is found", before="! if (NUL($a) && NUL($b)) return $err;", use=use),
        way(
            "$len is checked for 0 only, $fn2 gives NULL for others",
            before="! if ($len == 0) return $err;",
            use=use,
        ),
        way("$a is written before it is checked", use="! $a->$v = $len2;\nif (NUL($a)) return $err;"),
    ]
    right = [
        way("a NULL $a returns first", before="! if (NUL($a)) return $err;", use=use),
        way("either being NULL returns first", before="! if (NUL($b) || NUL($a)) return $err;", use=use),
        way(
            "$len is in the range in which $fn2 finds a cell",
            before="! if ($len < 0 || $len >= $CAP) return $err;",
            use=use,
        ),
        way("a NULL $a is replaced by a cell of $arr", before="! if (NUL($a)) $a = &$arr[0];", use=use),
    ]
    return weave(rng, text, wrong, right)


def chained_field(rng: random.Random) -> Sample:
    """A nullable link is followed before its test, or with the wrong operator; right: test first, then
    follow."""
    text = """
        struct $st2 { int $v; struct $st2 *$b; };
        struct $st {
            struct $st2 *$a; /* $remark */
            int $v2;
        };

        int $fn(const struct $st *$o, int $len)
        {
            @noise0
            int $len2 = $o->$v2;
            @note
            @test
                $len2 += $len;
            @noise1
            return $len2;
        }
        """
    op = rng.choice((">", "<", "==", "!=", ">=", "<="))
    read = f"$o->$a->$v {op} $len"
    wrong = [
        way("$a->$v is read before $a is tested", test=f"! if ({read} && OK($o->$a))"),
        way("the || reads $a->$v just when $a is NULL", test=f"! if (OK($o->$a) || {read})"),
        way("the && reads $a->$v just when $a is NULL", test=f"! if (NUL($o->$a) && {read})"),
        way("$v2 is tested, not $a, which may be NULL", test=f"! if ($o->$v2 != 0 && {read})"),
        way("$a->$v is read before $a is tested", test=f"! if ({read} || NUL($o->$a))"),
    ]
    right = [
        way("$a is tested before $a->$v is read", test=f"! if (OK($o->$a) && {read})"),
        way("the || reads $a->$v only when $a is not NULL", test=f"! if (NUL($o->$a) || {read})"),
        way("$a is tested before $a->$v is read", test=f"! if ($o->$v2 != 0 && OK($o->$a) && {read})"),
    ]
    remark = rng.choice(("may be NULL", "NULL if there is none", "optional", "NULL at the end", "unset: NULL"))
    return weave(rng, text, wrong, right, remark=remark)


def optional_callback(rng: random.Random) -> Sample:
    """A callback that may be unset is called behind the test of another one; right: behind its own test."""
    text = """
        struct $st {
            int (*$a)(int); /* $remark */
            int (*$b)(int, int); /* $remark */
        };

        int $fn(const struct $st *$o, int $v, int $len)
        {
            int $len2 = 0;
            @noise0
            @one
            @note
            @two
            @noise1
            return $len2;
        }
        """
    other = rng.choice(("if (OK($o->$b)) $len2 -= $o->$b($v, $len);", "if (OK($o->$b)) $len2 += $o->$b($len, $v);"))
    order = rng.sample(("one", "two"), 2)

    def both(mine: str) -> dict[str, str]:
        return {order[0]: mine, order[1]: other}

    wrong = [
        way("$b is tested but $a is called and may be NULL", **both("! if (OK($o->$b)) $len2 += $o->$a($v);")),
        way("$a is called just when it is NULL", **both("! if (NUL($o->$a)) $len2 += $o->$a($v);")),
        way(
            "$a is called before it is tested",
            **both("! $len2 += $o->$a($v);\nif (NUL($o->$a)) return $err;"),
        ),
        way("$o is tested but $a may be NULL", **both("! if (OK($o)) $len2 += $o->$a($v);")),
        way(
            "either of $a and $b lets the call of $a through",
            **both("! if (OK($o->$a) || OK($o->$b)) $len2 += $o->$a($v);"),
        ),
    ]
    right = [
        way("$a is called only when it is set", **both("! if (OK($o->$a)) $len2 += $o->$a($v);")),
        way("$a is tested and then called", **both("! if (NUL($o->$a)) return $err;\n$len2 += $o->$a($v);")),
        way(
            "$a and $b must be set for the call of $a",
            **both("! if (OK($o->$a) && OK($o->$b)) $len2 += $o->$a($v);"),
        ),
    ]
    return weave(
        rng,
        text,
        wrong,
        right,
        remark=rng.choice(("may be NULL", "optional", "NULL: not wanted", "can be unset")),
    )


def branch_unset(rng: random.Random) -> Sample:
    """A pointer starts as NULL and only some branches set it; right: every way to the use sets or tests
    it."""
    text = """
        int $fn(int $v, int $len)
        {
            static int $a = 1, $b = 2;
            int *$o = NULL;
            @noise0
            @choose
            @note
            @test
            ! *$o += $len;
            @noise1
            return $a + $b;
        }
        """
    k, m = rng.sample(range(1, 9), 2)
    first, second = f"if ($v == {k}) $o = &$a;", f"else if ($v == {m}) $o = &$b;"
    chain = f"{first}\n{second}"
    wrong = [
        way(f"$o stays NULL when $v is neither {k} nor {m}", choose=chain),
        way(
            f"$o is set only for a $v of {k} or {m}, and the test lets all others through",
            choose=chain,
            test=f"! if ($v == {k}) $len++;\nelse $len--;",
        ),
        way(
            "the test returns when $o is set and goes on when it is NULL",
            choose=chain,
            test="! if (OK($o)) return $err;",
        ),
        way(
            f"a $v above {max(k, m)} leaves $o NULL",
            choose=chain,
            test=f"! if ($v < {min(k, m)}) return $err;",
        ),
        way(
            "$o is set to NULL again before the use",
            choose=f"{first}\nelse $o = &$b;\n! if ($v < 0) $o = NULL;",
        ),
    ]
    right = [
        way("the else sets $o to the address of $b in all other cases", choose=f"{first}\n! else $o = &$b;"),
        way("a NULL $o returns before the use", choose=chain, test="! if (NUL($o)) return $err;"),
        way("a NULL $o is set to the address of $a", choose=chain, test="! if (NUL($o)) $o = &$a;"),
        way(
            f"a $v other than {k} and {m} returns",
            choose=chain,
            test=f"! if ($v != {k} && $v != {m}) return $err;",
        ),
    ]
    return weave(rng, text, wrong, right)


def reset_order(rng: random.Random) -> Sample:
    """A field is set to NULL and used after that; right: it is used first, or another field is reset."""
    text = """
        struct $st {
            int *$a; /* always set on entry */
            int *$b;
        };

        int $fn(struct $st *$o, int $v)
        {
            int $len;
            @noise0
            @body
            @noise1
            return $len;
        }
        """
    drop = "free($o->$a);"
    use = rng.choice(("$len = $o->$a[0] + $v;", "$len = *$o->$a - $v;", "$len = $v * $o->$a[1];"))
    wrong = [
        way("$a is set to NULL before it is read", body=f"{drop}\n$o->$a = NULL;\n! {use}"),
        way("$a, which is NULL by then, is read", body=f"{drop}\n$o->$a = NULL;\n! {use}\n$o->$b = NULL;"),
        way(
            "$a is moved to $b and set to NULL, then $a is read",
            body=f"$o->$b = $o->$a;\n$o->$a = NULL;\n! {use}",
        ),
        way("a NULL $a goes on to be read", body=f"if ($v < 0) $o->$a = NULL;\n! {use}"),
    ]
    right = [
        way("$a is read before it is set to NULL", body=f"! {use}\n{drop}\n$o->$a = NULL;"),
        way(
            "$a is read first and set to NULL at the end",
            body=f"! {use}\n$o->$b = NULL;\n{drop}\n$o->$a = NULL;",
        ),
        way("$a is read before it moves to $b", body=f"! {use}\n$o->$b = $o->$a;\n$o->$a = NULL;"),
        way("$b is set to NULL, $a is not", body=f"$o->$b = $o->$a;\nif ($v < 0) $o->$b = NULL;\n! {use}"),
    ]
    return weave(rng, text, wrong, right)


def calendar_fields(rng: random.Random) -> Sample:
    """gmtime/localtime may give NULL for a far time and its fields are read; right: its result is tested."""
    call = rng.choice(("gmtime", "localtime"))
    text = """
        int $fn(time_t $src, struct tm *$c)
        {
            struct tm *$a = CALL(&$src);
            int $v = $src != 0;
            @noise0
            @before
            @note
            ! $v += $a->$f1 * $k;
            @after
            *$c = *$a;
            @noise1
            return $v;
        }
        """.replace("CALL", call)
    wrong = [
        way("$c and $src are checked but $a may be NULL", before="! if (NUL($c) || $src == 0) return $err;"),
        way(f"$c is tested, but $a may be NULL from {call}", before="! if (NUL($c)) return $err;"),
        way("$a is read before it is tested", after="if (NUL($a)) return $err;"),
        way("$src is tested for 0, but a far $src makes $a NULL", before="! if ($src == 0) return $err;"),
        way("only a NULL $a with $src at 0 returns", before="! if (NUL($a) && $src == 0) return $err;"),
        way("$a->$f1 is read by the test before $a is", before="! if ($a->$f1 < 0 || NUL($a)) return $err;"),
    ]
    right = [
        way(f"a NULL $a from {call} returns", before="! if (NUL($a)) return $err;"),
        way("a NULL $a returns, and so does $src at 0", before="! if (NUL($a) || $src == 0) return $err;"),
        way("$a is tested before $a->$f1 is read", before="! if (NUL($a) || $a->$f1 < 0) return $err;"),
        way("a NULL $a is replaced by $c", before="! if (NUL($a)) $a = $c;"),
    ]
    field_name = rng.choice(("tm_year", "tm_mon", "tm_hour", "tm_mday", "tm_yday", "tm_min", "tm_sec"))
    return weave(rng, text, wrong, right, f1=field_name, k=str(rng.randrange(2, 99)))


def second_token(rng: random.Random) -> Sample:
    """strtok gives NULL when a token is missing and it is parsed anyway; right: that very token is tested."""
    text = """
        int $fn(char *$src, int *$v)
        {
            char *$a = strtok($src, "$m");
            char *$b = strtok(NULL, "$m");
            @noise0
            @before
            @note
            @use
            @noise1
            *$v += $k;
            return $a != $b;
        }
        """
    use = rng.choice(("*$v = atoi($b);", "*$v = (int)strlen($b);", "*$v = $b[0] - '0';"))
    wrong = [
        way(
            "$a and $v are tested, but with one token $b is NULL",
            before="! if (NUL($a) || NUL($v)) return $err;",
            use=use,
        ),
        way("$a is tested, but with one token $b is NULL", before="! if (NUL($a)) return $err;", use=use),
        way(
            "with one token $a is set and $b NULL, which passes",
            before="! if (NUL($a) && NUL($b)) return $err;",
            use=use,
        ),
        way("$b is used before it is tested", use=f"! {use}\nif (NUL($b)) return $err;"),
        way("$v is tested, $b is not", use="! if (OK($v)) " + use),
    ]
    right = [
        way("a missing second token $b returns", before="! if (NUL($b)) return $err;", use=use),
        way("$a or $b missing returns", before="! if (NUL($a) || NUL($b)) return $err;", use=use),
        way("$b is used only when it is there", use="! if (OK($b)) " + use),
    ]
    return weave(
        rng,
        text,
        wrong,
        right,
        m=rng.choice((" ", ",", ":", ";", "=", "|", "/")),
        k=str(rng.randrange(1, 50)),
    )


def out_parameter(rng: random.Random) -> Sample:
    """A helper leaves NULL in its out parameter on failure and the status is misread; right: failure
    returns."""
    text = """
        static int $fn2(int $len, int **$o)
        {
            *$o = $len > 0 ? calloc($len, sizeof(**$o)) : NULL;
            return *$o ? $good : $bad;
        }

        int $fn(int $len2, int $v)
        {
            int *$a;
            int $v2 = $fn2($len2, &$a);
            @noise0
            @test
            @note
            ! $a[0] = $v;
            @late
            $v2 = $a[0] * 2;
            free($a);
            return $v2;
        }
        """
    good, bad = rng.choice((("0", "-1"), ("1", "0"), ("1", "-1"), ("0", "1"), ("0", "2")))
    wrong = [
        way(
            "$fn2 returns $bad on failure, but $good returns here and $bad goes on to a NULL $a",
            test="! if ($v2 == $good) return $err;",
        ),
        way("$fn2 fails with $bad, but $v is tested, so $a may be NULL", test="! if ($v == $bad) return $err;"),
        way("$v2 is tested after the NULL $a was written", late="if ($v2 == $bad) return $err;"),
        way(
            "only $bad with a negative $v returns, $a may be NULL",
            test="! if ($v2 == $bad && $v < 0) return $err;",
        ),
    ]
    right = [
        way("$bad means a NULL $a and returns", test="! if ($v2 == $bad) return $err;"),
        way("anything but $good returns, so $a is set", test="! if ($v2 != $good) return $err;"),
        way("a NULL $a returns", test="! if (NUL($a)) return $err;"),
    ]
    return weave(rng, text, wrong, right, good=good, bad=bad)


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-476", name="alloc_record", language="c", held_out=False, make=alloc_record),
    Family(cwe="CWE-476", name="environment_text", language="c", held_out=False, make=environment_text),
    Family(cwe="CWE-476", name="split_at_mark", language="c", held_out=False, make=split_at_mark),
    Family(cwe="CWE-476", name="list_search", language="c", held_out=False, make=list_search),
    Family(cwe="CWE-476", name="two_files", language="c", held_out=False, make=two_files),
    Family(cwe="CWE-476", name="table_lookup", language="c", held_out=False, make=table_lookup),
    Family(cwe="CWE-476", name="chained_field", language="c", held_out=False, make=chained_field),
    Family(cwe="CWE-476", name="optional_callback", language="c", held_out=False, make=optional_callback),
    Family(cwe="CWE-476", name="branch_unset", language="c", held_out=False, make=branch_unset),
    Family(cwe="CWE-476", name="reset_order", language="c", held_out=False, make=reset_order),
    Family(cwe="CWE-476", name="calendar_fields", language="c", held_out=False, make=calendar_fields),
    Family(cwe="CWE-476", name="second_token", language="c", held_out=True, make=second_token),
    Family(cwe="CWE-476", name="out_parameter", language="c", held_out=True, make=out_parameter),
)
