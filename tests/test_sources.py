"""Sources of pairs: labels, groups, counts, what is said about bad input, and fetching."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import pytest

from steerlab.contrast import ProgramSet
from steerlab.errors import DataError, MissingExtraError
from steerlab.sources import SOURCES, check_source, list_sources, load_source
from steerlab.sources.fetch import ORIGINS, Origin, checksums, fetch
from steerlab.sources.identity import cwe_name, merge_groups
from steerlab.sources.jsonl import load_jsonl

SHARED = Path(__file__).parents[2] / "shared" / "data"
SECLLMHOLMES = SHARED / "secllmholmes"
SVEN = SHARED / "sven"

needs_secllmholmes = pytest.mark.skipif(not SECLLMHOLMES.is_dir(), reason="../shared/data/secllmholmes is absent")
needs_sven = pytest.mark.skipif(not SVEN.is_dir(), reason="../shared/data/sven is absent")


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


# --- the table ---------------------------------------------------------------------------------


def test_importing_the_sources_imports_neither_torch_nor_transformers() -> None:
    code = "import sys, steerlab.sources; print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_list_of_sources_says_what_to_type_and_under_which_licence() -> None:
    listed = {str(row["name"]): row for row in list_sources()}
    assert list(listed) == list(SOURCES) == ["secllmholmes", "sven", "jsonl", "starter", "fresh"]
    assert listed["secllmholmes"]["spec"] == "secllmholmes:PATH"
    assert listed["secllmholmes"]["licence"] == "GPL-3.0"
    assert listed["starter"]["spec"] == "starter"
    json.dumps(list_sources())


def test_an_unknown_source_names_the_nearest_one() -> None:
    with pytest.raises(DataError) as error:
        load_source("secllmholms:somewhere")
    assert "Did you mean secllmholmes?" in one_line(error)


@pytest.mark.parametrize("name", ["secllmholmes", "sven"])
def test_a_missing_path_says_what_to_type_and_where_to_get_it(name: str, tmp_path: Path) -> None:
    for spec in (name, f"{name}:", f"{name}:{tmp_path / 'nowhere'}"):
        with pytest.raises(DataError) as error:
            load_source(spec)
        text = one_line(error)
        assert f"Type: {name}:PATH" in text
        assert f"steerlab data fetch {name} --out DIR" in text
        assert SOURCES[name].where in text


def test_a_missing_file_of_pairs_says_what_to_type() -> None:
    with pytest.raises(DataError, match="jsonl:FILE"):
        load_source("jsonl")


def test_the_starter_pairs_take_no_path() -> None:
    with pytest.raises(DataError, match=r"takes no path\. Type: starter"):
        load_source("starter:somewhere")


@pytest.mark.parametrize(
    ("given", "name"),
    [("cwe-022", "CWE-22"), ("CWE-787", "CWE-787"), ("CWE_79", "CWE-79"), ("89", "CWE-89"), ("SQLi", None), ("", None)],
)
def test_cwe_names_are_normalised(given: str, name: str | None) -> None:
    assert cwe_name(given) == name


def test_groups_join_over_a_chain_of_shared_keys_in_any_order() -> None:
    keys = {"1": ("a", "x"), "2": ("b", "y"), "3": ("c", "x", "y"), "4": ("d",)}
    expected = {"1": "a", "2": "a", "3": "a", "4": "d"}
    assert merge_groups(keys) == expected
    assert merge_groups(dict(reversed(keys.items()))) == expected


# --- SecLLMHolmes ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def holmes() -> ProgramSet:
    return load_source(f"secllmholmes:{SECLLMHOLMES}")


@pytest.fixture(scope="module")
def index() -> dict[str, dict[str, object]]:
    """Our own list of the 294 programs, made apart from the loader, by the loader's ids."""
    rows = {}
    for line in (SECLLMHOLMES / "index.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        parts = Path(row["path"]).with_suffix("").parts[1:]
        kept = [part for part in parts if part != "dataset"]
        if row["part"] == "augmented/non-trivial":
            kept.remove(row["augmentation"])
        rows["/".join(kept)] = row
    return rows


@needs_secllmholmes
def test_secllmholmes_has_the_published_counts() -> None:
    summary = check_source(f"secllmholmes:{SECLLMHOLMES}")
    assert summary["programs"] == 228
    assert summary["with_before"] == 294
    assert (summary["vulnerable"], summary["patched"]) == (117, 111)
    assert summary["by_part"] == {
        "hand-crafted": 48,
        "augmented/trivial": 84,
        "augmented/non-trivial": 66,
        "real-world": 30,
    }
    assert summary["pairs"] == 105
    assert summary["groups"] == 24 + 15  # hand-crafted items and real-world CVEs
    assert sum(summary["by_cwe"].values()) == 228  # type: ignore[attr-defined]
    assert "CWE-77" in summary["by_cwe"]  # type: ignore[operator]
    json.dumps(summary)


@needs_secllmholmes
def test_secllmholmes_labels_agree_with_the_independent_index(
    holmes: ProgramSet, index: dict[str, dict[str, object]]
) -> None:
    assert {program.id for program in holmes.programs} == set(index)
    for program in holmes.programs:
        row = index[program.id]
        assert (program.label == "vulnerable") == (row["label"] == 1), program.id
        assert program.cwe == row["cwe"]
        assert program.language == row["language"]
        assert program.part == row["part"]
        assert program.evaluated == row["counts_in_228"]
        assert hashlib.sha256(program.code.encode()).hexdigest() == row["sha256"]
        truth = (SECLLMHOLMES / str(row["ground_truth"])).read_text("utf-8").strip()
        assert program.reasoning == truth != ""


@needs_secllmholmes
def test_secllmholmes_pairs_agree_with_the_independent_index(
    holmes: ProgramSet, index: dict[str, dict[str, object]]
) -> None:
    sides: dict[object, dict[object, object]] = defaultdict(dict)
    for row in index.values():
        sides[row["pair"]][row["label"]] = row["sha256"]
    expected = sorted((side[1], side[0]) for side in sides.values() if len(side) == 2)
    found = sorted(
        (hashlib.sha256(pair.negative.encode()).hexdigest(), hashlib.sha256(pair.positive.encode()).hexdigest())
        for pair in holmes.pairs
    )
    assert found == expected


@needs_secllmholmes
def test_secllmholmes_duplicates_patches_and_copies_are_never_split_over_groups(
    holmes: ProgramSet, index: dict[str, dict[str, object]]
) -> None:
    group = {program.id: program.group for program in holmes.programs}
    by_path = {row["path"]: identity for identity, row in index.items()}
    together: dict[object, set[str]] = defaultdict(set)
    for identity, row in index.items():
        together[row["sha256"]].add(group[identity])
        together[row["pair"]].add(group[identity])
        together[row["cve"] if row["part"] == "real-world" else (row["cwe"], row["item"])].add(group[identity])
        if row["duplicate_of"]:
            assert group[identity] == group[by_path[row["duplicate_of"]]]
    assert all(len(groups) == 1 for groups in together.values())
    by_pair = {pair.id: pair.group for pair in holmes.pairs}
    assert set(by_pair.values()) <= set(group.values())


@needs_secllmholmes
def test_secllmholmes_may_be_given_by_its_datasets_folder(holmes: ProgramSet) -> None:
    assert load_source(f"secllmholmes:{SECLLMHOLMES / 'datasets'}").sha256 == holmes.sha256


def small_holmes(root: Path) -> Path:
    """A tiny tree of the official layout, with the extra files that the official repository has."""
    datasets = root / "datasets"

    def item(dataset: str, truth: str, text: str) -> None:
        for folder, suffix in ((dataset, ".c"), (truth, ".txt")):
            for stem in ("1", "p_1"):
                path = datasets / folder / "CWE-787" / f"{stem}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{text} {stem}\n")

    item("hand-crafted/dataset", "hand-crafted/ground-truth", "one")
    item("augmented/trivial/A1/dataset", "augmented/trivial/A1/ground_truth", "two")
    item("augmented/non-trivial/A1/A1_0/dataset", "augmented/non-trivial/A1/A1_0/ground-truth", "one")
    item("augmented/non-trivial/A1/A1_1/dataset", "augmented/non-trivial/A1/A1_1/ground-truth", "three")
    cve = datasets / "real-world" / "proj" / "CVE-2023-1"
    cve.mkdir(parents=True)
    for stem in ("vuln", "patch"):
        (cve / f"{stem}.c").write_text(f"four {stem}\n")
        (cve / f"{stem}.txt").write_text(f"because {stem}\n")
        (cve / stem).write_bytes(b"\x80\x04pickle")
    details = {"proj": {"CVE-2023-1": {"cwe": "cwe-476"}}}
    (datasets / "real-world" / "cve_details.json").write_text(json.dumps(details))
    (datasets / "hand-crafted" / "dataset" / ".DS_Store").write_bytes(b"\x00\xff")
    (datasets / "hand-crafted" / "dataset" / "CWE-787" / ".DS_Store").write_bytes(b"\x00\xff")
    (datasets / "hand-crafted" / "embeddings" / "CWE-787").mkdir(parents=True)
    (datasets / "hand-crafted" / "embeddings" / "CWE-787" / "1").write_bytes(b"\x80\x04pickle")
    return root


