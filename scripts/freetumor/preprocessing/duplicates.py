"""Cases that are the same scan, and patients that are the same person.

Public collections copy from one another, and a scan that trains in one may be tested on in another. Two volumes are the
same scan if their voxels have the same hash, or if their coarse pictures (see ``identity``) correlate at 0.975 or more
in any of the eight flips.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from freetumor.preprocessing.identity import correlations, picture

ALIKE = 0.975
BLOCK = 256  # rows compared at a time


def find_pairs(table: pd.DataFrame) -> list[tuple[int, int]]:
    """Pairs of rows of ``table`` (positions, ascending) that are the same scan."""
    by_hash: dict[str, list[int]] = {}
    for place, value in enumerate(table["voxel_hash"]):
        by_hash.setdefault(value, []).append(place)
    exact = [(places[0], place) for places in by_hash.values() for place in places[1:]]
    firsts = sorted(places[0] for places in by_hash.values())  # identical voxels have identical pictures
    pictures = [picture(table["fingerprint"].iloc[place]) for place in firsts]
    near = [(firsts[i], firsts[j]) for i, j in _candidates(pictures) if max(correlations(pictures[i], pictures[j])) >= ALIKE]
    return sorted(exact + near)


def _candidates(pictures: Sequence[np.ndarray]) -> Iterator[tuple[int, int]]:
    """All pairs that can be alike, and few others, by matrix products.

    The mean over the eight flips is a projection P, the same for all flips of a picture. For unit vectors that correlate
    at r, |Pa - Pb|² <= |a - b|² = 2 (1 - r), hence Pa·Pb >= (|Pa|² + |Pb|²) / 2 - (1 - r): no pair is missed.
    """
    if len(pictures) < 2:
        return
    projected = np.stack([_mean_of_flips(one) for one in pictures])
    norms = np.square(projected).sum(axis=1)
    for start in range(0, len(pictures), BLOCK):
        rows = slice(start, start + BLOCK)
        least = (norms[rows, None] + norms[None, start:]) / 2 - (1 - ALIKE) - 1e-4
        found = np.argwhere(projected[rows] @ projected[start:].T >= least)
        yield from ((int(i) + start, int(j) + start) for i, j in found if i < j)


def _mean_of_flips(one: np.ndarray) -> np.ndarray:
    """The mean over all flips of the unit vector of a picture, as a flat ``float32`` vector.

    It is symmetric, so that one octant, scaled by the root of eight, has the products of the whole.
    """
    result = one / max(1.0, float(np.sqrt(np.square(one, dtype=float).sum())))
    for axis in range(3):
        half = result.shape[axis] // 2
        result = (result + np.flip(result, axis)).take(range(half), axis) / np.sqrt(2)
    return result.ravel().astype(np.float32)


def connect(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Connected components of ``count`` nodes: for each node the least node of its component."""
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [root(node) for node in range(count)]
