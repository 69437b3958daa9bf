"""More pair families of CWE-79 (cross-site scripting), each a small grammar of programs, in Python."""
# ruff: noqa: PLR0912, PLR0915, SIM905, UP031 - grammars of programs and word lists; % keeps the braces of the programs readable

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from string import Template

from training.families.contract import Family, Sample
from training.families.cwe_022 import shuffle_marked

REMARKS = (
    "kept for the old mobile client",
    "see the wiki for the layout",
    "the proxy caches this for a minute",
    "input has been looked at upstream",
    "do not trust the browser here",
    "the review asked for this order",
    "TODO: move into a template",
    "must match the print version",
    "only staff reach this page",
    "escaping is done in one place",
    "keep in step with the style guide",
    "hostile values end here",
    "plain and boring on purpose",
    "measured: fast enough",
    "the designers want it this way",
)
ACTIONS = (
    "render show draw build compose print write format view list paint describe present emit output prepare display "
    "sketch report publish"
)


@dataclass(frozen=True)
class Way:
    """One way to be wrong or right: why, and the text of the slots of a program."""

    why: str
    slots: dict[str, str]


def way(why: str, **slots: str) -> Way:
    """A way; its decisive line starts with '!' after the indentation."""
    return Way(why, slots)


def vocab(rng: random.Random, pool: str) -> dict[str, str]:
    """Names of one program: a-h variables, k0-k3 keys, w0-w3 words, U0-U1 constants, f0-f3 functions."""
    picked = rng.sample(pool.split(), 20)
    style = rng.choice((("",), ("", "", "_text"), ("", "new_", "_value"), ("", "this_"), ("", "_field", "my_")))
    names: dict[str, str] = {}
    for i, key in enumerate("abcdefgh"):
        affix = rng.choice(style)
        names[key] = affix + picked[i] if affix.endswith("_") else picked[i] + affix
    names |= {f"k{i}": picked[8 + i] for i in range(4)}
    names |= {f"w{i}": picked[12 + i] for i in range(4)}
    names |= {f"U{i}": picked[16 + i].upper() for i in range(2)}
    verbs = rng.sample(ACTIONS.split(), 4)
    nouns = [*picked[18:], *rng.sample(picked[:8], 2)]
    names |= {f"f{i}": f"{verbs[i]}_{nouns[i]}" for i in range(4)}
    return names


def quiet_lines(rng: random.Random, names: dict[str, str]) -> list[str]:
    """No or one line that has nothing to do with the flaw."""
    roll = rng.random()
    word = names[rng.choice(("w0", "w1", "w2", "w3"))]
    if roll < 0.18:
        return [f"# {rng.choice(REMARKS)}"]
    if roll < 0.36:
        count = rng.randint(2, 60)
        return [rng.choice((f'print("{word}", {count})', f"{word}_count = {count}", f'{word}_mode = "{names["k3"]}"'))]
    return []


@dataclass(frozen=True)
class Shell:
    """A handler around a body: how it starts, reads a field, answers and gives up."""

    imports: tuple[str, ...]
    head: str
    depth: int
    get: str
    done: str
    bail: str


def web_shell(rng: random.Random) -> Shell:
    """A plain function, or a handler of one of several web frameworks."""
    req = rng.choice(("request", "req", "r", "call"))
    kind = rng.randrange(9)
    if kind <= 1:
        get = rng.choice((f'{req}.get("KEY", "")', f'{req}["KEY"]', f'{req}.get("KEY") or ""'))
        return Shell((), f"def $f0({req}):", 1, get, "return PAGE", 'return "<p>no $w3</p>"')
    if kind == 2:
        get = rng.choice((f'{req}.args.get("KEY", "")', f'{req}.form["KEY"]', f'{req}.values.get("KEY", "")'))
        return Shell((), f"def $f0({req}):", 1, get, "return PAGE, 200", 'return "<p>no $w3</p>", 400')
    if kind == 3:
        head = 'def $f0(environ, start_response):\n    query = parse_qs(environ.get("QUERY_STRING", ""))'
        done = 'start_response("200 OK", [("Content-Type", "text/html")])\nreturn [PAGE.encode()]'
        bail = 'start_response("400 Bad Request", [])\nreturn []'
        return Shell(("from urllib.parse import parse_qs",), head, 1, 'query.get("KEY", [""])[0]', done, bail)
    if kind == 4:
        cls = rng.choice(("Handler", "Site", "Pages", "Front"))
        head = (
            f"class {cls}(BaseHTTPRequestHandler):\n    def do_GET(self):\n"
            "        query = parse_qs(urlparse(self.path).query)"
        )
        done = (
            'self.send_response(200)\nself.send_header("Content-Type", "text/html")\nself.end_headers()\n'
            "self.wfile.write(PAGE.encode())"
        )
        return Shell(
            ("from http.server import BaseHTTPRequestHandler", "from urllib.parse import parse_qs, urlparse"),
            head,
            2,
            'query.get("KEY", [""])[0]',
            done,
            "self.send_error(400)\nreturn",
        )
    if kind == 5:
        done = 'return web.Response(text=PAGE, content_type="text/html")'
        return Shell(
            ("from aiohttp import web",),
            f"async def $f0({req}):",
            1,
            f'{req}.query.get("KEY", "")',
            done,
            "raise web.HTTPBadRequest()",
        )
    if kind == 6:
        get = rng.choice((f'{req}.GET.get("KEY", "")', f'{req}.POST.get("KEY", "")', f'{req}.GET["KEY"]'))
        return Shell(
            ("from django.http import HttpResponse, HttpResponseBadRequest",),
            f"def $f0({req}):",
            1,
            get,
            "return HttpResponse(PAGE)",
            "return HttpResponseBadRequest()",
        )
    if kind == 7:
        head = "class ${W0}Page(RequestHandler):\n    def get(self):"
        return Shell(
            ("from tornado.web import HTTPError, RequestHandler",),
            head,
            2,
            'self.get_argument("KEY", "")',
            "self.write(PAGE)",
            "raise HTTPError(400)",
        )
    return Shell(
        (), "def $f0(form, target):", 1, 'form.getfirst("KEY", "")', "target.write(PAGE)\nreturn True", "return False"
    )


def expand(shell: Shell, text: str) -> str:
    """Replace IN(key), OUT(page) and BAIL by what the shell does."""
    out: list[str] = []
    for line in text.split("\n"):
        line = re.sub(r"IN\((\$?\w+)\)", lambda m: shell.get.replace("KEY", m[1]), line)  # noqa: PLW2901
        bare = line.lstrip()
        pad = line[: len(line) - len(bare)]
        mark = "!" if bare.startswith("!") else ""
        bare = bare.removeprefix("!")
        if bare.startswith("OUT(") and bare.endswith(")"):
            page = bare[4:-1]
            if "PAGE.encode" in shell.done and not re.fullmatch(r"\$?\w+", page):
                page = f"({page})"
            for part in shell.done.split("\n"):
                out.append(pad + (mark if "PAGE" in part else "") + part.replace("PAGE", page))
        elif bare == "BAIL":
            out += [pad + part for part in shell.bail.split("\n")]
        else:
            out.append(pad + mark + bare)
    return "\n".join(out)


def indent(text: str, depth: int) -> str:
    """The text, `depth` levels further in."""
    return "\n".join("    " * depth + line if line.strip() else line for line in text.strip("\n").split("\n"))


def compose(rng: random.Random, names: dict[str, str], text: str, bad: Way, good: Way) -> Sample:
    """Write one program both ways.

    In `text`: $x names, «a|b» a choice, '~' noise, lines starting with '?' stay in half of the programs,
    neighbouring lines starting with '%' are shuffled, '@@A' is slot A of the way.
    """
    names = names | {f"W{i}": names[f"w{i}"].title() for i in range(4)}
    text = re.sub("«([^»]*)»", lambda m: rng.choice(m[1].split("|")), text.strip("\n"))
    lines: list[str] = []
    for line in shuffle_marked(rng, text.split("\n")):
        bare = line.lstrip()
        pad = line[: len(line) - len(bare)]
        if bare == "~":
            lines += [pad + extra for extra in quiet_lines(rng, names)]
        elif bare.startswith("?"):
            lines += [pad + bare[1:]] if rng.random() < 0.5 else []
        else:
            lines.append(line)
    salt = rng.getrandbits(32)
    sides = [settle(random.Random(salt), lines, names, chosen) for chosen in (bad, good)]
    return Sample(
        vulnerable=sides[0][0],
        patched=sides[1][0],
        flaw=sides[0][1],
        fix=sides[1][1],
        reason=named(bad.why, names),
        reason_patched=named(good.why, names),
    )


def named(text: str, names: dict[str, str]) -> str:
    """The text with its names put in; `$w0s` is the plural of `$w0`."""
    return Template(re.sub(r"\$([kw]\d)(?=[a-z_])", r"${\1}", text)).substitute(names)


def settle(rng: random.Random, lines: list[str], names: dict[str, str], chosen: Way) -> tuple[str, str]:
    """The whole program of one side, and its decisive line, stripped."""
    out: list[str] = []
    key = ""
    for line in lines:
        bare = line.lstrip()
        pad = line[: len(line) - len(bare)]
        if not bare.startswith("@@"):
            out.append(named(line, names))
            continue
        slot = re.sub("«([^»]*)»", lambda m: rng.choice(m[1].split("|")), chosen.slots.get(bare[2:], ""))
        for part in slot.split("\n") if slot else []:
            done = named(part, names)
            inner = done.lstrip()
            if inner.startswith("!"):
                key = inner[1:].strip()
                done = done.replace("!", "", 1)
            out.append(pad + done)
    return re.sub("\n{4,}", "\n\n\n", "\n".join(out)).strip("\n") + "\n", key


