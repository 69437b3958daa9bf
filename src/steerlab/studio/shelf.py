"""The shelf: models, vectors, pairs and runs that were named when the studio started; the page knows their ids only."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from steerlab.contrast import ProgramSet
from steerlab.directions import METHODS
from steerlab.errors import OptionError, RunError, nearest
from steerlab.formats.safetensors_file import load_vector
from steerlab.interventions import DOSES, OPERATIONS
from steerlab.models import Model
from steerlab.positions import POSITIONS
from steerlab.sources import load_source
from steerlab.tasks.templates import load_templates
from steerlab.vectors import SteeringVector

Entry = TypeVar("Entry")


@dataclass(frozen=True, kw_only=True)
class NamedVector:
    """A vector and what the page calls it."""

    name: str
    vector: SteeringVector


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """What can be picked, by id. `vectors` grows by those that are built on the page.

    One model is in memory at a time (`current`: id and model); `facts` are those of the models that were loaded.
    """

    models: Mapping[str, str]
    vectors: dict[str, NamedVector]
    pairs: Mapping[str, ProgramSet]
    runs: Mapping[str, Path]
    load: Callable[[str], Model]
    current: dict[str, Model] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)


def known(table: Mapping[str, Entry], identity: str, what: str) -> Entry:
    """The entry of the table. Raises: OptionError for an id that it lacks."""
    if identity not in table:
        raise OptionError(f"{what} {identity[:40]!r} does not exist. {nearest(identity[:40], table)}")
    return table[identity]


def model_of(shelf: Shelf, identity: str) -> Model:
    """The model, loaded where it is not the current one, which then leaves memory. Raises: OptionError, ModelError."""
    name = known(shelf.models, identity, "model")
    if identity not in shelf.current:
        shelf.current.clear()
        gc.collect()
        model = shelf.load(name)
        shelf.current[identity] = model
        shelf.facts[identity] = {
            "n_layers": model.n_layers,
            "d_model": model.d_model,
            "context": model.context,
            "device": str(model.device),
            "sha256": model.fingerprint.sha256,
        }
    return shelf.current[identity]


def add_vector(shelf: Shelf, name: str, vector: SteeringVector) -> str:
    """Put a vector that was built on the page on the shelf; gives its id."""
    identity = f"vector-{len(shelf.vectors)}"
    shelf.vectors[identity] = NamedVector(name=name, vector=vector)
    return identity


def contents(shelf: Shelf) -> dict[str, Any]:
    """Everything that the page can pick, as JSON values."""
    return {
        "models": [
            {"id": identity, "name": name, "facts": shelf.facts.get(identity)}
            for identity, name in shelf.models.items()
        ],
        "vectors": [described(identity, named) for identity, named in list(shelf.vectors.items())],
        "pairs": [
            {"id": identity, "name": pairs.name, "n_pairs": len(pairs.pairs)} for identity, pairs in shelf.pairs.items()
        ],
        "runs": [{"id": identity, "name": path.name} for identity, path in shelf.runs.items()],
        "operations": list(OPERATIONS),
        "positions": list(POSITIONS),
        "doses": list(DOSES),
        "methods": list(METHODS),
        "templates": [
            {"name": template.name, "answers": [template.patched, template.vulnerable]} for template in load_templates()
        ],
    }


def described(identity: str, named: NamedVector) -> dict[str, Any]:
    """A vector as the page sees it."""
    return {"id": identity, "name": named.name, **named.vector.describe()}


def fill_shelf(
    *,
    models: Sequence[str],
    vectors: Sequence[Path],
    pairs: Sequence[str],
    runs: Sequence[Path],
    load: Callable[[str], Model],
) -> Shelf:
    """Read what was named on the command line; the first model is loaded at once.

    Raises: ModelError, VectorError, DataError, RunError.
    """
    found = [run for path in runs for run in _runs(path)]
    shelf = Shelf(
        models={f"model-{n}": name for n, name in enumerate(models)},
        vectors={
            f"vector-{n}": NamedVector(name=path.stem, vector=load_vector(path)) for n, path in enumerate(vectors)
        },
        pairs={f"pairs-{n}": load_source(spec) for n, spec in enumerate(pairs)},
        runs={f"run-{n}": path for n, path in enumerate(found)},
        load=load,
    )
    model_of(shelf, "model-0")
    return shelf


def _runs(path: Path) -> list[Path]:
    """The run directory itself, or the runs in it, newest first."""
    if (path / "manifest.json").is_file():
        return [path]
    found = [manifest.parent for manifest in path.glob("**/manifest.json")] if path.is_dir() else []
    if not found:
        raise RunError(f"{path} holds no run: give a run directory, or a folder of them, with --runs.")
    return sorted(found, key=lambda run: (run / "manifest.json").stat().st_mtime, reverse=True)