def test_secllmholmes_leaves_embeddings_alone_and_notes_an_incomplete_copy(tmp_path: Path) -> None:
    loaded = load_source(f"secllmholmes:{small_holmes(tmp_path)}")
    assert len(loaded.programs) == 10
    assert len(loaded.evaluated()) == 8
    assert {program.group for program in loaded.programs} == {"CWE-787/1", "real-world/proj/CVE-2023-1"}
    assert any("hand-crafted has 2 programs, the published set has 48" in note for note in loaded.notes)


def test_secllmholmes_without_one_of_its_parts_is_an_error(tmp_path: Path) -> None:
    root = small_holmes(tmp_path)
    (root / "datasets" / "real-world").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="lacks real-world: an incomplete copy"):
        load_source(f"secllmholmes:{root}")


def test_secllmholmes_without_a_ground_truth_text_is_an_error_that_names_it(tmp_path: Path) -> None:
    root = small_holmes(tmp_path)
    (root / "datasets/hand-crafted/ground-truth/CWE-787/p_1.txt").unlink()
    with pytest.raises(DataError, match=r"ground-truth/CWE-787/p_1\.txt cannot be read"):
        load_source(f"secllmholmes:{root}")


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ("{}", "has no CWE for proj CVE-2023-1"),
        ('{"proj": {"CVE-2023-1": {"cwe": "?"}}}', "is not a CWE number"),
        ("{", "not JSON"),
    ],
)
def test_secllmholmes_with_wrong_details_of_a_cve_is_an_error(tmp_path: Path, details: str, words: str) -> None:
    root = small_holmes(tmp_path)
    (root / "datasets/real-world/cve_details.json").write_text(details)
    with pytest.raises(DataError) as error:
        load_source(f"secllmholmes:{root}")
    assert words in one_line(error)


