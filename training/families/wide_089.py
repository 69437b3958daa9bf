"""More pair families of CWE-89 (SQL injection), each a small grammar of programs, in Python."""
# ruff: noqa: PLR0912, PLR0915, SIM905, UP031 - grammars of programs and word lists; % keeps the braces of the programs readable

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from training.families.contract import Family, Sample
from training.families.wide_079 import Shell, Way, compose, in_shell, interleave, settled, vocab, way


@dataclass(frozen=True)
class Base(Shell):
    """A shell with a database: what executes, and the mark of a bound value."""

    ex: str
    mark: str
    cursor: bool


def base_shell(rng: random.Random, *, sqlite: bool = False) -> Base:
    """A handler, worker or method that holds a connection or a cursor."""
    req = rng.choice(("request", "req", "form", "call"))
    kind = rng.choice((0, 1, 2, 5, 6)) if sqlite else rng.randrange(10)
    give = rng.choice(("return PAGE", "return PAGE", 'return {"rows": PAGE}', "return list(PAGE)"))
    stop = rng.choice(("return []", "return None", 'raise ValueError("$w3")'))
    if kind == 0:
        db = rng.choice(("conn", "db", "con"))
        return Base((), f"def $f0({db}, {req}):", 1, f'{req}.get("KEY", "")', give, stop, db, "?", False)
    if kind == 1:
        head = f'def $f0({req}):\n    conn = sqlite3.connect("$w3.db")'
        return Base(("import sqlite3",), head, 1, f'{req}["KEY"]', give, stop, "conn", "?", False)
    if kind == 2:
        cls = rng.choice(("${W0}Store", "${W0}Service", "${W0}Desk"))
        head = f"class {cls}:\n    def __init__(self, db):\n        self.db = db\n\n    def $f0(self, {req}):"
        return Base((), head, 2, f'{req}.get("KEY", "")', give, stop, "self.db", "?", False)
    if kind == 3:
        head = f"def $f0({req}):\n    with psycopg.connect($U1) as conn, conn.cursor() as cur:"
        get = f'{req}.args.get("KEY", "")'
        return Base(("import os", "import psycopg"), head, 2, get, give, stop, "cur", "%s", True)
    if kind == 4:
        head = f"def $f0(pool, {req}):\n    link = pool.get_connection()\n    cursor = link.cursor()"
        return Base((), head, 1, f'{req}.form["KEY"]', give, stop, "cursor", "%s", True)
    if kind == 5:
        head = "def $f0(db, message):\n    data = json.loads(message.body)"
        return Base(("import json",), head, 1, 'str(data["KEY"])', give, stop, "db", "?", False)
    if kind == 6:
        head = 'def $f0(conn, packet):\n    fields = dict(pair.split("=", 1) for pair in packet.decode().split("&"))'
        return Base((), head, 1, 'fields.get("KEY", "")', give, stop, "conn", "?", False)
    if kind == 7:
        head = f"def $f0({req}):\n    cur = connection.cursor()"
        lib = ("from django.db import connection",)
        return Base(lib, head, 1, f'{req}.GET.get("KEY", "")', give, "return []", "cur", "%s", True)
    if kind == 8:
        head = "class ${W0}Api(RequestHandler):\n    def get(self):\n        cursor = self.application.db.cursor()"
        lib = ("from tornado.web import HTTPError, RequestHandler",)
        done = 'self.finish({"items": PAGE})'
        return Base(lib, head, 2, 'self.get_argument("KEY", "")', done, "raise HTTPError(400)", "cursor", "%s", True)
    return Base((), f"def $f0(cur, {req}):", 1, f'{req}.json()["KEY"]', give, stop, "cur", "%s", True)


def fetch(rng: random.Random, shell: Base, query: str, params: str = "", mark: str = "") -> str:
    """Lines that run a query and put its rows into `rows`."""
    given = f"{query}, {params}" if params else query
    get = rng.choice(("fetchall()", "fetchall()", "fetchone()"))
    if shell.cursor:
        return f"{mark}{shell.ex}.execute({given})\nrows = {shell.ex}.{get}"
    return f"{mark}rows = {shell.ex}.execute({given}).{get}"


def sql_text(rng: random.Random, pieces: list[str], shell: Base) -> str:
    """A query from pieces, those that start with '=' are expressions."""
    kind = rng.randrange(4)
    exprs = [p[1:] for p in pieces if p.startswith("=")]
    if not exprs:
        return '"' + "".join(pieces) + '"'
    if kind == 0 and not any('"' in e for e in exprs):
        return 'f"' + "".join(f"{{{p[1:]}}}" if p.startswith("=") else p for p in pieces) + '"'
    if kind == 1 and shell.mark == "?":
        text = "".join("%s" if p.startswith("=") else p for p in pieces)
        return f'"{text}" % ({", ".join(exprs)}{"," if len(exprs) == 1 else ""})'
    if kind == 2:
        text = "".join("{}" if p.startswith("=") else p for p in pieces)
        return f'"{text}".format({", ".join(exprs)})'
    return " + ".join(f"str({p[1:]})" if p.startswith("=") else f'"{p}"' for p in pieces)


def tupled(values: list[str]) -> str:
    """The values as a tuple."""
    return f"({', '.join(values)}{',' if len(values) == 1 else ''})"


def later_step(rng: random.Random, cur: str, fresh: Iterator[str]) -> tuple[str, str]:
    """A step that any value survives, and what the value is called afterwards."""
    new = next(fresh)
    count = rng.randint(2, 90)
    return rng.choice(
        (
            (f"{new} = {cur}", new),
            (f'{new} = {{"{new}": {cur}, "n": {count}}}', f'{new}["{new}"]'),
            (f"{new} = [{count}, {cur}]", f"{new}[1]"),
            (f"{new} = SimpleNamespace(value={cur})", f"{new}.value"),
            (f"{new} = ({cur}, {count})", f"{new}[0]"),
            (f"{new}, size = {cur}, {count}", new),
        )
    )


def early_step(rng: random.Random, cur: str, fresh: Iterator[str]) -> tuple[str, str]:
    """A step of a text, and what it is called afterwards."""
    new = next(fresh)
    count = rng.randint(60, 300)
    return rng.choice(
        (
            (f"{new} = {cur}.strip()", new),
            (f"{new} = {cur}[:{count}]", new),
            (f'{new} = {cur}.removeprefix("+")', new),
            (f'{new} = " ".join({cur}.split())', new),
            (f"if len({cur}) > {count}:\n    {cur} = {cur}[:{count}]", cur),
            (f'{new} = {{"{new}": {cur}}}', f'{new}["{new}"]'),
            (f"{new} = {cur}", new),
            (f'for ch in "_+":\n    {cur} = {cur}.replace(ch, "")', cur),
        )
    )


def query_tracks(rng: random.Random) -> Sample:
    """Wrong: on the chains from the request to the query another value is restricted; right: the one in the text."""
    names = vocab(
        rng,
        "pallet crate bin rack aisle depot truck driver route parcel stop scan weight volume carrier tariff zone hub "
        "dock seal pouch sorter chute belt label docket freight consignee",
    )
    spare = "one two three four five six seven eight nine ten first last next prev inner outer lead tail".split()
    rng.shuffle(spare)
    fresh = iter([f"{names['h']}_{s}" if rng.random() < 0.3 else s for s in spare])
    shell = base_shell(rng)
    context = rng.choice(("number", "number", "column"))
    number = context == "number"
    strong = "int(%s)" if number else rng.choice(('$U0.get(%s, "id")', "$U0[%s]"))
    soft = rng.choice(("str(%s)", "%s.strip()", "%s.lower()", '%s.rstrip(";")'))
    fixed = (
        rng.choice(('"20"', '"75"', "str(len($U0))", "str(time.time_ns())[:1]"))
        if number
        else rng.choice(('"$k0"', "$U0_FIRST", '"$k1"'))
    )
    fixed = fixed.replace("$U0_FIRST", "min($U0)")
    mode = rng.choice(("swap", "swap", "roles", "rescue", "bind"))
    table = f"{names['w1']}s"
    sources = ["IN($k2)", fixed]
    tracks: list[list[list[str]]] = []
    ends: list[str] = []
    bad: dict[str, str] = {}
    good: dict[str, str] = {}
    for i, source in enumerate(sources):
        cur = names["ab"[i]]
        blocks = [f"{cur} = {source}".split("\n")]
        for _ in range(rng.choice((0, 1, 1, 2))):
            block, cur = early_step(rng, cur, fresh)
            blocks.append(block.split("\n"))
        new = next(fresh)
        slot = "AB"[i]
        if mode == "swap":
            hard, weak = f"{new} = {strong % cur}", f"{new} = {soft % cur}"
            good[slot], bad[slot] = (f"!{hard}", f"!{weak}") if i == 0 else (weak, hard)
        elif i == 1:
            use = f"{new} = {rng.choice((strong, soft)) % cur}" if mode != "bind" else f"{new} = {cur}"
            good[slot] = bad[slot] = use
        elif mode == "roles":
            other = next(fresh)
            # a conversion that fails would end the call, so both sides use one that does not
            held = f"int({cur}) if {cur}.isdecimal() else 0" if number else f'$U0.get({cur}, "id")'
            good[slot] = f"!{new} = {held}\n{other} = {cur}"
            bad[slot] = f"!{new} = {cur}\n{other} = {held}"
        elif mode == "rescue":
            back = rng.choice(("0", "10", "1") if number else ('"id"', '"$k0"'))
            turn_into = f"int({cur})" if number else f"$U0[{cur}]"
            failed = "(ValueError, TypeError)" if number else "KeyError"
            first = f"try:\n    {new} = {turn_into}\nexcept {failed}:\n"
            other = rng.choice((cur, f"{cur}.strip()", cur))
            good[slot], bad[slot] = f"{first}!    {new} = {back}", f"{first}!    {new} = {other}"
        else:
            good[slot] = bad[slot] = f"{new} = {cur}"
        blocks.append([f"@@{slot}"])
        if mode == "roles" and i == 0:
            blocks.append([f'print("$w2", {other})'])
        cur = new
        for _ in range(rng.choice((0, 1, 1, 2))):
            block, cur = later_step(rng, cur, fresh)
            blocks.append([block])
        tracks.append(blocks)
        ends.append(cur)
    body = interleave(rng, tracks)
    m = shell.mark
    if mode == "bind":
        q = "'"
        pieces = [f"SELECT id, $k0 FROM {table} WHERE $k0 = {q}", "=X", f"{q} AND $k1 = {m}"]
        if rng.random() < 0.5:
            pieces = [f"SELECT COUNT(*) FROM {table} WHERE $k1 = {m} AND $k0 = {q}", "=X", q]
        keep = rng.getstate()
        for side_slots, inline, bound in ((bad, ends[0], ends[1]), (good, ends[1], ends[0])):
            rng.setstate(keep)
            text = sql_text(rng, [p.replace("=X", f"={inline}") if p == "=X" else p for p in pieces], shell)
            side_slots["Q"] = f"!query = {text}\nvalues = ({bound},)"
        body += ["@@Q", fetch(rng, shell, "query", "values")]
    else:
        tail = (
            rng.choice((" LIMIT ", " AND $k1 > ", " AND id = ")) if number else rng.choice((" ORDER BY ", " GROUP BY "))
        )
        head = f"SELECT id, $k0 FROM {table} WHERE id > 0"
        both = rng.random() < 0.5
        if number and both:
            pieces = [f"SELECT * FROM {table} WHERE $k1 < ", f"={ends[1]}", tail, f"={ends[0]}"]
        elif both:
            pieces = ["SELECT ", f"={ends[1]}", f" FROM {table}{tail}", f"={ends[0]}"]
        else:
            pieces = [head + tail, f"={ends[0]}"]
            body.append(f'print("$w3", {ends[1]})')
        body += [f"query = {sql_text(rng, pieces, shell)}", fetch(rng, shell, "query")]
    body += ["~", "OUT(rows)"]
    text = "\n".join(body)
    imports = ["import time"] if "time." in text else []
    if "SimpleNamespace" in text:
        imports.append("from types import SimpleNamespace")
    first = '$U0 = {"$k0": "$k0", "$k1": "$k1"}'
    before = first if "$U0" in text + str(good) + str(bad) else ""
    if "$U1" in shell.head:
        before += '\n$U1 = os.environ["$U1_DSN"]'.replace("$U1_DSN", f"{names['U1']}_DSN")
    why = {
        "swap": f"only the fixed {ends[1]} is restricted, $a from the request is written into the query text",
        "roles": "the restricted copy of $a is only printed, the query text holds the other one",
        "rescue": "a value of $a that does not convert is kept and written into the query text",
        "bind": f"$a ends up between quotes in the query text, only the fixed {ends[1]} is bound",
    }[mode]
    right = (
        "$a is bound, only fixed text is in the query"
        if mode == "bind"
        else "$a is restricted before it is written into the query"
    )
    return in_shell(
        rng, names, text, Way(why, bad), Way(right, good), imports=tuple(imports), before=before.strip(), shell=shell
    )


