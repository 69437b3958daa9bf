"""Files of sparse autoencoders: five producers' conventions, sites, and damaged files that are one line."""

from __future__ import annotations

import importlib.util
import json
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from conftest import tiny_model
from steerlab.autoencoders import SparseAutoencoder, decode, encode, reconstruct
from steerlab.errors import AutoencoderError, LayerError, MissingExtraError
from steerlab.formats.sae_saelens import read_saelens, write_saelens
from steerlab.formats.sae_sites import layer_of_site
from steerlab.latents.directions import decoder_direction
from steerlab.latents.loading import check_fits, load_sae

D_MODEL, N_LATENTS, K = 16, 64, 5
SAE_LENS = importlib.util.find_spec("sae_lens") is not None
needs_sae_lens = pytest.mark.skipif(not SAE_LENS, reason="sae-lens is not installed (pip install 'steerlab[sae]')")


def draw(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights with biases and thresholds that matter, decoder rows of unequal norm."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "W_enc": normal(D_MODEL, N_LATENTS) / 4,
        "W_dec": normal(N_LATENTS, D_MODEL) * (0.5 + torch.rand(N_LATENTS, 1, generator=generator)),
        "b_enc": normal(N_LATENTS) / 4,
        "b_dec": normal(D_MODEL) / 2,
        "threshold": 0.2 + torch.rand(N_LATENTS, generator=generator) / 2,
    }


def residuals(n: int = 50) -> torch.Tensor:
    return 2 * torch.randn(n, D_MODEL, generator=torch.Generator().manual_seed(99))


def write_gemma(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    own = folder / "gemma-scope-2b-pt-res" / "layer_2" / "width_64" / "average_l0_9"
    own.mkdir(parents=True)
    np.savez(own / "params.npz", **{name: tensor.numpy() for name, tensor in weights.items()})
    return own


def write_gemma_2(folder: Path, weights: dict[str, torch.Tensor], *, site: str = "model.layers.2.output") -> Path:
    own = folder / "resid_post" / "layer_2_width_64_l0_small"
    own.mkdir(parents=True)
    save_file({name.lower(): tensor for name, tensor in weights.items()}, own / "params.safetensors")
    settings = {"architecture": "jump_relu", "model_name": "gemma-v3-1b-pt", "hf_hook_point_in": site}
    (own / "config.json").write_text(json.dumps(settings))
    return own


def saelens_settings(architecture: str, **changes: object) -> dict[str, object]:
    settings: dict[str, object] = {
        "architecture": architecture,
        "d_in": D_MODEL,
        "d_sae": N_LATENTS,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"sae_lens_version": "6.0.0", "model_name": "tiny", "hook_name": "blocks.2.hook_resid_post"},
    }
    if architecture == "topk":
        settings |= {"k": K}
    return settings | changes


def write_in_saelens_form(folder: Path, settings: dict[str, object], weights: dict[str, torch.Tensor]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(settings))
    names = ["W_enc", "W_dec", "b_enc", "b_dec", *(["threshold"] if settings.get("architecture") == "jumprelu" else [])]
    save_file({name: weights[name] for name in names}, folder / "sae_weights.safetensors")
    return folder


def old_settings(**changes: object) -> dict[str, object]:
    """Flat keys, as SAELens wrote them before version 6."""
    return {
        "architecture": "standard",
        "d_in": D_MODEL,
        "d_sae": N_LATENTS,
        "dtype": "float32",
        "model_name": "gpt2-small",
        "hook_name": "blocks.3.hook_resid_pre",
        "hook_layer": 3,
        "activation_fn_str": "relu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "finetuning_scaling_factor": False,
        "sae_lens_training_version": "3.0.0",
    } | changes


def write_sparsify(
    folder: Path, weights: dict[str, torch.Tensor], *, name: str = "layers.2", **changes: object
) -> Path:
    own = folder / name
    own.mkdir(parents=True)
    settings = {"activation": "topk", "k": K, "d_in": D_MODEL, "num_latents": N_LATENTS, "transcode": False} | changes
    (own / "cfg.json").write_text(json.dumps(settings))
    tensors = {"encoder.weight": weights["W_enc"].T.contiguous(), "encoder.bias": weights["b_enc"]}
    save_file({**tensors, "W_dec": weights["W_dec"], "b_dec": weights["b_dec"]}, own / "sae.safetensors")
    return own