@pytest.mark.parametrize("name", ["secllmholmes", "sven"])
def test_a_folder_of_something_else_is_an_error_that_says_what_to_give(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        load_source(f"{name}:{tmp_path}")
    assert f"steerlab data fetch {name}" in one_line(error)


# --- SVEN --------------------------------------------------------------------------------------


@needs_sven
def test_sven_has_its_pairs_less_the_four_identical_ones() -> None:
    summary = check_source(f"sven:{SVEN}")
    assert summary["pairs"] == 799
    assert summary["by_cwe"] == {
        "CWE-22": 57,
        "CWE-78": 106,
        "CWE-79": 50,
        "CWE-89": 204,
        "CWE-125": 144,
        "CWE-190": 43,
        "CWE-416": 61,
        "CWE-476": 78,
        "CWE-787": 56,
    }
    assert summary["by_language"]["python"] == 380  # type: ignore[index]
    assert summary["by_part"] == {"train": 716, "val": 83}
    notes = summary["notes"]
    assert isinstance(notes, list)
    assert any(note.startswith("4 lines were dropped because their sides are identical") for note in notes)
    assert any(note.startswith("86 pairs come from linux, gpac or libtiff") for note in notes)
    json.dumps(summary)


@needs_sven
def test_sven_functions_of_one_commit_or_with_equal_texts_are_never_split_over_groups() -> None:
    loaded = load_source(f"sven:{SVEN / 'data_train_val'}")
    group = {pair.id: pair.group for pair in loaded.pairs}
    together: dict[str, set[str]] = defaultdict(set)
    for file in sorted((SVEN / "data_train_val").glob("*/*.jsonl")):
        for number, line in enumerate(file.read_text("utf-8").split("\n"), start=1):
            identity = f"{file.parent.name}/{file.stem}/{number}"
            if line and identity in group:
                row = json.loads(line)
                for key in ("commit_link", "func_src_before", "func_src_after"):
                    together[row[key]].add(group[identity])
    assert len(together) > 1000
    assert all(len(groups) == 1 for groups in together.values())
    assert len(set(group.values())) > 500


def sven_line(**changes: str) -> dict[str, str]:
    row = {
        "func_name": "f",
        "func_src_before": "bad()",
        "func_src_after": "good()",
        "commit_link": "github.com/a/b/commit/0123abcd",
        "file_name": "src/f.py",
        "vul_type": "cwe-022",
    }
    return {**row, **changes}


def small_sven(root: Path, *rows: dict[str, str]) -> Path:
    for part, content in (("train", rows), ("val", ())):
        folder = root / "data_train_val" / part
        folder.mkdir(parents=True)
        (folder / "cwe-022.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    return root


def test_sven_takes_the_function_before_the_fix_as_vulnerable(tmp_path: Path) -> None:
    loaded = load_source(f"sven:{small_sven(tmp_path, sven_line())}")
    (pair,) = loaded.pairs
    assert (pair.negative, pair.positive, pair.labels["cwe"]) == ("bad()", "good()", "CWE-22")
    assert {program.code: program.label for program in loaded.programs} == {"bad()": "vulnerable", "good()": "patched"}


def test_sven_commits_of_one_function_share_a_group(tmp_path: Path) -> None:
    other = sven_line(commit_link="github.com/a/b/commit/ffff", func_src_before="x", func_src_after="y")
    apart = sven_line(commit_link="github.com/a/b/commit/eeee", func_src_before="v", func_src_after="w", func_name="g")
    loaded = load_source(f"sven:{small_sven(tmp_path, sven_line(), other, apart)}")
    groups = [pair.group for pair in loaded.pairs]
    assert groups[0] == groups[1] != groups[2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vul_type": "sql"}, "vul_type 'sql' is not a CWE number"),
        ({"file_name": "a.rs"}, "a.rs has an unknown language"),
        ({"commit_link": "somewhere"}, "is not HOST/REPOSITORY/commit/HASH"),
    ],
)
def test_a_wrong_line_of_sven_is_named(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(DataError) as error:
        load_source(f"sven:{small_sven(tmp_path, sven_line(), sven_line(**changes))}")
    assert "cwe-022.jsonl line 2" in one_line(error)
    assert words in one_line(error)


def test_a_line_of_sven_without_a_field_is_named(tmp_path: Path) -> None:
    row = sven_line()
    del row["func_src_after"]
    with pytest.raises(DataError, match="line 1: func_src_after is missing"):
        load_source(f"sven:{small_sven(tmp_path, row)}")


# --- your own pairs ----------------------------------------------------------------------------

GOOD = {"vulnerable": "gets(s);", "patched": "fgets(s, n, f);"}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_file_of_pairs_needs_only_the_two_sides(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", GOOD, {"negative": "a", "positive": "b", "cwe": "cwe-089", "id": "x"})
    loaded = load_source(f"jsonl:{path}")
    first, second = loaded.pairs
    assert (first.id, first.group, first.negative, first.positive) == ("line-1", "line-1", *GOOD.values())
    assert (second.id, second.labels["cwe"]) == ("x", "CWE-89")
    summary = check_source(f"jsonl:{path}")
    assert (summary["pairs"], summary["groups"], summary["by_cwe"]) == (2, 2, {"CWE-89": 1, "": 1})
    json.dumps(summary)


def test_a_prompt_stands_before_both_sides(tmp_path: Path) -> None:
    row = {"prompt": "def f():", "vulnerable": " eval(x)", "patched": " int(x)", "language": "python", "group": "g"}
    loaded = load_jsonl(write(tmp_path / "mine.jsonl", row))
    assert loaded.pairs[0].prompt == "def f():"
    assert loaded.pairs[0].group == "g"
    assert [program.code for program in loaded.programs] == ["def f(): eval(x)", "def f(): int(x)"]


def test_pairs_that_share_a_text_share_a_group_and_a_note_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", GOOD, {**GOOD, "patched": "getline(&s, &n, f);"}, {**GOOD, "prompt": "//"})
    loaded = load_jsonl(path)
    groups = [pair.group for pair in loaded.pairs]
    assert groups[0] == groups[1] != groups[2]
    assert "3 groups became 2" in loaded.notes[0]


def test_unusual_line_separators_inside_a_string_do_not_split_a_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({**GOOD, "vulnerable": "a\u2028b"}, ensure_ascii=False) + "\r\n\r\n", encoding="utf-8")
    assert load_jsonl(path).pairs[0].negative == "a\u2028b"


def test_the_digest_changes_with_a_text_and_not_with_the_place(tmp_path: Path) -> None:
    first = load_jsonl(write(tmp_path / "one.jsonl", GOOD))
    assert first.sha256 == load_jsonl(write(tmp_path / "two.jsonl", GOOD)).sha256
    assert first.sha256 != load_jsonl(write(tmp_path / "three.jsonl", {**GOOD, "patched": "x"})).sha256


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "is empty. Write one pair per line"),
        ([GOOD, {"vulnerabel": "a", "patched": "b"}], "line 2: unknown key 'vulnerabel'. Did you mean vulnerable?"),
        ([GOOD, {**GOOD, "negative": "b"}], "line 2: 'negative' and another name of 'vulnerable' are both given"),
        ([GOOD, {"vulnerable": "a"}], "line 2: 'patched' is missing"),
        ([GOOD, {"vulnerable": "a", "patched": "  "}], "line 2: the patched side is empty"),
        ([GOOD, {"vulnerable": "a", "patched": 3}], "line 2: 'patched' is int, it must be a text"),
        ([{"vulnerable": "a"}, {"vulnerable": "b"}], "one class only, none of its 2 lines has a patched side"),
        ([{"vulnerable": "", "patched": "b"}], "one class only, none of its 1 lines has a vulnerable side"),
        ([GOOD, {"vulnerable": "a", "patched": "a"}], "line 2: both sides are identical"),
        (
            [{**GOOD, "id": "x"}, {"id": "x", "vulnerable": "a", "patched": "b"}],
            "line 2: id 'x' is already used in line 1",
        ),
        ([GOOD, {"id": "line-1", "vulnerable": "a", "patched": "b"}], "line 2: id 'line-1' is already used in line 1"),
        ([{**GOOD, "cwe": "SQLi"}], "line 1: cwe 'SQLi' is not a CWE number"),
        ([GOOD, ["a", "b"]], "line 2: a list, not an object"),
    ],
)
def test_a_wrong_file_of_pairs_names_file_and_line(tmp_path: Path, rows: list[object], words: str) -> None:
    path = write(tmp_path / "mine.jsonl", *rows)
    with pytest.raises(DataError) as error:
        load_source(f"jsonl:{path}")
    text = one_line(error)
    assert "mine.jsonl" in text
    assert words in text