def dsn(shell: Base) -> str:
    """The line that the psycopg shell needs at the top."""
    return '$U1 = os.environ["DATABASE_URL"]' if "$U1" in shell.head else ""


def clause_builder(rng: random.Random) -> Sample:
    """Wrong: among several conditions the request's text is written into its clause; right: it is bound there."""
    names = vocab(
        rng,
        "actor director scene studio camera reel genre trailer critic review ticket premiere sequel award script stage "
        "extra costume props stunt editor sound score theme caption runtime",
    )
    shell = base_shell(rng)
    m = shell.mark
    style = rng.choice(("lists", "lists", "helper", "class", "text"))
    count = rng.randint(2, 4)
    columns = rng.sample(("title", "year", "owner", "state", "lang", "city", "color", "grade", "code", "stars"), count)
    user = rng.randrange(count)
    fixed = rng.choice([i for i in range(count) if i != user])
    op = [rng.choice(("=", "=", "<>", ">=", "LIKE")) for _ in range(count)]
    var = [names["abcd"[i]] for i in range(count)]
    kinds = [
        "user" if i == user else "fixed" if i == fixed else rng.choice(("int", "bound", "bound")) for i in range(count)
    ]
    build, extra = rng.choice((("$e", "$f"), ("where", "values"), ("clauses", "params"), ("parts", "args")))

    def clause(i: int, inline: bool, mark: str) -> str:
        col, v, o = columns[i], var[i], op[i]
        loose = rng_pick(
            i, (f"f\"{col} {o} '{{{v}}}'\"", f'"{col} {o} \'" + {v} + "\'"', f"\"{col} {o} '{{}}'\".format({v})")
        )
        tight = f'"{col} {o} {m}"'
        if kinds[i] == "int":
            number = o.replace("LIKE", "=")
            return mark + place(f'f"{col} {number} {{int({v})}}"', "")
        return mark + (place(loose, "") if inline else place(tight, v))

    def place(text: str, value: str) -> str:
        if style == "helper":
            return f"$f1({build}, {extra}, {text}, [{value}])"
        if style == "class":
            return f"{build}.where({text}{', ' + value if value else ''})"
        if style == "text":
            return f'{build} += " AND " + {text}' + (f"\n{extra}.append({value})" if value else "")
        return f"{build}.append({text})" + (f"\n{extra}.append({value})" if value else "")

    salt = rng.getrandbits(30)

    def rng_pick(i: int, options: tuple[str, ...]) -> str:
        return random.Random(salt + i).choice(options)

    order = list(range(count))
    rng.shuffle(order)
    lines: list[str] = []
    bad: dict[str, str] = {}
    good: dict[str, str] = {}
    for i in order:
        value = f"IN({names['k0'] + str(i)})"
        guard = rng.random() < 0.5
        lines.append(f"{var[i]} = " + (rng.choice(('"open"', '"2024"', "$U0")) if kinds[i] == "fixed" else value))
        if kinds[i] in ("user", "fixed"):
            slot = "A" if i == user else "B"
            wrong = clause(i, i == user, "!" if i == user else "")
            fine = clause(i, i != user, "!" if i == user else "")
            if guard and style != "text":
                lines.append(f"if {var[i]}:")
                lines.append(f"    @@{slot}")
            else:
                lines.append(f"@@{slot}")
            bad[slot], good[slot] = wrong, fine
        else:
            part = clause(i, False, "").split("\n")
            lines += ([f"if {var[i]}:"] + ["    " + p for p in part]) if guard else part
    table = f"{names['w1']}s"
    select = rng.choice(("SELECT id, title", "SELECT *", "SELECT COUNT(*)", "SELECT DISTINCT owner"))
    before = ['$U0 = "$w2"'] if "$U0" in "".join(lines) else []
    if style == "helper":
        before.append("def $f1(texts, bound, text, given):\n    texts.append(text)\n    bound.extend(given)")
    if style == "class":
        names["cls"] = rng.choice(("Query", "Search", "Finder", "Lookup"))
        before.append(
            "class $cls:\n    def __init__(self):\n        self.texts = []\n        self.bound = []\n\n"
            "    def where(self, text, *given):\n        self.texts.append(text)\n        self.bound += given"
        )
        start = f"{build} = $cls()"
        text = f'query = "{select} FROM {table} WHERE " + " AND ".join({build}.texts)'
        run = fetch(rng, shell, "query", f"{build}.bound")
    elif style == "text":
        start = f'{build} = "{select} FROM {table} WHERE 1 = 1"\n{extra} = []'
        text = f'query = {build} + " LIMIT 50"'
        run = fetch(rng, shell, "query", extra)
    else:
        start = f"{build}, {extra} = [], []" if rng.random() < 0.5 else f"{build} = []\n{extra} = []"
        text = f'query = "{select} FROM {table} WHERE " + " AND ".join({build})'
        run = fetch(rng, shell, "query", rng.choice((extra, f"tuple({extra})")))
    who = "$" + "abcd"[user]
    top = dsn(shell)
    return in_shell(
        rng,
        names,
        "\n".join([start, *lines, "~", text, run, "OUT(rows)"]),
        Way(f"{who} comes from the request and is written into its clause between quotes", bad),
        Way(f"{who} is bound, only the fixed ${'abcd'[fixed]} is written into a clause", good),
        before="\n\n\n".join(([top] if top else []) + before),
        shell=shell,
    )


