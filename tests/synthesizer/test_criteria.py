"""Each criterion of a gate refuses exactly what it should."""

import numpy as np
import pytest

from freetumor.core.seeding import generator
from freetumor.synthesizer.criteria import contrast_bounds, planned_volume, ring_contrast
from tests.gates import LESION, SHAPE, SPACING, Oracle, cube, gate_of, judge, painted


def test_a_gate_without_networks_is_local():
    assert gate_of(size={}, contrast={"bounds": {"liver": [-9, 9]}}).local
    assert not gate_of(Oracle(2 * LESION), size={}, own_class={}).local


def test_overlap_counts_voxels_of_real_tumors():
    label = np.where(cube(7, 12), np.uint8(4), np.uint8(1))  # of any organ
    for most, accepted in ((0, False), (1, True)):
        verdict = judge(gate_of(overlap={"most": most}), painted(label=label))
        assert (verdict.accepted, verdict.scores["overlap"]) == (accepted, 1)
    assert judge(gate_of(overlap={}), painted()).accepted


def test_size_is_bounded_in_mm():
    volume = 64 * np.prod(SPACING)
    diameter = (6 * volume / np.pi) ** (1 / 3)
    for bounds, accepted in (((diameter - 0.1, 99), True), ((diameter + 0.1, 99), False), ((1, diameter - 0.1), False)):
        verdict = judge(gate_of(size={"diameter": bounds}), painted())
        assert (verdict.accepted, verdict.scores["diameter_mm"]) == (accepted, pytest.approx(diameter, rel=1e-5))


@pytest.mark.parametrize(
    ("parameters", "volume"),
    [({"axes_mm": [3, 4, 5]}, 4 / 3 * np.pi * 60), ({"radius_mm": 6}, 4 / 3 * np.pi * 216), ({}, np.nan)],
)
def test_a_remainder_of_what_was_planned_is_refused(parameters, volume):
    assert planned_volume(parameters) == pytest.approx(volume, nan_ok=True)
    share = 64 * np.prod(SPACING) / volume
    for least in (0.01, 0.99):
        verdict = judge(gate_of(size={"planned_share": least}), painted(**parameters))
        assert verdict.accepted == (np.isnan(share) or share >= least)
        assert verdict.scores.get("planned_share", np.nan) == pytest.approx(share, rel=1e-5, nan_ok=True)


def test_contrast_is_against_the_healthy_organ_around():
    item = painted(change=-50)
    item.patch.label[9:] = 0  # another tissue
    item.patch.image[9:] = item.image[9:] = 900
    item.patch.label[:3] = 2  # a real tumor
    item.patch.image[:3] = item.image[:3] = -900
    item.patch.image[3, 4:8, 4:8] = item.image[3, 4:8, 4:8] = 0  # touches the lesion: may hold a part of it
    assert ring_contrast(item) == -50
    for bounds, accepted in (([-60, -40], True), ([-49, 0], False), ([-99, -51], False)):
        verdict = judge(gate_of(contrast={"bounds": {"liver": bounds}}), item)
        assert (verdict.accepted, verdict.reason) == (accepted, "" if accepted else "contrast")
    assert judge(gate_of(contrast={"bounds": {"kidney": [1, 2]}}), item).accepted


def test_a_rim_painted_beyond_the_label_does_not_count():
    item = painted(change=-50)
    item.image[~item.lesion] -= 30
    assert ring_contrast(item) == -50


def test_a_lesion_that_fills_its_organ_has_no_measurable_contrast():
    verdict = judge(gate_of(contrast={"bounds": {"liver": [1, 2]}}), painted(label=LESION.astype(np.uint8)))
    assert verdict.accepted
    assert "ring_contrast_hu" not in verdict.scores


def test_bounds_of_the_contrast_hold_one_more_real_lesion():
    rng, held = generator("bounds"), []
    for _ in range(400):
        values = rng.normal(-50, 20, 5)
        real = [painted(change=round(value)) for value in values[:4]]
        low, high = contrast_bounds(real, 0.8)[0]
        held.append(low <= values[4] <= high)
    assert np.mean(held) == pytest.approx(0.8, abs=0.05)  # also from four lesions; their extremes would hold 0.6
    assert contrast_bounds([painted()] * 2 + [painted(label=LESION.astype(np.uint8))], 0.8) == {}


def test_bounds_are_learned_for_organs_that_have_none():
    real = [painted(change=change, organ=organ) for change in (-60, -50, -40) for organ in (0, 1)]
    low, high = contrast_bounds(real, 0.9)[0]
    assert (low, high) == pytest.approx((-50 - 2.92 * 10 * np.sqrt(4 / 3), -50 + 2.92 * 10 * np.sqrt(4 / 3)), abs=0.01)
    gate = gate_of(real=real, contrast={"coverage": 0.9, "bounds": {"kidney": [-5, 5]}})
    items = [painted(change=-83), painted(change=-84), painted(change=-16), painted(organ=1, change=-50)]
    assert [verdict.accepted for verdict in judge(gate, *items)] == [True, False, False, False]


@pytest.mark.parametrize(("own", "accepted"), [(64, True), (32, True), (31, False), (0, False)])
def test_another_organ_s_tumor_is_refused(own, accepted):
    found = np.zeros(SHAPE, int)
    found[LESION] = np.where(np.arange(64) < own, 2, 4)
    verdict = judge(gate_of(Oracle(found), own_class={}), painted())
    assert (verdict.accepted, verdict.scores["own_class"]) == (accepted, own / 64)


def test_what_is_not_found_has_no_class_and_is_not_refused_for_it():
    verdict = judge(gate_of(Oracle(0 * LESION), own_class={}), painted())
    assert verdict.accepted
    assert "own_class" not in verdict.scores


def test_realism_is_the_probability_of_the_class_real():
    real = LESION & (np.arange(12) < 6)
    for least, accepted in ((0.49, True), (0.51, False)):
        oracle = Oracle(np.where(real, 1, 2), number=3)
        verdict = judge(gate_of(None, oracle, realism={"fair": "none", "least": least}), painted())
        assert (verdict.accepted, verdict.scores["realism"]) == (accepted, pytest.approx(0.5))


def test_a_copy_of_a_real_lesion_is_refused_wherever_it_lies():
    texture = generator("texture").normal(0, 20, SHAPE).astype(np.int16)
    ball = np.linalg.norm(np.indices(SHAPE) - 5.0, axis=0) <= 3.5
    original = painted(ball, organ=1)
    original.image[ball] += texture[ball]
    copy, fresh = painted(np.roll(ball, (1, -1, 2), (0, 1, 2)), organ=1, level=60, change=-30), painted(ball, organ=1, noise=20)
    copy.image[copy.lesion] += texture[ball] // 2
    other = painted(copy.lesion, organ=0)
    other.image[...] = copy.image
    part = painted(ball & (np.arange(12) < 4), organ=1)
    part.image[part.lesion] += texture[part.lesion]
    gate = gate_of(real=[painted(organ=1, noise=20, seed=5), original], copies={})
    assert part.lesion.sum() >= 27
    assert "copy" not in judge(gate, part).scores  # less than half of the lesion
    verdicts = judge(gate, copy, fresh, other, painted(cube(0, 2), organ=1))
    assert [verdict.reason for verdict in verdicts] == ["copies", "", "", ""]
    assert verdicts[0].scores["copy"] > 0.99  # integer division blurs it a little
    assert verdicts[1].scores["copy"] < 0.7
    assert "copy" not in verdicts[2].scores  # a copy of another organ's lesion is not looked for
    assert "copy" not in verdicts[3].scores  # too small to tell