def in_shell(
    rng: random.Random,
    names: dict[str, str],
    body: str,
    bad: Way,
    good: Way,
    *,
    imports: tuple[str, ...] = (),
    before: str = "",
    shell: Shell | None = None,
) -> Sample:
    """Write a body inside a web handler, with helpers before (or now and then after) it."""
    shell = shell or web_shell(rng)
    block = shell.head + "\n" + indent(expand(shell, body), shell.depth)
    pieces = [block]
    if before.strip():
        after = rng.random() < 0.25 and "def " in before and not re.search(r"^\w+ =|^@|^class ", before, re.M)
        pieces = [block, before.strip("\n")] if after else [before.strip("\n"), block]
    top = "\n".join(sorted(set(imports + shell.imports), key=lambda line: (line.startswith("from"), line)))
    text = "\n\n\n".join([top, *pieces] if top else pieces)
    ways = [Way(one.why, {k: expand(shell, v) for k, v in one.slots.items()}) for one in (bad, good)]
    return compose(rng, names, text, ways[0], ways[1])


def settled(make: Callable[[random.Random], Sample]) -> Callable[[random.Random], Sample]:
    """The same family, drawn again while a decisive line stands on both sides or the program is too long."""

    def draw_again(rng: random.Random) -> Sample:
        while True:
            sample = make(rng)
            bad = [line.strip() for line in sample.vulnerable.split("\n")]
            good = [line.strip() for line in sample.patched.split("\n")]
            longest = max(len(sample.vulnerable), len(sample.patched))
            apart = max((Counter(bad) - Counter(good)).total(), (Counter(good) - Counter(bad)).total())
            if apart > 4:
                continue
            if (
                sample.flaw not in good
                and sample.fix not in bad
                and longest <= 1800
                and 9 <= min(len(bad), len(good)) <= 45
            ):
                return sample

    return draw_again


def escaper(rng: random.Random) -> tuple[str, str]:
    """An import of an HTML escape for text, and the call as a format."""
    return rng.choice(
        (
            ("from html import escape", "escape(%s)"),
            ("import html", "html.escape(%s)"),
            ("from html import escape as esc", "esc(%s)"),
            ("from xml.sax.saxutils import escape", "escape(%s)"),
            ("from html import escape as h", "h(%s)"),
            ("import html as markup", "markup.escape(%s)"),
        )
    )


def page_text(rng: random.Random, values: list[str]) -> str:
    """An expression that puts the values between tags, in one of many spellings."""
    tags = [rng.choice(("p", "div", "b", "td", "li", "h2", "span", "em", "dd")) for _ in values]
    kind = rng.randrange(5)
    if kind == 0 and not any('"' in v or "'" in v for v in values):
        return 'f"' + "".join(f"<{t}>{{{v}}}</{t}>" for t, v in zip(tags, values, strict=True)) + '"'
    if kind == 1:
        return " + ".join(f'"<{t}>" + {v} + "</{t}>"' for t, v in zip(tags, values, strict=True))
    if kind == 2:
        return '"' + "".join(f"<{t}>%s</{t}>" for t in tags) + f'" % ({", ".join(values)})'
    if kind == 3:
        return '"' + "".join(f"<{t}>{{}}</{t}>" for t in tags) + f'".format({", ".join(values)})'
    return '"<br>".join([' + ", ".join(values) + "])"


def fixed_value(rng: random.Random, names: dict[str, str]) -> tuple[str, str]:
    """A value no client decides, and the import it needs."""
    return rng.choice(
        (
            (f'"{names["w0"]} {names["w1"]}"', ""),
            (f'"{names["w2"].title()}"', ""),
            ("$U0", ""),
            ("$U0", ""),
            ('time.strftime("%H:%M")', "import time"),
            ("platform.system()", "import platform"),
            ("str(os.getpid())", "import os"),
            (f"str(len({names['U0']}))", ""),
            ("datetime.date.today().isoformat()", "import datetime"),
        )
    )


def track_step(rng: random.Random, cur: str, fresh: Iterator[str]) -> tuple[list[str], str]:
    """One step of a value on its way, and what it is called afterwards."""
    kind = rng.randrange(12)
    count = rng.randint(60, 400)
    if kind == 9:
        return [f"if len({cur}) > {count}:", f"    {cur} = {cur}[:{count}]"], cur
    if kind == 10:
        return [f"for mark in {rng.choice([repr(chr(9)), '(chr(13), chr(10))', repr('_|')])}:",
                f'    {cur} = {cur}.replace(mark, " ")'], cur  # fmt: skip
    new = next(fresh)
    if kind == 11:
        return [f"if not {cur}:", f'    {cur} = "{new}"'], cur
    options = (
        (f"{new} = {cur}.strip()", new),
        (f"{new} = {cur}[:{count}]", new),
        (f'{new} = {cur} or "none"', new),
        (f'{new} = {{"{new}": {cur}}}', f'{new}["{new}"]'),
        (f"{new} = [{cur}, {count}]", f"{new}[0]"),
        (f"{new} = SimpleNamespace(body={cur}, rank={count})", f"{new}.body"),
        (f'{new} = " ".join({cur}.split())', new),
        (f"{new} = {cur}", new),
        (f'{new} = {cur} if {cur} else "-"', new),
    )
    line, name = options[kind % len(options)]
    return [line], name


def interleave(rng: random.Random, tracks: list[list[list[str]]]) -> list[str]:
    """All blocks of all tracks, each track in its own order."""
    order = [i for i, track in enumerate(tracks) for _ in track]
    rng.shuffle(order)
    left = [list(track) for track in tracks]
    return [line for i in order for line in left[i].pop(0)]


def mixed_tracks(rng: random.Random) -> Sample:
    """Wrong: on the chain from the request to the page another value is escaped; right: this one."""
    names = vocab(
        rng,
        "nick motto badge motif guild realm quest rune blade armor potion scroll castle dragon hero wizard tavern "
        "knight squire banner herald bard oracle temple shrine relic amulet portal tower moat",
    )
    spare = "alpha beta gamma delta first second third inner outer upper lower left right front back near far".split()
    rng.shuffle(spare)
    fresh = iter([f"{names['h']}_{s}" if rng.random() < 0.3 else s for s in spare])
    lib, esc = escaper(rng)
    value, extra = fixed_value(rng, names)
    sources = ["IN($k0)", value]
    if rng.random() < 0.35:
        sources.append("IN($k1)")
    wrapped = [rng.choice(("str(%s)", "%s.strip()", "%s.lower()", "%s.rstrip()")) for _ in sources]
    mode = rng.choice(("swap", "swap", "roles", "branch"))
    tracks: list[list[list[str]]] = []
    ends: list[str] = []
    bad: dict[str, str] = {}
    good: dict[str, str] = {}
    for i, source in enumerate(sources):
        cur = names["abc"[i]]
        blocks = [[f"{cur} = {source}"]]
        guard = rng.randint(0, 2)
        for j in range(rng.randint(guard, 3) + 1):
            if j != guard:
                block, cur = track_step(rng, cur, fresh)
                blocks.append(block)
                continue
            new = next(fresh)
            if mode == "swap" or i:
                spell = rng.choice(("$n = %s", "$n = %s", '$n = %s or "?"')).replace("$n", new)
                strong, weak = spell % (esc % cur), spell % (wrapped[i] % cur)
                if mode == "swap":
                    good["AB-"[i]], bad["AB-"[i]] = (f"!{strong}", f"!{weak}") if i == 0 else (weak, strong)
                if i == 2 or mode != "swap":
                    use = strong if i == 2 else rng.choice((strong, weak))
                    good["AB-"[i]] = bad["AB-"[i]] = use
                cur = new
            elif mode == "roles":
                other = next(fresh)
                good["A"] = f"!{new} = {esc % cur}\n{other} = {cur}"
                bad["A"] = f"!{new} = {cur}\n{other} = {esc % cur}"
                blocks.append([f"@@{'AB-'[i]}"])
                blocks.append([f"print({other})"])
                cur = new
                continue
            else:
                top = rng.randint(40, 80)
                bad["A"] = f"if len({cur}) > {top}:\n!    {cur} = {esc % f'{cur}[:{top}]'}\n{new} = {cur}.strip()"
                good["A"] = f"if len({cur}) > {top}:\n    {cur} = {cur}[:{top}].strip()\n!{new} = {esc % cur}"
                cur = new
            blocks.append([f"@@{'AB-'[i]}"])
        tracks.append(blocks)
        ends.append(cur)
    order = list(range(len(ends)))
    rng.shuffle(order)
    body = interleave(rng, tracks)
    body.insert(rng.randint(1, len(body)), "~") if "    " not in "".join(body) else body.append("~")
    body += [f"page = {page_text(rng, [ends[i] for i in order])}", "OUT(page)"]
    text = "\n".join(body).replace("@@-", "@@C")
    if "-" in good:
        good["C"] = bad["C"] = good.pop("-").lstrip("!")
        bad.pop("-", None)
    why = {
        "swap": f"the escape is spent on {ends[1]}, the request's $a reaches the page as it came",
        "roles": "the escaped copy of the request's $a is only printed, the page shows the other one",
        "branch": "$a is escaped only when it is long, a short one reaches the page as it came",
    }[mode]
    imports = tuple(s for s in (lib, extra) if s)
    if "SimpleNamespace" in text:
        imports += ("from types import SimpleNamespace",)
    head = f'$U0 = "{names["w3"]} {names["k3"]}"' if "$U0" in text or names["U0"] in text else ""
    return in_shell(
        rng,
        names,
        text,
        Way(why, bad),
        Way("$a is escaped on every way from the request to the page", good),
        imports=imports,
        before=head,
    )


