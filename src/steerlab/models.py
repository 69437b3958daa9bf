"""Load a causal LM, find its decoder layers by structure, check them by behaviour."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steerlab.embedded import MODEL_NAME, model_directory
from steerlab.errors import LayerError, ModelError, PromptError, SteerlabError, nearest
from steerlab.hooks import attached
from steerlab.vectors import ModelFingerprint

DTYPES = ("auto", "float32", "bfloat16", "float16")

# Where the decoder layers are when the structure alone does not say it: model type -> path from the network.
LAYER_PATHS: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Model:
    """A loaded causal LM and what was found in it: a record, not a wrapper.

    `layers[L]` is the module whose output is the residual at layer L. `context` is the most tokens that fit (None
    when the config does not say). `head` makes the logits; None when the network does not name it. `checks` holds
    the outcome of each behaviour check.
    """

    name: str
    revision: str | None
    network: nn.Module
    tokenizer: Any
    layers: tuple[nn.Module, ...]
    layers_path: str
    d_model: int
    d_vocab: int
    context: int | None
    head: nn.Module | None
    pad_token_id: int
    eos_token_ids: tuple[int, ...]
    accepts_position_ids: bool
    fingerprint: ModelFingerprint
    checks: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_layers(self) -> int:
        """Number of decoder layers."""
        return len(self.layers)

    @property
    def device(self) -> torch.device:
        """Where the inputs go: the device of the embedding."""
        embedding: nn.Module = self.network.get_input_embeddings()  # type: ignore[operator]
        return next(embedding.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The data type of the residual stream."""
        return next(p.dtype for p in self.network.parameters() if p.is_floating_point())


def load_model(
    name: str,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
) -> Model:
    """Load `name` (a local directory, a hub name, or "embedded") and check it.

    `dtype` is one of DTYPES: auto takes the checkpoint's on a GPU and float32 on a CPU. `device` is auto, cpu,
    cuda, cuda:1, ... or "spread" (accelerate's device_map="auto" over all devices).
    Raises: ModelError when it is missing, half written, not a causal LM, or of a layout that is not understood.
    """

    if dtype not in DTYPES:
        raise ModelError(f"dtype {dtype!r} does not exist. {nearest(dtype, DTYPES)}")
    source = _source(name)
    on_gpu = torch.cuda.is_available() and device != "cpu"
    wanted: Any = ("auto" if on_gpu else torch.float32) if dtype == "auto" else getattr(torch, dtype)
    network, tokenizer = _load(name, source, revision=revision, dtype=wanted, device=device, trust=trust_remote_code)
    if device != "spread":
        target = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        try:
            network = network.to(target)
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"device {device!r} cannot be used: {_first_line(error)}") from None
    return inspect_model(network, tokenizer, name=name, revision=revision)


def _source(name: str) -> str:
    path = model_directory() if name == MODEL_NAME else Path(name).expanduser()
    looks_local = name == MODEL_NAME or name.startswith((".", "/", "~")) or path.exists() or name.count("/") > 1
    if not looks_local:
        return name
    if not path.is_dir():
        raise ModelError(f"{name} does not exist: give a Hugging Face directory or the name of a model on the hub.")
    if not (path / "config.json").is_file():
        raise ModelError(f"{name} is no Hugging Face model directory: it has no config.json.")
    return str(path)


def _load(
    name: str, source: str, *, revision: str | None, dtype: Any, device: str, trust: bool
) -> tuple[nn.Module, Any]:
    import transformers
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": trust}
    if Path(source).is_dir():
        options["local_files_only"] = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = AutoConfig.from_pretrained(source, **options)
            _refuse_unless_causal(name, config)
            extra = {"device_map": "auto"} if device == "spread" else {}
            network, report = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype, output_loading_info=True, **options, **extra
            )
            tokenizer = AutoTokenizer.from_pretrained(source, **options)
    except SteerlabError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError, AttributeError) as error:
        raise ModelError(f"{name} could not be loaded: {_first_line(error)}") from None
    except Exception as error:  # noqa: BLE001 - safetensors and tokenizers raise bare Exception subclasses
        raise ModelError(f"{name} could not be loaded (is it half written?): {_first_line(error)}") from None
    missing = sorted(report.get("missing_keys") or ())
    if missing:
        raise ModelError(
            f"{name} is half written: {len(missing)} weights are missing, the first is {missing[0]}. Copy it again."
        )
    return network.eval(), tokenizer


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]


def _refuse_unless_causal(name: str, config: Any) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    said = list(getattr(config, "architectures", None) or [])
    causal = {value for entry in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() for value in _as_names(entry)}
    understood = any(a in causal or a.endswith(("ForCausalLM", "LMHeadModel")) for a in said)
    if config.is_encoder_decoder or (said and not understood):
        kind = ", ".join(said) or config.model_type
        raise ModelError(f"{name} is not a causal LM ({kind}): steering needs a decoder that predicts the next token.")


