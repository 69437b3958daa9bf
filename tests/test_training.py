"""What makes the embedded model: families, exercises, weighted items, and how far the corpus is from held-out sets."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import random
import shutil
import subprocess
import tarfile
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from training.c_sources import Archive, c_texts
from training.corpus import NGRAM, blocks, is_apart, language_of, python_texts, sven_texts, whole, write_corpus
from training.exercises import STYLES, compositions, draw_exercise, is_held_out, make_exercise
from training.families import FAMILIES
from training.families.contract import CWE_NAMES
from training.items import (
    ABSENT_ANSWER,
    ANSWER,
    KINDS,
    SHARES,
    TEMPLATE_FILE,
    Mixture,
    beside,
    detection_texts,
    draw_sample,
    encode_texts,
    exercise_text,
    shard_texts,
    templates,
)
from training.label_check import analysed_families, opinions
from training.model import Shape, fused_weights, initial_weights, qwen2_weights
from training.overlap import all_ngrams, held_out_texts, overlap
from training.real_pairs import real_pairs
from training.rename import defined_names, renamed
from training.tokenizer import load_tokenizer, train_tokenizer

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("STEERLAB_SHARED", ROOT.parent / "shared")) / "data"
MODEL = ROOT / "src/steerlab/embedded/model"
# Stated bound: at most this share of a held-out set's distinct 13-grams of lexical tokens occurs in a sample of the
# generated training text.
OVERLAP_TOKENS = NGRAM
OVERLAP_BOUND = 0.01
# Programs of weaknesses share idioms (a loop, a malloc and its check) with the generated families.
OVERLAP_SAMPLE = 400
TRAINED = tuple(family for family in FAMILIES if not family.held_out)
MIXTURE = Mixture(families=TRAINED, corpus=["x = 1\n" * 60])


def _drawn(seed: int) -> list:
    random_source = random.Random(seed)
    return [(family, draw_sample(family, random_source)) for family in FAMILIES]


def test_every_cwe_has_at_least_eight_families_and_one_held_out() -> None:
    for cwe in CWE_NAMES:
        own = [family for family in FAMILIES if family.cwe == cwe]
        assert len(own) >= 8, cwe
        assert any(family.held_out for family in own), cwe
        assert len({family.name for family in own}) == len(own)


def test_a_family_gives_the_same_program_for_the_same_seed_and_another_for_another() -> None:
    first, again, other = _drawn(1), _drawn(1), _drawn(2)
    assert [sample for _, sample in first] == [sample for _, sample in again]
    assert sum(a != b for (_, a), (_, b) in zip(first, other, strict=True)) > 0.9 * len(first)


def test_flaw_and_fix_stand_in_their_programs_and_the_sides_differ() -> None:
    for seed in range(3):
        for family, sample in _drawn(seed):
            assert sample.vulnerable != sample.patched, family.name
            assert sample.flaw in [line.strip() for line in sample.vulnerable.split("\n")], family.name
            assert sample.fix in [line.strip() for line in sample.patched.split("\n")], family.name
            assert sample.reason and sample.reason_patched


def test_python_programs_parse() -> None:
    for family, sample in _drawn(4):
        if family.language == "python":
            ast.parse(sample.vulnerable)
            ast.parse(sample.patched)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here")
def test_c_programs_compile(tmp_path: Path) -> None:
    paths = []
    for number, (family, sample) in enumerate(_drawn(5)):
        if family.language == "c":
            for side in ("vulnerable", "patched"):
                path = tmp_path / f"{number}_{side}.c"
                path.write_text(getattr(sample, side), encoding="utf-8")
                paths.append(str(path))
    done = subprocess.run(
        ["gcc", "-std=gnu11", "-w", "-fsyntax-only", *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:2000]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here")
def test_gccs_analyser_flags_vulnerable_programs_and_hardly_any_patched_one() -> None:
    found = opinions(analysed_families(), per_family=1, seed=32)
    vulnerable, patched = (sum(pair[side] for pair in found.values()) for side in (0, 1))
    assert vulnerable > 0.4 * len(found), "the twin: the analyser must find something"
    assert patched <= 0.1 * len(found), [name for name, (_, wrong) in found.items() if wrong]


def test_references_of_exercises_pass_their_asserts_in_every_style() -> None:
    assert len(compositions()) >= 400
    random_source = random.Random(6)
    for composition in random_source.sample(compositions(), 300):
        exercise = make_exercise(composition, random_source)
        namespace: dict[str, object] = {}
        exec(exercise.prompt + exercise.solution + "\n".join(exercise.asserts) + "\n", namespace)
        assert exercise.held_out == is_held_out(composition)
    assert len(STYLES) >= 4


def test_training_never_draws_a_held_out_composition() -> None:
    random_source = random.Random(7)
    assert not any(draw_exercise(random_source).held_out for _ in range(300))
    assert all(draw_exercise(random_source, "held-out").held_out for _ in range(100))


def test_items_use_the_templates_of_the_product() -> None:
    product = [template["text"] for template in json.loads(TEMPLATE_FILE.read_text(encoding="utf-8"))["templates"]]
    assert set(product) <= set(templates())


def _tokenizer():
    if (MODEL / "tokenizer.json").exists():
        return load_tokenizer(MODEL)
    random_source = random.Random(8)
    return train_tokenizer(text.text for text in shard_texts(MIXTURE, random_source, 300))


def test_the_full_weight_lies_on_the_answer_token_alone() -> None:
    tokenizer, random_source = _tokenizer(), random.Random(9)
    texts = [text for family, sample in _drawn(9) for text in detection_texts(sample, family, random_source)]
    arrays = encode_texts(texts, tokenizer)
    yes, no = (tokenizer.encode(answer).ids[0] for answer in (" yes", " no"))
    for number in range(len(arrays["kinds"])):
        part = slice(arrays["offsets"][number], arrays["offsets"][number + 1])
        weights, tokens = arrays["weights"][part], arrays["tokens"][part]
        most = ABSENT_ANSWER if KINDS[arrays["kinds"][number]] == "absent" else ANSWER
        assert np.flatnonzero(weights >= np.float16(most)).tolist() == [arrays["answers"][number]]
        assert tokens[arrays["answers"][number]] in (yes, no)


def test_an_absent_cwe_is_answered_no_and_sides_are_answered_apart() -> None:
    random_source = random.Random(10)
    absent = 0
    for family, sample in _drawn(10) * 3:
        vulnerable, patched = detection_texts(sample, family, random_source)
        answers = [text.text[text.answer_at :].split()[0].split("<")[0] for text in (vulnerable, patched)]
        assert answers == (["no", "no"] if vulnerable.kind == "absent" else ["yes", "no"])
        absent += vulnerable.kind == "absent"
    assert 0.07 < absent / (3 * len(FAMILIES)) < 0.25


def test_an_exercise_weighs_its_solution_most() -> None:
    arrays = encode_texts([exercise_text(random.Random(11))], _tokenizer())
    assert KINDS[arrays["kinds"][0]] == "exercise"
    assert arrays["weights"][-2] > arrays["weights"][1]


def test_the_validation_split_of_sven_is_refused(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    with pytest.raises(ValueError, match="training split"):
        next(sven_texts(tmp_path / "val"))


def test_overlap_is_one_for_a_copy_and_zero_for_strangers() -> None:
    text = "for i in range(10): total += values[i] * weights[i] + offset"
    assert overlap([text], [text], 8) == 1.0
    assert overlap(["a completely different sentence about nothing at all in here"], [text], 8) == 0.0


@cache
def _held_out_ngrams() -> dict[str, set[tuple[str, ...]]]:
    pairs = ROOT / "src/steerlab/embedded/pairs"
    own = [path.read_text(encoding="utf-8") for path in sorted(pairs.rglob("*")) if path.suffix in (".c", ".py")]
    sets = held_out_texts(SHARED) | ({"starter-pairs": own} if own else {})
    return {name: all_ngrams(texts, OVERLAP_TOKENS) for name, texts in sets.items()}


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent: nothing to compare with")
def test_generated_training_text_shares_few_13_grams_with_the_held_out_sets() -> None:
    random_source = random.Random(12)
    generated = [text.text for text in shard_texts(MIXTURE, random_source, OVERLAP_SAMPLE)]
    found = all_ngrams(generated, OVERLAP_TOKENS)
    for name, wanted in _held_out_ngrams().items():
        assert len(wanted) > 1000, f"{name}: the set was not read"
        assert len(found & wanted) / len(wanted) <= OVERLAP_BOUND, name


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent: nothing to compare with")
def test_real_training_text_shares_few_13_grams_with_the_held_out_sets() -> None:
    sets = _held_out_ngrams()
    read = list(islice(python_texts(), 0, None, 40)) + list(sven_texts(SHARED / "sven/data_train_val/train"))
    avoided = set().union(*(wanted for name, wanted in sets.items() if name != "starter-pairs"))
    apart = [text for source, text in read if is_apart(source, text, avoided)]
    assert len(apart) > len(read) / 2
    found = all_ngrams(apart, OVERLAP_TOKENS)
    for name, wanted in sets.items():
        assert len(found & wanted) / len(wanted) <= OVERLAP_BOUND, name


def test_renamed_programs_parse_compile_and_keep_their_lines(tmp_path: Path) -> None:
    random_source = random.Random(13)
    paths, changed = [], 0
    for number, (family, sample) in enumerate(_drawn(13)):
        made = renamed(sample, family.language, random_source)
        changed += made != sample
        assert made.flaw in [line.strip() for line in made.vulnerable.split("\n")], family.name
        assert made.fix in [line.strip() for line in made.patched.split("\n")], family.name
        for side in ("vulnerable", "patched"):
            if family.language == "python":
                ast.parse(getattr(made, side))
            else:
                paths.append(tmp_path / f"{number}_{side}.c")
                paths[-1].write_text(getattr(made, side), encoding="utf-8")
    assert changed > 0.9 * len(FAMILIES)
    if shutil.which("gcc"):
        command = ["gcc", "-std=gnu11", "-w", "-fsyntax-only", *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:2000]


def test_only_names_that_the_program_defines_are_renamed() -> None:
    python = (
        "import os\n\ndef fetch(name, *, mode=1):\n    path = os.path.join(name)\n    return open(path, mode=mode)\n"
    )
    assert defined_names(python, "python") == ["fetch", "name"]  # path and mode are also an attribute and a keyword
    c = "#include <stdio.h>\n#define LIMIT 4\nint put(char *text) { unsigned long n = strlen(text); return n; }\n"
    assert set(defined_names(c, "c")) == {"put", "text", "n", "LIMIT"}


def test_a_program_beside_another_keeps_both_and_its_own_lines() -> None:
    (_, sample), (_, other) = _drawn(14)[:2]
    for seed in range(4):
        joined = beside(sample, other, random.Random(seed))
        assert sample.vulnerable.strip() in joined.vulnerable and sample.patched.strip() in joined.patched
        assert other.vulnerable.strip() in joined.vulnerable or other.patched.strip() in joined.vulnerable


def test_weights_go_to_transformers_names_and_back_and_added_layers_begin_as_the_identity() -> None:
    shape = Shape(n_layers=2, aux_layer=1, d_vocab=32, d_model=8, d_ff=12, n_heads=2)
    weights = initial_weights(shape, 3)
    back = fused_weights(qwen2_weights(weights, shape), shape)
    assert set(back) == set(weights) - {"aux"}
    assert all(np.array_equal(back[name], weights[name].bfloat16().float()) for name in back)
    grown = fused_weights(qwen2_weights(weights, shape), replace(shape, n_layers=3))
    assert not grown["1.out"].any() and not grown["1.down"].any()
    assert np.array_equal(grown["2.qkv"], back["1.qkv"])


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent: no SVEN to read")
def test_real_pairs_come_from_the_training_split_and_only_where_the_corpus_kept_both_sides() -> None:
    train = SHARED / "sven/data_train_val/train"
    rows = [json.loads(line) for line in (train / "cwe-476.jsonl").read_text(encoding="utf-8").strip().split("\n")]
    kept = {row[side] for row in rows[:30] for side in ("func_src_before", "func_src_after")}
    pairs = real_pairs(train, kept)
    assert 5 < len(pairs) <= 30
    assert all(family.cwe == "CWE-476" and sample.vulnerable in kept for family, sample in pairs)
    with pytest.raises(ValueError, match="training split"):
        real_pairs(SHARED / "sven/data_train_val/val", kept)


def test_a_text_that_shares_n_grams_with_a_held_out_set_stays_out_of_the_corpus(tmp_path: Path) -> None:
    train_folder = tmp_path / "train"
    train_folder.mkdir()
    shared = "int add(int a, int b) { int sum = a + b; if (sum < a) return -1; return sum; }"
    other = "long area(long width, long height) { long product = width * height; return product / 2 + 7 - 3; }"
    row = {"func_src_before": shared, "func_src_after": other}
    (train_folder / "cwe-190.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    texts = write_corpus(tmp_path / "corpus", sven_texts(train_folder), all_ngrams([shared], NGRAM))
    assert shared not in texts
    assert other in texts


def test_the_corpus_names_a_licence_and_a_hash_for_every_file() -> None:
    for number, (source, text) in enumerate(python_texts()):
        assert source.licence and len(source.sha256) == 64 and text is not None
        assert not Path(source.name).is_absolute()
        if number > 50:
            break


PYTHON_TEXT = '"""A module."""\n\nimport os\n\n\ndef one():\n    return 1\n\n\n# two\ndef two():\n    return 2\n'
C_TEXT = """#include <a.h>

