"""Pair families of CWE-22 (path traversal), and the small program writer that the other families here use."""
# ruff: noqa: SIM905 - word lists are easier to read and to extend as one string

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from string import Template

from training.families.contract import Family, Language, Sample

NOUNS = tuple(
    "account album article asset avatar badge banner batch bundle card catalog channel client comment course "
    "customer device document draft entry event export feed field guest image invoice item job journal label "
    "layer ledger lesson manual member message model module note notice order page parcel patient photo player "
    "policy post product profile project recipe record region report result review room schedule section "
    "sensor session sheet signal snippet song source station story student summary target theme ticket title "
    "topic track vendor video visitor voucher widget".split()
)
VERBS = tuple(
    "add build check collect create deliver describe dump emit fetch find get handle inspect list load lookup "
    "make open pick prepare present print process produce pull query read render report resolve run save scan "
    "search select send serve show store sync update view write".split()
)
TABLES = tuple(
    "accounts albums articles assets bookings books carts clients comments courses customers devices documents "
    "events films guests invoices items jobs lessons logs members messages notes offers orders pages patients "
    "payments players posts products recipes reports rooms songs staff tickets users vendors".split()
)
COLUMNS = tuple(
    "amount author body brand city code color country created email genre grade height host kind lang level "
    "login mail name nickname origin owner phone price rank rating score size slug stage state status street "
    "surname tag title town weight year".split()
)
FOLDERS = tuple(
    "archive assets attachments avatars backups books cache docs drafts exports feeds files images imports "
    "inbox invoices letters manuals media notes pages photos plugins public reports scans shared sheets "
    "spool static templates themes tickets uploads".split()
)
REQUESTS = tuple("request form params query payload args fields body data incoming values req".split())
CONNECTIONS = tuple("conn db con link database handle connection store".split())
AFFIXES = ("", "", "", "", "_name", "_text", "_value", "_key", "_id", "user_", "new_", "raw_", "given_", "the_")
COMMENTS = (
    "called from the worker as well",
    "see the design notes",
    "kept simple on purpose",
    "the caller logs the outcome",
    "input was validated upstream",
    "checked above, safe to use",
    "untrusted input, be careful here",
    "TODO: harden this",
    "reviewed twice, nothing to fix",
    "known to be unsafe, fix later",
    "escaping happens elsewhere",
    "guard against hostile values",
    "only staff can reach this",
    "values come straight from the client",
    "old clients still rely on this",
    "no need to sanitise again",
    "must stay in step with the schema",
    "part of the nightly run",
)
DOCS = ("$V the $N.", "$V one $N for the caller.", "Return the $N, or fail.", "$V a $N safely.", "Handle a $N.")


@dataclass(frozen=True)
class Side:
    """One way to be wrong or right: text for the slots of a program, and why."""

    why: str
    slots: dict[str, str]


def side(why: str, **slots: str) -> Side:
    """A side; the decisive line of its slots starts with '!' after the indentation."""
    return Side(why, slots)


def draw_names(rng: random.Random) -> dict[str, str]:
    """Identifiers of one program: nN variables, kN keys, tN tables, cN columns, dN folders, and so on."""
    nouns = rng.sample(NOUNS, 22)
    verbs = rng.sample(VERBS, 6)
    names = {"req": rng.choice(REQUESTS), "conn": rng.choice(CONNECTIONS)}
    for i in range(8):
        affix = rng.choice(AFFIXES)
        names[f"n{i}"] = affix + nouns[i] if affix.endswith("_") else nouns[i] + affix
    names |= {f"k{i}": nouns[8 + i] for i in range(4)}
    names |= {f"w{i}": nouns[12 + i] for i in range(4)}
    names |= {f"U{i}": nouns[16 + i].upper() + rng.choice(("", "", "_SET", "_BASE")) for i in range(3)}
    names |= {f"fn{i}": f"{verbs[i]}_{nouns[19 + i]}" for i in range(3)}
    names |= {f"v{i}": verbs[3 + i] for i in range(3)}
    names["R"] = rng.choice(("ROOT", "BASE", "BASE_DIR", "HOME", nouns[18].upper() + "_DIR", "TOP", "STORE"))
    names["exc"] = rng.choice(("ValueError", "PermissionError", "KeyError", "RuntimeError", "LookupError"))
    for key, pool in (("t", TABLES), ("c", COLUMNS), ("d", FOLDERS)):
        names |= {f"{key}{i}": name for i, name in enumerate(rng.sample(pool, 5))}
    return names


