"""What the parts of a synthesizer hand to each other: plan, mask, brush, painted patch, verdict, and what became of a draw."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cases import Case, Patch
    from .placement import Box

ACCEPTED, REFUSED, NO_PLACE, EMPTY = "accepted", "refused", "no_place", "empty"
OUTCOMES = (ACCEPTED, REFUSED, NO_PLACE, EMPTY)

Index = tuple[int, int, int]


@dataclass(frozen=True)
class Plan:
    """Where a lesion goes and what it will be, decided from a case's table of sites before any voxel is read.

    Attributes:
        organ: position of the organ in the study's list.
        center: voxel of the stored volume, inside the organ.
        reach: mm; nothing of the lesion, its soft rim included, lies farther from the center along an axis.
        deepest: mm; the greatest distance of any voxel of the organ from the organ's border.
        choice: what was drawn, such as the size class; part of the record.
    """

    organ: int
    center: Index
    reach: float
    deepest: float
    choice: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Donor:
    """A real lesion in the frame of the patch it is transplanted to."""

    image: np.ndarray  # int16 HU, the shape of the patch
    case_id: str


@dataclass(frozen=True)
class Mask:
    """A simulated lesion mask and how it was drawn.

    Attributes:
        array: bool (z, y, x), inside the organ.
        parameters: what was drawn, for the record.
        donor: a real lesion, if the mask is one.
        density: float32 (z, y, x) in [0, 1], how full of tumor each voxel is, if the shape knows (automaton); else 0.
        core: bool (z, y, x), the necrotic part of ``array``, if the shape knows.
    """

    array: np.ndarray
    parameters: dict = field(default_factory=dict)
    donor: Donor | None = None
    density: np.ndarray | None = None
    core: np.ndarray | None = None


@dataclass(frozen=True)
class Brush:
    """All that a painter needs for one lesion.

    Attributes:
        patch: the canvas.
        organ: position of the organ in the study's list.
        mask: the lesion mask.
        alpha: blend weight of the mask, float32 (z, y, x); zero outside the organ.
        rng: source of randomness, of this lesion alone.
    """

    patch: "Patch"
    organ: int
    mask: Mask
    alpha: np.ndarray
    rng: np.random.Generator


@dataclass(frozen=True)
class Painted:
    """A painted patch on its way to the gate.

    Attributes:
        patch: the canvas as it was.
        image: int16 HU (z, y, x) after painting.
        lesion: bool (z, y, x), the label of the lesion, not empty.
        organ: position of the organ in the study's list.
        parameters: what was drawn.
    """

    patch: "Patch"
    image: np.ndarray
    lesion: np.ndarray
    organ: int
    parameters: dict


@dataclass(frozen=True)
class Verdict:
    """What a gate says of a painted patch.

    Attributes:
        accepted: keep it.
        score: the main score; NaN if the gate has none.
        scores: every score, by name; part of the record.
        reason: name of the first criterion that failed, or "".
    """

    accepted: bool
    score: float = float("nan")
    scores: dict[str, float] = field(default_factory=dict)
    reason: str = ""


class Shaping(Protocol):
    """A shape: plans a lesion in a case and draws its mask."""

    def choose(self, organ: int, rng: np.random.Generator) -> dict:
        """Choose what is kept when a refused lesion is drawn again, such as the size class."""
        ...

    def plan(
        self,
        case: "Case",
        organ: int,
        choice: dict,
        rng: np.random.Generator,
        taken: "Sequence[Plan]" = (),
        within: "Box | None" = None,
    ) -> Plan | None:
        """Choose a place in a case, away from lesions that are ``taken``; None if the organ offers none."""
        ...

    def draw(self, patch: "Patch", plan: Plan, rng: np.random.Generator) -> Mask | None:
        """Draw the mask in a patch around the planned center; None if nothing of it is inside the organ."""
        ...


class Painting(Protocol):
    """A painter: what fills a mask. ``local`` painters need no more of the canvas than the lesion's own box."""

    local: bool

    def render(self, brushes: "Sequence[Brush]") -> list[tuple[np.ndarray, dict]]:
        """Render lesions, each as if it were alone.

        Args:
            brushes: what to paint; all patches have the same shape unless the painter is ``local``.

        Returns:
            Per brush the rendered lesion in HU, float32 (z, y, x), and the parameters drawn.
        """
        ...


class Judging(Protocol):
    """A gate: keeps or refuses. ``local`` gates need no more of the canvas than the lesion's own box."""

    local: bool

    def judge(self, painted: "Sequence[Painted]") -> list[Verdict]:
        """Judge painted patches, each as if it were alone."""
        ...


@dataclass(frozen=True)
class SyntheticCase:
    """What became of a draw.

    Attributes:
        outcome: one of ``OUTCOMES``.
        organ: position in the organs of the study; of a whole image, in its categories.
        attempts: draws that were made.
        canvas: the patch painted on, as it was; None if no place was found.
        image: int16 HU (z, y, x), the patch after painting; None unless accepted.
        lesion: bool (z, y, x), the label; None unless accepted.
        contrast: mean change in HU over the lesion, also of a refused one; NaN if nothing was painted.
        verdict: what the gate said last.
        parameters: what was drawn.
    """

    outcome: str
    organ: int
    attempts: int
    canvas: "Patch | None" = None
    image: np.ndarray | None = None
    lesion: np.ndarray | None = None
    contrast: float = float("nan")
    verdict: Verdict = Verdict(True)
    parameters: dict = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Whether there is a lesion."""
        return self.outcome == ACCEPTED
