"""The embedded model, its autoencoders, starter pairs and tasks: package data and where they lie."""

from __future__ import annotations

from pathlib import Path

MODEL_NAME = "embedded"


def model_directory() -> Path:
    """Directory of the embedded model, a plain Hugging Face checkpoint."""
    return Path(__file__).parent / "model"


def pairs_directory() -> Path:
    """Directory of the starter pairs: one folder per CWE, one folder per pair."""
    return Path(__file__).parent / "pairs"


def fresh_file() -> Path:
    """Pairs of new programs of the families that the embedded model was trained on (JSON Lines)."""
    return Path(__file__).parent / "fresh.jsonl"


def held_out_families_file() -> Path:
    """Pairs of families that the embedded model was not trained on (JSON Lines)."""
    return Path(__file__).parent / "held_out_families.jsonl"


def exercises_file() -> Path:
    """Programming exercises of compositions that the embedded model was not trained on (JSON Lines)."""
    return Path(__file__).parent / "exercises.jsonl"


def autoencoder_directories() -> dict[int, Path]:
    """Directory of each sparse autoencoder of the embedded model, by the layer whose output it reads."""
    return {int(path.name[6:]): path for path in sorted((Path(__file__).parent / "sae").glob("layer-*"))}
