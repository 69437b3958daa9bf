"""Training autoencoders: a planted dictionary is found, a killed run ends as if it had not been killed."""

from __future__ import annotations

import json

import pytest
import torch

from conftest import save_tiny, tiny_model
from steerlab.autoencoders import encode
from steerlab.cli import app
from steerlab.errors import DataError, LayerError, OptionError, RunError
from steerlab.latents import load_sae, training
from steerlab.latents.checkpoints import State, fresh_state
from steerlab.latents.measures import measure
from steerlab.latents.texts import divided, pieces, read_texts, round_of
from steerlab.latents.training import TrainingSettings, train
from steerlab.ordinary import standard_library

MODEL = "llama"


@pytest.fixture(scope="module")
def texts():
    library = standard_library()
    return divided({name: library[name][:6000] for name in ("argparse", "ast", "cgi", "code", "copy", "dis", "pdb")
                    if name in library})  # fmt: skip


def settings(**changes):
    return TrainingSettings(**{"layer": 1, "n_latents": 64, "k": 8, "tokens": 6000, "dead_tokens": 1500, **changes})


@pytest.fixture(autouse=True)
def small_rounds(monkeypatch):
    """A tiny model's tokens are bytes: a round of 96 texts would be far more than these runs show."""
    monkeypatch.setattr(training, "ROUND_TEXTS", 3)
    monkeypatch.setattr(training, "CHECKPOINT_ROUNDS", 1)


@pytest.mark.parametrize("kind", ["topk", "batchtopk"])
def test_a_trained_autoencoder_explains_more_than_an_untrained_one(tmp_path, texts, kind):
    model = tiny_model(MODEL)
    short = train(model, texts, settings(kind=kind, tokens=512), folder=tmp_path / "short")
    reports = []
    trained = train(model, texts, settings(kind=kind, tokens=20_000), folder=tmp_path / "long", step=reports.append)
    held_out = texts.held_out[:4]
    before, after = (measure(model, found, held_out) for found in (short, trained))
    assert after.explained_variance.value > before.explained_variance.value + 0.2
    assert after.recovered_mean.value > before.recovered_mean.value
    assert after.l0.value <= 8 if kind == "topk" else 4 < after.l0.value < 14
    assert reports[-1].tokens == reports[-1].total == 20_000
    assert trained.activation == ("topk" if kind == "topk" else "jumprelu")
    again = load_sae(tmp_path / "long")
    assert again.describe() == trained.describe() and not (tmp_path / "long" / "checkpoint.safetensors").exists()


