"""Wide pair families of CWE-77 (OS command injection), written with the program writers of wide_022."""
# ruff: noqa: SIM905, E501, PLR0912, PLR0915 - word lists and program texts are easier to read and to extend in one piece

from __future__ import annotations

import random
import re
from string import Template

from training.families.contract import Family, Sample
from training.families.wide_022 import (
    C_HELPERS,
    REMARKS,
    CKit,
    Kit,
    c_flow_sample,
    c_includes,
    cast,
    fitting,
    indent,
    py_flow_sample,
    stack,
    turn,
    write,
)

SHELL_KIT = Kit(
    imports=("import os", "import re", "import subprocess", "from shlex import quote"),
    tests=(
        'not re.fullmatch(r"[A-Za-z0-9_]+", {v})',
        "not {v}.isalnum()",
        "not {v}.isdigit()",
        "{v} not in KNOWN",
        'not all(c.isalnum() or c in "._" for c in {v})',
        "not {v}.isidentifier()",
        're.search(r"[^\\w.]", {v})',
        "odd({v})",
        "odd({v})",
    ),
    late=(
        ("unquote({v})", 're.search(r"[^\\w.%]", {v})'),
        ("unquote({v})", 'not all(c.isalnum() or c in "._%" for c in {v})'),
        ("bytes.fromhex({v}).decode()", "not {v}.isalnum()"),
        ("bytes.fromhex({v}).decode()", 'not re.fullmatch(r"[A-Za-z0-9_]+", {v})'),
        ("b64decode({v}).decode()", 're.search(r"[^\\w=+/]", {v})'),
    ),
    cleans=(
        "quote({v})",
        "quote({v})",
        're.sub(r"\\W", "", {v})',
        '"".join(c for c in {v} if c.isalnum())',
        "str(int({v}))",
        "KNOWN.get({v}, 'none')",
    ),
    sinks=(
        ('{o} = os.system("gzip -k " + {v})',),
        ('{o} = subprocess.run("lpr -P " + {v}, shell=True)',),
        ('{o} = subprocess.getoutput("host " + {v})',),
        ('{o} = os.popen("grep -c %s /var/log/app.log" % {v}).read()',),
        ('{o} = "file -b " + {v} + " notes.txt"', "subprocess.check_call({o}, shell=True)"),
        ('{o} = "md5sum {{}}".format({v})', "os.system({o})"),
        ('{o} = ["sh", "-c", "du -s " + {v}]', "subprocess.run({o}, timeout=20)"),
        ('{o} = subprocess.Popen("ffprobe " + {v}, shell=True).wait()',),
        ('{o} = " ".join(["ping", "-c1", {v}])', "os.system({o})"),
    ),
    decoys=(
        'subprocess.run("sync", shell=True)',
        'os.system("date >> /tmp/when")',
        'print(quote("two words"))',
        'subprocess.run(["uptime"], check=False)',
    ),
    danger="a second command",
)


def wide_py_cmd_flow(rng: random.Random) -> Sample:
    """Wrong: the check misses the value that the shell reads, or comes too early; right: it covers that value."""
    return fitting(rng, lambda r: py_flow_sample(r, SHELL_KIT))


C_META = 'strpbrk({v}, ";|&$`<>()\\n\\"\'\\\\") != NULL'
C_SHELL_KIT = CKit(
    tests=("!plain({v})", "!listed({v})", C_META, "!digits({v})", "!plain({v})"),
    late=("unhex|!plain({v})", "unhex|" + C_META, "unescape|" + C_META),
    helpers=C_HELPERS
    | {
        "digits": "static int digits(const char *s) {\n    while (isdigit((unsigned char)*s))\n        s++;\n    return *s == 0;\n}"
    },
    sinks=(
        ('snprintf({o}, sizeof {o}, "gzip -9 %s", {v});', "system({o});"),
        (
            'snprintf({o}, sizeof {o}, "lpr -P %s /tmp/page", {v});',
            'FILE *fp = popen({o}, "w");',
            "if (fp)",
            "    pclose(fp);",
        ),
        (
            'strcpy({o}, "wc -l ");',
            "strncat({o}, {v}, 200);",
            'FILE *fp = popen({o}, "r");',
            "if (fp)",
            "    pclose(fp);",
        ),
        ('sprintf({o}, "logger -t app %.180s", {v});', "if (system({o}) != 0)", "    return 2;"),
        ('snprintf({o}, sizeof {o}, "mount LABEL=%s /mnt", {v});', 'execl("/bin/sh", "sh", "-c", {o}, (char *)NULL);'),
    ),
    decoys=('system("sync");', 'FILE *df = popen("df -h", "r");', 'system("date >> /tmp/when");'),
    danger="a second command",
)


def wide_c_cmd_flow(rng: random.Random) -> Sample:
    """Wrong: the check misses the string that the shell reads, or comes too early; right: it covers that string."""
    return fitting(rng, lambda r: c_flow_sample(r, C_SHELL_KIT))


# --- Python families -------------------------------------------------------------------------------------------------


def shell_text(joiner: str, tool: str, value: str) -> str:
    """An expression for a command line of a tool and one value."""
    if joiner == "plus":
        return f'"{tool} " + {value}'
    if joiner == "percent":
        return f'"{tool} %s" % {value}'
    inner = value.replace('"', "'")
    return f'f"{tool} {{{inner}}}"'


def runner_lines(quoting: bool, wrong: bool, *, tools: tuple[str, str], const: str, joiner: str) -> list[str]:
    """The two calls of one method: first the one with the caller's value, then the one with the class's own."""
    one, two = tools
    if quoting:
        mine, own = ("$u0", f"self.$q0({const})") if wrong else ("self.$q0($u0)", const)
        return [
            f"$a0 = self.$s0({shell_text(joiner, one, mine)})",
            f"$a1 = self.$s0({shell_text(joiner, two, own)})",
        ]
    words = [", ".join(f'"{bit}"' for bit in tool.split()) for tool in tools]
    if wrong:
        return [f"$a0 = self.$s0({shell_text(joiner, one, '$u0')})", f"$a1 = self.$r0({words[1]}, {const})"]
    return [f"$a0 = self.$r0({words[0]}, $u0)", f"$a1 = self.$s0({shell_text(joiner, two, const)})"]


def runner_sample(rng: random.Random) -> Sample:
    """A class with a helper for texts that a shell reads and one for argument lists, or one that quotes."""
    names = cast(
        rng,
        c="Printer Camera Radio Turbine Mixer Scanner Plotter Lathe Router_ Modem Beamer Kiosk Greenhouse Elevator",
        s="_sh _line _text _via_shell _spawn_text _do",
        r="_run _args _exec _call_list _direct _go",
        q="_arg _word _as_word _one _esc",
        u="host user_name job_name title target label device term alias volume",
        m="status restart label_it measure inspect rotate archive mirror announce probe export_all trim_log",
        a="first second left right before after",
        t="one two x y text more",
    )
    names["c0"] = names["c0"].strip("_")
    quoting = rng.random() < 0.4
    consts = ["self.$k0", '"$k1"', "FIXED", '"/var/tmp/$k1"', "str(self.$k2)"]
    names |= {f"k{i}": word for i, word in enumerate(rng.sample("spool limit port queue zone slot tray".split(), 3))}
    tools = rng.sample(
        (
            "lpstat -p",
            "systemctl status",
            "du -s",
            "file",
            "host",
            "stat",
            "pgrep -f",
            "journalctl -u",
            "ip link show",
            "id",
            "wc -l",
            "md5sum",
        ),
        6,
    )
    sh = rng.choice(
        (
            "return subprocess.run($t0, shell=True, timeout=«9|30»)",
            "return os.popen($t0).read()",
            'return subprocess.check_output(["sh", "-c", $t0])',
            "return subprocess.getoutput($t0)",
            "code = os.system($t0)\n    if code:\n        self.$k2 += 1\n    return code",
        )
    )
    run = rng.choice(
        (
            "return subprocess.run(list($t1), timeout=«9|30»)",
            "return subprocess.check_output($t1)",
            "with subprocess.Popen($t1) as proc:\n        return proc.wait()",
            "return os.spawnvp(os.P_WAIT, $t1[0], $t1)",
        )
    )
    helpers = [f"def $s0(self, $t0):\n    {sh}"]
    helpers.append(
        "def $q0(self, $t1):\n    return shlex.quote($t1)" if quoting else f"def $r0(self, *$t1):\n    {run}"
    )
    count = rng.randint(2, 3)
    odd = rng.randrange(count)
    bad, good = [], []
    flaw = fix = ""
    key, method = names["u0"], names[f"m{odd}"]
    for i in range(count):
        const = rng.choice(consts)
        one, two = tools[2 * i], tools[2 * i + 1]
        joiner = rng.choice(("plus", "f", "percent"))
        swap = rng.random() < 0.5
        end = rng.choice(("return $a0, $a1", "print($a1)\nreturn $a0", "return [$a0, $a1]"))

        for out, wrong in ((bad, i == odd), (good, False)):
            lines = runner_lines(quoting, wrong, tools=(one, two), const=const, joiner=joiner)
            mark = lines[0]
            lines = [*(lines[::-1] if swap else lines), *end.split("\n")]
            out.append("\n".join([f"def $m{i}(self, $u0):", *indent(lines)]))
            if i == odd:
                flaw, fix = (
                    (Template(mark).substitute(names), fix) if wrong else (flaw, Template(mark).substitute(names))
                )
    init = f'def __init__(self):\n    self.$k0 = "$k1"\n    self.$k2 = {rng.randint(1, 60)}'
    order = list(range(len(helpers) + count))
    rng.shuffle(order)
    remark = f"# {rng.choice(REMARKS)}\n" if rng.random() < 0.3 else ""
    helpers = [settle_choice(rng, helper) for helper in helpers]

    def program(methods: list[str]) -> str:
        blocks = [init, *[[*helpers, *methods][i] for i in order]]
        inner = "\n\n".join("\n".join(indent(block.split("\n"))) for block in blocks)
        text = f"{remark}class $c0:\n{inner}\n"
        tops = [f"import {mod}" for mod in ("os", "shlex", "subprocess") if f"{mod}." in text]
        tops += ["", 'FIXED = "main"'] if "FIXED" in text else []
        return Template("\n".join([*tops, "", "", text])).substitute(names)

    why = f"{key} becomes part of a text that a shell reads in {method}, only the class's own value is kept out of it"
    ok = f"in {method} the shell reads the class's own value, {key} reaches it at most as one quoted word"
    return Sample(vulnerable=program(bad), patched=program(good), flaw=flaw, fix=fix, reason=why, reason_patched=ok)


