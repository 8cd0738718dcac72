"""Criteria of the composed gate: what is measured of a painted lesion, and whether that is enough.

A score that cannot be measured is NaN and refuses nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.special import softmax, stdtrit

from freetumor.core import config_gate as config
from freetumor.core.arrays import bounding_box
from freetumor.core.errors import UserError
from freetumor.core.labels import tumor_code

from .calibration import Reference
from .cases import organ_mask, tumor_mask
from .copies import copy_correlation
from .synthetic import Painted

REAL = 1  # class of the discriminator, as in adversarial training
NEIGHBORHOOD = 2  # voxels around the lesion's box in which a segmenter's false alarms count
RING_MM = 6.0  # healthy organ around the lesion's box that its contrast is measured against
LEAST_RING = 10  # voxels
LEAST_REAL = 3  # lesions, to tell how much their contrast varies
CHEAP, SEGMENTER, DISCRIMINATOR, SEARCH = range(4)  # stages, in the order of their cost


@dataclass(frozen=True)
class Evidence:
    """A painted patch and what a network says of it.

    Attributes:
        painted: the patch.
        logits: of the network of the stage, float (classes, z, y, x) in the neighborhood of the lesion; None without one.
    """

    painted: Painted
    logits: np.ndarray | None = None

    @cached_property
    def lesion(self) -> np.ndarray:
        """The lesion in its neighborhood."""
        return self.painted.lesion[neighborhood(self.painted.lesion)]

    @cached_property
    def found(self) -> np.ndarray:
        """Classes that the network finds in the neighborhood."""
        return self.logits.argmax(axis=0)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits."""
        return softmax(self.logits, axis=0)


class Criterion(Protocol):
    """A criterion. ``ranked`` names the raw score that it ranks among other lesions, if it does."""

    name: str
    stage: int
    ranked: str

    def measure(self, evidence: Evidence) -> dict[str, float]:
        """All scores."""
        ...

    def passes(self, scores: Mapping[str, float], organ: int) -> bool:
        """Whether they suffice."""
        ...


@dataclass
class OverlapCriterion:
    """Real tumors are left alone."""

    settings: config.Overlap
    name, stage, ranked = "overlap", CHEAP, ""

    def measure(self, evidence: Evidence) -> dict[str, float]:
        """Voxels of annotated tumors under the lesion."""
        painted = evidence.painted
        return {"overlap": float(np.count_nonzero(tumor_mask(painted.patch.label[painted.lesion])))}

    def passes(self, scores: Mapping[str, float], organ: int) -> bool:
        """At most so many."""
        return not scores["overlap"] > self.settings.most


@dataclass
class SizeCriterion:
    """A plausible size, and not the remainder of a lesion that the organ's border has cut off."""

    settings: config.LesionSize
    name, stage, ranked = "size", CHEAP, ""

    def measure(self, evidence: Evidence) -> dict[str, float]:
        """Diameter, and share of the planned volume."""
        volume, planned = volume_of(evidence.painted), planned_volume(evidence.painted.parameters)
        return {"diameter_mm": diameter_of(volume), "planned_share": volume / planned}

    def passes(self, scores: Mapping[str, float], organ: int) -> bool:
        """Within bounds, and enough of it."""
        low, high = self.settings.diameter
        return low <= scores["diameter_mm"] <= high and not scores["planned_share"] < self.settings.planned_share


@dataclass
class ContrastCriterion:
    """A plausible contrast; ``bounds`` by organ, in HU. An organ without bounds is not judged."""

    bounds: Mapping[int, tuple[float, float]]
    name, stage, ranked = "contrast", CHEAP, ""

    def measure(self, evidence: Evidence) -> dict[str, float]:
        """Contrast against the organ around."""
        return {"ring_contrast_hu": ring_contrast(evidence.painted)}

    def passes(self, scores: Mapping[str, float], organ: int) -> bool:
        """Within bounds."""
        low, high = self.bounds.get(organ, (-np.inf, np.inf))
        contrast = scores["ring_contrast_hu"]
        return not (contrast < low or contrast > high)