def composed_parts(rng: random.Random) -> Sample:
    """Wrong: the request's value is a raw piece of the composed SQL, the fixed one is quoted; right: the reverse."""
    names = vocab(
        rng,
        "glacier summit ridge valley canyon trail cabin ranger forest meadow creek falls cliff cave basin plateau "
        "desert oasis prairie marsh dune crater geyser boulder gorge lagoon",
    )
    lib = rng.choice(("sql", "sql", "pgsql"))
    raw_call = f"{lib}.SQL"
    names["t"] = names["w0"] + rng.choice(("s", "_log", "_items"))
    value = rng.random() < 0.5
    fine_call = f"{lib}.Literal" if value else f"{lib}.Identifier"
    if value:
        pieces = rng.choice(
            (
                ("SELECT $k0 FROM $t WHERE $k1 = ", " AND $k2 = ", ""),
                ("UPDATE $t SET $k0 = ", " WHERE $k1 = ", ""),
                ("DELETE FROM $t WHERE $k0 = ", " OR $k1 = ", " RETURNING id"),
                ("INSERT INTO $t ($k0, $k1) VALUES (", ", ", ")"),
            )
        )
    else:
        pieces = rng.choice(
            (
                ("SELECT ", " FROM $t ORDER BY ", ""),
                ("SELECT id, $k0 FROM $t GROUP BY ", " ORDER BY ", " DESC"),
                ("SELECT ", ", ", " FROM $t"),
                ("UPDATE $t SET ", " = ", ""),
            )
        )
    fixed = rng.choice(('"12"', '"7"', '"40"')) if value else rng.choice(('"$k0"', '"$k1"', '"$k2"'))
    turn = rng.random() < 0.5
    form = rng.randrange(6)

    def call(which: str, name: str) -> str:
        return f"{which}({name})"

    def statement(raw: str, fine: str) -> str:
        user_first = turn == (raw == "$a")
        one, two = call(raw_call, raw), call(fine_call, fine)
        if not user_first:
            one, two = two, one
        p, q, r = pieces
        if form == 0:
            return f'{raw_call}("{p}{{}}{q}{{}}{r}").format({one}, {two})'
        if form == 1:
            return f'{raw_call}("{p}") + {one} + {raw_call}("{q}") + {two}' + (f' + {raw_call}("{r}")' if r else "")
        if form == 2:
            return f'{lib}.Composed([{raw_call}("{p}"), {one}, {raw_call}("{q}"), {two}' + (
                f', {raw_call}("{r}")])' if r else "])"
            )
        if form == 3:
            return f'{raw_call}("{p}{{x}}{q}{{y}}{r}").format(x={one}, y={two})'
        if form == 4:
            inside = (f"{{{raw}}}", "{{}}") if user_first else ("{{}}", f"{{{raw}}}")
            return f'{raw_call}(f"{p}{inside[0]}{q}{inside[1]}{r}").format({call(fine_call, fine)})'
        inside = ('" + %s + "' % raw, "{}") if user_first else ("{}", '" + %s + "' % raw)
        return f'{raw_call}("{p}{inside[0]}{q}{inside[1]}{r}").format({call(fine_call, fine)})'

    source = rng.choice(('request.args["$k3"]', 'payload["$k3"]', 'form.get("$k3", "$k1")', 'message.headers["$k3"]'))
    param = source.split(".")[0].split("[")[0]
    opening = rng.choice(
        (
            f"def $f0({param}):\n    with psycopg.connect($U1) as conn, conn.cursor() as cur:",
            f"def $f0(conn, {param}):\n    with conn.cursor() as cur:",
            f"def $f0(pool, {param}):\n    with pool.connection() as conn, conn.cursor() as cur:",
        )
    )
    run = rng.choice(("cur.execute($c)", "cur.execute($c, [])", "cur.execute($c.as_string(conn))"))
    top = f"from psycopg import sql{' as pgsql' if lib == 'pgsql' else ''}"
    if "$U1" in opening:
        top = f'import os\n\nimport psycopg\n{top}\n\n$U1 = os.environ["DATABASE_URL"]'
    bad, good = f"!$c = {statement('$a', '$b')}", f"!$c = {statement('$b', '$a')}"
    fetch_line = (
        rng.choice(("return cur.rowcount", "conn.commit()")) if "SELECT" not in pieces[0] else "return cur.fetchall()"
    )
    if rng.random() < 0.5:
        order = rng.choice(("$a, $b", "$b, $a"))
        top += f"\n\n\ndef $f1({order}):\n    ~\n    @@A\n    return $c"
        steps = f"%$a = {source}\n%$b = {fixed}\n~\n$c = $f1({order})"
    else:
        steps = f"%$a = {source}\n%$b = {fixed}\n~\n@@A\n~"
    body = f"{steps}\n{run}\n{fetch_line}"
    text = (
        top
        + "\n\n\n"
        + opening
        + "\n"
        + "\n".join(("%" if x[0] == "%" else "") + " " * 8 + x.lstrip("%") for x in body.split("\n"))
    )
    text = re.sub(r"^%( +)", r"\1%", text, flags=re.M)
    return compose(
        rng,
        names,
        text,
        way("$a from the request becomes a raw piece of the statement, only the fixed $b is quoted", A=bad),
        way("$a from the request is quoted by the composing library, the raw piece $b is fixed", A=good),
    )


def stored_then_used(rng: random.Random) -> Sample:
    """Wrong: a text that a client stored earlier is written into a later query; right: it is bound there."""
    names = vocab(
        rng,
        "pupil teacher diploma lesson exam grade essay desk board locker semester campus library lecture seminar tutor "
        "thesis degree faculty dean alumni fee hall club mentor exchange",
    )
    db = rng.choice(("conn", "db", "con"))
    first, second = "$w0s", "$w1s"
    schema = f"CREATE TABLE IF NOT EXISTS {first} (id INTEGER PRIMARY KEY, $k0 TEXT, $k1 TEXT)"
    store = f"""
def $f1({db}, request):
    {db}.execute("INSERT INTO {first} ($k0, $k1) VALUES (?, ?)", (request["$k0"], request["$k1"]))
    {db}.commit()
"""
    if rng.random() < 0.4:
        store = f"""
def $f1({db}, message):
    $g = json.loads(message)
    {db}.execute("INSERT INTO {first} ($k0, $k1) VALUES (:$k0, :$k1)", $g)
"""
    spell = rng.randrange(3)
    start, middle, close = rng.choice(
        (
            (f"SELECT * FROM {second} WHERE $k2 = ", " AND $k3 = ", ""),
            (f"DELETE FROM {second} WHERE $k2 = ", " AND $k3 = ", ""),
            (f"UPDATE {second} SET $k2 = ", " WHERE $k3 = ", ""),
            (f"INSERT INTO {second} ($k2, $k3) VALUES (", ", ", ")"),
        )
    )
    quote = rng.choice(("'", "'", ""))
    left, right = (
        (f"{start}{quote}", f"{quote}{middle}?{close}")
        if rng.random() < 0.5
        else (f"{start}?{middle}{quote}", f"{quote}{close}")
    )

    def text(inline: str) -> str:
        return (
            f'f"{left}{{{inline}}}{right}"',
            f'"{left}" + str({inline}) + "{right}"',
            f'"{left}{{}}{right}".format({inline})',
        )[spell]

    number = rng.choice(("id", "COUNT(*)", "MAX(id)", "length($k1)"))
    columns, turned = f"SELECT $k0, {number}", f"SELECT {number}, $k0"
    by_select = rng.random() < 0.4
    shape = rng.randrange(3)
    if shape == 0:
        body = f"""
def $f0({db}, $e):
    $c = {db}.execute("COLS FROM {first} WHERE id = ?", ($e,)).fetchone()
    %$a = $c[0]
    %$b = $c[1]
    ~
    @@A
    @@B
    {db}.commit()
"""
    elif shape == 1:
        body = f"""
def $f0({db}):
    $d = 0
    $f = {db}.execute("COLS FROM {first} GROUP BY id").fetchall()
    for $a, $b in $f:
        @@A
        @@B
        $d += 1
    ~
    return $d
"""
    else:
        body = f"""
def $f2({db}, $a, $b):
    @@A
    @@B
    return $c.rowcount


def $f0({db}):
    $c = {db}.execute("COLS FROM {first} GROUP BY id")
    ~
    return sum($f2({db}, *$e) for $e in $c.fetchall())
"""
    target = "$c = " if shape == 2 else ""
    why = "$a was stored by a client and is written into the later query"
    because = "$a is bound in the later query, only the number $b is written into it"
    if by_select:
        # the place in the text holds $b; the order of the columns decides what that is
        line = next(x for x in body.split("\n") if "COLS" in x).strip()
        body = (
            body.replace(line, "@@S")
            .replace("@@A", f"query = {text('$b')}")
            .replace("@@B", f"{target}{db}.execute(query, ($a,))")
        )
        bad = way(
            "$b holds the text that a client stored and is written into the later query",
            S="!" + line.replace("COLS", turned),
        )
        good = way("$b is a number, the stored text $a is bound", S="!" + line.replace("COLS", columns))
    else:
        flip = rng.random() < 0.3
        body = body.replace("COLS", columns)
        bad = way(why, A=f"!query = {text('$a')}", B=f"{target}{db}.execute(query, {'[$b]' if flip else '($b,)'})")
        good = way(because, A=f"!query = {text('$b')}", B=f"{target}{db}.execute(query, {'[$a]' if flip else '($a,)'})")
    setup = f'def $f3({db}):\n    {db}.execute("{schema}")'
    blocks = [setup, store.strip("\n"), body.strip("\n")]
    if rng.random() < 0.5:
        rng.shuffle(blocks)
    top = ["import sqlite3", *(["import json"] if "json." in store else [])]
    return compose(rng, names, "\n".join(sorted(top)) + "\n\n\n" + "\n\n\n".join(blocks), bad, good)


