"""What the adversarial training paints on: patches with a simulated lesion, beside annotated tumors and in unannotated organs.

A canvas is a pure function of step and slot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from freetumor.core.config import Config, Synthesizer
from freetumor.core.labels import tumor_code
from freetumor.core.seeding import generator

from .assembly import build_shape
from .cases import Case, Patch, organ_mask, tumor_patch
from .compositor import soften
from .painters import window_image
from .placement import Box
from .synthetic import Mask
from .textures import make_texture


@dataclass(frozen=True)
class Canvas:
    """A batch to paint on, all tensors (batch, 1, z, y, x) but ``organs`` (batch,)."""

    image: Tensor  # windowed
    alpha: Tensor
    texture: Tensor
    fake: Tensor  # bool: voxels of the simulated lesion
    real: Tensor  # bool: voxels of annotated tumors of the organ
    label: Tensor  # study codes
    organs: Tensor

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray], device: torch.device) -> "Canvas":
        """A batch from arrays of the same names, on a device; ``organs`` stay where they are read."""
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return cls(**{name: tensor if name == "organs" else tensor.to(device) for name, tensor in tensors.items()})

    def parts(self, count: int) -> list["Canvas"]:
        """The batch in ``count`` parts, dealt out in turn."""
        values = vars(self)
        return [Canvas(**{name: value[part::count] for name, value in values.items()}) for part in range(count)]


class Canvases:
    """Makes the canvases of a training.

    Args:
        name: key of ``synthesizers``.
        fold: the fold, part of the seed key.
        config: the study.
        labeled: labeled training cases.
        pool: cases without tumor annotation.
        slots: the slots of a batch that are made.
    """

    def __init__(
        self, name: str, fold: int, config: Config, labeled: Sequence[Case], pool: Sequence[Case], slots: range
    ) -> None:
        self.config, self.slots = config, slots
        self.settings: Synthesizer = config.synthesizers[name]
        self.key = (config.seed, "synthesizer", name, fold)
        self.labeled, self.pool = [case for case in labeled if case.organs], [case for case in pool if case.organs]
        self.shape = build_shape(self.settings, config.organs, self.labeled)

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        """What :class:`Canvas` holds, for the canvases of a step."""
        samples = [self._sample(step, slot) for slot in self.slots]
        arrays = {name: np.stack([sample[name] for sample in samples])[:, None] for name in samples[0] if name != "organ"}
        return arrays | {"organs": np.array([sample["organ"] for sample in samples])}

    def _sample(self, step: int, slot: int) -> dict[str, Any]:
        """Canvas number ``slot`` of step ``step``: a pure function of both."""
        rng = generator(*self.key, "canvas", step, slot)
        if not self.pool or rng.random() < self.settings.painter.labeled_share:
            return self._beside_tumor(self.labeled[rng.integers(len(self.labeled))], rng)
        return self._in_pool(self.pool[rng.integers(len(self.pool))], rng)

    def _beside_tumor(self, case: Case, rng: np.random.Generator) -> dict[str, Any]:
        """A simulated lesion in the middle half of a patch around an annotated tumor; none if there is no place."""
        patch = tumor_patch(case, self.config.working.patch, rng)
        present = [index for index in range(len(self.config.organs)) if organ_mask(patch.label, index).any()]
        organ = present[rng.integers(len(present))] if present else 0
        sides = list(zip(patch.corner, patch.image.shape, strict=True))
        middle = Box(tuple(c + n // 4 for c, n in sides), tuple(c + n - n // 4 for c, n in sides))
        plan = self.shape.plan(case, organ, self.shape.choose(organ, rng), rng, within=middle)
        return self._simulate(patch, organ, None if plan is None else self.shape.draw(patch, plan, rng), rng)

    def _in_pool(self, case: Case, rng: np.random.Generator) -> dict[str, Any]:
        """A simulated lesion anywhere in an organ of a case, in the middle half of a patch."""
        organ = self.config.organs.index(case.organs[rng.integers(len(case.organs))])
        plan = self.shape.plan(case, organ, self.shape.choose(organ, rng), rng)
        center = case.random_site(self.config.organs[organ], rng) if plan is None else plan.center
        patch = case.patch_around(center, self.config.working.patch, rng)
        return self._simulate(patch, organ, None if plan is None else self.shape.draw(patch, plan, rng), rng)

    def _simulate(self, patch: Patch, organ: int, mask: Mask | None, rng: np.random.Generator) -> dict[str, Any]:
        lesion = np.zeros(patch.image.shape, bool) if mask is None else mask.array
        sigma = rng.uniform(*self.settings.compositor.blur)
        host = organ_mask(patch.label, organ)
        return {
            "image": window_image(patch.image, self.config.working.window),
            "alpha": soften(
                lesion, host, patch.spacing, sigma, self.settings.has("blurred_rim"), self.settings.compositor.border
            ),
            "texture": make_texture(self.settings.texture, patch.image.shape, patch.spacing, rng),
            "fake": lesion,
            "real": patch.label == tumor_code(organ),
            "label": patch.label,
            "organ": organ,
        }
