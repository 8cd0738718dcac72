"""Cases that are the same scan, and patients that are the same person.

Public collections copy from one another, and a scan that trains in one may be tested on in another. Two volumes are the
same scan if their voxels have the same hash (``exact``), if their coarse pictures (see ``identity``) correlate at 0.975 or
more in any of the eight flips (``near``), or if the landmarks of one meet those of the other (``part``, see ``parts``).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from freetumor.preprocessing.identity import correlations, landmarks, picture
from freetumor.preprocessing.parts import find_parts

ALIKE = 0.975
BLOCK = 256  # rows compared at a time


class Pair(NamedTuple):
    """Two rows that are the same scan: positions, ascending; how they were found; and the correlation that says so."""

    one: int
    other: int
    kind: str  # exact, near or part
    correlation: float


def find_pairs(table: pd.DataFrame) -> list[Pair]:
    """Pairs of rows of ``table`` that are the same scan; of rows with identical voxels, the first stands for all."""
    by_hash: dict[str, list[int]] = {}
    for place, value in enumerate(table["voxel_hash"]):
        by_hash.setdefault(value, []).append(place)
    pairs = [Pair(places[0], place, "exact", 1.0) for places in by_hash.values() for place in places[1:]]
    firsts = sorted(places[0] for places in by_hash.values())  # identical voxels have identical pictures
    texts = [table["fingerprint"].iloc[place] for place in firsts]
    near = set()
    pictures = [picture(text) for text in texts]
    for one, other in _candidates(pictures):
        correlation = max(correlations(pictures[one], pictures[other]))
        if correlation >= ALIKE:
            near.add((one, other))
            pairs.append(Pair(firsts[one], firsts[other], "near", correlation))
    for one, other, correlation in find_parts([landmarks(text) for text in texts]):
        if (one, other) not in near:
            pairs.append(Pair(firsts[one], firsts[other], "part", correlation))
    return sorted(pairs)


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


def connect(count: int, pairs: Iterable[Sequence]) -> list[int]:
    """Connected components of ``count`` nodes: for each node the least node of its component."""
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other, *_ in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [root(node) for node in range(count)]