def test_bad_json_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(GOOD) + "\n{'vulnerable': 1}\n")
    with pytest.raises(DataError, match=r"mine\.jsonl line 2: not JSON .* at column 2"):
        load_jsonl(path)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_that_is_not_utf8_names_line_and_byte(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "mine.jsonl"
    good = mark + json.dumps(GOOD).encode() + b"\n"
    path.write_bytes(good)
    assert len(load_jsonl(path).pairs) == 1
    path.write_bytes(good + b'{"vulnerable": "caf\xe9"}\n')
    with pytest.raises(DataError, match=rf"line 2: byte 0xe9 at offset {len(good) + 19} is not UTF-8"):
        load_jsonl(path)


def test_a_folder_in_place_of_a_file_of_pairs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a folder\. Give a file: jsonl:FILE"):
        load_source(f"jsonl:{tmp_path}")


# --- fetching ----------------------------------------------------------------------------------

CONTENT = {"LICENSE": "free\n", "datasets/a/1.c": "int a;\r\n", "datasets/b.txt": "ä\n"}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two data sets of three files, one by git and one by URL, in place of the published ones."""
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in CONTENT.items()}
    commit = ORIGINS["secllmholmes"].commit
    by_git = Origin(licence="MIT", git="file:///nowhere/at-all", commit=commit, paths=("LICENSE", "datasets"))
    by_url = Origin(licence="MIT", urls={name: f"file:///nowhere/{name}" for name in CONTENT})
    monkeypatch.setattr(fetch_module(), "ORIGINS", {"secllmholmes": by_git, "humaneval": by_url})
    monkeypatch.setattr(fetch_module(), "checksums", lambda _: sums)


def fetch_module() -> ModuleType:
    return sys.modules["steerlab.sources.fetch"]


def tree(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes().decode()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def plant(root: Path, **changes: str) -> Path:
    for name, text in {**CONTENT, **changes, "datasets/embeddings/1": "pickle"}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return root


def commit(root: Path) -> str:
    """Turn a folder into a git repository; gives its commit."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.autocrlf=false"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], cwd=root, check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.usefixtures("tiny")