def column_gate(rng: random.Random) -> Sample:
    """Wrong: the test of a column or table name lets other text through; right: only known or plain names pass."""
    names = vocab(
        rng,
        "planet comet orbit moon nebula quasar pulsar probe lander rover payload booster fairing thruster apogee "
        "telemetry antenna beacon capsule module hatch airlock visor tether solar sail",
    )
    shell = base_shell(rng)
    m = shell.mark
    known = ", ".join(f'"{names[k]}"' for k in ("k0", "k1", "w0"))
    plain = rng.choice(
        (
            f"SELECT * FROM $w1s WHERE $k2 = {m} ORDER BY |",
            f"SELECT $k2, | FROM $w1s WHERE $k2 = {m}",
            f"SELECT COUNT(*) FROM | WHERE $k2 = {m}",
            f"SELECT $k2, COUNT(*) FROM $w1s WHERE $k2 <> {m} GROUP BY |",
            f"UPDATE $w1s SET | = NULL WHERE $k2 = {m}",
        )
    )
    note = rng.choice(('print("odd $k3")', '$e.append("$k3")', "$d += 1"))
    fall = rng.choice(('$a = "$k0"', "$a = $U0[0]", '$a = "$k1"'))
    v = "$a"
    wrong = [
        (f'if not re.match(r"[a-z_]+", {v}):\n    ACT', "the pattern only covers the start of $a"),
        (f'if not re.search(r"[a-z_]+", {v}):\n    ACT', "the pattern covers any part of $a"),
        (f"if not any(name in {v} for name in $U0):\n    ACT", "$a only has to contain a known name"),
        (f"if not {v}.startswith($U0):\n    ACT", "$a only has to start with a known name"),
        ("if $b not in $U0:\n    ACT", "the test looks at $b and not at $a"),
        ("if not $b.isidentifier():\n    ACT", "the test looks at $b and not at $a"),
        (f"if {v} not in $U0:\n    {note}", "an unknown $a is noted and used"),
        (f"if not {v}.isidentifier():\n    {note}", "an odd $a is noted and used"),
        (f'if ";" in {v} or "--" in {v}:\n    ACT', "text without ; and -- still changes the query around $a"),
        (f"if not any(ch.isalpha() for ch in {v}):\n    ACT", "one letter is enough for $a to pass"),
        (f'if {v}.split(" ")[0] not in $U0:\n    ACT', "only the first word of $a is tested"),
        (f"if {v} not in $U0 and $b not in $U0:\n    ACT", "$a passes when $b is known"),
        ('if $a in $U0:\n    print("known", $a)', "the outcome of the test of $a changes nothing"),
        ('if not re.fullmatch(r"[a-z_]+", $b):\n    ACT', "the pattern looks at $b and not at $a"),
        ("if not all(ch.isalpha() for ch in $b):\n    ACT", "only letters are asked for in $b and not in $a"),
        (f"if {v} not in $U0:\n    {note}\nif $b not in $U0:\n    ACT", "an unknown $a is noted, only $b is tested"),
        (f'if not re.fullmatch(r"[a-z_]+", {v}):\n    {note}', "an odd $a is noted and used"),
        (f"if {v} in $U0:\n    {fall}", "only known names are replaced, other text in $a stays"),
    ]
    right = [
        (f'if not re.fullmatch(r"[a-z_]+", {v}):\n    ACT', "the pattern covers all of $a"),
        (f'if re.search(r"[^a-z_]", {v}):\n    ACT', "any other character in $a ends the call"),
        (f"if not any(name == {v} for name in $U0):\n    ACT", "$a has to equal a known name"),
        (f"if {v} not in $U0:\n    ACT", "$a has to be a known name"),
        (f"if not {v}.isidentifier():\n    ACT", "$a has to be a plain name"),
        (f"if {v} not in $U0:\n    {fall}", "an unknown $a is replaced by a fixed name"),
        (f"if not {v}.isidentifier():\n    {fall}", "an odd $a is replaced by a fixed name"),
        (f"if not all(ch.isalpha() for ch in {v}):\n    ACT", "only letters pass in $a"),
        (f"if {v} not in $U0 or $b not in $U0:\n    ACT", "$a and $b have to be known names"),
        (
            f'if not re.match(r"[a-z_]+", $b):\n    ACT\nif {v} not in $U0:\n    {fall}',
            "an unknown $a becomes a fixed name",
        ),
        (
            f'if ";" in $b or "--" in $b:\n    ACT\nif not {v}.isidentifier():\n    {fall}',
            "an odd $a becomes a fixed name",
        ),
        (f'if {v} in $U0:\n    print("known", {v})\nelse:\n    {fall}', "an unknown $a becomes a fixed name"),
        (f"if not {v}.startswith($U0):\n    {note}\nif not {v}.isalpha():\n    {fall}", "only letters pass in $a"),
        (f"if $b in $U0:\n    {note}\nif {v} not in $U0:\n    ACT", "$a has to be a known name"),
        (f"if not $b.isidentifier():\n    {note}\nif not {v}.isalpha():\n    ACT", "only letters pass in $a"),
    ]
    loose, why = rng.choice(wrong)
    tight, because = rng.choice(right)

    if rng.random() < 0.45:
        aside = rng.choice(
            ("if $b not in $U0", "if not $b.isidentifier()", 'if not re.fullmatch(r"[a-z_]+", $b)', 'if "\'" in $b')
        )
        loose = f"{aside}:\n    {rng.choice((note, 'BAIL'))}\n{loose}"

    def ready(text: str) -> str:
        lines = text.replace("ACT", "BAIL").split("\n")
        at = max(i for i, line in enumerate(lines) if line.startswith("if"))
        lines[at] = "!" + lines[at]
        return "\n".join(lines)

    left, tail = plain.split("|")
    pieces = [left, "=$a", tail] if tail else [left, "=$a"]
    body = f"""
%$a = IN($k3)
%$b = IN($w2)
~
@@A
~
query = {sql_text(rng, pieces, shell)}
{fetch(rng, shell, "query", rng.choice(("($b,)", "[$b]")))}
OUT(rows)
"""
    used = body + loose + tight
    start = ("$d = 0\n" if "$d +=" in used else "") + ("$e = []\n" if "$e.append" in used else "")
    before = [b for b in (dsn(shell), f"$U0 = ({known})") if b]
    return in_shell(
        rng,
        names,
        start + body.strip("\n"),
        way("$a becomes part of the query: " + why, A=ready(loose)),
        way("no other text reaches the query: " + because, A=ready(tight)),
        imports=("import re",) if "re." in used.replace("store.", "") or rng.random() < 0.3 else (),
        before="\n".join(before),
        shell=shell,
    )


def declared_types(rng: random.Random) -> Sample:
    """Wrong: the field written into the query is declared as text; right: as a number that the framework converts."""
    names = vocab(
        rng,
        "guest room booking suite tariff night floor key minibar linen towel pillow breakfast terrace sauna deposit "
        "voucher season stay party arrival transfer upgrade invoice parking wing",
    )
    table = "$w0s"
    left = rng.choice(
        (
            f"SELECT * FROM {table} WHERE $k1 = ? LIMIT ",
            f"SELECT id FROM {table} WHERE $k1 = ? AND $k0 = ",
            f"DELETE FROM {table} WHERE $k1 = ? AND id = ",
            f"SELECT $k1 FROM {table} WHERE $k1 <> ? AND $k0 > ",
        )
    )
    spell = rng.randrange(3)

    def text(value: str) -> str:
        return (f'f"{left}{{{value}}}"', f'"{left}" + str({value})', f'"{left}%s" % {value}')[spell]

    kind = rng.randrange(7)
    a, b = "$a", "$b"
    pair = [a, b]
    rng.shuffle(pair)
    if kind == 0:
        decl = {a: "int", b: "str"}
        swap = {a: "str", b: "int"}
        sig = "!" + rng.choice(("async def", "def")) + " $f0(" + ", ".join(f"{v}: {{{v}}}" for v in pair) + "):"
        good_a, bad_a = (sig.replace(f"{{{a}}}", d[a]).replace(f"{{{b}}}", d[b]) for d in (decl, swap))
        body = f"""
from fastapi import FastAPI

from app.storage import connect

app = FastAPI()


@app.get("/{table}")
@@A
    db = connect()
    ~
    query = {text(a)}
    rows = db.execute(query, ({b},)).fetchall()
    return {{"rows": rows}}
"""
    elif kind == 1:
        decl, swap = {a: f"<int:{a}>", b: f"<{b}>"}, {a: f"<{a}>", b: f"<int:{b}>"}
        route = f'!@app.route("/{table}/PAIR/$w1")'
        good_a, bad_a = (route.replace("PAIR", "/".join(d[v] for v in pair)) for d in (decl, swap))
        body = f"""
import sqlite3

from flask import Flask, jsonify

app = Flask(__name__)


@@A
def $f0({", ".join(rng.sample(pair, 2))}):
    with sqlite3.connect("$w2.db") as conn:
        ~
        query = {text(a)}
        rows = conn.execute(query, [{b}]).fetchall()
    return jsonify(rows)
"""
    elif kind == 2:
        decl, swap = {a: f"<int:{a}>", b: f"<str:{b}>"}, {a: f"<str:{a}>", b: f"<int:{b}>"}
        route = '!path("$w1/PAIR/", $f0),'
        good_a, bad_a = (route.replace("PAIR", "/".join(d[v] for v in pair)) for d in (decl, swap))
        left = left.replace("?", "%s")
        spell = spell % 2
        body = f"""
from django.db import connection
from django.http import JsonResponse
from django.urls import path


def $f0(request, {", ".join(rng.sample(pair, 2))}):
    ~
    with connection.cursor() as cur:
        query = {text(a)}
        cur.execute(query, [{b}])
        return JsonResponse({{"rows": cur.fetchall()}})


urlpatterns = [
    @@A
]
"""
    elif kind == 3:
        kinds = (rng.choice(("int", "float", "int")), rng.choice(("str", "str", "str | None")))
        lines = {a: f"{a}: {kinds[0]}", b: f"{b}: {kinds[1]}"}
        swap = {a: f"{a}: {kinds[1]}", b: f"{b}: {kinds[0]}"}
        good_a, bad_a = ("\n".join(("!" if v == a else "") + d[v] for v in pair) for d in (lines, swap))
        body = f"""
from pydantic import BaseModel


class ${{W1}}Order(BaseModel):
    @@A


def $f0(db, raw):
    $c = ${{W1}}Order.model_validate_json(raw)
    ~
    query = {text("$c." + a)}
    return db.execute(query, ($c.{b},)).fetchall()
"""
    elif kind == 4:
        flags = {a: "type=int, default=5", b: 'default="$w3"'}
        other = {a: 'default="5"', b: "type=int, default=3"}
        tool = rng.choice(("argparse", "reqparse"))
        dash = "--" if tool == "argparse" else ""
        rows = {}
        for name, d in (("good", flags), ("bad", other)):
            rows[name] = "\n".join(("!" if v == a else "") + f'parser.add_argument("{dash}{v}", {d[v]})' for v in pair)
        good_a, bad_a = rows["good"], rows["bad"]
        lib = "import argparse" if tool == "argparse" else "from flask_restful import reqparse"
        make = "argparse.ArgumentParser()" if tool == "argparse" else "reqparse.RequestParser()"
        get = ("given.$a", "given.$b") if tool == "argparse" else ('given["$a"]', 'given["$b"]')
        spell = spell if tool == "argparse" else 1 + spell % 2
        body = f"""
import sqlite3

{lib}


def $f0(path):
    parser = {make}
    @@A
    given = parser.parse_args()
    ~
    conn = sqlite3.connect(path)
    query = {text(get[0])}
    return conn.execute(query, ({get[1]},)).fetchall()
"""
    elif kind == 5:
        conv = {a: f'int(fields["{a}"])', b: f'fields["{b}"].strip()'}
        swap = {a: f'fields["{a}"].strip()', b: f'int(fields["{b}"])'}
        good_a, bad_a = ("\n".join(("!" if v == a else "") + f"{v}={d[v]}," for v in pair) for d in (conv, swap))
        ann = rng.choice((("int", "str"), ("str", "str"), ("int", "int")))
        body = f"""
import json
from dataclasses import dataclass


@dataclass
class ${{W1}}:
    {pair[0]}: {ann[0] if pair[0] == a else ann[1]}
    {pair[1]}: {ann[0] if pair[1] == a else ann[1]}


def $f1(line):
    fields = json.loads(line)
    return ${{W1}}(
        @@A
    )


def $f0(db, line):
    $c = $f1(line)
    ~
    query = {text("$c." + a)}
    return db.execute(query, ($c.{b},)).fetchall()
"""
    else:
        conv = {a: f'"{a}": int', b: f'"{b}": str'}
        swap = {a: f'"{a}": str', b: f'"{b}": int'}
        good_a, bad_a = ("!KINDS = {" + ", ".join(d[v] for v in pair) + "}" for d in (conv, swap))
        spell = 1 + spell % 2
        body = f"""
@@A


def $f1(form):
    return {{name: kind(form[name]) for name, kind in KINDS.items()}}


def $f0(db, form):
    $c = $f1(form)
    ~
    query = {text('$c["$a"]')}
    return db.execute(query, [$c["$b"]]).fetchall()
"""
    return compose(
        rng,
        names,
        body,
        way("$a may be any text, since the conversion to a number is declared for $b", A=bad_a),
        way("$a is converted to a number before it is written into the query, $b is bound", A=good_a),
    )