def call_chain(rng: random.Random) -> Sample:
    """Wrong: through the helpers' parameters the request's value lands on the unescaped place; right: on the other."""
    names = vocab(
        rng,
        "harbor vessel cargo crane berth anchor pilot crew captain deck mast sail rope buoy tide dock ferry barge "
        "canal lock bridge river delta island coast lagoon reef wharf",
    )
    lib, esc = escaper(rng)
    size = rng.choice((2, 2, 3))
    user = rng.randrange(size)
    depth = rng.randint(1, 3)
    perms = [rng.sample(range(size), size) for _ in range(depth)]  # perms[l][j]: which parameter goes to place j

    def arrival(start: int, chain: list[list[int]]) -> int:
        for perm in chain:
            start = perm.index(start)
        return start

    place = arrival(user, perms)
    shown = {place} | (
        {rng.choice([j for j in range(size) if j != place])} if size == 3 and rng.random() < 0.5 else set()
    )
    open_place = rng.choice([j for j in range(size) if j not in shown])
    params = rng.sample("label value note text left right head tail mark first second item part name line".split(), 3)
    fns = rng.sample(
        "row cell entry block card panel strip badge_html item_html wrap section_of field_html".split(), depth
    )

    def inner(cover: set[int]) -> str:
        return page_text(tags, [esc % params[j] if j in cover else params[j] for j in range(size)])

    tags = random.Random(rng.getrandbits(32))
    state = tags.getstate()

    def inner_text(cover: set[int]) -> str:
        tags.setstate(state)
        return inner(cover)

    deco = [[rng.choice(("%s", "%s", "%s.strip()", "%s[:80]")) for _ in range(size)] for _ in range(depth)]
    used = [rng.sample(params, size) if rng.random() < 0.5 else params[:size] for _ in range(depth)]
    used[0] = params[:size]

    def call(level: int, perm: list[int], given: list[str]) -> str:
        parts = [deco[level][j] % given[perm[j]] for j in range(size)]
        return f"{fns[level]}({', '.join(parts)})"

    # Level 0 holds the page text; function `level` calls `level - 1`; the handler calls the last one.
    # perms[0] is the handler's order, perms[i] the order in which function depth-i passes on.
    flip = rng.randrange(depth + 1)
    values = [f"${'abc'[j]}" for j in range(size)]
    slots: dict[str, dict[str, str]] = {"bad": {}, "good": {}}
    for which in ("good", "bad"):
        chain = [list(p) for p in perms]
        cover = set(shown)
        if which == "bad" and flip == depth:
            cover = (cover - {place}) | {open_place}
        elif which == "bad":
            mine = arrival(user, perms[: flip + 1])
            other = next(j for j in range(size) if j != mine and arrival(j, perms[flip + 1 :]) == open_place)
            chain[flip][mine], chain[flip][other] = chain[flip][other], chain[flip][mine]
        slots[which]["A"] = ("!" if flip == depth else "") + "return " + inner_text(cover)
        for level in range(1, depth):
            mark = "!" if flip == depth - level else ""
            slots[which]["BCD"[level - 1]] = mark + "return " + call(level - 1, chain[depth - level], used[level])
        slots[which]["T"] = ("!" if flip == 0 else "") + "page = " + call(depth - 1, chain[0], values)
    blocks = [f"def {fns[0]}({', '.join(used[0])}):\n    @@A"]
    for level in range(1, depth):
        blocks.append(f"def {fns[level]}({', '.join(used[level])}):\n    ~\n    @@{'BCD'[level - 1]}")
    rng.shuffle(blocks)
    lines = []
    extra = ""
    for j in range(size):
        value, need = fixed_value(rng, names)
        extra = extra or (need if j != user else "")
        if j != user and need and need != extra:
            value = '"$w1"'
        lines.append(f"{values[j]} = {'IN($k0)' if j == user else value}")
    rng.shuffle(lines)
    before = "\n\n\n".join(blocks)
    body = "\n".join(lines) + "\n~\n@@T\nOUT(page)"
    if "$U0" in body or names["U0"] in body:
        before = f'$U0 = "{names["w3"]}"\n\n\n{before}'
    who = values[user]
    return in_shell(
        rng,
        names,
        body,
        Way(f"{who} comes from the request and lands on the place that {fns[0]} does not escape", slots["bad"]),
        Way(f"{who} lands on the place that {fns[0]} escapes, the rest is fixed text", slots["good"]),
        imports=tuple(s for s in (lib, extra) if s),
        before=before,
    )


def reply_type(rng: random.Random) -> Sample:
    """Wrong: the unescaped answer goes out as a page; right: as plain text, and the escaped one as the page."""
    names = vocab(
        rng,
        "metric gauge counter probe sample window bucket series trend spike alert pager shift roster outage backup "
        "mirror replica shard node rack switch router cable vendor uplink",
    )
    lib, esc = escaper(rng)
    html_kind = rng.choice(("text/html", "text/html; charset=utf-8", "text/html"))
    other = rng.choice(("text/plain", "text/csv", "text/plain; charset=utf-8", "application/json"))
    data = (
        'json.dumps({"$k0": $a, "$k1": $e})'
        if other == "application/json"
        else rng.choice(('"$w0: " + $a + "\\n"', 'f"$k0={$a}\\n$k1={$e}\\n"', '"$w0,$w1\\n%s,%s\\n" % ($e, $a)'))
    )
    shown = rng.choice(('"<p>" + %s + "</p>"', 'f"<h1>$w2</h1><p>{%s}</p>"', '"<td>%%s</td>" %% %s')) % (esc % "$a")
    shown = shown.replace('"<p>"', "'<p>'") if 'f"' in shown and '"<' in shown[2:] else shown
    imports = [lib, *(["import json"] if "json." in data else [])]
    kind = rng.randrange(4)
    flip = rng.random() < 0.5
    first, second = ("$f1", "$f2") if flip else ("$f2", "$f1")
    why = f"{first} sends the unescaped $a with a type that browsers show as a page"
    right = f"the unescaped $a goes out as {other}, the page holds the escaped one"
    if kind == 0:
        text = f"""
def $f0(environ, start_response, kind, body):
    headers = [("X-Content-Type-Options", "nosniff"), ("Content-Type", kind)]
    start_response("200 OK", headers)
    return [body.encode()]


def {first}(environ, start_response):
    $a = parse_qs(environ["QUERY_STRING"]).get("$k0", [""])[0]
    $e = "$w3"
    ~
    $b = {data}
    @@A


def {second}(environ, start_response):
    $a = parse_qs(environ["QUERY_STRING"]).get("$k0", [""])[0]
    ~
    $c = {shown}
    @@B
"""
        imports.append("from urllib.parse import parse_qs")
        line = 'return $f0(environ, start_response, "{}", {})'
        make = (
            line.format(html_kind, "$b"),
            line.format(other, "$c"),
            line.format(other, "$b"),
            line.format(html_kind, "$c"),
        )
    elif kind == 1:
        text = f"""
class ${{W0}}Handler(BaseHTTPRequestHandler):
    @@T

    def {first}(self, $a):
        $e = str(len($a))
        self.answer("«data|export|raw»", {data})

    def {second}(self, $a):
        ~
        self.answer("«view|page|show»", {shown})

    def answer(self, name, body):
        self.send_response(200)
        self.send_header("Content-Type", self.kinds[name])
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        url = urlparse(self.path)
        $b = parse_qs(url.query).get("$k2", [""])[0]
        ~
        if url.path == "/$w1":
            self.{first}($b)
        else:
            self.{second}($b)
"""
        text = re.sub("«([^»]*)»", lambda m: rng.choice(m[1].split("|")), text)
        keys = re.findall(r'self.answer\("(\w+)"', text)
        pair = list(zip(keys, (html_kind, other), strict=True))
        rng.shuffle(pair)
        back = {html_kind: other, other: html_kind}
        bad_t = ", ".join(f'"{k}": "{v}"' for k, v in pair)
        good_t = ", ".join(f'"{k}": "{back[v]}"' for k, v in pair)
        bad, good = way(why, T=f"!kinds = {{{bad_t}}}"), way(right, T=f"!kinds = {{{good_t}}}")
        imports += ["from http.server import BaseHTTPRequestHandler", "from urllib.parse import parse_qs, urlparse"]
        return compose(rng, names, "\n".join(sorted(imports)) + "\n\n\n" + text.strip("\n"), bad, good)
    elif kind == 2:
        default = rng.choice((html_kind, other))
        text = f"""
def $f0(body, kind="{default}"):
    headers = {{"Content-Type": kind, "X-Content-Type-Options": "nosniff"}}
    ~
    return 200, headers, body


def {first}(request):
    $a = request.«args.get("$k0", "")|form["$k0"]|values["$k0"]»
    $e = "$w3"
    $b = {data}
    @@A


def {second}(request):
    $a = request.«args.get("$k0", "")|form["$k0"]»
    ~
    $c = {shown}
    @@B
"""
        name = {html_kind: f', kind="{html_kind}"', other: f', "{other}"'}
        name[default] = ""
        line = "return $f0(%s%s)"
        make = (
            line % ("$b", name[html_kind]),
            line % ("$c", name[other]),
            line % ("$b", name[other]),
            line % ("$c", name[html_kind]),
        )
    else:
        text = f"""
async def {first}(request):
    $a = request.query.get("$k0", "")
    $e = request.match_info["$k1"].strip()
    ~
    $b = {data}
    @@A


async def {second}(request):
    $a = request.query.get("$k0", "")
    ~
    $c = {shown}
    @@B


def $f3(app):
    app.router.add_get("/$w0/{{$k1}}", {first})
    app.router.add_get("/$w1", {second})
    return app
"""
        imports.append("from aiohttp import web")
        html_kind, other = html_kind.split(";")[0], other.split(";")[0]
        line = 'return web.Response(text=%s, content_type="%s")'
        make = (line % ("$b", html_kind), line % ("$c", other), line % ("$b", other), line % ("$c", html_kind))
    top = "\n".join(sorted(imports, key=lambda s: (s.startswith("from"), s)))
    return compose(
        rng,
        names,
        top + "\n\n\n" + text.strip("\n"),
        way(why, A="!" + make[0], B=make[1]),
        way(right, A="!" + make[2], B=make[3]),
    )


