"""Ranking of latents: a planted one comes first, unscored problems are in no class, scores carry intervals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score, roc_auc_score

from conftest import tiny_model
from steerlab.autoencoders import SparseAutoencoder, encode
from steerlab.directions import find_direction
from steerlab.errors import DataError, OptionError
from steerlab.latents.directions import decoder_direction, probe_direction, random_latents
from steerlab.latents.ranking import rank_latents
from steerlab.latents.scoring import auroc, choose_f1_threshold, score_by_group, score_prediction

D_MODEL, N_LATENTS = 32, 256


def random_autoencoder(seed: int = 0, *, n_latents: int = N_LATENTS, layer: int = 1) -> SparseAutoencoder:
    """Random unit directions; a latent is active where the residual has more than 1.5 along its own."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(n_latents, D_MODEL, generator=generator), dim=1)
    return SparseAutoencoder(
        w_enc=directions.T.contiguous(),
        w_dec=directions,
        b_enc=torch.zeros(n_latents),
        b_dec=torch.zeros(D_MODEL),
        activation="jumprelu",
        threshold=torch.full((n_latents,), 1.5),
        layer=layer,
        site=f"blocks.{layer}.hook_resid_post",
        name="random",
        model="tiny",
        producer="test",
        sha256="0" * 64,
    )


def planted(
    seed: int, *, size: float = 2.5, n: int = 120
) -> tuple[SparseAutoencoder, torch.Tensor, list[bool], int, int]:
    """Random residuals; along one latent's direction the passing are moved, along another's the failing."""
    autoencoder = random_autoencoder(seed)
    generator = torch.Generator().manual_seed(1000 + seed)
    residual = torch.randn(n, D_MODEL, generator=generator)
    passed = [bool(draw) for draw in torch.rand(n, generator=generator) < 0.5]
    right, wrong = (int(i) for i in torch.randperm(N_LATENTS, generator=generator)[:2])
    outcome = torch.tensor(passed)[:, None]
    residual += size * torch.where(outcome, autoencoder.w_dec[right], autoencoder.w_dec[wrong])
    return autoencoder, residual, passed, right, wrong


@pytest.mark.parametrize("seed", range(20))
def test_a_planted_latent_is_ranked_first_in_its_direction(seed):
    autoencoder, residual, passed, right, wrong = planted(seed)
    ranking = rank_latents(encode(autoencoder, residual), passed)
    assert (ranking.correct[0].latent, ranking.incorrect[0].latent) == (right, wrong)
    assert ranking.correct[0].p_adjusted < 0.01 and ranking.correct[0].auroc > 0.7
    assert ranking.incorrect[0].p_adjusted < 0.01 and ranking.incorrect[0].auroc < 0.3
    by_t = rank_latents(encode(autoencoder, residual), passed, order="t")
    assert (by_t.correct[0].latent, by_t.incorrect[0].latent) == (right, wrong)


def test_without_a_planted_direction_nothing_is_significant():
    significant = 0
    for seed in range(20):
        autoencoder, residual, passed, _, _ = planted(seed, size=0.0)
        ranking = rank_latents(encode(autoencoder, residual), passed)
        significant += ranking.correct[0].p_adjusted < 0.05 or ranking.incorrect[0].p_adjusted < 0.05
    assert significant <= 3  # of 20, at a false discovery rate of 5 %


def test_the_numbers_are_those_of_scipy_and_do_not_depend_on_how_many_latents_are_read_at_a_time(monkeypatch):
    autoencoder, residual, passed, _, _ = planted(3)
    activations = encode(autoencoder, residual)
    ranking = rank_latents(activations, passed, top=N_LATENTS)
    monkeypatch.setattr("steerlab.latents.ranking.VALUES_AT_ONCE", 1)
    again = rank_latents(activations, passed, top=N_LATENTS)
    assert [row.latent for row in again.correct] == [row.latent for row in ranking.correct]
    assert [row.p_adjusted for row in again.incorrect] == pytest.approx([row.p_adjusted for row in ranking.incorrect])
    values, outcome = activations.double().numpy(), np.asarray(passed)
    for row in (*ranking.correct[:10], *ranking.incorrect[:10]):
        expected = stats.ttest_ind(values[outcome, row.latent], values[~outcome, row.latent], equal_var=False)
        assert row.t == pytest.approx(expected.statistic) and row.p == pytest.approx(expected.pvalue)
        assert row.auroc == pytest.approx(roc_auc_score(outcome, values[:, row.latent]))
        assert row.separation == pytest.approx(row.frequency_passing - row.frequency_failing)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_activations_kept_in_half_precision_rank_alike(dtype):
    autoencoder, residual, passed, right, wrong = planted(5)
    ranking = rank_latents(encode(autoencoder, residual).to(dtype), passed)
    assert (ranking.correct[0].latent, ranking.incorrect[0].latent) == (right, wrong)


