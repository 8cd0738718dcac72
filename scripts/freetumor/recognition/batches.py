"""The patches that an arm trains on: real ones, and painted ones in the arm's share of each batch.

Arms differ in one thing: the real patches of a slot, the canvases, the initial weights and the number of steps are those of
every other arm with the same fold and seed.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from freetumor.core.config import Arm, Config
from freetumor.core.labels import tumor_code
from freetumor.core.seeding import generator
from freetumor.synthesis.bank import Lesion, accepted_rows, apply_lesion, crop_lesion, read_lesion
from freetumor.synthesizer.cases import Case, Patch, training_patch
from freetumor.synthesizer.tumor import Request, TumorSynthesizer

from .augmentation import StandardAugmentation, cut_and_join


class OnlineLesions:
    """Paints while training.

    Args:
        synthesizer: paints.
        canvases: cases to paint on.
        config: the study.
        device: where the networks of the synthesizer are, if it has some.

    Attributes:
        elsewhere: whether other processes can paint; networks on a GPU stay with the process that put them there.
    """

    def __init__(self, synthesizer: TumorSynthesizer, canvases: Sequence[Case], config: Config, device: torch.device) -> None:
        self.synthesizer, self.config = synthesizer, config
        self.canvases = [case for case in canvases if case.organs]
        settings = synthesizer.settings
        self.elsewhere = device.type == "cpu" or not (settings.trained or settings.judged)

    def sample(self, canvas: np.random.Generator, lesion: np.random.Generator) -> Patch:
        """A patch with a painted lesion in its middle half; an organ as it is if the synthesizer refused."""
        size, spread = self.config.working.patch, canvas.random(3)
        case, organ, center = _healthy_site(self.canvases, canvas)
        request = Request(self.config.organs.index(organ), canvas, lesion)
        made = self.synthesizer.make_many(case, [request])[0]
        if not made.accepted:
            return case.patch(_corner(center, size, spread), size)
        item = crop_lesion(made.canvas.image, made.image, made.lesion, made.canvas.corner)
        return show_lesion(case, item, request.plan.center, size, spread, request.organ)


class BankLesions:
    """Takes lesions from the bank and applies them to their parents.

    If the gate accepted none, patches show organs as they are, as they do when a lesion is refused while training; the log
    says so.

    Args:
        manifest: the bank.
        canvases: parents that may be trained on.
        config: the study.
        variants: use only draws below this number; None for all.
    """

    elsewhere = True

    def __init__(self, manifest: Path, canvases: Sequence[Case], config: Config, variants: int | None = None) -> None:
        self.manifest, self.config = manifest, config
        self.canvases = {case.case_id: case for case in canvases}
        rows = accepted_rows(manifest, canvases)
        self.rows = rows if variants is None else rows[rows["draw"] < variants].reset_index(drop=True)
        if not len(self.rows):
            print(f"WARNING: {manifest}: no lesion was accepted; organs are shown as they are", file=sys.stderr, flush=True)

    def sample(self, canvas: np.random.Generator, lesion: np.random.Generator) -> Patch:
        """A patch of a parent with a lesion of the bank in its middle half, if there is one."""
        size, spread = self.config.working.patch, canvas.random(3)
        if not len(self.rows):
            case, _, center = _healthy_site([case for case in self.canvases.values() if case.organs], canvas)
            return case.patch(_corner(center, size, spread), size)
        row = self.rows.iloc[int(canvas.integers(len(self.rows)))]
        item = read_lesion(self.manifest, row)
        center = np.rint(json.loads(row["center"])).astype(int)
        return show_lesion(self.canvases[row["case_id"]], item, center, size, spread, self.config.organs.index(row["organ"]))


def show_lesion(
    case: Case, lesion: Lesion, center: Sequence[int], size: tuple[int, int, int], spread: np.ndarray, organ: int
) -> Patch:
    """The patch of a parent that holds ``center`` in its middle half, with a lesion applied.

    Args:
        case: the parent.
        lesion: the lesion.
        center: a voxel of the stored volume.
        size: voxels of the patch.
        spread: three numbers in [0, 1): where in the middle half.
        organ: position of the organ in the study's list.
    """
    patch = case.patch(_corner(center, size, spread), size)
    apply_lesion(lesion, patch.image, patch.label, tumor_code(organ), patch.corner)
    return patch


def _healthy_site(canvases: Sequence[Case], rng: np.random.Generator) -> tuple[Case, str, np.ndarray]:
    """A case, one of its organs, and a voxel of it."""
    case = canvases[rng.integers(len(canvases))]
    organ = case.organs[rng.integers(len(case.organs))]
    return case, organ, case.random_site(organ, rng)


def _corner(center: Sequence[int], size: Sequence[int], spread: np.ndarray) -> tuple[int, int, int]:
    inner = zip(center, size, spread, strict=True)
    return tuple(int(c) - length // 4 - int(share * (length - 2 * (length // 4))) for c, length, share in inner)


class ArmBatches:
    """Batches of an arm.

    Args:
        arm: the arm.
        config: the study.
        labeled: labeled training cases.
        lesions: where painted patches come from; None for an arm of real images only.
        batch: patches per step.
        key: seed key of the training; the same for all arms.

    Attributes:
        elsewhere: whether other processes can sample.
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
        self.elsewhere = lesions is None or lesions.elsewhere
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
