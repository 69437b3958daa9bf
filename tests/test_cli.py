"""The commands as a user types them: what they print, where, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import save_tiny, shared
from steerlab.embedded import model_directory
from test_vulnerability_detection import write_pairs

STEERLAB = (sys.executable, "-c", "from steerlab.cli import main; main()")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("qwen2", tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.jsonl")


QUICK = ("--layers", "1,2", "--coefficients=-4,4", "--draws", "1")


def test_help_is_quick_and_importing_is_light() -> None:
    code = "import sys, steerlab.cli; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    best = min(_seconds([*STEERLAB, "--help"]) for _ in range(3))
    assert best < 2.0  # a guard against heavy imports; the figure itself is in docs/log.md


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - began


@pytest.mark.parametrize("architecture", ["gpt_bigcode", "starcoder2", "qwen2", "gemma2", "mistral"])
def test_doctor_says_what_it_found(steerlab, tmp_path: Path, architecture: str) -> None:
    code, out, _ = steerlab("doctor", "--model", save_tiny(architecture, tmp_path / "m"), "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["layers_path"] == ("transformer.h" if architecture == "gpt_bigcode" else "model.layers")
    assert (facts["n_layers"], facts["d_model"], facts["dtype"]) == (4, 32, "float32")
    assert set(facts["checks"].values()) == {"ok"}


def test_data_list_and_check_are_json_objects(steerlab, pairs: Path) -> None:
    code, out, _ = steerlab("data", "list", "--json")
    assert code == 0 and {"secllmholmes", "sven", "jsonl", "starter"} <= {s["name"] for s in json.loads(out)["sources"]}
    code, out, _ = steerlab("data", "check", f"jsonl:{pairs}", "--json")
    assert code == 0 and json.loads(out)["pairs"] == 12
    assert steerlab("data", "list")[1].count("licence") >= 4


def test_data_check_counts_secllmholmes_and_sven(steerlab) -> None:
    found = json.loads(steerlab("data", "check", f"secllmholmes:{shared('data', 'secllmholmes')}", "--json")[1])
    wanted = {"programs": 228, "with_before": 294, "vulnerable": 117, "patched": 111}
    assert {key: found[key] for key in wanted} == wanted
    found = json.loads(steerlab("data", "check", f"sven:{shared('data', 'sven')}", "--json")[1])
    assert found["pairs"] == 799 and found["by_cwe"] and found["by_language"]


def test_a_vector_is_built_shown_and_used(steerlab, tiny: Path, pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "v.safetensors"
    code, out, err = steerlab(
        "vector", "build", "--model", tiny, "--pairs", f"jsonl:{pairs}", "--layers", "1,2", "--out", file, "--json"
    )
    assert code == 0, err
    built = json.loads(out)
    assert (
        built["layers"] == [1, 2]
        and built["recipe"]["n_pairs"] == 12
        and built["recipe"]["template"] == "question-around"
    )
    shown = json.loads(steerlab("vector", "show", file, "--json")[1])
    assert shown == built
    assert "sign agrees" in steerlab("vector", "show", file)[1]
    code, out, _ = steerlab(
        "generate", "--model", tiny, "--vector", file, "--coefficient", "400", "--max-new-tokens", 8, "int f(", "--json"
    )
    found = json.loads(out)
    assert code == 0 and found["differs"] and len(found["unsteered"]["tokens"]) <= 8
    code, out, _ = steerlab("generate", "--model", tiny, "--vector", file, "--coefficient=-400", "int f(")
    assert code == 0 and "unsteered" in out and "coefficient -400" in out


def test_pairs_beyond_the_context_are_named_and_left_out_only_on_request(steerlab, tiny: Path, tmp_path: Path) -> None:
    file = write_pairs(tmp_path / "pairs.jsonl")
    long = {"id": "longest", "vulnerable": "x" * 900, "patched": "y", "cwe": "CWE-787"}
    file.write_text(file.read_text() + json.dumps(long) + "\n")
    build = ("vector", "build", "--model", tiny, "--pairs", f"jsonl:{file}", "--layers", "1", "--out", tmp_path / "v")
    code, _, err = steerlab(*build)
    assert code == 1 and "1 of 13 pairs exceed the 512 tokens" in err and "longest" in err and "--skip-long" in err
    code, out, _ = steerlab(*build, "--skip-long", "--json")
    assert code == 0 and json.loads(out)["recipe"]["n_pairs"] == 12


def test_a_run_prints_tables_a_verdict_and_the_report(steerlab, tiny: Path, pairs: Path, tmp_path: Path) -> None:
    out_dir = tmp_path / "run"
    common = ("run", "vulnerability-detection", "--model", tiny, "--pairs", f"jsonl:{pairs}", "--out", out_dir, *QUICK)
    code, out, err = steerlab(*common)
    assert code == 0, err
    assert "unsteered" in out and "recalibrated" in out and str(out_dir / "report.html") in out.replace("\n", "")
    code, _, err = steerlab(*common)
    assert code == 1 and "--resume" in err
    code, out, _ = steerlab(*common, "--resume", "--json")
    assert code == 0 and json.loads(out)["n_programs"] == 24
    (out_dir / "report.html").unlink()
    code, out, _ = steerlab("report", out_dir)
    assert code == 0 and (out_dir / "report.html").is_file()


def test_a_study_file_gives_the_settings_and_options_win(steerlab, tiny: Path, pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "my-study.toml"
    file.write_text(
        f'study = "vulnerability-detection"\nmodel = "{tiny}"\npairs = "jsonl:{pairs}"\nlayers = [1]\n'
        "coefficients = [4.0]\ndraws = 1\nfolds = 2\nmax_new_tokens = 4\n"
    )
    code, out, err = steerlab("run", file, "--out", tmp_path / "run", "--coefficients=-2", "--json")
    assert code == 0, err
    assert {choice["coefficient"] for choice in json.loads(out)["selection"]} == {-2.0}
    file.write_text(file.read_text() + "layer = 3\n")
    code, _, err = steerlab("run", file, "--out", tmp_path / "other")
    assert code == 1 and "Did you mean layers?" in err


def test_ctrl_c_leaves_a_run_that_resumes(steerlab, tiny: Path, pairs: Path, tmp_path: Path, monkeypatch) -> None:
    from steerlab.studies import detection_jobs as study

    common = (
        "run",
        "vulnerability-detection",
        "--model",
        tiny,
        "--pairs",
        f"jsonl:{pairs}",
        "--out",
        tmp_path / "r",
        *QUICK,
    )
    calls = {"left": 6}
    read = study.read_margins

    def interrupted(*arguments, **options):
        calls["left"] -= 1
        if calls["left"] == 0:
            raise KeyboardInterrupt
        return read(*arguments, **options)

    monkeypatch.setattr(study, "read_margins", interrupted)
    code, out, err = steerlab(*common)
    assert (
        code == 1 and out == "" and err.strip().splitlines()[-1].startswith("error: interrupted") and "--resume" in err
    )
    assert steerlab(*common, "--resume")[0] == 0


@pytest.mark.skipif(
    not (model_directory() / "config.json").is_file(), reason="the embedded model is not in this checkout"
)
def test_the_commands_of_the_readme_work_on_the_embedded_model(steerlab, tmp_path: Path) -> None:
    file = tmp_path / "v.safetensors"
    build = ("vector", "build", "--model", "embedded", "--pairs", "starter", "--method", "mean_difference")
    assert steerlab(*build, "--layers", "2,4", "--out", file)[0] == 0
    assert steerlab("vector", "show", file, "--json")[0] == 0
    code, out, _ = steerlab("generate", "--model", "embedded", "--vector", file, "--coefficient", "4", "def read_file(")
    assert code == 0 and "steered" in out
    code, out, _ = steerlab(
        *("run", "vulnerability-detection", "--model", "embedded", "--pairs", "starter", "--limit", "24"),
        *("--out", tmp_path / "run", "--json", "--layers", "2", "--coefficients=-4,4"),
    )
    assert code == 0 and json.loads(out)["n_programs"] == 24
