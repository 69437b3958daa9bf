"""What people get wrong: exit code 1 (2 for usage), one line on stderr, no traceback, no half-made file."""

from __future__ import annotations

import json
import pickle
import shlex
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import transformers

from conftest import byte_tokenizer, random_vector, save_tiny, tiny_model
from steerlab.formats.safetensors_file import save_vector
from steerlab.models import load_model
from test_vulnerability_detection import write_pairs

# In a command line @model is a tiny Qwen2, @pairs twelve good pairs, @vector a good vector of the model, @bad the
# folder of `write_bad`, @out a new folder. By name: the command line, and what the line on stderr must say.
BUILD = "vector build --model @model --layers 1 --out @out/v.safetensors --pairs "
GENERATE = "generate x --model @model --vector "
GOOD = f"{GENERATE}@vector "
DETECT = "run vulnerability-detection --model @model"
RUN = f"{DETECT} --pairs jsonl:@pairs --out @out/run "
SECURE = "run secure-code --model @model --pairs jsonl:@pairs --out @out/run --tasks "
CORRECT = "run code-correctness --model @model --out @out/run "
PROBLEMS = f"{CORRECT} --sae embedded --problems "
SETTINGS = "run @bad/{}.toml --out @out/run"

MENDABLE = {
    # the command line
    "a study with a typing error": ("run vulnerability-detecton", "Did you mean vulnerability-detection?"),
    "no model": ("run vulnerability-detection --pairs starter", "--model is missing"),
    "no pairs": ("run vulnerability-detection --model @model", "--pairs is missing"),
    "no tasks": ("run secure-code --model @model", "--tasks is missing"),
    "no autoencoder": ("run code-correctness --model @model --problems exercises", "--sae is missing"),
    "resume of nothing": (f"{DETECT} --pairs starter --resume", "--resume needs --out"),
    "coefficients that are letters": (f"{RUN} --coefficients=a,b", "'a' is not a number"),
    "coefficients with a hole": (f"{RUN} --coefficients=1,,2", "'' is not a number"),
    "coefficient 0": (f"{RUN} --coefficients=0,1", "none of them 0"),
    "coefficient nan": (f"{RUN} --coefficients=nan", "none of them 0"),
    "a coefficient twice": (f"{RUN} --coefficients=2,2", "something twice"),
    "a layer beyond the last": (f"{RUN} --layers 7", "layers 0..3"),
    "a layer below the first": (f"{RUN} --layers=-5", "layers 0..3"),
    "a layer in words": (f"{RUN} --layers two", "'two' is not a layer"),
    "a layer twice in a set": (f"{RUN} --layers 1+1", "names a layer twice"),
    "a layer set without an end": (f"{RUN} --layers 1+", "is not a layer"),
    "an unknown method": (f"{RUN} --methods mean_diference", "Did you mean mean_difference?"),
    "an unknown operation": (f"{RUN} --operations ad", "Did you mean add?"),
    "unknown positions": (f"{RUN} --positions everywhere", "positions"),
    "an unknown dose": (f"{RUN} --dose absolut", "Did you mean absolute?"),
    "an unknown search": (f"{RUN} --search random:x", "random:40"),
    "an unknown selection": (f"{RUN} --selection neste", "Did you mean nested?"),
    "an unknown scope": (f"{RUN} --scope per-cwe", "Did you mean per_cwe?"),
    "an unknown analysis": (f"{RUN} --analyses transfr", "Did you mean transfer?"),
    "unknown workers": (f"{RUN} --workers raay", "workers"),
    "a perplexity below 1": (f"{RUN} --max-perplexity 0.5", "1 or more"),
    "a CWE that no program has": (f"{RUN} --cwes CWE-1", "no program of CWE-1"),
    "more folds than groups": (f"{RUN} --folds 50", "groups"),
    "one fold": (f"{RUN} --folds 1", "1 folds are not possible"),
    "an unknown device": (f"{RUN} --device gpu0", "gpu0"),
    "an unknown dtype": ("doctor --model @model --dtype float31", "Did you mean float32?"),
    "a coefficient in words": (f"{GOOD} --coefficient four", "'four' is not a number"),
    "two coefficients": (f"{GOOD} --coefficient 1,2", "takes one number"),
    "an infinite coefficient": (f"{GOOD} --coefficient inf", "coefficient"),
    "positions of a generation": (f"{GOOD} --positions everywhere", "positions"),
    "an operation of a generation": (f"{GOOD} --operation ad", "Did you mean add?"),
    "a layer that the vector lacks": (f"{GOOD} --layers 3", "3"),
    "more tokens than the context": (f"{GOOD} --max-new-tokens 600", "context of 512 tokens"),
    "an empty prompt": ("generate '' --model @model --vector @vector", "prompt"),
    "a stage that does not exist": (f"{PROBLEMS} exercises --from latent", "Did you mean latents?"),
    "stages in the wrong order": (f"{PROBLEMS} exercises --from effect --until latents", "comes after"),
    # settings files and presets
    "settings that are not there": ("run @bad/none.toml", "cannot be read as TOML"),
    "settings that are no TOML": (SETTINGS.format("no-toml"), "cannot be read as TOML"),
    "settings in another encoding": (SETTINGS.format("latin"), "cannot be read as TOML"),
    "settings without a study": (SETTINGS.format("no-study"), "study '' does not exist"),
    "settings of an unknown study": (SETTINGS.format("other-study"), "does not exist"),
    "settings with a study that is a number": (SETTINGS.format("study-number"), "does not exist"),
    "settings with an unknown key": (SETTINGS.format("key"), "Did you mean layers?"),
    "settings with folds in words": (SETTINGS.format("folds"), "folds"),
    "settings with half a draw": (SETTINGS.format("half"), "draws"),
    "settings with layers as one number": (SETTINGS.format("layers"), "layers"),
    "settings with coefficients in words": (SETTINGS.format("words"), "coefficients"),
    "settings with a list in a list": (SETTINGS.format("nested"), "layers"),
    "settings with a model that is a number": (SETTINGS.format("model"), "model"),
    "settings of another study": (f"{RUN} --settings @bad/secure.toml", "is for the study secure-code"),
    "an unknown preset": (f"{RUN} --preset starcodr", "preset"),
    "a preset that is not there": ("presets starcodr", "starcod"),
    # pairs
    "pairs of an unknown source": (f"{BUILD} secllmholms:x", "Did you mean secllmholmes?"),
    "pairs without a place": (f"{BUILD} secllmholmes", "steerlab data fetch secllmholmes"),
    "pairs in a file without a name": (f"{BUILD} jsonl:", "jsonl"),
    "pairs that are not there": (f"{BUILD} jsonl:@bad/none.jsonl", "none.jsonl"),
    "pairs that are a folder": (f"{BUILD} jsonl:@bad", "is a folder"),
    "pairs in an empty file": (f"{BUILD} jsonl:@bad/empty.jsonl", "empty"),
    "pairs in a file of blank lines": (f"{BUILD} jsonl:@bad/blank.jsonl", "empty"),
    "pairs in latin-1": (f"{BUILD} jsonl:@bad/latin.jsonl", "UTF-8"),
    "pairs in UTF-16": (f"{BUILD} jsonl:@bad/utf16.jsonl", "UTF-8"),
    "pairs of zero bytes": (f"{BUILD} jsonl:@bad/zeros.jsonl", "not JSON"),
    "pairs that are no JSON": (f"{BUILD} jsonl:@bad/no-json.jsonl", "line 2: not JSON"),
    "pairs in a JSON list": (f"{BUILD} jsonl:@bad/list.jsonl", "a list, not an object"),
    "pairs nested a thousand deep": (f"{BUILD} jsonl:@bad/deep.jsonl", "nested too deeply"),
    "pairs with a wrong key": (f"{BUILD} jsonl:@bad/key.jsonl", "Did you mean vulnerable?"),
    "pairs with a key that nothing resembles": (
        f"{BUILD} jsonl:@bad/key.jsonl",
        'Write: {"vulnerable": "...", "patched',
    ),
    "pairs without a CWE, asked about theirs": (
        f"{BUILD} jsonl:@bad/nameless.jsonl --template question-around",
        'give each pair a "cwe"',
    ),
    "pairs as a file without jsonl:": (f"{BUILD} @pairs", "type jsonl:"),
    "a misspelt embedded": ("doctor --model embeded", "Did you mean embedded?"),
    "pairs with one side": (f"{BUILD} jsonl:@bad/side.jsonl", "one class only"),
    "pairs with an empty side": (f"{BUILD} jsonl:@bad/empty-side.jsonl", "the patched side is empty"),
    "pairs with a number for a text": (f"{BUILD} jsonl:@bad/number.jsonl", "it must be a text"),
    "pairs with identical sides": (f"{BUILD} jsonl:@bad/same.jsonl", "both sides are identical"),
    "pairs with an id twice": (f"{BUILD} jsonl:@bad/twice.jsonl", "already used in line 1"),
    "pairs with a CWE that is none": (f"{BUILD} jsonl:@bad/cwe.jsonl", "is not a CWE number"),
    "a single pair for a study": (
        "run vulnerability-detection --model @model --pairs jsonl:@bad/single.jsonl --out @out/run",
        "groups",
    ),
    "a CWE that no pair has": (f"{BUILD} jsonl:@pairs --cwes CWE-79", "no pair of CWE-79"),
    "pairs in an empty folder of a benchmark": (f"{BUILD} secllmholmes:@bad/folder", "folder"),
    "pairs in an empty folder of SVEN": (f"{BUILD} sven:@bad/folder", "folder"),
    # question templates
    "templates that are no JSON": (f"{RUN} --templates @bad/text", "JSON"),
    "templates that are not there": (f"{RUN} --templates @bad/none.json", "cannot be read"),
    "templates without a list": (f"{RUN} --templates @bad/no-list.json", "must be a list"),
    "a template without code": (f"{RUN} --templates @bad/no-code.json", "no {code}"),
    "a template with an unknown field": (f"{RUN} --templates @bad/field.json", "unknown field {cod}"),
    "a template with one answer": (f"{RUN} --templates @bad/answer.json", "two different answers"),
    # tasks, problems, autoencoders
    "unknown tasks": (f"{SECURE} startr", "Did you mean starter"),
    "tasks in no language": (f"{SECURE} starter --language cobol", "cobol"),
    "tasks in an empty folder": (f"{SECURE} cyberseceval:@bad/folder", "folder"),
    "unknown problems": (f"{PROBLEMS} exercise", "Did you mean exercises?"),
    "problems in an empty folder": (f"{PROBLEMS} mbpp:@bad/folder", "steerlab data fetch mbpp"),
    "problems without a key": (f"{PROBLEMS} mbpp:@bad/mbpp", "mbpp.jsonl"),
    "problems that are no JSON": (f"{PROBLEMS} humaneval:@bad/humaneval", "HumanEval.jsonl"),
    "an autoencoder that is not there": ("latents show @bad/none", "none"),
    "an autoencoder in an empty folder": ("latents show @bad/folder", "folder"),
    "an autoencoder with a broken config": ("latents show @bad/sae-config", "cfg.json"),
    "an autoencoder cut in half": ("latents show @bad/sae-half", "sae_weights"),
    "an autoencoder of another model": (f"{PROBLEMS} exercises --layers 2", "d_model"),
    "an autoencoder with a negative layer": ("latents show embedded --layer -7", "counted from 0"),
    "texts that are not there": ("latents train --model @model --layer 1 --out @out/sae --texts @bad/none", "none"),
    "no active latent": ("latents train --model @model --layer 1 --out @out/sae --k 0 --texts @bad/text", "k"),
    # vectors
    "a vector that is not there": (f"{GENERATE} @bad/none.safetensors", "none.safetensors"),
    "a vector that is a folder": (f"{GENERATE} @bad/folder", "folder"),
    "a vector that is text": (f"{GENERATE} @bad/text", "not a readable safetensors file"),
    "a vector in an empty file": (f"{GENERATE} @bad/empty", "not a readable safetensors file"),
    "a vector cut in half": (f"{GENERATE} @bad/half.safetensors", "not a readable safetensors file"),
    "a vector with NaN": (f"{GENERATE} @bad/nan.safetensors", "NaN"),
    "a vector of zeros": (f"{GENERATE} @bad/zero.safetensors", "norm 0"),
    "a vector of another model": (f"{GENERATE} @bad/other.safetensors", "was built for tiny-llama"),
    "tensors that are no vector": (f"{GENERATE} @bad/tensors.safetensors", "tensors.safetensors"),
    "a pickle": ("vector import @bad/evil.pt --out @out/v.safetensors", "evil.pt"),
    "a GGUF file of zeros": ("vector import @bad/zeros.gguf --out @out/v.safetensors", "zeros.gguf"),
    "a .svec file of text": ("vector import @bad/text.svec --out @out/v.safetensors", "text.svec"),
    "a vector of an unknown format": ("vector import @bad/text --format ggu --out @out/v", "Did you mean gguf?"),
    "a vector file without an ending": ("vector import @bad/text --out @out/v.safetensors", "--format"),
    "an export to an unknown format": ("vector export @vector --format ggu --out @out/v", "Did you mean gguf?"),
    "an export of a layer that is not there": ("vector export @vector --layers 9 --out @out/v.gguf", "9"),
    "an export below a file": ("vector export @vector --out @bad/text/v.gguf", "cannot be written"),
    "a vector below a file": (
        "vector build --model @model --layers 1 --pairs jsonl:@pairs --out @bad/text/v.safetensors",
        "cannot be written",
    ),
    "a fold into a folder with files": ("bake --model @model --vector @vector --out @bad", "exists already"),
    "an unknown engine": ("equivalence --model @model --vector @vector --engines nsight", "Did you mean nnsight?"),
    # models
    "a model that is not there": ("doctor --model @bad/none", "does not exist"),
    "a model that is a file": ("doctor --model @bad/text", "text"),
    "a model without a config": ("doctor --model @bad/folder", "no config.json"),
    "a model cut in half": ("doctor --model @bad/half-model", "half written"),
    "a model with a broken config": ("doctor --model @bad/broken-config", "broken-config"),
    "a model of an unknown kind": ("doctor --model @bad/unknown-kind", "unknown-kind"),
    "a model without weights": ("doctor --model @bad/no-weights", "no-weights"),
    "a model without a tokenizer": ("doctor --model @bad/no-tokenizer", "no usable tokenizer"),
    "a model that is no decoder": ("doctor --model @bad/encoder", "causal"),
    # run directories
    "a report of nothing": ("report @bad/none", "holds no run"),
    "a report of an interrupted run": ("report @bad/interrupted", "is not finished"),
    "a report with a broken result": ("report @bad/broken-result", "is damaged"),
    "a report whose result is a list": ("report @bad/list-result", "is damaged"),
    "a report with broken rows": ("report @bad/broken-rows", "is damaged"),
    "a run into a file": (RUN.replace("@out/run", "@bad/text"), "is a file"),
    "a run into a folder of something else": (RUN.replace("@out/run", "@bad/folder-in-use"), "holds no run"),
    "a run into a run": (RUN.replace("@out/run", "@bad/interrupted"), "--resume"),
    "a run that was begun with other settings": (
        RUN.replace("@out/run", "@bad/interrupted") + "--resume",
        "was begun with",
    ),
    "a run with a broken manifest": (RUN.replace("@out/run", "@bad/broken-manifest") + "--resume", "is damaged"),
    "a run whose manifest is a list": (RUN.replace("@out/run", "@bad/list-manifest") + "--resume", "holds no run"),
    "a choice in a run that is none": ("select @bad/none --coefficient 3 --reason x", "run the stage coefficients"),
    "a choice in a broken selection": ("select @bad/broken-selection --coefficient 3 --reason x", "is damaged"),
    "a choice without a reason": ("select @bad/none --coefficient 3 --reason ' '", "needs a reason"),
    # data
    "a data set with a typing error": ("data fetch secllmholms --out @out/o", "Did you mean secllmholmes?"),
    "a check of nothing": ("data check", "name a source"),
    "a check of an unknown source": ("data check humanevl:x", "Did you mean humaneval"),
    "a quick check of a source": ("data check starter --quick", "go with --embedded"),
}

