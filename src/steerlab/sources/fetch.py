"""Fetch a data set at its pinned commit: every file is verified, nothing half-done is left behind."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from steerlab.errors import DataError, MissingExtraError, nearest

GIT_TIMEOUT = 600.0  # seconds, for one git command
URL_TIMEOUT = 30.0  # seconds without an answer, for one file

_GITHUB_FILES = "https://raw.githubusercontent.com"
_MBPP_FIRST = f"{_GITHUB_FILES}/deepseek-ai/DeepSeek-Coder/2f9fd85927c669dae3c0fbb2d607274023af243e"
_MBPP_SECOND = f"{_GITHUB_FILES}/google-research/google-research/30adf0ec5f35f9609c2f1d896005e184195d9146"
_HUMANEVAL = f"{_GITHUB_FILES}/openai/human-eval/6d43fb980f9fee3c892a914eda09951f772ad10d"
_PURPLE_LLAMA = f"{_GITHUB_FILES}/meta-llama/PurpleLlama/4be64c3a24442b51c76175e6ec67722cc3f5fe38"
_CYBERSECEVAL = "CybersecurityBenchmarks"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a data set comes from.

    Either `git` at `commit`, of which the folders and files `paths` are read, or `urls`: a file of
    the data set and the URL that it is downloaded from.
    """

    licence: str
    git: str = ""
    commit: str = ""
    paths: tuple[str, ...] = ()
    urls: Mapping[str, str] = field(default_factory=dict)


