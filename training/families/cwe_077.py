"""Pair families of CWE-77 (OS command injection), in Python and C."""

from __future__ import annotations

import random

from training.families.contract import Family, Sample
from training.families.cwe_022 import draw, side

TOOLS = ("convert", "file", "wc -l", "du -s", "md5sum", "stat", "gzip -k", "lpr", "ffprobe", "head -n 5", "cat", "nl")
FIXED = ("sync", "uptime", "date", "df -h", "who", "hostname", "ls /srv", "uname -a")


def tool(rng: random.Random) -> str:
    """A program that takes one argument."""
    return rng.choice(TOOLS)


def quote_which(rng: random.Random) -> Sample:
    """Wrong: the constant is quoted for the shell and the request's value is not; right: the other way round."""
    run = rng.choice(
        ("subprocess.run($n3, shell=True)", "os.system($n3)", "os.popen($n3).read()",
         "subprocess.getoutput($n3)", "subprocess.check_output($n3, shell=True)")
    )  # fmt: skip
    a, b = '"/srv/$d0/$w0 $w1"', '"$w0.log"'
    const = rng.choice((a, b))
    text = rng.choice((f'f"{tool(rng)} {{%s}} {{%s}}"', f'"{tool(rng)} " + %s + " " + %s'))
    return draw(
        rng,
        "python",
        f"""
import os
import subprocess
from shlex import quote

~~
def $fn0($req):
    ~d
    %$n1 = $req["$k0"]
    %$n2 = {const}
    ~
    @A
    ~
    $n4 = {run}
    return $n4
""",
        (
            side("$n1 reaches the shell unquoted, only the constant $n2 is quoted",
                 A=f"!$n3 = {text % ('quote($n2)', '$n1')}"),
            side("$n1 reaches the shell unquoted, only the constant $n2 is quoted",
                 A=f"!$n3 = {text % ('$n1', 'quote($n2)')}"),
            side("the quoted copy $n5 is left unused, $n1 reaches the shell",
                 A=f"$n5 = quote($n1)\n!$n3 = {text % ('$n2', '$n1')}"),
        ),
        (
            side("$n1 is quoted, $n2 is a constant", A=f"!$n3 = {text % ('quote($n1)', '$n2')}"),
            side("$n1 is quoted, $n2 is a constant", A=f"!$n3 = {text % ('$n2', 'quote($n1)')}"),
            side("$n5, the quoted $n1, is used", A=f"!$n5 = quote($n1)\n$n3 = {text % ('$n2', '$n5')}"),
        ),
    )  # fmt: skip


def list_or_string(rng: random.Random) -> Sample:
    """Wrong: the request's value is in a shell string; right: it is one list item, the shell gets a constant."""
    call = rng.choice(("subprocess.run", "subprocess.call", "subprocess.check_output", "subprocess.Popen"))
    prog, fixed = rng.choice(TOOLS).split()[0], rng.choice(FIXED).split()[0]
    listed, shell = call + '(["%s", "--", %s])', call + '("%s -- " + %s, shell=True)'
    return draw(
        rng,
        "python",
        """
import subprocess

~~
def $fn0($req):
    ~d
    %$n1 = $req["$k0"]
    %$n2 = "/srv/$d0"
    ~
    @A
    ~
    return $n3, $n4
""",
        tuple(
            side("$n1 is part of a string that a shell reads", A=text)
            for text in (
                f"$n3 = {listed % (fixed, '$n2')}\n!$n4 = {shell % (prog, '$n1')}",
                f"!$n4 = {shell % (prog, '$n1')}\n$n3 = {listed % (fixed, '$n2')}",
            )
        ),
        tuple(
            side("$n1 is one item of an argument list, the shell sees only the constant $n2", A=text)
            for text in (
                f"$n3 = {shell % (fixed, '$n2')}\n!$n4 = {listed % (prog, '$n1')}",
                f"!$n4 = {listed % (prog, '$n1')}\n$n3 = {shell % (fixed, '$n2')}",
            )
        ),
    )


