"""Pair families of CWE-79 (cross-site scripting), in Python."""

from __future__ import annotations

import random

from training.families.contract import Family, Sample
from training.families.cwe_022 import draw, side


def escape_which(rng: random.Random) -> Sample:
    """Wrong: the constant is escaped and the request's value is not; right: the other way round."""
    outer, inner = rng.sample(("h1", "h2", "p", "div", "span", "b", "td", "li", "em"), 2)
    page = f'f"<{outer}>{{%s}}</{outer}><{inner}>{{%s}}</{inner}>"'
    return draw(
        rng,
        "python",
        """
«from html import escape|from markupsafe import escape|from xml.sax.saxutils import escape»

~~
def $fn0($req):
    ~d
    %$n1 = $req.get("$k0", "")
    %$n2 = "$w0 $w1"
    ~
    @A
    ~
    return «$n3|"<html>" + $n3 + "</html>"|$n3.encode()»
""",
        (
            side(
                "$n1 is put into the page as it came, only the constant $n2 is escaped",
                A=f"!$n3 = {page % ('escape($n2)', '$n1')}",
            ),
            side(
                "$n1 is put into the page as it came, only the constant $n2 is escaped",
                A=f"!$n3 = {page % ('$n1', 'escape($n2)')}",
            ),
            side(
                "the escaped copy $n4 is left unused and $n1 is shown",
                A=f"$n4 = escape($n1)\n!$n3 = {page % ('$n2', '$n1')}",
            ),
        ),
        (
            side("$n1 is escaped, $n2 is a constant", A=f"!$n3 = {page % ('escape($n1)', '$n2')}"),
            side("$n1 is escaped, $n2 is a constant", A=f"!$n3 = {page % ('$n2', 'escape($n1)')}"),
            side("$n4, the escaped $n1, is shown", A=f"!$n4 = escape($n1)\n$n3 = {page % ('$n2', '$n4')}"),
        ),
    )


def decode_order(rng: random.Random) -> Sample:
    """Wrong: the value is escaped and then decoded; right: decoded and then escaped."""
    decode = rng.choice(
        (
            "$n1 = unquote($n1)",
            "$n1 = html.unescape($n1)",
            "$n1 = unquote_plus($n1)",
            "$n1 = re.sub(r'%([0-9a-fA-F]{2})', lambda m: chr(int(m[1], 16)), $n1)",
            '$n1 = $n1.replace("[", "<").replace("]", ">")',
        )
    )
    guard = rng.choice(("$n1 = html.escape($n1)", '$n1 = $n1.replace("&", "&amp;").replace("<", "&lt;")'))
    return draw(
        rng,
        "python",
        """
import html
import re
from urllib.parse import unquote, unquote_plus

~~
def $fn0($req, $n2=«5|10|20»):
    ~d
    $n1 = $req["$k0"]
    ~
    @A
    ~
    $n3 = ["<«ul|div|section»>", "<«p|h3»>", $n1, "«$w0|$w1»"]
    return "".join($n3)
""",
        (side("$n1 is decoded after it was escaped, so encoded tags come back", A=f"{guard}\n!{decode}"),),
        (side("$n1 is decoded first, and escaped as the last step", A=f"!{decode}\n{guard}"),),
    )


def attribute_quotes(rng: random.Random) -> Sample:
    """Wrong: quotes are kept in the value of an attribute; right: only in text between tags."""
    attr = rng.choice(("value", "title", "alt", "placeholder", "data-$w0"))
    tag, text = rng.choice((("input", "label"), ("img", "p"), ("option", "b"), ("button", "span")))
    page = f"""f'<{tag} {attr}="{{%s}}"><{text}>{{%s}}</{text}>'"""
    keep = rng.choice(("quote=False", "False"))
    return draw(
        rng,
        "python",
        """
from html import escape

~~
def $fn0($req):
    ~d
    %$n1 = $req["$k0"]
    %$n2 = $req["$k1"]
    ~
    @A
    ~
    return "<«form|div|section»>" + $n3
""",
        (
            side(
                "a quote in $n1 closes the attribute and adds another one",
                A=f"!$n3 = {page % (f'escape($n1, {keep})', 'escape($n2)')}",
            ),
            side(
                "a quote in $n2 closes the attribute and adds another one",
                A=f"!$n3 = {page % (f'escape($n2, {keep})', 'escape($n1)')}",
            ),
        ),
        (
            side(
                "quotes of $n1 are escaped in the attribute, $n2 stands between tags",
                A=f"!$n3 = {page % ('escape($n1)', f'escape($n2, {keep})')}",
            ),
            side(
                "quotes of $n2 are escaped in the attribute, $n1 stands between tags",
                A=f"!$n3 = {page % ('escape($n2)', f'escape($n1, {keep})')}",
            ),
        ),
    )


