"""The policy for empty masks: what it promises, and what the habit it replaces would do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freetumor.core.config import Evaluation
from freetumor.core.seeding import generator
from freetumor.evaluation.empty import INCLUDING_EMPTY, segmentation_rows
from freetumor.evaluation.metric_names import ACCURACY, BETTER, EARLY, SENSITIVITY
from freetumor.evaluation.metrics import Scan, lesion_metrics, segmentation_metrics

SHAPE, SPACING = (8, 9, 10), (2.0, 1.0, 1.5)
SCAN = Scan.of(SHAPE, SPACING)
SETTINGS = Evaluation(min_lesion_ml=0.007)
EMPTY = np.zeros(SHAPE, bool)
REWARDED = {"false_positives", "specificity"}  # what an empty mask does improve, and should


ELSEWHERE = {ACCURACY, SENSITIVITY, EARLY}  # metrics of classifications, and of all lesions together


def boxes(seed, count):
    """A mask of up to ``count`` random boxes."""
    rng, mask = generator("test", "boxes", seed), EMPTY.copy()
    for _ in range(count):
        low = [rng.integers(0, length - 2) for length in SHAPE]
        mask[tuple(slice(start, start + rng.integers(1, 5)) for start in low)] = True
    return mask


def score(reference, prediction):
    rows, _ = lesion_metrics(reference, prediction, SCAN, SETTINGS)
    return segmentation_metrics(reference, prediction, SCAN, SETTINGS) | rows


def improvement(metric, before, after):
    return (after - before) * (1 if BETTER[metric.removesuffix(INCLUDING_EMPTY)] == "higher" else -1)


def test_missed_tumor_gets_the_worst_values():
    rows = score(boxes(1, 2), EMPTY)
    assert (rows["dice"], rows["surface_dice"], rows["volume_error"]) == (0, 0, 1)
    assert rows["hd95"] == rows["assd"] == pytest.approx(np.sqrt(16**2 + 9**2 + 15**2))
    assert (rows["lesion_sensitivity"], rows["lesion_precision"], rows["f1"]) == (0, 0, 0)
    assert "specificity" not in rows


def test_false_alarm_counts_only_where_empty_references_are_included():
    rows = score(EMPTY, boxes(1, 2))
    assert "dice" not in rows and "lesion_sensitivity" not in rows
    assert rows["dice_incl_empty"] == 0 and rows["hd95_incl_empty"] == SCAN.diagonal
    assert rows["specificity"] == 0 and rows["false_positives"] >= 1


def test_both_empty_is_a_true_negative_and_nothing_else():
    assert score(EMPTY, EMPTY) == {"specificity": 1, "false_positives": 0, "reference_ml": 0, "predicted_ml": 0}


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(0, 4))
def test_emptying_the_prediction_of_a_scan_with_tumor_improves_no_segmentation_or_sensitivity_value(seed, lesions, guesses):
    reference, prediction = boxes(seed, lesions), boxes(seed + 1, guesses)
    before, after = score(reference, prediction), score(reference, EMPTY)
    assert set(before) == set(after), "no row may vanish: a dropped value would improve the mean"
    for metric in set(before) - REWARDED - {"reference_ml", "predicted_ml"}:
        assert improvement(metric, before[metric], after[metric]) <= 0, metric


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 4))
def test_emptying_the_prediction_of_a_scan_without_tumor_leaves_the_main_metrics_alone(seed, guesses):
    before, after = score(EMPTY, boxes(seed, guesses)), score(EMPTY, EMPTY)
    for rows in (before, after):
        assert not set(rows) & {"dice", "surface_dice", "hd95", "assd", "volume_error", "lesion_sensitivity", "f1"}
    assert after["specificity"] >= before["specificity"]


def test_a_thousand_replacements_by_empty_masks_improve_no_mean_of_a_cohort():
    """Of scans with and without tumor; the main metrics, that is, all but what an empty mask should improve."""
    references = [boxes(seed, 1 + seed % 3) for seed in range(30)] + [EMPTY] * 10
    predictions = [reference & boxes(50 + seed, 3) | boxes(90 + seed, seed % 3) for seed, reference in enumerate(references)]
    kept = [score(a, b) for a, b in zip(references, predictions, strict=True)]
    emptied = [score(reference, EMPTY) for reference in references]
    names = sorted(set(BETTER) - REWARDED - ELSEWHERE)

    def means(rows):
        return {name: np.mean([row[name] for row in rows if name in row]) for name in names}

    before, rng = means(kept), generator("test", "replacements")
    for _ in range(1000):
        swapped = rng.random(len(kept)) < rng.uniform(0.02, 0.5)
        after = means([empty if swap else row for swap, row, empty in zip(swapped, kept, emptied, strict=True)])
        for name in names:
            assert improvement(name, before[name], after[name]) <= 1e-12, (swapped, name)


def test_monai_drops_the_hd95_of_a_missed_tumor():
    """Why there is a policy: the undefined value leaves MONAI's mean, so that missing a tumor helps."""
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    poor, missed = (np.zeros((1, 1, 8, 8, 8), "float32") for _ in range(2))
    reference = np.zeros((1, 1, 8, 8, 8), "float32")
    reference[..., 1:3, 1:3, 1:3] = poor[..., 6:8, 6:8, 6:8] = 1
    perfect = torch.tensor(reference)

    def mean(second):
        metric = metrics.HausdorffDistanceMetric(include_background=True, percentile=95)
        metric(torch.cat([perfect, torch.tensor(second)]), torch.cat([perfect, perfect]))
        return metric.aggregate().item()

    assert mean(poor) > 1
    assert mean(missed) == 0  # a perfect mean, though one of two tumors was missed
    rows = segmentation_rows(False, True, None, 10.0)
    assert np.mean([0.0, rows["hd95"]]) == 5.0


def test_values_must_be_measured_exactly_if_both_masks_hold_something():
    with pytest.raises(ValueError, match="neither mask is empty"):
        segmentation_rows(False, False, None, 1.0)


def test_predictions_below_the_least_size_do_not_spoil_the_specificity():
    speck = EMPTY.copy()
    speck[3, 3, 3] = True  # 3 mm³, below the minimum
    rows, _ = lesion_metrics(EMPTY, speck, SCAN, SETTINGS)
    assert rows == {"false_positives": 0, "specificity": 1}


def test_monai_drops_the_dice_of_a_false_alarm():
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    empty, alarm = torch.zeros(1, 1, 6, 6, 6), torch.zeros(1, 1, 6, 6, 6)
    alarm[..., 2:4, 2:4, 2:4] = 1
    assert metrics.DiceMetric()(alarm, empty).isnan().all()
    assert segmentation_rows(True, False, None, 10.0)["dice_incl_empty"] == 0
