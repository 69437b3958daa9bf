"""The peers, and an environment of its own for each: made on first use from the package index, versions pinned here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CONSTRAINTS = HERE.parent / "constraints.txt"
ENVIRONMENTS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "steerlab" / "peers"


class PeerError(RuntimeError):
    """A peer's environment could not be made, or its worker gave no result."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of the comparison.

    `requirements` are installed over the torch of constraints.txt; none means that the side runs in this environment.
    `imports` is what a user imports before the first steered forward.
    """

    requirements: tuple[str, ...]
    imports: str

    def worker(self, name: str) -> Path:
        return HERE / "peers" / f"{name.replace('-', '_')}_worker.py"


# steering-vectors wants transformers < 5. repeng wants numpy < 2, and its wrapper of a block lacks the attribute that
# transformers 4.57 reads from every block of a Qwen2. pyvene was written against transformers 4 and has no upper bound.
# nnterp asks for nnsight >= 0.6, but imports a module that nnsight 0.8 no longer has. transformer-lens wants
# transformers >= 5.9.
SIDES: Mapping[str, Side] = {
    "steerlab": Side(
        requirements=(),
        imports="from steerlab import load_model, steer, generate, capture; import steerlab.wave",
    ),
    "nnsight": Side(requirements=("nnsight==0.8.1", "transformers==5.23.0"), imports="import nnsight, transformers"),
    "steering-vectors": Side(
        requirements=("steering-vectors==0.12.2", "transformers==4.57.6"),
        imports="import steering_vectors; from transformers import AutoModelForCausalLM",
    ),
    "repeng": Side(
        requirements=("repeng==0.4.0", "transformers==5.23.0", "numpy==1.26.4"),
        imports="import repeng; from transformers import AutoModelForCausalLM",
    ),
    "pyvene": Side(
        requirements=("pyvene==0.1.8", "transformers==4.57.6"),
        imports="import pyvene; from transformers import AutoModelForCausalLM",
    ),
    "nnterp": Side(
        requirements=("nnterp==1.3.0", "nnsight==0.7.0", "transformers==5.23.0"),
        imports="from nnterp import StandardizedTransformer",
    ),
    "transformer-lens": Side(
        requirements=("transformer-lens==4.3.0", "transformers==5.23.0"),
        imports="from transformer_lens.model_bridge import TransformerBridge",
    ),
}
PEERS = tuple(name for name in SIDES if name != "steerlab")


def python_of(name: str, folder: Path) -> Path:
    """The interpreter of a side, its environment below `folder` made or brought up to date first.

    Raises: PeerError with pip's last line.
    """
    side = SIDES[name]
    if not side.requirements:
        return Path(sys.executable)
    place = folder / name
    python, stamp = place / "bin" / "python", place / ".installed"
    torch = next(line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch=="))
    wanted = "\n".join((torch, *side.requirements)) + "\n"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"{name}: making {place}", file=sys.stderr)
    _call([sys.executable, "-m", "venv", str(place)], name)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _call([*pip, "-c", str(CONSTRAINTS), "torch"], name)
    _call([*pip, torch, *side.requirements], name)
    stamp.write_text(wanted)
    return python


def environment_of(name: str, threads: int) -> dict[str, str]:
    """Environment variables of a side's processes: no hub, a thread count, no import paths of this environment."""
    own = not SIDES[name].requirements
    kept = {key: value for key, value in os.environ.items() if own or key != "PYTHONPATH"}
    return kept | {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(threads),
    }


def _call(command: list[str], name: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise PeerError(f"{name}: {' '.join(command[1:4])} failed: {(lines or ['nothing was printed'])[-1]}")
