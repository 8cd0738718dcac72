"""Pool the classifications of all test folds: rates and their intervals, confusion matrices, AUC, McNemar's test."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.tables import INTEGER, NUMBER, SCORES, TEXT, Schema, make_table, read_table, write_table
from freetumor.evaluation.curves import CURVES, accuracy_curves
from freetumor.evaluation.metric_names import ACCURACY, CATEGORY, PREDICTED, PROBABILITY, SENSITIVITY, SPECIFICITY
from freetumor.evaluation.pairing import DEVELOPMENT, pooled_estimate
from freetumor.evaluation.statistics.proportions import mcnemar_of, wilson_interval
from freetumor.evaluation.structures import ALL_LESIONS

if TYPE_CHECKING:
    import pandas as pd

WEIGHTED_SENSITIVITY, WEIGHTED_SPECIFICITY = "weighted_sensitivity", "weighted_specificity"
AUC, MCNEMAR, OPTIMISM = "macro_auc", "mcnemar", "optimism"
MEAN = "mean"
WILSON = "Wilson, cases random, this training only"
PAPERS_TEST = "exact McNemar, pooled over folds: what papers report; one seed, patients and trainings taken as fixed"

CLASSIFICATION = Schema(
    "classification",
    {
        "arm": TEXT,
        "seed": TEXT,  # or "mean": over the seeds
        "metric": TEXT,  # rates, weighted by class size as in the paper; macro_auc; mcnemar; optimism
        "category": TEXT,
        "n": INTEGER,  # test cases of all folds that the value rests on
        "value": NUMBER,  # mcnemar: difference in accuracy; optimism: accuracy of `arm` minus that of `baseline`
        "sd": NUMBER,  # between seeds
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "interval": TEXT,  # what the interval takes as random
        "baseline": TEXT,  # what mcnemar and optimism compare with
        "b": NUMBER,  # mcnemar: cases that the arm alone classifies correctly
        "c": NUMBER,  # mcnemar: cases that the baseline alone classifies correctly
        "p": NUMBER,
        "test": TEXT,
    },
)
CONFUSION = Schema(
    "confusion",
    {"arm": TEXT, "seed": INTEGER, "true": TEXT, "predicted": TEXT, "count": INTEGER},  # test cases of all folds
)


@dataclass(frozen=True)
class Pooled:
    """Out-of-fold classifications of one arm and seed, sorted by case.

    Attributes:
        cases: case ids.
        true: positions of the true categories, shape ``(cases,)``.
        predicted: positions of the predicted categories, same shape.
        probabilities: shape ``(cases, categories)``.
    """

    cases: list[str]
    true: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """Confusion matrix, shape ``(categories, categories)``: a row per true, a column per predicted category."""
        size = self.probabilities.shape[1]
        return np.bincount(self.true * size + self.predicted, minlength=size**2).reshape(size, size)


def analyze_classification(
    config: Config,
    scores_path: str | Path,
    table_output: str | Path,
    confusion_output: str | Path,
    curves_output: str | Path,
) -> "pd.DataFrame":
    """Write the tables of a classification; all rest on the test cases of the development split.

    Args:
        config: the study.
        scores_path: merged scores.
        table_output: rates, AUC and tests, per seed and as means over seeds.
        confusion_output: confusion matrices pooled over folds, per arm and seed.
        curves_output: accuracy against the number of added samples.

    Returns:
        The first table.

    Raises:
        UserError: if the study is no classification, or an arm has no scores.
    """
    if config.task != "classification":
        raise UserError(f"task: expected 'classification', got '{config.task}'")
    scores = read_table(scores_path, SCORES)
    scores = scores[scores["split"] == DEVELOPMENT]
    pooled = {arm: pool(config, scores[scores["arm"] == arm]) for arm in config.compared}
    for arm, found in pooled.items():
        if not found:
            raise UserError(f"{scores_path}: no classifications of arm '{arm}' in the development split")
    table = make_table(describe(config, scores, pooled), CLASSIFICATION)
    confusion = make_table(confusion_rows(config, pooled), CONFUSION)
    write_table(table, table_output, CLASSIFICATION)
    write_table(confusion, confusion_output, CONFUSION)
    write_table(accuracy_curves(config, scores), curves_output, CURVES)
    return table


def pool(config: Config, scores: "pd.DataFrame") -> dict[int, Pooled]:
    """The out-of-fold classifications of an arm, by seed.

    Args:
        config: the study.
        scores: score rows of one arm and split.
    """
    wanted = scores[scores["metric"].isin([CATEGORY, PREDICTED, PROBABILITY])]
    by_seed = {}
    for seed, rows in wanted.groupby("seed", sort=True):
        wide = rows.set_index(["case_id", "structure", "metric"])["value"].unstack(["structure", "metric"]).sort_index()
        true, predicted = (wide[ALL_LESIONS, name].to_numpy(int) for name in (CATEGORY, PREDICTED))
        probabilities = np.stack([wide[name, PROBABILITY].to_numpy(float) for name in config.categories], axis=1)
        by_seed[int(seed)] = Pooled(list(wide.index), true, predicted, probabilities)
    return by_seed


def describe(config: Config, scores: "pd.DataFrame", pooled: dict[str, dict[int, Pooled]]) -> list[dict[str, Any]]:
    """Rows of :data:`CLASSIFICATION`: per arm those of each seed, then their means; at the end what selections add by luck."""
    rows = []
    baseline = config.compared[0]
    for arm, by_seed in pooled.items():
        here = scores[scores["arm"] == arm]
        single = [
            {"arm": arm, "seed": str(seed)} | row
            for seed, found in by_seed.items()
            for row in (*_rates(config, found), *_mcnemar(found, pooled[baseline].get(seed), baseline))
            if arm != baseline or row["metric"] != MCNEMAR
        ]
        rows += [_complete(row) for row in [*single, *_means(config, arm, single, here)]]
    return rows + [_complete(row) for row in _optimism(config, scores)]


def confusion_rows(config: Config, pooled: dict[str, dict[int, Pooled]]) -> list[dict[str, Any]]:
    """Rows of :data:`CONFUSION`."""
    names = config.categories
    return [
        {"arm": arm, "seed": seed, "true": names[i], "predicted": names[j], "count": int(count)}
        for arm, by_seed in pooled.items()
        for seed, found in by_seed.items()
        for (i, j), count in np.ndenumerate(found.matrix)
    ]


def category_rates(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sensitivity and specificity of each category against all others; NaN where there is no case.

    Args:
        matrix: confusion matrix, a row per true and a column per predicted category.
    """
    matrix = np.asarray(matrix, float)
    total, true, predicted, hits = matrix.sum(), matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)
    with np.errstate(invalid="ignore"):
        return hits / true, (total - true - predicted + hits) / (total - true)