def _as_names(entry: object) -> tuple[str, ...]:
    return tuple(entry) if isinstance(entry, (tuple, list)) else (str(entry),)


def inspect_model(network: nn.Module, tokenizer: Any, *, name: str, revision: str | None = None) -> Model:
    """Find the layers of a network that is already in memory and check them.

    Raises: ModelError when the layout is not understood or a check fails.
    """
    import inspect

    config = network.config.get_text_config()  # type: ignore[operator,union-attr]
    n_layers, d_model = _dimension(config, "num_hidden_layers"), _dimension(config, "hidden_size")
    path, layers = find_layers(network, n_layers=n_layers, model_type=config.model_type, name=name)
    head = network.get_output_embeddings() if hasattr(network, "get_output_embeddings") else None  # type: ignore[operator]
    eos = _eos_ids(network, tokenizer)
    pad = tokenizer.pad_token_id
    model = Model(
        name=name,
        revision=revision,
        network=network,
        tokenizer=tokenizer,
        layers=layers,
        layers_path=path,
        d_model=d_model,
        d_vocab=int(config.vocab_size),
        context=_context(config),
        head=head,
        pad_token_id=int(pad) if pad is not None else (eos[0] if eos else 0),
        eos_token_ids=eos,
        accepts_position_ids="position_ids" in inspect.signature(network.forward).parameters,
        fingerprint=_fingerprint(network, name=name, config=config, n_layers=n_layers, d_model=d_model),
    )
    checks = check_behaviour(model)
    failed = {check: outcome for check, outcome in checks.items() if outcome not in ("ok", "not applicable")}
    if failed:
        check, outcome = next(iter(failed.items()))
        raise ModelError(f"{name}: the layers found at {path} fail the check {check}: {outcome}")
    return Model(**{**{f: getattr(model, f) for f in model.__dataclass_fields__}, "checks": checks})


def _dimension(config: Any, key: str) -> int:
    value = getattr(config, key, None)
    if not isinstance(value, int):
        raise ModelError(f"the config of this {config.model_type} model has no {key}: its layout is not understood.")
    return value


def _context(config: Any) -> int | None:
    value = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    return int(value) if isinstance(value, int) and 0 < value < 10**9 else None


def _eos_ids(network: Any, tokenizer: Any) -> tuple[int, ...]:
    said = getattr(getattr(network, "generation_config", None), "eos_token_id", None)
    listed = list(said) if isinstance(said, (list, tuple)) else [said]
    found = {int(token) for token in [*listed, tokenizer.eos_token_id] if token is not None}
    return tuple(sorted(found))


def find_layers(network: nn.Module, *, n_layers: int, model_type: str, name: str) -> tuple[str, tuple[nn.Module, ...]]:
    """The ModuleList of decoder layers: as long as the config says, all of one class, nearest to the root.

    Raises: ModelError that says what was looked for.
    """

    if model_type in LAYER_PATHS:
        path = LAYER_PATHS[model_type]
        return path, tuple(network.get_submodule(path))  # type: ignore[arg-type]
    found = [
        (path, module)
        for path, module in network.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == n_layers
    ]
    outer = [(path, module) for path, module in found if not any(path.startswith(f"{other}.") for other, _ in found)]
    outer.sort(key=lambda entry: -sum(p.numel() for p in entry[1].parameters()))
    if not outer:
        lists = [f"{p} ({len(m)})" for p, m in network.named_modules() if isinstance(m, nn.ModuleList)][:5]
        raise ModelError(
            f"{name}: no list of {n_layers} decoder layers was found (the config's num_hidden_layers) among "
            f"{', '.join(lists) or 'no module lists at all'}. Add its path to LAYER_PATHS in steerlab/models.py."
        )
    path, layers = outer[0]
    return path, tuple(layers)


