"""Simulated studies with a known truth, and the procedures that are applied to each.

A section yields designs: a name, a function that draws one study and returns ``{procedure: (p, low, high)}``, and the truth.
NaN stands for no test or no interval; procedures that are recommended in a design begin with ``*``.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from freetumor.evaluation.statistics.bootstrap import percentile_interval, ratio_bootstrap
from freetumor.evaluation.statistics.crossed import Estimate, random_effects, ratio_blocks
from freetumor.evaluation.statistics.mixed import fit_mixed
from freetumor.evaluation.statistics.multireader import compare_arms, components, single_arm
from freetumor.evaluation.statistics.paired import bca_interval, hodges_lehmann, sign_flip, standardized_effect, wilcoxon
from freetumor.evaluation.statistics.proportions import (
    clopper_pearson_interval,
    mcnemar,
    newcombe_interval,
    newcombe_paired_interval,
    wilson_interval,
)
from freetumor.evaluation.statistics.roc import delong

Outcome = tuple[float, float, float]
Design = tuple[str, Callable[[np.random.Generator], dict[str, Outcome]], float]
NAN = math.nan
BOTH, RANKS, PAIRED_T = "patients and trainings random", "Wilcoxon over patients", "paired t over patients"
POINTS = (7.0, 7.0)  # standard deviations of patients and of the rest, in Dice points
NOISY = (3.0, 10.0)  # patients that differ little


def crossed() -> Iterator[Design]:
    """Differences of two equal methods, normal: folds x patients x trainings, and the standard deviation of trainings."""
    for shape, spread, sds in (
        ((3, 10, 2), POINTS, (0, 2, 4)),
        ((3, 10, 3), POINTS, (0, 2, 4)),
        ((5, 24, 3), POINTS, (0, 2, 4)),
        ((5, 5, 5), POINTS, (0, 2, 4)),
        ((1, 30, 6), POINTS, (0, 2, 4)),
        ((1, 20, 2), POINTS, (0, 2, 4)),
        ((3, 10, 2), NOISY, (0, 4)),
        ((5, 24, 3), NOISY, (0, 4)),
        ((1, 30, 6), NOISY, (0, 4)),
    ):
        for sd in sds:
            name = f"{shape[0]} x {shape[1]} patients x {shape[2]} seeds, SD {spread[0]:g}/{sd}/{spread[1]:g}"
            yield name, lambda rng, a=shape, b=(spread[0], sd, spread[1]): _crossed(_normal_blocks(rng, a, b)), 0.0
    yield "3 x 10 patients x 3 seeds, skewed", lambda rng: _crossed(_skewed_blocks(rng, (3, 10, 3))), 0.0


def gaps() -> Iterator[Design]:
    """Scores of two equal arms, 10 % of them missing, by the mixed model."""
    yield "12 cases x 2 arms x 4 trainings, 10 % missing", lambda rng: _mixed(rng, (12, 2, 4)), 0.0


def lesions() -> Iterator[Design]:
    """Share of lesions found: lesions lie in patients, and trainings differ."""
    for shape in ((3, 10, 3), (5, 20, 3)):
        name = f"lesions of {shape[0]} x {shape[1]} patients x {shape[2]} seeds"
        yield f"{name}, two equal arms", lambda rng, a=shape: _lesions(rng, a), 0.0
        yield f"{name}, share 0.5", lambda rng, a=shape: _found(rng, a), 0.5


def patients() -> Iterator[Design]:
    """Differences of patients for two trained models: heavy tails, and skewed with a mean of zero."""
    for n in (12, 30, 100):
        yield f"{n} patients, heavy tails", lambda rng, n=n: _patients(rng, rng.standard_t(4, n)), 0.0
        yield f"{n} patients, skewed", lambda rng, n=n: _patients(rng, rng.gamma(4, 1, n) - 4, symmetric=False), 0.0
    yield "d_z of 15 patients", lambda rng: {"*noncentral t": _effect(rng.normal(0.6, 1, 15))}, 0.6


def proportions() -> Iterator[Design]:
    """Shares of independent cases, and their differences."""
    for n, truth in ((40, 0.9), (120, 0.8)):
        yield f"share of {n}, truth {truth}", lambda rng, n=n, p=truth: _share(int(rng.binomial(n, p)), n), truth
    yield "shares of 80 and 70, equal", lambda rng: _two_shares(*(int(k) for k in rng.binomial([80, 70], 0.75)), 80, 70), 0.0
    yield "paired shares of 120, equal", lambda rng: _paired_shares(rng.multinomial(120, [0.6, 0.12, 0.12, 0.16])), 0.0


def readers() -> Iterator[Design]:
    """Readers who cannot tell real from synthetic, and two arms that they tell equally well; cases, readers and both vary."""
    for count, cases in ((5, 100), (13, 90)):
        yield f"{count} readers x {cases} cases, AUC 0.5", lambda rng, a=(count, cases): _one_arm(rng, *a), 0.5
    yield "5 readers x 100 cases, two equal arms", lambda rng: _two_arms(rng, 5, 100), 0.0


SECTIONS = {section.__name__: section for section in (crossed, gaps, lesions, patients, proportions, readers)}


def _normal_blocks(rng: np.random.Generator, shape: tuple[int, int, int], sd: tuple[float, float, float]) -> list[np.ndarray]:
    folds, count, trainings = shape
    return [
        rng.normal(0, sd[0], (count, 1)) + rng.normal(0, sd[1], (1, trainings)) + rng.normal(0, sd[2], (count, trainings))
        for _ in range(folds)
    ]


def _skewed_blocks(rng: np.random.Generator, shape: tuple[int, int, int]) -> list[np.ndarray]:
    """Patients and rest with the skewness 1.4 of a gamma distribution; standard deviations 7, 2 and 7."""
    folds, count, trainings = shape
    return [
        3.5 * math.sqrt(2) * (rng.gamma(2, 1, (count, 1)) - 2)
        + rng.normal(0, 2, (1, trainings))
        + 3.5 * math.sqrt(2) * (rng.gamma(2, 1, (count, trainings)) - 2)
        for _ in range(folds)
    ]


def _crossed(blocks: list[np.ndarray]) -> dict[str, Outcome]:
    averaged = np.concatenate([block.mean(axis=1) for block in blocks])
    enough = sum(block.shape[1] - 1 for block in blocks) > 1  # two trainings alone: the test's own name says that it is weak
    return {
        f"{'*' if enough else ''}{BOTH}": _bounds(random_effects(blocks, 0.95)),
        RANKS: (wilcoxon(averaged).p, NAN, NAN),
    }


def _mixed(rng: np.random.Generator, shape: tuple[int, int, int]) -> dict[str, Outcome]:
    cases, arms, trainings = shape
    scores = rng.normal(0, 15, (cases, 1, 1)) + rng.normal(0, 5, (cases, arms, 1)) + rng.normal(0, 2, (1, arms, trainings))
    scores = scores + rng.normal(0, 5, shape)
    case, arm, training = np.indices(shape).reshape(3, -1)
    kept = rng.random(case.size) < 0.9
    fitted = fit_mixed(scores.ravel()[kept], arm[kept], case[kept], training[kept])
    means = [[scores[c, a].ravel()[kept.reshape(shape)[c, a]].mean() for a in range(arms)] for c in range(cases)
             if kept.reshape(shape)[c].any(axis=1).all()]  # fmt: skip
    return {"*mixed model": _bounds(fitted.contrast([-1, 1], 0.95)), PAIRED_T: _t(np.diff(means).ravel())}


def _lesions(rng: np.random.Generator, shape: tuple[int, int, int]) -> dict[str, Outcome]:
    folds, count, trainings = shape
    totals, counts, hits = [], [], np.zeros(2)
    for _ in range(folds):
        of_patient, easy = rng.integers(1, 5, count), rng.normal(0.4, 1, (count, 1))
        found = [_hits(rng, of_patient, easy, trainings) for _ in range(2)]
        hits += [part.sum() for part in found]
        totals.append((found[0] - found[1]).astype(float))
        counts.append(of_patient.astype(float))
    n = sum(part.sum() for part in counts) * trainings
    shares = hits / n
    error = math.sqrt(sum(shares * (1 - shares)) / n)
    gap = float(shares[0] - shares[1])
    draws = ratio_bootstrap(totals, counts, 500, rng)
    return {
        f"*{BOTH}": _bounds(random_effects(ratio_blocks(totals, counts), 0.95)),
        "two-level bootstrap": (NAN, *percentile_interval(draws, 0.95)),
        "z of pooled lesions": (float(2 * stats.norm.sf(abs(gap) / error)), gap - 1.96 * error, gap + 1.96 * error),
    }


def _found(rng: np.random.Generator, shape: tuple[int, int, int]) -> dict[str, Outcome]:
    folds, count, trainings = shape
    counts = [rng.integers(1, 5, count) for _ in range(folds)]
    totals = [_hits(rng, each, rng.normal(0, 1, (count, 1)), trainings).astype(float) for each in counts]
    counts = [each.astype(float) for each in counts]
    estimate = random_effects(ratio_blocks(totals, counts), 0.95)
    n = int(sum(each.sum() for each in counts))
    share = round(sum(block.sum() for block in totals) / trainings)
    return {
        f"*{BOTH}": (NAN, estimate.ci_low, estimate.ci_high),
        "*two-level bootstrap": (NAN, *percentile_interval(ratio_bootstrap(totals, counts, 500, rng), 0.95)),
        "Wilson of lesions": (NAN, *wilson_interval(share, n, 0.95)),
    }


def _hits(rng: np.random.Generator, counts: np.ndarray, easy: np.ndarray, trainings: int) -> np.ndarray:
    """Lesions found, ``(patients, trainings)``; ``easy`` is the log-odds of a patient's lesions, ``(patients, 1)``."""
    return rng.binomial(counts[:, None], 1 / (1 + np.exp(-easy - rng.normal(0, 0.5, (1, trainings)))))