def body_noise(rng: random.Random, language: Language, names: dict[str, str]) -> list[str]:
    """No, one or two lines that have nothing to do with the flaw."""
    lines: list[str] = []
    word, other, count = rng.choice(NOUNS), rng.choice(VERBS), rng.randint(2, 90)
    roll = rng.random()
    if roll < 0.18:
        lines.append(f"# {rng.choice(COMMENTS)}" if language == "python" else f"/* {rng.choice(COMMENTS)} */")
    elif roll < 0.42 and language == "python":
        lines.append(
            rng.choice(
                (
                    f"total_{word} = {count}",
                    f'print("{other} {word}")',
                    f'kind_{word} = "{other}"',
                    f"pair_{word} = ({count}, {count + 1})",
                    f'print("{word}", {count})',
                    f"flag_{word} = False",
                )
            )
        )
    elif roll < 0.42:
        lines.append(
            rng.choice(
                (
                    f"int total_{word} = {count};",
                    f'puts("{other} {word}");',
                    f'fprintf(stderr, "{other} {word}\\n");',
                    f"unsigned flag_{word} = 0;",
                )
            )
        )
    return lines


def top_noise(rng: random.Random, language: Language) -> list[str]:
    """Now and then a helper or a constant before the function."""
    word, other, count = rng.choice(NOUNS), rng.choice(VERBS), rng.randint(2, 90)
    roll = rng.random()
    if roll < 0.5:
        return []
    if language == "c":
        if roll < 0.7:
            return [f"#define MAX_{word.upper()}_COUNT {count}", ""]
        sign = rng.choice("+-*")
        return [f"static int {other}_{word}_step(int n) {{", f"    return n {sign} {count};", "}", ""]
    if roll < 0.65:
        return [f"{word.upper()}_LIMIT = {count}", ""]
    if roll < 0.75:
        return [f'{word.upper()}_LABEL = "{other} {word}"', ""]
    head = f"def {other}_{word}_part({word}s):"
    tail = rng.choice((f"return {word}s[:{count}]", f"return len({word}s) + {count}", f"return sorted({word}s)"))
    return [head, f"    {tail}", "", ""]


def shuffle_marked(rng: random.Random, lines: list[str]) -> list[str]:
    """Shuffle each run of neighbouring lines that start with '%'."""
    out: list[str] = []
    run: list[str] = []
    for line in [*lines, ""]:
        if line.lstrip().startswith("%"):
            run.append(line.replace("%", "", 1))
            continue
        rng.shuffle(run)
        out += [*run, line]
        run = []
    return out[:-1]


def frame(rng: random.Random, language: Language, text: str, names: dict[str, str]) -> list[str]:
    """Lines of the shared part: choices made, noise drawn, slots still open."""
    text = re.sub("«([^»]*)»", lambda m: rng.choice(m[1].split("|")), text.strip("\n"))
    out: list[str] = []
    for line in shuffle_marked(rng, text.split("\n")):
        bare = line.lstrip()
        pad = line[: len(line) - len(bare)]
        if bare == "~~":
            out += top_noise(rng, language)
        elif bare == "~":
            out += [pad + extra for extra in body_noise(rng, language, names)]
        elif bare == "~d":
            doc = Template(rng.choice(DOCS)).substitute(V=rng.choice(VERBS).title(), N=rng.choice(NOUNS))
            out += [f'{pad}"""{doc}"""'] if rng.random() < 0.4 else []
        elif bare.startswith("?"):
            out += [pad + bare[1:]] if rng.random() < 0.5 else []
        else:
            out.append(line)
    return out


