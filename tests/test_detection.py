"""Detection: prompts keep programs whole, answers are read with negation, numbers count what was answered."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sklearn_metrics

from steerlab.contrast import Program
from steerlab.errors import DataError, PromptError
from steerlab.statistics import cluster_weights
from steerlab.tasks import detection, templates
from steerlab.tasks.answers import parse_answer
from steerlab.tasks.detection import best_bias, metrics, pair_order
from steerlab.tasks.templates import Template, render

PHRASES = (
    ("yes", "vulnerable"),
    ("Yes.", "vulnerable"),
    ("YES!", "vulnerable"),
    (" yes\n# Question: what", "vulnerable"),
    ("**Yes**, it does.", "vulnerable"),
    ("Yes, the code contains a path traversal vulnerability.", "vulnerable"),
    ("no", "patched"),
    ("No,", "patched"),
    ("NO.", "patched"),
    ("No, it does not.", "patched"),
    ("no it is fine", "patched"),
    ("nope", "patched"),
    ("Answer: No", "patched"),
    ("The answer is yes.", "vulnerable"),
    ("The final answer is: no.", "patched"),
    ("vulnerable", "vulnerable"),
    ("Vulnerable.", "vulnerable"),
    ("secure", "patched"),
    ("Secure.", "patched"),
    ("safe", "patched"),
    ("unsafe", "vulnerable"),
    ("patched", "patched"),
    ("Patched.", "patched"),
    ("unpatched", "vulnerable"),
    ("insecure", "vulnerable"),
    ("Insecure code.", "vulnerable"),
    ("The code is vulnerable to SQL injection.", "vulnerable"),
    ("The code is not vulnerable.", "patched"),
    ("The code isn't vulnerable to path traversal.", "patched"),
    ("The code isn’t vulnerable.", "patched"),
    ("This program is secure.", "patched"),
    ("This program is not secure.", "vulnerable"),
    ("It is not insecure.", "patched"),
    ("It is not unsafe.", "patched"),
    ("It's secure.", "patched"),
    ("It's not safe from SQL injection.", "vulnerable"),
    ("There are no vulnerabilities in this code.", "patched"),
    ("No vulnerabilities found.", "patched"),
    ("No path traversal.", "patched"),
    ("no path traversal vulnerability is present", "patched"),
    ("The code is free of injection.", "patched"),
    ("The code is free from any integer overflow or wraparound.", "patched"),
    ("The function is not free of injection.", "vulnerable"),
    ("The code does not contain a use-after-free.", "patched"),
    ("The code doesn't contain instances of the security vulnerability known as path traversal.", "patched"),
    ("The code contains a buffer overflow.", "vulnerable"),
    ("There is no doubt it is vulnerable.", "vulnerable"),
    ("No doubt it is vulnerable.", "vulnerable"),
    ("Without a doubt, the code is secure.", "patched"),
    ("I cannot say no", None),
    ("I can't say whether it is vulnerable.", None),
    ("It is not only vulnerable but also exploitable.", "vulnerable"),
    ("Not only vulnerable but also insecure.", "vulnerable"),
    ("The input is handled insecurely.", "vulnerable"),
    ("The file is opened securely.", "patched"),
    ("It is not without vulnerabilities.", "vulnerable"),
    ("It is never secure.", "vulnerable"),
    ("The code is no longer vulnerable.", "patched"),
    ("This is anything but secure.", "vulnerable"),
    ("It is far from safe.", "vulnerable"),
    ("I do not think that the code is vulnerable.", "patched"),
    ("I don't believe this is secure.", "vulnerable"),
    ("There is no evidence that the code is vulnerable.", "patched"),
    ("It is not true that the code is secure.", "vulnerable"),
    ("The vulnerability is not present in the given code.", "patched"),
    ("The path traversal vulnerability is present in the given code.", "vulnerable"),
    ("A path traversal vulnerability exists.", "vulnerable"),
    ("The vulnerability does not exist here.", "patched"),
    ("I could not find any vulnerabilities.", "patched"),
    ("I see no security issues here.", "patched"),
    ("No issues.", "patched"),
    ("The code has a security flaw.", "vulnerable"),
    ("It may be vulnerable.", None),
    ("It might be vulnerable, but overall the code is secure.", "patched"),
    ("Is the code vulnerable?", None),
    ("Vulnerable? Yes", "vulnerable"),
    ("Is the code secure? Yes.", "patched"),
    ("Secure: yes", "patched"),
    ("Vulnerable: no", "patched"),
    ("", None),
    ("   ", None),
    ("The program reads a file and prints it.", None),
    ("I don't know.", None),
    ("Not sure.", None),
    ("int main(void) { return 0; }", None),
    ("No input validation is performed, so the code is vulnerable to path traversal.", "vulnerable"),
    ("The code does not sanitize the input, which makes it vulnerable.", "vulnerable"),
    ("No validation is done on the input.", None),
    ("There is no protection against path traversal.", "vulnerable"),
    ("It has no path traversal checks.", None),
    ("The code has SQL injection protection.", None),
    ("If the input is long, the code is vulnerable.", None),
    ("The code should be safe.", None),
    ("To make it safe, use snprintf.", None),
    ("We need to determine whether the code is vulnerable or not.", None),
    ("Use a secure function such as secure_filename.", None),
    ("Make sure that the path is safe.", None),
    ("Answer yes or no.", None),
    ("yes/no", None),
    ("Yes or no? No.", "patched"),
    ("So, the code is not vulnerable to path traversal.", "patched"),
    ("Based on A-S1, the code is safe from any path traversal vulnerabilty.", "patched"),
    ("Based on A-S1, the code is not safe from use-after-free vulnerability.", "vulnerable"),
    ("Based on A-S1, the code contains path traversal vulnerabilty.", "vulnerable"),
    ("This can lead to a path traversal attack.", "vulnerable"),
    ("This will prevent an SQL injection attack.", "patched"),
    ("It does not prevent SQL injection.", "vulnerable"),
    ("The check prevents the overflow.", "patched"),
    ("The vulnerability has been fixed.", "patched"),
    ("The vulnerability has not been patched.", "vulnerable"),
    ("The code is neither vulnerable nor insecure.", "patched"),
    ("It is unlikely to be vulnerable.", "patched"),
    ("I would say yes.", "vulnerable"),
    ("I'd say no.", "patched"),
    ("It is, in my view, not vulnerable.", "patched"),
    ("It is not, in my view, vulnerable.", "patched"),
    ("The code is not necessarily vulnerable.", None),
    ("True", "vulnerable"),
    ("False.", "patched"),
    ("This is a classic SQL injection.", "vulnerable"),
    ("This is not a path traversal vulnerability.", "patched"),
    ("The code seems to be secure.", "patched"),
    ("It cannot be exploited.", "patched"),
    ("It can be exploited by an attacker.", "vulnerable"),
    ("The code is vulnerable because it is not safe.", "vulnerable"),
    ("The code is secure. It is not vulnerable.", "patched"),
    ("I am not sure, but I think it is vulnerable.", "vulnerable"),
    ("vulnerable to injection", "vulnerable"),
    ("not vulnerable", "patched"),
    ("Not secure", "vulnerable"),
    ("Non-vulnerable", "patched"),
    ("The code isn't not vulnerable", "vulnerable"),
    ("No, the code is not vulnerable. Yes", "patched"),
    ("Yes and no.", None),
    ("The code is not\nvulnerable.", "patched"),
    ("nothing here is vulnerable", "patched"),
    ("None of this is safe.", "vulnerable"),
    ("this code does not have any known security vulnerabilities", "patched"),
    ("There is a possibility of path traversal.", "vulnerable"),
    ("there is no possibility of integer overflow", "patched"),
    ("no way this is secure", "vulnerable"),
    ("Know that notes are safely stored", "patched"),
    ("the safety of this is unknown", None),
    ("The notable yesterday", None),
    ("Nowhere", None),
    ("The code is a safe implementation.", "patched"),
    ("strncpy is a safe function.", None),
)


def program(code: str = "int main(void) { return 0; }\n", cwe: str = "CWE-22") -> Program:
    return Program(id="p", group="g", cwe=cwe, language="c", label="vulnerable", code=code)


def random_rows(*, seed: int, n_groups: int = 20, unanswered: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    labels = ["vulnerable", "patched"] * n_groups
    margins = rng.normal(size=2 * n_groups) + np.tile([0.4, -0.4], n_groups)
    answers: list[str | None] = ["vulnerable" if m > 0 else "patched" for m in margins]
    for row in range(unanswered):
        answers[row * 5] = None
    groups = [f"g{i // 2}" for i in range(2 * n_groups)]
    return pd.DataFrame({"label": labels, "answer": answers, "margin": margins, "group": groups})


@pytest.mark.parametrize(("text", "expected"), PHRASES, ids=range(len(PHRASES)))
def test_an_answer_is_read_as_a_person_would_read_it(text: str, expected: str | None) -> None:
    assert parse_answer(text) == expected


@pytest.mark.parametrize("change", [str.upper, str.lower, str.capitalize, lambda text: f"  {text}\n\n"])
def test_capitals_and_spaces_do_not_change_an_answer(change) -> None:  # type: ignore[no-untyped-def]
    for text, expected in PHRASES:
        assert parse_answer(change(text)) == expected, text


def test_the_packaged_templates_render_every_named_cwe() -> None:
    found = templates.load_templates()
    assert len(found) >= 3
    for template in found:
        prompt = render(template, program(cwe="CWE-787"))
        assert "out-of-bounds write" in prompt
        assert "int main" in prompt
        assert not prompt.endswith((" ", "\n"))


def test_braces_and_field_names_in_code_survive_rendering() -> None:
    code = 'printf("{cwe} {code} {0} {}", x); struct s { int a; };'
    template = Template(name="t", text="{code} {cwe}", vulnerable=" yes", patched=" no")
    assert render(template, program(code)) == code + " CWE-22"


def test_a_template_with_an_unknown_field_or_without_code_is_refused() -> None:
    with pytest.raises(PromptError, match=r"unknown field \{cwe_nam\}.*cwe_name"):
        Template(name="t", text="{code} {cwe_nam}", vulnerable=" yes", patched=" no")
    with pytest.raises(PromptError, match=r"no \{code\}"):
        Template(name="t", text="hello", vulnerable=" yes", patched=" no")
    with pytest.raises(PromptError, match="two different answers"):
        Template(name="t", text="{code}", vulnerable=" yes", patched=" yes")


def test_a_program_of_an_unnamed_cwe_is_an_error_where_the_prompt_names_it() -> None:
    template = Template(name="t", text="{code} {cwe_name}", vulnerable=" yes", patched=" no")
    with pytest.raises(PromptError, match="CWE-9999 has no name"):
        render(template, program(cwe="CWE-9999"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "neither"),
        ('{"templates": []}', "at least one"),
        ('{"templates": [{"name": "a", "text": "{code}"}]}', "template 1 lacks patched, vulnerable"),
        (
            '{"templates": [{"name": "a", "text": "{code}", "vulnerable": "y", "patched": "n", "txt": ""}]}',
            "unknown key txt",
        ),
        ('{"templates": [{"name": "a", "text": 3, "vulnerable": "y", "patched": "n"}]}', "text must be a text"),
        ('{"prompts": {}}', "user_message_forms"),
        (
            '{"prompts": {"s": {"shots": "ZS", "form": "Question", "system": ""}}, '
            '"user_message_forms": {"palm2": {"Question": "{code} {question}"}}}',
            "prompt s lacks 'question'",
        ),
    ],
)
def test_a_bad_template_file_names_itself_and_what_is_missing(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(PromptError, match=message) as error:
        templates.load_templates(path)
    assert "mine.json" in str(error.value)


def test_a_missing_template_file_is_a_prompt_error(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"absent\.json: cannot be read"):
        templates.load_templates(tmp_path / "absent.json")


def test_official_prompts_become_templates_and_the_rest_is_named(tmp_path: Path) -> None:
    question = {"form": "Question", "question": "Is there {cwe_name}?"}
    prompts = {
        "S1": {"shots": "ZS", "system": "", **question},
        "S3": {"shots": "ZS", "system": "You are an expert.", **question},
        "S5": {"shots": "FS", "system": "", "few_shot": {}, **question},
        "D2": {"shots": "ZS", "system": "{definition}", "form": "Analysis"},
        "R3": {"shots": "ZS", "system": "", "form": "None", "turns": ["a"]},
    }
    forms = {"palm2": {"Question": "Code:\n{code}\nQuestion: {question}\nAnswer: ", "Analysis": "{code}"}}
    path = tmp_path / "official.json"
    path.write_text(json.dumps({"prompts": prompts, "user_message_forms": forms}))
    read = templates.read_templates(path)
    assert [template.name for template in read.templates] == ["S1", "S3"]
    assert render(read.templates[1], program("x = 1")) == (
        "You are an expert.\n\nCode:\nx = 1\nQuestion: Is there path traversal?\nAnswer:"
    )
    assert all(name in read.notes[0] for name in ("S5", "D2", "R3"))


def test_metrics_equal_scikit_learn_on_the_answered_rows() -> None:
    rows = random_rows(seed=3)
    found = metrics(list(rows["label"]), list(rows["answer"]), rows["margin"])
    answered = rows[rows["answer"].notna()]
    y, z = answered["label"] == "vulnerable", answered["answer"] == "vulnerable"
    assert found["n"] == len(answered)
    assert found["n_unscored"] == 3
    assert found["parsed_share"] == len(answered) / len(rows)
    assert found["accuracy"] == sklearn_metrics.accuracy_score(y, z)
    assert found["balanced_accuracy"] == sklearn_metrics.balanced_accuracy_score(y, z)
    assert found["f1"] == sklearn_metrics.f1_score(y, z)
    assert found["mcc"] == sklearn_metrics.matthews_corrcoef(y, z)
    assert found["auroc"] == sklearn_metrics.roc_auc_score(rows["label"] == "vulnerable", rows["margin"])
    assert found["yes_rate"] == z.mean()
    assert found["yes_rate_patched"] == z[~y].mean()


def test_estimates_have_the_value_of_metrics_inside_their_interval() -> None:
    for seed in range(5):
        rows = random_rows(seed=seed)
        answers = [a if isinstance(a, str) else None for a in rows["answer"]]
        plain = metrics(list(rows["label"]), answers, rows["margin"])
        found = detection.estimates(rows, draws=300)
        assert found["pair_order"].value == pair_order(list(rows["label"]), rows["margin"], list(rows["group"]))
        for name in set(found) - {"pair_order"}:
            estimate = found[name]
            assert estimate.value == pytest.approx(plain[name], abs=1e-12), name
            assert estimate.low is not None
            assert estimate.high is not None
            assert estimate.low <= estimate.value <= estimate.high
        assert found["accuracy"].n_unscored == 3
        assert found["auroc"].n_unscored == 0


def test_bootstrap_numbers_equal_scikit_learn_with_repeated_rows() -> None:
    rows = random_rows(seed=8, unanswered=0)
    table = detection._table(rows)
    weights = cluster_weights(list(rows["group"]), seed=1, draws=5)
    for draw in weights:
        again = rows.loc[np.repeat(np.arange(len(rows)), draw)]
        plain = metrics(list(again["label"]), list(again["answer"]), again["margin"])
        for name, weighted in detection._WEIGHTED.items():
            if name != "pair_order":
                assert weighted(table, draw[None, :])[0] == pytest.approx(plain[name], abs=1e-12), name


def test_no_answer_is_never_wrong_and_nothing_answered_is_none() -> None:
    found = metrics(["vulnerable", "patched"], [None, None])
    assert found["accuracy"] is None
    assert found["n_unscored"] == 2
    rows = pd.DataFrame({"label": ["vulnerable", "patched"], "answer": [None, None], "group": ["a", "a"]})
    estimate = detection.estimates(rows)["accuracy"]
    assert (estimate.value, estimate.n, estimate.n_unscored) == (None, 0, 2)
    assert detection.estimates(rows)["parsed_share"].value == 0.0


def test_one_class_has_no_balanced_accuracy_and_no_auroc() -> None:
    found = metrics(["patched", "patched"], ["patched", "vulnerable"], [0.1, 0.3])
    assert found["balanced_accuracy"] is None
    assert found["auroc"] is None
    assert found["mcc"] is None
    assert found["accuracy"] == 0.5


def test_a_perfect_score_on_few_groups_is_not_called_certain() -> None:
    rows = random_rows(seed=0, n_groups=6, unanswered=0)
    rows["answer"] = rows["label"]
    estimate = detection.estimates(rows)["balanced_accuracy"]
    assert estimate.value == estimate.high == 1.0
    assert estimate.low is not None
    assert 0.4 < estimate.low < 0.8
    assert estimate.method == "wilson over groups"


def test_pair_order_compares_within_groups_and_counts_ties_half() -> None:
    labels = ["vulnerable", "patched"] * 3
    groups = ["a", "a", "b", "b", "c", "c"]
    assert pair_order(labels, [5, 4, -3, -4, 1, 1], groups) == pytest.approx(2.5 / 3)  # type: ignore[arg-type]
    assert pair_order(labels, [None] * 6, groups) is None  # type: ignore[arg-type]
    assert pair_order(["vulnerable"], [1.0], ["a"]) is None


def test_the_best_bias_recovers_a_shifted_threshold_and_stays_at_zero_without_gain() -> None:
    rng = np.random.default_rng(0)
    labels = ["vulnerable"] * 50 + ["patched"] * 50
    margins = np.r_[rng.uniform(3, 5, 50), rng.uniform(0, 2, 50)]
    bias = best_bias(margins, labels)  # type: ignore[arg-type]
    assert -3 < bias < -2
    answers = detection.answers_from_margins(margins, bias=bias)
    assert metrics(labels, answers)["balanced_accuracy"] == 1.0  # type: ignore[arg-type]
    assert best_bias([1.0, -1.0], ["vulnerable", "patched"]) == 0.0
    assert best_bias([2.0, 2.0], ["vulnerable", "patched"]) == 0.0
    with pytest.raises(DataError, match="vulnerable and patched"):
        best_bias([1.0, 2.0], ["patched", "patched"])


def test_the_best_bias_is_at_least_as_good_as_every_other_bias() -> None:
    rng = np.random.default_rng(1)
    for _ in range(3):
        labels = ["vulnerable" if flip else "patched" for flip in rng.permutation([True] * 6 + [False] * 6)]
        margins = np.round(rng.normal(size=12), 1)

        def score(bias: float, margins: np.ndarray = margins, labels: list[str] = labels) -> float:
            value = metrics(labels, detection.answers_from_margins(margins, bias=bias))["balanced_accuracy"]  # type: ignore[arg-type]
            assert value is not None
            return value

        best = score(best_bias(margins, labels))  # type: ignore[arg-type]
        assert best >= max(score(bias) for bias in np.linspace(-3, 3, 31)) - 1e-12


def test_a_margin_that_is_missing_or_a_tie_gives_no_answer() -> None:
    margins = [1.0, None, math.nan, -1.0, 0.0]
    assert detection.answers_from_margins(margins) == ["vulnerable", None, None, "patched", None]


def test_reasoning_quality_counts_shared_words_the_cwe_and_identifiers_of_the_code() -> None:
    code = "char *file_name = get(); fopen(file_name);"
    completion = "`file_name` reaches fopen() unchecked: CWE-22. See also `other_name`."
    found = detection.reasoning_quality(completion, "file_name reaches fopen unchecked", program(code))
    assert found["names_cwe"] == 1.0
    assert found["cited_in_code"] == pytest.approx(2 / 3)
    assert found["rouge1_precision"] is not None
    assert 0.3 < found["rouge1_precision"] < 1
    silent = detection.reasoning_quality("It is bad.", "", program(code))
    assert silent == {"rouge1_precision": None, "names_cwe": 0.0, "cited_in_code": None, "n_cited": 0.0}
    assert detection.reasoning_quality("CWE-221", "x", program(code))["names_cwe"] == 0.0
    assert detection.reasoning_quality("a Path-Traversal", "x", program(code))["names_cwe"] == 1.0


def test_a_table_without_its_columns_is_an_error() -> None:
    with pytest.raises(DataError, match="no column group"):
        detection.estimates(random_rows(seed=1).drop(columns="group"))