def write_llama_scope(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    own = folder / "Llama3_1-8B-Base-L2R-8x"
    (own / "checkpoints").mkdir(parents=True)
    settings = {
        "d_model": D_MODEL,
        "d_sae": N_LATENTS,
        "act_fn": "jumprelu",
        "jump_relu_threshold": 0.5,
        "hook_point_in": "blocks.2.hook_resid_post",
        "hook_point_out": "blocks.2.hook_resid_post",
        "dataset_average_activation_norm": {"in": 6.0, "out": 6.0},
    }
    (own / "hyperparams.json").write_text(json.dumps(settings))
    tensors = {
        "encoder.weight": weights["W_enc"].T.contiguous(),
        "encoder.bias": weights["b_enc"],
        "decoder.weight": weights["W_dec"].T.contiguous(),
        "decoder.bias": weights["b_dec"],
    }
    save_file(tensors, own / "checkpoints" / "final.safetensors")
    return own


def jumprelu(x: torch.Tensor, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """Gemma Scope's own formula."""
    pre = x @ weights["W_enc"] + weights["b_enc"]
    return torch.relu(pre) * (pre > weights["threshold"])


@pytest.mark.parametrize("write", [write_gemma, write_gemma_2])
def test_gemma_scope_is_jumprelu_without_b_dec_on_the_output_of_its_block(tmp_path, write):
    weights = draw()
    found = load_sae(write(tmp_path, weights))
    activations = jumprelu(residuals(), weights)
    assert (found.layer, found.activation, found.subtract_b_dec) == (2, "jumprelu", False)
    assert torch.allclose(encode(found, residuals()), activations, atol=1e-6)
    assert torch.allclose(reconstruct(found, residuals()), activations @ weights["W_dec"] + weights["b_dec"], atol=1e-5)
    assert 0.05 < float((activations > 0).float().mean()) < 0.95


def test_a_gemma_scope_file_can_be_given_itself_and_its_layer_is_checked(tmp_path):
    folder = write_gemma(tmp_path, draw())
    assert load_sae(folder / "params.npz", layer=2).sha256 == load_sae(folder).sha256
    with pytest.raises(AutoencoderError, match="reads the output of layer 2, not of layer 5"):
        load_sae(folder, layer=5)


def test_a_gemma_scope_file_without_a_layer_above_it_asks_for_one(tmp_path):
    shutil.copy(write_gemma(tmp_path / "from", draw()) / "params.npz", tmp_path / "params.npz")
    with pytest.raises(AutoencoderError, match="does not say which layer it reads"):
        load_sae(tmp_path)
    assert load_sae(tmp_path, layer=7).layer == 7


@pytest.mark.parametrize("family", ["gemma-scope-2b-pt-att", "gemma-scope-2b-pt-mlp", "gemma-scope-2b-pt-transcoders"])
def test_gemma_scope_of_another_site_is_refused(tmp_path, family):
    folder = tmp_path / family / "layer_2" / "width_64"
    folder.parent.mkdir(parents=True)
    shutil.copytree(write_gemma(tmp_path / "from", draw()), folder)
    with pytest.raises(AutoencoderError, match="not the output of a block"):
        load_sae(folder)


@pytest.mark.parametrize(
    ("site", "layer"),
    [
        ("blocks.0.hook_resid_post", 0),
        ("blocks.12.hook_resid_post", 12),
        ("blocks.12.hook_resid_pre", 11),
        ("model.layers.5", 5),
        ("model.layers.5.output", 5),
        ("transformer.h.3", 3),
        ("layers.7", 7),
    ],
)
def test_the_residual_stream_is_found_under_its_names(site, layer):
    assert layer_of_site(site, name="it") == layer


@pytest.mark.parametrize(
    "site",
    ["blocks.0.hook_resid_pre", "blocks.3.hook_mlp_out", "blocks.3.attn.hook_z", "blocks.3.hook_resid_mid",
     "hook_embed", "layers.3.mlp", "model.layers.3.self_attn.o_proj.input", "blocks.3.ln1.hook_normalized", "",
     "embed_tokens"],
)  # fmt: skip
def test_other_sites_are_refused_with_the_reason(site):
    with pytest.raises(AutoencoderError, match="no layer's output|not the output of a block") as caught:
        layer_of_site(site, name="it")
    assert "\n" not in str(caught.value)


def test_saelens_of_version_6_and_before_are_read_alike(tmp_path):
    weights = draw()
    new = load_sae(write_in_saelens_form(tmp_path / "new", saelens_settings("standard"), weights))
    old = load_sae(write_in_saelens_form(tmp_path / "old", old_settings(), weights))
    oldest = {
        key: value for key, value in old_settings(hook_point="blocks.2.hook_resid_post").items() if key != "hook_name"
    }
    assert (new.layer, old.layer, old.site) == (2, 2, "blocks.3.hook_resid_pre")
    assert load_sae(write_in_saelens_form(tmp_path / "oldest", oldest, weights)).layer == 2
    expected = torch.relu((residuals() - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"])
    for found in (new, old):
        assert torch.allclose(encode(found, residuals()), expected, atol=1e-5)


def test_topk_keeps_the_k_largest(tmp_path):
    found = load_sae(write_in_saelens_form(tmp_path / "sae", saelens_settings("topk"), draw()))
    activations = encode(found, residuals())
    assert int((activations > 0).sum(dim=1).max()) == K
    old = old_settings(activation_fn_str="topk", activation_fn_kwargs={"k": K})
    assert torch.equal(encode(load_sae(write_in_saelens_form(tmp_path / "old", old, draw())), residuals()), activations)


def test_sparsify_has_a_transposed_encoder_and_subtracts_b_dec(tmp_path):
    weights = draw()
    found = load_sae(write_sparsify(tmp_path, weights))
    as_saelens = load_sae(write_in_saelens_form(tmp_path / "sae", saelens_settings("topk"), weights))
    assert (found.layer, found.k, found.producer) == (2, K, "sparsify")
    assert torch.allclose(encode(found, residuals()), encode(as_saelens, residuals()), atol=1e-6)
    assert torch.allclose(reconstruct(found, residuals()), reconstruct(as_saelens, residuals()), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("layers.2.mlp", {}, "not the output of a block"),
        ("layers.2", {"transcode": True}, "transcode is set"),
        ("layers.2", {"skip_connection": True}, "skip_connection is set"),
        ("layers.2", {"activation": "groupmax"}, "only topk"),
        ("layers.2", {"k": 0}, "k within 1..64"),
        ("layers.2", {"k": "many"}, "k must be of type int"),
        ("embed_tokens", {}, "not the output of a block"),
    ],
)
def test_sparsify_directories_that_are_no_residual_autoencoder_are_refused(tmp_path, name, changes, message):
    folder = write_sparsify(tmp_path, draw(), name=name, **changes)
    for layer in (None, 2):
        with pytest.raises(AutoencoderError, match=message):
            load_sae(folder, layer=layer)


def test_llama_scope_is_scaled_by_the_average_norm(tmp_path):
    weights = draw()
    found = load_sae(write_llama_scope(tmp_path, weights))
    scale = D_MODEL**0.5 / 6.0
    pre = scale * residuals() @ weights["W_enc"] + weights["b_enc"]
    activations = torch.relu(pre) * (pre > 0.5 * scale)
    assert torch.allclose(encode(found, residuals()), activations, atol=1e-5)
    rebuilt = (activations @ weights["W_dec"] + weights["b_dec"]) / scale
    assert torch.allclose(reconstruct(found, residuals()), rebuilt, atol=1e-5)
    assert load_sae(tmp_path / "Llama3_1-8B-Base-L2R-8x" / "checkpoints" / "final.safetensors").layer == 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_any_type_are_computed_with_in_float32(tmp_path, dtype, monkeypatch):
    weights = {name: tensor.to(dtype) for name, tensor in draw().items()}
    folder = write_in_saelens_form(tmp_path, saelens_settings("jumprelu"), weights)
    found = load_sae(folder)
    exact = {name: tensor.float() for name, tensor in weights.items()}
    whole = encode(found, residuals())
    assert whole.dtype == torch.float32
    assert torch.allclose(whole, jumprelu(residuals() - exact["b_dec"], exact), atol=1e-5)
    monkeypatch.setattr("steerlab.autoencoders.BYTES_AT_ONCE", 4 * N_LATENTS * 3)  # 3 rows, 12 latents at a time
    assert torch.allclose(encode(found, residuals()), whole, atol=1e-5)
    assert torch.allclose(decode(found, whole), whole @ exact["W_dec"] + exact["b_dec"], atol=1e-4)


@pytest.mark.parametrize("activation", ["relu", "jumprelu", "topk"])
def test_what_is_written_is_read_back_the_same(tmp_path, activation):
    weights = draw()
    made = SparseAutoencoder(
        w_enc=weights["W_enc"],
        w_dec=weights["W_dec"],
        b_enc=weights["b_enc"],
        b_dec=weights["b_dec"],
        activation=activation,
        threshold=weights["threshold"] if activation == "jumprelu" else None,
        k=K if activation == "topk" else None,
        subtract_b_dec=activation != "relu",
        layer=2,
        site="blocks.2.hook_resid_post",
        name="mine",
        model="tiny",
        producer="steerlab",
        sha256="",
    )
    written = write_saelens(made, tmp_path / "mine", facts={"note": "a test"})
    found = read_saelens(tmp_path / "mine")
    assert found.describe() == written.describe() and len(found.sha256) == 64
    assert torch.equal(encode(found, residuals()), encode(made, residuals()))


def test_a_folder_of_layers_asks_which_one(tmp_path):
    for layer in (2, 4):
        metadata = {"hook_name": f"blocks.{layer}.hook_resid_post"}
        write_in_saelens_form(tmp_path / f"layer-{layer}", saelens_settings("standard", metadata=metadata), draw(layer))
    assert load_sae(tmp_path, layer=4).layer == 4
    with pytest.raises(AutoencoderError, match="of layers 2, 4, and no layer was given"):
        load_sae(tmp_path)
    with pytest.raises(AutoencoderError, match="of layers 2, 4, and there is none of layer 3"):
        load_sae(tmp_path, layer=3)


def test_an_autoencoder_of_another_model_is_one_line(tmp_path):
    found = load_sae(write_gemma_2(tmp_path, draw()))
    model = tiny_model("llama")
    for attempt in (lambda: check_fits(model, found), lambda: decoder_direction(found, 0, model=model)):
        with pytest.raises(AutoencoderError, match="has d_model 16 .it is for gemma-v3-1b-pt., tiny-llama has 32"):
            attempt()
    with pytest.raises(AutoencoderError, match="encodes residuals of d_model 16; these have 32"):
        encode(found, torch.zeros(2, 32))
    narrow = tiny_model("llama", hidden_size=16, num_hidden_layers=2)
    with pytest.raises(LayerError, match="layer 2 does not exist"):
        check_fits(narrow, found)


def test_a_latent_that_does_not_exist_is_one_line(tmp_path):
    found = load_sae(write_gemma_2(tmp_path, draw()))
    model = tiny_model("llama", hidden_size=16)
    assert decoder_direction(found, 63, model=model).layers == (2,)
    with pytest.raises(AutoencoderError, match=r"latent 64 does not exist: .* has latents 0..63"):
        decoder_direction(found, 64, model=model)


@pytest.mark.parametrize("architecture", ["gated", "transcoder", "temporal", "matching_pursuit", 7])
def test_other_architectures_are_refused_by_name(tmp_path, architecture):
    folder = write_in_saelens_form(tmp_path, saelens_settings("standard") | {"architecture": architecture}, draw())
    with pytest.raises(AutoencoderError, match=f"{architecture}"):
        load_sae(folder)


def test_batchtopk_without_its_threshold_is_refused(tmp_path):
    folder = write_in_saelens_form(tmp_path, saelens_settings("batchtopk"), draw())
    with pytest.raises(AutoencoderError, match="lacks threshold"):
        load_sae(folder)


def test_pickles_are_never_loaded(tmp_path):
    folder = tmp_path / "layer_2"
    folder.mkdir()
    np.savez(folder / "params.npz", **{name: np.asarray([{"a": 1}], dtype=object) for name in draw()})
    with pytest.raises(AutoencoderError, match="pickle"):
        load_sae(folder)
    (folder / "params.npz").write_bytes(pickle.dumps({"W_enc": 1}))
    with pytest.raises(AutoencoderError, match="pickle"):
        load_sae(folder)


def test_a_missing_directory_or_an_empty_one_says_what_is_known(tmp_path):
    with pytest.raises(AutoencoderError, match="does not exist"):
        load_sae(tmp_path / "none")
    with pytest.raises(AutoencoderError, match="no autoencoder of a known format.*params.npz"):
        load_sae(tmp_path)


@pytest.mark.skipif(SAE_LENS, reason="sae-lens is installed here")
def test_a_name_without_sae_lens_says_how_to_install_it():
    with pytest.raises(MissingExtraError, match=r"pip install 'steerlab\[sae\]'"):
        load_sae("gemma-scope-2b-pt-res-canonical", layer=12)


WRITERS = {
    "gemma": write_gemma,
    "gemma-2": write_gemma_2,
    "saelens": lambda folder, weights: write_in_saelens_form(folder / "s", saelens_settings("jumprelu"), weights),
    "sparsify": write_sparsify,
    "llama-scope": write_llama_scope,
}


@pytest.fixture(scope="module", params=list(WRITERS))
def good_directory(request, tmp_path_factory):
    return WRITERS[request.param](tmp_path_factory.mktemp(request.param), draw())


def survives(folder: Path) -> None:
    """Loading gives an autoencoder or one line, nothing else."""
    try:
        found = load_sae(folder)
        assert torch.isfinite(encode(found, residuals(2))).all()
    except AutoencoderError as error:
        assert "\n" not in str(error)


@given(st.data())
def test_a_damaged_file_is_one_line_or_an_autoencoder(good_directory, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged") / good_directory.parent.name / good_directory.name
    shutil.copytree(good_directory, folder)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    victim = data.draw(st.sampled_from(files))
    content = bytearray(victim.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    else:
        head = min(len(content), 600)  # headers and settings, where damage tells
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, head - 1))] = data.draw(st.integers(0, 255))
    victim.write_bytes(bytes(content))
    survives(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_any_value_of_any_setting_is_one_line_or_an_autoencoder(good_directory, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("changed") / good_directory.parent.name / good_directory.name
    shutil.copytree(good_directory, folder)
    for file in folder.glob("*.json"):
        settings = json.loads(file.read_text())
        settings[data.draw(st.sampled_from([*sorted(settings), "hook_head_index", "activation_fn"]))] = data.draw(JSON)
        file.write_text(json.dumps(settings))
    survives(folder)


def largest_difference(ours: SparseAutoencoder, theirs: object) -> float:
    """Over encoding and reconstruction."""
    with torch.no_grad():
        encoded = theirs.encode(residuals())
        difference = float((encode(ours, residuals()) - encoded).abs().max())
        again = float((reconstruct(ours, residuals()) - theirs.decode(theirs.encode(residuals()))).abs().max())
    assert float((encoded > 0).float().mean()) > 0.01
    return max(difference, again)


CASES = {
    "standard": saelens_settings("standard"),
    "standard without b_dec": saelens_settings("standard", apply_b_dec_to_input=False),
    "jumprelu": saelens_settings("jumprelu"),
    "topk": saelens_settings("topk"),
    "topk by decoder norm": saelens_settings("topk", rescale_acts_by_decoder_norm=True),
    "layer norm": saelens_settings("jumprelu", normalize_activations="layer_norm"),
    "constant norm": saelens_settings("standard", normalize_activations="constant_norm_rescale"),
    "expected average": saelens_settings("jumprelu", normalize_activations="expected_average_only_in"),
    "before version 6": old_settings(hook_name="blocks.2.hook_resid_post"),
    "before version 6, jumprelu": old_settings(architecture="jumprelu", hook_name="blocks.2.hook_resid_post"),
    "before version 6, topk": old_settings(
        activation_fn_str="topk", activation_fn_kwargs={"k": K}, hook_name="blocks.2.hook_resid_post"
    ),
}


@needs_sae_lens
@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.filterwarnings("ignore")
def test_encoding_and_reconstruction_equal_sae_lens(tmp_path, case, record_property):
    from sae_lens import SAE

    folder = write_in_saelens_form(tmp_path, dict(CASES[case]), draw())
    found = largest_difference(load_sae(folder), SAE.load_from_disk(folder))
    record_property("largest difference", found)
    print(f"{case}: {found:.1e}")
    assert found < 1e-5


@needs_sae_lens
@pytest.mark.parametrize("family", ["gemma_2", "gemma_3", "llama_scope"])
@pytest.mark.filterwarnings("ignore")
def test_encoding_equals_sae_lens_own_loaders_of_other_producers(tmp_path, family, monkeypatch):
    """sae-lens's loaders of hub files, handed the files of a directory instead of downloads."""
    from sae_lens import SAE
    from sae_lens.loading import pretrained_sae_loaders as loaders

    write = {"gemma_2": write_gemma, "gemma_3": write_gemma_2, "llama_scope": write_llama_scope}[family]
    folder = write(tmp_path, draw())

    def local(repo_id: str, filename: str, subfolder: str = "", **_: object) -> str:
        found = folder / "checkpoints" / filename if "checkpoints" in subfolder else folder / Path(filename).name
        assert found.exists()
        return str(found)

    monkeypatch.setattr(loaders, "hf_hub_download", local)
    shapes = {"w_enc": [D_MODEL, N_LATENTS], "w_dec": [N_LATENTS, D_MODEL]}
    monkeypatch.setattr(loaders, "get_safetensors_tensor_shapes", lambda repo_id, filename: shapes)
    repo, name = {
        "gemma_2": ("google/gemma-scope-2b-pt-res", "layer_2/width_16k/average_l0_9"),
        "gemma_3": ("google/gemma-scope-2-1b-pt", "resid_post/layer_2_width_16k_l0_small"),
        "llama_scope": ("fnlp/Llama3_1-8B-Base-LXR-8x", "Llama3_1-8B-Base-L2R-8x"),
    }[family]
    changes = {"dtype": "float32", "d_sae": N_LATENTS, "d_in": D_MODEL}
    settings, weights, _ = loaders.NAMED_PRETRAINED_SAE_LOADERS[f"{family}"](repo, name, "cpu", False, changes)
    settings = loaders.handle_config_defaulting(settings)
    kind = SAE.get_sae_class_for_architecture(settings["architecture"])
    theirs = kind(SAE.get_sae_config_class_for_architecture(settings["architecture"]).from_dict(settings))
    theirs.load_state_dict(weights)
    if family == "llama_scope":
        theirs.fold_activation_norm_scaling_factor(D_MODEL**0.5 / 6.0)
    found = largest_difference(load_sae(folder), theirs)
    print(f"{family}: {found:.1e}")
    assert found < 1e-5


@needs_sae_lens
@pytest.mark.filterwarnings("ignore")
def test_what_we_write_is_read_by_sae_lens(tmp_path):
    from sae_lens import SAE

    for case in ("standard", "jumprelu", "topk"):
        ours = load_sae(write_in_saelens_form(tmp_path / case, dict(CASES[case]), draw()))
        write_saelens(ours, tmp_path / "again" / case, facts={"training": {"seed": 0}})
        theirs = SAE.load_from_disk(tmp_path / "again" / case)
        assert largest_difference(ours, theirs) < 1e-5
        assert theirs.cfg.metadata.hook_name == "blocks.2.hook_resid_post"


@needs_sae_lens
@pytest.mark.filterwarnings("ignore")
def test_a_release_is_found_by_name_and_layer(monkeypatch, tmp_path):
    import sae_lens

    asked = {}
    folder = write_in_saelens_form(tmp_path, saelens_settings("jumprelu"), draw())

    def from_pretrained(release: str, sae_id: str, device: str) -> object:
        asked.update(release=release, sae_id=sae_id)
        return sae_lens.SAE.load_from_disk(folder)

    monkeypatch.setattr(sae_lens.SAE, "from_pretrained", from_pretrained)
    found = load_sae("gemma-scope-2b-pt-res-canonical:layer_2/width_16k/canonical")
    assert asked["sae_id"] == "layer_2/width_16k/canonical" and "gemma-scope" in found.name
    assert torch.allclose(encode(found, residuals()), encode(load_sae(folder), residuals()), atol=1e-6)
    with pytest.raises(AutoencoderError, match="has [0-9]+ autoencoders of layer 12: give one as .*:ID"):
        load_sae("gemma-scope-2b-pt-res", layer=12)
    with pytest.raises(AutoencoderError, match="Did you mean gemma-scope-2b-pt-res"):
        load_sae("gemma-scope-2b-pt-re", layer=12)
    with pytest.raises(AutoencoderError, match="has no autoencoder of layer 99"):
        load_sae("gemma-scope-2b-pt-res", layer=99)
    with warnings.catch_warnings(), pytest.raises(AutoencoderError, match="has no 'layer_2'"):
        load_sae("gemma-scope-2b-pt-res-canonical:layer_2")