def own_quotes(rng: random.Random) -> Sample:
    """Wrong: a quoting helper that leaves a single quote alive, or is used elsewhere; right: every quote is doubled."""
    names = vocab(
        rng,
        "kitten puppy parrot hamster rabbit turtle lizard pony goat lamb duckling gosling collar leash kennel stable "
        "paddock aviary groomer breeder vet microchip pedigree litter breed fur",
    )
    shell = base_shell(rng, sqlite=True)
    x = names["g"]
    wrong = [
        (f"""return {x}.replace("'", "\\\\'")""", "a backslash does not quote in SQLite"),
        (f"""return {x}.replace("''", "'")""", "the two arguments of replace are the wrong way round"),
        (f"""return {x}.replace("'", "''", 1)""", "only the first quote is doubled"),
        (f"""return {x}.replace('"', '""')""", "double quotes are doubled, single ones are not"),
        (f"""return {x}.strip("'")""", "quotes inside the text stay"),
        (f"""{x}.replace("'", "''")\nreturn {x}.strip()""", "the result of replace is dropped"),
        (f"""return {x}.replace(";", "").replace("--", "")""", "single quotes stay"),
        (f"""return {x}.replace("'", "''") if len({x}) > 30 else {x}""", "a short text is returned as it came"),
        (f"""return {x}.translate({{34: '""'}})""", "the table covers the double quote only"),
        (f"""return {x}.replace("'", "''").replace("''", "'")""", "the second replace takes the first one back"),
        (f"""return "".join("''" if ch == '"' else ch for ch in {x})""", "the loop looks for the double quote only"),
        (
            f"""if "'" in {x}[:1]:\n    {x} = {x}.replace("'", "''")\nreturn {x}""",
            "only a text that starts with a quote is treated",
        ),
        (f"""return re.sub("^'|'$$", "''", {x})""", "quotes inside the text stay"),
    ]
    right = [
        (f"""return {x}.replace("'", "''")""", "every single quote is doubled"),
        (f"""return "''".join({x}.split("'"))""", "every single quote is doubled"),
        (f"""return {x}.replace("'", "")""", "no single quote is left"),
        (f"""return {x}.replace('"', '""').replace("'", "''")""", "every single quote is doubled"),
        (f"""{x} = {x}.replace("'", "''")\nreturn {x}.strip()""", "every single quote is doubled"),
        (f"""return {x}.translate({{39: "''"}})""", "every single quote is doubled"),
        (f"""return "".join("''" if ch == "'" else ch for ch in {x})""", "every single quote is doubled"),
        (f"""if "'" in {x}:\n    {x} = {x}.replace("'", "''")\nreturn {x}""", "every single quote is doubled"),
        (f"""return re.sub("'", "''", {x})""", "every single quote is doubled"),
        (f"""return {x}.replace("''", "'").replace("'", "''")""", "every single quote is doubled at the end"),
    ]
    table = "$w0s"
    left = rng.choice(
        (
            f"SELECT * FROM {table} WHERE $k0 = ",
            f"DELETE FROM {table} WHERE $k0 = ",
            f"SELECT id FROM {table} WHERE $k0 <> ",
            f"UPDATE {table} SET $k2 = 'x' WHERE $k0 = ",
        )
    )
    spell = rng.randrange(3)
    mode = rng.choice(("body", "body", "swap", "place"))

    def text(a: str, b: str, quote: str = "'") -> str:
        mid = " AND $k1 = "
        if spell == 0:
            return f"f\"{left}{quote}{{{a}}}{quote}{mid}'{{{b}}}'\""
        if spell == 1:
            return f'"{left}{quote}" + {a} + "{quote}{mid}\'" + {b} + "\'"'
        return f"\"{left}{quote}%s{quote}{mid}'%s'\" % ({a}, {b})"

    helper = f"def $f1({x}):\n"
    fine, because = rng.choice(right)
    if mode == "body":
        bad_text, why = rng.choice(wrong)
        b = rng.choice(("$b", "$f1($b)"))
        plain_bad, plain_fine = bad_text, fine
        if rng.random() < 0.85:
            one = rng.choice([t for t, _ in right if "\n" not in t]).removeprefix("return ")
            bad_text = (
                rng.choice(("size = len(%s)", "print(len(%s))", "kept = %s", f"longer = {x} != %s")) % one
                + "\n"
                + bad_text
            )
        if rng.random() < 0.85:
            one = rng.choice([t for t, _ in wrong if "\n" not in t and "%" not in t]).removeprefix("return ")
            fine = (
                rng.choice(("size = len(%s)", "print(len(%s))", "kept = %s", f"longer = {x} != %s")) % one + "\n" + fine
            )
        body = f"query = {text('$f1($a)', b)}"

        def ready(lines: str, skip: int) -> str:
            parts = lines.split("\n")
            at = next(
                (
                    i
                    for i, p in enumerate(parts)
                    if i >= skip and any(k in p for k in ("replace", "re.sub", "translate"))
                ),
                len(parts) - 1,
            )
            at = len(parts) - 1 if parts[at].startswith(f"{x}.") else at
            parts[at] = "!" + parts[at]
            return "\n".join(parts)

        skip_bad, skip_fine = bad_text.count("\n") - plain_bad.count("\n"), fine.count("\n") - plain_fine.count("\n")
        bad, good = (
            way("$a can close the quotes of the query: " + why, H=ready(bad_text, skip_bad)),
            way("$a stays inside the quotes: " + because, H=ready(fine, skip_fine)),
        )
        helper += "    ~\n    @@H"
    elif mode == "swap":
        helper += "    " + fine.replace("\n", "\n    ")
        bad = way("only the fixed $b goes through $f1, $a can close the quotes", H=f"!query = {text('$a', '$f1($b)')}")
        good = way("$a goes through $f1 and stays inside the quotes", H=f"!query = {text('$f1($a)', '$b')}")
        body = "@@H"
    else:
        helper += "    " + fine.replace("\n", "\n    ")
        bad = way(
            "$f1 treats quotes, but $a stands in the query without any", H=f"!query = {text('$f1($a)', '$f1($b)', '')}"
        )
        good = way(
            "$a goes through $f1 and stays inside quotes",
            H=f"!query = {text('$f1($a)', rng.choice(('$f1($b)', '$b', '$b.strip()')))}",
        )
        body = "@@H"
    lines = (
        f"{shell.ex}.row_factory = sqlite3.Row\n"
        f"%$a = IN($k3)\n"
        f"%$b = {rng.choice(('$U0', chr(34) + '$w1' + chr(34)))}\n"
        f"~\n"
        f"{body}\n"
        f"{fetch(rng, shell, 'query')}\n"
        f"~\n"
        f"OUT(rows)"
    )
    before = ('$U0 = "$w2"\n\n\n' if "$U0" in lines else "") + helper
    return in_shell(
        rng,
        names,
        lines,
        bad,
        good,
        imports=("import sqlite3", *(["import re"] if "re.sub" in str(bad) + str(good) + helper else [])),
        before=before,
        shell=shell,
    )