def positional(rng: random.Random) -> Sample:
    """Wrong: the value is in the script of sh -c; right: it is an argument of the script."""
    sh, name = rng.choice(("sh", "bash", "/bin/sh")), tool(rng)
    return draw(
        rng,
        "python",
        """
import subprocess

~~
def $fn0($req):
    ~d
    %$n1 = $req["$k0"]
    %$n2 = "$w0"
    ~
    @A
    ~
    $n4 = subprocess.«run|call|check_call»($n3, timeout=«5|9|30»)
    return $n4
""",
        (
            side("$n1 is pasted into the script that the shell reads",
                 A=f"!$n3 = [\"{sh}\", \"-c\", f'{name} \"$$1\" {{$n1}}', \"{sh}\", $n2]"),
            side("$n1 is pasted into the script that the shell reads",
                 A=f"!$n3 = [\"{sh}\", \"-c\", '{name} \"$$1\" ' + $n1, \"{sh}\", $n2]"),
            side("$n1 is the script itself, although in a list",
                 A=f"!$n3 = [\"{sh}\", \"-c\", $n1, '{name} \"$$1\"', $n2, \"{sh}\"]"),
        ),
        (
            side("$n1 is the argument $$1 of a script that holds only the constant $n2",
                 A=f"!$n3 = [\"{sh}\", \"-c\", f'{name} \"$$1\" {{$n2}}', \"{sh}\", $n1]"),
            side("$n1 is the argument $$1 of a script that holds only the constant $n2",
                 A=f"!$n3 = [\"{sh}\", \"-c\", '{name} \"$$1\" ' + $n2, \"{sh}\", $n1]"),
        ),
    )  # fmt: skip


def allowed_words(rng: random.Random) -> Sample:
    """Wrong: the other field is looked up, or too late, or without effect; right: the word in the command is."""
    run = rng.choice(("os.system", "os.popen", "subprocess.getoutput"))
    go = f'{run}(f"«systemctl status|service status|git log|tool» {{$n1}}")'
    test = "if $%s not in $U0:\n    "
    stop = rng.choice(("return None", 'raise $exc("$w0")', "return -1"))
    return draw(
        rng,
        "python",
        """
import os
import subprocess

$U0 = «("$w0", "$w1", "$w2")|{"$w0", "$w1"}|["$w0", "$w3"]»

~~
def $fn0($req):
    ~d
    %$n1 = $req["$k0"]
    %$n2 = $req["$k1"]
    ~
    @A
    ~
    return $n2, $n3
""",
        (
            side("$n2 is looked up in $U0, but $n1 is in the command",
                 A=f"{test % 'n2'}{stop}\n!$n3 = {go}"),
            side("$n1 is looked up in $U0 only after the command has run",
                 A=f"!$n3 = {go}\n{test % 'n1'}{stop}"),
            side("an unknown $n1 is only printed and runs all the same",
                 A=f"{test % 'n1'}print($n2)\n!$n3 = {go}"),
        ),
        (side("only words of $U0 can reach the command as $n1", A=f"!{test % 'n1'}{stop}\n$n3 = {go}"),),
    )  # fmt: skip


def option_end(rng: random.Random) -> Sample:
    """Wrong: '--' stands after the request's value or before a constant only; right: before the value."""
    name, flag = rng.choice(
        (('"tar"', '"-cf", "$w0.tar"'), ('"git", "fetch"', '"--quiet"'), ('"git", "ls-remote"', '"--heads"'),
         ('"tar"', '"-xf", "$w0.tar"'))
    )  # fmt: skip
    extra = rng.choice(("", "check=True", "timeout=20"))
    tail = f", {extra}" if extra else ""
    return draw(
        rng,
        "python",
        f"""
import subprocess

~~
def $fn0($req):
    ~d
    %$n1 = $req["$k0"]
    %$n2 = "$w1"
    ~
    @A
    ~
    return subprocess.«run|call|check_call»($n3{tail})
""",
        (
            side("$n1 stands before the -- and may be an option that runs a program",
                 A=f'!$n3 = [{name}, {flag}, $n1, "--", $n2]'),
            side("$n1 stands before the -- and may be an option that runs a program",
                 A=f'$n3 = [{name}, {flag}]\n!$n3 += [$n1, "--", $n2]'),
        ),
        (
            side("$n1 stands after the -- and cannot be an option", A=f'!$n3 = [{name}, {flag}, "--", $n1, $n2]'),
            side("$n1 stands after the -- and cannot be an option", A=f'!$n3 = [{name}, {flag}, $n2, "--", $n1]'),
            side("$n1 stands after the -- and cannot be an option",
                 A=f'$n3 = [{name}, {flag}]\n!$n3 += [$n2, "--", $n1]'),
        ),
    )  # fmt: skip