ORIGINS: dict[str, Origin] = {
    "secllmholmes": Origin(
        licence="GPL-3.0",
        git="https://github.com/ai4cloudops/SecLLMHolmes",
        commit="9421928845d1f1f907946d7a70a6a57d62a163d8",
        paths=("LICENSE", "datasets"),
    ),
    "sven": Origin(
        licence="MIT",
        git="https://github.com/eth-sri/sven",
        commit="e8449a0d54a5ae0bbdc6bb236330b8c7ec71df57",
        paths=("LICENSE.txt", "data_eval", "data_train_val"),
    ),
    "mbpp": Origin(
        licence="CC BY 4.0",
        urls={
            "mbpp.jsonl": f"{_MBPP_FIRST}/Evaluation/MBPP/data/mbpp.jsonl",
            "sanitized-mbpp.json": f"{_MBPP_SECOND}/mbpp/sanitized-mbpp.json",
        },
    ),
    "humaneval": Origin(
        licence="MIT",
        urls={name: f"{_HUMANEVAL}/{name}" for name in ("LICENSE", "data/HumanEval.jsonl.gz")},
    ),
    "cyberseceval": Origin(
        licence="MIT",
        urls={
            f"{_CYBERSECEVAL}/{name}": f"{_PURPLE_LLAMA}/{_CYBERSECEVAL}/{name}"
            for name in (
                "LICENSE",
                "datasets/autocomplete/autocomplete.json",
                "datasets/instruct/instruct.json",
                "datasets/instruct/instruct-v2.json",
            )
        },
    ),
}


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What was fetched: `files` verified files now lie under `path`."""

    name: str
    path: Path
    origin: str
    licence: str
    files: int


def fetch(name: str, out: Path, *, origin: str | None = None) -> Fetched:
    """Fetch the data set `name` into the new folder `out`.

    `origin` is a mirror: another git URL for a data set that comes by git, else the URL of a folder
    that holds the files by their names in the data set. Whatever the origin, only files whose
    SHA-256 is the published one are kept; other files of the origin are left out. `out` appears
    complete or not at all.
    Raises: DataError for an unknown name, an `out` that is not empty, no connection, a missing file
    and a wrong checksum; MissingExtraError when git is needed and not installed.
    """
    if name in ("starter", "jsonl"):
        raise DataError(f"{name} is not fetched: {_NOT_FETCHED[name]}")
    if name not in ORIGINS:
        raise DataError(f"data set {name!r} does not exist. {nearest(name, ORIGINS)}")
    _check_out(out)
    place = ORIGINS[name]
    files = checksums(name)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise DataError(f"{out} cannot be written ({error.strerror}). Choose another --out.") from error
    try:
        complete = work / "complete"
        if place.git:
            source = origin or place.git
            _clone(place, source, work / "repository")
            _take(work / "repository", complete, files, source=source)
        else:
            source = origin or "its published addresses"
            _download(place, complete, origin=origin)
        _verify(complete, files, source=source)
        complete.replace(out)
    except OSError as error:
        raise DataError(f"{out} cannot be written ({error.strerror}). Free space or choose another --out.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Fetched(name=name, path=out, origin=source, licence=place.licence, files=len(files))


_NOT_FETCHED = {
    "starter": "it lies in the package. Type: --pairs starter",
    "jsonl": "it is a file of yours. Type: --pairs jsonl:FILE",
}


def checksums(name: str) -> dict[str, str]:
    """The files of the data set `name` and their SHA-256 in hex.

    With "json:" before it, the digest is over the JSON value, written without spaces and with sorted
    keys, because the published file differs from our copy in white space.
    """
    text = (resources.files("steerlab.sources") / "checksums.json").read_text("utf-8")
    table: dict[str, dict[str, str]] = json.loads(text)
    return table[name]


def _check_out(out: Path) -> None:
    if out.is_dir():
        if any(out.iterdir()):
            raise DataError(f"{out} is not empty. Choose a new folder for --out, or remove it first.")
    elif out.exists():
        raise DataError(f"{out} is a file. Choose a new folder for --out.")


def _clone(place: Origin, source: str, folder: Path) -> None:
    """Check out `paths` of the pinned commit; of a mirror that lacks it, of its head."""
    folder.mkdir()
    _git(["init", "--quiet"], folder, source=source)
    _git(["remote", "add", "origin", "--", source], folder, source=source)
    # blobs on demand: the repositories also hold checkpoints and results that nobody asked for
    shallow = ["fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin"]
    try:
        _git([*shallow, place.commit], folder, source=source)
    except DataError:
        if source == place.git:
            raise
        _git([*shallow, "HEAD"], folder, source=source)
    _git(["checkout", "--quiet", "FETCH_HEAD", "--", *place.paths], folder, source=source)


# set when we are called from a git hook: they would turn our commands to another repository
_OTHER_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


def _git(arguments: Sequence[str], folder: Path, *, source: str) -> None:
    git = shutil.which("git")
    if git is None:
        raise MissingExtraError("git is not installed. Install it (Debian: apt install git) and try again.")
    environment = {
        **{key: value for key, value in os.environ.items() if key not in _OTHER_REPOSITORY},
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "LC_ALL": "C",
    }
    # no line ending may be changed on the way: the checksums are over the published bytes
    command = [git, "-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "advice.detachedHead=false"]
    try:
        done = subprocess.run(
            [*command, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(
            f"{source} did not answer within {GIT_TIMEOUT:g} s. Try again, or name a mirror with --origin."
        ) from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if line.startswith(("fatal:", "error:"))), "no reason given")
        raise DataError(_unreachable(source, reason))


def _unreachable(source: str, reason: str) -> str:
    return (
        f"{source} cannot be fetched ({reason.rstrip('.')}). "
        "Check the connection and try again, or name a mirror with --origin."
    )


def _take(repository: Path, complete: Path, files: Mapping[str, str], *, source: str) -> None:
    """Move the listed files out of the repository; symbolic links are not followed."""
    for name in files:
        path = repository / name
        if path.is_symlink() or not path.is_file():
            raise DataError(f"{source} holds no file {name}: another version of the data set. Nothing was kept.")
        target = complete / name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _download(place: Origin, complete: Path, *, origin: str | None) -> None:
    for name, published in place.urls.items():
        url = f"{origin.rstrip('/')}/{urllib.parse.quote(name)}" if origin else published
        if urllib.parse.urlsplit(url).scheme not in ("https", "http", "file"):
            raise DataError(f"{url} is no URL. Give one that begins with https:// or file://.")
        target = complete / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with urllib.request.urlopen(url, timeout=URL_TIMEOUT) as answer, target.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except urllib.error.HTTPError as error:
            with error:
                raise DataError(_unreachable(url, f"{error.code} {error.reason}")) from error
        except urllib.error.URLError as error:
            raise DataError(_unreachable(url, str(error.reason))) from error
        except TimeoutError as error:
            raise DataError(_unreachable(url, f"no answer within {URL_TIMEOUT:g} s")) from error
        except (ConnectionError, http.client.HTTPException) as error:
            raise DataError(_unreachable(url, f"broken off: {error}")) from error


def _verify(complete: Path, files: Mapping[str, str], *, source: str) -> None:
    for name, expected in files.items():
        path = complete / name
        if _digest(path, as_json=expected.startswith("json:")) != expected.removeprefix("json:"):
            raise DataError(
                f"{name} from {source} has another checksum than the published file: "
                "changed or damaged on the way. Nothing was kept; try again or use another origin."
            )


def _digest(path: Path, *, as_json: bool) -> str:
    raw = path.read_bytes()
    if as_json:
        try:
            raw = json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":")).encode()
        except ValueError:
            return "not JSON"
    return hashlib.sha256(raw).hexdigest()
