"""The errors a user can mend: each says what was given, what is possible, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SteerlabError(Exception):
    """Base of all errors that the command line prints as one line (exit code 1)."""


class ModelError(SteerlabError, ValueError):
    """A model that is missing, half written, not causal, or of an unknown layout."""


class LayerError(SteerlabError, ValueError):
    """A layer that the model does not have."""


class VectorError(SteerlabError, ValueError):
    """A steering vector that does not fit: wrong model, wrong d_model, not finite, unreadable."""


class ZeroDirectionError(VectorError):
    """A direction whose norm is too small to mean anything."""


class AutoencoderError(SteerlabError, ValueError):
    """A sparse autoencoder that is missing, malformed, of an unknown kind, or reads something else than a residual."""


class InterventionError(SteerlabError, ValueError):
    """An intervention that cannot be applied as it is written."""


class DataError(SteerlabError, ValueError):
    """A data set that is missing, malformed or lacks what was asked for; names file and line."""


class PromptError(SteerlabError, ValueError):
    """Prompts that do not fit the model's context, or an unreadable template file."""


class RunError(SteerlabError, RuntimeError):
    """A run directory that cannot be used: in use, of other settings, not writable, disk full."""


class OptionError(SteerlabError, ValueError):
    """An option whose value is not possible."""


class BusyError(SteerlabError, RuntimeError):
    """A model that is at work for another request."""


class MissingExtraError(SteerlabError, RuntimeError):
    """A feature whose optional package or system program is not installed."""


def nearest(given: str, possible: Iterable[str]) -> str:
    """The tail of an error about an unknown name: the nearest match and what is possible."""
    names = sorted(possible)
    match = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    guess = f"Did you mean {match[0]}? " if match else ""
    return f"{guess}Possible: {', '.join(names)}."