USAGE = {
    "no such command": "nonsense",
    "no such option": "doctor --modl x",
    "a study is not named": "run",
    "a missing option": "vector build --model x",
    "an argument too many": "report a b",
    "a number in words": f"{RUN} --limit many",
    "a number below its bound": f"{RUN} --folds -1",
    "no token to write": f"{GOOD} --max-new-tokens 0",
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What @model, @pairs, @vector and @bad stand for."""
    made = tmp_path_factory.mktemp("malformed")
    model = save_tiny("qwen2", made / "model")
    vector = made / "vector.safetensors"
    save_vector(random_vector(load_model(str(model), device="cpu"), 1), vector)
    (made / "bad").mkdir()
    write_bad(made / "bad", model=model, vector=vector)
    return {"@model": model, "@pairs": write_pairs(made / "pairs.jsonl"), "@vector": vector, "@bad": made / "bad"}


def write_bad(bad: Path, *, model: Path, vector: Path) -> None:
    """All malformed files."""
    for name in ("folder", "folder-in-use", "mbpp", "humaneval", "sae-config", "sae-half"):
        (bad / name).mkdir()
    (bad / "folder-in-use" / "thesis.tex").write_text("x")
    (bad / "text").write_text("x")
    (bad / "empty").write_text("")
    write_settings(bad, model)
    write_bad_pairs(bad)
    template = {"name": "t", "text": "{code}?", "vulnerable": " yes", "patched": " no"}
    for name, change in (
        ("no-code", {"text": "?"}),
        ("field", {"text": "{code} {cod}"}),
        ("answer", {"patched": " yes"}),
    ):
        (bad / f"{name}.json").write_text(json.dumps({"templates": [template | change]}))
    (bad / "no-list.json").write_text('{"templates": 3}')
    (bad / "mbpp" / "mbpp.jsonl").write_text('{"task_id": 1, "text": "Add one."}\n')
    (bad / "humaneval" / "HumanEval.jsonl").write_text("{\n")
    (bad / "sae-config" / "cfg.json").write_text("{")
    (bad / "sae-config" / "sae_weights.safetensors").write_text("x")
    (bad / "sae-half" / "cfg.json").write_text('{"architecture": "standard", "d_in": 32, "d_sae": 64}')
    (bad / "sae-half" / "sae_weights.safetensors").write_bytes(b"\x40\x00")
    write_bad_vectors(bad, vector)
    write_bad_models(bad)
    write_bad_runs(bad)


def write_settings(bad: Path, model: Path) -> None:
    good = f'study = "vulnerability-detection"\npairs = "jsonl:{model.parent / "pairs.jsonl"}"\n'
    named = f'{good}model = "{model}"\n'
    texts = {
        "no-toml": "study = ",
        "no-study": f'model = "{model}"\n',
        "other-study": 'study = "detection"\n',
        "study-number": "study = 3\n",
        "key": f"{named}layer = 3\n",
        "folds": f'{named}folds = "three"\n',
        "half": f"{named}draws = 1.5\n",
        "layers": f"{named}layers = 1\n",
        "words": f'{named}coefficients = ["four"]\n',
        "nested": f"{named}layers = [[1, 2]]\n",
        "model": f"{good}model = 3\n",
        "secure": 'study = "secure-code"\n',
    }
    for name, text in texts.items():
        (bad / f"{name}.toml").write_text(text)
    (bad / "latin.toml").write_bytes(b'study = "\xe9"\n')


def write_bad_pairs(bad: Path) -> None:
    pair = {"vulnerable": "a", "patched": "b"}
    texts = {
        "empty": "",
        "blank": "\n \n",
        "no-json": f"{json.dumps(pair)}\n{{'vulnerable': 1}}\n",
        "list": json.dumps([pair]),
        "deep": '{"vulnerable": ' + "[" * 100_000,
        "nameless": json.dumps({"vulnerable": "a", "patched": "b"}),
        "key": json.dumps({"vulnerble": "a", "patched": "b"}),
        "side": '{"vulnerable": "a"}\n{"vulnerable": "b"}\n',
        "empty-side": f"{json.dumps(pair)}\n{json.dumps({'vulnerable': 'c', 'patched': ' '})}",
        "number": json.dumps({"vulnerable": 1, "patched": "b"}),
        "same": json.dumps({"vulnerable": "a", "patched": "a"}),
        "twice": "\n".join(json.dumps({"id": "p", "vulnerable": f"a{i}", "patched": f"b{i}"}) for i in range(2)),
        "cwe": json.dumps(pair | {"cwe": "injection"}),
        "single": json.dumps(pair | {"cwe": "CWE-787"}),
    }
    for name, text in texts.items():
        (bad / f"{name}.jsonl").write_text(text)
    (bad / "latin.jsonl").write_bytes(b'{"vulnerable": "\xe9", "patched": "b"}\n')
    (bad / "utf16.jsonl").write_bytes(json.dumps(pair).encode("utf-16"))
    (bad / "zeros.jsonl").write_bytes(bytes(64))


def write_bad_vectors(bad: Path, vector: Path) -> None:
    for name, row in (("nan", np.full(32, np.nan, dtype=np.float32)), ("zero", np.zeros(32, dtype=np.float32))):
        changed = random_vector(load_model(str(vector.parent / "model"), device="cpu"), 1)
        object.__setattr__(changed, "directions", {1: row})
        save_vector(changed, bad / f"{name}.safetensors")
    save_vector(random_vector(tiny_model("llama"), 1), bad / "other.safetensors")
    (bad / "half.safetensors").write_bytes(vector.read_bytes()[:40])
    safetensors.numpy.save_file({"weight": np.zeros(3, dtype=np.float32)}, bad / "tensors.safetensors")
    (bad / "evil.pt").write_bytes(pickle.dumps(print))
    (bad / "zeros.gguf").write_bytes(bytes(64))
    (bad / "text.svec").write_text("x")


def write_bad_models(bad: Path) -> None:
    for name in ("half-model", "broken-config", "unknown-kind", "no-weights", "no-tokenizer"):
        save_tiny("qwen2", bad / name)
    weights = bad / "half-model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    (bad / "broken-config" / "config.json").write_text("{")
    (bad / "unknown-kind" / "config.json").write_text('{"model_type": "perceptron"}')
    (bad / "no-weights" / "model.safetensors").unlink()
    for file in (bad / "no-tokenizer").glob("tokenizer*"):
        file.unlink()
    encoder = transformers.T5Model(
        transformers.T5Config(vocab_size=260, d_model=32, d_ff=48, num_layers=2, num_heads=4, d_kv=8)
    )
    encoder.save_pretrained(bad / "encoder")
    byte_tokenizer().save_pretrained(bad / "encoder")


def write_bad_runs(bad: Path) -> None:
    manifest = {"settings": {"model": "another"}, "facts": {}}
    for name in ("interrupted", "broken-result", "list-result", "broken-rows", "broken-manifest", "list-manifest"):
        (bad / name).mkdir()
        (bad / name / "manifest.json").write_text(json.dumps(manifest))
    for name, text in (("broken-result", "{"), ("list-result", "[]"), ("broken-rows", '{"verdict": ""}')):
        (bad / name / "result.json").write_text(text)
        (bad / name / "rows.parquet").write_bytes(b"PAR1")
    (bad / "broken-manifest" / "manifest.json").write_text("{")
    (bad / "list-manifest" / "manifest.json").write_text("[]")
    (bad / "broken-selection").mkdir()
    (bad / "broken-selection" / "selected_coefficients.json").write_text('{"selected": 3}')


def words(line: str, places: dict[str, Path], out: Path) -> list[str]:
    for name, place in (places | {"@out": out}).items():
        line = line.replace(name, str(place))
    return shlex.split(line)


@pytest.mark.parametrize("name", MENDABLE)
def test_what_the_user_can_mend_is_one_line_and_exit_code_1(
    steerlab, places: dict[str, Path], tmp_path: Path, name: str
) -> None:
    line, wanted = MENDABLE[name]
    code, out, err = steerlab(*words(line, places, tmp_path))
    said = [text for text in err.splitlines() if not text.startswith("run directory: ")]
    assert (code, out, len(said)) == (1, "", 1), (code, out, err)
    assert said[0].startswith("error: ") and wanted in said[0] and "internal error" not in said[0], said[0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in (".lock", "manifest.json")]


@pytest.mark.parametrize("name", USAGE)
def test_what_cannot_be_parsed_is_a_usage_error_of_one_line(
    steerlab, places: dict[str, Path], tmp_path: Path, name: str
) -> None:
    code, out, err = steerlab(*words(USAGE[name], places, tmp_path))
    assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith("usage: "), (code, out, err)
