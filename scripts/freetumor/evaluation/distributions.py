"""Radiomics of painted and real lesions of the same sizes, feature by feature, corrected for the number of features.

Two distances say how far apart the distributions of a feature are: Kolmogorov and Smirnov's (the greatest difference of the
distribution functions) and Wasserstein's, in standard deviations of the real lesions. The p-value of the first is that of a
permutation test. Lesions of a patient are alike, so that not lesions but patients change sides, with all their lesions; a
patient with painted and real lesions counts as two. P-values of all features of a synthesizer and organ are adjusted together
(Benjamini and Hochberg): this is a screen for what differs, not a proof that nothing does.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import wasserstein_distance

from .statistics.multiplicity import benjamini_hochberg

TINY = 1e-9


def compare_distributions(
    painted: np.ndarray,
    real: np.ndarray,
    painted_patients: np.ndarray,
    real_patients: np.ndarray,
    permutations: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Distances and tests of each feature; what is missing of a feature is left out.

    Args:
        painted: features (n, d), may hold NaN.
        real: features (m, d).
        painted_patients: (n,).
        real_patients: (m,).
        permutations: random exchanges of patients.
        rng: source of randomness.

    Returns:
        ``median``, ``median_real``, ``wasserstein``, ``ks``, ``p`` and ``p_adjusted``, each (d,); NaN for a feature that no
        painted or no real lesion has.
    """
    values = np.concatenate([painted, real])
    sides = _exchanged(painted_patients, real_patients, permutations, rng)
    names = ("median", "median_real", "wasserstein", "ks", "p")
    rows = [_compare(column, sides) for column in values.T]
    found = dict(zip(names, np.array(rows, float).reshape(len(rows), len(names)).T, strict=True))
    return found | {"p_adjusted": benjamini_hochberg(found["p"])}


def ks_distances(values: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Greatest difference of two distribution functions, for several divisions of the same values.

    Args:
        values: (n,).
        sides: bool (divisions, n), which values are on the first side.

    Returns:
        (divisions,); NaN where a side is empty.
    """
    order = np.argsort(values, kind="stable")
    ranked, first = values[order], sides[:, order].astype(float)
    last = np.append(np.diff(ranked) > 0, True)  # of equal values
    counts = first.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = first.cumsum(axis=1)[:, last] / counts - (1 - first).cumsum(axis=1)[:, last] / (len(values) - counts)
    return np.abs(apart).max(axis=1)


def _compare(values: np.ndarray, sides: np.ndarray) -> Sequence[float]:
    """Medians, distances and p-value of one feature; the first row of ``sides`` is how things are."""
    there = np.isfinite(values)
    values, sides = values[there], sides[:, there]
    mine = sides[0]
    if mine.all() or not mine.any():
        return (np.nan,) * 5
    distances = ks_distances(values, sides)
    possible = np.isfinite(distances[1:])
    extreme = np.count_nonzero(distances[1:][possible] >= distances[0] - TINY)
    spread = values[~mine].std()
    apart = wasserstein_distance(values[mine], values[~mine]) / spread if spread > 0 else np.nan
    p = (1 + extreme) / (1 + np.count_nonzero(possible))
    return np.median(values[mine]), np.median(values[~mine]), apart, distances[0], p


def _exchanged(painted: np.ndarray, real: np.ndarray, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Which lesions are painted: (1 + permutations, lesions), first as they are, then with patients on random sides."""
    groups = [f"painted {name}" for name in painted] + [f"real {name}" for name in real]
    names, place = np.unique(groups, return_inverse=True)
    truth = np.char.startswith(names, "painted ")
    rows = [truth, *(rng.permutation(truth) for _ in range(permutations))]
    return np.array(rows)[:, place]