def quote_order(rng: random.Random) -> Sample:
    """Wrong: the value is quoted and then decoded; right: decoded and then quoted."""
    decode = rng.choice(
        ("$n1 = unquote($n1)", "$n1 = html.unescape($n1)", '$n1 = $n1.replace("%27", "\'")',
         "$n1 = unquote_plus($n1)", '$n1 = $n1.replace("&apos;", "\'")')
    )  # fmt: skip
    guard = rng.choice(("$n1 = shlex.quote($n1)", "$n1 = shlex.quote($n1.strip())"))
    return draw(
        rng,
        "python",
        f"""
import html
import os
import shlex
from urllib.parse import unquote, unquote_plus

~~
def $fn0($req):
    ~d
    $n1 = $req["$k0"]
    ~
    @A
    ~
    $n2 = "{tool(rng)} " + $n1
    return os.«system($n2)|popen($n2).read()|popen($n2, "r")»
""",
        (side("$n1 is decoded after it was quoted, so a hidden quote ends the quoting", A=f"{guard}\n!{decode}"),),
        (side("$n1 is decoded first and quoted after that", A=f"!{decode}\n{guard}"),),
    )


def word_pattern(rng: random.Random) -> Sample:
    """Wrong: the value in the command is matched in part; right: it is matched as a whole."""
    pattern = rng.choice((r'r"[\w.]+"', r'r"[a-z0-9]+"', '"[A-Za-z0-9]+"', r'r"\w{1,30}"'))
    loose = rng.choice(("match", "search"))
    return draw(
        rng,
        "python",
        f"""
import os
import re

~~
def $fn0($n1, $n2):
    ~d
    ~
    %$n3 = re.compile({pattern})
    %$n4 = "/srv/$d0"
    @A
        «return None|return -1|raise $exc("$w0")»
    ~
    $n5 = os.«popen|system»(f"{tool(rng)} {{$n4}}/{{$n1}}")
    return $n5, $n2


def $fn1($req):
    return $fn0($req["$k0"], $req["$k1"])
""",
        (
            side("$n1 is matched in part, so more commands may follow",
                 A=f"!if not $n3.{loose}($n1) or not $n3.fullmatch($n2):"),
            side("$n1 is matched in part, so more commands may follow",
                 A=f"!if not $n3.fullmatch($n2) or not $n3.{loose}($n1):"),
        ),
        (
            side("the whole of $n1 is matched", A=f"!if not $n3.fullmatch($n1) or not $n3.{loose}($n2):"),
            side("the whole of $n1 is matched", A=f"!if not $n3.{loose}($n2) or not $n3.fullmatch($n1):"),
        ),
    )  # fmt: skip


def async_shell(rng: random.Random) -> Sample:
    """Wrong: the request's value goes to create_subprocess_shell; right: to create_subprocess_exec."""
    prog, fixed = rng.choice(TOOLS).split()[0], rng.choice(FIXED).split()[0]
    shell, listed = 'await create_subprocess_shell(f"%s -- {%s}")', 'await create_subprocess_exec("%s", "--", %s)'
    return draw(
        rng,
        "python",
        """
from asyncio import create_subprocess_exec, create_subprocess_shell

~~
async def $fn0($req):
    ~d
    %$n1 = $req["$k0"]
    %$n2 = "$w0"
    ~
    @A
    ~
    return await $n3.wait(), await $n4.wait()
""",
        tuple(
            side("$n1 is read by a shell", A=text)
            for text in (
                f"!$n3 = {shell % (prog, '$n1')}\n$n4 = {listed % (fixed, '$n2')}",
                f"$n4 = {listed % (fixed, '$n2')}\n!$n3 = {shell % (prog, '$n1')}",
            )
        ),
        tuple(
            side("$n1 is one argument of a program, the shell reads only the constant $n2", A=text)
            for text in (
                f"!$n3 = {listed % (prog, '$n1')}\n$n4 = {shell % (fixed, '$n2')}",
                f"$n4 = {shell % (fixed, '$n2')}\n!$n3 = {listed % (prog, '$n1')}",
            )
        ),
    )