def fill(rng: random.Random, lines: list[str], chosen: Side, names: dict[str, str]) -> tuple[str, str]:
    """The whole program of one side and its decisive line, stripped."""
    out: list[str] = []
    key = ""
    for line in lines:
        bare = line.lstrip()
        if not bare.startswith("@"):
            out.append(Template(line).substitute(names))
            continue
        pad = line[: len(line) - len(bare)]
        slot = chosen.slots.get(bare[1:], "")
        slot = re.sub("«([^»]*)»", lambda m: rng.choice(m[1].split("|")), slot)
        for part in slot.split("\n") if slot else []:
            text = Template(pad + part).substitute(names)
            if text.lstrip().startswith("!"):
                text = text.replace("!", "", 1)
                key = text.strip()
            out.append(text)
    return "\n".join(out) + "\n", key


def draw(rng: random.Random, language: Language, text: str, wrong: tuple[Side, ...], right: tuple[Side, ...]) -> Sample:
    """Write one program both ways, with one of the wrong and one of the right sides.

    In `text`: $x names, «a|b» a choice, '~' and '~~' noise, '~d' perhaps a docstring, a line starting with '?'
    stays in half of the programs, neighbouring lines starting with '%' are shuffled, '@A' is slot A of the side.
    """
    names = draw_names(rng)
    lines = frame(rng, language, text, names)
    bad, good = rng.choice(wrong), rng.choice(right)
    salt = rng.getrandbits(32)
    while True:
        vulnerable, flaw = fill(random.Random(salt), lines, bad, names)
        patched, fix = fill(random.Random(salt), lines, good, names)
        if min(vulnerable.count("\n"), patched.count("\n")) >= 8:
            break
        lines = [*top_noise(rng, language), *lines]
    return Sample(
        vulnerable=vulnerable,
        patched=patched,
        flaw=flaw,
        fix=fix,
        reason=Template(bad.why).substitute(names),
        reason_patched=Template(good.why).substitute(names),
    )


def prefix_check(rng: random.Random) -> Sample:
    """Wrong: the prefix test has no separator or sees an unresolved path; right: resolved, with separator."""
    return draw(
        rng,
        "python",
        """
import os

$R = "/«srv|var|opt|data»/$d0"
~~
def $fn0($req):
    ~d
    ~
    $n1 = $req["$k0"]
    $n2 = os.path.join($R, $n1)
    @A
    ~
    @B
        raise $exc("$w0")
    ~
    with open($n3, "rb") as $n4:
        return $n4.read()
""",
        (
            side(
                "$n3 may lie in a sibling folder whose name only begins like $R, as no separator is compared",
                A="$n3 = os.path.realpath($n2)",
                B="!if not $n3.startswith($R.rstrip(os.sep)):",
            ),
            side(
                "the prefix test sees $n2, which still contains the dots of $n1",
                A="$n3 = os.path.realpath($n2)",
                B="!if not $n2.startswith($R + os.sep):",
            ),
            side(
                "commonpath does not resolve the dots of $n2",
                A="$n3 = os.path.realpath($n2)",
                B="!if os.path.commonpath([$R, $n2]) != $R:",
            ),
            side(
                "commonprefix compares characters, so $n3 may lie in a sibling folder of $R",
                A="$n3 = os.path.realpath($n2)",
                B="!if os.path.commonprefix([$R, $n3]) != $R:",
            ),
        ),
        (
            side(
                "the resolved $n3 must begin with $R and a separator",
                A="$n3 = os.path.realpath($n2)",
                B="!if not $n3.startswith($R + os.sep):",
            ),
            side(
                "the resolved $n3 must begin with $R and a separator",
                A="$n3 = os.path.realpath($n2)",
                B="!if not $n3.startswith($R.rstrip(os.sep) + os.sep):",
            ),
            side(
                "commonpath of the resolved $n3 and $R must be $R",
                A="$n3 = os.path.realpath($n2)",
                B="!if os.path.commonpath([$R, $n3]) != $R:",
            ),
        ),
    )


