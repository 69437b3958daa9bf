"""Pair families of CWE-89 (SQL injection), in Python."""

from __future__ import annotations

import random

from training.families.contract import Family, Sample
from training.families.cwe_022 import draw, side

QUOTED = "'{VAR}'"


def constant_or_user(rng: random.Random) -> Sample:
    """Wrong: the request's value is in the f-string and the constant is bound; right: the other way round."""
    head = rng.choice(("SELECT $c0 FROM $t0", "SELECT $c0, $c3 FROM $t0", "SELECT COUNT(*) FROM $t0"))
    glue = rng.choice(("AND", "OR", "AND NOT"))
    first = f'f"{head} WHERE $c1 = %s {glue} $c2 = %s"'
    return draw(
        rng,
        "python",
        """
~~
def $fn0($conn, $req):
    ~d
    %$n1 = $req["$k0"]
    %$n2 = "$w0"
    ~
    @A
    ~
    return $n3.«fetchall()|fetchone()»
""",
        (
            side("$n1 goes into the query text, only the constant $n2 is bound",
                 A=f"!$n4 = {first % ('?', QUOTED)}\n$n3 = $conn.execute($n4, ($n2,))".replace("VAR", "$n1")),
            side("$n1 goes into the query text, only the constant $n2 is bound",
                 A=f"!$n4 = {first % (QUOTED, '?')}\n$n3 = $conn.execute($n4, ($n2,))".replace("VAR", "$n1")),
        ),
        (
            side("$n1 is bound, only the constant $n2 is in the query text",
                 A=f"!$n4 = {first % ('?', QUOTED)}\n$n3 = $conn.execute($n4, ($n1,))".replace("VAR", "$n2")),
            side("$n1 is bound, only the constant $n2 is in the query text",
                 A=f"!$n4 = {first % (QUOTED, '?')}\n$n3 = $conn.execute($n4, ($n1,))".replace("VAR", "$n2")),
        ),
    )  # fmt: skip


def built_text(rng: random.Random) -> Sample:
    """Wrong: +, %, format or join puts the request's value in the text; right: it puts the table name there."""
    text = rng.choice(
        (
            '"SELECT $c0 FROM " + %s + " WHERE $c1 = ?"',
            '"SELECT $c0 FROM $t0 WHERE $c2 = ? AND $c1 = \'" + %s + "\'"',
            '"DELETE FROM %%s WHERE $c1 = ?" %% %s',
            "\"DELETE FROM $t0 WHERE $c2 = ? AND $c1 = '%%s'\" %% %s",
            '"SELECT $c0 FROM {} WHERE $c1 = ?".format(%s)',
            "\"SELECT $c0 FROM $t0 WHERE $c1 = '{}' OR $c2 = ?\".format(%s)",
            '" ".join(["SELECT $c0 FROM", %s, "WHERE $c1 = ?"])',
            '"".join(["SELECT $c0 FROM $t0 WHERE $c2 = ? AND $c1 = \'", %s, "\'"])',
        )
    )
    bound = rng.choice(("[%s]", "(%s,)"))
    return draw(
        rng,
        "python",
        """
import sqlite3

~~
def $fn0($req):
    ~d
    %$n1 = $req["$k0"]
    %$n2 = "«$t1|$w0»"
    $conn = sqlite3.connect("$d0.db")
    ~
    @A
    ~
    $conn.commit()
    return [list($n5) for $n5 in $n3]
""",
        (
            side("$n1 becomes part of the query text, the binding covers $n2 only",
                 A=f"!$n4 = {text % '$n1'}\n$n3 = $conn.execute($n4, {bound % '$n2'})"),
            side("$n1 becomes part of the query text, the binding covers $n2 only",
                 A=f"$n6 = {bound % '$n2'}\n!$n4 = {text % '$n1'}\n$n3 = $conn.execute($n4, $n6)"),
        ),
        (
            side("only the constant $n2 is in the query text, $n1 is bound",
                 A=f"$n4 = {text % '$n2'}\n!$n3 = $conn.execute($n4, {bound % '$n1'})"),
            side("only the constant $n2 is in the query text, $n1 is bound",
                 A=f"!$n6 = {bound % '$n1'}\n$n4 = {text % '$n2'}\n$n3 = $conn.execute($n4, $n6)"),
        ),
    )  # fmt: skip


