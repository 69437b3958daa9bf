"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

ModelName = Annotated[str, typer.Option("--model", help="Hugging Face directory or hub name, or: embedded.")]
Pairs = Annotated[str, typer.Option("--pairs", help="starter, fresh, secllmholmes:PATH, sven:PATH or jsonl:FILE.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16, float16, 8bit or 4bit.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ... or spread (over all devices).")]
Revision = Annotated[str, typer.Option("--revision", help="Branch, tag or commit on the hub.")]
Trust = Annotated[
    bool, typer.Option("--trust-remote-code", help="Let the model's own Python code run. Off by default.")
]
Layers = Annotated[str, typer.Option("--layers", help="all, or for example 2,4 (0-based).")]
LayerSets = Annotated[
    str, typer.Option("--layers", help="all, 2,4 or sets that are steered at once: 4,12,4+12+20. 0-based; -1: last.")
]
Operation = Annotated[str, typer.Option(help="add, ablate, clamp or add_preserving_norm.")]
PositionsOption = Annotated[
    str, typer.Option("--positions", help="all, prompt, completion, last_prompt_token or from_last_prompt_token.")
]
Dose = Annotated[str, typer.Option(help="absolute (factor on the direction), unit_norm or residual_norm.")]
Out = Annotated[str, typer.Option("--out", help="Run directory; by default a new one below runs/.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in --out.")]
Preset = Annotated[
    str, typer.Option("--preset", help="Settings of a preset (see steerlab presets); options overrule it.")
]
SettingsFile = Annotated[
    str, typer.Option("--settings", help="A TOML file of study and settings; options overrule it.")
]