def decode_order(rng: random.Random) -> Sample:
    """Wrong: dots are looked for before the name is decoded; right: after."""
    step = rng.choice(
        ("unquote($n1)", '$n1.replace("~", "")', '$n1.replace("\\0", "")', "bytes.fromhex($n1).decode()",
         "base64.urlsafe_b64decode($n1).decode()", '$n1.replace("+", "")')
    )  # fmt: skip
    check = 'if ".." in $n1:\n    ' + rng.choice(('raise $exc("$w1")', "return None", 'return b""'))
    return draw(
        rng,
        "python",
        """
import base64
from urllib.parse import unquote

~~
def $fn0($req, $n2="$d1"):
    ~d
    $n1 = $req["$k0"]
    ~
    @A
    ~
    with open(f"/«srv|var|opt»/$d0/{$n1}", "rb") as $n4:
        ~
        return $n4.read()
""",
        (side("$n1 is decoded after the check for dots, so hidden dots survive", A=f"{check}\n!$n1 = {step}"),),
        (side("$n1 is decoded first and then checked for dots", A=f"!$n1 = {step}\n{check}"),),
    )


def basename_of_which(rng: random.Random) -> Sample:
    """Wrong: only the constant folder is reduced to its last part; right: the name from the request is."""
    cut = rng.choice(("os.path.basename(%s)", "Path(%s).name", "os.path.split(%s)[1]"))
    n1, n2 = cut % "$n1", cut % "$n2"
    return draw(
        rng,
        "python",
        """
import os
from pathlib import Path

~~
def $fn0($req, $n5):
    ~d
    ~
    %$n1 = $req["$k0"]
    %$n2 = "$d1"
    ~
    @A
    ~
    with open($n3, "«wb|ab»") as $n4:
        $n4.write($n5)
    return $n3
""",
        (
            side(
                "$n1 may hold dots or slashes, only the constant $n2 is reduced to a base name",
                A=f'!$n3 = os.path.join("/srv/$d0", {n2}, $n1)',
            ),
            side(
                "the base name of $n1 is put into $n6, but $n1 itself is joined",
                A=f'$n6 = {n1}\n!$n3 = os.path.join("/srv/$d0", $n2, $n1)',
            ),
        ),
        (
            side("only the base name of $n1 is joined", A=f'!$n3 = os.path.join("/srv/$d0", $n2, {n1})'),
            side(
                "$n6, the base name of $n1, is what is joined",
                A=f'$n6 = {n1}\n!$n3 = os.path.join("/srv/$d0", $n2, $n6)',
            ),
        ),
    )


def zip_members(rng: random.Random) -> Sample:
    """Wrong: the archive's own name is checked or the check is short; right: each member name is checked."""
    return draw(
        rng,
        "python",
        """
import os
import zipfile

~~
def $fn0($n0, $n4):
    ~d
    ~
    with zipfile.ZipFile($n0) as $n1:
        for $n2 in $n1.namelist():
            @A
                «continue|raise $exc($n2)|break»
            ~
            $n3 = os.path.join("/srv/$d0", $n2)
            os.makedirs(os.path.dirname($n3), exist_ok=True)
            with open($n3, "wb") as $n5:
                $n5.write($n1.read($n2))
    ~
    return $n4
""",
        (
            side(
                "dots are looked for in $n0, so a member $n2 may climb out of the folder",
                A='!if os.path.isabs($n2) or ".." in $n0.split("/"):',
            ),
            side(
                "only $n4 is checked, the member name $n2 may climb out of the folder",
                A='!if os.path.isabs($n4) or ".." in $n4.split("/"):',
            ),
            side(
                "dots are looked for in $n4, so a relative $n2 with dots is written",
                A='!if $n2.startswith("/") or ".." in $n4.split("/"):',
            ),
        ),
        (
            side(
                "a member $n2 that is absolute or has dots is refused",
                A='!if os.path.isabs($n2) or ".." in $n2.split("/"):',
            ),
            side(
                "a member $n2 that is absolute or has dots is refused",
                A='!if $n2.startswith("/") or ".." in $n2.split("/"):',
            ),
        ),
    )


