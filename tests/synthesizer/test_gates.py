"""Gates keep what the segmenter finds: overlap of the right class, or, as published, recall of any tumor."""

import numpy as np
import pytest
import torch

from freetumor.core.config import Gate
from freetumor.synthesizer.gates import OpenGate, SegmenterGate, gate_score

SHAPE = (12, 12, 12)
WINDOW = (-175.0, 250.0)


def cube(a, b):
    mask = np.zeros(SHAPE, bool)
    mask[a:b, a:b, a:b] = True
    return mask


LESION = cube(4, 8)


@pytest.mark.parametrize(
    ("found", "dice", "recall"),
    [
        (2 * LESION, 1, 1),
        (0 * LESION, 0, 0),
        (4 * LESION, 0, 1),  # found as a tumor of the other organ
        (1 * LESION, 0, 0),  # found as healthy organ
        (2 * (LESION & (np.arange(12) < 6)), 2 * 32 / (32 + 64), 0.5),  # one half of it
        (2 * cube(3, 9), 2 * 64 / (64 + 216), 1),  # one voxel too much on all sides
        (2 * cube(0, 12), 2 * 64 / (64 + 512), 1),  # everything: two voxels around the lesion's box count
        (2 * (LESION | cube(0, 2)), 1, 1),  # another lesion far away does not count against it
    ],
    ids=["exact", "missed", "wrong class", "organ", "half", "too large", "everything", "another"],
)
def test_scores_have_their_closed_forms(found, dice, recall):
    assert gate_score(found.astype(np.uint8), LESION, 0, recall_only=False) == pytest.approx(dice)
    assert gate_score(found.astype(np.uint8), LESION, 0, recall_only=True) == pytest.approx(recall)


class Oracle(torch.nn.Module):
    """A segmenter that answers with given classes and remembers what it saw."""

    def __init__(self, classes):
        super().__init__()
        self.classes, self.seen = classes, None

    def forward(self, x):
        self.seen = x
        one_hot = np.eye(5, dtype=np.float32)[self.classes]
        return torch.from_numpy(one_hot.transpose(3, 0, 1, 2))[None]


@pytest.mark.parametrize(
    ("found", "corrected", "published"),
    [(2 * LESION, True, True), (2 * cube(0, 12), False, True), (4 * LESION, False, True), (0 * LESION, False, False)],
    ids=["exact", "over-segmented", "wrong class", "missed"],
)
def test_the_published_gate_accepts_what_the_corrected_one_refuses(found, corrected, published):
    """Defect `recall_gate`: recall of any tumor class lets over-segmented lesions and those of another organ pass."""
    image = np.zeros(SHAPE, np.int16)
    for recall_only, expected in ((False, corrected), (True, published)):
        gate = SegmenterGate(Oracle(found), Gate(kind="segmenter"), WINDOW, torch.device("cpu"), recall_only)
        assert (gate.score(image, LESION, 0) >= gate.threshold) == expected


def test_thresholds_are_the_set_and_the_published_one():
    gates = [SegmenterGate(Oracle(0), Gate(threshold=0.4), WINDOW, torch.device("cpu"), recall) for recall in (False, True)]
    assert [gate.threshold for gate in gates] == [0.4, 0.7]


def test_the_segmenter_sees_the_windowed_image():
    oracle = Oracle(LESION * 2)
    image = np.full(SHAPE, -1024, np.int16)
    image[0, 0, :3] = (-175, 250, 3000)
    image[0, 0, 3] = round(-175 + 0.2 * 425)
    SegmenterGate(oracle, Gate(), WINDOW, torch.device("cpu"), False).score(image, LESION, 0)
    assert oracle.seen[0, 0, 0, 0, :5].tolist() == pytest.approx([0, 1, 1, 0.2, 0])


def test_an_open_gate_keeps_everything():
    score = OpenGate().score(np.zeros(SHAPE, np.int16), LESION, 0)
    assert np.isnan(score)
    assert not score < OpenGate.threshold