def test_an_unscored_problem_is_counted_and_in_no_class():
    autoencoder, residual, passed, _, _ = planted(1)
    activations = encode(autoencoder, residual)
    unscored = [None if i % 5 == 0 else outcome for i, outcome in enumerate(passed)]
    kept = [i for i in range(len(passed)) if i % 5]
    ranking = rank_latents(activations, unscored)
    alone = rank_latents(activations[kept], [passed[i] for i in kept])
    assert ranking.n_unscored == 24 and ranking.n_passing + ranking.n_failing == 96
    assert ranking.correct == alone.correct and ranking.incorrect == alone.incorrect
    as_failed = rank_latents(activations, [bool(outcome) for outcome in unscored])
    assert as_failed.correct != ranking.correct  # the quantity can move


def test_swapping_passing_and_failing_swaps_the_directions():
    autoencoder, residual, passed, _, _ = planted(2)
    activations = encode(autoencoder, residual)
    one, other = rank_latents(activations, passed), rank_latents(activations, [not outcome for outcome in passed])
    assert [row.latent for row in one.correct] == [row.latent for row in other.incorrect]
    assert one.correct[0].separation == pytest.approx(-other.incorrect[0].separation)


def test_general_latents_are_left_out_and_counted():
    autoencoder, residual, passed, right, wrong = planted(4)
    general = np.zeros(N_LATENTS)
    general[right] = 0.5
    ranking = rank_latents(encode(autoencoder, residual), passed, general_frequency=general)
    assert ranking.n_general == 1 and right not in {row.latent for row in ranking.correct}
    assert ranking.incorrect[0].latent == wrong and ranking.incorrect[0].general_frequency == 0.0
    kept = rank_latents(encode(autoencoder, residual), passed, general_frequency=general, general_limit=0.6)
    assert kept.correct[0].latent == right and kept.n_general == 0
    assert ranking.n_tested + ranking.n_general + ranking.n_silent == N_LATENTS


@pytest.mark.parametrize(
    ("passed", "options", "message"),
    [
        ([True] * 4, {}, "4 problems passed and 0 failed"),
        ([None] * 4, {}, "0 problems passed and 0 failed .4 unscored"),
        ([True, False], {}, "activations of 4 problems for 2 outcomes"),
        ([True, False, True, None], {"order": "tt"}, "order 'tt' does not exist"),
        ([True, False, True, None], {"general_frequency": np.zeros(2)}, "2 general frequencies for 3 latents"),
    ],
)
def test_what_cannot_be_ranked_is_one_line(passed, options, message):
    with pytest.raises((DataError, OptionError), match=message) as caught:
        rank_latents(np.ones((4, 3)), passed, **options)
    assert "\n" not in str(caught.value)


def test_an_overflown_activation_is_an_error_not_a_rank():
    with pytest.raises(DataError, match="NaN or infinite"):
        rank_latents(np.asarray([[1.0, np.inf], [0.0, 1.0]]), [True, False])


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_auroc_and_f1_are_those_of_scikit_learn(rows):
    values, positive = np.asarray([float(v) for v, _ in rows]), np.asarray([p for _, p in rows])
    if positive.all() or not positive.any():
        assert np.isnan(auroc(values, positive))
        return
    assert auroc(values, positive) == pytest.approx(roc_auc_score(positive, values))
    threshold = choose_f1_threshold(values, list(positive), predicts="correct")
    best = max(f1_score(positive, values > cut) for cut in (-1.0, 0.0, 0.5, 1.5, 2.5, 3.5))
    assert f1_score(positive, values > threshold) == pytest.approx(best)