int one(void)
{
    return 1;
}

struct s {
    int a;
};

int two(void)
{
    return 2;
}
"""


@pytest.mark.parametrize(("text", "language"), [(PYTHON_TEXT, "python"), (C_TEXT, "c")])
def test_blocks_are_the_text_in_pieces_and_runs_of_them_end_where_a_function_ends(text: str, language: str) -> None:
    assert language_of(text) == language
    pieces = blocks(text, language)
    assert "".join(pieces) == text and len(pieces) > 2
    for seed in range(20):
        run = whole(text, language, random.Random(seed), 60)
        assert len(run) <= 61 and run.strip() in text
        assert run.rstrip().endswith(("}", "};", "return 1", "return 2", "import os")) or not run.strip()
    assert whole(text, language, random.Random(0), 3) == ""  # nothing is cut


def test_python_that_does_not_parse_has_no_blocks() -> None:
    assert blocks("def f(:\n", "python") == []


def archive(folder: Path, files: dict[str, str]) -> Archive:
    path = folder / "p-1.tar.gz"
    with tarfile.open(path, "w:gz") as members:
        for name, text in files.items():
            (folder / "member").write_text(text)
            members.add(folder / "member", f"p-1/{name}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Archive(package="p", version="1", licence="MIT", path="x", file=path.name, sha256=digest)


def test_c_comes_from_pinned_archives_without_tests_and_copyleft(tmp_path, monkeypatch) -> None:
    code = "int f(void)\n{\n    return 1;\n}\n" * 20
    gnu = "/* GNU General Public License */\n" + code
    made = archive(
        tmp_path, {"src/a.c": code, "tests/b.c": code, "src/c.c": gnu, "src/d.py": code, "src/e.c": "int x;\n"}
    )
    monkeypatch.setattr("training.c_sources.ARCHIVES", (made,))
    found = list(c_texts(tmp_path))
    assert [(source.origin, source.licence, source.name) for source, _ in found] == [("p", "MIT", "p-1/src/a.c")]
    assert found[0][1] == code
    monkeypatch.setattr("training.c_sources.ARCHIVES", (replace(made, sha256="0" * 64),))
    with pytest.raises(ValueError, match="not the archive that was pinned"):
        list(c_texts(tmp_path))


def test_the_writing_mixture_holds_more_real_code_of_both_languages() -> None:
    mixture = replace(MIXTURE, corpus=[PYTHON_TEXT * 3, C_TEXT * 3], shares=SHARES["writing"])
    texts = shard_texts(mixture, random.Random(3), 6)
    size = {kind: sum(len(text.text) for text in texts if text.kind == kind) for kind in ("real", "exercise")}
    assert size["real"] > 2 * size["exercise"]
    real = [text.text for text in texts if text.kind == "real"]
    assert {language_of(text) for text in real} == {"c", "python"}
