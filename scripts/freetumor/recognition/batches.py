"""The patches that an arm trains on: real ones, and painted ones in the arm's share of each batch.

Arms differ in one thing: the real patches of a slot, the canvases, the initial weights and the number of steps are those of
every other arm with the same fold and seed.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from freetumor.core.config import Arm, Config
from freetumor.core.errors import UserError
from freetumor.core.labels import tumor_code
from freetumor.core.seeding import generator
from freetumor.core.tables import MANIFEST, read_table
from freetumor.synthesis.bank import Lesion, apply_lesion, read_lesion
from freetumor.synthesizer.assembly import ACCEPTED, TumorSynthesizer
from freetumor.synthesizer.cases import Case, Patch, canvas_patch, training_patch

from .augmentation import StandardAugmentation, cut_and_join


class OnlineLesions:
    """Paints while training."""

    def __init__(self, synthesizer: TumorSynthesizer, canvases: Sequence[Case], config: Config) -> None:
        self.synthesizer, self.config = synthesizer, config
        self.canvases = [case for case in canvases if case.organs]

    def sample(self, canvas: np.random.Generator, lesion: np.random.Generator) -> Patch:
        """A painted patch; the canvas as it was if the synthesizer refused."""
        case = self.canvases[canvas.integers(len(self.canvases))]
        patch, organ = canvas_patch(case, self.config.working.patch, canvas)
        made = self.synthesizer.make(patch, self.config.organs.index(organ), lesion)
        return replace_pixels(patch, made.image, made.label)


class BankLesions:
    """Takes lesions from the bank and applies them to their parents."""

    def __init__(self, manifest: Path, canvases: Sequence[Case], config: Config) -> None:
        self.manifest, self.config = manifest, config
        self.canvases = {case.case_id: case for case in canvases}
        rows = read_table(manifest, MANIFEST)
        self.rows = rows[(rows["outcome"] == ACCEPTED) & rows["case_id"].isin(self.canvases)].reset_index(drop=True)
        self._lesions: dict[int, tuple[pd.Series, Lesion]] = {}
        if not len(self.rows):
            raise UserError(f"{manifest}: the bank holds no accepted lesion to train on")

    def sample(self, canvas: np.random.Generator, lesion: np.random.Generator) -> Patch:
        """A patch of a parent around a lesion of the bank."""
        index = int(canvas.integers(len(self.rows)))
        if index not in self._lesions:
            row = self.rows.iloc[index]
            self._lesions[index] = row, read_lesion(self.manifest, row)
        row, item = self._lesions[index]
        voxels = np.argwhere(item.label)
        center = voxels[lesion.integers(len(voxels))] + item.corner
        patch = self.canvases[row["case_id"]].patch_around(center, self.config.working.patch, lesion)
        code = tumor_code(self.config.organs.index(row["organ"]))
        apply_lesion(item, patch.image, patch.label, code, patch.corner)
        return patch


class ArmBatches:
    """Batches of an arm.

    Args:
        arm: the arm.
        config: the study.
        labeled: labeled training cases.
        lesions: where painted patches come from; None for an arm of real images only.
        batch: patches per step.
        key: seed key of the training; the same for all arms.
    """

    def __init__(
        self,
        arm: Arm,
        config: Config,
        labeled: Sequence[Case],
        lesions: OnlineLesions | BankLesions | None,
        batch: int,
        *key: str | int,
    ) -> None:
        self.arm, self.config, self.labeled, self.lesions, self.key = arm, config, labeled, lesions, key
        self.first_painted = batch - round(arm.synthetic_share * batch) if lesions is not None else batch
        self.augment = (
            StandardAugmentation(config.working.window, config.working.patch) if arm.augmentation == "standard" else None
        )

    def sample(self, step: int, slot: int) -> Patch:
        """Patch number ``slot`` of step ``step``: a pure function of both."""
        rng = generator(*self.key, "patch", step, slot)
        if slot >= self.first_painted:
            patch = self.lesions.sample(rng, generator(*self.key, "lesion", step, slot))
        else:
            patch = training_patch(self.labeled[rng.integers(len(self.labeled))], self.config.working.patch, rng)
        if self.augment is not None:
            patch = self.augment(patch, *self.key, "augmentation", step, slot)
        return patch

    def join(self, step: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cut-and-join of the batch, where the arm asks for it."""
        if self.arm.cutmix == "none":
            return images, labels
        return cut_and_join(images, labels, generator(*self.key, "cutmix", step), self.arm.cutmix == "independent_axes")


def replace_pixels(patch: Patch, image: np.ndarray, label: np.ndarray) -> Patch:
    """The same place with other pixels."""
    return Patch(image, label, patch.corner, patch.spacing, patch.case_id, patch.patient_id, patch.source)