@dataclass
class AgreementCriterion:
    """The segmenter finds the lesion: by Dice, or by rank of the Dice of probabilities."""

    settings: config.Agreement
    reference: Reference | None = None
    name, stage, ranked = "agreement", SEGMENTER, "agreement"

    def measure(self, evidence: Evidence) -> dict[str, float]:
        """Dice, recall of any tumor class, Dice of probabilities and, if fair, its rank."""
        lesion, code = evidence.lesion, tumor_code(evidence.painted.organ)
        scores = {
            "dice": soft_dice(evidence.found == code, lesion),
            "recall": float(tumor_mask(evidence.found[lesion]).mean()),
            "agreement": soft_dice(evidence.probabilities[code], lesion),
        }
        return ranked_scores(self, scores, evidence.painted)

    def passes(self, scores: Mapping[str, float], organ: int) -> bool:
        """At least so much."""
        return not scores[self.main] < self.settings.least

    @property
    def main(self) -> str:
        """The score that decides."""
        return "dice" if self.settings.fair == "none" else "agreement_rank"


@dataclass
class OwnClassCriterion:
    """What the segmenter finds in the lesion are tumors of the right organ."""

    settings: config.OwnClass
    name, stage, ranked = "own_class", SEGMENTER, ""

    def measure(self, evidence: Evidence) -> dict[str, float]:
        """Share of the tumor voxels found in the lesion that are of its organ; NaN if none are found."""
        found = evidence.found[evidence.lesion]
        tumors = np.count_nonzero(tumor_mask(found))
        own = np.count_nonzero(found == tumor_code(evidence.painted.organ))
        return {"own_class": own / tumors if tumors else float("nan")}

    def passes(self, scores: Mapping[str, float], organ: int) -> bool:
        """At least so much."""
        return not scores["own_class"] < self.settings.least


@dataclass
class RealismCriterion:
    """The discriminator takes the lesion for real: by probability, or by its rank."""

    settings: config.Realism
    reference: Reference | None = None
    name, stage, ranked = "realism", DISCRIMINATOR, "realism"

    def measure(self, evidence: Evidence) -> dict[str, float]:
        """Mean probability of the class `real` over the lesion and, if fair, its rank."""
        scores = {"realism": float(evidence.probabilities[REAL][evidence.lesion].mean())}
        return ranked_scores(self, scores, evidence.painted)

    def passes(self, scores: Mapping[str, float], organ: int) -> bool:
        """At least so much."""
        return not scores["realism" if self.settings.fair == "none" else "realism_rank"] < self.settings.least


@dataclass
class CopyCriterion:
    """The lesion is no copy of a real one of the same organ."""

    settings: config.Copies
    real: Sequence[Painted]
    name, stage, ranked = "copies", SEARCH, ""
    originals: list[tuple[int, np.ndarray, np.ndarray]] = field(init=False)

    def __post_init__(self) -> None:
        boxes = [(item, bounding_box(item.lesion)) for item in self.real]
        self.originals = [(item.organ, item.image[box].copy(), item.lesion[box].copy()) for item, box in boxes]

    def measure(self, evidence: Evidence) -> dict[str, float]:
        """Greatest correlation with a real lesion; NaN if none is of comparable size."""
        painted = evidence.painted
        box = bounding_box(painted.lesion)
        found = [
            copy_correlation(painted.image[box], painted.lesion[box], image, lesion)
            for organ, image, lesion in self.originals
            if organ == painted.organ
        ]
        known = [value for value in found if not np.isnan(value)]
        return {"copy": max(known, default=float("nan"))}

    def passes(self, scores: Mapping[str, float], organ: int) -> bool:
        """At most so much."""
        return not scores["copy"] > self.settings.most


def waits(criterion: Criterion) -> bool:
    """Whether a fair criterion has not been told yet among which lesions to rank."""
    return bool(criterion.ranked) and criterion.settings.fair != "none" and criterion.reference is None


def ranked_scores(
    criterion: AgreementCriterion | RealismCriterion, scores: dict[str, float], painted: Painted
) -> dict[str, float]:
    """The scores and, of a fair criterion that has been calibrated, the rank of one of them and what it needed."""
    name, reference, settings = criterion.ranked, criterion.reference, criterion.settings
    if settings.fair == "none" or reference is None:
        return scores
    diameter = diameter_of(volume_of(painted))
    rank = reference.rank(name, painted.organ, diameter, scores[name])
    needed = reference.threshold(name, painted.organ, diameter, settings.least)
    return {**scores, f"{name}_rank": rank, f"{name}_needed": needed}


def neighborhood(lesion: np.ndarray, margin: int | Sequence[int] = NEIGHBORHOOD) -> tuple[slice, ...]:
    """The lesion's box, and ``margin`` voxels around it as far as the patch reaches."""
    margins = np.broadcast_to(margin, lesion.ndim)
    return tuple(slice(max(part.start - m, 0), part.stop + m) for part, m in zip(bounding_box(lesion), margins, strict=True))