def class_weighted(rates: np.ndarray, matrix: np.ndarray) -> float:
    """Mean of rates of categories, weighted by the number of cases of each.

    Reference:
        Frid-Adar et al. 2018, tables IV and V. The weighted sensitivity equals the accuracy.
    """
    sizes = np.asarray(matrix, float).sum(axis=1)
    return float(np.sum(np.where(sizes > 0, rates, 0) * sizes) / sizes.sum())


def macro_auc(found: Pooled) -> float:
    """Mean over categories of the area under the ROC curve of one against the others; NaN if a category has no case."""
    from sklearn.metrics import roc_auc_score

    truths = [found.true == position for position in range(found.probabilities.shape[1])]
    if not all(truth.any() and not truth.all() for truth in truths):
        return math.nan
    return float(np.mean([roc_auc_score(truth, p) for truth, p in zip(truths, found.probabilities.T, strict=True)]))


def format_classification(table: "pd.DataFrame") -> str:
    """The mean accuracy of every arm with its interval, as plain text."""
    rows = table[(table["seed"] == MEAN) & (table["metric"] == ACCURACY)]
    width = max(len(arm) for arm in rows["arm"])
    return "\n".join(
        ["Accuracy, pooled over folds, mean over seeds"]
        + [f"{row.arm.ljust(width)}  {row.value:.3f} ({row.ci_low:.3f} to {row.ci_high:.3f})" for row in rows.itertuples()]
    )