def markup_objects(rng: random.Random) -> Sample:
    """Wrong: the request's value is declared to be markup; right: it is given to markup that escapes it."""
    names = vocab(
        rng,
        "tulip daisy fern moss oak birch maple cedar willow lotus orchid violet clover basil thyme mint sage nettle "
        "ivy heather acorn petal stem root seed bloom pollen",
    )
    tag = rng.choice(("b", "i", "em", "strong", "span", "li", "td", "code"))
    flavour = rng.choice(("markupsafe", "markupsafe", "django"))
    if flavour == "markupsafe":
        wrong = (
            f'Markup(f"<{tag}>{{$a}}</{tag}>")',
            f'Markup("<{tag}>%s</{tag}>" % $a)',
            f'Markup("<{tag}>" + $a + "</{tag}>")',
            f'Markup("<{tag}>{{}}</{tag}>".format($a))',
            f'Markup("<{tag}>") + Markup($a) + Markup("</{tag}>")',
            f'Markup("<{tag}>{{}}</{tag}>").format(Markup($a))',
            f'Markup("<{tag}>%s</{tag}>") % Markup($a)',
            'Markup(", ").join(Markup(part) for part in $a.split(","))',
            "escape(Markup($a))",
            "escape($b) + Markup($a)",
            "Markup(escape($a).unescape())",
            'Markup($a.replace("\\n", "<br>"))',
        )
        right = (
            f'Markup(f"<{tag}>{{escape($a)}}</{tag}>")',
            f'Markup("<{tag}>%s</{tag}>") % $a',
            f'Markup("<{tag}>%s</{tag}>" % escape($a))',
            f'Markup("<{tag}>") + $a + Markup("</{tag}>")',
            f'Markup("<{tag}>{{}}</{tag}>").format($a)',
            f'Markup("<{tag}>{{}}</{tag}>".format(escape($a)))',
            'Markup(", ").join($a.split(","))',
            "Markup(escape($a))",
            "Markup($b) + escape($a)",
            "Markup($b) + $a",
            'escape($a).replace("\\n", Markup("<br>"))',
        )
        lib = "from markupsafe import Markup, escape"
        rest = rng.choice(
            ('$d = Markup(f"<hr><small>{$b}</small>")', '$d = escape($b) + Markup("<br>")', "$d = Markup($b)",
             '$d = Markup("<i>%s</i>") % $b', '$d = Markup("<h2>" + $b + "</h2>")')
        )  # fmt: skip
    else:
        wrong = (
            f'mark_safe(f"<{tag}>{{$a}}</{tag}>")',
            f'mark_safe("<{tag}>%s</{tag}>" % $a)',
            f'format_html(f"<{tag}>{{$a}}</{tag}>{{{{}}}}", $b)',
            f'format_html("<{tag}>%s</{tag}>{{}}" % $a, $b)',
            f'format_html("<{tag}>{{}}</{tag}>", mark_safe($a))',
            f'format_html("<{tag}>{{}}{{}}</{tag}>", escape($b), mark_safe($a))',
            f'format_html_join("", "<{tag}>{{}}</{tag}>", ((mark_safe(part),) for part in $a.split()))',
            "conditional_escape(mark_safe($a))",
        )
        right = (
            f'mark_safe(f"<{tag}>{{escape($a)}}</{tag}>")',
            f'mark_safe("<{tag}>%s</{tag}>" % escape($a))',
            f'format_html("<{tag}>{{}}</{tag}>", $a)',
            f'format_html("<{tag}>{{}}{{}}</{tag}>", mark_safe($b), $a)',
            f'format_html("<{tag}>{{}}</{tag}>", escape($a))',
            f'format_html_join("", "<{tag}>{{}}</{tag}>", ((part,) for part in $a.split()))',
            "conditional_escape($a)",
            f'format_html("<{tag}>{{}}</{tag}>", conditional_escape($a))',
        )
        lib = "from django.utils.html import conditional_escape, escape, format_html, format_html_join"
        rest = rng.choice(
            ('$d = mark_safe(f"<hr><small>{$b}</small>")', "$d = escape($b)", "$d = mark_safe($b)",
             '$d = format_html("<i>{}</i>", $b)', '$d = mark_safe("<h2>" + $b + "</h2>")')
        )  # fmt: skip
    imports = (lib,) if flavour == "markupsafe" else (lib, "from django.utils.safestring import mark_safe")
    loose, tight = rng.choice(wrong), rng.choice(right)
    if rng.random() < 0.4:
        body = "@@A\n~\nreturn $c"
        before = f"def $f1($a, $b):\n{indent(body, 1)}"
        main = "%$e = IN($k0)\n%$f = $U0\n~\n$c = $f1($e, $f)\n" + rest.replace("$b", "$f")
    else:
        before = ""
        main = "%$a = IN($k0)\n%$b = $U0\n~\n@@A\n~\n" + rest
    page = rng.choice(('f"<div>{$c}{$d}</div>"', '"<section>%s%s</section>" % ($c, $d)', '"".join([$d, $c])'))
    main += f"\npage = {page}\nOUT(page)"
    label = rng.choice(('"<u>$w0</u>"', '"$w0 &amp; $w1"', '"<i>$w0</i> $w1"', '"$w0"'))
    return in_shell(
        rng,
        names,
        main,
        way("$a comes from the request and is taken for ready markup", A=f"!$c = {loose}"),
        way("$a is escaped when it is put into the markup", A=f"!$c = {tight}"),
        imports=imports,
        before=f"$U0 = {label}" + (f"\n\n\n{before}" if before else ""),
    )


def gate_and_exit(rng: random.Random) -> Sample:
    """Wrong: the test of the value does not stop the handler, or tests another one; right: it stops the handler."""
    names = vocab(
        rng,
        "flight gate luggage runway terminal boarding seat aisle cabin layover visa passport customs lounge shuttle "
        "taxi hotel hostel suite lobby porter concierge souvenir itinerary trip fare",
    )
    names["wide"] = rng.choice(("kinds", "choices", "known", "options"))
    known = ", ".join(f'"{names[k]}"' for k in ("w0", "w1", "w2"))
    test, other = rng.choice(
        (
            ("not %s.isalnum()", "isalnum"),
            ("%s not in $U0", "known"),
            ('not re.fullmatch(r"[\\w -]*", %s)', "re"),
            ('any(mark in %s for mark in "<>&")', "marks"),
            ("not %s.replace(' ', '').isalpha()", "isalpha"),
            ("not valid(%s)", "helper"),
        )
    )
    helper = "def valid(text):\n    return all(ch.isalnum() or ch in ' .-' for ch in text)"
    note = rng.choice(('print("odd $k0")', "logging.warning(%s, $a)" % '"odd %s"', "$e += 1", '$f.append("$k0")'))
    fall = rng.choice(("$a = $b", '$a = "$w3"', "$a = ''", '$a = "unknown"'))
    on = test % "$a"
    off = test % "$c"
    wrong = (
        way("$a is tested but the handler goes on with it when the test fails", A=f"!if {on}:\n    {note}"),
        way("the test looks at $c, it is $a that is shown", A=f"!if {off}:\n    BAIL"),
        way("the test looks at $c, it is $a that is shown", A=f"!if {off}:\n    {fall}"),
        way("$a is tested, but only together with $c", A=f"!if {on} and {off}:\n    BAIL"),
        way("the result of the test of $a is stored and not used", A=f"!$g = {on}\nif not $c:\n    BAIL"),
        way(
            "the handler ends only for an odd $c, an odd $a is noted and shown",
            A=f"if {off}:\n    BAIL\n!if {on}:\n    {note}",
        ),
        way("the test of $a is overruled by the test of $c", A=f"$g = {on}\n!$g = {off}\nif $g:\n    BAIL"),
        way("$a is replaced only if it passes the test", A=f"!if not ({on}):\n    {fall}"),
    )
    right = (
        way("the handler ends when $a does not pass the test", A=f"!if {on}:\n    BAIL"),
        way("$a is replaced by fixed text when it does not pass the test", A=f"!if {on}:\n    {fall}"),
        way("the handler ends when $a or $c does not pass the test", A=f"!if {on} or {off}:\n    BAIL"),
        way("the stored result of the test of $a ends the handler", A=f"$g = {on}\n!if $g:\n    BAIL"),
        way("the handler ends when $a does not pass the test", A=f"{note}\n!if {on}:\n    BAIL"),
        way(
            "an odd $c is noted, an odd $a is replaced by fixed text", A=f"if {off}:\n    {note}\n!if {on}:\n    {fall}"
        ),
        way("an odd $c is noted, an odd $a is replaced by fixed text", A=f"!if {on}:\n    {fall}"),
    )
    lib, esc = escaper(rng)
    page = page_text(rng, rng.sample(["$a", esc % "$c", "$b"], 3))
    imports = [lib]
    if "re." in test:
        imports.append("import re")
    if "logging" in note:
        imports.append("import logging")
    before = [f"$U0 = {{{known}}}" if other == "known" else "", helper if other == "helper" else ""]
    body = f"""
%$a = IN($k0)
%$c = IN($k1)
%$b = "«$w1|$w2 $w3|$w3»"
{"$e = 0" if "$e" in note else ""}{"$f = []" if "$f" in note else ""}
~
@@A
~
page = {page}
OUT(page)
"""
    return in_shell(
        rng,
        names,
        "\n".join(line for line in body.split("\n") if line.strip()),
        rng.choice(wrong),
        rng.choice(right),
        imports=tuple(imports),
        before="\n\n\n".join(b for b in before if b),
    )