def bulk_values(rng: random.Random) -> Sample:
    """Wrong: the rows of the client are joined into the statement and fixed rows are bound; right: the reverse."""
    names = vocab(
        rng,
        "bolt screw washer hammer wrench drill chisel clamp ladder plank panel hinge latch bracket gasket valve pipe "
        "fitting nozzle hose pump motor rotor bearing gear axle",
    )
    db = rng.choice(("conn", "db", "con", "store"))
    cols = ["$k0", "$k1", "$k2"][: rng.choice((1, 2, 2, 3))]
    n = len(cols)
    table, side = "$w0s", "$w1s"
    head = f"({', '.join(cols)})"
    parse = rng.choice(("json", "csv", "lines", "list"))
    key = rng.random() < 0.4 and parse in {"json", "list"}
    item = rng.choice(("row", "r", "entry", "one"))
    cell = [f'{item}["{c}"]' if key else f"{item}[{i}]" for i, c in enumerate(cols)]
    form = rng.randrange(3)

    def inline(rows: str, where: str) -> str:
        quoted = ", ".join("'%s'" for _ in cols)
        if form == 0:
            group = f'"({quoted})" % ({", ".join(cell)}{"," if n == 1 else ""})'
        elif form == 1:
            group = '"(' + ", ".join("'{}'" for _ in cols) + ')".format(' + ", ".join(cell) + ")"
        else:
            group = ' + ", " + '.join(f'"\'" + {c} + "\'"' for c in cell)
            group = f'"(" + {group} + ")"'
        return f'{db}.execute("INSERT INTO {where} {head} VALUES " + ", ".join({group} for {item} in {rows}))'

    def bound(rows: str, where: str) -> str:
        marks = ", ".join("?" for _ in cols)
        given = f"[({', '.join(cell)}{',' if n == 1 else ''}) for {item} in {rows}]"
        return f'{db}.executemany("INSERT INTO {where} {head} VALUES ({marks})", {given})'

    fixed_rows = []
    for i in range(2):
        vals = [f'"${"w" if i else "k"}{2 + (j % 2)}"' for j in range(n)]
        fixed_rows.append(
            "{" + ", ".join(f'"{c}": {v}' for c, v in zip(cols, vals, strict=True)) + "}"
            if key
            else "(" + ", ".join(vals) + ("," if n == 1 else "") + ")"
        )
    consts = f"$U0 = [{', '.join(fixed_rows)}]"
    read = {
        "json": "$a = json.loads(body)",
        "csv": "$a = list(csv.reader(io.StringIO(body)))",
        "lines": '$a = [line.split("|") for line in body.splitlines() if line]',
        "list": rng.choice(('$a = request.json["$k3"]', '$a = request.get_json()["$k3"]', '$a = body["$k3"]')),
    }[parse]
    arg = "request" if "request" in read else "body"
    mode = rng.choice(("swap", "swap", "helpers", "marks", "ids"))
    imports = {"json": ["import json"], "csv": ["import csv", "import io"]}.get(parse, [])
    shared = ""
    if mode == "swap":
        order = rng.random() < 0.5
        a_bad, b_bad, a_good, b_good = inline("$a", table), bound("$U0", side), bound("$a", table), inline("$U0", side)
        if rng.random() < 0.5:
            a_bad, b_bad, a_good, b_good = (t.replace("$U0", "$b") for t in (a_bad, b_bad, a_good, b_good))
            shared = "$b = $U0\n"
        steps = "@@A\n@@B" if order else "@@B\n~\n@@A"
        bad = way("the texts in $a come from the client and are joined into the statement", A=f"!{a_bad}", B=b_bad)
        good = way("the texts in $a are bound, only fixed rows are joined into a statement", A=f"!{a_good}", B=b_good)
        helper = ""
    elif mode == "helpers":
        one, two = ("$f1", "$f2") if rng.random() < 0.5 else ("$f2", "$f1")
        blocks = [
            f"def {one}({db}, rows):\n    ~\n    return {inline('rows', '$w0s')}",
            f"def {two}({db}, rows):\n    return {bound('rows', '$w0s')}",
        ]
        rng.shuffle(blocks)
        helper = "\n\n\n".join(blocks)
        order = rng.sample(("$a", "$U0"), 2)
        call = {"$a": (one, two), "$U0": (two, one)}
        bad_lines = [("!" if v == "$a" else "") + f"{call[v][0]}({db}, {v})" for v in order]
        good_lines = [("!" if v == "$a" else "") + f"{call[v][1]}({db}, {v})" for v in order]
        steps = "@@A"
        bad = way(f"$a from the client goes to {one}, which joins its texts into the statement", A="\n".join(bad_lines))
        good = way(f"$a goes to {two}, which binds its texts", A="\n".join(good_lines))
    else:
        helper = ""
        pick = f"$c = [{cell[0]} for {item} in $a]"
        given = '["$w2", "$w3"]'
        if mode == "marks":
            steps = f"{pick}\n$d = {given}\n~\n@@A\n"
            where = f'"DELETE FROM {table} WHERE $k0 IN (" + $e + ") AND $k3 IN (" + $f + ")"'
            steps += f"query = {where}\n@@B"
            q, m = '", ".join(f"\'{v}\'" for v in %s)', '", ".join("?" for v in %s)'
            lines = {}
            flip = rng.random() < 0.5
            for name, loose in (("bad", True), ("good", False)):
                e, f = (
                    f"$e = {(q if loose else m).replace('%s', '$c')}",
                    f"$f = {(m if loose else q).replace('%s', '$d')}",
                )
                e = f"!{e}"
                lines[name] = f"{f}\n{e}" if flip else f"{e}\n{f}"
            bad = way(
                "the texts of $c come from the client and stand between quotes in the query",
                A=lines["bad"],
                B=f"{db}.execute(query, $d)",
            )
            good = way(
                "the texts of $c are bound, only the fixed ones of $d stand in the query",
                A=lines["good"],
                B=f"{db}.execute(query, $c)",
            )
        else:
            take = rng.choice(("int(%s)", "int(%s)", "str(int(%s))"))
            soft = rng.choice(("str(%s)", "%s.strip()", "%s.rstrip()"))
            steps = (
                f"@@A\n"
                f"~\n"
                f'$d = ", ".join(str(v) for v in $c)\n'
                f'$e = ", ".join("\'" + str(v) + "\'" for v in $f)\n'
                f'query = "SELECT * FROM {table} WHERE id IN (" + $d + ") AND $k3 IN (" + $e + ")"\n'
                f"return {db}.execute(query).fetchall()"
            )
            lines = {}
            flip = rng.random() < 0.5
            for name, mine, theirs in (("bad", soft, take), ("good", take, soft)):
                c = f"!$c = [{mine % cell[0]} for {item} in $a]"
                f = f'$f = [{theirs % "n"} for n in ("3", "7")]'
                lines[name] = f"{f}\n{c}" if flip else f"{c}\n{f}"
            consts = ""
            bad = way("the values of $c are texts of the client, only the fixed ones of $f are numbers", A=lines["bad"])
            good = way("the values of $c are converted to numbers before they are joined", A=lines["good"])
    done = (
        ""
        if mode == "ids"
        else "\n" + rng.choice((f"{db}.commit()", f"{db}.commit()\nreturn len($a)", "return len($a)"))
    )
    body = f"def $f0({db}, {arg}):\n" + "\n".join(
        "    " + line for line in f"{read}\n{shared}~\n{steps}{done}".split("\n")
    )
    pieces = [
        p
        for p in (
            "\n".join(imports),
            consts if "$U0" in shared + steps + str(bad) + helper or mode == "swap" else "",
            helper,
            body,
        )
        if p
    ]
    return compose(rng, names, "\n\n\n".join(pieces), bad, good)


def named_queries(rng: random.Random) -> Sample:
    """Wrong: in the table of queries the client's field is a text placeholder; right: it is a bound one."""
    names = vocab(
        rng,
        "violin cello flute oboe clarinet trumpet drum cymbal piano organ harp guitar banjo tempo melody chord rhythm "
        "sonata opera concert orchestra conductor rehearsal encore rondo fugue",
    )
    style = rng.choice(("format", "format", "template", "percent"))
    hole = {"format": "{%s}", "template": "$$%s", "percent": "%%(%s)s"}[style]
    fill = {
        "format": "$c.format(**$d)",
        "template": "Template($c).substitute($d)",
        "percent": "$c % $d",
    }[style]
    # user field k0, fixed field k1
    shapes = (
        ("SELECT * FROM $w0s WHERE ", ""),
        ("SELECT id, $k2 FROM $w0s WHERE ", " ORDER BY id"),
        ("DELETE FROM $w0s WHERE ", ""),
        ("UPDATE $w0s SET $k2 = 1 WHERE ", ""),
        ("SELECT COUNT(*) FROM $w0s WHERE ", " LIMIT 20"),
    )
    start, end = rng.choice(shapes)
    ops = [rng.choice(("=", "<>", "=", "LIKE")) for _ in range(2)]
    turn = rng.random() < 0.5

    def entry(loose: str, tight: str) -> str:
        parts = {loose: f"'{hole % loose}'", tight: f":{tight}"}
        conds = [f"${k} {o} " + parts[f"${k}"] for k, o in zip(("k0", "k1"), ops, strict=True)]
        if turn:
            conds.reverse()
        return f"{start}{rng_glue.join(conds)}{end}"

    rng_glue = rng.choice((" AND ", " OR ", " AND NOT "))
    label = rng.choice(("by_$k0", "$w1_list", "of_$w2", "find"))
    other_key = rng.choice(("all", "count", "recent"))
    other = rng.choice(
        (f"SELECT * FROM $w0s WHERE $k1 = '{hole % '$k1'}'", "SELECT COUNT(*) FROM $w0s WHERE $k1 = :$k1",
         f"SELECT id FROM $w0s WHERE $k1 = '{hole % '$k1'}' AND id > :id")
    )  # fmt: skip
    holder = rng.choice(("dict", "dict", "const", "class"))
    if style == "percent":
        other = other.replace("LIKE", "=")
    source = rng.choice(('request.args["$k3"]', 'form.get("$k3", "")', 'message["$k3"]', 'payload.get("$k3")'))
    arg = source.split(".")[0].split("[")[0]
    fixed = rng.choice(('"$w3"', "$U1"))
    make = rng.choice(
        (
            "$d = {%s}",
            "$d = dict(%s)",
        )
    )
    order = rng.sample(("$k0", "$k1"), 2)
    val = {"$k0": "$a", "$k1": "$b"}
    pairs = ", ".join((f'"{k}": {val[k]}' if "{" in make else f"{k}={val[k]}") for k in order)
    db = rng.choice(("db", "conn", "cur", "link"))
    bad_entry, good_entry = entry("$k0", "$k1"), entry("$k1", "$k0")
    if holder == "dict":
        lines = [f'    "{other_key}": "{other}",', "    @@A"]
        rng.shuffle(lines)
        head = "$U0 = {\n" + "\n".join(lines) + "\n}"
        slot, get = f'"{label}": "%s",', f'$U0["{label}"]'
    elif holder == "const":
        head, slot, get = "@@A", '$U0 = "%s"', "$U0"
    else:
        lines = [f'    {other_key} = "{other}"', "    @@A"]
        rng.shuffle(lines)
        head = "class ${W1}Sql:\n" + "\n".join(lines)
        slot, get = f'{label} = "%s"', f"${{W1}}Sql.{label}"
    helper = ""
    steps = f"%$a = {source}\n%$b = {fixed}\n~\n{make % pairs}\n"
    if rng.random() < 0.5:
        helper = f"def $f1({db}, $c, $d):\n    ~\n    query = {fill}\n    return {db}.execute(query, $d).fetchall()"
        steps += f"return $f1({db}, {get}, $d)"
    elif rng.random() < 0.5:
        helper = f"def $f1({db}, $c, **$d):\n    return {db}.execute({fill}, $d)"
        call = ", ".join(f"{k}={val[k]}" for k in order)
        steps = f"%$a = {source}\n%$b = {fixed}\n~\n$e = $f1({db}, {get}, {call})\nreturn $e.fetchall()"
    else:
        steps += f"$c = {get}\nquery = {fill}\n~\nreturn {db}.execute(query, $d).fetchall()"
    body = f"def $f0({db}, {arg}):\n" + "\n".join(
        ("%" if s[0] == "%" else "") + "    " + s.lstrip("%") for s in steps.split("\n")
    )
    body = re.sub(r"^%( +)", r"\1%", body, flags=re.M)
    blocks = [b for b in (helper, body) if b]
    rng.shuffle(blocks)
    top = "from string import Template\n\n\n" if style == "template" else ""
    consts = '$U1 = "$w3"\n\n' if fixed == "$U1" else ""
    text = top + consts + head + "\n\n\n" + "\n\n\n".join(blocks)
    return compose(
        rng,
        names,
        text,
        way(
            "$k0 holds $a from the client and is written between quotes into the query",
            A="!" + slot.replace("%s", bad_entry),
        ),
        way(
            "$k0, which holds $a, is bound, only the fixed $k1 is written into the query",
            A="!" + slot.replace("%s", good_entry),
        ),
    )