def test_scores_have_intervals_and_count_the_unscored():
    autoencoder, residual, passed, right, wrong = planted(6)
    activations = encode(autoencoder, residual).numpy()
    outcomes = [None if i % 10 == 0 else outcome for i, outcome in enumerate(passed)]
    for latent, predicts in ((right, "correct"), (wrong, "incorrect")):
        threshold = choose_f1_threshold(activations[:60, latent], outcomes[:60], predicts=predicts)
        score = score_prediction(activations[60:, latent], outcomes[60:], threshold=threshold, predicts=predicts)
        assert score.auroc.value > 0.8 and score.auroc.low < score.auroc.value < score.auroc.high
        assert (
            score.f1.value > 0.7 and score.f1.n == 54 and score.f1.n_unscored == score.share_predicted.n_unscored == 6
        )
        other = score_prediction(activations[60:, 0], outcomes[60:], threshold=threshold, predicts=predicts)
        assert other.auroc.value < score.auroc.value


def test_scores_by_group_are_those_of_the_group_alone():
    autoencoder, residual, passed, right, _ = planted(7)
    values = encode(autoencoder, residual)[:, right].numpy()
    bands = ["1" if i % 3 else "2" for i in range(len(passed))]
    found = score_by_group(values, passed, bands, threshold=0.0, predicts="correct")
    own = [i for i in range(len(passed)) if i % 3]
    assert list(found) == ["1", "2"]
    assert found["1"] == score_prediction(values[own], [passed[i] for i in own], threshold=0.0, predicts="correct")


def test_rows_of_one_problem_are_one_cluster():
    autoencoder, residual, passed, right, _ = planted(8)
    values = encode(autoencoder, residual)[:, right].numpy()
    thrice, outcomes = np.tile(values, 3), passed * 3  # three temperatures that agree: no new knowledge
    alone = score_prediction(values, passed, threshold=0.0, predicts="correct")
    clustered = score_prediction(thrice, outcomes, threshold=0.0, predicts="correct", clusters=list(range(120)) * 3)
    naive = score_prediction(thrice, outcomes, threshold=0.0, predicts="correct")
    assert clustered.auroc.low == pytest.approx(alone.auroc.low) and naive.auroc.low > alone.auroc.low


def test_a_group_without_a_class_has_no_auroc_rather_than_a_number():
    score = score_prediction([0.0, 1.0], [True, True], threshold=0.5, predicts="correct")
    assert score.auroc.value is None and score.f1.value == pytest.approx(2 / 3)


@pytest.mark.parametrize("method", ["mean_difference", "logistic", "whitened_mean_difference"])
def test_a_probe_points_from_failing_to_passing(method):
    model = tiny_model("llama")
    autoencoder, residual, passed, right, wrong = planted(9)
    outcomes = [None, *passed[1:]]
    vector = probe_direction(model, residual.numpy(), outcomes, layer=1, method=method)
    truth = (autoencoder.w_dec[right] - autoencoder.w_dec[wrong]).numpy()
    found = vector.unit().directions[1]
    assert float(found @ truth / np.linalg.norm(truth)) > 0.8
    projected = residual.numpy() @ vector.directions[1]
    assert score_prediction(projected, outcomes, threshold=0.0, predicts="correct").auroc.value > 0.9


def test_the_mass_mean_probe_is_the_difference_of_class_means_of_any_size():
    residual = np.random.default_rng(0).normal(size=(7, 4))
    direction = find_direction("mean_difference", residual[:2], residual[2:], seed=0)
    assert np.allclose(direction, residual[:2].mean(axis=0) - residual[2:].mean(axis=0), atol=1e-6)


def test_a_probe_needs_both_classes():
    with pytest.raises(DataError, match="2 problems passed and 0 failed"):
        probe_direction(tiny_model("llama"), np.ones((3, 32)), [True, True, None], layer=1, method="logistic")
    with pytest.raises(OptionError, match="probe 'pca' does not exist"):
        probe_direction(tiny_model("llama"), np.ones((2, 32)), [True, False], layer=1, method="pca")


def test_random_latents_are_drawn_among_the_active_ones():
    frequency = np.asarray([0.0, 0.1, 0.2, 0.0, 0.3])
    assert set(random_latents(frequency, n=2, seed=0, without={1})) == {2, 4}
    with pytest.raises(OptionError, match="3 are ever active"):
        random_latents(frequency, n=4, seed=0)


def test_a_decoder_direction_is_the_row_at_the_layer_with_its_name():
    autoencoder = random_autoencoder()
    vector = decoder_direction(autoencoder, 17, model=tiny_model("llama"))
    assert vector.layers == (1,) and np.array_equal(vector.directions[1], autoencoder.w_dec[17].numpy())
    assert "latent 17 of random" in vector.recipe.source and vector.recipe.method == "sae_decoder"
