"""Pair families in C for CWE-476 (NULL pointer dereference)."""

from __future__ import annotations

import random

from training.families.contract import Family, Sample
from training.families.cwe_787 import way, weave


def alloc_record(rng: random.Random) -> Sample:
    """A record from malloc/calloc is filled unchecked, or checked late or wrongly; right: checked before use."""
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
        """.replace("ALLOC", rng.choice(("malloc(sizeof(*$b))", "calloc(1, sizeof(*$b))", "malloc(sizeof(struct $st))")))
    wrong = [
        way("$o is checked, but $b may be NULL when malloc fails", before="! if (NUL($o)) return NULL;"),
        way("$b is checked only after $b->$v was written", after="if (NUL($b)) return NULL;"),
        way("the check lets a NULL $b through when $len is 0 or less", before="! if (NUL($b) && $len > 0) return NULL;"),
        way("the check returns on success, so $b is NULL below", before="! if (OK($b)) return $b;"),
    ]
    right = [
        way("a NULL $b returns before $b->$v is written", before="! if (NUL($b)) return NULL;"),
        way("a NULL $b returns whatever $len is", before="! if (NUL($b) || $len < 0) { free($b); return NULL; }"),
        way("a NULL $b returns $o before $b->$v is written", before="! if (NUL($b)) return $o;"),
    ]
    return weave(rng, text, wrong, right)


def environment_text(rng: random.Random) -> Sample:
    """getenv may give NULL, and it is measured without or with the wrong guard; right: a guard on that text."""
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
        way("$buf2 is checked but $buf may be NULL", before="! if (NUL($buf2)) return 0;", use=use),
        way("$buf is read before the check of $buf", use=f"! {use}\nif (NUL($buf)) return 0;"),
        way("one of the two being set is enough to pass, so $buf may be NULL",
            before="! if (NUL($buf) && NUL($buf2)) return 0;", use=use),
        way("$buf is taken as empty text by looking at *$buf, which may be NULL",
            before="! if (*$buf == '\\0') return 0;", use=use),
        way("only $src is checked, $buf may be NULL", use="! if (OK($src)) " + use),
    ]
    right = [
        way("a NULL $buf returns first", before="! if (NUL($buf)) return 0;", use=use),
        way("both being set is needed to pass", before="! if (NUL($buf) || NUL($buf2)) return 0;", use=use),
        way("$buf is used only when it is set", use="! if (OK($buf)) " + use),
        way("a NULL $buf becomes $src", before="! if (NUL($buf)) $buf = $src;", use=use),
    ]
    keys = rng.sample(("HOME", "LANG", "TERM", "SHELL", "USER", "EDITOR", "TMPDIR", "PAGER", "DISPLAY", "MAIL", "TZ"), 2)
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
        way("$src is checked but $a is NULL when there is no '$m'", before="! if (NUL($src)) return $err;"),
        way("$src is looked at, but $a is NULL when there is no '$m'", before="! if ($src[0] == '\\0') return $err;"),
        way("$a is checked only after *$a was written", after="if (NUL($a)) return $err;"),
        way("*$a is read by the check itself, and $a may be NULL", before="! if (*$a != '$m' || NUL($a)) return $err;"),
        way("$o is checked but $a is NULL when there is no '$m'", before="! if (NUL($o)) return $err;"),
    ]
    right = [
        way("a text without '$m' returns, as $a is NULL", before="! if (NUL($a)) return $err;"),
        way("a NULL $a or one at the start of $src returns", before="! if (NUL($a) || $a == $src) return $err;"),
        way("a NULL $a returns before *$a is read", before="! if (NUL($a) || *$a != '$m') return $err;"),
    ]
    return weave(rng, text, wrong, right, find=rng.choice(("strchr", "strrchr")), m=rng.choice(":=,;/-#+|."))


def list_search(rng: random.Random) -> Sample:
    """A list is searched and the loop runs off its end, or the miss is used; right: the end is checked first."""
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
        way("the loop has no end when $len is absent, $b becomes NULL",
            loop="! while ($b->$v != $len)", after="if (NUL($b)) return $err;", use=use),
        way("$b->$v is read before $b is checked, at the end of the list",
            loop="! while ($b->$v != $len && OK($b))", after="if (NUL($b)) return $err;", use=use),
        way("$b is NULL after the loop when $len is absent", loop=good_loop, use="! " + use),
        way("$o is checked after the loop, but $b is NULL when $len is absent",
            loop=good_loop, after="! if (NUL($o)) return $err;", use=use),
    ]
    right = [
        way("$b is checked in the loop and after it", loop="! " + good_loop, after="if (NUL($b)) return $err;", use=use),
        way("$b is checked before it is written", loop=good_loop, after="! if (NUL($b)) return $err;", use=use),
        way("$b is written only when it was found", loop=good_loop, use="! if (OK($b)) " + use),
    ]
    return weave(rng, text, wrong, right)


def two_files(rng: random.Random) -> Sample:
    """Two files are opened and the check takes in one of them or only both failing; right: either failing returns."""
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
        way("the names are checked, the opened $a and $b are not", before=f"! if (NUL($src) || NUL($src2)) {quit_}"),
    ]
    right = [
        way("$a or $b being NULL returns before they are used", before=f"! if (NUL($a) || NUL($b)) {quit_}"),
        way("$a or $b being NULL returns before they are used", before=f"! if (NUL($b) || NUL($a)) {quit_}"),
        way("going on needs both $a and $b", before=f"! if (!($a && $b)) {quit_}"),
    ]
    return weave(rng, text, wrong, right, mode=rng.choice(("r", "rb")))


def table_lookup(rng: random.Random) -> Sample:
    """A helper returns NULL for a miss and the caller forgets, or guards another result; right: this result is checked."""
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
        way("$b is checked, $a is NULL when $fn2 misses $len", before="! if (NUL($b)) return $err;", use=use),
        way("$a may be NULL when $b is found", before="! if (NUL($a) && NUL($b)) return $err;", use=use),
        way("$len is checked for 0 only, $fn2 gives NULL for others", before="! if ($len == 0) return $err;", use=use),
        way("$a is written before it is checked", use="! $a->$v = $len2;\nif (NUL($a)) return $err;"),
    ]
    right = [
        way("a NULL $a returns first", before="! if (NUL($a)) return $err;", use=use),
        way("either being NULL returns first", before="! if (NUL($b) || NUL($a)) return $err;", use=use),
        way("$len is in the range in which $fn2 finds a cell", before="! if ($len < 0 || $len >= $CAP) return $err;", use=use),
        way("a NULL $a is replaced by a cell of $arr", before="! if (NUL($a)) $a = &$arr[0];", use=use),
    ]
    return weave(rng, text, wrong, right)


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-476", name="alloc_record", language="c", held_out=False, make=alloc_record),
    Family(cwe="CWE-476", name="environment_text", language="c", held_out=False, make=environment_text),
    Family(cwe="CWE-476", name="split_at_mark", language="c", held_out=False, make=split_at_mark),
    Family(cwe="CWE-476", name="list_search", language="c", held_out=False, make=list_search),
    Family(cwe="CWE-476", name="two_files", language="c", held_out=False, make=two_files),
    Family(cwe="CWE-476", name="table_lookup", language="c", held_out=False, make=table_lookup),
)