def c_char_loop(rng: random.Random) -> Sample:
    """Wrong: the loop's verdict rests on one character or the other string; right: on all of this string."""
    name = tool(rng)
    loop = "for (size_t i = 0; $n4[i] != '\\0'; i++)\n    "
    call = "if (!$fn1(%s))\n    return NULL;"
    all_of = f"int $n5 = 1;\n{loop}$n5 = $n5 && isalnum((unsigned char)$n4[i]);\nreturn $n5;"
    last = f"int $n5 = 1;\n!{loop}$n5 = isalnum((unsigned char)$n4[i]) != 0;\nreturn $n5;"
    first = f"{loop}if (isalnum((unsigned char)$n4[i]))\n        !return 1;\nreturn 0;"
    none = f"{loop}if (!isalnum((unsigned char)$n4[i]))\n        return 0;\nreturn 1;"
    return draw(
        rng,
        "c",
        f"""
#include <ctype.h>
#include <stdio.h>

~~
static int $fn1(const char *$n4)
{{
    @A
}}

FILE *$fn0(const char *$n1, const char *$n6)
{{
    char $n2[«128|200|256»];
    ~
    @B
    ~
    snprintf($n2, sizeof $n2, "{name} %s", $n1);
    fprintf(stderr, "%s\\n", $n6);
    return popen($n2, "r");
}}
""",
        (
            side("the verdict of $fn1 rests on the last character of $n1", A=last, B=call % "$n1"),
            side("$fn1 is content with one good character of $n1", A=first, B=call % "$n1"),
            side("$fn1 sees $n6, but $n1 is in the command", A=all_of, B="!" + call % "$n6"),
            side("$fn1 sees $n6, but $n1 is in the command", A=none, B="!" + call % "$n6"),
        ),
        (
            side("$fn1 accepts $n1 only if all its characters are letters or digits",
                 A=none, B="!" + call % "$n1"),
            side("$fn1 accepts $n1 only if all its characters are letters or digits",
                 A=all_of, B="!" + call % "$n1"),
        ),
    )  # fmt: skip


def c_exec_or_system(rng: random.Random) -> Sample:
    """Wrong: the client's value is in a string for system; right: it is an argument of execlp."""
    prog, fixed = rng.choice(TOOLS).split()[0], rng.choice(FIXED).split()[0]
    build = 'snprintf($n3, sizeof $n3, "%s -- %%s", %s);'
    return draw(
        rng,
        "c",
        """
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

~~
int $fn0(const char *$n1)
{
    %char $n3[«128|256|300»];
    %const char *$n2 = "«$w0|/srv/$d0»";
    ~
    @A
    ~
    if (system($n3) != 0)
        return -1;
    pid_t $n5 = fork();
    if ($n5 == 0) {
        @B
        _exit(«1|127»);
    }
    ~
    return waitpid($n5, NULL, 0) < 0;
}
""",
        (
            side("$n1 is pasted into $n3, which system gives to a shell",
                 A="!" + build % (prog, "$n1"), B=f'execlp("{fixed}", "{fixed}", "--", $n2, (char *)NULL);'),
            side("$n1 is the script of a shell that execlp starts",
                 A=build % (prog, "$n2"), B='!execlp("sh", "sh", "-c", $n1, "--", (char *)NULL);'),
        ),
        (
            side("$n1 is one argument of execlp, the shell reads only the constant $n2",
                 A=build % (fixed, "$n2"), B=f'!execlp("{prog}", "{prog}", "--", $n1, (char *)NULL);'),
            side("$n1 is an argument of a fixed script",
                 A=build % (fixed, "$n2"),
                 B=f'!execlp("sh", "sh", "-c", "{prog} -- \\"$$1\\"", "--", $n1, (char *)NULL);'),
        ),
    )  # fmt: skip


