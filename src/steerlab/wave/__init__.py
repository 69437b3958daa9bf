"""Many cells over the same prompts: the prompts are read once, a cell costs what it changes."""

from __future__ import annotations

from steerlab.wave.answers import WaveResult, wave_log_likelihoods
from steerlab.wave.cells import Cell
from steerlab.wave.completions import WaveCompletions, wave_generate

__all__ = ["Cell", "WaveCompletions", "WaveResult", "wave_generate", "wave_log_likelihoods"]