def link_scheme(rng: random.Random) -> Sample:
    """Wrong: the link's scheme is not restricted, or the label's is; right: only web addresses pass."""
    stop = rng.choice(('return ""', 'raise ValueError("$w0")', 'return "<p>$w0</p>"', "return escape($n2)"))
    return draw(
        rng,
        "python",
        """
from html import escape
from urllib.parse import urlparse

~~
def $fn0($req):
    ~d
    %$n1 = $req["«url|link|href|target|website|homepage»"]
    %$n2 = $req["$k1"]
    ~
    @A
    ~
    return f'<a href="{escape($n1)}">{escape($n2)}</a>'
""",
        (
            side(
                "the scheme of $n2 is tested, but $n1 is the link",
                A=f'!if urlparse($n2).scheme not in ("https", "http"):\n    {stop}',
            ),
            side("$n1 may begin with another scheme and hold http further on", A=f'!if "http" not in $n1:\n    {stop}'),
            side(
                "$n2 is tested, but $n1 is the link", A=f'!if not $n2.startswith(("https://", "http://")):\n    {stop}'
            ),
            side(
                "a wrong scheme of $n1 is only printed",
                A='!if urlparse($n1).scheme not in ("https", "http"):\n    print("$w0")',
            ),
        ),
        (
            side(
                "only the schemes http and https pass for $n1",
                A=f'!if urlparse($n1).scheme not in ("https", "http"):\n    {stop}',
            ),
            side(
                "$n1 has to begin with http:// or https://",
                A=f'!if not $n1.startswith(("https://", "http://")):\n    {stop}',
            ),
        ),
    )


def page_template(rng: random.Random) -> Sample:
    """Wrong: the value is formatted in raw, the heading or the template is escaped; right: the value is."""
    form, fill = rng.choice(
        (
            ("<title>{$k0}</title><body>{$k1}</body>", "$R.format($k0=%s, $k1=%s)"),
            ("<title>%($k0)s</title><body>%($k1)s</body>", '$R %% {"$k0": %s, "$k1": %s}'),
            ("<h1>{}</h1><p>{}</p>", "$R.format(%s, %s)"),
            ("<h1>%s</h1><p>%s</p>", "$R %% (%s, %s)"),
            ("<h2>{$k0}</h2><td>{$k1}</td>", '$R.format_map({"$k0": %s, "$k1": %s})'),
        )
    )
    return draw(
        rng,
        "python",
        f"""
import html

$R = "<html>{form}</html>"

~~
def $fn0($n1, $n2="$w0"):
    ~d
    ~
    @A
    ~
    return $n3


def $fn1($req):
    return $fn0($req["$k2"])
""",
        (
            side(
                "$n1 is formatted into $R as it came, only $n2 is escaped",
                A=f"!$n3 = {fill % ('html.escape($n2)', '$n1')}",
            ),
            side(
                "$n1 is formatted into $R as it came, only $n2 is escaped",
                A=f"!$n3 = {fill % ('$n1', 'html.escape($n2)')}",
            ),
        ),
        (
            side("$n1 is escaped before it is formatted into $R", A=f"!$n3 = {fill % ('$n2', 'html.escape($n1)')}"),
            side("$n1 is escaped before it is formatted into $R", A=f"!$n3 = {fill % ('html.escape($n1)', '$n2')}"),
        ),
    )


def list_of_rows(rng: random.Random) -> Sample:
    """Wrong: the raw list is shown and the escaped one counted; right: the escaped list is shown."""
    tag = rng.choice(("li", "td", "p", "option", "dd"))
    ways = (
        f'"".join(f"<{tag}>{{$n5}}</{tag}>" for $n5 in %s)',
        f'"".join("<{tag}>" + $n5 + "</{tag}>" for $n5 in %s)',
        f'"<{tag}>".join(%s)',
        f'"\\n".join("<{tag}>%s</{tag}>" % $n5 for $n5 in %s)'.replace("%s<", "%%s<").replace("% $", "%% $"),
    )
    rows = rng.choice(ways)
    make = rng.choice(("[html.escape($n5) for $n5 in $n1]", "list(map(html.escape, $n1))"))
    return draw(
        rng,
        "python",
        f"""
import html

~~
def $fn0($n1, $n6):
    ~d
    ~
    $n2 = {make}
    @A
    ~
    return $n4 + $n3


def $fn1($req):
    return $fn0($req.getlist("$k0"), "$w0")
""",
        (
            side(
                "the raw strings of $n1 are shown, the escaped ones are only counted",
                A=f'!$n3 = {rows % "$n1"}\n$n4 = f"<p>{{len($n2)}} {{$n6}}</p>"',
            ),
            side(
                "the raw strings of $n1 are shown, the escaped ones are only counted",
                A=f'$n4 = f"<b>{{len($n2)}}</b>"\n!$n3 = {rows % "$n1"}',
            ),
        ),
        (
            side(
                "the escaped strings of $n2 are shown", A=f'!$n3 = {rows % "$n2"}\n$n4 = f"<p>{{len($n1)}} {{$n6}}</p>"'
            ),
            side("the escaped strings of $n2 are shown", A=f'$n4 = f"<b>{{len($n1)}}</b>"\n!$n3 = {rows % "$n2"}'),
        ),
    )


