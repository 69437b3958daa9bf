"""Who writes a study's completions: hooks, or vLLM where it can steer so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from conftest import loaded_model, random_vector
from steerlab.backends import vllm as backend
from steerlab.cli import app
from steerlab.errors import MissingExtraError, OptionError
from steerlab.gates import Gate
from steerlab.generation import Completion, Decoding, generate
from steerlab.interventions import Intervention
from steerlab.steering import steer
from steerlab.studies.correctness_material import CorrectnessSettings
from steerlab.studies.secure_settings import SecureCodeSettings
from steerlab.studies.writing import writing
from steerlab.wave import Cell, wave_generate

PROMPTS = ("def read_file(", "x = [1, 2", "for i in")
HOW = Decoding(max_new_tokens=5)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Intervention, ...]]:
    """A stand-in for vLLM that writes with hooks and notes what it was asked for."""
    asked: list[tuple[Intervention, ...]] = []

    @contextmanager
    def serving(name: str, **options: Any) -> Iterator[str]:
        assert name == "embedded" and options["dtype"] == "float32"
        yield "server"

    def written(server: str, prompts: Any, *, decoding: Any, interventions: Any, numbers: Any) -> list[Completion]:
        assert server == "server"
        asked.append(interventions)
        with steer(loaded_model("embedded"), *interventions):
            return generate(loaded_model("embedded"), prompts, decoding=decoding)

    monkeypatch.setattr(backend, "serving", serving)
    monkeypatch.setattr(backend, "generate", written)
    return asked


def test_cells_that_vllm_can_not_steer_are_written_with_hooks_in_their_place(calls: list[Any]) -> None:
    model = loaded_model("embedded")
    push = Intervention(vector=random_vector(model, 2), coefficient=4.0, positions="from_last_prompt_token")
    gate = Gate(condition=random_vector(model, 1), layer=1, threshold=0.0)
    gated = Intervention(vector=random_vector(model, 2), coefficient=6.0, gate=gate)
    cells = [Cell(), Cell(interventions=(gated,)), Cell(interventions=(push,))]
    done: list[int] = []
    with writing("vllm", model) as write:
        found = write(PROMPTS, cells=cells, decoding=HOW, progress=done.append)
    assert found.completions == wave_generate(model, PROMPTS, cells=cells, decoding=HOW).completions
    assert calls == [(), (push,)]
    assert found.way.startswith("vllm+") and "without a gate" in found.reason
    assert sum(done) == len(cells) * len(PROMPTS)


def test_hooks_write_by_the_wave() -> None:
    model = loaded_model("embedded")
    with writing("hooks", model) as write:
        assert isinstance(write, partial) and write.func is wave_generate
        assert write(PROMPTS, cells=[Cell()], decoding=HOW).completions[0] == tuple(
            generate(model, PROMPTS, decoding=HOW)
        )


@pytest.mark.parametrize(
    "settings",
    [
        lambda: SecureCodeSettings(model="embedded", engine="vlm"),
        lambda: CorrectnessSettings(model="embedded", sae="embedded", problems="exercises", engine="vlm"),
    ],
)
def test_an_engine_that_does_not_exist_is_refused(settings: Any) -> None:
    with pytest.raises(OptionError, match="Did you mean vllm"):
        settings()


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
@pytest.mark.parametrize(
    "study",
    [["secure-code", "--tasks", "starter"], ["code-correctness", "--sae", "embedded", "--problems", "exercises"]],
)
def test_without_vllm_a_study_ends_before_it_makes_a_directory(study: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = CliRunner().invoke(app, ["run", *study, "--model", "embedded", "--engine", "vllm", "--out", str(out)])
    assert isinstance(result.exception, MissingExtraError)  # main() prints its one line
    assert not out.exists()
