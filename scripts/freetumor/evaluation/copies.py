"""Lesions beside the real ones of their fold: how near they are in features, and whether they have the texture of one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from freetumor.core.errors import UserError
from freetumor.core.tables import make_table, read_table
from freetumor.preprocessing.store import read_array

from .aligned import SIDE, alignment, threshold
from .lesion_crops import HELD_OUT, PAINTED, PLANTED, TRAINING, read_measured
from .lesion_features import OWN_FEATURES
from .realism_tables import PRIVACY_DISTANCES
from .two_samples import standardized


@dataclass(frozen=True)
class Lesions:
    """Measured lesions.

    Attributes:
        table: rows of ``lesion_crops.MEASURED``.
        cubes: their thumbnails (n, 12, 12, 12), see ``aligned``.
    """

    table: pd.DataFrame
    cubes: np.ndarray

    def where(self, chosen: pd.Series) -> "Lesions":
        """Those marked in ``chosen`` (n,)."""
        chosen = chosen.to_numpy(bool)
        return Lesions(self.table[chosen], self.cubes[chosen])

    @property
    def features(self) -> np.ndarray:
        """What a transplant keeps of each (n, 6)."""
        return self.table[list(OWN_FEATURES)].to_numpy(float)

    @property
    def patients(self) -> np.ndarray:
        """Patient of each; of a planted copy none, lest its original be left out as a lesion of its own patient."""
        return np.where(self.table["kind"] == PLANTED, "", self.table["patient_id"]).astype(str)

    @property
    def by_fold(self) -> "Iterator[tuple[int, Lesions]]":
        """Numbers of folds, and the lesions of each."""
        for number in sorted(set(self.table["fold"])):
            yield int(number), self.where(self.table["fold"] == number)


@dataclass(frozen=True)
class Known:
    """The real lesions of a fold, and which of them were learned from."""

    real: Lesions

    @cached_property
    def training(self) -> np.ndarray:
        """Bool, of each real lesion."""
        return (self.real.table["part"] == TRAINING).to_numpy()

    def suffices(self, least: int) -> bool:
        """Whether there are ``least`` lesions that were learned from, and as many that were not."""
        return min(self.training.sum(), (~self.training).sum()) >= least

    def distances(self, lesions: Lesions) -> np.ndarray:
        """Of features of lesions (n) to all real ones (m); infinite between lesions of one patient."""
        own = self.real.features
        found = cdist(standardized(lesions.features, own), standardized(own, own))
        return np.where(lesions.patients[:, None] == self.real.patients, np.inf, found)


@dataclass(frozen=True)
class Compared:
    """Lesions of a fold beside all real ones of it: distances of features, correlations of textures, each (n, m)."""

    lesions: Lesions
    known: Known
    distance: np.ndarray
    correlation: np.ndarray
    outstanding: np.ndarray

    def rows(self, kind: str) -> list[dict]:
        """Rows of ``realism_tables.PRIVACY_DISTANCES``."""
        training, limit = self.known.training, threshold(int(self.known.training.sum()))
        suspects = np.nan_to_num(self.outstanding[:, training], nan=-np.inf)
        best = suspects.argmax(axis=1)
        place = np.arange(len(best)), best
        unseen = _least(self.distance[:, ~training])
        numbers = {
            "distance": _least(self.distance[:, training]),
            "held_out_distance": unseen if kind == PAINTED else np.full(len(best), np.nan),
            "nearest": self.known.real.table["lesion_id"].to_numpy(str)[training][best],
            "correlation": self.correlation[:, training][place],
            "outstanding": self.outstanding[:, training][place],
            "limit": np.full(len(best), limit),
            "copy": suspects[place] > limit,
        }
        names = ["synthesizer", "organ", "fold", "case_id", "patient_id", "lesion_id"]
        return self.lesions.table[names].assign(kind=kind, **numbers).to_dict("records")


def read_lesions(measured: Sequence[Path], thumbnails: Sequence[Path]) -> Lesions:
    """Measured lesions and thumbnails of all folds, in a fixed order.

    Raises:
        UserError: if a file is missing or damaged, if a table and its array do not fit, or if no table holds a lesion.
    """
    table, arrays = read_measured(measured), [read_array(path) for path in thumbnails]
    for path, array, own in zip(thumbnails, arrays, measured, strict=True):
        count = len(read_table(own))
        if array.shape != (count, *(SIDE,) * 3):
            raise UserError(f"{path}: expected thumbnails of the {count} lesions in {own}; measure the lesions again")
    return Lesions(table.reset_index(drop=True), np.concatenate(arrays)[table.index].astype(np.float32))


def compare_lesions(lesions: Lesions, folds: dict[int, Known]) -> list[Compared]:
    """Lesions beside the real ones of their own folds; folds that are not in ``folds`` are left out."""
    return [
        Compared(mine, folds[number], folds[number].distances(mine), *alignment(mine.cubes, folds[number].real.cubes))
        for number, mine in lesions.by_fold
        if number in folds
    ]


def distance_table(compared: Sequence[Compared], kind: str) -> pd.DataFrame:
    """Lines of ``realism_tables.PRIVACY_DISTANCES`` of all folds."""
    return make_table([row for part in compared for row in part.rows(kind)], PRIVACY_DISTANCES)


def held_out(lesions: Lesions) -> Lesions:
    """Real lesions that were not learned from."""
    return lesions.where(lesions.table["part"] == HELD_OUT)


def _least(distances: np.ndarray) -> np.ndarray:
    """Least distance of each row; NaN where all are infinite."""
    least = distances.min(axis=1, initial=np.inf)
    return np.where(np.isfinite(least), least, np.nan)