def settle_choice(rng: random.Random, text: str) -> str:
    """The text with its «a|b» choices made."""
    return re.sub("«([^»]*)»", lambda m: rng.choice(m[1].split("|")), text)


def wide_py_runner_methods(rng: random.Random) -> Sample:
    """Wrong: one method puts the caller's value into the shell text; right: a list item or a quoted word."""
    return fitting(rng, runner_sample)


def join_args_sample(rng: random.Random) -> Sample:
    """A command line put together from a fixed list and a list from outside."""
    names = cast(
        rng,
        u="files names hosts terms labels patterns targets packages users_in topics",
        f="flags options base fixed defaults switches prefix",
        r="request body job order_in spec payload",
        g="compress check_all lint_all sign_all count_words upload_all merge_all scan_hosts look_for",
        p="line cmd command text full_line call_text",
        i="item one name it each x",
        o="done out result code got",
        q="parts pieces words bits chunks",
        w="limits extra rest trailing tail_args",
    )
    tool = rng.choice(
        (
            "wc -l",
            "sha256sum",
            "grep -rl todo",
            "cat",
            "du -sc",
            "stat",
            "md5sum",
            "file -b",
            "head -n 2",
            "ls -ld",
            "nl",
        )
    )
    head = tool.split()[0]
    opts = ", ".join(
        f'"{bit}"' for bit in rng.sample(("-v", "-n", "--all", "-r", "-s", "-x", "--no-color"), rng.randint(1, 3))
    )
    run = rng.choice(
        (
            "$o0 = subprocess.run({}, shell=True, capture_output=True)\nreturn $o0.stdout",
            "return os.popen({}).read()",
            "$o0 = os.system({})\nreturn $o0 == 0",
            'return subprocess.check_output(["bash", "-c", {}])',
            "return subprocess.getoutput({})",
        )
    )
    take = rng.choice(
        ('$u0 = $r0["$u0"]', '$u0 = list($r0["$u0"])', '$u0 = $r0.get("$u0", [])', '$u0 = $r0["$u0"].split(",")')
    )
    fixed = f"$f0 = [{opts}]"
    why = "an item of $u0 is pasted into the shell's text as it is, quoting only covers other words"
    ok = "every item of $u0 is quoted before the shell reads it, the rest is fixed"
    raw, safe = rng.choice(
        (
            ('" ".join({})', "shlex.join({})"),
            ('" ".join({})', '" ".join(quote(p) for p in {})'),
            ('" ".join(str(p) for p in {})', '" ".join(map(quote, {}))'),
            ('" ".join(f"{{p}}" for p in {})', '" ".join([quote(p) for p in {}])'),
        )
    )
    kind = rng.choice(("swap", "swap", "loop", "copy", "pipe", "concat", "early"))
    names["tool"] = tool
    if kind == "swap":
        build = rng.choice(
            (
                '$p0 = "$tool " + {a} + " " + {b}',
                '$p0 = " ".join(["$tool", {a}, {b}])',
                '$p0 = "$tool %s %s" % ({a}, {b})',
            )
        )
        a, b = rng.choice((("$u0", "$f0"), ("$f0", "$u0")))
        form = {True: raw, False: safe}
        body = [take, fixed, "~", "@A", run.format("$p0")]
        slots = [
            {"A": "!" + build.format(a=form[(a == "$u0") == wrong].format(a), b=form[(b == "$u0") == wrong].format(b))}
            for wrong in (True, False)
        ]
    elif kind == "loop":
        first = rng.random() < 0.5
        loops = {
            wrong: {
                "$u0": f"for $i0 in $u0:\n    !$q0.append({'$i0' if wrong else 'quote($i0)'})",
                "$f0": f"for $i1 in $f0:\n    $q0.append({'quote($i1)' if wrong else '$i1'})",
            }
            for wrong in (True, False)
        }
        keys = ["$u0", "$f0"] if first else ["$f0", "$u0"]
        body = [take, fixed, '$q0 = ["$tool"]', "@A", "~", "@B", run.format('" ".join($q0)')]
        slots = [{"A": loops[wrong][keys[0]], "B": loops[wrong][keys[1]]} for wrong in (True, False)]
    elif kind == "copy":
        body = [take, fixed, "$q0 = [quote($i0) for $i0 in $u0]", "~", "@A", "@B", run.format("$p0")]
        slots = [
            {"A": f'!$p0 = "$tool " + " ".join($f0 + {a})', "B": f'print("$tool", {b})'}
            for a, b in (("$u0", "$q0"), ("$q0", "$u0"))
        ]
    elif kind == "pipe":
        tail = rng.choice(("sort", "uniq -c", "tee last.txt", "tail -n 3", "head -n 9"))
        pipe = '$p0 = " | ".join([f"$tool {{{a}}}", f"grep -c {{{b}}}", "' + tail + '"])'
        body = [
            '$i0 = $r0["$u1"]', '$i1 = f"{len($r0)}.$w0"', "~", "@A", run.format("$p0"),
        ]  # fmt: skip
        order = rng.random() < 0.5
        pair = [("$i0", "quote($i1)"), ("quote($i0)", "$i1")]
        slots = [{"A": "!" + (pipe.format(a=a, b=b) if order else pipe.format(a=b, b=a))} for a, b in pair]
        why, ok = (
            "$i0 stands unquoted in a stage of the pipe, only the program's own $i1 is quoted",
            "$i0 is quoted in its stage, $i1 is made here",
        )
    elif kind == "concat":
        body = [take, fixed, "~", "@A", "@B", run.format("$p0")]
        slots = [
            {"A": f'!$p0 = shlex.join(["{head}", *{a}])', "B": f'$p0 += " " + " ".join({b})'}
            for a, b in (("$f0", "$u0"), ("$u0", "$f0"))
        ]
        slots[0] = {"A": slots[0]["A"].replace("!", ""), "B": "!" + slots[0]["B"]}
    else:
        body = [take, fixed, "~", "@A", run.format("$p0")]
        strip = rng.choice(("unquote(p)", "p.encode().decode('unicode_escape')", "html.unescape(p)"))
        slots = [
            {
                "A": f'$q0 = [quote(p) for p in $u0]\n!$q0 = [{strip} for p in $q0]\n$p0 = "$tool " + " ".join($f0 + $q0)'
            },
            {
                "A": f'!$q0 = [{strip} for p in $u0]\n$q0 = [quote(p) for p in $q0]\n$p0 = "$tool " + " ".join($f0 + $q0)'
            },
        ]
        why, ok = (
            "the items are decoded after they were quoted, so quotes may appear again",
            "the items are decoded first and quoted after",
        )
    if kind != "pipe":
        body.insert(
            2,
            f'$w0 = len($u0)\nif $w0 > {rng.randint(10, 500)}:\n    raise ValueError("$w0")'
            if rng.random() < 0.5
            else "~",
        )
    main = "def $g0($r0):\n" + "\n".join(indent("\n".join(body).split("\n")))
    second = rng.choice(
        (
            'def $g1(path):\n    return subprocess.run(["$i2", "--", path], check=False).returncode',
            'def $g1():\n    os.system("«sync|date|df»")\n    return True',
            "def $g1(line):\n    return [quote(word) for word in line.split()]",
            "def $g1($q1):\n    return len($q1) + «1|2|3»",
        )
    )
    blocks = [main, second]
    text = stack(rng, blocks)
    imports = "import html\n" if "html." in slots[0]["A"] else ""
    tops = (
        imports
        + "import os\nimport shlex\nimport subprocess\nfrom shlex import quote\n"
        + ("from urllib.parse import unquote\n" if "unquote(" in slots[0]["A"] else "")
    )
    return write(rng, "python", tops + "\n\n" + text, names, [(turn(why, **slots[0]), turn(ok, **slots[1]))])