def order_by(rng: random.Random) -> Sample:
    """Wrong: the sort column is not restricted, only the other field is; right: the sort column is."""
    return draw(
        rng,
        "python",
        """
$U0 = {"$c0": "$c0", "$c1": "$c1", "$c2": "$c2 «DESC|ASC»"}

~~
def $fn0($conn, $req):
    ~d
    %$n1 = $req.get("$k0", "$c0")
    %$n2 = $req.get("$k1", "$c1")
    ~
    @A
    ~
    $n4 = f"SELECT «$c0, $c1|*|$c3» FROM $t0 WHERE $c4 = ? ORDER BY {$n3}"
    return $conn.execute($n4, ($n2,)).fetchall()
""",
        (
            side("$n2 is restricted, but $n1 is the one that reaches ORDER BY",
                 A="if $n2 not in $U0:\n    return []\n!$n3 = $n1"),
            side("an unknown $n1 is kept and reaches ORDER BY", A="print($n2)\n!$n3 = $U0.get($n1, $n1)"),
            side("$n1 is tested, but the text goes on after the test fails",
                 A="if $n1 not in $U0:\n    print($n2)\n!$n3 = $n1"),
        ),
        (
            side("only columns of $U0 can be $n1", A="!if $n1 not in $U0:\n    return []\n$n3 = $n1"),
            side("an unknown $n1 becomes a fixed column", A='print($n2, $n1)\n!$n3 = $U0.get($n1, "$c0")'),
        ),
    )  # fmt: skip


def cast_which(rng: random.Random) -> Sample:
    """Wrong: the bound value is cast, or the cast comes late; right: the value in the text is an int first."""
    field = rng.choice(("LIMIT", "$c1 >", "$c1 ="))
    query = f'$n3 = f"SELECT $c0 FROM $t0 WHERE $c2 = ? {"" if field == "LIMIT" else "AND "}{field} {{$n1}}"'
    kind = rng.choice(("int", "int", "float"))
    return draw(
        rng,
        "python",
        """
~~
def $fn0($conn, $req):
    ~d
    %$n1 = $req["$k0"]
    %$n2 = $req["$k1"]
    ~
    @A
    ~
    $n4 = $conn.cursor()
    $n4.execute($n3, ($n2,))
    return $n4.fetchall()
""",
        (
            side("$n2 is made a number though it is bound, $n1 goes into the text as it came",
                 A=f"$n2 = {kind}($n2)\n!{query}"),
            side("$n1 is made a number only after it has gone into the text", A=f"!{query}\n$n1 = {kind}($n1)"),
        ),
        (
            side("$n1 is a number before it goes into the text, $n2 is bound", A=f"!$n1 = {kind}($n1)\n{query}"),
        ),
    )  # fmt: skip


def like_pattern(rng: random.Random) -> Sample:
    """Wrong: the search word is put between the percent signs of the text; right: it is bound with them."""
    return draw(
        rng,
        "python",
        """
import sqlite3

~~
def $fn0($n1, $n2="$w0", $n5=«10|20|50»):
    ~d
    ~
    with sqlite3.connect("$d0.db") as $conn:
        @A
        ~
        $n4 = $conn.execute($n3, (f"%{$n6}%",))
    return list($n4)[:$n5]


def $fn2($req):
    return $fn0($req["$k0"])
""",
        (
            side("$n1 stands in the LIKE pattern of the text",
                 A="$n6 = \"$w1\"\n$n7 = $n1\n!$n3 = f\"SELECT $c0 FROM $t0 WHERE $c1 LIKE '%{$n7}%' OR $c2 LIKE ?\""),
            side("$n1 stands in the LIKE pattern of the text",
                 A="$n6 = \"$w1\"\n$n7 = $n1\n!$n3 = f\"SELECT $c0 FROM $t0 WHERE $c2 LIKE ? AND $c1 LIKE '{$n7}%'\""),
        ),
        (
            side("$n6 is $n1 and is bound with its percent signs",
                 A="$n7 = \"$w1\"\n!$n6 = $n1\n$n3 = f\"SELECT $c0 FROM $t0 WHERE $c1 LIKE '%{$n7}%' OR $c2 LIKE ?\""),
            side("$n6 is $n1 and is bound with its percent signs",
                 A="$n7 = \"$w1\"\n!$n6 = $n1\n$n3 = f\"SELECT $c0 FROM $t0 WHERE $c2 LIKE ? AND $c1 LIKE '{$n7}%'\""),
        ),
    )  # fmt: skip


