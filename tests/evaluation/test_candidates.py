"""Lesion candidates: their extents, confidences and matches, against rules written down by hand and brute force."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from freetumor.core.seeding import generator
from freetumor.evaluation.candidates import STEP, candidate_rows, find_candidates
from freetumor.evaluation.lesions import bounding_box

SHAPE = (5, 20, 30)


def probability(*plateaus, shape=SHAPE):
    """A map of boxes (rows, columns, probability) on slices 1 to 3, later ones on top."""
    values = np.zeros(shape)
    for rows, columns, value in plateaus:
        values[1:4, slice(*rows), slice(*columns)] = value
    return np.rint(255 * values).astype(np.uint8)


def extent(found, number, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[found.extents.box] = found.extents.labels == number
    return mask


def noise(seed):
    smooth = ndimage.gaussian_filter(generator("test", "candidates", seed).random((8, 18, 18)), 1.2)
    return np.rint(255 * np.clip((smooth - 0.42) * 6, 0, 1)).astype(np.uint8)


def test_a_halo_does_not_swell_a_sure_candidate_but_a_faint_candidate_is_all_of_itself():
    values = probability(((0, 20), (0, 12), 0.2), ((4, 8), (2, 6), 0.9), ((4, 8), (20, 25), 0.3))
    found = find_candidates(values, 1.0, 1.0, 0.1)
    np.testing.assert_allclose(found.confidences, np.rint(255 * np.array([0.9, 0.3])) / 255)
    np.testing.assert_array_equal(extent(found, 1), values >= 0.8 * 255)
    np.testing.assert_array_equal(extent(found, 2), values == round(0.3 * 255))


def test_peaks_that_a_deep_valley_parts_are_two_and_those_that_a_shallow_one_parts_are_one():
    deep = probability(((4, 8), (2, 20), 0.3), ((4, 8), (2, 8), 0.9), ((4, 8), (14, 20), 0.7))
    shallow = probability(((4, 8), (2, 20), 0.6), ((4, 8), (2, 8), 0.9), ((4, 8), (14, 20), 0.7))
    assert len(find_candidates(deep, 1.0, 1.0, 0.1).confidences) == 2
    one = find_candidates(shallow, 1.0, 1.0, 0.1)
    assert len(one.confidences) == 1 and extent(one, 1).sum() == 3 * 4 * 18


def test_voxels_below_the_floor_and_parts_below_the_minimum_are_no_candidates():
    values = probability(((4, 8), (2, 8), 0.09), ((12, 14), (2, 4), 0.9))
    assert len(find_candidates(values, 1.0, 12.0, 0.1).confidences) == 1
    assert len(find_candidates(values, 1.0, 13.0, 0.1).confidences) == 0
    assert len(find_candidates(values, 1.0, 13.0, 0.05).confidences) == 1
    spike = probability(((4, 8), (2, 8), 0.3), ((5, 6), (4, 5), 1.0))  # too small to stand alone, but the peak of its base
    found = find_candidates(spike, 1.0, 12.0, 0.1)
    assert found.confidences.tolist() == [1.0] and extent(found, 1).sum() == 3 * 4 * 6
    assert len(find_candidates(np.zeros(SHAPE, np.uint8), 1.0, 1.0, 0.1).confidences) == 0


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_candidates_of_noise_follow_the_rule(seed, least):
    values = noise(seed)
    found = find_candidates(values, 1.0, least, 0.1)
    assert np.all(np.diff(found.confidences) <= 0)
    levels = range(26, 256, STEP)
    for number, confidence in enumerate(found.confidences, 1):
        mask = extent(found, number, values.shape)
        assert mask.sum() == found.extents.sizes[number - 1] >= least
        assert values[mask].max() / 255 == confidence and values[mask].min() >= 26
        whole = [ndimage.label(values >= level, np.ones((3, 3, 3)))[0] for level in levels if level <= values[mask].max()]
        assert any(np.array_equal(labels == labels[mask].max(), mask) for labels in whole), "not a component at a threshold"
    labels = ndimage.label(values >= 26, np.ones((3, 3, 3)))[0]
    everywhere = [n for n in range(1, labels.max() + 1) if (labels == n).sum() >= least]
    covered = {int(labels[extent(found, number, values.shape)].max()) for number in range(1, len(found.confidences) + 1)}
    assert covered == set(everywhere), "every component above the floor has a candidate"


@given(st.integers(0, 10**6))
@settings(max_examples=10)
def test_candidates_do_not_depend_on_the_crop(seed):
    values = noise(seed)
    padded = np.pad(values, ((1, 2), (3, 0), (2, 5)))
    here, there = (find_candidates(array, 1.0, 2, 0.1) for array in (values, padded))
    np.testing.assert_array_equal(here.confidences, there.confidences)
    np.testing.assert_array_equal(here.extents.labels, there.extents.labels)


def lesion(*boxes):
    mask = np.zeros(SHAPE, bool)
    for rows, columns in boxes:
        mask[1:4, slice(*rows), slice(*columns)] = True
    return mask


def rows_of(values, reference, least=1.0, match_iou=0.1):
    return candidate_rows(find_candidates(values, 1.0, least, 0.1), reference, 1.0, least, match_iou)


def test_the_surest_candidate_takes_the_lesion_and_the_second_is_false():
    values = probability(((4, 8), (2, 5), 0.5), ((4, 8), (6, 12), 0.4))
    first, second = rows_of(values, lesion(((4, 8), (2, 12))))
    assert (first["outcome"], first["lesion"], first["iou"]) == ("hit", 1, pytest.approx(0.3))
    assert (second["outcome"], second["lesion"], second["iou"]) == ("false", 0, 0.0)
    assert (second["outcome_overlap"], json.loads(second["touched"])) == ("hit", [1])
    assert (first["candidate"], first["volume_ml"]) == (1, 36) and first["diameter_mm"] == pytest.approx(
        (6000 * 36 / np.pi) ** (1 / 3)
    )


def test_one_candidate_across_two_lesions_is_a_hit_of_the_better_one_and_touches_both():
    values = probability(((4, 8), (2, 20), 0.8))
    (row,) = rows_of(values, lesion(((4, 8), (2, 6)), ((4, 8), (8, 20))))
    assert (row["lesion"], json.loads(row["touched"])) == (2, [1, 2])


def test_a_candidate_on_a_speck_of_the_reference_is_ignored_and_one_far_away_is_false():
    values = probability(((4, 8), (2, 5), 0.5), ((12, 16), (2, 12), 0.4))
    first, second = rows_of(values, lesion(((5, 8), (2, 5))), least=30.0)
    assert (first["outcome"], first["outcome_overlap"]) == ("ignored", "ignored")
    assert (second["outcome"], second["outcome_overlap"]) == ("false", "false")


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.3]))
def test_what_is_found_at_a_threshold_does_not_depend_on_candidates_below_it(seed, match_iou):
    values = noise(seed)
    reference = noise(seed + 1) > 120
    rows = candidate_rows(find_candidates(values, 1.0, 2, 0.1), reference, 1.0, 2, match_iou)
    hits = [row["lesion"] for row in rows if row["outcome"] == "hit"]
    assert len(hits) == len(set(hits)), "one candidate per lesion"
    assert all(row["iou"] >= match_iou and row["iou"] > 0 for row in rows if row["outcome"] == "hit")
    if len(rows) > 1 and rows[-1]["confidence"] < rows[-2]["confidence"]:
        found = find_candidates(values, 1.0, 2, 0.1)
        shorter = values.copy()
        shorter[extent(found, len(rows), values.shape)] = 0
        again = candidate_rows(find_candidates(shorter, 1.0, 2, 0.1), reference, 1.0, 2, match_iou)
        sure = [row for row in again if row["confidence"] >= rows[-2]["confidence"]]
        assert [row["outcome"] for row in sure] == [row["outcome"] for row in rows[:-1]][: len(sure)]


def test_the_box_of_an_empty_mask_is_its_first_voxel():
    assert bounding_box(np.zeros((3, 4, 5), bool)) == (slice(0, 1),) * 3
