"""Directions to steer with: a latent's decoder row, and probes of the same residuals beside it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float

from steerlab.autoencoders import SparseAutoencoder
from steerlab.directions import find_direction
from steerlab.errors import AutoencoderError, DataError, OptionError, nearest
from steerlab.latents.loading import check_fits
from steerlab.models import Model, check_layers
from steerlab.vectors import Recipe, SteeringVector

PROBES = ("mean_difference", "logistic", "whitened_mean_difference")  # of METHODS, those that need no pairs


def decoder_direction(autoencoder: SparseAutoencoder, latent: int, *, model: Model) -> SteeringVector:
    """The decoder row of `latent` as a steering vector at the autoencoder's layer; positive adds the latent.

    A coefficient of c adds what an activation of c would add to the reconstruction (with a normalising autoencoder: in
    its normalised units). The recipe names autoencoder and latent.
    Raises: AutoencoderError for a latent that does not exist or an autoencoder that does not fit the model.
    """
    check_fits(model, autoencoder)
    if not 0 <= latent < autoencoder.n_latents:
        raise AutoencoderError(
            f"latent {latent} does not exist: {autoencoder.name} has latents 0..{autoencoder.n_latents - 1}."
        )
    recipe = Recipe(
        method="sae_decoder",
        layers=(autoencoder.layer,),
        positions="all",
        seed=0,
        source=f"latent {latent} of {autoencoder.name} ({autoencoder.producer}, sha256 {autoencoder.sha256[:12]})",
    )
    row = autoencoder.w_dec[latent].detach().float().cpu().numpy()
    return SteeringVector(directions={autoencoder.layer: row}, model=model.fingerprint, recipe=recipe)


def random_latents(
    frequency: Float[np.ndarray, " latent"], *, n: int, seed: int, without: Collection[int] = ()
) -> tuple[int, ...]:
    """A control: `n` latents drawn at random among those that are ever active (`frequency` above 0), none of `without`.

    Raises: OptionError when there are fewer.
    """
    possible = [latent for latent in np.flatnonzero(frequency > 0) if int(latent) not in set(without)]
    if n > len(possible):
        raise OptionError(f"{n} random latents are not possible: {len(possible)} are ever active. Choose fewer.")
    return tuple(int(latent) for latent in np.random.default_rng(seed).choice(possible, size=n, replace=False))


def probe_direction(
    model: Model,
    residual: Float[np.ndarray, "problem d_model"],
    passed: Sequence[bool | None],
    *,
    layer: int,
    method: str,
    seed: int = 0,
) -> SteeringVector:
    """A probe of the same residuals as a steering vector at `layer`: passing minus failing, by a method of PROBES.

    `residual` is read at the last prompt token; unscored problems (None) are left out. mean_difference is the mass-mean
    probe (arXiv:2310.06824). Raises: DataError when no scored problem passed or none failed; OptionError.
    """
    if method not in PROBES:
        raise OptionError(f"probe {method!r} does not exist. {nearest(method, PROBES)}")
    check_layers(model, [layer])
    if len(residual) != len(passed):
        raise DataError(f"{len(residual)} residuals for {len(passed)} problems: give one per problem.")
    passing = residual[[outcome is True for outcome in passed]]
    failing = residual[[outcome is False for outcome in passed]]
    if not len(passing) or not len(failing):
        raise DataError(f"{len(passing)} problems passed and {len(failing)} failed: a probe needs some of both.")
    recipe = Recipe(
        method=method,
        layers=(layer,),
        positions="last_prompt_token",
        seed=seed,
        source="passing minus failing problems",
    )
    return SteeringVector(
        directions={layer: find_direction(method, passing, failing, seed=seed)},
        model=model.fingerprint,
        recipe=recipe,
        residual_norms={layer: float(np.linalg.norm(np.concatenate([passing, failing]), axis=1).mean())},
    )