def soft_dice(found: np.ndarray, lesion: np.ndarray) -> float:
    """``2 sum(p m) / (sum p + sum m)`` of probabilities or of a mask ``p`` with a lesion ``m``, not empty."""
    return float(2 * found[lesion].sum(dtype=float) / (found.sum(dtype=float) + lesion.sum()))


def volume_of(painted: Painted) -> float:
    """Volume of the lesion in mm³."""
    return float(np.count_nonzero(painted.lesion) * np.prod(painted.patch.spacing))


def diameter_of(volume: float) -> float:
    """Diameter in mm of the ball of a volume in mm³."""
    return (6 * volume / np.pi) ** (1 / 3)


def planned_volume(parameters: Mapping[str, object]) -> float:
    """Volume in mm³ that a shape set out to draw, from what it recorded; NaN if it did not."""
    if "axes_mm" in parameters:
        return float(4 / 3 * np.pi * np.prod(parameters["axes_mm"]))
    return float(4 / 3 * np.pi * parameters.get("radius_mm", np.nan) ** 3)


def ring_contrast(painted: Painted) -> float:
    """Mean HU of the lesion minus that of the healthy organ around it; NaN if fewer than ten voxels of it are near.

    The ring is the organ within 6 mm of the lesion's box, less the voxels that touch the lesion, which hold a part of it.
    It is read from the canvas, so a rim painted beyond the label does not count.
    """
    box = neighborhood(painted.lesion, [int(np.ceil(RING_MM / s)) for s in painted.patch.spacing])
    lesion = painted.lesion[box]
    ring = organ_mask(painted.patch.label[box], painted.organ) & ~binary_dilation(lesion, np.ones((3, 3, 3)))
    if np.count_nonzero(ring) < LEAST_RING:
        return float("nan")
    return float(painted.image[box][lesion].mean(dtype=float) - painted.patch.image[box][ring].mean(dtype=float))


def contrast_bounds(real: Sequence[Painted], coverage: float) -> dict[int, tuple[float, float]]:
    """Intervals in HU that hold the contrast of one more real lesion with a probability of ``coverage``, by organ.

    ``mean +- t sd sqrt(1 + 1 / n)`` of n contrasts, taken as normal: few lesions give wide bounds, where their quantiles would
    be narrow ones. An organ with fewer than three lesions that can be measured has none.

    Reference:
        Whitmore 1986, prediction limits for a univariate normal observation.
    """
    contrasts: dict[int, list[float]] = {}
    for item in real:
        contrasts.setdefault(item.organ, []).append(ring_contrast(item))
    bounds = {}
    for organ, values in sorted(contrasts.items()):
        known = np.array(values)[~np.isnan(values)]
        if (n := len(known)) >= LEAST_REAL:
            half = stdtrit(n - 1, (1 + coverage) / 2) * known.std(ddof=1) * np.sqrt(1 + 1 / n)
            bounds[organ] = (float(known.mean() - half), float(known.mean() + half))
    return bounds


def _contrast(settings: config.Contrast, organs: Sequence[str], real: Sequence[Painted]) -> ContrastCriterion:
    for organ in settings.bounds:
        if organ not in organs:
            raise UserError(f"gate.contrast.bounds: '{organ}' is no organ of the study ({', '.join(organs)})")
    named = {organs.index(organ): bounds for organ, bounds in settings.bounds.items()}
    return ContrastCriterion(contrast_bounds(real, settings.coverage) | named)


_BUILDERS = {
    "overlap": lambda settings, organs, real: OverlapCriterion(settings),
    "size": lambda settings, organs, real: SizeCriterion(settings),
    "contrast": _contrast,
    "agreement": lambda settings, organs, real: AgreementCriterion(settings),
    "own_class": lambda settings, organs, real: OwnClassCriterion(settings),
    "realism": lambda settings, organs, real: RealismCriterion(settings),
    "copies": lambda settings, organs, real: CopyCriterion(settings, real),
}


def build_criteria(settings: config.Gate, organs: Sequence[str], real: Sequence[Painted]) -> list[Criterion]:
    """The criteria that are on, cheap ones first.

    Args:
        settings: of the gate.
        organs: organs of the study, in order.
        real: lesions of the training cases, for bounds of the contrast and against copies.

    Raises:
        UserError: if bounds name an organ that the study does not have.
    """
    criteria = [_BUILDERS[name](getattr(settings, name), organs, real) for name in settings.criteria]
    return sorted(criteria, key=lambda criterion: criterion.stage)
