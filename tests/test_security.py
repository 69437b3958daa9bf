"""What the source must not contain, because a file or a model of a stranger could make it run code."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "steerlab"
RUNS_PROGRAMS = PACKAGE / "sandbox" / "harness.py"  # runs inside the sandbox only
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "yaml.load", "os.system", "os.popen", "marshal.load", "marshal.loads"}


def problems(source: str, *, may_exec: bool = False) -> list[str]:
    """What is dangerous in a module, as "line: what"."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found += [f"{node.lineno}: imports {n}" for n in names if n.split(".")[0] in FORBIDDEN_MODULES]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in FORBIDDEN_CALLS and not (may_exec and name == "exec"):
            found.append(f"{node.lineno}: {name}")
        if name == "torch.load" and given.get("weights_only") != "True":
            found.append(f"{node.lineno}: torch.load without weights_only=True")
        if name in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
            found.append(f"{node.lineno}: {name} without allow_pickle=False")
        if given.get("trust_remote_code") == "True" or given.get("shell", "False") != "False":
            found.append(f"{node.lineno}: {name} with {given}")
    return found


def modules() -> list[Path]:
    """What is installed, and the tools; not `training`, which reads only what it has written itself."""
    tools = ROOT.joinpath("tools").glob("*.py")
    embedded_programs = PACKAGE / "embedded" / "pairs"  # the vulnerable programs themselves: data
    return [p for p in (*PACKAGE.rglob("*.py"), *tools) if not p.is_relative_to(embedded_programs)]


def test_no_module_can_be_made_to_run_a_strangers_code() -> None:
    found = {
        str(path.relative_to(ROOT)): problems(path.read_text("utf-8"), may_exec=path == RUNS_PROGRAMS)
        for path in modules()
    }
    assert {path: what for path, what in found.items() if what} == {}
    assert len(found) > 150  # the folder was found


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "np.load(file)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "subprocess.run(line, shell=True)",
        "eval(text)",
        "exec(text)",
        "yaml.load(text)",
    ],
)
def test_the_search_finds_what_it_is_for(line: str) -> None:
    assert problems(line)


def test_an_audit_that_looked_nothing_up_is_not_called_clean() -> None:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "tools" / "audit.py")
    assert spec is not None and spec.loader is not None
    audit = importlib.util.module_from_spec(spec)
    sys.modules["audit"] = audit
    spec.loader.exec_module(audit)
    skipped = {"name": "torch", "skip_reason": "not found"}
    clean = {"name": "numpy", "version": "2.0", "vulns": []}
    bad = {"name": "rich", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
    for unreachable in ("no answer", [skipped, skipped]):
        code, said = audit.verdict(unreachable)
        assert code == 0 and "can't be reached" in said and "\n" not in said
    assert audit.verdict([clean, skipped]) == (0, "audit: 0 known vulnerabilities in 1 of 2 packages looked up.")
    code, said = audit.verdict([clean, bad])
    assert code == 1 and "rich 1.0: CVE-1, mended in 1.1" in said
