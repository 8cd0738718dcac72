"""Supervised training of a classifier of regions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from freetumor.core.config import Training
from freetumor.core.device import Device
from freetumor.core.epochs import batch_samples
from freetumor.core.optimization import Supervised, with_steps
from freetumor.core.seeding import derive_seed
from freetumor.synthesizer.networks import RoiCnn

from .arm import ArmJob
from .classifier import class_probabilities, classifier_network
from .samples import Samples, arm_samples, count_samples, part_samples


class ClassificationTraining(Supervised):
    """Trains a classifier with cross-entropy.

    Args:
        network: the classifier; the mean of the training set becomes part of it.
        settings: steps, batch, learning rate.
        samples: the training set.
        validation: regions on which accuracy is measured; may be empty.
        device: where to compute.
        key: seed key of the training; the same for all arms.
    """

    def __init__(
        self,
        network: RoiCnn,
        settings: Training,
        samples: Samples,
        validation: Samples,
        device: Device,
        *key: str | int,
    ) -> None:
        super().__init__(network, settings, device)
        self.samples, self.validation, self.key = samples, validation, key
        self.network.mean.fill_(float(samples.images.mean(dtype=np.float64)))

    def step(self, step: int) -> dict[str, float]:
        """One optimizer step."""
        self.network.train()
        chosen = batch_samples(self.key, step, self.settings.batch, len(self.samples.images))
        chosen = chosen[self.device.rank :: self.device.world]
        images = torch.from_numpy(self.samples.images[chosen])[:, None].to(self.device.torch)
        categories = torch.from_numpy(self.samples.categories[chosen]).to(self.device.torch)
        with self._draws_of(step), self.device.autocast():
            logits = self.network(images)
        loss = cross_entropy(logits.float(), categories)
        return {"loss": self.descend(step, [loss])}

    def validate(self, step: int) -> dict[str, float]:
        """Accuracy on the validation regions, not a number if there are none; keep the weights if they are the ones to keep."""
        self.network.eval()
        score = float("nan")
        if len(self.validation.images):
            found = class_probabilities(self.network, self.validation.images).argmax(axis=1)
            score = float((found == self.validation.categories).mean())
        self.keep(0.0 if np.isnan(score) else score)
        return {"validation_accuracy": score}

    @contextmanager
    def _draws_of(self, step: int) -> Iterator[None]:
        """Dropout draws from torch's global generators, so these are set to the step and put back."""
        devices = [self.device.torch] if self.device.torch.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(derive_seed(*self.key, "dropout", step, self.device.rank))
            yield


def plan_classification(job: ArmJob) -> tuple[Training, Callable[[Device], ClassificationTraining]]:
    """Steps of the training of an arm, and what makes it on a device."""
    settings = with_steps(job.config.recognition.training, count_samples(job))

    def build(device: Device) -> ClassificationTraining:
        network = classifier_network(job.config, derive_seed(*job.key, "weights"))
        samples = arm_samples(job, device.torch)
        validation = part_samples(job.table, job.config, "validation")
        return ClassificationTraining(network, settings, samples, validation, device, *job.key)

    return settings, build
