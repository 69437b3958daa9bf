"""The kit's detection bars: balanced accuracy, pair order and n-gram controls on its sets of pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steerlab.contrast import Label, Program, ProgramSet, cwe_number
from steerlab.generation import Decoding, generate
from steerlab.kit.rows import Bar, Row, at_least, at_most, judged
from steerlab.models import Model
from steerlab.ngrams import ngram_baseline
from steerlab.readout import answer_log_likelihoods
from steerlab.statistics import Estimate, cluster_bootstrap, grouped_folds, wilson
from steerlab.tasks.answers import parse_answer
from steerlab.tasks.detection import answers_from_margins, estimates
from steerlab.tasks.templates import Template, load_templates, render

if TYPE_CHECKING:
    import pandas as pd

FEW_FAMILIES = 5  # with fewer the intervals are over pairs: drawing two families again says nothing
FOLDS = 6
WRITTEN_TOKENS = 32  # the product's own limit of a generated answer
ANSWER_ROOM = 1  # tokens kept free for the answer
WORD = r"\w+|[^\w\s]"

Asked = tuple[Program, Template]


def in_turn(programs: Sequence[Program]) -> list[Asked]:
    """Each pair asked in one template, the templates in turn within each family (or set, where there is none)."""
    templates = load_templates()
    places: dict[str, list[str]] = {}
    for program in programs:
        own = places.setdefault(program.part, [])
        if program.group not in own:
            own.append(program.group)
    return [(p, templates[places[p.part].index(p.group) % len(templates)]) for p in programs]


def in_each(programs: Sequence[Program], *, n_templates: int) -> list[Asked]:
    """Every program asked in each of the first `n_templates` templates."""
    return [(program, template) for template in load_templates()[:n_templates] for program in programs]


def of_groups(source: ProgramSet, *, per_cwe: int) -> list[Program]:
    """The evaluated programs of the first `per_cwe` groups of each CWE; generated sets go round their families."""
    groups: dict[str, list[str]] = {}
    for program in source.evaluated():
        own = groups.setdefault(program.cwe, [])
        if program.group not in own:
            own.append(program.group)
    kept = {group for own in groups.values() for group in own[:per_cwe]}
    return [program for program in source.evaluated() if program.group in kept]


def read(model: Model, asked: Sequence[Asked]) -> pd.DataFrame:
    """One row per question: label, answer, margin (nats; above 0 is vulnerable), program, pair, family, cwe, template.

    Answer and margin are None where the question does not fit the context.
    """
    import pandas as pd

    prompts = [render(template, program) for program, template in asked]
    lengths = [len(ids) for ids in model.tokenizer(prompts)["input_ids"]] if prompts else []
    fits = [i for i, n in enumerate(lengths) if model.context is None or n + ANSWER_ROOM <= model.context]
    margins: list[float | None] = [None] * len(asked)
    found = answer_log_likelihoods(
        model, [prompts[i] for i in fits], [(asked[i][1].vulnerable, asked[i][1].patched) for i in fits]
    )
    for i, (vulnerable, patched) in zip(fits, found.tolist(), strict=True):
        margins[i] = vulnerable - patched
    return pd.DataFrame(
        {
            "label": [program.label for program, _ in asked],
            "answer": pd.Series(answers_from_margins(margins), dtype=object),
            "margin": pd.Series(margins, dtype=float),
            "program": [program.id for program, _ in asked],
            "pair": [program.group for program, _ in asked],
            "family": [program.part for program, _ in asked],
            "cwe": [program.cwe for program, _ in asked],
            "template": [template.name for _, template in asked],
        }
    )


def clusters(rows: pd.DataFrame) -> str:
    """The column that is drawn again for intervals: family, or pair where there are fewer than 5 families."""
    return "family" if rows["family"].nunique() >= FEW_FAMILIES else "pair"


def balanced(name: str, rows: pd.DataFrame, bar: Bar | None = None) -> Row:
    """Balanced accuracy of the answers; questions beyond the context are unscored."""
    over = clusters(rows)
    estimate = estimates(rows.assign(group=rows[over]))["balanced_accuracy"]
    estimate = replace(estimate, n_unscored=int(rows["margin"].isna().sum()))
    scored = rows[rows["margin"].notna()]
    said = float((scored["answer"] == "vulnerable").mean()) if len(scored) else float("nan")
    note = f"n questions; interval over {_count(scored, over)}; said yes to {said:.0%}"
    return judged(f"{name}: balanced accuracy", estimate, bar, note=note)


def ordered(name: str, rows: pd.DataFrame) -> Row:
    """Share of pairs whose vulnerable side has the larger margin (a tie is one half), per template."""
    values, names = [], []
    over, unscored = clusters(rows), 0
    for _, own in rows.groupby(["pair", "template"], sort=False):
        sides = own.set_index("label")["margin"]
        if len(own) != 2 or set(sides.index) != {"vulnerable", "patched"} or sides.isna().any():
            unscored += 1
            continue
        high, low = float(sides["vulnerable"]), float(sides["patched"])
        values.append(float(high > low) + 0.5 * float(high == low))
        names.append(str(own[over].iloc[0]))
    estimate = _with_width(cluster_bootstrap(values, names, n_unscored=unscored), len(set(names)))
    return judged(
        f"{name}: pair order", estimate, note=f"n pairs asked; interval over {len(set(names))} {_plural(over)}"
    )


def per_cwe(name: str, rows: pd.DataFrame, bar: Bar | None = None) -> list[Row]:
    """Balanced accuracy of each CWE."""
    return [
        balanced(f"{name}, {cwe}", rows[rows["cwe"] == cwe], bar)
        for cwe in sorted(rows["cwe"].unique(), key=cwe_number)
    ]


def _count(rows: pd.DataFrame, over: str) -> str:
    return f"{rows[over].nunique()} {_plural(over)}"


def _plural(over: str) -> str:
    return "families" if over == "family" else "pairs"


def _with_width(estimate: Estimate, n_clusters: int) -> Estimate:
    """Wilson's interval over clusters where every draw gives 0 or 1."""
    if estimate.value not in (0.0, 1.0) or n_clusters == 0:
        return estimate
    wide = wilson(round(estimate.value) * n_clusters, n_clusters)
    return replace(estimate, low=wide.low, high=wide.high)