def wide_py_join_args(rng: random.Random) -> Sample:
    """Wrong: the items from outside are joined as they are, fixed words are quoted; right: the reverse."""
    return fitting(rng, join_args_sample)


def nested_quotes_sample(rng: random.Random) -> Sample:
    """Quoted words inside a text that is itself quoted, or read by a second shell."""
    names = cast(
        rng,
        v="pattern folder query branch table_name who wish keyword service_name channel",
        w="server node box machine peer site_host",
        f="remote_find tail_log run_there ask show_on list_on peek_at check_on",
        g="local_count measure_here note_it",
        p="inner script remote text step_text",
        q="outer full line whole call_line",
        r="req form query_in event args_in job",
        o="got out answer reply text_out",
    )
    tool = rng.choice(
        (
            "cat /var/log/{}.log",
            "ls -l /srv/{}",
            "grep -n -e {} notes.txt",
            "git log -- {}",
            "systemctl status {}",
            "pgrep -f {}",
            "find / -name {}",
        )
    )
    host = rng.choice(('"web1"', '"db.internal"', "HOST", "HOST"))
    call = rng.choice(
        ("subprocess.run({}, shell=True)", "os.system({})", "os.popen({}).read()", "subprocess.getoutput({})")
    )
    kind = rng.choice(("marks", "marks", "list_ssh", "twice", "twice", "eval", "split"))
    take = '%$v0 = $r0["$v0"]\n%$v1 = "$w1"'
    why, ok = "", ""
    if kind == "marks":
        mark = rng.choice(("'", "'", '\\"'))
        front, back = tool.format(mark + "{}" + mark), rng.choice(("echo {}", "logger {}", "touch /tmp/{}"))
        lines = [
            ("$o0 = " + call.format('"' + front.format('" + quote($v0) + "') + '"'), "$o1 = " + call.format('"' + back.format('" + quote($v1) + "') + '"')),
            ("$o0 = " + call.format('"' + tool.format('" + quote($v0) + "') + '"'),
             "$o1 = " + call.format('"' + back.format(mark + '" + quote($v1) + "' + mark) + '"')),
        ]  # fmt: skip
        lines = [
            tuple(line.replace(' + "")', ")").replace(' + "".', ".").replace(' + "",', ",") for line in pair)
            for pair in lines
        ]
        swap = rng.random() < 0.5
        body = [take, "~", "@A", "@B", "return $o0, $o1"]
        slots = []
        for a, b in lines:
            slots.append({"A": b, "B": "!" + a} if swap else {"A": "!" + a, "B": b})
        why = "$v0 is quoted inside marks of the text, which its own marks close, so parts of it stand bare"
        ok = "$v0 is one quoted word that stands free in the text, the other value is fixed"
    elif kind == "list_ssh":
        body = [take, "~", "@A", "@B", "return $o0, $o1"]
        inner = f'"{tool}"'
        one = lambda value: f"{inner}.format({value})"  # noqa: E731
        lead = rng.choice(
            (
                f'["ssh", {host}, {{}}]',
                '["su", "-c", {}, "$w2"]',
                '["bash", "-c", {}]',
                '["docker", "exec", "$w2", "sh", "-c", {}]',
            )
        )
        run = rng.choice(("subprocess.run({})", "subprocess.check_output({}, timeout=60)", "subprocess.call({})"))
        why = "the list keeps $v0 from the first shell only, the shell at the other end reads it bare"
        ok = "$v0 is quoted for the shell at the other end, $v1 is fixed"
        slots = [
            {"A": "!$o0 = " + run.format(lead.format(one(a))), "B": "$o1 = " + run.format(lead.format(one(b)))}
            for a, b in (("$v0", "quote($v1)"), ("quote($v0)", "$v1"))
        ]
    elif kind == "twice":
        outer = rng.choice(
            ('"ssh " + {h} + " " + {i}', 'f"ssh {{{h}}} {{{i}}}"', '"su $w2 -c " + {i}', '"timeout 20 sh -c %s" % {i}')
        )
        host = "HOST"
        body = [take, "~", "@A", "@B", "~", "return " + call.format("$q0") + ", $v1"]
        inner = '"' + tool.format('" + {} + "') + '"'
        inner = inner.replace(' + ""', "")
        why = "$v0 is quoted once and read by two shells, the second sees it bare"
        ok = "the inner text quotes $v0 and is quoted as a whole for the first shell"
        mode = rng.choice(("level", "order")) if "ssh" in outer else "level"
        if mode == "level":
            slots = [
                {"A": "!$p0 = " + inner.format(a), "B": "$q0 = " + outer.format(h=host, i=b) + f"\nprint({c})"}
                for a, b, c in (("$v0", "quote($p0)", "quote($v0)"), ("quote($v0)", "quote($p0)", "$v0"))
            ]
        else:
            slots = [
                {
                    "A": "$p0 = " + inner.format("quote($v0)"),
                    "B": "!$q0 = " + outer.format(h=host, i=b) + f"\nprint({c})",
                }
                for b, c in (("$p0", "quote($p0)"), ("quote($p0)", "$p0"))
            ]
            why = "the first shell takes the quotes of $p0 away, so the second one reads $v0 bare"
    elif kind == "eval":
        body = [take, "~", "@A", "~", "return " + call.format("$q0") + ", $o0"]
        lead = rng.choice(('"eval echo "', '"bash -c "', '"watch -n5 -g "', '"sh -c "'))
        slots = [
            {"A": f"$o0 = {a}\n!$q0 = {lead} + {b}"}
            for a, b in (
                ('quote(quote("cat " + $v0))', 'quote("cat " + $v0)'),
                ('quote("cat " + $v0)', 'quote("cat " + quote($v0))'),
            )
        ]
        why = "the quotes around the whole are gone when the inner shell reads $v0"
        ok = "$v0 is quoted for the inner shell and the whole for the outer one"
    else:
        body = [take, "$p0 = quote($v0)", "~", "@A", "@B", "return " + call.format("$q0") + ", $v1"]
        spoil = rng.choice(('.strip("\'")', '.replace("\'", "")', "[1:-1]", ".replace(\"'\", '\"')"))
        front = tool.format('" + {} + "')
        slots = [
            {"A": f"$o0 = {a}{spoil}", "B": f'!$q0 = "{front.format(b)}"'.replace(' + ""', "")}
            for a, b in (("$p0", "$o0"), ("$v1", "$p0"))
        ]
        why, ok = (
            "the quotes that were put around $v0 are taken off again",
            "the quoted $v0 goes into the text as it is",
        )
    main = "def $f0($r0):\n" + "\n".join(indent("\n".join(body).split("\n")))
    second = rng.choice(
        (
            'def $g0(path):\n    return int(subprocess.check_output(["wc", "-l", path]).split()[0])',
            'def $g0():\n    os.system("«sync|date|df»")\n    return HOST',
            'def $g0(names):\n    return " ".join(quote(name) for name in names)',
            "def $g0(rows):\n    return [row for row in rows if row]",
        )
    )
    tops = f'import os\nimport subprocess\nfrom shlex import quote\n\nHOST = "{rng.choice(("edge", "backup", "mail", "build"))}{rng.randint(1, 40)}"\n'
    text = stack(rng, [main, second])
    return write(rng, "python", tops + "\n\n" + text, names, [(turn(why, **slots[0]), turn(ok, **slots[1]))])


def wide_py_nested_quotes(rng: random.Random) -> Sample:
    """Wrong: quotes that do not reach the shell that reads the value; right: one level of quotes for each reader."""
    return fitting(rng, nested_quotes_sample)