def memo_path(rng: random.Random) -> Sample:
    """Wrong: the path past the cache answers with the unescaped text; right: both paths answer with the escaped one."""
    names = vocab(
        rng,
        "recipe spice sauce flour butter sugar cream bread cheese pepper onion garlic carrot celery lemon honey oven "
        "pan skillet whisk spoon bowl plate menu dinner lunch",
    )
    lib, esc = escaper(rng)
    store = rng.choice(("CACHE", "SEEN", "MEMO", "STORE", "PAGES"))
    shape = rng.choice(('"<li>" + %s + "</li>"', '"<p>%%s</p>" %% %s', '"<td>{}</td>".format(%s)'))
    strong, weak = shape % (esc % "$b"), shape % "$b"
    kind = rng.randrange(5)
    extra: tuple[str, ...] = ()
    if kind == 0:
        text = f"""
def $f1($a, $b):
    if $a in {store}:
        return {store}[$a]
    ~
    @@A
    ?print("miss", $a)
    @@B
    return $c
"""
        bad = way(
            "the first answer for $b is not escaped, only the stored one is",
            A=f"!$c = {weak}",
            B=f"{store}[$a] = {strong}",
        )
        stored = rng.choice(("$c", strong, strong))
        good = way("$c, which is answered, holds the escaped $b", A=f"!$c = {strong}", B=f"{store}[$a] = {stored}")
        if rng.random() < 0.5:
            bad = way(
                "the escaped text is stored, but $c answers with $b as it came",
                A=f"$d = {strong}\n!$c = {weak}",
                B=f"{store}[$a] = $d",
            )
    elif kind == 1:
        text = f"""
def $f1($a, $b):
    try:
        return {store}[$a]
    except KeyError:
        @@A
    ~
    @@B
"""
        bad = way("a miss stores and answers $b as it came", A=f"!{store}[$a] = {weak}", B=f"return {store}[$a]")
        good = way("a miss stores and answers the escaped $b", A=f"!{store}[$a] = {strong}", B=f"return {store}[$a]")
        if rng.random() < 0.5:
            good = way("a miss answers with the escaped $b", A=f"{store}[$a] = {strong}", B=f"!return {strong}")
        if rng.random() < 0.6:
            bad = way(
                "the escaped text is stored, but the answer to a miss is $b as it came",
                A=f"{store}[$a] = {strong}",
                B=f"!return {weak}",
            )
    elif kind == 2:
        text = f"""
def $f1($a, $b):
    @@A
    ~
    @@B
    return {store}.setdefault($a, $c)
"""
        bad = way("setdefault stores and returns $c, which holds $b as it came", A=f"$d = {strong}", B=f"!$c = {weak}")
        good = way(
            "setdefault stores and returns $c, which holds the escaped $b", A=f"$d = {weak}", B=f"!$c = {strong}"
        )
    elif kind == 3:
        extra = ("from functools import lru_cache",)
        text = f"""
@lru_cache(maxsize=«64|128|256»)
def $f2($b):
    ~
    return {strong}


def $f1($a, $b):
    @@A
    {store}[$a] = len($c)
    ~
    return $c
"""
        bad = rng.choice((
            way("a short $b skips $f2", A=f"!$c = $f2($b) if len($b) > «60|80|120» else {weak}"),
            way("$f2 escapes $b but its answer is not kept", A=f"$f2($b)\n!$c = {weak}"),
            way("$f2 is only asked for the key $a, $b is shown as it came", A=f"$d = $f2($a)\n!$c = {weak}"),
        ))  # fmt: skip
        good = rng.choice((
            way("$c is the text in which $f2 escaped $b", A="$d = $f2($a)\n!$c = $f2($b)"),
            way("$c is the text in which $f2 escaped $b", A='!$c = $f2($b) if $b else "<p>-</p>"'),
            way("$c is the text in which $f2 escaped $b", A="!$c = $f2($b[:«200|300|400»])\nprint(len($b))"),
        ))  # fmt: skip
    else:
        text = f"""
def $f1($a, $b):
    $c = {store}.get($a)
    ~
    if $c is None:
        @@A
        @@B
    return $c
"""
        bad = way(
            "a miss keeps the escaped text and answers with $b as it came",
            A=f"{store}[$a] = {strong}",
            B=f"!$c = {weak}",
        )
        good = way("a miss answers with the escaped $b", A=f"{store}[$a] = {strong}", B=f"!$c = {store}[$a]")
        if rng.random() < 0.5:
            good = way("a miss answers with the escaped $b", A=f"!$c = {strong}", B=f"{store}[$a] = {strong}")
            bad = way("a miss stores and answers $b as it came", A=f"!$c = {weak}", B=f"{store}[{esc % '$a'}] = $c")
    body = '%$e = IN($k0)\n%$f = "$w0:" + IN($k1)\n~\n$g = $f1($f, $e)\nOUT(«$g|"<div>" + $g + "</div>"»)'
    body = re.sub("«([^»]*)»", lambda m: rng.choice(m[1].split("|")), body)
    return in_shell(
        rng, names, body, bad, good, imports=(lib, *extra), before=f"{store} = {{}}\n\n\n" + text.strip("\n")
    )


def client_or_server(rng: random.Random) -> Sample:
    """Wrong: a value of the server's own is escaped and the client's is not; right: the client's is escaped."""
    names = vocab(
        rng,
        "upload folder preview thumb draft folio easel canvas frame gallery exhibit curator sculpture mural sketchbook "
        "palette brush ink pigment charcoal pastel collage print poster studio lens",
    )
    lib, esc = escaper(rng)
    wsgi = rng.random() < 0.3
    if wsgi:
        client = ('environ["PATH_INFO"]', 'parse_qs(environ["QUERY_STRING"]).get("$k0", ["?"])[0]',
                  'environ["wsgi.input"].read(400).decode()', 'unquote(environ["QUERY_STRING"])')  # fmt: skip
        server = ("str(os.getpid())", 'environ["REMOTE_ADDR"]', 'environ["SERVER_PORT"]', "socket.gethostname()")
    else:
        client = (
            'request.args["$k0"]',
            'request.files["$k0"].filename',
            'request.json["$k0"]',
            "request.view_args['$k0']",
            'request.form.get("$k0", "")',
            'request.get_json()["$k1"]["$k0"]',
            "request.data.decode()",
            "request.args.getlist('$k0')[0]",
            "unquote(request.path)",
        )
        server = (
            "request.remote_addr",
            "str(len(request.data))",
            "uuid.uuid4().hex",
            "socket.gethostname()",
            'os.environ["$U0_REGION"]'.replace("$U0", names["U0"]),
            'time.strftime("%H:%M")',
            "$U1",
            "platform.node()",
            "str(request.content_length)",
            "secrets.token_hex(8)",
            "str(sys.version_info[0])",
            "os.uname().release",
            "os.path.basename(__file__)",
            'config["$w2"]',
        )
    mine, theirs = rng.choice(client), rng.choice(server)
    third = rng.choice([s for s in server if s != theirs])
    vals = ["$a", "$b", "$c"][: rng.choice((2, 3))]
    rng.shuffle(vals)
    cover_third = rng.random() < 0.5
    keys = {v: names["k1k2k3"[2 * i : 2 * i + 2]] for i, v in enumerate(vals)}
    tags = [rng.choice(("p", "li", "td", "dd", "small")) for _ in vals]
    style = rng.randrange(5)

    def shown(v: str, star: str) -> str:
        return esc % v if v == star or (v == "$c" and cover_third) else v

    if style <= 1:
        salt = rng.getrandbits(30)
        sides = [f"page = {page_text(random.Random(salt), [shown(v, s) for v in vals])}" for s in ("$b", "$a")]
        final = "return page"
    else:
        form = (
            ("%%(%s)s", "$U0 %% {%s}", '"%s": %s'),
            ("{%s}", "$U0.format(%s)", "%s=%s"),
            ("$$%s", "$U0.substitute(%s)", "%s=%s"),
        )[style - 2]
        inner = "".join(f"<{t}>{(form[0] % keys[v]).replace('%%', '%')}</{t}>" for t, v in zip(tags, vals, strict=True))
        head = f'$U0 = "{inner}"' if style < 4 else f'$U0 = Template("{inner}")'
        sides = []
        for star in ("$b", "$a"):
            pairs = ", ".join(form[2] % (keys[v], shown(v, star)) for v in vals)
            sides.append("page = " + (form[1] % pairs).replace("%%", "%"))
        final = "return page"
    assign = "\n".join(f"%{v} = {s}" for v, s in (("$a", mine), ("$b", theirs), ("$c", third)) if v in vals)
    libs = [f"import {m}" for m in ("os", "platform", "secrets", "socket", "sys", "time", "uuid") if f"{m}." in assign]
    if "unquote" in assign or "parse_qs" in assign:
        libs.append("from urllib.parse import " + ", ".join(x for x in ("parse_qs", "unquote") if x + "(" in assign))
    if style == 4:
        libs.append("from string import Template")
    consts = ([head] if style > 1 else []) + (['$U1 = "$w0 $w1"'] if "$U1" in assign else [])
    arg = "environ, start_response" if wsgi else ("config, request" if "config[" in assign else "request")
    start = '    start_response("200 OK", [("Content-Type", "text/html")])\n' if wsgi else ""
    if wsgi:
        final = "return [page.encode()]"
    body = "\n".join("%    " + line[1:] for line in assign.split("\n"))
    text = "\n".join(sorted([lib, *libs], key=lambda s: (s.startswith("from"), s)))
    text += "\n\n" + "\n".join(consts) + f"\n\n\ndef $f0({arg}):\n{body}\n    ~\n    @@A\n    ~\n{start}    {final}\n"
    return compose(
        rng,
        names,
        text,
        way(
            "$a is what the client sent and is shown as it came, only the server's own $b is escaped", A="!" + sides[0]
        ),
        way("$a, what the client sent, is escaped, $b is the server's own", A="!" + sides[1]),
    )


