"""Supervised training of a segmentation network: the baseline segmenter, and the recognizers of all arms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from freetumor.core.config import Config, Training
from freetumor.core.device import Device
from freetumor.core.feed import Feed
from freetumor.core.labels import tumor_code
from freetumor.core.optimization import Supervised
from freetumor.core.seeding import generator

from .cases import Case, Patch, training_patch, tumor_mask
from .inference import predict_volume
from .painters import window_image


class Batches(Protocol):
    """Where the patches of a training come from.

    Attributes:
        elsewhere: whether other processes can sample.
    """

    elsewhere: bool

    def sample(self, step: int, slot: int) -> Patch:
        """Patch number ``slot`` of step ``step``: a pure function of both."""
        ...

    def join(self, step: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """A last change to the batch as a whole, images (batch, 1, z, y, x) and labels (batch, z, y, x)."""
        ...


class RealBatches:
    """Patches of real labeled cases, without augmentation.

    Args:
        cases: labeled training cases.
        size: voxels of a patch.
        key: seed key of the training.
    """

    elsewhere = True

    def __init__(self, cases: Sequence[Case], size: tuple[int, int, int], *key: str | int) -> None:
        self.cases, self.size, self.key = cases, size, key

    def sample(self, step: int, slot: int) -> Patch:
        """A patch of a random case."""
        rng = generator(*self.key, "patch", step, slot)
        return training_patch(self.cases[rng.integers(len(self.cases))], self.size, rng)

    def join(self, step: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Nothing to change."""
        return images, labels


@dataclass(frozen=True)
class Views:
    """What a process sees of each batch.

    Attributes:
        batches: where patches come from.
        window: HU interval of 0 to 1.
        slots: the slots of a batch that the process computes.
    """

    batches: Batches
    window: tuple[float, float]
    slots: range

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Images float32 (slots, 1, z, y, x) and labels uint8 (slots, z, y, x) of a step."""
        patches = [self.batches.sample(step, slot) for slot in self.slots]
        images = np.stack([window_image(patch.image, self.window) for patch in patches])[:, None]
        return images, np.stack([patch.label for patch in patches])


class SegmentationTraining(Supervised):
    """Trains a segmentation network with Dice and cross-entropy.

    Args:
        network: the network.
        settings: steps, batch, learning rate.
        batches: where patches come from.
        validation: labeled cases on which the checkpoint is chosen.
        config: the study.
        device: where to compute.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: Training,
        batches: Batches,
        validation: Sequence[Case],
        config: Config,
        device: Device,
    ) -> None:
        from monai.losses.dice import DiceLoss

        super().__init__(network, settings, device)
        self.batches, self.validation = batches, validation
        self.config, self.window, self.patch = config, config.working.window, config.working.patch
        workers = config.compute.loader_workers if batches.elsewhere else 0
        self.feed = Feed(Views(batches, self.window, device.mine(settings.batch)), settings.steps, workers)
        # Dice over the batch: most patches lack most classes, and the Dice of an absent class is noise.
        self.dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

    def step(self, step: int) -> dict[str, float]:
        """One optimizer step."""
        self.network.train()
        images, labels = map(torch.from_numpy, self.feed.take(step))
        whole = (self.device.gather(part.to(self.device.torch)) for part in (images, labels.long()))
        images, labels = self.batches.join(step, *whole)  # a patch may meet any other of the batch
        parts = self.settings.accumulate
        losses = (self._loss(images[part::parts], labels[part::parts]) for part in range(parts))
        return {"loss": self.descend(step, losses, parts)}

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch, of which this process computes its slots."""
        mine = self.device.mine(len(images))
        with self.device.autocast():
            logits = self.network(images[mine.start :: mine.step])
        logits = self.device.gather(logits.float())
        return self.dice(logits, labels[:, None]) + mean_cross_entropy(logits, labels)

    def validate(self, step: int) -> dict[str, float]:
        """Mean tumor Dice over the validation cases; keep the weights if they are the ones to keep."""
        self.network.eval()
        scores = [self._tumor_dice(case) for case in self.validation]
        known = [score for score in scores if not np.isnan(score)]
        score = float(np.mean(known)) if known else 0.0
        self.keep(score)
        return {"validation_dice": score}

    def _tumor_dice(self, case: Case) -> float:
        probabilities = predict_volume(self.network, case.image[...], self.window, self.patch, 0.0, self.device)
        found, reference = probabilities.argmax(axis=0), case.read_label()
        per_class = []
        for index in range(len(self.config.organs)):
            a, b = found == tumor_code(index), tumor_mask(reference, index)
            if b.any():
                per_class.append(2 * float((a & b).sum()) / float(a.sum() + b.sum()))
        return float(np.mean(per_class)) if per_class else float("nan")


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over all voxels of the cross-entropy of logits (batch, classes, z, y, x) with labels (batch, z, y, x).

    torch's own mean has no deterministic kernel on a GPU: there the losses of the voxels are averaged, which gives the same
    gradient, and the same loss but for rounding.
    """
    if logits.device.type == "cpu":
        return cross_entropy(logits, labels)
    return cross_entropy(logits, labels, reduction="none").mean()