def finder_layers(rng: random.Random) -> Sample:
    """Wrong: through the layers of a store the client's value lands in the text of the query; right: it is bound."""
    names = vocab(
        rng,
        "beaker flask sample reagent enzyme protein plasma tissue culture assay buffer pipette centrifuge incubator "
        "freezer spectrum isotope polymer catalyst solvent residue titration molecule alloy crystal vial",
    )
    size = rng.choice((2, 2, 3))
    depth = rng.randint(1, 3)
    user = rng.randrange(size)
    perms = [rng.sample(range(size), size) for _ in range(depth)]

    def arrival(start: int, chain: list[list[int]]) -> int:
        for perm in chain:
            start = perm.index(start)
        return start

    bound_place = arrival(user, perms)
    text_place = rng.choice([j for j in range(size) if j != bound_place])
    params = rng.sample("field wanted table what which key given column name word item this that".split(), 3)[:size]
    cls = rng.random() < 0.5
    own = "self." if cls else ""
    db = "self.db" if cls else rng.choice(("db", "conn"))
    fns = rng.sample("find lookup rows_of load read_by pick fetch_by search get_by listing".split(), depth)
    used = [params] + [rng.sample(params, size) for _ in range(depth - 1)]
    shape = rng.randrange(4) if size == 2 else rng.randrange(2)
    spell = rng.randrange(3)

    def inner(place: int) -> str:
        inline, rest = params[place], [params[j] for j in range(size) if j != place]
        holes = ["=" + inline, "?", "?"]
        marks = " AND ".join(("$k0 = ?", "$k1 = ?")[: len(rest)])
        if shape == 0:
            pieces = ["SELECT * FROM $w0s WHERE ", holes[0], " IS NOT NULL AND " + marks]
        elif shape == 1:
            pieces = ["SELECT id FROM $w0s WHERE " + marks + " ORDER BY ", holes[0]]
        elif shape == 2:
            pieces = ["SELECT * FROM ", holes[0], " WHERE $k0 = ?"]
        else:
            pieces = ["SELECT * FROM $w0s WHERE ", holes[0], " = ?"]
        text = "".join(p for p in pieces if not p.startswith("="))
        if spell == 0:
            text = 'f"' + "".join(f"{{{p[1:]}}}" if p.startswith("=") else p for p in pieces) + '"'
        elif spell == 1:
            text = " + ".join(p[1:] if p.startswith("=") else f'"{p}"' for p in pieces)
        else:
            text = '"' + "".join("{}" if p.startswith("=") else p for p in pieces) + f'".format({inline})'
        return f"query = {text}\nreturn {db}.execute(query, {tupled(rest)}).fetchall()"

    deco = [[rng.choice(("%s", "%s", "%s.strip()", "%s.lower()")) for _ in range(size)] for _ in range(depth)]
    first = "" if cls else f"{db}, "

    def call(level: int, perm: list[int], given: list[str], by: str) -> str:
        parts = ", ".join(deco[level][j] % given[perm[j]] for j in range(size))
        return f"{by}{fns[level]}({first}{parts})"

    flip = rng.randrange(depth + 1)
    values = [f"${'abc'[j]}" for j in range(size)]
    slots: dict[str, dict[str, str]] = {"good": {}, "bad": {}}
    store = rng.choice(("store", "repo", "shelf"))
    for which in ("good", "bad"):
        chain = [list(p) for p in perms]
        place = text_place
        if which == "bad" and flip == depth:
            place = bound_place
        elif which == "bad":
            mine = arrival(user, perms[: flip + 1])
            other = next(j for j in range(size) if j != mine and arrival(j, perms[flip + 1 :]) == text_place)
            chain[flip][mine], chain[flip][other] = chain[flip][other], chain[flip][mine]
        slots[which]["A"] = ("!" if flip == depth else "") + inner(place)
        for level in range(1, depth):
            mark = "!" if flip == depth - level else ""
            slots[which]["BCD"[level - 1]] = f"{mark}return {call(level - 1, chain[depth - level], used[level], own)}"
        slots[which]["T"] = (
            "!" if flip == 0 else ""
        ) + f"rows = {call(depth - 1, chain[0], values, store + '.' if cls else '')}"
    blocks = []
    for level in range(depth):
        slot = "A" if level == 0 else "BCD"[level - 1]
        arg = ("self, " if cls else first) + ", ".join(used[level])
        blocks.append(f"def {fns[level]}({arg}):\n    " + ("~\n    " if level else "") + f"@@{slot}")
    rng.shuffle(blocks)
    fixed = rng.sample(("$k2", "$k3", "id", "$w0s"), 3)
    req = rng.choice(("request", "form", "args", "payload", "message"))
    lines = [f"{values[j]} = " + (f'{req}["$w1"]' if j == user else f'"{fixed[j]}"') for j in range(size)]
    rng.shuffle(lines)
    if cls:
        top = "class ${W2}Store:\n    def __init__(self, db):\n        self.db = db\n\n"
        top += "\n\n".join("\n".join("    " + x for x in b.split("\n")) for b in blocks)
        head = f"def $f0(db, {req}):\n    {store} = ${{W2}}Store(db)\n"
    else:
        top = "\n\n\n".join(blocks)
        head = f"def $f0({db}, {req}):\n"
    tail = rng.choice(("return rows", "return [dict(row) for row in rows]", "return len(rows)"))
    main = head + "\n".join("    " + x for x in [*lines, "~", "@@T", tail])
    pieces = [top, main] if rng.random() < 0.7 else [main, top]
    who = values[user]
    return compose(
        rng,
        names,
        "\n\n\n".join(pieces),
        Way(f"{who} comes from the client and reaches the text of the query in {fns[0]}", slots["bad"]),
        Way(f"{who} is bound in {fns[0]}, its text is built from fixed names", slots["good"]),
    )


def orm_fragments(rng: random.Random) -> Sample:
    """Wrong: the client's value is in a raw fragment of an ORM query; right: it is compared or bound by the ORM."""
    names = vocab(
        rng,
        "citizen permit parcel zoning council mayor district ballot petition license fine meter bench park fountain "
        "library museum bus tram stop bridge tunnel avenue plaza garden archive",
    )
    kind = rng.choice(("alchemy", "alchemy", "django", "django", "text"))
    model = "MODEL"
    spell = rng.randrange(3)

    def frag(left: str, value: str, right: str) -> str:
        if not left and spell == 1:
            return f'{value} + "{right}"'
        return (
            f'f"{left}{{{value}}}{right}"',
            f'"{left}" + {value} + "{right}"',
            f'"{left}{{}}{right}".format({value})',
        )[spell]

    a, b = "$a", "$b"
    op = rng.choice(("=", "<>", "LIKE"))
    if kind == "alchemy":
        chains = (
            (f".filter(text({{x}})).filter({model}.{{kt}} == {{t}})", "quoted"),
            (f".filter({model}.{{kt}} == {{t}}).order_by(text({{o}}))", "order"),
            (f".where(text({{x}})).where({model}.{{kt}}.in_([{{t}}]))", "quoted"),
            (f".filter(text({{x}})).filter({model}.{{kt}}.ilike({{t}}))", "quoted"),
            (".filter_by({kt}={t}).having(text({x}))", "quoted"),
            (f".filter({model}.{{kt}} == {{t}}).group_by(text({{o}}))", "order"),
            (".filter(text({x}), text('{kt} = :v')).params(v={t})", "quoted"),
        )
        lib = "from sqlalchemy import select, text\n\nfrom app.models import " + model
        base, how = rng.choice(
            (
                (f"session.query({model})", ".all()"),
                (f"session.query({model}.id)", ".first()"),
                (f"{model}.query", ".all()"),
            )
        )
        arg = "session"
    elif kind == "django":
        chains = (
            (".extra(where=[{x}]).filter({kt}={t})", "quoted"),
            (".filter({kt}={t}).extra(where=[{x}])", "quoted"),
            (".extra(where=[{x}, '{kt} = %s'], params=[{t}])", "quoted"),
            (".filter({kt}__contains={t}).extra(select={{'n': {x}}})", "quoted"),
            (".annotate(n=RawSQL({x}, [])).exclude({kt}={t})", "quoted"),
            (".exclude({kt}={t}).annotate(n=RawSQL({r}, ()))", "order"),
            (".filter({kt}__startswith={t}).extra(order_by=['id'], where=[{x}])", "quoted"),
        )
        lib = f"from django.db.models.expressions import RawSQL\n\nfrom .models import {model}"
        base, how = rng.choice(
            (
                (f"{model}.objects", ""),
                (f"{model}.objects.all()", ".first()"),
                (f"{model}.objects.order_by('id')", ".count()"),
            )
        )
        arg = "request"
    else:
        mark = rng.choice((":v", ":v"))
        chains = (
            ('session.execute(text({q}), {{"v": {t}}})', mark),
            ("connection.execute(text({q}).bindparams(v={t}))", mark),
            ("session.execute(text({q}).params(v={t}))", mark),
            ('pd.read_sql(text({q}), engine, params={{"v": {t}}})', mark),
        )
        lib = "from sqlalchemy import text"
        base, how = "", rng.choice((".fetchall()", ".all()"))
        arg = "session"
    chain, form = rng.choice(chains)
    if kind == "text":
        start = rng.choice(
            (
                "SELECT * FROM $w0s WHERE ",
                "DELETE FROM $w0s WHERE ",
                "SELECT id FROM $w0s WHERE ",
                "UPDATE $w0s SET $k2 = 0 WHERE ",
            )
        )
        turn = rng.random() < 0.5

        def line(loose: str, tight: str) -> str:
            kl, kt = ("$k0", "$k1") if loose == a else ("$k1", "$k0")
            body = (
                frag(f"{start}{kt} = :v AND {kl} {op} '", loose, "'")
                if turn
                else frag(f"{start}{kl} {op} '", loose, f"' AND {kt} = :v")
            )
            return "$c = " + chain.format(q=body, t=tight)

        arg = chain.split("(")[0].split(".")[0] if not chain.startswith("pd") else "engine"
        if chain.startswith("pd"):
            lib, how = f"import pandas as pd\n{lib}", '.to_dict("records")'
    else:

        def line(loose: str, tight: str) -> str:
            kl, kt = ("$k0", "$k1") if loose == a else ("$k1", "$k0")
            return (
                "$c = "
                + base
                + chain.format(
                    x=frag(f"{kl} {op} '", loose, "'"),
                    o=frag("", loose, " DESC"),
                    r=frag("LENGTH(", loose, ")"),
                    kt=kt,
                    t=tight,
                )
            )

    source = (
        rng.choice(('.args["$k3"]', '.form.get("$k3", "")', '["$k3"]', '.json["$k3"]'))
        if kind != "django"
        else rng.choice(('.GET["$k3"]', '.POST.get("$k3", "")'))
    )
    given = "request"
    fixed = rng.choice(('"$w1"', "$U0", '"id"')) if form != "order" else '"id"'
    args = "request" if kind == "django" or (base.endswith(".query")) else f"{arg}, request"
    consts = '$U0 = "$w2"\n\n\n' if fixed == "$U0" else ""
    steps = f"%$a = {given}{source}\n%$b = {fixed}\n~\n@@A\n~\nreturn $c{how}"
    helper = ""
    if rng.random() < 0.4:
        order = rng.choice(("$a, $b", "$b, $a"))
        inner = args.replace(", request", "").replace("request", "")
        inner = f"{inner}, " if inner else ""
        helper = f"def $f1({inner}{order}):\n    @@A\n    ~\n    return $c\n\n\n"
        steps = steps.replace("@@A", f"$c = $f1({inner}{order})")
    body = f"def $f0({args}):\n" + "\n".join(
        ("    %" if s[0] == "%" else "    ") + s.lstrip("%") for s in steps.split("\n")
    )
    return compose(
        rng,
        names,
        f"{lib}\n\n\n{consts}{helper}{body}".replace("MODEL", "${W0}"),
        way(
            "$a from the client is part of a raw fragment, only the fixed $b is bound",
            A="!" + line(a, b).replace("MODEL", "${W0}"),
        ),
        way(
            "$a is bound by the library, the raw fragment holds the fixed $b",
            A="!" + line(b, a).replace("MODEL", "${W0}"),
        ),
    )