def _fingerprint(network: nn.Module, *, name: str, config: Any, n_layers: int, d_model: int) -> ModelFingerprint:

    seen = hashlib.sha256(json.dumps([config.model_type, n_layers, d_model, int(config.vocab_size)]).encode())
    embedding = network.get_input_embeddings().weight  # type: ignore[operator]
    samples = [embedding[:: max(1, len(embedding) // 64), :64]]
    samples += [p for _, p in sorted(network.named_parameters()) if p.ndim == 1]
    for sample in samples:
        if sample.device.type != "meta":
            seen.update(sample.detach().to("cpu", torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes())
    return ModelFingerprint(
        name=name, model_type=config.model_type, n_layers=n_layers, d_model=d_model, sha256=seen.hexdigest()
    )


def check_behaviour(model: Model) -> dict[str, str]:
    """Run a few tokens and report on each check: "ok", "not applicable", or what is wrong.

    layer_called_once: each layer runs once per forward, in order. output_shape: [batch, position, d_model].
    matches_hidden_states: the residual equals transformers' hidden_states[L+1]. edit_moves_logits: changing a
    layer's output changes the logits, at the first and the last layer. causal: a token does not see later ones.
    """

    tokens = torch.arange(1, 7, device=model.device)[None] % model.d_vocab
    seen: dict[int, list[Tensor]] = {layer: [] for layer in range(model.n_layers)}
    order: list[int] = []

    def reader(layer: int) -> Any:
        def read(residual: Tensor) -> None:
            order.append(layer)
            seen[layer].append(residual.detach())

        return read

    def logits(ids: Tensor) -> Tensor:
        output = model.network(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
        return output.logits.detach().float()  # type: ignore[no-any-return]

    def edited(layer: int) -> Tensor:
        noise = torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))

        def edit(residual: Tensor) -> Tensor:
            return residual + noise.to(residual) * residual.float().norm(dim=-1, keepdim=True).to(residual)

        with attached(model.network, edits={model.layers[layer]: edit}):
            return logits(tokens)

    try:
        with torch.inference_mode():
            with attached(model.network, readers={m: reader(i) for i, m in enumerate(model.layers)}):
                plain = logits(tokens)
            if order != list(range(model.n_layers)):
                return {"layer_called_once": f"the layers ran as {order[:12]}"}
            return {
                "layer_called_once": "ok",
                "output_shape": _check_shape(model, seen, tuple(tokens.shape)),
                "matches_hidden_states": _check_recorded(model, tokens, seen),
                "edit_moves_logits": _check_moves(model, plain, edited),
                "causal": _check_causal(plain, logits(torch.cat([tokens[:, :-1], tokens[:, :1]], dim=1))),
            }
    except SteerlabError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        return {"forward": f"a forward over six tokens failed: {_first_line(error)}"}


def _check_shape(model: Model, seen: Mapping[int, Sequence[Tensor]], shape: tuple[int, ...]) -> str:
    wrong = [layer for layer, (residual,) in seen.items() if tuple(residual.shape) != (*shape, model.d_model)]
    return f"layer {wrong[0]} gives {list(seen[wrong[0]][0].shape)}" if wrong else "ok"


def _check_recorded(model: Model, tokens: Tensor, seen: Mapping[int, Sequence[Tensor]]) -> str:

    output = model.network(input_ids=tokens, use_cache=False, output_hidden_states=True)
    recorded = getattr(output, "hidden_states", None)
    if recorded is None or len(recorded) != model.n_layers + 1:
        return "not applicable"
    for layer in range(model.n_layers - 1):
        if not torch.allclose(recorded[layer + 1].float(), seen[layer][0].float(), atol=1e-4, rtol=1e-3):
            return f"layer {layer} differs from hidden_states[{layer + 1}]"
    return "ok"


def _check_moves(model: Model, plain: Tensor, edited: Any) -> str:
    for layer in sorted({0, model.n_layers - 1}):
        if float((edited(layer) - plain).abs().max()) < 1e-6:
            return f"editing layer {layer} moves no logit"
    return "ok"


def _check_causal(plain: Tensor, changed: Tensor) -> str:

    same = torch.allclose(plain[:, :-1], changed[:, :-1], atol=1e-2, rtol=1e-2)
    return "ok" if same else "earlier positions see later tokens: this is not a causal LM"


def check_layers(model: Model, layers: Sequence[int]) -> None:
    """Raise LayerError for the first layer that the model does not have."""
    for layer in layers:
        if not 0 <= layer < model.n_layers:
            raise LayerError(
                f"layer {layer} does not exist: {model.name} has layers 0..{model.n_layers - 1}. "
                f"Choose --layers within 0..{model.n_layers - 1}."
            )


def encode(model: Model, texts: Sequence[str], *, new_tokens: int = 0) -> list[list[int]]:
    """Token ids of each text, none cut.

    Raises: PromptError that counts and names the texts that are empty or, with `new_tokens` more, exceed the context.
    """
    ids = [list(map(int, row)) for row in model.tokenizer(list(texts), add_special_tokens=True)["input_ids"]]
    empty = [i for i, row in enumerate(ids) if not row]
    if empty:
        raise PromptError(f"{len(empty)} of {len(ids)} prompts have no token, the first is number {empty[0]}.")
    if model.context is not None:
        long = [i for i, row in enumerate(ids) if len(row) + new_tokens > model.context]
        if long:
            raise PromptError(
                f"{len(long)} of {len(ids)} prompts exceed the context of {model.context} tokens of {model.name}: "
                f"number {long[0]} has {len(ids[long[0]])} tokens and {new_tokens} are to be generated."
            )
    return ids


def left_padded(model: Model, rows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """A batch of token rows, padded on the left, with attention mask and (where accepted) position ids."""

    width = max(len(row) for row in rows)
    ids = [[model.pad_token_id] * (width - len(row)) + list(row) for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    batch = {
        "input_ids": torch.tensor(ids, device=model.device),
        "attention_mask": torch.tensor(mask, device=model.device),
    }
    if model.accepts_position_ids:
        batch["position_ids"] = (batch["attention_mask"].cumsum(dim=1) - 1).clamp_min(0)
    return batch
