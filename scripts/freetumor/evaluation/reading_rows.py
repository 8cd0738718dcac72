"""Rows of a reader study's table, beside the primary one: means, single readers, agreement, repeats, crude fakes."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import stats

from freetumor.evaluation.reading_answers import ALL, CASES, MEAN, RATINGS, REAL, SAYS_SYNTHETIC, SYNTHETIC, Panel, Study
from freetumor.evaluation.statistics.agreement import (
    Bounded,
    category_counts,
    criterion,
    d_prime,
    detection,
    fleiss_kappa,
    gwet_ac,
    jackknife_interval,
    quadratic_weights,
)
from freetumor.evaluation.statistics.counts import Counts, counts_at
from freetumor.evaluation.statistics.multireader import Mean, Merit, components, jackknife, single_arm
from freetumor.evaluation.statistics.proportions import wilson_interval
from freetumor.evaluation.statistics.roc import auc_interval, delong

AUC = "auc"
SHARES = ("sensitivity", "specificity", "accuracy")
PAPERS_TEST = "exact binomial against one half: what papers report; takes all answers as independent"


def _merit(value: Callable[[Counts], float]) -> Merit:
    """A figure of merit of who says synthetic."""
    return lambda truth, ratings: value(counts_at(truth, ratings, SAYS_SYNTHETIC))


MERITS: dict[str, Merit] = {
    "sensitivity": _merit(lambda found: found.sensitivity),
    "specificity": _merit(lambda found: found.specificity),
    "accuracy": _merit(lambda found: found.accuracy),
    "d_prime": _merit(lambda found: d_prime(found.tp, found.tp + found.fn, found.fp, found.fp + found.tn)),
    "criterion": _merit(lambda found: criterion(found.tp, found.tp + found.fn, found.fp, found.fp + found.tn)),
}


def mean_area(panel: Panel) -> Mean:
    """Area under the ROC curve, averaged over readers."""
    areas, covariance = delong(panel.truth, panel.ratings)
    return single_arm(areas, components(covariance, 1), panel.design[0])


def mean_columns(found: Mean, confidence: float, null: float = math.nan) -> dict[str, float]:
    """Value, interval and p of a mean over readers; no p without a ``null``."""
    low, high = found.interval(confidence)
    return {"value": found.value, "ci_low": low, "ci_high": high, "p": found.test(null)}


def secondary_rows(panel: Panel, confidence: float) -> Iterator[dict[str, Any]]:
    """Other means over readers, and the area in each category."""
    if not panel.enough:
        return
    design, words = panel.design
    base = {"reader": MEAN, "test": words, "note": panel.note}
    for name, merit in MERITS.items():
        values, covariance = jackknife(panel.truth, panel.ratings, merit)
        columns = mean_columns(single_arm(values, components(covariance, 1), design), confidence)
        if name in SHARES:
            columns |= {"ci_low": max(columns["ci_low"], 0.0), "ci_high": min(columns["ci_high"], 1.0)}
        yield base | panel.counts | {"statistic": name} | columns
    for category in sorted(set(panel.categories)) if len(set(panel.categories)) > 1 else []:
        part = panel.of(category)
        columns = mean_columns(mean_area(part), confidence, 0.5) if part.enough else {}
        yield base | part.counts | {"category": category, "statistic": AUC} | columns


def reader_rows(study: Study, position: int, confidence: float) -> Iterator[dict[str, Any]]:
    """What one reader did, on all cards that they answered."""
    answered = ~np.isnan(study.ratings[position])
    truth, ratings = study.truth[answered], study.ratings[position][answered]
    note = "" if answered.all() else f"answered {truth.size} of {answered.size} cards"
    base = {"reader": study.readers[position], "readers": 1, "n": truth.size, "test": CASES, "note": note}
    counts = counts_at(truth, ratings, SAYS_SYNTHETIC)
    positives, negatives = counts.tp + counts.fn, counts.tn + counts.fp
    if min(positives, negatives) > 1:
        area = auc_interval(truth, ratings, confidence)
        columns = {"value": area.auc, "ci_low": area.ci_low, "ci_high": area.ci_high, "test": f"DeLong, {CASES}"}
        yield base | {"statistic": AUC} | columns
    wilson = base | {"test": f"Wilson, {CASES}"}
    yield wilson | _share("sensitivity", counts.tp, positives, confidence)
    yield wilson | _share("specificity", counts.tn, negatives, confidence)
    yield wilson | _share("accuracy", counts.tp + counts.tn, counts.total, confidence)
    if min(positives, negatives) > 0:
        found = detection(counts.tp, positives, counts.fp, negatives, confidence)
        yield base | {"statistic": "d_prime"} | _columns(found.sensitivity_index)
        yield base | {"statistic": "criterion"} | _columns(found.criterion)
    times = study.seconds[position][answered]
    if not np.isnan(times).all():
        low, middle, high = np.nanquantile(times, [0.25, 0.5, 0.75])
        columns = {"value": middle, "ci_low": low, "ci_high": high, "test": "median and quartiles"}
        yield base | {"statistic": "seconds", "n": int(np.count_nonzero(~np.isnan(times)))} | columns


def pooled_rows(study: Study, confidence: float) -> Iterator[dict[str, Any]]:
    """The tests of the literature, under their own name."""
    answered = ~np.isnan(study.ratings)
    counts = counts_at(np.broadcast_to(study.truth, answered.shape)[answered], study.ratings[answered], SAYS_SYNTHETIC)
    shares = {
        "sensitivity": (counts.tp, counts.tp + counts.fn),
        "specificity": (counts.tn, counts.tn + counts.fp),
        "accuracy": (counts.tp + counts.tn, counts.total),
    }
    for name, (right, n) in shares.items():
        p = float(stats.binomtest(right, n).pvalue) if n else math.nan
        row = {"reader": ALL, "readers": len(study.readers), "n": n, "p": p, "test": PAPERS_TEST}
        yield row | _share(f"{name}_pooled", right, n, confidence) | {"note": _lopsided(study) if name == "accuracy" else ""}


def agreement_rows(panel: Panel, confidence: float) -> Iterator[dict[str, Any]]:
    """How far readers agree with each other: in real or synthetic, and in the rating."""
    if len(panel.ratings) < 2 or panel.truth.size < 3:
        return
    says, ratings = (panel.ratings.T >= SAYS_SYNTHETIC).astype(int), panel.ratings.T.astype(int) - 1
    base = {"reader": ALL, **panel.counts, "test": "jackknife, cases random, these readers", "note": panel.note}
    for name, statistic, rows in [
        ("fleiss_kappa", fleiss_kappa, category_counts(says, 2)),
        ("gwet_ac1", gwet_ac, category_counts(says, 2)),
        ("gwet_ac2", lambda counts: gwet_ac(counts, quadratic_weights(RATINGS)), category_counts(ratings, RATINGS)),
    ]:
        yield base | {"statistic": name} | _columns(jackknife_interval(statistic, rows, confidence))


def repeats_rows(study: Study, confidence: float) -> Iterator[dict[str, Any]]:
    """How far readers agree with themselves, on cards that were shown twice."""
    both = ~np.isnan(study.first) & ~np.isnan(study.again)
    says = np.stack([study.first, study.again], axis=-1) >= SAYS_SYNTHETIC
    groups = [(name, says[place][both[place]]) for place, name in enumerate(study.readers)]
    for name, pairs in [*groups, (ALL, says[both])]:
        if len(pairs):
            base = {"reader": name, "readers": len(study.readers) if name == ALL else 1, "n": len(pairs)}
            alike = int(np.count_nonzero(pairs[:, 0] == pairs[:, 1]))
            yield base | {"test": "Wilson"} | _share("repeats_alike", alike, len(pairs), confidence)
            kappa = jackknife_interval(lambda rows: counts_at(*rows.T, 1).kappa, pairs, confidence)
            yield base | {"test": "jackknife over repeats", "statistic": "repeats_kappa"} | _columns(kappa)


def crude_rows(study: Study, confidence: float) -> Iterator[dict[str, Any]]:
    """Assay sensitivity: the share of crude fakes that were caught; all readers together in the last row."""
    answered = ~np.isnan(study.crude)
    caught = study.crude >= SAYS_SYNTHETIC
    for place, name in enumerate(study.readers):
        n = int(np.count_nonzero(answered[place]))
        if n:
            row = {"reader": name, "readers": 1, "n": n, "test": "Wilson"}
            yield row | _share("crude_caught", np.count_nonzero(caught[place]), n, confidence)
    if answered.any():
        n = int(np.count_nonzero(answered))
        row = {"reader": ALL, "readers": len(study.readers), "n": n, "test": "Wilson, answers taken as independent"}
        yield row | _share("crude_caught", np.count_nonzero(caught), n, confidence)


def _lopsided(study: Study) -> str:
    """What guessing gets where the deck is not balanced."""
    share = float(study.truth.mean()) if study.truth.size else 0.5
    kind = SYNTHETIC if share > 0.5 else REAL
    return f"always answering '{kind}' is right in {100 * max(share, 1 - share):.1f} %" if share != 0.5 else ""


def _share(name: str, successes: int, n: int, confidence: float) -> dict[str, Any]:
    if not n:
        return {"statistic": name, "n": 0}
    low, high = wilson_interval(successes, n, confidence)
    return {"statistic": name, "n": n, "value": successes / n, "ci_low": low, "ci_high": high}


def _columns(bounded: Bounded) -> dict[str, float]:
    return {"value": bounded.value, "ci_low": bounded.ci_low, "ci_high": bounded.ci_high}
