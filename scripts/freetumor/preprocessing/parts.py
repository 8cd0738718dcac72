"""Scans that show the same body in part: landmarks that look alike, lie alike, and correlate.

A landmark is described by sums and differences of its coarse voxels whose signs are dropped, so that mirrored copies agree.
Landmarks of all scans that agree are found in one tree; scans that share three are compared: a mirror and a shift must bring
four of them together, and the coarse voxels of all landmarks that then meet must correlate.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from freetumor.preprocessing.landmarks import CORNERS, Landmarks

SHARED = 3  # landmarks that look alike, for a comparison
LEAST = 4  # of them that one mirror and shift bring together
MEETING = 8  # landmarks that then meet, for a verdict
APART = 6.0  # mm between landmarks that meet
CORRELATED = 0.95
TERMS = list(product((0, 1), repeat=3))  # which axes' signs a term has
SIGNS = np.array([[np.prod(corner ** np.array(term)) for corner in CORNERS] for term in TERMS]) / len(CORNERS)
# By how much the terms of the same landmark differ between a scan and a part of it on other voxels, HU, measured.
SPREAD = np.array([3.5, 3.4, 3.2, 2.0, 2.1, 1.3, 1.2, 1.0, 3.6, 2.6, 3.1, 1.9, 2.0, 1.4, 1.4, 1.0])
TELLING = [0, 1, 2, 4, 8, 9, 10, 12]  # the terms in which landmarks differ most
NEAR, ALIKE = 2.5, 4.5  # greatest distance in these terms, and in all
BLOCK = 2**17  # landmarks looked up at a time
MIRRORS = np.array(list(product((1, -1), repeat=3)))


def find_parts(scans: Sequence[Landmarks]) -> list[tuple[int, int, float]]:
    """Pairs of scans (positions, ascending) of which one shows a part of the other, and their correlation."""
    terms = [describe(scan) for scan in scans]
    found = []
    for one, other in _candidates(terms):
        correlation = compare(scans[one], scans[other], terms[one], terms[other])
        if correlation >= CORRELATED:
            found.append((one, other, correlation))
    return found


def describe(scan: Landmarks) -> np.ndarray:
    """Terms of each landmark that no mirror changes, in units of :data:`SPREAD`, shape (n, 16)."""
    terms = scan.values.reshape(-1, 2, len(CORNERS)) @ SIGNS.T
    terms[..., 1:] = np.abs(terms[..., 1:])
    return (terms.reshape(-1, len(SPREAD)) / SPREAD).astype(np.float32)


def _candidates(terms: Sequence[np.ndarray]) -> Iterator[tuple[int, int]]:
    """Pairs of scans that share enough landmarks, ascending."""
    owners = np.repeat(np.arange(len(terms)), [len(each) for each in terms])
    if not len(owners):
        return
    points = np.concatenate(terms)
    tree = cKDTree(points[:, TELLING], leafsize=32)
    counts: dict[int, int] = {}
    for start in range(0, len(points), BLOCK):
        here = cKDTree(points[start : start + BLOCK, TELLING], leafsize=32)
        near = here.sparse_distance_matrix(tree, NEAR, output_type="ndarray")
        ones, others = near["i"] + start, near["j"]
        apart = owners[ones] < owners[others]
        ones, others = ones[apart], others[apart]
        alike = np.square(points[ones] - points[others]).sum(axis=1) <= ALIKE**2
        pairs, shared = np.unique(owners[ones[alike]] * len(terms) + owners[others[alike]], return_counts=True)
        for pair, count in zip(pairs.tolist(), shared.tolist(), strict=True):
            counts[pair] = counts.get(pair, 0) + count
    yield from (divmod(pair, len(terms)) for pair, count in sorted(counts.items()) if count >= SHARED)


def compare(one: Landmarks, other: Landmarks, terms: np.ndarray, others: np.ndarray) -> float:
    """Correlation of the coarse voxels of two scans under the best mirror and shift; 0 if no such brings them together.

    Args:
        one: a scan.
        other: another one.
        terms: :func:`describe` of the first.
        others: and of the second.
    """
    rows, columns = np.nonzero(cdist(terms, others) <= ALIKE)
    best, mirror, shift = 0, MIRRORS[0], np.zeros(3)
    for signs in MIRRORS:
        shifts = one.places[rows] - signs * other.places[columns]
        together = (np.abs(shifts[:, None] - shifts) < APART).all(axis=2)
        count = int(together.sum(axis=1).max(initial=0))
        if count > best:
            best, mirror = count, signs
            shift = shifts[together[together.sum(axis=1).argmax()]].mean(axis=0)
    if best < LEAST:
        return 0.0
    distances = cdist(one.places, mirror * other.places + shift)
    nearest = distances.argmin(axis=0)
    columns = np.flatnonzero((distances.min(axis=0) < APART) & (distances.argmin(axis=1)[nearest] == np.arange(len(nearest))))
    if len(columns) < MEETING:
        return 0.0
    order = [int(np.flatnonzero((corner * mirror == CORNERS).all(axis=1))[0]) for corner in CORNERS]
    mirrored = other.values[columns].reshape(-1, 2, len(CORNERS))[..., order]
    return float(np.corrcoef(one.values[nearest[columns]].ravel(), mirrored.ravel())[0, 1])