def job_cover_sample(rng: random.Random) -> Sample:
    """A dispatcher of actions, some of which put their word into a shell text."""
    names = cast(
        rng,
        a="action verb do_what kind step_name",
        w="word arg subject operand param given",
        f="dispatch obey react run_action perform_it on_command",
        r="message tweet call_in line_in order_in update",
        s="bot daemon agent_x helper_svc",
        v="wake rest_now check clean_up notify measure report_it mirror label_it ring count_it greet about list_it",
        g="plain_word fits proper looks_fine clean_word",
    )
    tools = rng.sample(
        ("ping -c1", "host", "lpr -P", "systemctl restart", "du -s", "wakeonlan", "logger", "touch /tmp", "file", "id"),
        3,
    )
    shells = (
        'os.system(f"{t} {{{w}}}")',
        'subprocess.run("{t} " + {w}, shell=True)',
        'os.popen("{t} %s" % {w}).read()',
        'subprocess.getoutput("{t} " + {w})',
    )
    risky = [rng.choice(shells).format(t=tool, w="$w0") for tool in tools[: rng.randint(2, 3)]]
    calm = rng.sample(
        (
            'print("hello", $w0)',
            "len($w0)",
            '["uptime", $w0]',
            '"pong " + $w0',
            'subprocess.run(["id", "--", $w0])',
            'os.system("date")',
            "$w0.title()",
            "hash($w0)",
        ),
        rng.randint(1, 2),
    )
    acts = [f"$v{i}" for i in range(len(risky) + len(calm))]
    kinds = [*risky, *calm]
    pairs = list(zip(acts, kinds, strict=True))
    shown = rng.sample(pairs, len(pairs))
    danger, quiet = acts[: len(risky)], acts[len(risky) :]
    missed, instead = rng.choice(danger), rng.choice(quiet)
    test = rng.choice(
        ("$w0.isalnum()", 're.fullmatch(r"\\w+", $w0)', "$w0 in WORDS", "$g0($w0)", "$g0($w0)", "$w0.isidentifier()")
    )
    leave = rng.choice(('return "refused"', 'raise ValueError("$a0")', "return None"))
    how = rng.choice(("set", "set", "tuple", "const", "except", "inside", "inside", "methods"))
    top = ""
    guard: list[str] = []
    wrong: dict[str, str] = {}
    right: dict[str, str] = {}
    covered = rng.sample(danger, len(danger))
    swapped = [instead if act == missed else act for act in covered]
    lists = {True: ", ".join(f'"{act}"' for act in swapped), False: ", ".join(f'"{act}"' for act in covered)}
    if how in ("set", "tuple", "const"):
        marks = {"set": "{%s}", "tuple": "(%s)", "const": "{%s}"}[how]
        for slots, side in ((wrong, True), (right, False)):
            if how == "const":
                slots["A"] = "!STRICT = " + marks % lists[side]
            else:
                slots["A"] = f"!if $a0 in {marks % lists[side]} and not {test}:"
        guard = ["if $a0 in STRICT and not " + test + ":", "    " + leave] if how == "const" else ["@A", "    " + leave]
        top = "@A\n" if how == "const" else ""
    elif how == "except":
        rest = [act for act in quiet if act != instead]
        for slots, act in ((wrong, missed), (right, instead)):
            conds = [f'$a0 != "{name}"' for name in [act, *rest]]
            slots["A"] = f"!if {' and '.join(conds)} and not {test}:"
        guard = ["@A", "    " + leave]
    name_of = {act: f"do_{Template(act).substitute(names)}" for act in acts}
    body: list[str] = []
    funcs: list[str] = []
    style = "table" if how == "methods" else rng.choice(("if", "match", "if"))
    for act, text in shown:
        inner = [f"return {text}"]
        if how in ("inside", "methods"):
            strict = [f"if not {test}:", "    " + leave]
            loose = ["if not $w0:", "    " + leave]
            if act == missed:
                wrong["A"], right["A"] = "!" + "\n".join(loose), "!" + "\n".join(strict)
                inner = ["@A", *inner]
            elif act == instead:
                wrong["B"], right["B"] = "\n".join(strict), "\n".join(loose)
                inner = ["@B", *inner]
            elif act in danger:
                inner = [*strict, *inner]
        if style == "table":
            funcs.append("\n".join([f"def {name_of[act]}($w0):", *indent(inner)]))
        elif style == "match":
            body += [f'    case "{act}":', *indent(inner, 2)]
        else:
            body += [f'if $a0 == "{act}":', *indent(inner)]
    if style == "match":
        body = ["match $a0:", *body]
    if style == "table":
        table = "ACTS = {" + ", ".join(f'"{act}": {name_of[act]}' for act, _ in pairs) + "}"
        body = ["return ACTS[$a0]($w0)"]
        funcs.append(table)
    elif rng.random() < 0.5 and style == "if":
        body.append("return None")
    take = rng.choice(
        (
            '%$a0 = $r0["$a0"]\n%$w0 = $r0["$w0"]',
            '$a0, _, $w0 = $r0.partition(" ")',
            '%$a0 = $r0.get("$a0", "")\n%$w0 = $r0.get("$w0", "")',
        )
    )
    main = "def $f0($r0):\n" + "\n".join(indent([*take.split("\n"), "~", *guard, *body]))
    helper = ""
    if "$g0" in test:
        helper = "def $g0(text):\n    " + rng.choice(
            (
                "return text.isalnum()",
                'return re.fullmatch("[a-z0-9]+", text) is not None',
                'return all(c.isalnum() or c == "_" for c in text)',
                "return text in WORDS",
            )
        )
    text = "\n\n\n".join([*funcs, *([helper] if helper else []), main]) if funcs else stack(rng, [main, helper])
    words = (
        'WORDS = {"' + '", "'.join(rng.sample(("red", "blue", "north", "door", "roof", "lamp", "gate"), 3)) + '"}\n'
        if "WORDS" in text + test
        else ""
    )
    tops = "".join(f"import {mod}\n" for mod in ("os", "re", "subprocess") if f"{mod}." in text + test)
    tops += "\n" * bool(words + top) + words + top
    why = f"a free {names['w0']} reaches the shell when the action is {Template(missed).substitute(names)}"
    ok = f"every action that gives {names['w0']} to a shell tests it first"
    return write(rng, "python", tops + "\n\n" + text, names, [(turn(why, **wrong), turn(ok, **right))])


def wide_py_job_cover(rng: random.Random) -> Sample:
    """Wrong: the test leaves out one action that uses the shell; right: it covers all that do."""
    return fitting(rng, job_cover_sample)


def side_channel_sample(rng: random.Random) -> Sample:
    """A value goes to a shell script in its text, or beside it as a variable, an argument or its input."""
    names = cast(
        rng,
        v="subject caption customer comment remark street headline nickname wording song",
        c="mode stage zone realm profile level_name",
        f="announce_it stamp label_page file_note print_card tell_all add_line convert_one",
        r="form data job entry ticket req",
        e="WORDING VALUE_1 SUBJECT ITEM_TEXT GIVEN",
        p="script text program recipe steps",
        o="done proc out result code",
        w="night day test live blue",
    )
    tool = rng.choice(("logger -t app", "printf %s", "figlet", "wall", "banner", "espeak", "lp -t"))
    tail = rng.choice(("", " | tee -a /tmp/all.txt", " > /tmp/last.txt", " 2>&1 | tail -n1"))
    fixed = rng.choice(('"$w0"', '"$w1-$w2"', "MODE", '"%03d" % len($r0)'))
    take = f'%$v0 = $r0["$v0"]\n%$c0 = {fixed}'
    kind = rng.choice(("env", "env", "arg", "arg", "stdin", "file", "osenv"))
    call = rng.choice(("subprocess.run", "subprocess.check_call", "subprocess.call"))
    join = rng.choice(("f", "plus", "percent"))

    def text(front: str, value: str, back: str) -> str:
        if join == "f":
            return f"f'{front}{{{value}}}{back}'"
        if join == "plus":
            return f"'{front}' + {value} + '{back}'" if back else f"'{front}' + {value}"
        return f"'{front.replace('%', '%%')}%s{back}' % {value}"

    pairs = (("$v0", "$c0"), ("$c0", "$v0"))
    if kind in ("env", "osenv"):
        front = f'{tool} "$$$e0" '
        pre = "dict(os.environ, $e0={})" if kind == "env" else ""
        if kind == "env":
            body = [take, "~", "@A", "@B", "return $o0"]
            slots = [
                {"A": "!$p0 = " + text(front, a, tail), "B": f"$o0 = {call}($p0, shell=True, env={pre.format(b)})"}
                for a, b in pairs
            ]
        else:
            body = [take, "~", "@A", "@B", "$o0 = os.system($p0)", "return $o0"]
            slots = [{"A": f'os.environ["$e0"] = {b}', "B": "!$p0 = " + text(front, a, tail)} for a, b in pairs]
        beside = "a variable of the environment, which is not read as code"
    elif kind == "arg":
        front = f'{tool} "$$1" '
        shell = rng.choice(("sh", "bash", "/bin/sh"))
        if rng.random() < 0.5:
            body = [take, "~", "@A", "@B", "return $o0"]
            slots = [
                {"A": "!$p0 = " + text(front, a, tail), "B": f'$o0 = {call}(["{shell}", "-c", $p0, "$w3", {b}])'}
                for a, b in pairs
            ]
        else:
            body = [take, "~", "$p0 = ['" + shell + "', '-c']", "@A", "@B", f"$o0 = {call}($p0)", "return $o0"]
            slots = [
                {"A": "!$p0.append(" + text(front, a, tail) + ")", "B": f'$p0 += ["{shell}", {b}]'} for a, b in pairs
            ]
        beside = "an argument of the script, which is not read as code"
    elif kind == "stdin":
        body = [take, "~", "@A", "@B", "return $o0"]
        reader = rng.choice(("cat >> /tmp/$w3", "sort | uniq -c", "wc -w", "nl -ba", "base64"))
        slots = [
            {
                "A": "!$p0 = " + text(reader + " ; " + tool + " ", a, tail),
                "B": f"$o0 = {call}($p0, shell=True, input={b}.encode())".replace(call, "subprocess.run"),
            }
            for a, b in pairs
        ]
        beside = "the input of the command, which is not read as code"
    else:
        body = [take, "~", "@A", "@B", "$o0 = os.system($p0)", "return $o0"]
        slots = [
            {
                "A": f'with open("/tmp/$w3", "w") as fh:\n    fh.write({b})',
                "B": "!$p0 = " + text(rng.choice((f"{tool} ", f"{tool} -- ")), a, " < /tmp/$w3" + tail),
            }
            for a, b in pairs
        ]
        slots[1]["B"] = slots[0]["B"].replace("$v0", "$c0")
        beside = "a file that the command only reads"
    main = "def $f0($r0):\n" + "\n".join(indent("\n".join(body).split("\n")))
    second = rng.choice(
        (
            'def $f1($o1):\n    subprocess.run(["sync"], check=True)\n    return $o1',
            'def $f1():\n    return os.environ.get("HOME", "/")',
            "def $f1(path):\n    with open(path) as fh:\n        return fh.read().split()",
            'def $f1():\n    os.system("date >> /tmp/when")',
            "class Note:\n    def __init__(self, $v1):\n        self.$v1 = $v1",
        )
    )
    tops = 'import os\nimport subprocess\n\nMODE = "$w4"\n'
    return write(
        rng, "python", tops + "\n\n" + stack(rng, [main, second]), names,
        [(turn("$v0 is a part of the script that the shell reads", **slots[0]), turn(f"$v0 is {beside}, the script holds only $c0", **slots[1]))],
    )  # fmt: skip