def test_fetching_by_git_takes_the_verified_files_and_nothing_else(tmp_path: Path) -> None:
    plant(tmp_path / "origin")
    commit(tmp_path / "origin")
    fetched = fetch("secllmholmes", tmp_path / "out", origin=f"file://{tmp_path / 'origin'}")
    assert tree(tmp_path / "out") == CONTENT
    assert (fetched.files, fetched.licence, fetched.path) == (3, "MIT", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["origin", "out"]


@pytest.mark.usefixtures("tiny")
def test_fetching_by_git_takes_the_pinned_commit_not_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path / "origin")
    pinned = commit(tmp_path / "origin")
    plant(tmp_path / "origin", LICENSE="another\n")
    commit(tmp_path / "origin")
    origins = fetch_module().ORIGINS
    place = dataclasses.replace(origins["secllmholmes"], git=f"file://{tmp_path / 'origin'}", commit=pinned)
    monkeypatch.setitem(origins, "secllmholmes", place)
    fetch("secllmholmes", tmp_path / "out")
    assert tree(tmp_path / "out") == CONTENT


@pytest.mark.usefixtures("tiny")
def test_fetching_by_url_takes_the_files_into_an_empty_folder(tmp_path: Path) -> None:
    plant(tmp_path / "origin")
    (tmp_path / "out").mkdir()
    fetch("humaneval", tmp_path / "out", origin=f"file://{tmp_path / 'origin'}")
    assert tree(tmp_path / "out") == CONTENT


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("name", ["secllmholmes", "humaneval"])
def test_a_wrong_checksum_is_an_error_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    plant(tmp_path / "origin", **{"datasets/b.txt": "changed\n"})
    commit(tmp_path / "origin")
    with pytest.raises(DataError) as error:
        fetch(name, tmp_path / "out", origin=f"file://{tmp_path / 'origin'}")
    assert "datasets/b.txt" in one_line(error)
    assert "another checksum than the published file" in one_line(error)
    assert [path.name for path in tmp_path.iterdir()] == ["origin"]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("name", ["secllmholmes", "humaneval"])