def in_list(rng: random.Random) -> Sample:
    """Wrong: the list from the request is joined into the text; right: only its question marks are."""
    quoted = rng.choice(("f\"'{$n5}'\" for $n5 in ", "repr($n5) for $n5 in ", '"\'" + $n5 + "\'" for $n5 in '))
    marks = rng.choice(('"?" for $n5 in ', '"?" for _ in '))
    text = '$n4 = f"SELECT $c0 FROM $t0 WHERE $c1 IN ({%s}) AND $c2 IN ({%s})"'
    return draw(
        rng,
        "python",
        """
~~
def $fn0($conn, $req):
    ~d
    %$n1 = $req.«getlist("$k0")|get_all("$k0")»
    %$n2 = ["$w0", "$w1", "$w2"]
    ~
    @A
    ~
    return [$n5[0] for $n5 in $n3]
""",
        (
            side("the strings of $n1 are joined into the query text",
                 A=f'!$n6 = ", ".join({quoted}$n1)\n$n7 = ", ".join({marks}$n2)\n'
                   f'{text % ("$n6", "$n7")}\n$n3 = $conn.execute($n4, $n2)'),
            side("the strings of $n1 are joined into the query text",
                 A=f'$n7 = ", ".join({marks}$n2)\n!$n6 = ", ".join({quoted}$n1)\n'
                   f'{text % ("$n7", "$n6")}\n$n3 = $conn.execute($n4, $n2)'),
        ),
        (
            side("of $n1 only question marks are joined, its strings are bound",
                 A=f'$n6 = ", ".join({quoted}$n2)\n!$n7 = ", ".join({marks}$n1)\n'
                   f'{text % ("$n6", "$n7")}\n$n3 = $conn.execute($n4, $n1)'),
            side("of $n1 only question marks are joined, its strings are bound",
                 A=f'!$n7 = ", ".join({marks}$n1)\n$n6 = ", ".join({quoted}$n2)\n'
                   f'{text % ("$n7", "$n6")}\n$n3 = $conn.execute($n4, $n1)'),
        ),
    )  # fmt: skip


def percent_or_comma(rng: random.Random) -> Sample:
    """Wrong: the request's value is formatted with %, the constant is passed; right: the other way round."""
    return draw(
        rng,
        "python",
        """
import psycopg

~~
def $fn0($req):
    ~d
    ~
    %$n1 = $req["$k0"]
    %$n2 = "$w0"
    with psycopg.connect("dbname=$d0") as $conn:
        $n3 = $conn.cursor()
        @A
        ~
        return $n3.«fetchone()|fetchall()»
""",
        (
            side("$n1 is formatted into the text by the % operator",
                 A="$n3.execute(\"SELECT set_config('$w1', %s, false)\", ($n2,))\n"
                   "!$n3.execute(\"SELECT $c0 FROM $t0 WHERE $c1 = '%s'\" % ($n1,))"),
            side("$n1 is formatted into the text by the % operator",
                 A="$n3.execute(\"DELETE FROM $t1 WHERE $c0 = %s\", ($n2,))\n"
                   "!$n3.execute(\"SELECT $c0 FROM $t0 WHERE $c1 = '%s'\" % ($n1,))"),
        ),
        (
            side("$n1 is passed as a parameter, only the constant $n2 is formatted",
                 A="$n3.execute(\"SELECT set_config('$w1', '%s', false)\" % ($n2,))\n"
                   "!$n3.execute(\"SELECT $c0 FROM $t0 WHERE $c1 = %s\", ($n1,))"),
            side("$n1 is passed as a parameter, only the constant $n2 is formatted",
                 A="$n3.execute(\"DELETE FROM $t1 WHERE $c0 = '%s'\" % ($n2,))\n"
                   "!$n3.execute(\"SELECT $c0 FROM $t0 WHERE $c1 = %s\", ($n1,))"),
        ),
    )  # fmt: skip


def escape_order(rng: random.Random) -> Sample:
    """Wrong: quotes are doubled and then the value is decoded; right: decoded, then quotes are doubled."""
    decode = rng.choice(
        ("$n1 = unquote($n1)", "$n1 = html.unescape($n1)", "$n1 = bytes.fromhex($n1).decode()",
         "$n1 = json.loads($n1)", "$n1 = unquote_plus($n1)")
    )  # fmt: skip
    quote = '$n1 = $n1.replace("\'", "\'\'")'
    return draw(
        rng,
        "python",
        """
import html
import json
from urllib.parse import unquote, unquote_plus

~~
def $fn0($conn, $req):
    ~d
    $n1 = $req["$k0"]
    ~
    @A
    ~
    $n3 = "«SELECT $c0|SELECT *|DELETE» FROM $t0 WHERE $c1 = '" + $n1 + "'"
    return $conn.execute($n3).«fetchall()|rowcount»
""",
        (side("$n1 is decoded after its quotes are doubled, so an encoded quote survives",
              A=f"{quote}\n!{decode}"),),
        (side("$n1 is decoded first and its quotes are doubled after that", A=f"!{decode}\n{quote}"),),
    )  # fmt: skip