def wide_py_side_channel(rng: random.Random) -> Sample:
    """Wrong: the value is in the script's text; right: beside it, as a variable, an argument, a file or its input."""
    return fitting(rng, side_channel_sample)


TIGHT = (
    "quote({v})", "int({v})", "KINDS[{v}]", 're.sub("[^a-z0-9]", "", {v})', "quote({v}.strip())", "len({v})", "UUID({v})",
    "date.fromisoformat({v})", "{v}.encode().hex()", "'x' if {v} else 'y'", "float({v})", "word({v})", "quote({v}[:40])", "KINDS.get({v}, 'a')",
)  # fmt: skip
OPEN = (
    "str({v})", "{v}.strip()", "{v}.lower()", "{v}[:{n}]", "{v} or 'none'", "{v}.replace(' ', '_')", "repr({v})[1:-1]",
    "{v}.encode().decode()", "unquote({v})", "{v}.replace('/', '-')", "{v}.rstrip('.')", "'-'.join({v}.split())", "{v}.removesuffix('.log')",
)  # fmt: skip


def script_lines_sample(rng: random.Random) -> Sample:
    """A script of some lines is written from rows and then run."""
    words = (
        "anchor apron attic barrel basket beacon bell bench boot bottle bucket candle carpet chain clock coat crate curtain "
        "fence flag fork hammer hook jar kettle knife ladder lantern mirror needle pan pillow pot rope saddle scarf shovel "
        "spoon stool table tent towel tray vase wheel whistle"
    ).split()
    keys = rng.sample(words, 5)
    req = rng.choice(("row", "order", "job", "it", "line_in", "rec"))
    count = rng.randint(2, 3)
    parts, others = keys[:count], keys[count : count + rng.randint(1, 2)]
    access = rng.choice(('{r}["{k}"]', '{r}["{k}"]', '{r}.get("{k}", "")', "{r}.{k}"))
    target, other = rng.choice(parts), rng.choice(others)
    tight = {key: rng.choice(TIGHT) for key in parts}
    loose = {key: rng.choice(OPEN) for key in others}
    narrow, vague = tight[target], loose[other]
    affix = rng.choice(("", "", "_{}", "{}_1", "my_{}"))

    def var(key: str) -> str:
        return affix.format(key) if affix else key

    tools = rng.sample(
        (
            "mv -n {} /srv/done/",
            "chown {} /srv/box",
            "cp -r base {}",
            "useradd {}",
            "touch {}",
            "echo {} >> list",
            "mkdir -p {}",
            "ln -s base {}",
            "lpr -P {} page.txt",
        ),
        count,
    )
    out = rng.choice(("lines", "steps", "script", "todo", "parts"))
    size = rng.choice((20, 32, 40, 64))
    form = rng.choice(("f", "plus", "percent"))
    adds = []
    for key, tool in zip(parts, tools, strict=True):
        front, _, back = tool.partition("{}")
        expr = var(key)
        if form == "f":
            text = f'f"{front}{{{expr}}}{back}"'
        elif form == "plus":
            text = f'"{front}" + str({expr})' + (f' + "{back}"' if back else "")
        else:
            text = f'"{front}%s{back}" % {expr}'
        adds.append(rng.choice((f"{out}.append({text})", f"{out} += [{text}]")))
    run = rng.choice(
        (
            f'subprocess.run(["bash", "-s"], input="\\n".join({out}).encode())',
            f'os.system("; ".join({out}))',
            f'subprocess.run(" && ".join({out}), shell=True)',
            f'with open("/tmp/steps.sh", "w") as fh:\n    fh.write("\\n".join({out}))\nsubprocess.run(["sh", "/tmp/steps.sh"])',
            f"for one in {out}:\n    os.system(one)",
            f'subprocess.check_output(["sh", "-ec", "\\n".join({out})])',
        )
    )
    order = [*parts, *others]
    rng.shuffle(order)
    loop = rng.random() < 0.4
    verb, noun = rng.choice(("write", "plan", "make", "build", "run", "replay", "set_up")), rng.choice(words)
    remark = [f"# {rng.choice(REMARKS)}"] if rng.random() < 0.3 else []
    notes = ", ".join(var(key) for key in others)
    kinds = ", ".join(f'"{word}": "{word[0]}"' for word in rng.sample(words, 3))
    helper_first = rng.random() < 0.5

    def program(good: bool) -> tuple[str, str]:
        mark = ""
        lines = []
        for key in order:
            text = tight.get(key) or loose[key]
            if key == target:
                text = narrow if good else vague
            elif key == other:
                text = vague if good else narrow
            made = f"{var(key)} = " + text.format(v=access.format(r=req, k=key), n=size)
            lines.append(made)
            mark = made if key == target else mark
        lines = [*lines, *adds, f"print({notes})"]
        head = [f"{out} = []", *remark]
        if loop:
            body = [*head, f"for {req} in {req}_list:", *indent(lines), *run.split("\n"), f"return {out}"]
        else:
            body = [*head, *lines, *run.split("\n"), f"return {out}"]
        main = "\n".join([f"def {verb}_{noun}({req}{'_list' if loop else ''}):", *indent(body)])
        helper = 'def word(text):\n    return "".join(c for c in text if c.isalpha())' if "word(" in main else ""
        blocks = [block for block in ((helper, main) if helper_first else (main, helper)) if block]
        tops = [f"import {mod}" for mod in ("os", "re", "subprocess") if f"{mod}." in main]
        for module, name in (("datetime", "date"), ("shlex", "quote"), ("urllib.parse", "unquote"), ("uuid", "UUID")):
            tops += [f"from {module} import {name}"] if re.search(rf"\b{name}\b[(.]", main) else []
        tops += ["", f"KINDS = {{{kinds}}}"] if "KINDS" in main else []
        return "\n".join([*tops, "", "", "\n\n\n".join(blocks)]) + "\n", mark

    vulnerable, flaw = program(False)
    patched, fix = program(True)
    name = var(target)
    return Sample(
        vulnerable=vulnerable, patched=patched, flaw=flaw, fix=fix,
        reason=f"{name} keeps its free form in a line of {out} that a shell runs, only {var(other)} is narrowed",
        reason_patched=f"every word in the lines of {out} is quoted or narrow, also {name}",
    )  # fmt: skip


def wide_py_script_lines(rng: random.Random) -> Sample:
    """Wrong: one word of the written script keeps its free form; right: all are quoted or of a narrow form."""
    return fitting(rng, script_lines_sample)


# --- C families ------------------------------------------------------------------------------------------------------


