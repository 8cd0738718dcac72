"""Judging a lesion among its likes: its rank among lesions of like size in the same organ.

A network that knows few small tumors scores every small lesion low, real ones too. A threshold on the score then keeps large
lesions, which says nothing about how well they are painted. A rank does not depend on how lesions of a size score as such.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .cases import Case, lesion_in
from .synthetic import Index, Painted

AROUND_MM = 8.0


@dataclass(frozen=True)
class Reference:
    """Lesions to rank others among.

    Attributes:
        organ: position of each lesion's organ in the study's list, int (n,).
        diameter_mm: diameter of the ball of equal volume, float (n,).
        scores: raw scores by name, float (n,) each.
        likeness: standard deviation of the kernel, in natural logarithms of the diameter.
    """

    organ: np.ndarray
    diameter_mm: np.ndarray
    scores: Mapping[str, np.ndarray]
    likeness: float

    def rank(self, name: str, organ: int, diameter_mm: float, score: float) -> float:
        """Share of like lesions that score no better, the lesion itself included.

        With weights ``w_i = exp(-(ln(d / d_i) / likeness)^2 / 2)`` of the same organ's lesions, and 1 for the lesion itself::

            rank = (1 + sum_i w_i [s_i <= s]) / (1 + sum_i w_i)

        If the lesion is exchangeable with those of its size, a gate that asks for a rank above q refuses it with a probability
        of about q, whatever its size. Ties count in its favor: where the network finds none, none is refused; and without
        likes the rank is 1.

        Args:
            name: of the score.
            organ: position of the organ.
            diameter_mm: of the lesion.
            score: of the lesion; NaN gives NaN.

        Reference:
            A conformal p-value (Vovk et al. 2005), localized by a kernel (Guan 2023).
        """
        if np.isnan(score):
            return float("nan")
        weights, scores = self._likes(name, organ, diameter_mm)
        return float((1 + weights[scores <= score].sum()) / (1 + weights.sum()))

    def threshold(self, name: str, organ: int, diameter_mm: float, least: float) -> float:
        """The score that a lesion needs for a rank of ``least``; 0 if every score will do."""
        weights, scores = self._likes(name, organ, diameter_mm)
        order = np.argsort(scores, kind="stable")
        below = np.cumsum(weights[order])
        needed = least * (1 + weights.sum()) - 1
        if needed <= 0 or not len(scores):
            return 0.0
        return float(scores[order[min(int(np.searchsorted(below, needed * (1 - 1e-12))), len(order) - 1)]])

    def _likes(self, name: str, organ: int, diameter_mm: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights and scores of the organ's lesions."""
        scores = self.scores.get(name, np.full(len(self.organ), np.nan))
        known = (self.organ == organ) & ~np.isnan(scores)
        distance = np.log(self.diameter_mm[known] / diameter_mm) / self.likeness
        return np.exp(-0.5 * distance**2), scores[known]


def calibrate(measured: Sequence[Mapping[str, float]], likeness: float) -> Reference:
    """The reference that measured lesions make.

    Args:
        measured: per lesion ``organ``, ``diameter_mm`` and raw scores, as :meth:`ComposedGate.measure` gives them.
        likeness: relative difference in diameter at which a lesion counts ``exp(-1/2)`` of a like one.
    """
    names = sorted({name for row in measured for name in row} - {"organ", "diameter_mm"})
    columns = {name: np.array([row.get(name, np.nan) for row in measured], float) for name in names}
    organ = np.array([row["organ"] for row in measured], int)
    return Reference(organ, np.array([row["diameter_mm"] for row in measured], float), columns, likeness)


def real_lesions(cases: Sequence[Case], organs: Sequence[str], window: Index | None = None) -> Iterator[Painted]:
    """Annotated lesions, each in the middle of a patch, as if they had been painted.

    Args:
        cases: labeled cases; a case whose tumors are hidden has none.
        organs: organs of the study, in order.
        window: voxels of a patch (z, y, x), for networks; of a larger lesion only the middle is seen. None: the lesion's box
            and 8 mm around it.
    """
    for case in cases:
        margin = np.ceil(AROUND_MM / np.array(case.spacing)).astype(int)
        for organ, name in enumerate(organs if not case.hide_tumors else ()):
            for box in case.lesions(name):
                low, high = box[::2], box[1::2]
                size = tuple((high - low + 2 * margin).tolist()) if window is None else window
                corner = tuple(int((a + b) // 2 - length // 2) for a, b, length in zip(low, high, size, strict=True))
                patch = case.patch(corner, size)
                lesion = lesion_in(patch, organ, box)
                if lesion.any():
                    yield Painted(patch, patch.image, lesion, organ, {"case_id": case.case_id})
