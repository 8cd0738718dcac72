"""Gates keep what meets their criteria: each refuses what it should, alone or in company, and the fair one every size alike."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from freetumor.core.config import Gate, Synthesizer
from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.synthesizer.criteria import soft_dice
from freetumor.synthesizer.gates import ComposedGate, Judge, OpenGate, RecallGate, build_gate
from freetumor.synthesizer.networks import UNet3D
from tests.gates import CPU, LESION, ORGANS, SHAPE, WINDOW, Oracle, cube, gate_of, judge, painted

FOUND = [
    (2 * LESION, 1, 1),
    (0 * LESION, 0, 0),
    (4 * LESION, 0, 1),  # found as a tumor of the other organ
    (1 * LESION, 0, 0),  # found as healthy organ
    (2 * (LESION & (np.arange(12) < 6)), 2 * 32 / (32 + 64), 0.5),  # one half of it
    (2 * cube(3, 9), 2 * 64 / (64 + 216), 1),  # one voxel too much on all sides
    (2 * cube(0, 12), 2 * 64 / (64 + 512), 1),  # everything: two voxels around the lesion's box count
    (2 * (LESION | cube(0, 2)), 1, 1),  # another lesion far away does not count against it
]
NAMES = ["exact", "missed", "wrong class", "organ", "half", "too large", "everything", "another"]


@pytest.mark.parametrize(("found", "dice", "recall"), FOUND, ids=NAMES)
def test_scores_have_their_closed_forms(found, dice, recall):
    verdict = judge(gate_of(Oracle(found), agreement={"fair": "none", "least": 0.4}), painted())
    assert (verdict.score, verdict.scores["dice"]) == pytest.approx((dice, dice), abs=1e-6)
    assert verdict.scores["recall"] == pytest.approx(recall, abs=1e-6)
    assert verdict.accepted == (dice >= 0.4)
    # An oracle's probabilities are 0 and 1, so that both kinds of Dice agree.
    assert verdict.scores["agreement"] == pytest.approx(dice, abs=1e-6)


@pytest.mark.parametrize(("found", "dice", "recall"), FOUND, ids=NAMES)
def test_the_published_gate_asks_for_recall_of_any_tumor(found, dice, recall):
    """Defect `recall_gate`: over-segmented lesions and those of another organ pass."""
    verdict = judge(gate_of(Oracle(found), agreement={}, defects=["recall_gate"]), painted())
    assert (verdict.accepted, verdict.score) == (recall > 0.7, pytest.approx(recall))
    assert verdict.reason == ("" if verdict.accepted else "recall")


def test_the_published_threshold_itself_is_refused():
    lesion = np.zeros(SHAPE, bool)
    lesion[5, 5, :10] = True
    seven = lesion & (np.arange(12) < 7)
    eight = lesion & (np.arange(12) < 8)
    gates = [RecallGate(Judge(Oracle(2 * found), WINDOW, CPU)) for found in (seven, eight)]
    assert [judge(gate, painted(lesion)).accepted for gate in gates] == [False, True]


def test_a_segmenter_gate_is_the_dice_with_a_threshold():
    settings = Synthesizer(painter={"kind": "constant"}, gate={"kind": "segmenter", "threshold": 0.7})
    half = 2 * (LESION & (np.arange(12) < 6))
    for found, accepted in ((2 * LESION, True), (half, False)):
        verdict = judge(build_gate(settings, ORGANS, WINDOW, CPU, Oracle(found)), painted())
        assert (verdict.accepted, verdict.reason) == (accepted, "" if accepted else "agreement")


def test_networks_see_the_windowed_image():
    oracle = Oracle(LESION * 2)
    item = painted()
    item.image[0, 0, :4] = (-175, 250, 3000, round(-175 + 0.2 * 425))
    judge(gate_of(oracle, agreement={"fair": "none"}), item)
    assert oracle.seen[0][0, 0, 0, 0, :4].tolist() == pytest.approx([0, 1, 1, 0.2])


def test_an_open_gate_keeps_everything():
    verdict = judge(OpenGate(), painted())
    assert verdict.accepted
    assert np.isnan(verdict.score)
    assert OpenGate.local


def test_the_correlation_agrees_with_a_search_by_hand():
    from freetumor.synthesizer.copies import copy_correlation

    rng = generator("correlation")
    shapes = [(6, 5, 7), (5, 7, 6)]
    images = [rng.normal(0, 30, shape) + 1000 for shape in shapes]
    masks = [rng.random(shape) < 0.9 for shape in shapes]
    best = -1.0
    frame = [np.full((20, 20, 20), np.nan), np.full((20, 20, 20), np.nan)]
    frame[1][7:12, 7:14, 7:13] = np.where(masks[1], images[1], np.nan)
    for z, y, x in np.ndindex(14, 15, 13):
        frame[0][:] = np.nan
        frame[0][z : z + 6, y : y + 5, x : x + 7] = np.where(masks[0], images[0], np.nan)
        shared = ~np.isnan(frame[0]) & ~np.isnan(frame[1])
        if shared.sum() >= max(27, max(mask.sum() for mask in masks) / 2):
            best = max(best, np.corrcoef(frame[0][shared], frame[1][shared])[0, 1])
    assert copy_correlation(images[0], masks[0], images[1], masks[1]) == pytest.approx(best, abs=1e-9)


def test_the_first_failure_is_the_reason_and_cheap_scores_are_all_there():
    oracle = Oracle(0 * LESION)
    label = np.where(cube(7, 12), np.uint8(2), np.uint8(1))
    gate = gate_of(oracle, overlap={}, size={"diameter": [90, 99]}, agreement={"fair": "none"}, own_class={})
    verdict = judge(gate, painted(label=label))
    assert (verdict.accepted, verdict.reason) == (False, "overlap")
    assert set(verdict.scores) == {"overlap", "diameter_mm"}
    assert not oracle.seen  # the network was not asked about what is refused anyway
    assert np.isnan(verdict.score)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "composed"}, "at least one criterion"),
        ({"kind": "segmenter", "size": {}}, "'size' needs kind 'composed'"),
        ({"kind": "composed", "contrast": {"bounds": {"liver": [9, 1]}}}, "lower and an upper bound"),
        ({"kind": "composed", "agreement": {"least": 2}}, "less than or equal to 1"),
        ({"kind": "composed", "agreement": {"fair": "yes"}}, "'none', 'draws' or 'real'"),
        ({"kind": "composed", "agreemnt": {}}, "Extra inputs"),
    ],
)
def test_mistakes_in_the_configuration_are_told(settings, message):
    with pytest.raises(ValidationError, match=message):
        Gate.model_validate(settings)


@pytest.mark.parametrize(
    ("painter", "shape", "gate", "message"),
    [
        ("constant", "ellipsoid", {"realism": {}}, "only the painter 'difference' has a discriminator"),
        ("transplant", "real", {"copies": {}}, "copies by design"),
        ("dcgan", "ellipsoid", {"size": {}}, "whole images"),
    ],
)
def test_criteria_must_fit_the_painter(painter, shape, gate, message):
    with pytest.raises(ValidationError, match=message):
        Synthesizer(painter={"kind": painter}, shape={"kind": shape}, gate={"kind": "composed"} | gate)


def test_bounds_of_an_unknown_organ_are_told():
    with pytest.raises(UserError, match="'spleen' is no organ of the study \\(liver, kidney\\)"):
        gate_of(contrast={"bounds": {"spleen": [-9, 9]}})


@pytest.mark.parametrize(
    ("gate", "defect", "judged", "least"),
    [
        ({}, False, False, None),
        ({}, True, False, None),
        ({"kind": "segmenter", "threshold": 0.2}, False, True, 0.2),
        ({"kind": "composed", "size": {}}, False, False, None),
        ({"kind": "composed", "size": {}}, True, True, None),
        ({"kind": "composed", "agreement": {"least": 0.3}}, False, True, 0.3),
        ({"kind": "composed", "own_class": {}}, False, True, None),
    ],
)
def test_a_synthesizer_says_whether_it_needs_the_segmenter(gate, defect, judged, least):
    settings = Synthesizer(painter={"kind": "constant"}, gate=gate, defects={"recall_gate": defect})
    assert settings.judged == judged
    assert settings.gate.least_score == least


def test_a_gate_says_whether_it_needs_real_lesions():
    def compares(**criteria):
        return Gate(kind="composed", **criteria).compares(ORGANS)

    assert compares(copies={})
    assert compares(contrast={"bounds": {"liver": [-9, 9]}})
    assert not compares(contrast={"bounds": {"liver": [-9, 9], "kidney": [-9, 9]}})
    assert not compares(size={})
    assert not Gate().compares(ORGANS)


def test_soft_dice_of_a_mask_is_dice():
    rng = generator("dice")
    found, lesion = rng.random(SHAPE) < 0.4, rng.random(SHAPE) < 0.5
    assert soft_dice(found, lesion) == pytest.approx(2 * (found & lesion).sum() / (found.sum() + lesion.sum()))


def test_a_network_that_uses_batch_statistics_sees_patches_one_by_one():
    assert Judge(UNet3D(1, 3, 2, batch_statistics=True), WINDOW, torch.device("cuda")).batch == 1
    assert Judge(UNet3D(1, 3, 2), WINDOW, torch.device("cuda")).batch > 1
    assert Judge(UNet3D(1, 3, 2), WINDOW, CPU).batch == 1
    assert isinstance(gate_of(size={}), ComposedGate)