def quote_writer_sample(rng: random.Random) -> Sample:
    """Two functions that write a text between marks, one for the shell and one for a log."""
    names = cast(
        rng,
        s="sh_word put_word as_word quoted wrap_word one_word",
        l="csv_cell json_text log_cell as_field put_cell wrap_text",
        f="open_with mail_to play_it fetch_title tag_track index_page",
        v="title subject song caption query who",
        o="out dst to d w",
        i="in src from s r",
        c="cmd line call command",
        r="rows log_line row cells",
        n="n used at pos k",
    )
    kind = rng.choice(("single", "double", "double", "double", "slash", "swap"))
    put = rng.choice(("*$o0++ = {};", "$o0[$n0++] = {};"))
    index = "$n0" in put
    mode = rng.choice(("while", "for"))

    def writer(name: str, mark: str, body: list[str]) -> str:
        loop = "for (; *$i0; $i0++) {" if mode == "for" else "while (*$i0) {"
        step = [] if mode == "for" else ["    $i0++;"]
        lines = ["size_t $n0 = 0;"] if index else []
        quote = [put.format(mark)] if mark else []
        lines += [*quote, loop, *indent(body), *step, "}", *quote, "$o0[$n0] = 0;" if index else "*$o0 = 0;"]
        return f"static void {name}(char *$o0, const char *$i0) {{\n" + "\n".join(indent(lines)) + "\n}"

    copy = put.format("*$i0")
    slash = put.format("'\\\\'")

    def escaping(cond: str) -> list[str]:
        return [cond, f"    {slash}", copy]

    why, ok = "", ""
    if kind == "double":
        full = ['\\"', "$$", "`", "\\\\"]
        lost = rng.choice(full)
        sub = rng.choice(("!", "%", "&", ";", ",", "#", "~", "?"))
        rng.shuffle(full)
        short = [sub if mark == lost else mark for mark in full]
        other = rng.sample(full, len(full))
        other_bad = [sub if mark == lost else mark for mark in other]
        test = lambda marks: '!if (strchr("' + "".join(marks) + '", *$i0))'  # noqa: E731
        mark = "'\"'"
        why = f"{names['s0']} leaves a mark as it is that is still special between double quotes"
        ok = f"{names['s0']} puts a backslash before each mark that is special between double quotes"
        slots = [{"A": test(short), "B": test(other)[1:]}, {"A": test(full), "B": test(other_bad)[1:]}]
        sh, log = escaping("@A"), escaping("@B")
        sh_mark = log_mark = mark
    elif kind == "single":
        four = [put.format("'\\''"), put.format("'\\\\'"), put.format("'\\''")]
        lose = rng.choice(("'\"'", "'$$'", "'`'", "'\\\\'"))
        why = f"{names['s0']} does not close the single quotes before a quote of the text, so the text may end them"
        ok = f"{names['s0']} closes the quotes, adds the text's quote behind a backslash and opens them again"
        slots = [
            {"A": f"!if (*$i0 == {lose}) {{", "B": "if (*$i0 == '\\'') {"},
            {"A": "!if (*$i0 == '\\'') {", "B": f"if (*$i0 == {lose}) {{"},
        ]
        sh = ["@A", *indent(four), "}", copy]
        log = ["@B", f"    {put.format(rng.choice(SPARE))}", "}", copy]
        sh_mark, log_mark = "'\\''", rng.choice(("'\\''", "'\"'", "'|'"))
    elif kind == "slash":
        keep = rng.choice(
            (
                "isalnum((unsigned char)*$i0)",
                "isalnum((unsigned char)*$i0) || *$i0 == '_'",
                "isalpha((unsigned char)*$i0)",
            )
        )
        weak = rng.choice(
            (
                "isspace((unsigned char)*$i0)",
                "*$i0 == ' ' || *$i0 == '*'",
                "*$i0 == '\\'' || *$i0 == '\"'",
                "ispunct((unsigned char)*$i0) && *$i0 != ';'",
            )
        )
        why = f"{names['s0']} writes some marks of the shell as they are"
        ok = f"{names['s0']} puts a backslash before everything but plain letters"
        slots = [
            {"A": f"!if ({weak})", "B": f"if (!({keep}))"},
            {"A": f"!if (!({keep}))", "B": f"if ({weak})"},
        ]
        sh, log = escaping("@A"), escaping("@B")
        sh_mark, log_mark = "", rng.choice(("", "'\"'"))
    else:
        sh = ["if (*$i0 == '\\'') {", *indent([put.format("'\\''"), slash, put.format("'\\''")]), "}", copy]
        log = rng.choice(
            (
                ["if (*$i0 == '\\'')", f"    {slash}", copy],
                ["if (*$i0 == '\"')", f"    {put.format(chr(39) + chr(34) + chr(39))}", copy],
            )
        )
        sh_mark, log_mark = "'\\''", rng.choice(("'\\''", "'\"'"))
        slots = []
    tools = rng.choice(("notify-send", "mpv --title", "espeak", "logger -t app --", "zenity --info --text", "figlet"))
    size = "char one[256], two[256], $c0[400];"
    guard = ["if (strlen($v0) > 48)", "    return -1;"]
    run = rng.choice(
        ("return system($c0);", 'FILE *fp = popen($c0, "r");\nif (!fp)\n    return -1;\nreturn pclose(fp);')
    )
    log_it = rng.choice(('fprintf(stderr, "%s\\n", two);', "puts(two);", 'printf("asked: %s\\n", two);'))
    fmt = rng.choice(
        (
            f'snprintf($c0, sizeof $c0, "{tools} %s", one);',
            f'strcpy($c0, "{tools} ");\nstrcat($c0, one);',
            f'sprintf($c0, "{tools} %s &", one);',
        )
    )
    if kind == "swap":
        calls = ["@A", "@B"]
        why = f"the text for the shell is written by {names['l0']}, whose marks do not hold in a shell"
        ok = f"{names['s0']} writes the text for the shell as one word in single quotes"
        slots = [{"A": "!$l0(one, $v0);", "B": "$s0(two, $v0);"}, {"A": "!$s0(one, $v0);", "B": "$l0(two, $v0);"}]
    else:
        calls = ["$s0(one, $v0);", "$l0(two, $v0);"]
    body = [size, *guard, "~", *calls, *fmt.split("\n"), log_it, *run.split("\n")]
    main = "int $f0(const char *$v0) {\n" + "\n".join(indent(body)) + "\n}"
    funcs = [writer("$s0", sh_mark, sh), writer("$l0", log_mark, log)]
    rng.shuffle(funcs)
    text = "\n\n".join([*funcs, main])
    heads = c_includes(text + "".join(slots[0].values())).replace("#include <ctype.h>\n", "")
    if re.search(r"is(alnum|alpha|space|punct)\(", text + "".join("".join(slot.values()) for slot in slots)):
        heads += "\n#include <ctype.h>"
    return write(rng, "c", heads + "\n\n" + text, names, [(turn(why, **slots[0]), turn(ok, **slots[1]))])


SPARE = ("'_'", "' '", "'-'", "'.'")


def wide_c_quote_writer(rng: random.Random) -> Sample:
    """Wrong: the program's own quoting leaves a mark that ends or works in the quotes; right: it escapes all of them."""
    return fitting(rng, quote_writer_sample)


def argv_slots_sample(rng: random.Random) -> Sample:
    """An argument vector for a shell: a script and the arguments beside it."""
    names = cast(
        rng,
        v="who title page given phrase label badge",
        c="place desk zone shift phase lane",
        f="announce ring_up stamp_it tell show_on report",
        s="script prog steps recipe text",
        a="argv args words vec av",
        n="argc_n count n used top",
        p="pid child kid proc",
        w="north south early late main night",
        m="msg_in call note_in job_in ev",
    )
    names["table"] = names["c0"] + "_of"
    tool = rng.choice(("logger -t app", "wall", "figlet", "lpr -T", "printf '%%s\\n'", "espeak", "notify-send"))
    shell = rng.choice(("/bin/sh", "/bin/bash", "/bin/dash"))
    zero = shell.rsplit("/", 1)[1]
    const = rng.choice(('"$w0"', "DESK", "width_word()", "$table[$m0->kind % 2]", "$table[$m0->kind % 2]"))
    struct = (
        "struct $m1 {\n"
        + "\n".join(rng.sample(["    int kind;", "    char $v0[64];", "    unsigned seq;"], 3))
        + "\n};"
    )
    use = "$m0->$v0"
    local = rng.random() < 0.5
    pre = ["const char *$v1 = $m0->$v0;", f"const char *$c1 = {const};"] if local else []
    if local:
        rng.shuffle(pre)
        use, const_used = "$v1", "$c1"
    else:
        const_used = const
    number = rng.random() < 0.2
    if number and not local:
        const_used = const = '"$w1"'
    shape = rng.choice(("table", "steps", "execl", "env", "pipe"))
    format_text = f'snprintf($s0, sizeof $s0, "{tool} \\"$$1\\" %s", {{}});'
    pairs = ((use, const_used), (const_used, use))
    why, ok = (
        "$v0 becomes a part of the script that the shell reads",
        "$v0 is an argument beside the script, which the shell does not read as code",
    )
    body = [*pre, "char $s0[200];", "~"]
    if shape == "table":
        body += ["@A", "@B", f'execv("{shell}", $a0);', "_exit(127);"]
        slots = [
            {
                "A": "!" + format_text.format(a),
                "B": f'char *$a0[] = {{ "{zero}", "-c", $s0, "{zero}", (char *){b}, NULL }};',
            }
            for a, b in pairs
        ]
    elif shape == "steps":
        body += [
            "char *$a0[8];", "int $n0 = 0;", f'$a0[$n0++] = "{zero}";', '$a0[$n0++] = "-c";', "@A", "$a0[$n0++] = $s0;", f'$a0[$n0++] = "{zero}";',
            "@B", "$a0[$n0] = NULL;", f'execv("{shell}", $a0);', "_exit(127);",
        ]  # fmt: skip
        slots = [{"A": "!" + format_text.format(a), "B": f"$a0[$n0++] = (char *){b};"} for a, b in pairs]
    elif shape == "execl":
        body += ["@A", "@B", "_exit(127);"]
        slots = [
            {
                "A": "!" + format_text.format(a),
                "B": f'execl("{shell}", "{zero}", "-c", $s0, "{zero}", {b}, (char *)NULL);',
            }
            for a, b in pairs
        ]
    elif shape == "env":
        word = rng.choice(("WORDING", "LABEL", "TEXT_1", "NOTE"))
        format_text = f'snprintf($s0, sizeof $s0, "{tool} \\"$${word}\\" %s", {{}});'
        body += ["@A", "@B", f'execl("{shell}", "{zero}", "-c", $s0, (char *)NULL);', "_exit(127);"]
        slots = [{"A": "!" + format_text.format(a), "B": f'setenv("{word}", {b}, 1);'} for a, b in pairs]
        ok = "$v0 is only the value of a variable, which the shell does not read as code"
    else:
        format_text = f'snprintf($s0, sizeof $s0, "{rng.choice(("sort >> /tmp/all", "nl", "wc -w", "cat >> /tmp/day"))} ; {tool} %s", {{}});'
        body += ["@A", 'FILE *to = popen($s0, "w");', "if (!to)", "    return -1;", "@B", "return pclose(to);"]
        slots = [{"A": "!" + format_text.format(a), "B": f"fputs({b}, to);"} for a, b in pairs]
        ok = "$v0 is only the input of the command, which the shell does not read as code"
    if shape == "pipe":
        main = "int $f0(const struct $m1 *$m0) {\n" + "\n".join(indent(body)) + "\n}"
        rest = []
    else:
        main = "static void $f0(const struct $m1 *$m0) {\n" + "\n".join(indent(body)) + "\n}"
        rest = [
            "int $f1(const struct $m1 *$m0) {\n    pid_t $p0 = fork();\n    int code = 0;\n    if ($p0 == 0)\n        $f0($m0);\n"
            "    if ($p0 < 0 || waitpid($p0, &code, 0) < 0)\n        return -1;\n    return code;\n}"
        ]
    extra = []
    if "width_word" in const:
        extra.append('static const char *width_word(void) {\n    return sizeof(long) == 8 ? "$w2" : "$w3";\n}')
    if "$table" in const:
        extra.append('static const char *$table[] = { "$w2", "$w3" };')
    top = ['#define DESK "$w4"'] if "DESK" in const else []
    text = "\n\n".join([*top, struct, *extra, main, *rest])
    heads = c_includes(text + "".join(slots[0].values()))
    if "setenv(" in "".join(slots[0].values()) and "stdlib.h" not in heads:
        heads += "\n#include <stdlib.h>"
    if ("_exit(" in text or "execl(" in slots[0]["B"]) and "unistd.h" not in heads:
        heads += "\n#include <unistd.h>"
    return write(rng, "c", heads + "\n\n" + text, names, [(turn(why, **slots[0]), turn(ok, **slots[1]))])