def name_table(rng: random.Random) -> Sample:
    """Wrong: an unknown name falls through or the other field is looked up; right: only known names are opened."""
    return draw(
        rng,
        "python",
        """
$U0 = {"$w0": "$w0.«txt|md|html»", "$w1": "$w1.«txt|md|html»", "$w2": "$w2.csv"}

~~
def $fn0($req):
    ~d
    ~
    %$n1 = $req["$k0"]
    %$n2 = $req["$k1"]
    @A
    ~
    with open("/«srv|opt»/$d0/" + $n3) as $n4:
        return $n2, $n4.read()
""",
        (
            side("an unknown $n1 falls through to the path", A='!$n3 = $U0.get($n1, $n1)\nprint($n2, "$w0")'),
            side("$n2 is looked up in $U0, but $n1 is opened",
                 A="if $n2 not in $U0:\n    return $n2, None\n!$n3 = $n1"),
            side("the check of $n1 is not followed by a return",
                 A='if $n1 not in $U0:\n    print($n2)\n!$n3 = $n1'),
        ),
        (
            side("an unknown $n1 becomes a fixed file", A='!$n3 = $U0.get($n1, "$w0")\nprint($n2, $n1)'),
            side("only names of $U0 pass, others return",
                 A="!if $n1 not in $U0:\n    return $n2, None\n$n3 = $n1"),
        ),
    )  # fmt: skip


def name_pattern(rng: random.Random) -> Sample:
    """Wrong: the file name is matched at its beginning only; right: the whole file name is matched."""
    pattern = rng.choice((r'r"[\w-]+"', r'r"[a-z0-9_]+"', r'"[A-Za-z0-9]+"', r'r"\w{1,40}"', r'"[a-z-]{2,30}"'))
    loose = rng.choice(("match", "search"))
    return draw(
        rng,
        "python",
        f"""
import re

$U0 = re.compile({pattern})

~~
def $fn0($req):
    ~d
    %$n1 = $req["$k0"]
    %$n2 = $req["$k1"]
    ~
    @A
        «return None|raise $exc($n1)|return $n2, None»
    ~
    with open(f"/«srv|var»/$d0/{{$n1}}.«txt|md|log»") as $n4:
        return $n2, $n4.read()
""",
        (
            side(
                "$n1 is only matched in part, so dots may follow",
                A=f"!if not $U0.{loose}($n1) or not $U0.fullmatch($n2):",
            ),
            side(
                "$n1 is only matched in part, so dots may follow",
                A=f"!if not $U0.fullmatch($n2) or not $U0.{loose}($n1):",
            ),
        ),
        (
            side("the whole of $n1 is matched", A=f"!if not $U0.fullmatch($n1) or not $U0.{loose}($n2):"),
            side("the whole of $n1 is matched", A=f"!if not $U0.{loose}($n2) or not $U0.fullmatch($n1):"),
        ),
    )


def pathlib_order(rng: random.Random) -> Sample:
    """Wrong: the path is resolved after the test; right: it is resolved before."""
    check = "if not $n2.is_relative_to($R):\n    " + rng.choice(('raise $exc("$w0")', "return None"))
    other = "if $R not in $n2.parents:\n    " + rng.choice(('raise $exc("$w0")', "return None"))
    chosen = rng.choice((check, other))
    return draw(
        rng,
        "python",
        """
from pathlib import Path

$R = Path("/«srv|var|opt»/$d0")
~~
def $fn0($req, $n5):
    ~d
    ~
    $n1 = $req["$k0"]
    $n2 = $R / $n1
    ~
    @A
    ~
    «return $n2.read_text()|$n2.write_text($n5)|$n2.unlink()|return $n2.read_bytes()»
""",
        (side("$n2 is resolved only after the test, which the dots of $n1 pass", A=f"{chosen}\n!$n2 = $n2.resolve()"),),
        (side("$n2 is resolved before it is compared with $R", A=f"!$n2 = $n2.resolve()\n{chosen}"),),
    )


def tar_filter(rng: random.Random) -> Sample:
    """Wrong: the uploaded archive is fully trusted; right: it is filtered, the built-in one is trusted."""
    return draw(
        rng,
        "python",
        """
import tarfile

~~
def $fn0($req, $n3):
    ~d
    ~
    %$n1 = tarfile.open(fileobj=$req["$k0"])
    %$n2 = tarfile.open("/usr/share/$d0/«base|default».tar")
    ~
    @A
    ~
    print($n3)
    return sorted($n1.getnames() + $n2.getnames())
""",
        (
            side(
                "members of the uploaded $n1 are written wherever their names lead",
                A='$n2.extractall($n3, filter="data")\n!$n1.extractall($n3, filter="fully_trusted")',
            ),
            side(
                "members of the uploaded $n1 are written wherever their names lead",
                A='!$n1.extractall($n3, filter="fully_trusted")\n$n2.extractall($n3, filter="data")',
            ),
        ),
        (
            side(
                "the data filter keeps members of $n1 below $n3",
                A='$n2.extractall($n3, filter="fully_trusted")\n!$n1.extractall($n3, filter="data")',
            ),
            side(
                "the data filter keeps members of $n1 below $n3",
                A='!$n1.extractall($n3, filter="data")\n$n2.extractall($n3, filter="fully_trusted")',
            ),
        ),
    )