def c_verdict(rng: random.Random) -> Sample:
    """Wrong: the check of the host is dropped, late or on the port; right: a bad host ends the function."""
    chars = rng.choice((";|&$$`<>\\\\\\\"'()*\\n ", "; |&$$`<>\\\\\\\"'()\\n\\t", " \\n;&|<>$$()`'\\\\\\\"*?"))
    name = rng.choice(("ping -c 1", "host", "nslookup", "traceroute", "whois", "dig"))
    run = f'snprintf($n3, sizeof $n3, "{name} %s", $n1);\n!$n5 = system($n3);'
    safe = run.replace("!", "")
    return draw(
        rng,
        "c",
        f"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

~~
static int $fn1(const char *$n4)
{{
    return strpbrk($n4, "{chars}") == NULL && $n4[0] != '-';
}}

int $fn0(const char *$n1, const char *$n2)
{{
    %char $n3[«128|256»];
    %int $n5 = 0;
    ~
    @A
    ~
    printf("%s %d\\n", $n2, $n5);
    return $n5;
}}
""",
        (
            side("$n2 is checked by $fn1, but $n1 is in the command", A=f"if (!$fn1($n2))\n    return -1;\n{run}"),
            side("$n1 is checked by $fn1 only after the command has run", A=f"{run}\nif (!$fn1($n1))\n    return -1;"),
            side("a bad verdict of $fn1 on $n1 is stored and then lost", A=f"if (!$fn1($n1))\n    $n5 = -1;\n{run}"),
        ),
        (
            side("a $n1 with shell characters ends the function", A=f"!if (!$fn1($n1))\n    return -1;\n{safe}"),
            side("the command runs only if $fn1 accepts $n1",
                 A=f"!if ($fn1($n1) == 0)\n    return -1;\n{safe}"),
        ),
    )  # fmt: skip


def c_span(rng: random.Random) -> Sample:
    """Wrong: strspn sees the other string or only a beginning; right: it must reach the end of this one."""
    letters = rng.choice(("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz0123456789", "0123456789abcdef"))
    stop = "\n    return -1;"
    return draw(
        rng,
        "c",
        f"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define $U0 "{letters}"
~~
int $fn0(const char *$n1, const char *$n2)
{{
    %char $n3[«128|256»];
    %int $n5;
    ~
    @A
    ~
    snprintf($n3, sizeof $n3, "{tool(rng)} %s", $n1);
    $n5 = system($n3);
    fprintf(stderr, "%s: %d\\n", $n2, $n5);
    return $n5;
}}
""",
        (
            side("strspn sees $n2, but $n1 is in the command", A=f"!if ($n2[strspn($n2, $U0)] != '\\0'){stop}"),
            side("only the beginning of $n1 is required to be of $U0", A=f"!if (strspn($n1, $U0) == 0){stop}"),
            side("the length of $n2 is compared, so $n1 may go on", A=f"!if (strspn($n1, $U0) < strlen($n2)){stop}"),
        ),
        (
            side("strspn has to reach the end of $n1", A=f"!if ($n1[strspn($n1, $U0)] != '\\0'){stop}"),
            side("all of $n1 has to be of $U0", A=f"!if (strspn($n1, $U0) < strlen($n1)){stop}"),
        ),
    )  # fmt: skip


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-77", name="quote_which", language="python", held_out=False, make=quote_which),
    Family(cwe="CWE-77", name="list_or_string", language="python", held_out=False, make=list_or_string),
    Family(cwe="CWE-77", name="positional", language="python", held_out=False, make=positional),
    Family(cwe="CWE-77", name="allowed_words", language="python", held_out=False, make=allowed_words),
    Family(cwe="CWE-77", name="option_end", language="python", held_out=False, make=option_end),
    Family(cwe="CWE-77", name="quote_order", language="python", held_out=False, make=quote_order),
    Family(cwe="CWE-77", name="word_pattern", language="python", held_out=False, make=word_pattern),
    Family(cwe="CWE-77", name="async_shell", language="python", held_out=True, make=async_shell),
    Family(cwe="CWE-77", name="c_char_loop", language="c", held_out=False, make=c_char_loop),
    Family(cwe="CWE-77", name="c_exec_or_system", language="c", held_out=False, make=c_exec_or_system),
    Family(cwe="CWE-77", name="c_verdict", language="c", held_out=False, make=c_verdict),
    Family(cwe="CWE-77", name="c_span", language="c", held_out=True, make=c_span),
)