def sums_of_few(monkeypatch: pytest.MonkeyPatch, d_model: int) -> torch.Tensor:
    """Residuals are sums of few of 16 directions, which are given back."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.nn.functional.normalize(torch.randn(16, d_model, generator=generator), dim=1)

    def made(*_: object) -> torch.Tensor:
        active = (torch.rand(2048, 16, generator=generator) < 0.12) * (1 + torch.rand(2048, 16, generator=generator))
        return active @ truth + 0.01 * torch.randn(2048, d_model, generator=generator)

    monkeypatch.setattr(training, "_residuals", made)
    return truth


def test_planted_directions_are_recovered(monkeypatch, tmp_path, texts):
    model = tiny_model(MODEL)
    truth = sums_of_few(monkeypatch, model.d_model)
    found = train(model, texts, settings(n_latents=32, k=2, tokens=80_000, rate=3e-3), folder=tmp_path)
    likeness = (found.w_dec @ truth.T).max(dim=0).values
    assert int((likeness > 0.9).sum()) >= 14
    assert torch.allclose(found.w_dec.norm(dim=1), torch.ones(32), atol=1e-5)
    single = encode(found, 1.5 * truth)
    assert float((single > 0).float().sum(dim=1).mean()) < 4


class KilledError(Exception):
    pass


def test_a_killed_training_that_is_resumed_ends_bit_for_bit_as_if_it_had_not_been(tmp_path, texts):
    model = tiny_model(MODEL)
    whole = train(model, texts, settings(), folder=tmp_path / "whole")
    seen = []

    def kill(report):
        seen.append(report)
        if len(seen) == 2:
            raise KilledError

    with pytest.raises(KilledError):
        train(model, texts, settings(), folder=tmp_path / "killed", step=kill)
    assert (tmp_path / "killed" / "checkpoint.safetensors").exists()
    with pytest.raises(RunError, match="holds an unfinished training: go on with --resume"):
        train(model, texts, settings(), folder=tmp_path / "killed")
    rest = []
    resumed = train(model, texts, settings(), folder=tmp_path / "killed", resume=True, step=rest.append)
    assert rest[0].tokens > seen[-1].tokens
    assert resumed.sha256 == whole.sha256
    assert train(model, texts, settings(seed=1), folder=tmp_path / "other").sha256 != whole.sha256


@pytest.mark.parametrize("damage", ["other settings", "cut", "not one"])
def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path, texts, small_rounds, damage):
    model = tiny_model(MODEL)

    def kill(report):
        raise KilledError

    with pytest.raises(KilledError):
        train(model, texts, settings(), folder=tmp_path, step=kill)
    path = tmp_path / "checkpoint.safetensors"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "not one":
        path.write_bytes(b"{}")
    own = settings(k=9) if damage == "other settings" else settings()
    with pytest.raises(RunError, match="other settings" if damage == "other settings" else "is damaged") as caught:
        train(model, texts, own, folder=tmp_path, resume=True)
    assert "\n" not in str(caught.value)


def test_dead_latents_are_brought_back(monkeypatch, tmp_path, texts):
    """Latents whose bias keeps them silent get no gradient of their own: the auxiliary loss gives them one."""
    model = tiny_model(MODEL)
    sums_of_few(monkeypatch, model.d_model)
    rows = torch.nn.functional.normalize(torch.randn(32, 32, generator=torch.Generator().manual_seed(1)), dim=1)
    bias = torch.where(torch.arange(32) < 24, -2.0, 0.0)

    def first(*_: object) -> State:
        weights = {"w_enc": rows.T.contiguous(), "w_dec": rows.clone(), "b_enc": bias.clone(), "b_dec": torch.zeros(32)}
        return fresh_state(weights, scale=1.0)

    monkeypatch.setattr(training, "_first_state", first)
    own = settings(n_latents=32, k=2, tokens=80_000, dead_tokens=1000, rate=3e-3)
    dead = []
    for weight in (training.AUXILIARY, 0.0):
        monkeypatch.setattr(training, "AUXILIARY", weight)
        reports = []
        train(model, texts, own, folder=tmp_path / str(weight), step=reports.append)
        dead.append(reports[-1].dead)
    assert dead[1] > 0.7 and dead[0] < 0.55


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"layer": 9}, LayerError, "layer 9 does not exist"),
        ({"k": 65}, OptionError, "k 65 is not possible with 64 latents"),
        ({"kind": "relu"}, OptionError, "kind 'relu' does not exist"),
        ({"tokens": 10}, OptionError, "10 tokens"),
    ],
)
def test_settings_that_are_not_possible_are_one_line(tmp_path, texts, changes, error, message):
    with pytest.raises(error, match=message):
        train(tiny_model(MODEL), texts, settings(**changes), folder=tmp_path)


def test_all_texts_come_by_before_any_comes_again():
    texts = [str(i) for i in range(7)]
    seen = [text for number in range(7) for text in round_of(texts, number, size=3, seed=0)]
    assert [sorted(seen[start : start + 7]) for start in (0, 7, 14)] == [texts] * 3 and seen[:7] != seen[7:14]


def test_held_out_texts_are_whole_files_and_do_not_depend_on_the_others(tmp_path):
    texts = {f"f{i}.py": f"def f{i}():\n" + "    pass  # long enough to be kept as a piece\n" * 20 for i in range(80)}
    split = divided(texts)
    assert split.held_out and not set(split.training) & set(split.held_out)
    fewer = divided(dict(list(texts.items())[:60]))
    assert set(fewer.held_out) <= set(split.held_out)
    assert "".join(pieces(texts["f1.py"])) == texts["f1.py"]


def test_texts_are_read_from_files_and_folders(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe")
    (tmp_path / "c.c").write_bytes(b"\xff\xfe")
    assert read_texts(tmp_path) == read_texts(tmp_path / "a.py") == {"a.py": "x = 1\n"}
    with pytest.raises(DataError, match="does not exist"):
        read_texts(tmp_path / "none")
    with pytest.raises(DataError, match="too few"):
        divided({"a.py": "x = 1\n"})


def test_the_command_trains_writes_and_prints_figures(tmp_path, capsys):
    model = save_tiny(MODEL, tmp_path / "model")
    (tmp_path / "code").mkdir()
    for name, text in list(standard_library().items())[:6]:
        (tmp_path / "code" / f"{name}.py").write_text(text[:5000])
    settings_given = ["--layer", "1", "--tokens", "2048", "--latents", "64", "--k", "4", "--device", "cpu", "--json"]
    places = ["--model", str(model), "--out", str(tmp_path / "sae"), "--texts", str(tmp_path / "code")]
    command = ["latents", "train", *places, *settings_given]
    app(command, standalone_mode=False)
    facts = json.loads(capsys.readouterr().out)
    assert facts["n_latents"] == 64 and facts["measured_on"] == "held-out texts" and facts["n_tokens"] > 0
    assert load_sae(tmp_path / "sae").layer == 1
