"""Free-response curves and patients: published values, brute force, and what an empty prediction does."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import CANDIDATES, LESIONS, SCORES, make_table, read_table, write_table
from freetumor.evaluation.detection import FROC, OPERATING, RATES, Detections, analyze_detection, free_response
from freetumor.evaluation.patients import NEVER, PATIENTS, weighted_auc
from freetumor.evaluation.resampling import Averages, draw, shares
from freetumor.evaluation.statistics.roc import auc
from tests.classification import classification_config
from tests.factory import small_config


def detections(hits, misses, lesions, scans):
    """All of one patient."""
    confidences = np.array([*hits, *misses], float)
    found = np.arange(len(confidences)) < len(hits)
    zeros = np.zeros(len(confidences), int)
    return Detections(confidences, found.astype(float), ~found, zeros, np.array([lesions]), np.array([scans]))


def test_free_response_score_is_that_of_monai():
    """Its tests: false positives .8 .6, hits 1 1 .8 .8, 4 targets, 2 images: 0.9583333 over six rates, 0.75 at 1/4 alone."""
    sample = detections([1, 1, 0.8, 0.8], [0.8, 0.6], 4, 2)
    curve = free_response(sample, np.array([0.25, 0.5, 1, 2, 4, 8]))[0]
    assert curve[:-1].mean() == pytest.approx(0.9583333, abs=5e-8)
    assert curve[0] == pytest.approx(0.75)


def test_the_lowest_point_is_joined_to_the_origin_and_the_curve_stays_level_at_its_end():
    sample = detections([0.9], [0.95, 0.9], 2, 2)  # the first point is at one false positive per scan
    np.testing.assert_allclose(free_response(sample, np.array([0.25, 0.5, 1, 8]))[0][:-1], [0, 0, 0.5, 0.5])
    sample = detections([0.9], [0.9], 2, 1)
    np.testing.assert_allclose(free_response(sample, np.array([0.25, 0.5, 1, 8]))[0][:-1], [0.125, 0.25, 0.5, 0.5])


def test_finding_all_gives_one_and_finding_none_gives_zero():
    assert free_response(detections([0.5] * 3, [], 3, 2), np.array(OPERATING)).tolist() == [[1.0] * 8]
    assert free_response(detections([], [0.5] * 3, 3, 2), np.array(OPERATING)).tolist() == [[0.0] * 8]
    assert free_response(detections([], [], 3, 2), np.array(OPERATING)).tolist() == [[0.0] * 8]
    assert np.isnan(free_response(detections([], [], 0, 2), np.array(OPERATING))).all()


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_average_precision_equals_that_of_scikit_learn_where_every_lesion_is_found(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = generator("test", "detection", seed)
    truth, scores = np.append(rng.random(12) < 0.4, True), rng.integers(1, 6, 13) / 5
    sample = detections(scores[truth], scores[~truth], truth.sum(), 3)
    assert free_response(sample, np.array([1.0]))[0, -1] == pytest.approx(metrics.average_precision_score(truth, scores))


def patients_sample(seed, patients=5):
    rng = generator("test", "detection", "patients", seed)
    count = 25
    found = rng.random(count) < 0.4
    place = rng.integers(0, patients, count)
    lesions = np.bincount(place[found], minlength=patients) + rng.integers(0, 2, patients)
    return Detections(rng.integers(1, 9, count) / 8, found.astype(float), ~found, place, lesions, rng.integers(1, 3, patients))


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_weights_of_patients_are_repetitions_of_patients(seed):
    sample = patients_sample(seed)
    weights = generator("weights", seed).integers(0, 4, 5)
    if not (weights * sample.lesions).any():
        return
    again = np.repeat(np.arange(len(sample.patients)), weights[sample.patients])
    repeated = Detections(
        *(getattr(sample, name)[again] for name in ("confidences", "found", "false", "patients")),
        np.array(sample.lesions * weights),
        np.array(sample.scans * weights),
    )
    rates = np.array(RATES)
    np.testing.assert_allclose(free_response(sample, rates, weights[None].astype(float)), free_response(repeated, rates))


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_weighted_area_is_that_of_repeated_patients(seed):
    rng = generator("test", "auc", seed)
    truth, scores = np.append([True, False], rng.random(8) < 0.5), rng.integers(0, 5, 10) / 4
    weights = rng.integers(0, 3, (2, 10)) + (np.arange(10) < 2)
    for row, area in zip(weights, weighted_auc(truth, scores, weights.astype(float)), strict=True):
        assert area == pytest.approx(auc(np.repeat(truth, row), np.repeat(scores, row)))
    assert np.isnan(weighted_auc(truth, scores, (truth * 1.0)[None])).all()


# --- tables, on made-up candidates ------------------------------------------------------------------------------------


def made_config(**changes):
    raw = small_config().model_dump(mode="json")
    raw["recognition"]["arms"], raw["recognition"]["seeds"], raw["evaluation"]["resamples"] = ["real", "constant"], [1, 2], 100
    return small_config(**{name: raw[name] for name in ("recognition", "evaluation")} | changes)


def made_tables(gain=0.3, patients=9, empty=()):
    """Scores, lesions and candidates; two in three patients have two lesions each. Cases of ``empty`` have no candidates."""
    scores, lesions, candidates = [], [], []
    for arm, skill in (("real", 0.0), ("constant", gain)):
        for patient in range(patients):
            fold = patient % 3
            for seed in (1, 2):
                for split, training in (("development", fold), ("validation", (fold + 1) % 3)):
                    rng = generator("detection", arm, patient, seed, split)
                    case, tumors = f"c{patient}", 2 if patient < 6 else 0
                    identity = {"case_id": case, "patient_id": f"p{patient}", "source": "made", "split": split}
                    identity |= {"fold": training, "arm": arm, "seed": seed}
                    rows = [
                        {
                            "confidence": rng.uniform(0.3, 0.7) + skill,
                            "outcome": "hit",
                            "lesion": n + 1,
                            "touched": f"[{n + 1}]",
                        }
                        for n in range(tumors)
                        if rng.random() < 0.6 + skill
                    ]
                    rows += [
                        {"confidence": rng.uniform(0.1, 0.6), "outcome": "false", "lesion": 0, "touched": "[]"}
                        for _ in range(3)
                    ]
                    rows = sorted([] if case in empty else rows, key=lambda row: -row["confidence"])
                    for number, row in enumerate(rows, 1):
                        place = {"candidate": number, "volume_ml": 1.0, "diameter_mm": 12.0, "iou": 0.5 * (row["lesion"] > 0)}
                        candidates.append(identity | row | place | {"outcome_overlap": row["outcome"]})
                    for metric, value in (("reference_ml", 2.0 * tumors), ("candidates", float(len(rows)))):
                        scores.append(identity | {"structure": "tumor", "metric": metric, "value": value})
                    for n in range(tumors):
                        size = {"diameter_mm": 12.0, "size_bin": "10-20", "detected": False, "iou": 0.0}
                        lesions.append(identity | size | {"structure": "tumor", "lesion": n + 1})
    return make_table(scores, SCORES), make_table(lesions, LESIONS), make_table(candidates, CANDIDATES)


def analyzed(folder, config, tables):
    folder.mkdir(exist_ok=True)
    inputs = [folder / f"{name}.parquet" for name in ("scores", "lesions", "candidates")]
    for table, path, schema in zip(tables, inputs, (SCORES, LESIONS, CANDIDATES), strict=True):
        write_table(table, path, schema)
    analyze_detection(config, *inputs, folder / "froc.csv", folder / "patients.csv")
    return read_table(folder / "froc.csv", FROC), read_table(folder / "patients.csv", PATIENTS)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return analyzed(tmp_path_factory.mktemp("detection"), made_config(), made_tables())


def test_curves_are_those_of_each_seed_averaged(tables):
    froc, _ = tables
    _, lesions, candidates = made_tables()
    here = candidates[(candidates["split"] == "development") & (candidates["arm"] == "constant")]
    count = len(lesions[(lesions["split"] == "development") & (lesions["arm"] == "constant") & (lesions["seed"] == 1)])
    curves = []
    for seed in (1, 2):
        part = here[here["seed"] == seed]
        hit = part["outcome"] == "hit"
        curves.append(
            free_response(detections(part.loc[hit, "confidence"], part.loc[~hit, "confidence"], count, 9), np.array(RATES))
        )
    mean = np.mean(curves, axis=0)[0]
    own = froc[(froc["arm"] == "constant") & (froc["match"] == "one_to_one")]
    np.testing.assert_allclose(own.loc[own["quantity"] == "sensitivity", "value"], mean[:-1])
    assert own.loc[own["quantity"] == "average_precision", "value"].item() == pytest.approx(mean[-1])
    at_points = own.loc[own["operating"], ["fp_per_scan", "value"]]
    assert at_points["fp_per_scan"].tolist() == [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]
    assert own.loc[own["quantity"] == "froc_score", "value"].item() == pytest.approx(at_points["value"].mean())


def test_counts_intervals_and_differences_are_in_order(tables):
    froc, patients = tables
    assert set(froc["split"]) == set(patients["split"]) == {"development"}, "validation is reported nowhere"
    assert (froc["ci_low"] <= froc["value"] + 1e-12).all() and (froc["value"] <= froc["ci_high"] + 1e-12).all()
    assert froc[["lesions", "scans", "n_patients", "trainings"]].drop_duplicates().to_numpy().tolist() == [[12, 9, 9, 6]]
    keys = ["match", "quantity", "fp_per_scan"]
    wide = froc.set_index([*keys, "arm"])[["value", "difference"]].unstack("arm")
    np.testing.assert_allclose(wide["difference", "constant"], wide["value", "constant"] - wide["value", "real"])
    assert wide["difference", "real"].isna().all()
    assert patients[["n_patients", "n_tumor", "trainings"]].drop_duplicates().to_numpy().tolist() == [[9, 6, 6]]


def test_patients_are_called_at_the_threshold_of_their_own_training(tables):
    _, patients = tables
    _, _, candidates = made_tables()
    row = patients.set_index(["arm", "metric"])
    surest = candidates.groupby(["arm", "split", "fold", "seed", "patient_id"])["confidence"].max()
    areas, sensitivities = [], []
    for seed in (1, 2):
        hits, truth, found = [], [], []
        for fold in range(3):
            fixed, own = surest["constant", "validation", fold, seed], surest["constant", "development", fold, seed]
            sick, kinds = (np.array([int(patient[1:]) < 6 for patient in part.index]) for part in (fixed, own))
            options = np.append(np.sort(fixed.to_numpy()), np.inf)
            gains = [(fixed[sick] >= t).mean() + (fixed[~sick] < t).mean() for t in options]
            best = options[len(gains) - 1 - int(np.argmax(gains[::-1]))]  # of equals the strictest
            hits += list(own[kinds] >= (best + options[options < best].max(initial=-np.inf)) / 2)
            truth, found = [*truth, *kinds], [*found, *own]
        sensitivities.append(np.mean(hits))
        areas.append(auc(np.array(truth), np.array(found)))
    assert row.loc[("constant", "auc"), "value"] == pytest.approx(np.mean(areas))
    assert row.loc[("constant", "sensitivity"), "value"] == pytest.approx(np.mean(sensitivities))
    assert (row.xs("auc", level="metric")["threshold"].isna()).all()
    assert row.xs("sensitivity", level="metric")["threshold"].between(0, NEVER).all()


def test_any_overlap_counts_a_lesion_once_and_a_second_candidate_on_it_not_at_all(tmp_path):
    scores, lesions, candidates = made_tables()
    extra = candidates[candidates["outcome"] == "hit"].assign(outcome="false", lesion=0, iou=0.0)
    extra = extra.assign(candidate=extra["candidate"] + 50, confidence=extra["confidence"] - 0.1)
    froc, _ = analyzed(tmp_path / "a", made_config(), (scores, lesions, pd.concat([candidates, extra], ignore_index=True)))
    before, _ = analyzed(tmp_path / "b", made_config(), (scores, lesions, candidates))
    same = froc["match"] == "any_overlap"
    np.testing.assert_allclose(froc.loc[same, "value"], before.loc[same, "value"])
    assert froc.loc[~same, "value"].mean() < before.loc[~same, "value"].mean()


def test_emptying_the_predictions_of_patients_with_tumor_raises_neither_the_area_nor_the_end_of_the_curve(tables, tmp_path):
    """False positives fall as well, as they should, so that the curve over their rate may rise on the way."""
    for number, empty in enumerate((("c0",), ("c0", "c4", "c5"))):
        froc, patients = analyzed(tmp_path / str(number), made_config(), made_tables(empty=empty))
        before, after = (table.loc[table["metric"] == "auc", "value"].to_numpy() for table in (tables[1], patients))
        assert (after <= before + 1e-12).all()
        ends = [table[(table["fp_per_scan"] == 8) & table["operating"]]["value"].to_numpy() for table in (tables[0], froc)]
        assert (ends[1] <= ends[0] + 1e-12).all()


def test_the_tables_are_the_same_bytes_again_and_do_not_depend_on_the_order_of_rows(tables, tmp_path):
    shuffled = [table.sample(frac=1, random_state=1).reset_index(drop=True) for table in made_tables()]
    analyzed(tmp_path / "again", made_config(), made_tables())
    analyzed(tmp_path / "shuffled", made_config(), shuffled)
    for name in ("froc.csv", "patients.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "shuffled" / name).read_bytes()


def test_scans_without_a_map_of_probability_are_left_out(tmp_path):
    scores, lesions, candidates = made_tables()
    scores = scores[~((scores["metric"] == "candidates") & (scores["arm"] == "real"))]
    froc, patients = analyzed(tmp_path, made_config(), (scores, lesions, candidates[candidates["arm"] != "real"]))
    assert set(froc["arm"]) == set(patients["arm"]) == {"constant"}


def test_a_classification_is_refused(tmp_path):
    with pytest.raises(UserError, match="task: expected 'segmentation'"):
        analyze_detection(classification_config(), *(tmp_path / name for name in "abcde"))


def test_draws_keep_folds_apart_and_leave_the_sample_itself_in_front():
    frame = made_tables()[0]
    draws = draw(frame[frame["split"] == "development"], 50, generator("draws"))
    assert draws.units == ["1", "2"] and (draws.patient_weights[0] == 1).all() and (draws.unit_weights[0] == 1).all()
    folds = np.array([int(patient[1:]) % 3 for patient in draws.patients])
    for fold in range(3):
        np.testing.assert_allclose(draws.patient_weights[:, folds == fold].sum(axis=1), 3)
    external = draw(frame.assign(split="external"), 5, generator("draws"))
    assert len(external.units) == 6


def test_a_share_without_spread_has_wilsons_interval():
    certain = Averages(*(np.array([value]) for value in (1.0, 1.0, 1.0, 0.0)))
    assert shares(certain, 0, 20, 0.95)["ci_low"] == pytest.approx(1 - 0.1611, abs=5e-5)  # of 0 of 20: Newcombe 1998
    assert shares(certain, 0, 0, 0.95)["ci_low"] == 1.0
    assert json.dumps(shares(certain, 0, 0, 0.95))
