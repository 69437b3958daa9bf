"""Reading latents from a model: every token once, padding never; measures; the autoencoders of the package."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import loaded_model, tiny_model
from steerlab import Decoding, Intervention, capture, generate
from steerlab.autoencoders import SparseAutoencoder, encode, reconstruct
from steerlab.cli import app
from steerlab.embedded import autoencoder_directories
from steerlab.errors import AutoencoderError, DataError
from steerlab.latents import decoder_direction, latent_frequency, load_sae
from steerlab.latents.measures import measure
from steerlab.latents.reading import token_residuals
from steerlab.latents.texts import token_rows
from steerlab.ordinary import MODULES, ordinary_code, standard_library
from test_latent_ranking import random_autoencoder

TEXTS = ["def f(x):\n    return x\n", "a longer text, so that the other one is padded in their batch", "x = 1"]


def identity(d_model: int, *, layer: int) -> SparseAutoencoder:
    """Every coordinate and its negative: reconstructs any residual."""
    eye = torch.eye(d_model)
    return SparseAutoencoder(
        w_enc=torch.cat([eye, -eye], dim=1),
        w_dec=torch.cat([eye, -eye]),
        b_enc=torch.zeros(2 * d_model),
        b_dec=torch.zeros(d_model),
        activation="relu",
        layer=layer,
        site=f"blocks.{layer}.hook_resid_post",
        name="identity",
        model="",
        producer="test",
        sha256="",
    )


def test_every_token_but_the_first_is_read_once_as_if_its_text_were_alone(model):
    rows = token_rows(model, TEXTS, longest=500)
    together = {}
    for batch, residual in token_residuals(model, rows, layer=2):
        parts = torch.split(residual, [len(rows[i]) - 1 for i in batch])
        together.update(zip(batch, parts, strict=True))
    assert sorted(together) == [0, 1, 2]
    for i, text in enumerate(TEXTS):
        assert torch.allclose(together[i][-1], capture(model, [text], layers=[2])[2][0], atol=1e-4)
        ((_, alone),) = token_residuals(model, [rows[i]], layer=2)
        assert torch.allclose(together[i], alone, atol=1e-4)


def test_frequency_is_the_share_of_tokens_on_which_a_latent_is_active():
    model, autoencoder = tiny_model("llama"), random_autoencoder(layer=2)
    found = latent_frequency(model, autoencoder, TEXTS)
    rows = token_rows(model, TEXTS, longest=500)
    active = torch.cat([encode(autoencoder, part) > 0 for _, part in token_residuals(model, rows, layer=2)])
    assert found == pytest.approx(active.double().mean(dim=0).numpy()) and 0 < found.max() <= 1
    with pytest.raises(DataError, match="no token after their first"):
        latent_frequency(model, autoencoder, ["x"])


def test_an_autoencoder_that_loses_nothing_recovers_all_of_the_loss(model):
    measures = measure(model, identity(model.d_model, layer=2), TEXTS)
    assert measures.explained_variance.value == pytest.approx(1.0, abs=1e-5)
    assert measures.loss_reconstructed.value == pytest.approx(measures.loss.value, abs=1e-4)
    assert measures.recovered_zero.value == pytest.approx(1.0, abs=1e-3)
    assert measures.l0.value == pytest.approx(model.d_model, rel=0.05) and measures.loss.n == 3


def test_an_autoencoder_that_gives_its_bias_recovers_what_its_ablation_does():
    model = tiny_model("llama")
    silent = replace(identity(32, layer=2), b_enc=torch.full((64,), -1e6))
    zero = measure(model, silent, TEXTS)
    assert zero.recovered_zero.value == pytest.approx(0.0, abs=1e-5) and zero.silent == 1.0 and zero.l0.value == 0
    rows = token_rows(model, TEXTS, longest=500)
    mean = torch.cat([part for _, part in token_residuals(model, rows, layer=2)]).mean(dim=0)
    at_mean = measure(model, replace(silent, b_dec=mean), TEXTS)
    assert at_mean.recovered_mean.value == pytest.approx(0.0, abs=1e-4)
    assert at_mean.explained_variance.value == pytest.approx(0.0, abs=1e-4)
    assert at_mean.loss_reconstructed.value != pytest.approx(zero.loss_reconstructed.value, abs=1e-3)


def test_measuring_leaves_no_hook_behind():
    model = tiny_model("llama")
    before = sum(len(module._forward_hooks) for module in model.network.modules())
    measure(model, identity(32, layer=1), TEXTS[:1])
    assert sum(len(module._forward_hooks) for module in model.network.modules()) == before


def test_steering_with_a_decoder_row_raises_the_latent_by_the_coefficient():
    model, autoencoder = tiny_model("llama"), identity(32, layer=1)
    vector = decoder_direction(autoencoder, 5, model=model)
    from steerlab import steer

    plain = capture(model, TEXTS, layers=[1])[1]
    with steer(model, Intervention(vector=vector, coefficient=100.0)):
        steered = capture(model, TEXTS, layers=[1])[1]
    moved = encode(autoencoder, steered)[:, 5] - plain[:, 5]
    assert torch.allclose(moved, torch.full((3,), 100.0), atol=1e-3)


def test_the_package_carries_two_autoencoders_of_its_model_within_15_megabytes():
    model = loaded_model("embedded")
    folders = autoencoder_directories()
    assert len(folders) >= 2
    assert sum(file.stat().st_size for folder in folders.values() for file in folder.iterdir()) < 15e6
    for layer, folder in folders.items():
        settings = json.loads((folder / "cfg.json").read_text())
        assert settings["metadata"]["model_sha256"] == model.fingerprint.sha256, "make embedded-sae: the model is new"
        autoencoder = load_sae("embedded", layer=layer)
        assert (autoencoder.layer, autoencoder.n_latents, autoencoder.activation) == (layer, 2048, "jumprelu")
        assert float(autoencoder.w_dec.norm(dim=1).sub(1).abs().max()) < 1e-5
    with pytest.raises(AutoencoderError, match="choose one of them"):
        load_sae("embedded")


@pytest.mark.parametrize("layer", [2, 4])
def test_the_packages_autoencoders_explain_the_residual_of_ordinary_code(layer):
    model = loaded_model("embedded")
    measures = measure(model, load_sae("embedded", layer=layer), [text.text for text in ordinary_code()][:4])
    assert measures.explained_variance.low > 0.7 and measures.recovered_mean.low > 0.85
    assert 15 < measures.l0.value < 60


def test_a_latent_of_the_package_steers_completions():
    model = loaded_model("embedded")
    autoencoder = load_sae("embedded", layer=4)
    prompt = "def total(numbers):\n"
    latent = int(encode(autoencoder, capture(model, [prompt], layers=[4])[4])[0].argmax())
    push = Intervention(vector=decoder_direction(autoencoder, latent, model=model), coefficient=-100.0)
    plain, pushed = (
        generate(model, [prompt], decoding=Decoding(max_new_tokens=12), rows=[own])[0].text for own in ((), (push,))
    )
    assert plain != pushed


def test_the_library_to_train_on_leaves_out_what_is_measured_on():
    found = standard_library()
    assert len(found) > 50 and not set(found) & set(MODULES)


def test_show_prints_facts_and_figures(capsys):
    loaded_model("embedded")
    app(["latents", "show", "embedded", "--layer", "2", "--model", "embedded", "--json"], standalone_mode=False)
    facts = json.loads(capsys.readouterr().out)
    assert (
        facts["n_latents"] == 2048 and facts["site"] == "blocks.2.hook_resid_post" and facts["producer"] == "steerlab"
    )
    assert 0.7 < facts["explained_variance"]["value"] < 1 and facts["explained_variance"]["n"] == 12
    app(["latents", "show", "embedded", "--layer", "2"], standalone_mode=False)
    assert "jumprelu" in capsys.readouterr().out


def test_reconstruction_in_parts_is_that_of_all_rows(monkeypatch):
    autoencoder = random_autoencoder()
    residual = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 32)).astype(np.float32))
    whole = reconstruct(autoencoder, residual)
    monkeypatch.setattr("steerlab.autoencoders.BYTES_AT_ONCE", 4 * 256 * 3)
    assert torch.allclose(reconstruct(autoencoder, residual), whole, atol=1e-5)
    assert reconstruct(autoencoder, residual[:0]).shape == (0, 32)


def test_the_how_to_runs_from_top_to_bottom(capsys):
    loaded_model("embedded")
    page = Path(__file__).parents[1].joinpath("docs", "how-to", "latents.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "latents.md", "exec"), names)
    assert len(blocks) == 4 and "AUROC" in capsys.readouterr().out
    ranking = names["ranking"]
    assert ranking.n_general + ranking.n_silent + ranking.n_tested == 2048