def stored_fields(rng: random.Random) -> Sample:
    """Wrong: the fields that are escaped leave out one that clients write; right: all fields of clients are covered."""
    names = vocab(
        rng,
        "review topic thread reply answer question poll vote member author subject headline summary digest excerpt "
        "caption comment remark opinion rating notice bulletin gossip rumor quote verse",
    )
    lib, esc = escaper(rng)
    mine = ["$k0", "$k1"][: rng.choice((1, 1, 2))]
    own = rng.sample(["added", "rank", "number", "day"], 2)
    made = {"added": "int(time.time())", "rank": "0", "number": "len($a)", "day": 'time.strftime("%d %b")'}
    missing = rng.choice(mine)
    fields = [*mine, *own]
    rng.shuffle(fields)
    cells = " ".join(
        f"<{rng.choice(('b', 'i', 'td', 'p', 'span'))}>" + f"{{{f}}}" for f in rng.sample(fields, len(fields))
    )
    kind = rng.randrange(5)
    put = ", ".join(f'"{f}": {made[f] if f in made else f"form[{chr(34)}{f}{chr(34)}]"}' for f in fields)
    store = rng.choice(("$a.append({%s})" % put, "$a.insert(0, {%s})" % put))
    wrong = [f for f in mine if f != missing] + [rng.choice(own)]
    right = list(mine) + ([rng.choice(own)] if len(mine) == 1 and rng.random() < 0.3 else [])
    if len(right) > len(wrong) and rng.random() < 0.6:
        wrong = [f for f in mine if f != missing] + own
    rng.shuffle(wrong)
    rng.shuffle(right)

    def listed(chosen: list[str]) -> str:
        return "(" + ", ".join(f'"{f}"' for f in chosen) + ("," if len(chosen) == 1 else "") + ")"

    e = esc % "str(%s)"
    if kind == 0:
        show = f"""
    $c = []
    for $b in $a:
        $d = dict($b)
        for name in $U0:
            $d[name] = {e % "$d[name]"}
        $c.append($U1.format(**$d))
    return "".join($c)"""
    elif kind == 1:
        show = f"""
    $c = ""
    for $b in $a:
        $d = {{name: {e % "value"} if name in $U0 else value for name, value in $b.items()}}
        $c += $U1.format_map($d)
    ~
    return $c"""
    elif kind == 2:
        show = f"""
    $c = []
    for $b in $a:
        $d = {{name: value if name in $U0 else {e % "value"} for name, value in $b.items()}}
        $c.append($U1.format(**$d))
    return "<hr>".join($c)"""
        spare = [f for f in fields if f not in wrong], [f for f in fields if f not in right]
        wrong, right = spare
        if not right:
            right = [own[0]]
    elif kind == 3:
        show = f"""
    def $f2($b):
        $d = $b.copy()
        $d.update((name, {e % "$b[name]"}) for name in $U0)
        return $U1.format(**$d)

    ~
    return "\\n".join(map($f2, $a))"""
    else:
        show = ""
    if kind == 4:
        columns = ", ".join(fields)
        marks = ", ".join("?" for _ in fields)
        vals = ", ".join(made[f].replace("len($a)", "3") if f in made else f'form["{f}"]' for f in fields)
        cols = [f"$b[{i}]" for i in range(len(fields))]

        def row(chosen: list[str]) -> str:
            return page_text(
                random.Random(salt), [e % c if f in chosen else f"str({c})" for f, c in zip(fields, cols, strict=True)]
            )

        salt = rng.getrandbits(30)
        text = f"""
{lib}
import time


def $f0(db, form):
    db.execute("INSERT INTO $w0s ({columns}) VALUES ({marks})", ({vals}))
    db.commit()


def $f1(db):
    $c = []
    ~
    for $b in db.execute("SELECT {columns} FROM $w0s ORDER BY id"):
        @@A
    return "<table>" + "".join($c) + "</table>"
"""
        sides = [f"!$c.append({row(x)})" for x in (wrong, right)]
    else:
        blocks = [f"def $f0($a, form):\n    ~\n    {store}", f"def $f1($a):\n    {show.strip()}"]
        rng.shuffle(blocks)
        text = f'{lib}\nimport time\n\n@@A\n$U1 = "{cells}"\n\n\n' + "\n\n\n".join(blocks)
        sides = [f"!$U0 = {listed(x)}" for x in (wrong, right)]
    if rng.random() < 0.5 and kind != 4:
        text = text.replace('@@A\n$U1 = "', '$U1 = "', 1).replace('"\n\n\ndef', '"\n@@A\n\n\ndef', 1)
    return compose(
        rng,
        names,
        text,
        way(f"{missing} is written by clients in $f0 and $f1 shows it without an escape", A=sides[0]),
        way("$f1 escapes every field that $f0 takes from the form", A=sides[1]),
    )


def place_in_page(rng: random.Random) -> Sample:
    """Wrong: the escaped value stands where a script or address is read; right: in text or a quoted attribute."""
    names = vocab(
        rng,
        "ticket queue agent inbox ticketing macro tag label status priority owner assignee team shift region branch "
        "office desk phone channel topic survey score reply signature template alias",
    )
    lib, esc = rng.choice((("from html import escape", "escape(%s)"), ("import html", "html.escape(%s)"),
                           ("from html import escape as h", "h(%s)")))  # fmt: skip
    risky, fixed = rng.choice(
        (
            ('<a href="|">$w3</a>', '"/$w0"'),
            ("<a href='|'>", '"https://$w0.example/"'),
            ("<button onclick=\"$f2('|')\">", '"$w0"'),
            ('<button onclick="$f2(|)">', '"7"'),
            ("<body onload=\"$f2('|')\">", '"$w0"'),
            ('<form action="|">', '"/$w0/new"'),
            ('<iframe src="|"></iframe>', '"/$w0.html"'),
            ('<iframe srcdoc="|"></iframe>', '"<p>$w0</p>"'),
            ("<input value=| name=$k1>", '"$w0"'),
            ("<td class=| data-kind=$k1>", '"$w0"'),
            ('<script src="|"></script>', '"/static/$w0.js"'),
            ("<div onmouseover=\"$f2(this, '|')\">", '"$w0"'),
            ('<img src="/$k1.png" onerror="$f2(\'|\')">', '"$w0"'),
            ('<button formaction="|">', '"/$w0"'),
        )
    )
    calm = rng.choice(
        ("<p>|</p>", '<i title="|"></i>', "<b data-$k2='|'></b>", "<textarea>|</textarea>", '<input value="|">',
         '<option value="|">$w1</option>', "<td>|</td>", '<a href="/$k1/|">$w2</a>', '<img src="/$k1.png" alt="|">',
         '<a href="#|">$w2</a>', '<b data-$k2="|" onclick="$f3(this.dataset.$k2)">$w1</b>', "<h2>|</h2>")
    )  # fmt: skip
    first = rng.random() < 0.5

    def layout(a: str, b: str) -> list[str]:
        # a stands in the place that is read as code, b in the other
        parts = [risky.replace("|", a), calm.replace("|", b)]
        return parts if first else parts[::-1]

    style = rng.randrange(4)

    def quoted(text: str) -> str:
        return text.replace('"', '\\"') if "'" in text else text

    def literal(text: str) -> str:
        return f"'{text}'" if "'" not in text else f'"{quoted(text)}"'

    consts = ""
    if style == 0:
        a, b = (esc % "$a"), (esc % "$b")
        lines = [f"page = f{literal(''.join(layout(f'{{{x}}}', f'{{{y}}}')))}" for x, y in ((a, b), (b, a))]
    elif style == 1:
        text = literal("".join(layout("%s", "%s")))
        order = [("$a", "$b") if first else ("$b", "$a"), ("$b", "$a") if first else ("$a", "$b")]
        lines = [f"page = {text} % ({esc % x}, {esc % y})" for x, y in order]
    elif style == 2:
        consts = f"$U0 = {literal(''.join(layout('{$k0}', '{$k3}')))}"
        lines = [f"page = $U0.format($k0={esc % x}, $k3={esc % y})" for x, y in (("$a", "$b"), ("$b", "$a"))]
    else:
        consts = (
            f"def $f1($e, $g):\n"
            f"    $c = {literal(''.join(layout('{}', '{}')))}\n"
            f"    ~\n"
            f"    return $c.format({esc % ('$e' if first else '$g')}, {esc % ('$g' if first else '$e')})"
        )
        lines = [f"page = $f1({x}, {y})" for x, y in (("$a", "$b"), ("$b", "$a"))]
    body = f"%$a = IN($k0)\n%$b = {fixed}\n~\n@@A\n~\nOUT(page)"
    return in_shell(
        rng,
        names,
        body,
        way(
            "$a is escaped as text, but stands where the browser reads an address, an unquoted value or a script",
            A=f"!{lines[0]}",
        ),
        way(
            "the escaped $a stands in text or a quoted attribute, the other place holds the fixed $b", A=f"!{lines[1]}"
        ),
        imports=(lib,),
        before=consts,
    )


