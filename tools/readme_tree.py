"""The file tree in the README: one caption per file, which is the first line of its module."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "steerlab"
README = ROOT / "README.md"
BEGIN, END = "<!-- tree: begin -->", "<!-- tree: end -->"

# The order of the layers, top first: a module imports only what stands below it (import-linter checks that).
LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("7 surfaces", ("cli", "commands", "console", "doctor", "studio")),
    ("6 studies", ("kit", "studies", "report")),
    ("5 experiments", ("equivalence", "results", "shards", "selection", "controls", "sweep", "presets", "ordinary")),
    ("4 evaluation", ("building", "ngrams", "tasks", "sources", "sandbox")),
    ("3 inference", ("backends", "bake", "wave", "doses", "screening", "side_effects", "generation", "readout")),
    ("2 the residual stream", ("directions", "capturing", "steering")),
    ("1 the model", ("batches", "caches", "tokens", "models", "model_checks", "hooks")),
    ("0 values and maths: no model", ()),
)


def caption(path: Path) -> str:
    """The first line of the module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    first = text.splitlines()[0] if text else ""
    if not first:
        raise SystemExit(f"{path} has no docstring: its first line is the caption in the README.")
    return first


def lines_of(name: str) -> list[str]:
    """The tree lines of one module or package."""
    path = PACKAGE / f"{name}.py"
    if path.is_file():
        return [f"      {path.name:<30}{caption(path)}"]
    folder = PACKAGE / name
    lines = [f"      {name + '/':<30}{caption(folder / '__init__.py')}"]
    for file in sorted(folder.glob("*.py")):
        if file.name != "__init__.py":
            lines.append(f"        {file.name:<28}{caption(file)}")
    return lines


def tree() -> str:
    """The whole tree, layer by layer; what no layer names belongs to layer 0."""
    found = {
        p.stem if p.is_file() else p.name
        for p in PACKAGE.iterdir()
        if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    found -= {"__init__", "__pycache__"}
    named = {name for _, names in LAYERS for name in names}
    lines = ["    src/steerlab/", f"      {'__init__.py':<30}{caption(PACKAGE / '__init__.py')}"]
    for title, names in LAYERS:
        members = [name for name in (names or sorted(found - named)) if name in found]
        lines += [f"      # {title}", *(line for name in members for line in lines_of(name))]
    return "\n".join(lines)


def main() -> None:
    """Write the tree into the README, or with --check say whether it is as it should be."""
    text = README.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}\n{tree()}\n{END}{after}"
    if "--check" not in sys.argv:
        README.write_text(wanted, "utf-8")
    elif wanted != text:
        raise SystemExit("The file tree in README.md differs from the code: run `make format`.")


if __name__ == "__main__":
    main()