def _rates(config: Config, found: Pooled) -> Iterator[dict[str, Any]]:
    """Rates and AUC of one seed, with Wilson's intervals where a value is a share of cases."""
    matrix = found.matrix
    total, true, hits = int(matrix.sum()), matrix.sum(axis=1), np.diag(matrix)
    yield _share(config, ACCURACY, "", int(hits.sum()), total)
    sensitivity, specificity = category_rates(matrix)
    for i, category in enumerate(config.categories):
        yield _share(config, SENSITIVITY, category, int(hits[i]), int(true[i]))
        rejected = total - int(true[i] + matrix[:, i].sum() - hits[i])
        yield _share(config, SPECIFICITY, category, rejected, total - int(true[i]))
    weighted = class_weighted(sensitivity, matrix)  # equals the accuracy, and so do its intervals
    yield _share(config, WEIGHTED_SENSITIVITY, "", int(hits.sum()), total) | {"value": weighted}
    yield {"metric": WEIGHTED_SPECIFICITY, "n": total, "value": class_weighted(specificity, matrix)}
    yield {"metric": AUC, "n": total, "value": macro_auc(found)}


def _share(config: Config, metric: str, category: str, successes: int, n: int) -> dict[str, Any]:
    low, high = wilson_interval(successes, n, config.evaluation.confidence) if n else (math.nan, math.nan)
    value = successes / n if n else math.nan
    bounds = {"ci_low": low, "ci_high": high, "interval": WILSON}
    return {"metric": metric, "category": category, "n": n, "value": value} | bounds


def _mcnemar(found: Pooled, other: Pooled | None, baseline: str) -> Iterator[dict[str, Any]]:
    """The test against the baseline of the same seed, on the cases of both."""
    if other is None:
        return
    places = {case: place for place, case in enumerate(other.cases)}
    shared = [(i, places[case]) for i, case in enumerate(found.cases) if case in places]
    mine, its = np.array(shared, int).reshape(-1, 2).T
    right, right_baseline = (found.true == found.predicted)[mine], (other.true == other.predicted)[its]
    answer = mcnemar_of(right, right_baseline)
    value = (answer.first - answer.second) / len(shared) if shared else math.nan
    counts = {"b": answer.first, "c": answer.second, "p": answer.p, "test": PAPERS_TEST, "baseline": baseline}
    yield {"metric": MCNEMAR, "n": len(shared), "value": value} | counts


def _means(config: Config, arm: str, single: list[dict[str, Any]], scores: "pd.DataFrame") -> Iterator[dict[str, Any]]:
    """Means over the seeds; where a value is a share of cases, with an interval for patients and trainings as random."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in single:
        if row["metric"] != MCNEMAR:
            groups.setdefault((row["metric"], row.get("category", "")), []).append(row)
    for (metric, category), rows in groups.items():
        values = np.array([row["value"] for row in rows])
        mean = {"arm": arm, "seed": MEAN, "metric": metric, "category": category, "n": max(row["n"] for row in rows)}
        mean |= {"value": float(values.mean()), "sd": float(values.std(ddof=1)) if len(values) > 1 else math.nan}
        scored = ACCURACY if metric == WEIGHTED_SENSITIVITY else metric
        here = scores[(scores["metric"] == scored) & (scores["structure"] == (category or ALL_LESIONS))]
        if len(here):
            estimate = pooled_estimate(here, arm, config.evaluation.confidence)
            mean |= {"ci_low": max(estimate.ci_low, 0.0), "ci_high": min(estimate.ci_high, 1.0), "interval": estimate.test}
        yield mean


def _optimism(config: Config, scores: "pd.DataFrame") -> Iterator[dict[str, Any]]:
    """How much better each optimistic selection looks than each nested one, in accuracy."""
    here = scores[(scores["metric"] == ACCURACY) & (scores["structure"] == ALL_LESIONS)]
    selections = config.evaluation.selections
    by = {kind: [name for name in selections if selections[name].by == kind] for kind in ("test", "validation")}
    for arm in by["test"]:
        for baseline in by["validation"]:
            estimate = pooled_estimate(here, arm, config.evaluation.confidence, baseline)
            n = here.loc[here["arm"] == arm, "case_id"].nunique()
            row = {"arm": arm, "seed": MEAN, "metric": OPTIMISM, "n": n, "value": estimate.difference}
            bounds = {"ci_low": estimate.ci_low, "ci_high": estimate.ci_high, "interval": estimate.test}
            yield row | bounds | {"baseline": baseline, "p": estimate.p, "test": estimate.test}


def _complete(row: dict[str, Any]) -> dict[str, Any]:
    empty = {name: math.nan if kind == NUMBER else "" for name, kind in CLASSIFICATION.columns.items()}
    return empty | row
