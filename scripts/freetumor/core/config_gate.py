"""The gate in the configuration: what is kept of what was painted.

See ``config``, which re-exports it.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from .config_parts import Interval, Positive, Section, Share, Structure


class Overlap(Section):
    """Criterion: real tumors are left alone."""

    most: int = Field(0, ge=0, description="Most voxels of annotated tumors under the lesion.")


class LesionSize(Section):
    """Criterion: a plausible size."""

    diameter: Interval = Field((3.0, 150.0), description="Bounds of the diameter of the ball of equal volume in mm.")
    planned_share: Share = Field(
        0.3, description="Least share of the planned volume; less is a remainder that the organ's border has cut off."
    )


class Contrast(Section):
    """Criterion: a plausible contrast, the mean of the lesion minus the mean of the healthy organ around it."""

    bounds: dict[Structure, Interval] = Field(
        default_factory=dict,
        description="Per organ, in HU. An organ that is not named takes the prediction interval of its real training lesions.",
    )
    coverage: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="Chance that a further real lesion of an organ without `bounds` lies within its prediction interval.",
    )


class Agreement(Section):
    """Criterion: the frozen segmenter finds the lesion, as a tumor of this very organ."""

    least: Share = Field(0.5, description="Least Dice; if `fair`, the least share of like lesions that agree no better.")
    fair: Literal["none", "draws", "real"] = Field(
        "draws",
        description="`none`: the Dice is compared with `least`. A segmenter misses small lesions, so this keeps large ones. Otherwise a lesion is ranked, by the Dice of probabilities, among lesions of like size in the same organ: `draws`, of this synthesizer; `real`, of the validation cases, which takes some ten lesions of each size to refuse any.",
    )


class OwnClass(Section):
    """Criterion: what the segmenter finds there are tumors of the right organ."""

    least: Share = Field(0.5, description="Least share of the tumor voxels found in the lesion that are of its organ.")


class Realism(Section):
    """Criterion: the discriminator that taught the painter takes the lesion for real."""

    least: Share = Field(0.2, description="Least probability; if `fair`, as of the agreement.")
    fair: Literal["none", "draws", "real"] = Field("draws", description="As of the agreement.")


class Copies(Section):
    """Criterion: the lesion is no copy of a real training lesion."""

    most: float = Field(
        0.9, gt=0, le=1, description="Greatest correlation with a real lesion, at the shift where they correlate best."
    )


class Gate(Section):
    """What is kept of what was painted."""

    kind: Literal["none", "segmenter", "composed"] = Field(
        "none",
        description="`segmenter`: the frozen segmenter must find the lesion; `composed`: every criterion named below must hold.",
    )
    threshold: Share = Field(0.5, description="`segmenter`: least Dice.")
    attempts: int = Field(3, ge=1, description="Draws before a patch is given back unchanged (1 in the published code).")
    overlap: Overlap | None = Field(None, description="`composed`: real tumors are left alone. `{}` takes the defaults.")
    size: LesionSize | None = Field(None, description="`composed`: a plausible size.")
    contrast: Contrast | None = Field(None, description="`composed`: a plausible contrast.")
    agreement: Agreement | None = Field(None, description="`composed`: the segmenter finds it.")
    own_class: OwnClass | None = Field(None, description="`composed`: the segmenter takes it for a tumor of the right organ.")
    realism: Realism | None = Field(None, description="`composed`: the discriminator takes it for real.")
    copies: Copies | None = Field(None, description="`composed`: it is no copy.")
    reference_draws: int = Field(128, ge=1, description="`composed`, fair among draws: draws per organ to rank lesions among.")
    likeness: Positive = Field(
        0.15, description="`composed`, fair: relative difference in diameter at which a lesion counts 0.6 of a like one."
    )

    @model_validator(mode="after")
    def _criteria_fit_kind(self) -> "Gate":
        if self.kind == "composed" and not self.criteria:
            raise ValueError(f"kind 'composed' needs at least one criterion: {', '.join(CRITERIA)}")
        if self.kind == "segmenter" and self.criteria:
            raise ValueError(f"'{self.criteria[0]}' needs kind 'composed'")
        return self

    @property
    def criteria(self) -> list[str]:
        """Names of the criteria that are on."""
        return [name for name in CRITERIA if getattr(self, name) is not None]

    def asks(self, judge: Literal["segmenter", "discriminator"]) -> bool:
        """Whether a network must judge."""
        if self.kind == "segmenter":
            return judge == "segmenter"
        return self.kind == "composed" and not JUDGED_BY[judge].isdisjoint(self.criteria)

    def fair_among(self, lesions: Literal["draws", "real"]) -> bool:
        """Whether a criterion ranks lesions among draws, or among real ones."""
        ranked = [getattr(self, name) for name in ("agreement", "realism")]
        return self.kind == "composed" and any(item is not None and item.fair == lesions for item in ranked)

    def compares(self, organs: Sequence[str]) -> bool:
        """Whether a criterion needs the real lesions of the training cases."""
        bounded = self.contrast is None or set(organs) <= set(self.contrast.bounds)
        return self.kind == "composed" and (self.copies is not None or not bounded)

    @property
    def least_score(self) -> float | None:
        """The least main score, if the gate has one."""
        if self.kind == "segmenter":
            return self.threshold
        return self.agreement.least if self.kind == "composed" and self.agreement is not None else None


CRITERIA = ("overlap", "size", "contrast", "agreement", "own_class", "realism", "copies")  # in the order of judgement
JUDGED_BY = {"segmenter": {"agreement", "own_class"}, "discriminator": {"realism"}}
