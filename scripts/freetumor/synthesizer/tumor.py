"""Painting a lesion into an organ: shape, painter, compositor and gate behind one call, ``make(case, organ, rng)``.

Lesions are planned on the case's table of sites, and then only the voxels around them are read: the lesion's own box where
painter and gate are local, one window of the preset around its center where a network has to see the surroundings. Never is a
volume read, or a window slid over one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from freetumor.core.arrays import bounding_box
from freetumor.core.config import Synthesizer

from .cases import Case, Patch, organ_mask
from .compositor import composite, soften
from .synthetic import (
    ACCEPTED,
    EMPTY,
    NO_PLACE,
    REFUSED,
    Brush,
    Index,
    Judging,
    Mask,
    Painted,
    Painting,
    Plan,
    Shaping,
    SyntheticCase,
    Verdict,
)

RIM_SIGMAS = 3.0  # standard deviations after which a blurred rim is taken to end


@dataclass
class Request:
    """A lesion to be made, and how far it has come.

    Attributes:
        organ: position of the organ in the study's list.
        canvas: source of randomness of size, place and mask. Synthesizers of the same shape that are given the same one draw
            the same mask at the same place.
        lesion: source of randomness of everything else.
        group: requests of the same group share a volume and never touch.
    """

    organ: int
    canvas: np.random.Generator
    lesion: np.random.Generator
    group: int = 0
    choice: dict | None = None
    plan: Plan | None = None
    result: SyntheticCase | None = None


@dataclass(frozen=True)
class Stroke:
    """One attempt: the patch, the mask and its blend weight."""

    request: Request
    patch: Patch
    mask: Mask
    alpha: np.ndarray
    facts: dict = field(default_factory=dict)


class TumorSynthesizer:
    """Paints lesions into organs.

    Args:
        settings: the combination of parts.
        window: voxels that a network sees, (z, y, x).
        shape: plans and draws masks.
        painter: renders.
        gate: keeps or refuses.
        spacing: mm per voxel (z, y, x) that its networks were trained at; None if it has none.
    """

    def __init__(
        self,
        settings: Synthesizer,
        window: Index,
        shape: Shaping,
        painter: Painting,
        gate: Judging,
        spacing: tuple[float, float, float] | None = None,
    ) -> None:
        self.settings, self.window, self.shape, self.painter, self.gate = settings, window, shape, painter, gate
        self.spacing = spacing
        self.local = painter.local and gate.local
        self.blurred_rim = settings.has("blurred_rim")
        self.attempts = 1 if settings.has("recall_gate") else settings.gate.attempts

    def make(self, case: Case, organ: int, rng: np.random.Generator) -> SyntheticCase:
        """Paint one lesion into organ number ``organ`` of ``case``; the result depends on the arguments alone."""
        return self.make_some(case, [organ], rng)[0]

    def make_some(self, case: Case, organs: Sequence[int], rng: np.random.Generator) -> list[SyntheticCase]:
        """Paint a lesion into each of ``organs`` of one volume; they never touch."""
        return self.make_many(case, [Request(organ, *rng.spawn(2)) for organ in organs])

    def make_many(self, case: Case, requests: Sequence[Request]) -> list[SyntheticCase]:
        """Paint lesions into a case; networks see them in batches.

        A refused lesion is drawn again in the size class first chosen: a gate that favors large lesions would otherwise turn
        small draws into large ones. Lesions of different groups do not know of each other.
        """
        for attempt in range(1, self.attempts + 1):
            pending = [request for request in requests if request.result is None or not request.result.accepted]
            for request in pending:
                self._plan(case, request, [other for other in requests if other is not request])
            strokes = [stroke for request in pending if (stroke := self._draw(case, request, attempt)) is not None]
            if not self.local:
                self._finish(strokes, attempt)
                continue
            for stroke in strokes:  # boxes of different shapes; nothing to batch
                self._finish([stroke], attempt)
        return [request.result for request in requests]

    def box(self, case: Case, plan: Plan) -> tuple[Index, Index]:
        """What has to be read of a case for a planned lesion: first voxel, and size."""
        if not self.local:
            return tuple(c - length // 2 for c, length in zip(plan.center, self.window, strict=True)), self.window
        half = [int(np.ceil(plan.reach / s)) for s in case.spacing]
        low = [max(c - h, 0) for c, h in zip(plan.center, half, strict=True)]
        high = [min(c + h + 1, n) for c, h, n in zip(plan.center, half, case.shape, strict=True)]
        return tuple(low), tuple(b - a for a, b in zip(low, high, strict=True))

    def _plan(self, case: Case, request: Request, others: Sequence[Request]) -> None:
        if request.choice is None:
            request.choice = self.shape.choose(request.organ, request.canvas)
        taken = [other.plan for other in others if other.group == request.group and other.plan is not None]
        request.plan = self.shape.plan(case, request.organ, request.choice, request.canvas, taken)

    def _draw(self, case: Case, request: Request, attempt: int) -> Stroke | None:
        """Read the patch and draw the mask; without a place the request has its result already."""
        plan, mask = request.plan, None
        if plan is not None:
            patch = case.patch(*self.box(case, plan))
            mask = self.shape.draw(patch, plan, request.canvas)
        if mask is None:
            request.plan = None
            request.result = SyntheticCase(NO_PLACE, request.organ, attempt, parameters=request.choice)
            return None
        if self.local:  # what was read is where the lesion might have reached; this is where it does
            patch, mask = tighten(patch, mask, RIM_SIGMAS * self.settings.compositor.blur[1] if self.blurred_rim else 0.0)
        sigma = request.canvas.uniform(*self.settings.compositor.blur)
        host = organ_mask(patch.label, request.organ)
        alpha = soften(mask.array, host, patch.spacing, sigma, self.blurred_rim, self.settings.compositor.border)
        return Stroke(request, patch, mask, alpha, {**mask.parameters, "blur_mm": round(sigma, 3)})

    def _finish(self, strokes: Sequence[Stroke], attempt: int) -> None:
        """Render, blend and judge what was drawn, and note what became of it."""
        brushes = [Brush(s.patch, s.request.organ, s.mask, s.alpha, s.request.lesion) for s in strokes]
        judged: list[tuple[Stroke, Painted]] = []
        for stroke, (rendered, drawn) in zip(strokes, self.painter.render(brushes), strict=True):
            painted = self._blend(stroke, rendered, stroke.facts | drawn)
            if painted.lesion.any():
                judged.append((stroke, painted))
            else:
                self._note(stroke.request, EMPTY, attempt, painted)
        verdicts = self.gate.judge([painted for _, painted in judged])
        for (stroke, painted), verdict in zip(judged, verdicts, strict=True):
            self._note(stroke.request, ACCEPTED if verdict.accepted else REFUSED, attempt, painted, verdict)

    def _blend(self, stroke: Stroke, rendered: np.ndarray, facts: dict) -> Painted:
        """Blend a rendered lesion into its patch."""
        patch, tolerance = stroke.patch, self.settings.compositor.tolerance
        result = composite(patch.image, rendered, stroke.alpha, stroke.mask.array, tolerance, self.blurred_rim)
        return Painted(patch, result.image, result.lesion, stroke.request.organ, facts)

    @staticmethod
    def _note(request: Request, outcome: str, attempt: int, painted: Painted, verdict: Verdict | None = None) -> None:
        change = painted.image[painted.lesion].astype(np.float64) - painted.patch.image[painted.lesion]
        kept = outcome == ACCEPTED
        request.result = SyntheticCase(
            outcome,
            request.organ,
            attempt,
            painted.patch,
            painted.image if kept else None,
            painted.lesion if kept else None,
            float(change.mean()) if len(change) else float("nan"),
            verdict or Verdict(False),
            painted.parameters,
        )


def tighten(patch: Patch, mask: Mask, rim: float) -> tuple[Patch, Mask]:
    """A patch and the mask drawn in it, both cut down to the mask's bounding box and ``rim`` mm, at least a voxel, around it.

    Without that voxel a blur would take the mask to go on beyond the box.
    """
    box = bounding_box(mask.array)
    margin = [max(int(np.ceil(rim / s)), 1) for s in patch.spacing]
    box = tuple(
        slice(max(side.start - m, 0), min(side.stop + m, n)) for side, m, n in zip(box, margin, mask.array.shape, strict=True)
    )
    corner = tuple(c + side.start for c, side in zip(patch.corner, box, strict=True))
    donor = None if mask.donor is None else replace(mask.donor, image=mask.donor.image[box])
    density, core = (None if array is None else array[box] for array in (mask.density, mask.core))
    cut = replace(patch, image=patch.image[box], label=patch.label[box], corner=corner)
    return cut, replace(mask, array=mask.array[box], donor=donor, density=density, core=core)