def own_escape(rng: random.Random) -> Sample:
    """Wrong: the home-made escape misses the character that counts here; right: it covers it."""
    lt, gt, quot = ('.replace("<", "&lt;")', '.replace(">", "&gt;")', """.replace('"', "&quot;")""")
    amp = rng.choice(('.replace("&", "&amp;")', ""))
    if rng.random() < 0.5:
        why, slot = "<", "'<«p|b|td»>' + $fn0($n1) + '</«p|b|td»>'"
        wrongs, rights = [[gt, quot], [quot, gt]], [[lt, gt], [gt, lt]]
    else:
        why, slot = "a double quote", "'<«input value|img alt|i title»=\"' + $fn0($n1) + '\">'"
        wrongs, rights = [[lt, gt], [gt, lt]], [[quot, gt], [gt, quot]]
    return draw(
        rng,
        "python",
        f"""
~~
def $fn0($n4):
    ~d
    @A
    return $n4


def $fn1($req):
    ~
    $n1 = $req["$k0"]
    ~
    $n2 = {slot}
    ~
    return "<«div|main|body»>" + $n2
""",
        (
            *(
                side(f"$fn0 leaves {why} in $n1, which decides at this place", A=f"!$n4 = $n4{amp}{''.join(steps)}")
                for steps in wrongs
            ),
            side("the result of the replacements in $fn0 is thrown away", A=f"!$n4{amp}{''.join(rights[0])}"),
        ),
        tuple(
            side(f"$fn0 replaces {why}, which decides at this place", A=f"!$n4 = $n4{amp}{''.join(steps)}")
            for steps in rights
        ),
    )


def strip_tags(rng: random.Random) -> Sample:
    """Wrong: tags are only cut out of the request's value; right: it is escaped, the constant is stripped."""
    cut = rng.choice(
        (
            're.sub("<script>", "", %s)',
            're.sub(r"</?script[^>]*>", "", %s)',
            're.sub(r"<\\w+>", "", %s)',
            '%s.replace("<script", "")',
            're.sub("javascript|script", "", %s)',
        )
    )
    return draw(
        rng,
        "python",
        """
import html
import re

~~
def $fn0($req):
    ~d
    ~
    %$n1 = $req["$k0"]
    %$n2 = "<b>$w0</b> $w1"
    @A
    ~
    $n3 = "<«li|div|p»>" + $n1 + " " + $n2
    return $n3
""",
        (
            side("other tags, or nested ones, survive in $n1", A=f"!$n1 = {cut % '$n1'}\n$n2 = html.escape($n2)"),
            side("other tags, or nested ones, survive in $n1", A=f"$n2 = html.escape($n2)\n!$n1 = {cut % '$n1'}"),
        ),
        (
            side(
                "$n1 is escaped, the constant $n2 is only stripped", A=f"!$n1 = html.escape($n1)\n$n2 = {cut % '$n2'}"
            ),
            side(
                "$n1 is escaped, the constant $n2 is only stripped", A=f"$n2 = {cut % '$n2'}\n!$n1 = html.escape($n1)"
            ),
        ),
    )


def late_escape(rng: random.Random) -> Sample:
    """Wrong: the value is escaped after it was added to the page; right: before."""
    add = rng.choice(("$n3.append($n1)", '$n3 += ["<i>" + $n1]', "$n3.insert(1, $n1)", '$n3.append(f"<b>{$n1}</b>")'))
    guard = rng.choice(("$n1 = escape($n1)", '$n1 = escape($n1 + " $w1")', "$n1 = escape($n1.strip())"))
    return draw(
        rng,
        "python",
        """
from html import escape

~~
class $v0Page:
    def __init__(self, $req):
        self.$req = $req

    def $fn0(self):
        ~d
        ~
        $n1 = self.$req["$k0"]
        $n3 = ["<«table|div|main»>", "$w0"]
        @A
        ~
        print(«$n1|len($n1)|"$w2", $n1»)
        return "".join($n3)
""".replace("$v0Page", rng.choice(("View", "Page", "Screen", "Panel", "Sheet", "Card"))),
        (side("$n1 is escaped only after it was added to $n3", A=f"{add}\n!{guard}"),),
        (side("$n1 is escaped before it is added to $n3", A=f"!{guard}\n{add}"),),
    )