def c_dots_in_which(rng: random.Random) -> Sample:
    """Wrong: the constant folder is searched for dots; right: the name from the client is."""
    test = rng.choice(('strstr(%s, "..") != NULL', 'strstr(%s, "../")', 'strstr(%s, "..")'))
    return draw(
        rng,
        "c",
        """
#include <stdio.h>
#include <string.h>

~~
FILE *$fn0(const char *$n1)
{
    %char $n3[«256|512|1024»];
    %const char *$n2 = "/«srv|var|opt»/$d0";
    ~
    @A
        return NULL;
    @B
    ~
    snprintf($n3, sizeof $n3, "%s/%s", $n2, $n1);
    ~
    return fopen($n3, "«r|rb»");
}
""",
        (
            side("dots are looked for in the constant $n2, not in $n1",
                 A=f"!if ({test % '$n2'})", B="if ($n1[0] == '\\0')\n    return NULL;"),
            side("dots are looked for in the constant $n2, not in $n1",
                 A="if ($n1[0] == '\\0')", B=f"!if ({test % '$n2'})\n    return NULL;"),
        ),
        (
            side("a $n1 with dots is refused",
                 A=f"!if ({test % '$n1'})", B="if ($n2[0] == '\\0')\n    return NULL;"),
            side("a $n1 with dots is refused",
                 A="if ($n2[0] == '\\0')", B=f"!if ({test % '$n1'})\n    return NULL;"),
        ),
    )  # fmt: skip


def c_component(rng: random.Random) -> Sample:
    """Wrong: conditions joined so that one does not count, or a helper's verdict dropped; right: both refuse."""
    return draw(
        rng,
        "c",
        """
#include <stdio.h>
#include <string.h>
#include <unistd.h>

~~
static int $fn1(const char *$n4) {
    @A
        return 0;
    return 1;
}

int $fn0(const char *$n1) {
    char $n3[«256|300|512»];
    ~
    @B
    snprintf($n3, sizeof $n3, "/«srv|var»/$d0/%s", $n1);
    ~
    return «unlink($n3)|access($n3, R_OK)|rmdir($n3)|truncate($n3, 0)»;
}
""",
        (
            side("$fn1 refuses only what has both a slash and is just dots, so $n1 may climb",
                 A="!if (strchr($n4, '/') != NULL && strcmp($n4, \"..\") == 0)",
                 B="if (!$fn1($n1))\n    return -1;"),
            side("$fn1 accepts what lacks a slash or is not just dots, so $n1 may climb",
                 A="!if (!(strchr($n4, '/') == NULL || strcmp($n4, \"..\") != 0))",
                 B="if (!$fn1($n1))\n    return -1;"),
            side("the verdict of $fn1 on $n1 is dropped",
                 A="if (strchr($n4, '/') != NULL || strcmp($n4, \"..\") == 0)",
                 B="if ($n1 == NULL)\n    return -1;\n!$fn1($n1);"),
        ),
        (
            side("$fn1 refuses a slash as well as plain dots",
                 A="!if (strchr($n4, '/') != NULL || strcmp($n4, \"..\") == 0)",
                 B="if (!$fn1($n1))\n    return -1;"),
            side("$fn1 accepts only what has no slash and is not just dots",
                 A="!if (!(strchr($n4, '/') == NULL && strcmp($n4, \"..\") != 0))",
                 B="if (!$fn1($n1))\n    return -1;"),
            side("$fn1 refuses a $n1 with a slash, and its verdict counts",
                 A="if (strcmp($n4, \"..\") == 0 || strchr($n4, '/') != NULL)",
                 B="!if ($n1 == NULL || !$fn1($n1))\n    return -1;"),
        ),
    )  # fmt: skip