def number_window(rng: random.Random) -> Sample:
    """Wrong: the text for a number in the query is never converted, or another one is; right: it has to be a number."""
    names = vocab(
        rng,
        "barometer humidity rainfall gust breeze cloud fog frost hail thunder lightning sunrise sunset dusk dawn "
        "monsoon drought heatwave blizzard forecast station altitude dewpoint isobar front",
    )
    shell = base_shell(rng)
    m = shell.mark
    cap = rng.choice(("50", "100", "200", "500"))
    exc = rng.choice(("ValueError", "(TypeError, ValueError)"))
    wrong = [
        (f'!$c = min($a, "{cap}")', "comparing texts does not convert $a"),
        ('!$c = max($a, "0")', "comparing texts does not convert $a"),
        ("!$c = $a[:40]", "$a is cut and not converted"),
        (f'!$c = $a if $a else "{cap}"', "$a is not converted"),
        ("if not $a[:1].isdigit():\n    BAIL\n!$c = $a", "only the first sign of $a has to be a digit"),
        ("if not any(ch.isdigit() for ch in $a):\n    BAIL\n!$c = $a", "one digit in $a is enough"),
        (f"try:\n    $c = int($a)\nexcept {exc}:\n!    $c = $a", "a text that is no number is kept"),
        ("if not $b.isdigit():\n    BAIL\n!$c = $a", "the test looks at $b"),
        (f"$d = int($b)\n!$c = $a if $d < {cap} else 0", "the conversion covers $b only"),
        ("if len($a) > 60:\n    BAIL\n!$c = $a", "$a only has to be short"),
        ("if $a.isdigit():\n    print(int($a))\n!$c = $a", "the outcome of the test of $a changes nothing"),
        ('!$c = $a.lstrip("-").strip()', "$a is not converted"),
        ("!$c = $a.zfill(3)", "$a is not converted"),
        (f"try:\n    $d = int($b)\nexcept {exc}:\n    BAIL\n!$c = $a", "the conversion covers $b only"),
        (f'!$c = $a.split(",")[0] or "{cap}"', "$a is not converted"),
        ('if not re.match(r"\\d+", $a):\n    BAIL\n!$c = $a', "the pattern covers the start of $a only"),
        ('if $a == "0" or $a.startswith("-"):\n    BAIL\n!$c = $a', "only negative numbers are refused"),
        ("$d = len($a)\nif $d > int($b or 9):\n    BAIL\n!$c = $a", "only the length of $a is a number"),
    ]
    right = [
        (f"!$c = min(int($a), {cap})", "$a is converted"),
        ("!$c = max(int($a), 0)", "$a is converted"),
        ("!$c = int($a[:40])", "$a is converted"),
        (f"!$c = int($a) if $a else {cap}", "$a is converted"),
        ("!if not $a.isdecimal():\n    BAIL\n$c = $a", "every sign of $a has to be a digit"),
        ("!if not all(ch.isdecimal() for ch in $a):\n    BAIL\n$c = $a or 0", "every sign of $a has to be a digit"),
        (f"try:\n    $c = int($a)\nexcept {exc}:\n!    $c = {cap}", "a text that is no number is replaced"),
        ("!if not $a.isdecimal() or not $b:\n    BAIL\n$c = $a", "every sign of $a has to be a digit"),
        (f"$d = len($b)\n!$c = int($a) if $d < {cap} else 0", "$a is converted"),
        ("if len($b) > 60:\n    BAIL\n!$c = int($a)", "$a is converted"),
        ("if $b.isdigit():\n    print(int($b))\n!$c = int($a)", "$a is converted"),
        ('!$c = float($a.lstrip("-").strip()) // 1', "$a is converted"),
        (f"try:\n!    $c = int($a)\nexcept {exc}:\n    BAIL", "$a is converted"),
        (f'!$c = int($a.split(",")[0] or "{cap}")', "$a is converted"),
        ('!if not re.fullmatch(r"\\d+", $a):\n    BAIL\n$c = $a', "the pattern covers all of $a"),
        ('$d = $a if $a.isdecimal() else "1"\n!$c = $d', "a text that is no number is replaced"),
        ("!$a = int($a)\nif $a < 0:\n    BAIL\n$c = $a", "$a is converted"),
    ]
    bad_text, why = rng.choice(wrong)
    good_text, because = rng.choice(right)
    if rng.random() < 0.75:
        aside = (
            "$e = int($b)",
            "if not $b.isdecimal():\n    BAIL",
            "$e = min(int($b), 9)",
            'if not re.fullmatch(r"\\d+", $b):\n    BAIL',
            "print(int($b or 0))",
            "$e = int($b) if $b else 0",
        )
        bad_text = rng.choice(aside) + "\n" + bad_text
    if rng.random() < 0.75:
        aside = (
            '$e = max($b, "0")',
            f'$e = min($b, "{cap}")',
            "$e = $b.zfill(3)",
            "if $b[:1].isdigit():\n    print($b)",
            "$e = $b[:40]",
            "if not any(ch.isdigit() for ch in $b):\n    BAIL",
            'if not re.match(r"\\d+", $b):\n    BAIL',
            f'$e = $b if $b else "{cap}"',
            'if $b == "0" or $b.startswith("-"):\n    BAIL',
        )
        good_text = rng.choice(aside) + "\n" + good_text
    bad_text, good_text = bad_text.replace("$e", "$g"), good_text.replace("$e", "$g")
    head = rng.choice(
        (
            (f"SELECT * FROM $w0s WHERE $k0 = {m} LIMIT ", ""),
            (f"SELECT $k1 FROM $w0s WHERE $k0 = {m} ORDER BY id LIMIT 20 OFFSET ", ""),
            (f"DELETE FROM $w0s WHERE $k0 = {m} AND id = ", ""),
            ("SELECT * FROM $w0s WHERE $k1 > ", f" AND $k0 = {m}"),
            ("UPDATE $w0s SET $k1 = ", f" WHERE $k0 = {m}"),
            (f"SELECT * FROM $w0s WHERE $k0 <> {m} AND $k2 BETWEEN 0 AND ", ""),
        )
    )
    pieces = [head[0], "=$c", head[1]] if head[1] else [head[0], "=$c"]
    in_helper = rng.random() < 0.35
    query = f"query = {sql_text(rng, pieces, shell)}"
    values = rng.choice(("($b,)", "[$b]"))
    if in_helper:
        give = re.sub("BAIL", 'raise ValueError("$w2")', bad_text), re.sub("BAIL", 'raise ValueError("$w2")', good_text)
        bad_text, good_text = give
        before = "def $f1($a, $b):\n    ~\n    @@A\n    return $c"
        main = f"%$e = IN($k3)\n%$f = IN($w1)\n~\n$c = $f1($e, $f)\n{query}\n"
        values = values.replace("$b", "$f")
    else:
        before = ""
        main = f"%$a = IN($k3)\n%$b = IN($w1)\n~\n@@A\n~\n{query}\n"
    main += f"{fetch(rng, shell, 'query', values)}\nOUT(rows)"
    top = dsn(shell)
    return in_shell(
        rng,
        names,
        main,
        way("$c is written into the query without quotes: " + why, A=bad_text),
        way("only a number is written into the query: " + because, A=good_text),
        imports=("import re",) if "re." in bad_text + good_text else (),
        before="\n\n\n".join(x for x in (top, before) if x),
        shell=shell,
    )


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-89", name="wide_query_tracks", language="python", held_out=True, make=settled(query_tracks)),
    Family(cwe="CWE-89", name="wide_clause_builder", language="python", held_out=True, make=settled(clause_builder)),
    Family(cwe="CWE-89", name="wide_composed_parts", language="python", held_out=True, make=settled(composed_parts)),
    Family(
        cwe="CWE-89", name="wide_stored_then_used", language="python", held_out=True, make=settled(stored_then_used)
    ),
    Family(cwe="CWE-89", name="wide_column_gate", language="python", held_out=True, make=settled(column_gate)),
    Family(cwe="CWE-89", name="wide_declared_types", language="python", held_out=True, make=settled(declared_types)),
    Family(cwe="CWE-89", name="wide_own_quotes", language="python", held_out=True, make=settled(own_quotes)),
    Family(cwe="CWE-89", name="wide_bulk_values", language="python", held_out=True, make=settled(bulk_values)),
    Family(cwe="CWE-89", name="wide_named_queries", language="python", held_out=True, make=settled(named_queries)),
    Family(cwe="CWE-89", name="wide_finder_layers", language="python", held_out=True, make=settled(finder_layers)),
    Family(cwe="CWE-89", name="wide_orm_fragments", language="python", held_out=True, make=settled(orm_fragments)),
    Family(cwe="CWE-89", name="wide_number_window", language="python", held_out=True, make=settled(number_window)),
)