def json_in_script(rng: random.Random) -> Sample:
    """Wrong: the request's JSON may close the script element; right: its '<' is written as an escape."""
    guard = '.replace("<", "\\\\u003c")'
    page = rng.choice(
        ('f"<script>var $k1 = {%s}; var $k2 = {%s};</script>"', '"<script>$k1(" + %s + ", " + %s + ")</script>"')
    )
    return draw(
        rng,
        "python",
        """
import json

~~
def $fn0($req):
    ~d
    ~
    %$n1 = json.dumps($req["$k0"])
    %$n2 = json.dumps({"$w0": «1|2|3», "$w1": "$w2"})
    @A
    ~
    @B
    return $n3
""",
        (
            side(
                "a closing script tag in $n1 ends the element",
                A=f"!$n2 = $n2{guard}",
                B=f"$n3 = {page % ('$n2', '$n1')}",
            ),
            side(
                "a closing script tag in $n1 ends the element",
                A=f"$n4 = $n1{guard}",
                B=f"!$n3 = {page % ('$n1', '$n2')}",
            ),
        ),
        (
            side(
                "the < of $n1 is written as an escape within the script",
                A=f"!$n1 = $n1{guard}",
                B=f"$n3 = {page % ('$n2', '$n1')}",
            ),
            side(
                "$n4, without a plain <, stands in the script",
                A=f"!$n4 = $n1{guard}",
                B=f"$n3 = {page % ('$n4', '$n2')}",
            ),
        ),
    )


def translate_table(rng: random.Random) -> Sample:
    """Wrong: the table misses '<' or another value is translated; right: the table covers it for this value."""
    good = rng.choice(('{"<": "&lt;", ">": "&gt;"}', '{"<": "&lt;", "&": "&amp;"}'))
    return draw(
        rng,
        "python",
        """
@T

~~
def $fn0($n1, $n2="$w0"):
    ~d
    ~
    $n3 = "<«h1|h2|p»>" + $n2
    @A
    ~
    return $n4


def $fn1($req):
    return $fn0($req["$k0"])
""",
        (
            side(
                "the table $U0 does not hold <, so tags of $n1 survive",
                T='!$U0 = str.maketrans({">": "&gt;", "&": "&amp;"})',
                A="$n4 = $n3 + $n1.translate($U0)",
            ),
            side(
                "the heading $n3 is translated, $n1 is not",
                T=f"$U0 = str.maketrans({good})",
                A="!$n4 = $n3.translate($U0) + $n1",
            ),
            side(
                "$n5 is translated, but $n1 is shown",
                T=f"$U0 = str.maketrans({good})",
                A="$n5 = $n1.translate($U0)\n!$n4 = $n3 + $n1",
            ),
        ),
        (
            side(
                "the table $U0 replaces the < of $n1",
                T=f"$U0 = str.maketrans({good})",
                A="!$n4 = $n3 + $n1.translate($U0)",
            ),
            side(
                "$n5, the translated $n1, is shown",
                T=f"$U0 = str.maketrans({good})",
                A="!$n5 = $n1.translate($U0)\n$n4 = $n3 + $n5",
            ),
        ),
    )


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-79", name="escape_which", language="python", held_out=False, make=escape_which),
    Family(cwe="CWE-79", name="decode_order", language="python", held_out=False, make=decode_order),
    Family(cwe="CWE-79", name="attribute_quotes", language="python", held_out=False, make=attribute_quotes),
    Family(cwe="CWE-79", name="link_scheme", language="python", held_out=False, make=link_scheme),
    Family(cwe="CWE-79", name="page_template", language="python", held_out=False, make=page_template),
    Family(cwe="CWE-79", name="list_of_rows", language="python", held_out=False, make=list_of_rows),
    Family(cwe="CWE-79", name="own_escape", language="python", held_out=False, make=own_escape),
    Family(cwe="CWE-79", name="strip_tags", language="python", held_out=False, make=strip_tags),
    Family(cwe="CWE-79", name="late_escape", language="python", held_out=False, make=late_escape),
    Family(cwe="CWE-79", name="json_in_script", language="python", held_out=True, make=json_in_script),
    Family(cwe="CWE-79", name="translate_table", language="python", held_out=True, make=translate_table),
)
