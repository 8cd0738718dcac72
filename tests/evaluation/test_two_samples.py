"""Two samples of lesions: chance where there is no difference, and planted differences and copies that are found."""

import numpy as np
import pytest

from freetumor.core.seeding import generator
from freetumor.evaluation.two_samples import (
    FACTOR,
    classifier_test,
    kernel_distances,
    mean_band,
    neighbor_ratios,
    patient_weights,
    quantile_interval,
    size_matched,
)


def test_matched_lesions_have_the_same_sizes_and_the_same_number_of_partners():
    rng = generator("match")
    real, painted = rng.uniform(10, 40, 20), rng.uniform(5, 30, 300)
    a, b = size_matched(real, painted)
    assert len(b) % len(a) == 0 and len(b) >= len(a) > 5
    assert len(set(b)) == len(b)
    partners = len(b) // len(a)
    assert (np.sort(painted[b]) <= FACTOR**2 * np.repeat(np.sort(real[a]), partners)).all()
    assert real[a].max() <= FACTOR * painted.max()
    assert [len(side) for side in size_matched(np.array([10.0]), np.array([20.0]))] == [0, 0]


def patients(count, each, first=0):
    return np.array([f"p{first + number // each}" for number in range(count)])


def test_a_classifier_cannot_tell_equal_samples_apart_and_can_tell_shifted_and_wider_ones():
    rng = generator("auc")

    def area(shift, scale):
        samples = rng.normal(shift, scale, (60, 8)), rng.normal(size=(60, 8))
        return classifier_test(*samples, patients(60, 2), patients(60, 2, 15), 0.95, 300, rng, repeats=2)

    null = [area(0, 1) for _ in range(10)]
    assert np.mean([value for value, _, _ in null]) == pytest.approx(0.5, abs=0.06)
    assert sum(low <= 0.5 <= high for _, low, high in null) >= 7
    value, low, high = area(1.5, 1)
    assert value > 0.9 and low > 0.8 and high <= 1
    assert area(0, 3)[0] > 0.9  # the same mean


def test_a_classifier_learns_nothing_from_who_the_patient_is():
    """Lesions of a patient are alike. Without patients in the split, the classifier would recognize them."""
    rng, found = generator("groups"), []
    for _ in range(6):
        centers = rng.normal(size=(24, 6)) * 3
        values = np.repeat(centers, 5, axis=0) + rng.normal(size=(120, 6)) * 0.2
        names = patients(120, 5)
        found.append(classifier_test(values[:60], values[60:], names[:60], names[60:], 0.95, 50, rng, repeats=2)[0])
    assert np.mean(found) == pytest.approx(0.5, abs=0.15)


def test_the_kernel_distance_lies_within_its_floor_only_where_there_is_no_difference():
    rng = generator("kernel")
    real = rng.normal(size=(60, 6))
    for shift, expected in ((0.0, True), (1.5, False)):
        painted = rng.normal(shift, 1, (80, 6))
        value, floor = kernel_distances(painted, real, patients(80, 2, 100), patients(60, 2), 0.95, rng)
        assert (floor[1] <= value[0] <= floor[2]) == expected
        assert floor[1] < 0 < floor[2]


def test_planted_copies_are_found_and_others_are_not():
    rng = generator("copies")
    training, held_out = rng.normal(size=(20, 5)), rng.normal(size=(30, 5))
    copies = np.concatenate([training + rng.normal(0, 0.1, training.shape)] * 2)
    ratios = neighbor_ratios(copies, training, held_out, patients(40, 1, 500), patients(20, 1), rng)
    assert np.median(ratios) < 0.2
    other = neighbor_ratios(rng.normal(size=(200, 5)), training, held_out, patients(200, 1, 500), patients(20, 1), rng)
    assert np.median(other) == pytest.approx(1, abs=0.15)
    own = neighbor_ratios(training, training, held_out, patients(20, 1), patients(20, 1), rng)
    assert np.median(own) > 0.7  # a patient's own lesion is no copy


def test_intervals_widen_when_lesions_come_from_few_patients():
    rng = generator("cluster")
    values = np.repeat(rng.normal(size=30), 4)
    apart, together = (patient_weights(patients(120, each), 1000, rng) for each in (1, 4))
    widths = [np.subtract(*quantile_interval(values, weights, 0.5, 0.95)[:0:-1]) for weights in (apart, together)]
    assert widths[1] > 1.3 * widths[0]
    bands = [mean_band(values[:, None], weights, 0.95) for weights in (apart, together)]
    assert np.ptp(bands[1][1:]) > 1.5 * np.ptp(bands[0][1:])
    assert bands[0][0, 0] == pytest.approx(values.mean())


def test_a_quantile_is_that_of_numpy():
    values = generator("quantile").normal(size=41)
    for share in (0.1, 0.5, 0.9):
        found = quantile_interval(values, np.ones((1, 41)), share, 0.95)[0]
        assert found == np.quantile(values, share, method="inverted_cdf")