def test_no_connection_is_one_line_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as error:
        fetch(name, tmp_path / "out")
    assert "cannot be fetched" in one_line(error)
    assert "Check the connection" in one_line(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("tiny")
def test_an_origin_that_lacks_a_file_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    plant(tmp_path / "origin")
    (tmp_path / "origin" / "datasets" / "b.txt").unlink()
    commit(tmp_path / "origin")
    with pytest.raises(DataError, match=r"holds no file datasets/b\.txt"):
        fetch("secllmholmes", tmp_path / "out", origin=f"file://{tmp_path / 'origin'}")
    assert [path.name for path in tmp_path.iterdir()] == ["origin"]


def test_a_folder_that_is_not_empty_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(DataError, match=r"is not empty\. Choose a new folder"):
        fetch("sven", tmp_path)
    with pytest.raises(DataError, match=r"is a file\. Choose a new folder"):
        fetch("sven", tmp_path / "mine")
    assert tree(tmp_path) == {"mine": "mine"}


def test_an_unknown_data_set_names_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Did you mean humaneval"):
        fetch("human-eval", tmp_path / "out")
    with pytest.raises(DataError, match=r"it lies in the package\. Type: --pairs starter"):
        fetch("starter", tmp_path / "out")


@pytest.mark.usefixtures("tiny")
def test_git_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match="git is not installed"):
        fetch("secllmholmes", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(ORIGINS))
def test_the_published_checksums_fit_the_files_in_shared(name: str, tmp_path: Path) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"../shared/data/{name} is absent")
    # a plain folder of the files, as a mirror would serve it
    if ORIGINS[name].urls:
        fetched = fetch(name, tmp_path / "out", origin=(SHARED / name).as_uri())
        assert fetched.files == len(ORIGINS[name].urls)
        return
    for file, expected in checksums(name).items():
        assert hashlib.sha256((SHARED / name / file).read_bytes()).hexdigest() == expected, file
