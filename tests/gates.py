"""Painted patches and judges made in code, for the tests of gates."""

import numpy as np
import torch

from freetumor.core.config import Synthesizer
from freetumor.core.seeding import generator
from freetumor.synthesizer.cases import Patch
from freetumor.synthesizer.gates import build_gate
from freetumor.synthesizer.synthetic import Painted

SHAPE, SPACING = (12, 12, 12), (2.0, 1.0, 1.5)
WINDOW, CPU = (-175.0, 250.0), torch.device("cpu")
ORGANS = ["liver", "kidney"]


def cube(a, b, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[a:b, a:b, a:b] = True
    return mask


LESION = cube(4, 8)


def painted(lesion=LESION, change=-50, organ=0, label=None, level=100, noise=0, seed=0, **parameters):
    """A lesion of constant change in an organ that fills the patch."""
    image = np.full(lesion.shape, level, np.int16)
    image += np.rint(noise * generator("noise", seed).normal(size=lesion.shape)).astype(np.int16)
    label = np.full(lesion.shape, 2 * organ + 1, np.uint8) if label is None else label
    result = np.where(lesion, image + np.int16(change), image).astype(np.int16)
    return Painted(Patch(image, label, (0, 0, 0), SPACING, "case", "patient", "source"), result, lesion, organ, parameters)


class Oracle(torch.nn.Module):
    """A segmenter that is sure of given classes and remembers what it saw."""

    def __init__(self, classes, number=5):
        super().__init__()
        self.classes, self.number, self.seen = np.asarray(classes), number, []

    def forward(self, x):
        self.seen.append(x)
        one_hot = 50 * np.eye(self.number, dtype=np.float32)[self.classes]
        return torch.from_numpy(one_hot.transpose(3, 0, 1, 2))[None].repeat(len(x), 1, 1, 1, 1)


class Eye(torch.nn.Module):
    """A segmenter to which darkness is tumor: logits grow with the distance below 100 HU."""

    def forward(self, x):
        hu = x * (WINDOW[1] - WINDOW[0]) + WINDOW[0]
        rest = torch.zeros_like(hu)
        return torch.cat([rest, rest, (60 - hu) / 10, rest, rest], dim=1)


def gate_of(segmenter=None, discriminator=None, real=(), painter="difference", defects=(), **criteria):
    settings = Synthesizer(
        painter={"kind": painter}, gate={"kind": "composed"} | criteria, defects=dict.fromkeys(defects, True)
    )
    return build_gate(settings, ORGANS, WINDOW, CPU, segmenter, discriminator, real)


def judge(gate, *items):
    verdicts = gate.judge(list(items))
    return verdicts[0] if len(items) == 1 else verdicts