def wide_c_argv_slots(rng: random.Random) -> Sample:
    """Wrong: the outside text is in the script of sh -c; right: it is an argument, a variable or the input."""
    return fitting(rng, argv_slots_sample)


def config_fields_sample(rng: random.Random) -> Sample:
    """Lines key=value fill a struct, each with its own test, and some fields go into a command."""
    names = cast(
        rng,
        s="settings profile options config prefs setup_s",
        k="device bucket remote display printer channel iface volume mirror_to contact banner motd greeting theme",
        i="rate depth port level copies retries",
        p="cfg st o pf set_p",
        f="set_field take_pair assign on_pair",
        g="start_job apply_all launch refresh sync_now",
        h="plain_text fits_in ok_text well_formed",
        x="key name left k0",
        y="val value right text",
        c="cmd line call",
    )
    tool = rng.choice(
        ("logger -t app", "lpr -P", "ifconfig", "mount -L", "touch", "aplay -D", "xset -display", "mkswap -L")
    )
    bad_value = rng.choice(
        (
            "static int $h0(const char *s) {\n    while (isalnum((unsigned char)*s))\n        s++;\n    return *s == 0;\n}",
            "static int $h0(const char *s) {\n    for (; *s; s++)\n        if (!isalnum((unsigned char)*s) && *s != '_')\n            return 0;\n    return 1;\n}",
            'static int $h0(const char *s) {\n    return strpbrk(s, " ;|&$$`<>()\\n\\"\'\\\\") == NULL;\n}',
            "static int $h0(const char *s) {\n    size_t n = 0;\n    while (s[n] && (isalpha((unsigned char)s[n]) || isdigit((unsigned char)s[n])))\n        n++;\n    return n == strlen(s);\n}",
        )
    )
    loose = rng.choice(("strlen($y0) > 40", "$y0[0] == 0", "!*$y0 || $y0[0] == '#'", "strlen($y0) < 2"))
    strict = "!$h0($y0)"
    used = ["$k0"] + (["$k1"] if rng.random() < 0.5 else [])
    quiet = ["$k2"] + (["$k3"] if rng.random() < 0.4 else [])
    target = rng.choice(used)
    strings = rng.sample([*used, *quiet], len(used) + len(quiet))
    mode = rng.choice(("setter", "setter", "fields", "at_use"))
    struct = (
        "struct $s0 {\n"
        + "\n".join(rng.sample([*(f"    char {key}[64];" for key in strings), "    int $i0;"], len(strings) + 1))
        + "\n};"
    )
    rows: list[str] = []
    tests: dict[str, str] = {}
    for key in strings:
        if key == target:
            tests[key] = "@A" if mode == "setter" else f"if ({loose if mode == 'at_use' else strict})"
        elif key == "$k2":
            tests[key] = "@B" if mode == "setter" else f"if ({loose})"
        else:
            tests[key] = f"if ({strict if key in used else loose})"
    if mode == "fields":
        tests["$k2"] = f"if ({loose})"
    for key in strings:
        rows += [
            f'if (strcmp($x0, "{key}") == 0) {{',
            f"    {tests[key]}",
            "        return -1;",
            f'    snprintf($p0->{key}, sizeof $p0->{key}, "%s", $y0);',
            "}",
        ]
    rows += ['if (strcmp($x0, "$i0") == 0)', "    $p0->$i0 = atoi($y0);"]
    setter = (
        "static int $f0(struct $s0 *$p0, const char *$x0, const char *$y0) {\n"
        + "\n".join(indent([*rows, "return 0;"]))
        + "\n}"
    )
    values = ["$p0->" + key for key in used]
    fmt = tool + " %s" * len(values) + (" -n %d" if rng.random() < 0.5 else "")
    ints = ", $p0->$i0" if "%d" in fmt else ""
    note = rng.choice(('printf("%s\\n", {});', 'fprintf(stderr, "note %s\\n", {});'))
    run = rng.choice(("return system($c0);", 'FILE *fp = popen($c0, "r");\nreturn fp ? pclose(fp) : -1;'))
    make = lambda vals: f'snprintf($c0, sizeof $c0, "{fmt}", {", ".join(vals)}{ints});'  # noqa: E731
    if mode == "setter":
        slots = [{"A": f"!if ({loose})", "B": f"if ({strict})"}, {"A": f"!if ({strict})", "B": f"if ({loose})"}]
        use = [make(values), note.format("$p0->$k2")]
        why = "the setter of TARGET lets any text pass and TARGET goes into the command, only $k2 is tested by $h0"
        ok = "the setter of TARGET refuses what $h0 does not like, $k2 is only printed"
    elif mode == "fields":
        wrong_values = ["$p0->$k2" if key == target else "$p0->" + key for key in used]
        slots = [
            {"A": "!" + make(wrong_values), "B": note.format("$p0->" + target)},
            {"A": "!" + make(values), "B": note.format("$p0->$k2")},
        ]
        use = ["@A", "@B"]
        why = "$k2, whose setter lets any text pass, goes into the command"
        ok = "all fields in the command were tested by $h0 in their setters, $k2 is only printed"
    else:
        slots = [
            {"A": "!if (!$h0($p0->$k2))", "B": note.format("$p0->" + target)},
            {"A": "!if (!$h0($p0->" + target + "))", "B": note.format("$p0->$k2")},
        ]
        use = ["@A", "    return -1;", make(values), "@B"]
        why = "$h0 is asked about $k2, but TARGET goes into the command with any text"
        ok = "$h0 is asked about TARGET before it goes into the command"
    name = names[target[1:]]
    why, ok = why.replace("TARGET", name), ok.replace("TARGET", name)
    main = "int $g0(struct $s0 *$p0) {\n" + "\n".join(indent(["char $c0[300];", "~", *use, *run.split("\n")])) + "\n}"
    text = "\n\n".join([struct, bad_value, *rng.sample([setter, main], 2)])
    return write(rng, "c", c_includes(text) + "\n\n" + text, names, [(turn(why, **slots[0]), turn(ok, **slots[1]))])


def wide_c_config_fields(rng: random.Random) -> Sample:
    """Wrong: the field that goes into the command is set without the test, another has it; right: the reverse."""
    return fitting(rng, config_fields_sample)