def checked_which(rng: random.Random) -> Sample:
    """Wrong: the bound value is checked or the check has no effect; right: the value in the text is checked."""
    check = rng.choice(("%s.isdigit()", 're.fullmatch(r"\\d+", %s)', 're.fullmatch("[a-z0-9]+", %s)', "%s.isalnum()"))
    stop = rng.choice(("return None", 'print("$w0")\n    return 0', 'raise $exc("$w0")'))
    return draw(
        rng,
        "python",
        """
import re

~~
def $fn0($conn, $n1, $n2):
    ~d
    ~
    @A
    ~
    $n3 = f"UPDATE $t0 SET $c0 = ? WHERE $c1 = '{$n1}'"
    $n4 = $conn.execute($n3, ($n2,))
    ~
    return $n4.rowcount


def $fn1($conn, $req):
    return $fn0($conn, $req["$k0"], $req["$k1"])
""",
        (
            side("$n2 is checked though it is bound, $n1 goes unchecked into the text",
                 A=f"!if not {check % '$n2'}:\n    {stop}"),
            side("a failed check of $n1 only prints, the text is built all the same",
                 A=f'!if not {check % "$n1"}:\n    print("$w0")'),
        ),
        (side("$n1 is checked before it goes into the text", A=f"!if not {check % '$n1'}:\n    {stop}"),),
    )  # fmt: skip


def filter_columns(rng: random.Random) -> Sample:
    """Wrong: values are restricted but keys are not; right: keys, which become column names, are restricted."""
    return draw(
        rng,
        "python",
        """
$U0 = «("$c0", "$c1", "$c2")|{"$c0", "$c1"}|["$c0", "$c3", "$c2"]»

~~
class $v0Model:
    def __init__(self, $conn):
        self.$conn = $conn

    def $fn0(self, $n1):
        ~d
        $n2, $n3 = [], []
        for $n4, $n5 in $n1.items():
            @A
                «continue|raise $exc("$w0")|return []»
            $n2.append(f"{$n4} = ?")
            $n3.append($n5)
        ~
        $n6 = "SELECT * FROM $t0 WHERE " + " AND ".join($n2)
        return self.$conn.execute($n6, $n3).fetchall()
""".replace("$v0Model", rng.choice(("Finder", "Archive", "Registry", "Shelf", "Model", "Gateway"))),
        (
            side("the value $n5 is restricted, but the key $n4 becomes part of the text",
                 A="!if $n5 not in $U0:"),
            side("a key $n4 outside $U0 passes when its value is not there either",
                 A="!if $n4 not in $U0 and $n5 in $U0:"),
        ),
        (
            side("a key $n4 must be in $U0 to become part of the text", A="!if $n4 not in $U0:"),
            side("a key $n4 must be in $U0 to become part of the text", A="!if $n4 not in $U0 or $n5 in $U0:"),
        ),
    )  # fmt: skip


def script_or_statement(rng: random.Random) -> Sample:
    """Wrong: the request's value goes into a script; right: it is bound, the script holds the constant."""
    insert, script = "INSERT INTO $t0 ($c0) VALUES", "UPDATE $t1 SET $c1 ="
    return draw(
        rng,
        "python",
        """
~~
def $fn0($conn, $req):
    ~d
    %$n1 = $req["$k0"]
    %$n2 = "$w0"
    ~
    $n3 = $conn.cursor()
    @A
    ~
    $conn.commit()
    return $n3.lastrowid
""",
        (
            side("$n1 goes into a script unbound",
                 A=f"$n3.execute(\"{insert} (?)\", ($n2,))\n!$n3.executescript(f\"{script} '{{$n1}}';\")"),
            side("$n1 goes into a script unbound",
                 A=f"!$n3.executescript(f\"{insert} ('{{$n1}}');\")\n$n3.execute(\"{script} ?\", ($n2,))"),
        ),
        (
            side("$n1 is bound, the script holds only $n2",
                 A=f"!$n3.execute(\"{insert} (?)\", ($n1,))\n$n3.executescript(f\"{script} '{{$n2}}';\")"),
            side("$n1 is bound, the script holds only $n2",
                 A=f"$n3.executescript(f\"{insert} ('{{$n2}}');\")\n!$n3.execute(\"{script} ?\", ($n1,))"),
        ),
    )  # fmt: skip


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-89", name="constant_or_user", language="python", held_out=False, make=constant_or_user),
    Family(cwe="CWE-89", name="built_text", language="python", held_out=False, make=built_text),
    Family(cwe="CWE-89", name="order_by", language="python", held_out=False, make=order_by),
    Family(cwe="CWE-89", name="cast_which", language="python", held_out=False, make=cast_which),
    Family(cwe="CWE-89", name="like_pattern", language="python", held_out=False, make=like_pattern),
    Family(cwe="CWE-89", name="in_list", language="python", held_out=False, make=in_list),
    Family(cwe="CWE-89", name="percent_or_comma", language="python", held_out=False, make=percent_or_comma),
    Family(cwe="CWE-89", name="escape_order", language="python", held_out=False, make=escape_order),
    Family(cwe="CWE-89", name="checked_which", language="python", held_out=False, make=checked_which),
    Family(cwe="CWE-89", name="filter_columns", language="python", held_out=True, make=filter_columns),
    Family(cwe="CWE-89", name="script_or_statement", language="python", held_out=True, make=script_or_statement),
)