def starter_ngrams(programs: Sequence[Program]) -> Row:
    """The product's bag-of-n-grams baseline on the starter pairs, whole pairs held out in turn."""
    margins = np.zeros(len(programs))
    folds = grouped_folds([p.group for p in programs], [p.cwe for p in programs], n_folds=FOLDS, seed=0)
    for test in folds:
        train = [p for at, p in enumerate(programs) if at not in set(test.tolist())]
        margins[test] = ngram_baseline(
            [p.code for p in train], [p.label for p in train], [programs[at].code for at in test], seed=0
        )
    rows = _rows_of(programs, margins)
    return replace(
        balanced("starter pairs, n-gram baseline", rows), note=f"1- and 2-grams, {FOLDS} folds of whole pairs"
    )


def naive_bayes(train: Sequence[Program], test: Sequence[Program], *, n: int) -> NDArray[Any]:
    """Log-odds of "vulnerable" of multinomial naive Bayes on the `n`-grams of words and marks, [program].

    Source: scikit-learn `MultinomialNB` with its default smoothing.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB

    grams = CountVectorizer(token_pattern=WORD, ngram_range=(n, n), lowercase=False)
    vulnerable = np.array([program.label == "vulnerable" for program in train])
    fitted = MultinomialNB().fit(grams.fit_transform([program.code for program in train]), vulnerable)
    odds = fitted.predict_log_proba(grams.transform([program.code for program in test]))
    return np.asarray(odds[:, 1] - odds[:, 0], dtype=np.float64)


def family_ngrams(train: Sequence[Program], test: Sequence[Program]) -> list[Row]:
    """Naive Bayes on 1-, 2- and 3-grams, trained on programs of the training families, on held-out families."""
    bars = {1: at_most(0.6)}
    rows = []
    for n in (1, 2, 3):
        name = f"held-out families, naive Bayes on {n}-grams"
        row = balanced(name, _rows_of(test, naive_bayes(train, test, n=n)), bars.get(n))
        rows.append(replace(row, note=f"trained on {len(train)} programs of training families; no language model"))
    return rows


def _rows_of(programs: Sequence[Program], margins: Sequence[float] | NDArray[Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "label": [program.label for program in programs],
            "answer": pd.Series(answers_from_margins(margins), dtype=object),
            "margin": pd.Series(np.asarray(margins), dtype=float),
            "pair": [program.group for program in programs],
            "family": [program.part for program in programs],
        }
    )


def parsed_answers(model: Model, programs: Sequence[Program]) -> Row:
    """Share of greedy written answers that parse to a verdict; questions beyond the context are unscored."""
    prompts = [render(template, program) for program, template in in_turn(programs)]
    lengths = [len(ids) for ids in model.tokenizer(prompts)["input_ids"]]
    fits = [
        p for p, n in zip(prompts, lengths, strict=True) if model.context is None or n + WRITTEN_TOKENS <= model.context
    ]
    written = generate(model, fits, decoding=Decoding(max_new_tokens=WRITTEN_TOKENS, stop=("\n\n",)))
    verdicts: list[Label | None] = [parse_answer(completion.text) for completion in written]
    parsed = sum(verdict is not None for verdict in verdicts)
    estimate = wilson(parsed, len(fits), n_unscored=len(prompts) - len(fits))
    return judged(
        "written answers that parse to a verdict", estimate, at_least(0.95), note="starter and fresh programs; Wilson"
    )


GENERATED_BARS: Mapping[str, tuple[Bar, Bar | None]] = {
    "fresh pairs": (at_least(0.80), at_least(0.65)),
    "held-out families": (at_least(0.65, aim=0.75), None),
}


def generated_rows(model: Model, name: str, programs: Sequence[Program]) -> list[Row]:
    """Detection on a generated set: in all, pair order, each CWE, with the bars of that set."""
    whole, each = GENERATED_BARS[name]
    rows = read(model, in_turn(programs))
    return [balanced(name, rows, whole), ordered(name, rows), *per_cwe(name, rows, each)]


def starter_rows(model: Model, programs: Sequence[Program], *, n_templates: int) -> list[Row]:
    """Detection on the starter pairs, and the n-gram baseline beside it."""
    rows = read(model, in_each(programs, n_templates=n_templates))
    bar = Bar(text="interval > 0.5 (aim 0.65)", low=0.5, of="lower end")
    return [balanced("starter pairs", rows, bar), ordered("starter pairs", rows), starter_ngrams(programs)]


def outside_rows(model: Model, name: str, programs: Sequence[Program], ask: Callable[..., list[Asked]]) -> list[Row]:
    """Balanced accuracy on a set that is not the package's own: printed only."""
    return [balanced(name, read(model, ask(programs)))]