def append_loop_sample(rng: random.Random) -> Sample:
    """A command is put together from a list of words in a loop."""
    names = cast(
        rng,
        w="words names files terms hosts labels",
        n="count n len_w many total",
        c="cmd line full call text_c",
        h="odd strange bad_word foreign unfit",
        f="run_on start_all check_them probe_many list_them sum_up",
        b="hits wrong_ones flaws misses",
        l="longest wide width size_max",
        i="i j at k",
        m="mode level speed",
    )
    tool = rng.choice(("wc -l", "sha256sum", "ls -l", "stat", "md5sum", "du -s", "host", "file"))
    test = rng.choice(
        (
            "static int $h0(const char *s) {\n    for (; *s; s++)\n        if (!isalnum((unsigned char)*s) && *s != '.')\n            return 1;\n    return 0;\n}",
            'static int $h0(const char *s) {\n    return strpbrk(s, ";|&$$`<>()\\n\\"\'\\\\ ") != NULL;\n}',
            "static int $h0(const char *s) {\n    while (*s == '_' || isalnum((unsigned char)*s))\n        s++;\n    return *s != 0;\n}",
        )
    )
    item = "$w0[$i0]"
    add = rng.choice(
        (
            f'strncat($c0, " ", sizeof $c0 - strlen($c0) - 1);\nstrncat($c0, {item}, sizeof $c0 - strlen($c0) - 1);',
            f'snprintf($c0 + strlen($c0), sizeof $c0 - strlen($c0), " %s", {item});',
        )
    )
    loop = rng.choice(("for (int $i0 = 0; $i0 < $n0; $i0++) {", "for (int $i0 = 0; $w0[$i0] && $i0 < $n0; $i0++) {"))
    run = rng.choice(
        (
            "return system($c0);",
            'FILE *fp = popen($c0, "r");\nreturn fp ? pclose(fp) : -1;',
            'execl("/bin/sh", "sh", "-c", $c0, (char *)NULL);\nreturn -1;',
        )
    )
    size = rng.choice((20, 32, 40))
    adds = add.split("\n")
    kind = rng.choice(("flag", "first", "option", "leave", "which", "late", "start", "level"))
    why, ok = (
        f"a word that {names['h0']} dislikes still reaches the command",
        f"a word that {names['h0']} dislikes never reaches the shell",
    )
    if kind == "flag":
        body = [
            "int $b0 = 0, $l0 = 0;",
            loop,
            "    @A",
            "    @B",
            *indent(adds),
            "}",
            "if ($b0 || $l0 > 8)",
            "    return -1;",
        ]
        slots = [
            {"A": f"!$b0 = $h0({item});", "B": f"$l0 += strlen({item}) > {size};"},
            {"A": f"!$b0 += $h0({item});", "B": f"$l0 = strlen({item}) > {size};"},
        ]
        why = "$b0 only keeps the verdict about the last word"
    elif kind == "first":
        body = [loop, "    @A", "        return -1;", *indent(adds), "    @B", "}"]
        slots = [
            {"A": "!if ($h0($w0[0]))", "B": f'printf("%s\\n", {item});'},
            {"A": f"!if ($h0({item}))", "B": 'printf("%s\\n", $w0[0]);'},
        ]
        why = "each round asks about the first word and never about the others"
    elif kind == "option":
        mark = rng.choice(("'-'", "'+'", "'/'"))
        skip = [f"    if ({item}[0] == {mark}) {{", *indent(adds, 2), "        continue;", "    }"]
        body = [loop, "    @A", "        return -1;", *skip, "    @B", "        return -1;", *indent(adds), "}"]
        slots = [
            {"A": f"if (strlen({item}) > {size})", "B": f"!if ($h0({item}))"},
            {"A": f"!if ($h0({item}))", "B": f"if (strlen({item}) > {size})"},
        ]
        if mark != "'+'":
            test = test.replace("&& *s != '.')", f"&& *s != '.' && *s != {mark})").replace(
                "*s == '_'", f"*s == '_' || *s == {mark}"
            )
        why = "words with a leading mark are added before $h0 is asked"
    elif kind == "leave":
        body = [
            loop,
            f"    if ($h0({item}))",
            "        @A",
            f"    if (strlen({item}) > {size})",
            "        @B",
            "}",
            loop,
            *indent(adds),
            "}",
        ]
        slots = [{"A": "!break;", "B": "return -1;"}, {"A": "!return -1;", "B": "break;"}]
        why = "break only ends the first loop, the second one adds all words"
    elif kind == "which":
        body = ["int $b0 = 0;", loop, "    @A", "        $b0++;", "    @B", *indent(adds, 2), "}"]
        slots = [
            {"A": f"if ($h0({item}))", "B": f"!if ({item}[0])"},
            {"A": f"if ({item}[0])", "B": f"!if (!$h0({item}))"},
        ]
        body += ['printf("%d\\n", $b0);']
    elif kind == "late":
        body = [
            "int $b0 = 0;",
            loop,
            f"    $b0 += $h0({item});",
            *indent(adds),
            "}",
            "@A",
            "    return -1;",
            "int code = system($c0);",
            "@B",
            "    return -1;",
        ]
        other = rng.choice((f"if ($n0 > {size})", "if ($n0 < 1)"))
        slots = [{"A": other, "B": "!if ($b0)"}, {"A": "!if ($b0)", "B": other}]
        run = "return code;"
        why = "$b0 is looked at only after the command was run"
    elif kind == "start":
        one, two = "for (int $i0 = 1; $i0 < $n0; $i0++)", "for (int $i0 = 0; $i0 < $n0; $i0++)"
        body = [
            "int $l0 = 0;",
            "@A",
            f"    if ($h0({item}))",
            "        return -1;",
            "@B",
            f"    $l0 += strlen({item}) > 3;",
            loop,
            *indent(adds),
            "}",
        ]
        slots = [{"A": "!" + one, "B": two}, {"A": "!" + two, "B": one}]
        body += ['printf("%d\\n", $l0);']
        why = "the test starts at the second word, the first is added without it"
    else:
        body = [loop, "    @A", "        return -1;", *indent(adds), "}"]
        conds = [f"strlen({item}) > {size}", f"$h0({item})"]
        rng.shuffle(conds)
        body.insert(0, "@B")
        slots = [
            {"A": f"!if ({' && '.join(conds)})", "B": "if ($n0 < 1 || !$w0)\n    return 0;"},
            {"A": f"!if ({' || '.join(conds)})", "B": "if (!($n0 > 0 && $w0))\n    return 0;"},
        ]
        why = "a word is refused only when it is long as well, short ones pass"
    main = (
        f'int $f0(char **$w0, int $n0) {{\n    char $c0[600] = "{tool}";\n    ~\n'
        + "\n".join(indent([*body, *run.split("\n")]))
        + "\n}"
    )
    outer = rng.choice(
        (
            'int serve_line(char *text) {\n    char *list[16];\n    int got = 0;\n    for (char *p = strtok(text, ","); p && got < 15; p = strtok(NULL, ","))\n        list[got++] = p;\n    list[got] = NULL;\n    return $f0(list, got);\n}',
            "struct batch {\n    char *$w1[12];\n    int used;\n};\n\nint serve_batch(struct batch *b) {\n    return b->used > 0 ? $f0(b->$w1, b->used) : 0;\n}",
            "int serve_pair(char *a, char *b) {\n    char *list[3] = { a, b, NULL };\n    return $f0(list, 2);\n}",
        )
    )
    text = "\n\n".join([test, main, outer])
    return write(rng, "c", c_includes(text) + "\n\n" + text, names, [(turn(why, **slots[0]), turn(ok, **slots[1]))])


def wide_c_append_loop(rng: random.Random) -> Sample:
    """Wrong: some words slip into the command past the test in the loop; right: each word is tested before."""
    return fitting(rng, append_loop_sample)


FAMILIES: tuple[Family, ...] = (
    Family(cwe="CWE-77", name="wide_py_cmd_flow", language="python", held_out=True, make=wide_py_cmd_flow),
    Family(cwe="CWE-77", name="wide_c_cmd_flow", language="c", held_out=True, make=wide_c_cmd_flow),
    Family(cwe="CWE-77", name="wide_py_runner_methods", language="python", held_out=True, make=wide_py_runner_methods),
    Family(cwe="CWE-77", name="wide_py_join_args", language="python", held_out=True, make=wide_py_join_args),
    Family(cwe="CWE-77", name="wide_py_nested_quotes", language="python", held_out=True, make=wide_py_nested_quotes),
    Family(cwe="CWE-77", name="wide_py_job_cover", language="python", held_out=True, make=wide_py_job_cover),
    Family(cwe="CWE-77", name="wide_py_side_channel", language="python", held_out=True, make=wide_py_side_channel),
    Family(cwe="CWE-77", name="wide_py_script_lines", language="python", held_out=True, make=wide_py_script_lines),
    Family(cwe="CWE-77", name="wide_c_quote_writer", language="c", held_out=True, make=wide_c_quote_writer),
    Family(cwe="CWE-77", name="wide_c_argv_slots", language="c", held_out=True, make=wide_c_argv_slots),
    Family(cwe="CWE-77", name="wide_c_config_fields", language="c", held_out=True, make=wide_c_config_fields),
    Family(cwe="CWE-77", name="wide_c_append_loop", language="c", held_out=True, make=wide_c_append_loop),
)
