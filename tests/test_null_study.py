"""tools/null_study.py: labels that nothing can be learned from, and a stand-in for the wave that agrees with it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from conftest import loaded_model, random_vector, tiny_model
from steerlab.interventions import Intervention
from steerlab.sources import load_source
from steerlab.wave import Cell, wave_log_likelihoods
from test_vulnerability_detection import write_pairs


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
    try:
        import null_study
    finally:
        sys.path.pop(0)
    return null_study


def test_a_swapped_pair_is_swapped_everywhere_and_about_half_of_them_are(tool: ModuleType, tmp_path: Path) -> None:
    source = load_source(f"jsonl:{write_pairs(tmp_path / 'pairs.jsonl', n=60)}")
    found = tool.shuffled(source, 3)
    swapped = 0
    for pair, was in zip(found.pairs, source.pairs, strict=True):
        labels = {program.code: program.label for program in found.programs if program.group == pair.group}
        assert labels == {pair.positive: "patched", pair.negative: "vulnerable"}
        assert {pair.positive, pair.negative} == {was.positive, was.negative}
        swapped += pair.positive == was.negative
    assert 18 <= swapped <= 42
    assert found == tool.shuffled(source, 3) and found != tool.shuffled(source, 4)


def test_to_first_order_small_doses_move_the_margin_as_the_wave_says(tool: ModuleType) -> None:
    model = tiny_model("qwen2")
    prompts, answers = ["int f(char *p) {", "def g(x):", "while (1)"], [(" yes", " no")] * 3
    cells = [
        Cell(
            interventions=(
                Intervention(vector=random_vector(model, layer), coefficient=dose, positions="from_last_prompt_token"),
            )
        )
        for layer in (1, 2)
        for dose in (-1e-3, 1e-3)
        for where in ("from_last_prompt_token",)
    ]
    exact = wave_log_likelihoods(model, prompts, answers, cells=[Cell(), *cells]).log_likelihoods
    ours = tool.FirstOrder()(model, prompts, answers, cells=[Cell(), *cells]).log_likelihoods
    torch.testing.assert_close(ours[0], exact[0], atol=1e-4, rtol=0)
    gaps = [found[..., 0] - found[..., 1] for found in (ours, exact)]
    moved, wanted = (gap[1:] - gap[0] for gap in gaps)
    assert wanted.abs().max() > 5e-4, "the twin: it must have moved"
    np.testing.assert_allclose(moved.numpy(), wanted.numpy(), atol=0.05 * float(wanted.abs().max()))


@pytest.mark.slow
def test_repetitions_end_with_a_verdict_and_are_counted(tool: ModuleType) -> None:
    model, source = loaded_model("embedded"), load_source("starter")
    with tool.kept(exact=False):
        rows = [tool.repetition(model, source, number, name="starter") for number in range(3)]
    assert {tool.said(row) for row in rows} <= {"no gain", "steering hurts", tool.GAIN, tool.SHARED}
    assert all(row["n"] == 96 and row["n_groups"] == 48 for row in rows)
    assert "of 3: " in tool.markdown(rows, [])
