"""Load a causal LM, find its decoder layers by structure, check them by behaviour."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from steerlab.embedded import MODEL_NAME, model_directory
from steerlab.errors import LayerError, MissingExtraError, ModelError, SteerlabError, nearest
from steerlab.model_checks import check_behaviour
from steerlab.vectors import ModelFingerprint

QUANTIZED = ("8bit", "4bit")
DTYPES = ("auto", "float32", "bfloat16", "float16", *QUANTIZED)

# Where the decoder layers are when the structure alone does not say it: model type -> path from the network.
LAYER_PATHS: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Model:
    """A loaded causal LM and what was found in it: a record, not a wrapper.

    `layers[L]` is the module whose output is the residual at layer L. `context` is the most tokens that fit (None
    when the config does not say). `embedding` takes the tokens, `head` makes the logits; None when the network does
    not name it. `checks` holds the outcome of each behaviour check.
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
    embedding: nn.Module
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
        return next(self.embedding.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The data type of the residual stream."""
        return next(p.dtype for p in self.network.parameters() if p.is_floating_point())

    @property
    def dtype_name(self) -> str:
        """The one of DTYPES that it was loaded with: how the weights are held."""
        for name in QUANTIZED:
            if getattr(self.network, f"is_loaded_in_{name}", False):
                return name
        return str(self.dtype).removeprefix("torch.")


def load_model(
    name: str,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
) -> Model:
    """Load `name` (a local directory, a hub name, or "embedded") and check it.

    `dtype` is one of DTYPES: auto takes the checkpoint's on a GPU and float32 on a CPU; 8bit and 4bit quantize the
    linear layers while they are loaded (bitsandbytes), the residual stream being bfloat16 on a GPU, float32 on a CPU.
    `device` is auto, cpu, cuda, cuda:1, ... or "spread" (accelerate's device_map="auto" over all devices).
    Raises: ModelError when it is missing, half written, not a causal LM, or of a layout that is not understood;
    MissingExtraError for 8bit and 4bit without bitsandbytes.
    """
    if dtype not in DTYPES:
        raise ModelError(f"dtype {dtype!r} does not exist. {nearest(dtype, DTYPES)}")
    source = _source(name)
    on_gpu = torch.cuda.is_available() and device != "cpu"
    wanted: Any = ("auto" if on_gpu else torch.float32) if dtype == "auto" else getattr(torch, dtype, None)
    target = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    options: dict[str, Any] = {"device_map": "auto"} if device == "spread" else {}
    if dtype in QUANTIZED:
        wanted = torch.bfloat16 if on_gpu else torch.float32
        options = {"device_map": {"": target}, **options, "quantization_config": _quantization(dtype, wanted)}
    network, tokenizer = _load(name, source, revision=revision, dtype=wanted, trust=trust_remote_code, options=options)
    if "device_map" not in options:
        try:
            network = network.to(target)
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"device {device!r} cannot be used: {_first_line(error)}") from None
    return inspect_model(network, tokenizer, name=name, revision=revision)


def _quantization(dtype: str, computed_in: torch.dtype) -> Any:
    """How bitsandbytes holds the linear layers.

    Without outlier columns in 8 bits: which columns are outliers is decided over all tokens of a batch, so that a row's
    result would depend on the other rows, and earlier tokens on later ones.
    """
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"dtype {dtype} needs bitsandbytes ({error}): pip install 'steerlab[quantized]'"
        ) from None
    from transformers import BitsAndBytesConfig

    if dtype == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)  # type: ignore[no-untyped-call]
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=computed_in
    )


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
    name: str, source: str, *, revision: str | None, dtype: Any, trust: bool, options: dict[str, Any]
) -> tuple[nn.Module, Any]:
    import transformers
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    where: dict[str, Any] = {"revision": revision, "trust_remote_code": trust}
    local = Path(source).is_dir()
    where["local_files_only"] = local or not _hub_answers()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = AutoConfig.from_pretrained(source, **where)
            _refuse_unless_causal(name, config)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype, output_loading_info=True, **where, **options
            )
            network, report = loaded
            tokenizer = AutoTokenizer.from_pretrained(source, **where)
        _refuse_without_words(name, tokenizer)
    except SteerlabError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError, AttributeError) as error:
        if not local and where["local_files_only"]:
            guess = f" Did you mean {MODEL_NAME}?" if difflib.get_close_matches(name, [MODEL_NAME]) else ""
            raise ModelError(
                f"{name} is neither a directory nor in the local cache, and the hub does not answer: give a directory, "
                f"or try again with a network.{guess}"
            ) from None
        raise ModelError(f"{name} could not be loaded: {_first_line(error)}") from None
    except Exception as error:  # noqa: BLE001 - safetensors and tokenizers raise bare Exception subclasses
        raise ModelError(f"{name} could not be loaded (is it half written?): {_first_line(error)}") from None
    missing = sorted(report.get("missing_keys") or ())
    if missing:
        raise ModelError(
            f"{name} is half written: {len(missing)} weights are missing, the first is {missing[0]}. Copy it again."
        )
    return network.eval(), tokenizer


def _refuse_without_words(name: str, tokenizer: Any) -> None:
    """Where its files are missing, transformers 5.23 makes a tokenizer up that has no words: every text is empty."""
    if len(set(tokenizer("def f(x): return 1")["input_ids"])) < 2:
        raise ModelError(f"{name} has no usable tokenizer: it turns code into nothing. Copy its tokenizer files, too.")


def _hub_answers() -> bool:
    """False when the hub can't be reached: its client would try again for half a minute, per file."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:  # noqa: BLE001 - the classes are those of an HTTP client that changes with huggingface_hub
        return False
    return True


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
    core = _core(network, name=name)
    config = core.config.get_text_config()
    n_layers, d_model = _dimension(config, "num_hidden_layers"), _dimension(config, "hidden_size")
    path, layers = find_layers(network, n_layers=n_layers, model_type=config.model_type, name=name)
    eos = _eos_ids(core, tokenizer)
    accepts = _accepts_position_ids(network, core)
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
        embedding=core.get_input_embeddings(),
        head=core.get_output_embeddings(),
        pad_token_id=int(pad) if pad is not None else (eos[0] if eos else 0),
        eos_token_ids=eos,
        accepts_position_ids=accepts,
        fingerprint=_fingerprint(core, name=name, config=config, n_layers=n_layers, d_model=d_model),
    )
    checks = check_behaviour(
        network,
        layers,
        d_model=d_model,
        d_vocab=model.d_vocab,
        accepts_position_ids=accepts,
        device=model.device,
    )
    failed = {check: outcome for check, outcome in checks.items() if outcome not in ("ok", "not applicable")}
    if failed:
        check, outcome = next(iter(failed.items()))
        raise ModelError(f"{name}: the layers found at {path} fail the check {check}: {outcome}")
    return replace(model, checks=checks)


def _core(network: nn.Module, *, name: str) -> Any:
    """The outermost transformers model: the network itself, or what a wrapper holds."""
    from transformers import PreTrainedModel

    core = next((module for module in network.modules() if isinstance(module, PreTrainedModel)), None)
    if core is None:
        raise ModelError(
            f"{name} holds no transformers model: its config, embeddings and layers are unknown. Give a causal LM of "
            "transformers, or a module around one."
        )
    return core


def _accepts_position_ids(network: nn.Module, core: nn.Module) -> bool:
    outer, inner = (inspect.signature(module.forward).parameters for module in (network, core))
    passes_on = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in outer.values())
    return "position_ids" in outer or (passes_on and "position_ids" in inner)


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
    """The ModuleList of decoder layers: as long as the config says, in no other such list, the largest by weights.

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


def check_layers(model: Model, layers: Sequence[int]) -> None:
    """Raise LayerError for the first layer that the model does not have."""
    for layer in layers:
        if not 0 <= layer < model.n_layers:
            raise LayerError(
                f"layer {layer} does not exist: {model.name} has layers 0..{model.n_layers - 1}. "
                f"Choose --layers within 0..{model.n_layers - 1}."
            )