def _patients(rng: np.random.Generator, gains: np.ndarray, symmetric: bool = True) -> dict[str, Outcome]:
    """Sign flips and ranks ask whether the distribution is symmetric around 0; t and BCa speak of its mean."""
    bca = bca_interval(gains, 0.95, 1000, rng)
    found = {
        f"{'*' if symmetric or gains.size > 50 else ''}{PAIRED_T}": _t(gains),
        f"{'*' if gains.size > 50 else ''}BCa bootstrap": (NAN, bca.low, bca.high),
    }
    if symmetric:
        shift = hodges_lehmann(gains, 0.95)
        found["*sign flips"] = (sign_flip(gains, 999, rng), NAN, NAN)
        found["*Wilcoxon, Hodges-Lehmann"] = (wilcoxon(gains).p, shift.low, shift.high)
    return found


def _share(hits: int, n: int) -> dict[str, Outcome]:
    half = 1.96 * math.sqrt(hits / n * (1 - hits / n) / n)
    return {
        "*Wilson": (NAN, *wilson_interval(hits, n, 0.95)),
        "*Clopper-Pearson": (NAN, *clopper_pearson_interval(hits, n, 0.95)),
        "Wald": (NAN, hits / n - half, hits / n + half),
    }


def _two_shares(hits: int, hits_2: int, n: int, n_2: int) -> dict[str, Outcome]:
    return {"*Newcombe": (NAN, *newcombe_interval(hits, n, hits_2, n_2, 0.95))}


