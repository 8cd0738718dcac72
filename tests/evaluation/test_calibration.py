"""Calibration against the formulas on single predictions."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freetumor.core.seeding import generator
from freetumor.core.tables import RELIABILITY, make_table, read_table, write_table
from freetumor.evaluation.calibration import CALIBRATION, analyze_calibration, calibration_errors
from freetumor.evaluation.reliability import BINS, SUMS, bins, voxel_bins
from freetumor.evaluation.statistics.probabilities import brier, reliability, width_edges
from tests.factory import small_config


def sums_of(rows):
    table = np.zeros((BINS, len(SUMS)))
    for row in rows:
        table[row["bin"]] = [row[name] for name in SUMS]
    return table


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.booleans())
def test_errors_from_bins_are_those_of_single_predictions(seed, fine):
    rng = generator("test", "calibration", seed)
    p = rng.random(60) if fine else rng.integers(0, 11, 60) / 10
    y = rng.random(60) < p**2
    ece, score = calibration_errors(sums_of(bins("candidate", p, y)))
    edges = width_edges(BINS)
    assert ece == pytest.approx(reliability(p, y, edges).error)
    assert score == pytest.approx(brier(p, y, edges).score)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_a_histogram_of_voxels_gives_the_bins_of_the_voxels(seed):
    rng = generator("test", "calibration", "voxels", seed)
    levels, y = rng.integers(0, 256, 400).astype(np.uint8), rng.random(400) < 0.3
    single, histogram = bins("voxel", levels / 255, y), voxel_bins(levels, y)
    assert [row["bin"] for row in single] == [row["bin"] for row in histogram]
    np.testing.assert_allclose(sums_of(single), sums_of(histogram))


def test_perfect_and_worst_predictions_have_errors_of_zero_and_one():
    y = np.array([True, False, True])
    assert calibration_errors(sums_of(bins("candidate", y.astype(float), y))) == (0, 0)
    assert calibration_errors(sums_of(bins("candidate", 1.0 - y, y))) == (1, 1)
    assert np.isnan(calibration_errors(sums_of(bins("candidate", [], np.zeros(0, bool))))).all()


def made_config():
    raw = small_config().model_dump(mode="json")
    raw["recognition"]["seeds"], raw["evaluation"]["resamples"] = [1, 2], 100
    return small_config(recognition=raw["recognition"], evaluation=raw["evaluation"])


def predictions(arm, patient, seed, kind):
    """Probabilities and outcomes; cases differ in their number of voxels."""
    rng = generator("calibration", arm, patient, seed, kind)
    p = rng.random(20 * (1 + patient) if kind == "voxel" else 6)
    return p, rng.random(len(p)) < (p if arm == "real" else p / 2)


def made_table(split="development"):
    rows = []
    for arm in ("real", "constant"):
        for patient in range(6):
            for seed in (1, 2):
                identity = {"case_id": f"c{patient}", "patient_id": f"p{patient}", "source": "made", "split": split}
                identity |= {"fold": patient % 3, "arm": arm, "seed": seed}
                for kind in ("voxel", "candidate"):
                    rows += [identity | row for row in bins(kind, *predictions(arm, patient, seed, kind))]
    return make_table(rows, RELIABILITY)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibration")
    both = pd.concat([made_table(), made_table("validation")], ignore_index=True)
    write_table(both, folder / "reliability.parquet", RELIABILITY)
    analyze_calibration(made_config(), folder / "reliability.parquet", folder / "calibration.csv")
    write_table(both.sample(frac=1, random_state=3), folder / "shuffled.parquet", RELIABILITY)
    analyze_calibration(made_config(), folder / "shuffled.parquet", folder / "again.csv")
    assert (folder / "calibration.csv").read_bytes() == (folder / "again.csv").read_bytes()
    return read_table(folder / "calibration.csv", CALIBRATION)


@pytest.mark.parametrize("kind", ["voxel", "candidate"])
def test_errors_are_averaged_over_trainings_and_every_scan_has_the_weight_of_one(table, kind):
    found = table[(table["kind"] == kind) & (table["arm"] == "real")].set_index("quantity")["value"]
    errors, scores = [], []
    for seed in (1, 2):
        parts = [predictions("real", patient, seed, kind) for patient in range(6)]
        p, y = (np.concatenate(side) for side in zip(*parts, strict=True))
        weights = np.concatenate([np.full(len(q), 1 / len(q) if kind == "voxel" else 1.0) for q, _ in parts])
        place = np.minimum((p * 10).astype(int), 9)
        gaps = [abs(np.sum((weights * (p - y))[place == number])) for number in range(10)]
        errors.append(sum(gaps) / weights.sum())
        scores.append(np.average((p - y) ** 2, weights=weights))
    assert found["ece"] == pytest.approx(np.mean(errors))
    assert found["brier"] == pytest.approx(np.mean(scores))


def test_a_network_that_is_twice_too_sure_has_the_greater_error_and_bins_that_show_it(table):
    ece = table[table["quantity"] == "ece"].set_index(["kind", "arm"])["value"]
    for kind in ("voxel", "candidate"):
        assert ece[kind, "real"] < ece[kind, "constant"]
    shown = table[(table["quantity"] == "bin") & (table["kind"] == "voxel") & (table["arm"] == "constant")]
    assert len(shown) == 10 and (np.abs(shown["value"] - shown["predicted"] / 2) < 0.12).all()
    assert ((shown["bin_low"] <= shown["predicted"]) & (shown["predicted"] <= shown["bin_high"])).all()
    assert shown["count"].sum() == 2 * sum(20 * (1 + patient) for patient in range(6))


def test_intervals_hold_their_values_and_validation_is_not_reported(table):
    assert set(table["split"]) == {"development"}
    known = table[table["value"].notna()]
    assert (known["ci_low"] <= known["value"] + 1e-9).all() and (known["value"] <= known["ci_high"] + 1e-9).all()
    assert set(table["n_patients"]) == {6} and set(table["trainings"]) == {6}