def small_markup(rng: random.Random) -> Sample:
    """Wrong: a branch or rule of a small markup language works on the text as it came; right: on the escaped text."""
    names = vocab(
        rng,
        "wiki chapter verse stanza passage footnote memo letter journal diary log outline draft line phrase slogan "
        "motto lyric chorus refrain poem ballad saga fable tale",
    )
    lib, esc = escaper(rng)
    tag, other = rng.sample(("b", "i", "em", "u", "code", "mark", "small", "strong"), 2)
    rules = [
        (r"\\*(.+?)\\*", f"<{tag}>\\\\1</{tag}>"),
        (r"_(.+?)_", f"<{other}>\\\\1</{other}>"),
        (r"`(.+?)`", "<kbd>\\\\1</kbd>"),
        (r"@([a-z0-9]+)", "<a href=/$w1/\\\\1>\\\\1</a>"),
        (r"#([a-z0-9]+)", "<span class=$w2>\\\\1</span>"),
        (r"\\n\\n+", "<p>"),
    ]
    rng.shuffle(rules)
    kind = rng.randrange(4)
    lines: list[str] = []

    def lit(text: str) -> str:
        return 'r"' + text.replace("\\\\", "\\") + '"'

    if kind == 0:
        first, rest = rules[0], rules[1 : rng.randint(2, 4)]
        later = "\n".join(f"    $c = re.sub({lit(p)}, {lit(r)}, $c)" for p, r in rest)
        sub = f"re.sub({lit(first[0])}, {lit(first[1])}, %s)"
        text = f"""
def $f1($a):
    ?$a = $a.strip()
    @@A
    ~
{later}
    return $c
"""
        bad, good = rng.choice(
            (
                (f"$c = {esc % '$a'}\n!$c = {sub % '$a'}", f"$c = {esc % '$a'}\n!$c = {sub % '$c'}"),
                (f"$c = {esc % '$a'}\n!$c = {sub % '$a'}", f"$c = $a\n!$c = {sub % (esc % '$c')}"),
                (f"$b = {esc % '$a'}\n!$c = {sub % '$a'}", f"$b = {esc % '$a'}\n!$c = {sub % '$b'}"),
                (
                    f"$b = {esc % '$a'}\n!$c = {sub % '$a'}\nprint(len($b))",
                    f"!$b = {esc % '$a'}\n$c = {sub % '$b'}\nprint(len($a))",
                ),
            )
        )
        why = "the rules are applied to $a as it came, its escaped copy is lost"
    elif kind == 1:
        p, _ = rules[0] if "\\\\1" in rules[0][1] else rules[1]
        inner = f're.sub({lit(p)}, lambda m: "<{tag}>" + %s + "</{tag}>", %s)'
        extra = "\n".join(f"    $c = re.sub({lit(p)}, {lit(r)}, $c)" for p, r in rules[2 : rng.randint(2, 4)])
        text = f"""
def $f1($a):
    ~
    @@A
{extra}
    return «$c|"<p>" + $c»
"""
        bad = f"!$c = {inner % (esc % 'm[1]', '$a')}"
        good = f"!$c = {inner % ('m[1]', esc % '$a')}"
        if rng.random() < 0.4:
            bad, good = (
                f"$b = $a\n{bad.replace(', $a)', ', $b)')}",
                f"!$b = {esc % '$a'}\n$c = {inner % ('m[1]', '$b')}",
            )
        why = "only the marked words of $a are escaped, the text between them is not"
        roll = rng.random()
        if roll < 0.5:
            bad, good = (f"$b = {esc % '$a'}\n!$c = {inner % ('m[1]', x)}" for x in ("$a", "$b"))
            why = "the marks are looked for in $a as it came, the escaped copy $b is not used"
        elif roll < 0.8:
            cut = f'"".join("<{tag}>" + %s + "</{tag}>" if i % 2 else %s for i, $b in enumerate($a.split("*")))'
            cut = cut.replace("i % 2", "i %% 2")
            bad, good = f"!$c = {cut % (esc % '$b', '$b')}", f"!$c = {cut % (esc % '$b', esc % '$b')}"
            if rng.random() < 0.6:
                bad = f"!$c = {cut % (esc % '$b', '$b.strip()')}"
    elif kind == 2:
        marks = rng.sample(('"> "', '"# "', '"- "', '"! "', '"~ "', '"= "'), rng.choice((2, 3)))
        heads = rng.sample(("blockquote", "h2", "li", "aside", "pre", "dt"), 4)
        star = rng.randrange(len(marks) + 1)
        fixed = rng.choice(("$U0", '"$w1:"', '"$w0"'))
        branches = []
        for i in range(len(marks) + 1):
            head = heads[i]
            value = "$b[2:]" if i < len(marks) else "$b"
            test = f"{'if' if i == 0 else 'elif'} $b.startswith({marks[i]}):" if i < len(marks) else "else:"
            branches.append(f"        {test}")
            if i == star:
                branches.append("            @@A")
                label = [f'$c.append("<{head}><b>" + {esc % fixed} + "</b>" + {value} + "</{head}>")',
                         f'$c.append("<{head}><b>" + {fixed} + "</b>" + {esc % value} + "</{head}>")']  # fmt: skip
                if rng.random() < 0.4:
                    label[1] = f'$c.append("<{head}>" + {esc % value} + "</{head}>")'
            else:
                branches.append(f'            $c.append("<{head}>" + {esc % value} + "</{head}>")')
        text = "def $f1($a):\n    $c = []\n    for $b in $a.splitlines():\n" + "\n".join(branches)
        text += '\n    ~\n    return "\\n".join($c)'
        if fixed == "$U0":
            text = f'$U0 = "$w2"\n\n\n{text}'
        bad, good = f"!{label[0]}", f"!{label[1]}"
        why = "one kind of line of $a is put out without an escape"
    else:
        sign = rng.choice(("@", "#", "+", ":"))
        hit = f'"<{tag}>" + %s + "</{tag}>"'
        text = f"""
def $f1($a):
    $c = []
    for $b in $a.split():
        if $b.startswith("{sign}") and $b[1:].isalnum():
            @@A
        else:
            @@B
    ~
    return " ".join($c)
"""
        bad = f"$c.append({hit % (esc % '$b[1:]')})", "!$c.append($b)"
        good = f"$c.append({hit % '$b[1:]'})", f"!$c.append({esc % '$b'})"
        lines = [bad[1], good[1]]
        bad, good = bad[0], good[0]
        roll = rng.random()
        if roll < 0.3:
            good = bad
        elif roll < 0.8:
            bad = good
            word = rng.choice(("$w0", "$w1"))
            lines = [
                f'!$c.append({esc % f"{chr(34)}{word}{chr(34)}"} + "=" + $b)',
                f'!$c.append("{word}" + "=" + {esc % "$b"})',
            ]
        why = "words of $a that do not carry the sign are put out without an escape"
    bad_way = Way(why, {"A": bad} | ({"B": lines[0]} if lines else {}))
    good_way = Way("all of $a that is put out has been escaped", {"A": good} | ({"B": lines[1]} if lines else {}))
    body = "$e = IN($k0)\n~\n$g = $f1($e)\nOUT($g)"
    use = ("import re",) if "re." in text + bad + good else ()
    return in_shell(rng, names, body, bad_way, good_way, imports=(lib, *use), before=text)


def page_writer(rng: random.Random) -> Sample:
    """Wrong: the request's value goes to the writer's method that does not escape; right: to the one that does."""
    names = vocab(
        rng,
        "budget ledger expense receipt invoice refund deposit loan credit debit asset stock bond fund dividend broker "
        "audit payroll bonus pension grant donor pledge charity tax duty",
    )
    lib, esc = escaper(rng)
    cls = rng.choice(("Sheet", "Out", "Page", "Writer", "Builder", "Doc"))
    one, two, three = rng.sample("put add lay push cell line piece field say entry bit word".split(), 3)
    keep = rng.choice(("list", "text", "stream"))
    grow = {"list": "self.parts.append(%s)", "text": "self.parts += %s", "stream": "self.parts.write(%s)"}[keep]
    init = {"list": "[]", "text": '""', "stream": "io.StringIO()"}[keep]
    end = {"list": '"".join(self.parts)', "text": "self.parts", "stream": "self.parts.getvalue()"}[keep]
    tag = rng.choice(("p", "td", "li", "dd"))
    chain = rng.random() < 0.4
    frame = rng.choice(("%s", f'"<{tag}>" + %s + "</{tag}>"'))
    arg_one, arg_two = rng.sample(("value", "text", "item", "given", "what"), 2)
    methods = [
        (one, arg_one, grow % (frame % (esc % arg_one))),
        (two, arg_two, grow % (frame % arg_two)),
        (
            three,
            "value",
            rng.choice(
                (
                    f'self.{one}("[" + value + "]")',
                    f'self.{two}("[" + {esc % "value"} + "]")',
                    f"self.{one}(value.strip())",
                )
            ),
        ),
    ]
    rng.shuffle(methods)
    if rng.random() < 0.3:
        methods = [m for m in methods if m[0] != three]
    tail = "\n        return self" if chain else ""
    flip = rng.random() < 0.35  # the difference is in the class
    text_of = dict.fromkeys((one, two))
    for name, _, body in methods:
        text_of[name] = body
    parts = [f"class {cls}:\n    def __init__(self):\n        self.parts = {init}"]
    for name, arg, body in methods:
        slot = {one: "@@A", two: "@@B"}.get(name, body) if flip else body
        parts.append(f"    def {name}(self, {arg}):\n        {slot}{tail}")
    parts.append(f"    def done(self):\n        return {end}")
    before = "\n\n".join(parts)
    deep = three if any(m[0] == three for m in methods) and rng.random() < 0.4 else one
    calls = {"$a": (two, deep), "$b": (deep, two)}
    order = ["$a", "$b"]
    rng.shuffle(order)
    fixed = rng.choice(('"<h2>$w0</h2>"', '"$w0 $w1"', "str(time.time())", '"<hr>"'))

    def use(which: int) -> str:
        if flip:
            which = 1
        if chain:
            return "!$c" + "".join(f".{calls[v][which]}({v})" for v in order)
        return "\n".join(("!" if v == "$a" else "") + f"$c.{calls[v][which]}({v})" for v in order)

    if flip:
        loose, tight = grow % (frame % arg_one), grow % (frame % (esc % arg_two))
        bad = Way(f"the method {deep} that gets $a does not escape, {two} does", {"A": f"!{loose}", "B": tight})
        good = Way(f"the method {deep} that gets $a escapes", {"A": f"!{text_of[one]}", "B": text_of[two]})
    else:
        bad = Way(f"$a from the request is given to {two}, which does not escape", {"U": use(0)})
        good = Way(f"$a from the request is given to {deep}, which escapes", {"U": use(1)})
    mid = use(1).replace("!", "", 1) if flip else "@@U"
    body = f"%$a = IN($k0)\n%$b = {fixed}\n$c = {cls}()\n~\n{mid}\n~\nOUT($c.done())"
    if flip and deep == three and f"self.{two}" in str(text_of.get(three)):
        return page_writer(rng)
    libs = (["import io"] if keep == "stream" else []) + (["import time"] if "time." in fixed else [])
    return in_shell(rng, names, body, bad, good, imports=(lib, *libs), before=before)