def c_decode_order(rng: random.Random) -> Sample:
    """Wrong: dots are looked for before the escapes are decoded; right: after."""
    check = rng.choice(('if (strstr($n2, "..") != NULL)\n    return -1;', 'if (strstr($n2, ".."))\n    return -2;'))
    return draw(
        rng,
        "c",
        """
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

~~
void $fn1(char *$n4);

int $fn0(const char *$n1)
{
    %char $n2[256];
    %char $n3[320];
    ~
    snprintf($n2, sizeof $n2, "%s", $n1);
    @A
    ~
    snprintf($n3, sizeof $n3, "/«srv|var|data»/$d0/%s", $n2);
    return open($n3, O_RDONLY);
}

void $fn1(char *$n4)
{
    unsigned $n5;
    char *$n6 = $n4;
    for (; *$n4; $n4++)
        if (*$n4 == '%' && sscanf($n4 + 1, "%2x", &$n5) == 1)
            *$n6++ = (char)$n5, $n4 += 2;
        else
            *$n6++ = *$n4;
    *$n6 = '\\0';
}
""",
        (side("$fn1 decodes $n2 after the search for dots", A=f"{check}\n!$fn1($n2);"),),
        (side("$n2 is decoded by $fn1 and then searched for dots", A=f"!$fn1($n2);\n{check}"),),
    )


def c_realpath_root(rng: random.Random) -> Sample:
    """Wrong: no separator after the root, or the unresolved path compared; right: resolved path and separator."""
    return draw(
        rng,
        "c",
        """
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define $R "/«srv|var|opt»/$d0"
~~
FILE *$fn0(const char *$n1)
{
    %char $n2[PATH_MAX];
    %char $n3[PATH_MAX];
    %size_t $n4 = strlen($R);
    ~
    snprintf($n2, sizeof $n2, "%s/%s", $R, $n1);
    if (realpath($n2, $n3) == NULL)
        return NULL;
    ~
    @A
        return NULL;
    return fopen($n3, "«r|rb»");
}
""",
        (
            side("no separator is required after $R, so $n3 may lie in a sibling folder",
                 A="!if (strncmp($n3, $R, $n4) != 0 || $n3[0] != '/')"),
            side("the unresolved $n2 is compared, which always begins with $R",
                 A="!if (strncmp($n2, $R, $n4) != 0 || $n2[$n4] != '/')"),
        ),
        (
            side("the resolved $n3 must begin with $R and a separator",
                 A="!if (strncmp($n3, $R, $n4) != 0 || $n3[$n4] != '/')"),
            side("the resolved $n3 must have a separator after $R",
                 A="!if ($n3[$n4] != '/' || strncmp($R, $n3, $n4) != 0)"),
        ),
    )  # fmt: skip


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-22", name="prefix_check", language="python", held_out=False, make=prefix_check),
    Family(cwe="CWE-22", name="decode_order", language="python", held_out=False, make=decode_order),
    Family(cwe="CWE-22", name="basename_of_which", language="python", held_out=False, make=basename_of_which),
    Family(cwe="CWE-22", name="zip_members", language="python", held_out=False, make=zip_members),
    Family(cwe="CWE-22", name="name_table", language="python", held_out=False, make=name_table),
    Family(cwe="CWE-22", name="name_pattern", language="python", held_out=False, make=name_pattern),
    Family(cwe="CWE-22", name="pathlib_order", language="python", held_out=False, make=pathlib_order),
    Family(cwe="CWE-22", name="tar_filter", language="python", held_out=True, make=tar_filter),
    Family(cwe="CWE-22", name="c_dots_in_which", language="c", held_out=False, make=c_dots_in_which),
    Family(cwe="CWE-22", name="c_component", language="c", held_out=False, make=c_component),
    Family(cwe="CWE-22", name="c_decode_order", language="c", held_out=False, make=c_decode_order),
    Family(cwe="CWE-22", name="c_realpath_root", language="c", held_out=True, make=c_realpath_root),
)
