"""Latents of sparse autoencoders: load, read, rank and train them; a latent's decoder row as a steering vector."""

from __future__ import annotations

from steerlab.autoencoders import SparseAutoencoder, decode, encode, reconstruct
from steerlab.latents.directions import decoder_direction, random_latents
from steerlab.latents.loading import check_fits, load_sae, load_saes
from steerlab.latents.ranking import LatentRanking, LatentRow, rank_latents
from steerlab.latents.reading import latent_frequency

__all__ = [
    "LatentRanking",
    "LatentRow",
    "SparseAutoencoder",
    "check_fits",
    "decode",
    "decoder_direction",
    "encode",
    "latent_frequency",
    "load_sae",
    "load_saes",
    "random_latents",
    "rank_latents",
    "reconstruct",
]