def _paired_shares(cells: np.ndarray) -> dict[str, Outcome]:
    both, first, second, neither = (int(cell) for cell in cells)
    test = mcnemar(first, second)
    low, high = newcombe_paired_interval(both, first, second, neither, 0.95)
    return {
        "*Newcombe": (NAN, low, high),
        "*exact McNemar": (test.p, NAN, NAN),
        "*mid-p McNemar": (test.p_mid, NAN, NAN),
        "*McNemar without correction": (test.p_asymptotic, NAN, NAN),
    }


def _ratings(rng: np.random.Generator, count: int, cases: int, arms: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Ratings ``(arms, readers, cases)`` after Roe and Metz (1997), and the truth."""
    truth = np.arange(cases) % 2 == 1
    latent = (
        rng.normal(0, 0.55, cases)
        + rng.normal(0, 0.45, (1, count, cases))
        + rng.normal(0, 0.45, (arms, 1, cases))
        + rng.normal(0, 0.55, (arms, count, cases))
        + truth * (shift + rng.normal(0, 0.15, (1, count, 1)) + rng.normal(0, 0.1, (arms, count, 1)))
        + rng.normal(0, 0.15, (1, count, 1))
    )
    return np.clip(np.round(2.5 + 1.5 * latent), 0, 5), truth


def _one_arm(rng: np.random.Generator, count: int, cases: int) -> dict[str, Outcome]:
    ratings, truth = _ratings(rng, count, cases, 1, 0.0)
    values, covariance = delong(truth, ratings[0])
    mean = single_arm(values, components(covariance, 1))
    right = int(np.count_nonzero((ratings[0] >= 3) == truth))
    share = wilson_interval(right, count * cases, 0.95)
    return {
        "*Obuchowski-Rockette, one arm": (mean.test(0.5), *mean.interval(0.95)),
        "binomial of pooled answers": (float(stats.binomtest(right, count * cases).pvalue), *share),
        "t over readers": _t(values - 0.5, 0.5),
    }


def _two_arms(rng: np.random.Generator, count: int, cases: int) -> dict[str, Outcome]:
    ratings, truth = _ratings(rng, count, cases, 2, 1.2)
    values, covariance = delong(truth, ratings.reshape(2 * count, cases))
    values = values.reshape(2, count)
    found = compare_arms(values, components(covariance, 2))
    return {
        "*Obuchowski-Rockette": (found.p, *found.differences[0, 1].interval(0.95)),
        "t over readers": _t(values[0] - values[1]),
    }


def _effect(gains: np.ndarray) -> Outcome:
    found = standardized_effect(gains, 0.95)
    return NAN, found.low, found.high


def _bounds(estimate: Estimate) -> Outcome:
    return estimate.p, estimate.ci_low, estimate.ci_high


def _t(values: np.ndarray, center: float = 0.0) -> Outcome:
    found = stats.ttest_1samp(values, 0)
    low, high = found.confidence_interval()
    return float(found.pvalue), float(low) + center, float(high) + center