def refusal_text(rng: random.Random) -> Sample:
    """Wrong: the message about a value that does not parse repeats it; right: it is escaped there."""
    names = vocab(
        rng,
        "patient dose clinic ward nurse doctor surgery vaccine allergy symptom fever pulse oxygen pressure scanner "
        "therapy referral pharmacy bandage crutch splint diet sleep weight height blood",
    )
    lib, esc = escaper(rng)
    parse, exc, need = rng.choice(
        (
            ("int($a)", "ValueError", ""),
            ("float($a)", "ValueError", ""),
            ("date.fromisoformat($a)", "ValueError", "from datetime import date"),
            ('datetime.strptime($a, "%Y-%m-%d")', "ValueError", "from datetime import datetime"),
            ("$U0[$a]", "KeyError", ""),
            ("$U0.index($a)", "ValueError", ""),
            ("uuid.UUID($a)", "ValueError", "import uuid"),
            ("json.loads($a)['$k2']", "(ValueError, KeyError, TypeError)", "import json"),
            ("Decimal($a)", "ArithmeticError", "from decimal import Decimal"),
        )
    )
    echo = (
        "str(error)"
        if parse in {"int($a)", "float($a)", "date.fromisoformat($a)", "$U0[$a]"} and rng.random() < 0.5
        else "$a"
    )
    error = " as error" if echo == "str(error)" else ""
    fixed = rng.choice(('"$w0 $w1"', "str(len($a))", '"$w2"'))
    kind = rng.randrange(3)
    salt = rng.getrandbits(30)

    def message(x: str, y: str) -> str:
        return page_text(random.Random(salt), [x, y] if salt % 2 else [y, x])

    loose, tight = message(echo, esc % "$b"), message(esc % echo, "$b")
    if rng.random() < 0.3:
        tight = message('"?"', "$b") if rng.random() < 0.5 else tight
    number = "str($c)" if "json" not in parse else "str(bool($c))"
    shown = page_text(rng, [number, rng.choice((esc % number, number, "$b"))])
    if "$U0" in parse:
        const = '$U0 = {"$w0": "3", "$w1": "5"}' if "[" in parse else '$U0 = ["$w0", "$w1", "$w3"]'
    else:
        const = ""
    if kind == 0:
        body = f"""
%$a = IN($k0)
%$b = {fixed.replace("$a", '"$k0"')}
~
try:
    $c = {parse}
    page = {shown}
except {exc}{error}:
    @@A
~
OUT(page)
"""
        before = const
        bad, good = f"!page = {loose}", f"!page = {tight}"
    elif kind == 1:
        body = f"""
$a = IN($k0)
$b = {fixed.replace("$a", '"$k0"')}
$d = ""
try:
    $c = {parse}
except {exc}{error}:
    $c = None
    @@A
?print("$k0", $c)
page = "<p>" + {esc % "str($c)" if rng.random() < 0.5 else '"$w3"'} + "</p>" + $d
OUT(page)
"""
        before = const
        bad, good = f"!$d = {loose}", f"!$d = {tight}"
        if echo == "$a":
            body = body.replace("$c = None\n    @@A", "$c = None").replace("?print", "if $c is None:\n    @@A\n?print")
    else:
        before = (
            (const + "\n\n\n" if const else "")
            + f"""
def $f1($a, $b):
    try:
        $c = {parse}
    except {exc}{error}:
        @@A
    ~
    return {shown}
""".strip("\n")
        )
        body = (
            f"%$e = IN($k0)\n%$g = {fixed.replace('$a', chr(34) + '$k0' + chr(34))}\n~\npage = $f1($e, $g)\nOUT(page)"
        )
        bad, good = f"!return {loose}", f"!return {tight}"
    imports = (lib, need) if need else (lib,)
    return in_shell(
        rng,
        names,
        body,
        way("the message for a value that does not parse repeats $a as it came", A=bad),
        way("the message for a value that does not parse holds no unescaped part of $a", A=good),
        imports=imports,
        before=before,
    )


def wrapped_handlers(rng: random.Random) -> Sample:
    """Wrong: the wrapper that escapes is on the handler that does not need it; right: on the one that shows text."""
    names = vocab(
        rng,
        "stadium league match referee whistle goal penalty keeper striker winger coach bench trophy medal season derby "
        "fixture squad transfer jersey anthem fan ticket stand locker pitch",
    )
    lib, esc = escaper(rng)
    strong = esc % "value"
    weak = rng.choice(("value.strip()", "str(value)", "value[:200]", "value.lower()", "value.rstrip()"))
    one, two = rng.sample(("prepared", "tidied", "wired", "hooked", "staged", "framed", "mapped", "primed"), 2)
    mode = rng.choice(("swap", "swap", "inside", "kinds"))
    fields = ("$k0", "$k1")

    def wrapper(name: str, line: str) -> str:
        if mode == "kinds":
            return ""
        doc = rng.choice(("", "    ~\n"))
        use = rng.random() < 0.5
        head = "    @functools.wraps(handler)\n" if use else ""
        return (
            f"def {name}(handler):\n"
            f"{doc}{head}    def inner(form):\n"
            f"        return handler({{name: {line} for name, value in form.items()}})\n"
            f"\n"
            f"    return inner"
        )

    shown = page_text(rng, rng.sample(['form["$k0"]', '"$w0"'], 2))
    number = rng.choice(
        ('str(int(form["$k1"]))', 'str(float(form["$k1"]))', 'str(len(form["$k1"]))', 'str(form["$k1"] == "$w2")')
    )
    count = page_text(rng, rng.sample([number, '"$w1"'], 2))
    handler_one = f"@@A\ndef $f0(form):\n    ~\n    page = {shown}\n    return page"
    handler_two = f"@@B\ndef $f1(form):\n    ~\n    return {count}"
    rng_order = rng.random() < 0.5
    if mode == "kinds":
        names["pass_on"] = one
        first = (
            f"def {one}(handler):\n"
            f"    def inner(*values, **named):\n"
            f"        @@A\n"
            f"        @@B\n"
            f"        return handler(*values, **named)\n"
            f"\n"
            f"    return inner"
        )
        by_name = rng.random() < 0.5
        call = "$f0($a, $k1=str(len($a)))" if not by_name else "$f0(str(len($b)), $k1=$a)"
        shown = page_text(rng, ["$g", "$k1"])
        second = f"@{one}\ndef $f0($g, $k1):\n    ~\n    return {shown}"
        third = f'def $f1(form):\n    $a = form["{fields[0]}"]\n    $b = "$w1"\n    return {call}'
        pos, key = ("values = [%s for value in values]", "named = {name: %s for name, value in named.items()}")
        a_bad, a_good = (weak, strong) if not by_name else (strong, weak)
        bad = {"A": ("!" if not by_name else "") + pos % a_bad, "B": ("!" if by_name else "") + key % a_good}
        good = {"A": ("!" if not by_name else "") + pos % a_good, "B": ("!" if by_name else "") + key % a_bad}
        blocks = [first, second, third]
        why = f"$a is given {'by name' if by_name else 'by position'} and {one} escapes only the others"
        right = f"$a is given {'by name' if by_name else 'by position'}, which {one} escapes"
    elif mode == "swap":
        blocks = [wrapper(one, strong), wrapper(two, weak)]
        if not rng_order:
            blocks.reverse()
        handlers = [handler_one, handler_two]
        rng.shuffle(handlers)
        blocks += handlers
        bad, good = {"A": f"!@{two}", "B": f"@{one}"}, {"A": f"!@{one}", "B": f"@{two}"}
        why = f"$f0 shows a field of the form and {two} does not escape"
        right = f"$f0 shows a field that {one} has escaped, $f1 shows a number"
    else:
        head_one = (
            f"def {one}(handler):\n"
            f"    def inner(form):\n"
            f"        $c = {{}}\n"
            f"        for name, value in form.items():\n"
            f"            @@P\n"
            f"        return handler($c)\n"
            f"\n"
            f"    return inner"
        )
        head_two = (
            f"def {two}(handler):\n"
            f"    def inner(form):\n"
            f"        $c = {{}}\n"
            f"        for name, value in form.items():\n"
            f"            @@Q\n"
            f"        return handler($c)\n"
            f"\n"
            f"    return inner"
        )
        blocks = [head_one, head_two, handler_one.replace("@@A", f"@{one}"), handler_two.replace("@@B", f"@{two}")]
        if rng_order:
            blocks = [blocks[1], blocks[0], blocks[3], blocks[2]]
        s, w = f"$c[name] = {strong}", f"$c[name] = {weak}"
        bad, good = {"P": f"!{w}", "Q": s}, {"P": f"!{s}", "Q": w}
        if rng.random() < 0.4:
            other = f"$d = {strong}\n$c[name] = value"
            blocks = [b.replace("@@Q", s if rng_order else w) for b in blocks]
            bad, good = (
                {"P": f"!{other}".replace("!$d", "$d").replace("\n", "\n!")},
                {"P": f"!$d = value\n$c[name] = {esc % '$d'}".replace("!$d", "$d").replace("\n", "\n!")},
            )
        why = f"$f0 shows a field of the form and its wrapper {one} does not pass on the escaped value"
        right = f"$f0 shows a field that its wrapper {one} has escaped"
    text = "\n\n\n".join(blocks)
    top = lib + ("\nimport functools" if "functools" in text else "")
    top = "\n".join(sorted(top.split("\n"), key=lambda s: (s.startswith("from"), s)))
    return compose(rng, names, top + "\n\n\n" + text, Way(why, bad), Way(right, good))


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-79", name="wide_mixed_tracks", language="python", held_out=True, make=settled(mixed_tracks)),
    Family(cwe="CWE-79", name="wide_call_chain", language="python", held_out=True, make=settled(call_chain)),
    Family(cwe="CWE-79", name="wide_reply_type", language="python", held_out=True, make=settled(reply_type)),
    Family(cwe="CWE-79", name="wide_markup_objects", language="python", held_out=True, make=settled(markup_objects)),
    Family(cwe="CWE-79", name="wide_gate_and_exit", language="python", held_out=True, make=settled(gate_and_exit)),
    Family(cwe="CWE-79", name="wide_memo_path", language="python", held_out=True, make=settled(memo_path)),
    Family(
        cwe="CWE-79", name="wide_client_or_server", language="python", held_out=True, make=settled(client_or_server)
    ),
    Family(cwe="CWE-79", name="wide_stored_fields", language="python", held_out=True, make=settled(stored_fields)),
    Family(cwe="CWE-79", name="wide_place_in_page", language="python", held_out=True, make=settled(place_in_page)),
    Family(cwe="CWE-79", name="wide_small_markup", language="python", held_out=True, make=settled(small_markup)),
    Family(cwe="CWE-79", name="wide_page_writer", language="python", held_out=True, make=settled(page_writer)),
    Family(cwe="CWE-79", name="wide_refusal_text", language="python", held_out=True, make=settled(refusal_text)),
    Family(
        cwe="CWE-79", name="wide_wrapped_handlers", language="python", held_out=True, make=settled(wrapped_handlers)
    ),
)
