"""How two samples of lesions differ, where lesions of one patient belong together.

Every function takes arrays in a fixed order and a generator, so that its result depends on nothing else. Patients are drawn,
not lesions: both for intervals (bootstrap) and for halves.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from .likeness import Bounded, cubic_kernel, squared_discrepancy
from .statistics.bootstrap import percentile_interval

FACTOR = 1.25  # diameters that count as alike differ by at most this factor
PARTS = 5  # of a cross-validation
REPEATS = 5  # cross-validations that are averaged
HALVES = 200
STANDARD = 4.0  # standard deviations at which a feature is cut off
TINY = 1e-9
NOTHING = (math.nan, math.nan, math.nan)


def size_matched(real: np.ndarray, painted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of real and painted lesions that remain when each real one gets the same number of painted ones of its size.

    The pairs are those that differ least in the logarithm of the diameter, among all with diameters within a factor of
    :data:`FACTOR`; a real lesion without partner is left out. Then as many partners per lesion are given as all of the
    remaining ones can have.

    Args:
        real: diameters (n,) in mm.
        painted: diameters (m,).
    """
    apart = np.abs(np.log(real)[:, None] - np.log(painted))
    limit = math.log(FACTOR) * (1 + TINY)
    cost = np.where(apart <= limit, apart, 1e6)
    rows, columns = linear_sum_assignment(cost)
    good = cost[rows, columns] <= limit
    rows, columns = rows[good], columns[good]
    kept = rows
    for partners in range(2, len(painted) // max(len(kept), 1) + 1):
        again, more = linear_sum_assignment(np.repeat(cost[kept], partners, axis=0))
        if (np.repeat(cost[kept], partners, axis=0)[again, more] > limit).any():
            break
        columns = more
    return np.sort(kept), np.sort(columns)


def patient_weights(patients: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each lesion counts in each bootstrap draw of patients: (resamples, lesions)."""
    names, place = np.unique(patients, return_inverse=True)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return draws[:, place].astype(float)


def mean_band(values: np.ndarray, weights: np.ndarray, confidence: float) -> np.ndarray:
    """Means of the columns of ``values`` (lesions, k) over lesions that have one, with bands: (3, k)."""
    there = np.isfinite(values)
    filled = np.where(there, values, 0.0)
    with np.errstate(invalid="ignore"):
        draws = (weights @ filled) / (weights @ there.astype(float))
        means = filled.sum(axis=0) / there.sum(axis=0)
    bands = [percentile_interval(column, confidence) for column in draws.T]
    return np.array([means, *np.array(bands).T])


def quantile_interval(values: np.ndarray, weights: np.ndarray, share: float, confidence: float) -> Bounded:
    """A quantile (the inverse of the distribution function) with its bootstrap interval."""
    there = np.isfinite(values)
    order = np.argsort(values[there], kind="stable")
    ranked = values[there][order]
    weights = np.concatenate([np.ones((1, len(ranked))), weights[:, there][:, order]])
    total = weights.cumsum(axis=1)
    drawn = total[:, -1] > 0
    places = (total < share * total[:, -1:] - TINY).sum(axis=1)
    found = np.where(drawn, ranked[np.minimum(places, len(ranked) - 1)], np.nan)
    return float(found[0]), *percentile_interval(found[1:], confidence)


def from_half(
    painted_distance: Callable[[np.ndarray, np.ndarray], float],
    real_distance: Callable[[np.ndarray, np.ndarray], float],
    painted: np.ndarray,
    real: np.ndarray,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[Bounded, Bounded]:
    """Distance of painted from real lesions, and of real from real ones, at equal numbers.

    The real patients are split into random halves. The second half, and as many painted lesions, are compared with the first;
    neither shares a patient with it. The means over :data:`HALVES` splits are returned with the range that the share
    ``confidence`` of the splits lies in, which is about the sampling error at the full size (delete-half jackknife).

    Args:
        painted_distance: function of positions of painted and of real lesions.
        real_distance: function of two sets of positions of real lesions.
        painted: patients of the painted lesions (n,).
        real: patients of the real ones (m,).
        confidence: share of the splits.
        rng: source of randomness.

    Returns:
        Of painted lesions, and of real ones (the floor); NaN if no split has at least three lesions on each side.
    """
    names, codes = np.unique(np.concatenate([real, painted]), return_inverse=True)
    own, parents = codes[: len(real)], codes[len(real) :]
    donors, found = np.unique(own), []
    for _ in range(HALVES):
        first = np.zeros(len(names), bool)
        first[rng.permutation(donors)[: len(donors) // 2]] = True
        anchor, other = np.flatnonzero(first[own]), rng.permutation(np.flatnonzero(~first[own]))
        free = rng.permutation(np.flatnonzero(~first[parents]))
        size = min(len(other), len(free))
        if min(size, len(anchor)) >= 3:
            found.append([painted_distance(free[:size], anchor), real_distance(other[:size], anchor)])
    if not found:
        return NOTHING, NOTHING
    return tuple((float(column.mean()), *percentile_interval(column, confidence)) for column in np.array(found).T)


def standardized(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Features in standard deviations of ``reference`` from its mean, cut off at 4; what is missing is at the mean."""
    known = np.ma.masked_invalid(reference)
    mean, spread = known.mean(axis=0).filled(np.nan), known.std(axis=0).filled(np.nan)
    return np.nan_to_num(np.clip((values - mean) / np.maximum(spread, TINY), -STANDARD, STANDARD))


def kernel_distances(
    painted: np.ndarray, real: np.ndarray, painted_patients: np.ndarray, real_patients: np.ndarray, *options: object
) -> tuple[Bounded, Bounded]:
    """Kernel distance (as KID: unbiased, cubic) of standardized features, with its real-versus-real floor.

    Args:
        painted: features (n, d).
        real: features (m, d), which also standardize.
        painted_patients: (n,).
        real_patients: (m,).
        options: ``confidence`` and ``rng`` of :func:`from_half`.
    """
    a, b = standardized(painted, real), standardized(real, real)
    aa, bb, ab = cubic_kernel(a, a), cubic_kernel(b, b), cubic_kernel(a, b)

    def of_painted(x: np.ndarray, y: np.ndarray) -> float:
        return squared_discrepancy(aa[np.ix_(x, x)], bb[np.ix_(y, y)], ab[np.ix_(x, y)])

    def of_real(x: np.ndarray, y: np.ndarray) -> float:
        return squared_discrepancy(bb[np.ix_(x, x)], bb[np.ix_(y, y)], bb[np.ix_(x, y)])

    return from_half(of_painted, of_real, painted_patients, real_patients, *options)


def classifier_test(
    first: np.ndarray,
    second: np.ndarray,
    first_patients: np.ndarray,
    second_patients: np.ndarray,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
    repeats: int = REPEATS,
) -> Bounded:
    """Area under the ROC curve of a classifier that tells two samples apart: 0.5 if nobody can, 1 if anybody can.

    Logistic regression on the features and their squares, cross-validated by patient; pairs of lesions count that the same
    classifier has scored without knowing either patient. The interval draws patients anew, for the classifiers as they are.

    Args:
        first: features (n, d) of the sample that should score higher; may hold NaN.
        second: features (m, d).
        first_patients: (n,).
        second_patients: (m,).
        confidence: level of the interval.
        resamples: bootstrap draws.
        rng: source of randomness.
        repeats: cross-validations that are averaged.

    Reference:
        Lopez-Paz and Oquab 2017 (classifier two-sample test).
    """
    values, patients = np.concatenate([first, second]), np.concatenate([first_patients, second_patients])
    truth = np.arange(len(values)) < len(first)
    wins = np.zeros((len(first), len(second)))
    pairs = np.zeros_like(wins)
    for _ in range(repeats):
        split = StratifiedGroupKFold(PARTS, shuffle=True, random_state=int(rng.integers(2**31)))
        for known, asked in split.split(values, truth, patients):
            if truth[known].all() or not truth[known].any():
                continue
            scores = _scores(values[known], truth[known], values[asked])
            mine, other = asked[truth[asked]], asked[~truth[asked]]
            ahead = scores[truth[asked]][:, None] - scores[~truth[asked]]
            where = np.ix_(mine, other - len(first))
            wins[where] += (ahead > 0) + 0.5 * (ahead == 0)
            pairs[where] += 1
    if not pairs.any():
        return NOTHING
    weights = patient_weights(patients, resamples, rng)
    a, b = weights[:, truth], weights[:, ~truth]
    with np.errstate(invalid="ignore"):
        draws = np.sum((a @ wins) * b, axis=1) / np.sum((a @ pairs) * b, axis=1)
    return float(wins.sum() / pairs.sum()), *percentile_interval(draws, confidence)


def _scores(known: np.ndarray, truth: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Decision values of a classifier, from features and their squares in units of the known lesions."""

    def both(values: np.ndarray) -> np.ndarray:
        scaled = standardized(values, known)
        return np.concatenate([scaled, scaled**2 - 1], axis=1)

    model = LogisticRegression(C=0.1, class_weight="balanced", solver="newton-cholesky").fit(both(known), truth)
    return model.decision_function(both(asked))


def real_halves_test(
    real: np.ndarray, patients: np.ndarray, confidence: float, rng: np.random.Generator, splits: int = 10
) -> Bounded:
    """What :func:`classifier_test` finds between random halves of the real patients: chance, and how far it strays."""
    names, found = np.unique(patients), []
    for _ in range(splits):
        first = np.isin(patients, rng.permutation(names)[: len(names) // 2])
        samples = real[first], real[~first], patients[first], patients[~first]
        found.append(classifier_test(*samples, confidence, 1, rng, repeats=1)[0])
    return float(np.nanmean(found)), *percentile_interval(np.array(found), confidence)


def neighbor_ratios(
    painted: np.ndarray,
    training: np.ndarray,
    held_out: np.ndarray,
    painted_patients: np.ndarray,
    training_patients: np.ndarray,
    rng: np.random.Generator,
    draws: int = 10,
) -> np.ndarray:
    """Distance of each painted lesion to the nearest training lesion per distance to the nearest real one never learned from.

    As many of either kind are offered, drawn at random ``draws`` times (geometric mean). About 1 unless lesions are copied.
    Training lesions of the painted lesion's own patient do not count.

    Args:
        painted: standardized features (n, d).
        training: (m, d).
        held_out: (k, d).
        painted_patients: (n,).
        training_patients: (m,).
        rng: source of randomness.

    Returns:
        (n,); NaN where one of the draws holds nothing but lesions of the patient's own.
    """
    near, far = cdist(painted, training), cdist(painted, held_out)
    near[painted_patients[:, None] == training_patients] = np.inf
    size = min(len(training), len(held_out))
    logs = np.zeros(len(painted))
    for _ in range(draws):
        known, other = rng.permutation(len(training))[:size], rng.permutation(len(held_out))[:size]
        logs += np.log(np.maximum(near[:, known].min(axis=1), TINY) / np.maximum(far[:, other].min(axis=1), TINY))
    return np.where(np.isfinite(logs), np.exp(logs / draws), np.nan)
