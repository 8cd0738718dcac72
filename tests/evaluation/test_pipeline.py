"""From prediction tables to the tables of the comparison."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.settings import save
from freetumor.core.tables import (
    CANDIDATES,
    LESIONS,
    PREDICTIONS,
    RELIABILITY,
    SCORES,
    SUMMARY,
    make_table,
    read_table,
    write_table,
)
from freetumor.evaluation.arms import ARMS
from freetumor.evaluation.comparisons import analyze, compare, format_summary
from freetumor.evaluation.merge import merge_scores
from freetumor.evaluation.score import SCHEMAS, Rows, score_case, score_predictions
from freetumor.evaluation.sizes import SIZES, sensitivity_by_size
from freetumor.evaluation.structures import scored_structures
from freetumor.preprocessing.store import write_array
from tests.factory import small_config

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SHAPE, SPACING = (12, 20, 22), (3.0, 2.0, 2.0)
NAMES = {"3": "liver", "7": "liver_tumor", "4": "pancreas", "9": "pancreas_tumor"}  # the case's own codes, not the study's


def reference(tumors=True):
    """A case in its own codes, and the same in study codes."""
    label = np.zeros(SHAPE, np.uint8)
    label[1:11, 2:12, 2:12] = 3
    label[1:11, 13:19, 13:21] = 4
    if tumors:
        label[3:6, 4:8, 4:8] = 7
        label[8:10, 9:11, 9:11] = 7
        label[4:7, 14:17, 15:18] = 9
    study = np.select([label == 3, label == 7, label == 4, label == 9], [1, 2, 3, 4]).astype(np.uint8)
    return label, study


def row_of(folder, case_id="a", prediction=None, tumors=True, probability=None, **changes):
    label, study = reference(tumors)
    write_array(folder / f"{case_id}.native.b2nd", label)
    write_array(folder / f"{case_id}.b2nd", study if prediction is None else prediction)
    identity = {"case_id": case_id, "patient_id": f"p-{case_id}", "source": "made", "domain": "a", "split": "development"}
    paths = {"prediction": str(folder / f"{case_id}.b2nd"), "reference": str(folder / f"{case_id}.native.b2nd")}
    if probability is not None:
        write_array(folder / f"{case_id}.tumor.b2nd", probability)
    paths["probability"] = "" if probability is None else str(folder / f"{case_id}.tumor.b2nd")
    facts = {"names": json.dumps(NAMES), "labeled": True, "native_spacing": json.dumps(SPACING)}
    return identity | {"fold": 0, "arm": "real", "seed": 1} | paths | facts | changes


def values(rows, structure):
    return {row["metric"]: row["value"] for row in rows if row["structure"] == structure}


def test_a_perfect_prediction_scores_perfectly_in_every_structure(tmp_path):
    scores, lesions, *_ = score_case(small_config(), row_of(tmp_path))
    assert {row["structure"] for row in scores} == {"liver", "pancreas", "liver_tumor", "pancreas_tumor", "tumor"}
    for structure in ("liver", "pancreas", "liver_tumor", "pancreas_tumor", "tumor"):
        row = values(scores, structure)
        assert (row["dice"], row["surface_dice"], row["hd95"], row["assd"], row["volume_error"]) == (1, 1, 0, 0, 0)
    assert values(scores, "tumor")["lesion_sensitivity"] == values(scores, "tumor")["f1"] == 1
    assert "lesion_sensitivity" not in values(scores, "liver")
    assert [row["structure"] for row in lesions].count("tumor") == 3 and all(row["detected"] for row in lesions)


def test_volumes_and_diameters_are_in_native_units(tmp_path):
    scores, lesions, *_ = score_case(small_config(), row_of(tmp_path))
    assert values(scores, "liver_tumor")["reference_ml"] == pytest.approx((48 + 8) * 12 / 1000)
    assert values(scores, "liver")["reference_ml"] == pytest.approx(1000 * 12 / 1000), "an organ holds its tumor"
    first = next(row for row in lesions if row["structure"] == "liver_tumor" and row["lesion"] == 1)
    assert first["diameter_mm"] == pytest.approx((6 * 48 * 12 / np.pi) ** (1 / 3))
    assert first["size_bin"] == "10-20"


def test_confusing_the_tumors_of_two_organs_still_finds_a_tumor(tmp_path):
    swapped = reference()[1]
    swapped = np.where(swapped == 2, 4, np.where(swapped == 4, 2, swapped)).astype(np.uint8)
    scores, *_ = score_case(small_config(), row_of(tmp_path, prediction=swapped))
    assert values(scores, "tumor")["dice"] == 1 and values(scores, "liver_tumor")["dice"] == 0


def test_a_tumor_free_scan_is_scored_by_its_specificity(tmp_path):
    false_alarm = reference(tumors=False)[1]
    false_alarm[3:6, 4:8, 4:8] = 2
    silent, *_ = score_case(small_config(), row_of(tmp_path, "a", tumors=False))
    alarmed, lesions, *_ = score_case(small_config(), row_of(tmp_path, "b", prediction=false_alarm, tumors=False))
    assert values(silent, "tumor")["specificity"] == 1 and "dice_incl_empty" not in values(silent, "tumor")
    assert values(alarmed, "tumor")["specificity"] == 0 and values(alarmed, "tumor")["dice_incl_empty"] == 0
    assert values(alarmed, "tumor")["false_positives"] == 1 and "dice" not in values(alarmed, "tumor") and not lesions


def test_what_nobody_annotated_is_neither_right_nor_wrong():
    assert set(scored_structures(["liver", "pancreas"], {"liver", "liver_tumor"})) == {"liver", "liver_tumor", "tumor"}
    assert scored_structures(["liver", "pancreas"], {"liver", "liver_tumor"})["tumor"] == (2,)
    assert set(scored_structures(["liver", "pancreas"], {"pancreas"})) == {"pancreas", "pancreas_tumor", "tumor"}
    assert scored_structures(["lung"], {"lung_tumor"}) == {"lung_tumor": (2,), "tumor": (2,)}


def test_the_map_of_probability_gives_candidates_and_reliability_where_something_is_annotated(tmp_path):
    label, study = reference()
    chance = np.where(np.isin(study, [2, 4]), 200, 10).astype(np.uint8)
    chance[study == 0] = 255  # outside the organs: a false candidate, but no voxel of the calibration
    scores, _, candidates, reliability = score_case(small_config(), row_of(tmp_path, probability=chance))
    assert values(scores, "tumor")["candidates"] == len(candidates) == 4
    assert [row["outcome"] for row in candidates] == ["false", "hit", "hit", "hit"]
    assert {row["lesion"] for row in candidates[1:]} == {1, 2, 3}
    voxels = {row["bin"]: row for row in reliability if row["kind"] == "voxel"}
    assert {number: (row["count"], row["positives"]) for number, row in voxels.items()} == {
        0: (np.isin(label, [3, 4]).sum(), 0),
        7: (np.isin(label, [7, 9]).sum(), np.isin(label, [7, 9]).sum()),
    }
    assert voxels[7]["squared_error"] == pytest.approx(voxels[7]["count"] * (55 / 255) ** 2)
    sure = {row["bin"]: (row["count"], row["positives"]) for row in reliability if row["kind"] == "candidate"}
    assert sure == {7: (3, 3), 9: (1, 0)}


def test_without_a_map_of_probability_there_are_scores_but_no_candidates(tmp_path):
    scores, _, candidates, reliability = score_case(small_config(), row_of(tmp_path))
    assert "candidates" not in values(scores, "tumor") and not candidates and not reliability
    with pytest.raises(UserError, match=r"b\.tumor\.b2nd: shape \(2, 3, 4\) differs"):
        score_case(small_config(), row_of(tmp_path, "b", probability=np.zeros((2, 3, 4), np.uint8)))


def test_unlabeled_cases_are_skipped_and_a_wrong_shape_is_named(tmp_path):
    rows = [row_of(tmp_path, "a"), row_of(tmp_path, "b", labeled=False)]
    write_table(make_table(rows, PREDICTIONS), tmp_path / "predictions.parquet", PREDICTIONS)
    outputs = Rows(*(tmp_path / f"{name}.parquet" for name in Rows._fields))
    score_predictions(small_config(), tmp_path / "predictions.parquet", outputs)
    assert set(read_table(outputs.scores, SCORES)["case_id"]) == {"a"}
    wrong = row_of(tmp_path, "c", prediction=np.zeros((3, 4, 5), np.uint8))
    with pytest.raises(UserError, match=r"c\.b2nd: shape \(3, 4, 5\) differs"):
        score_case(small_config(), wrong)


# --- comparisons, on made-up scores ----------------------------------------------------------------------------------


def made_scores(config, gain=0.0, patients=9, seeds=(1, 2), scans=1, split="development"):
    """Scores and lesions of every arm: ``gain`` is what all arms but the first add to Dice and sensitivity."""
    scores, lesions = [], []
    for arm_number, arm in enumerate(config.recognition.arms):
        for patient in range(patients):
            fold = patient % 3
            trainings = [(fold, s) for s in seeds] if split == "development" else [(f, s) for f in range(3) for s in seeds]
            for (training, seed), scan in [(t, s) for t in trainings for s in range(scans)]:
                case = f"{split[0]}{patient}-{scan}"
                base = generator("made", patient, scan).uniform(0.3, 0.6)
                rng = generator("made", arm, patient, training, seed, scan, split)
                identity = {"case_id": case, "patient_id": f"{split[0]}{patient}", "source": "made", "split": split,
                            "fold": training, "arm": arm, "seed": seed, "structure": "tumor"}  # fmt: skip
                dice = base + gain * (arm_number > 0) + rng.normal(0, 0.03)
                rows = {"dice": dice, "hd95": 20 - 10 * dice, "false_positives": float(rng.integers(0, 3)),
                        "reference_ml": 2.0, "predicted_ml": 2.0 * (patient > 0)}  # fmt: skip
                scores += [identity | {"metric": metric, "value": value} for metric, value in rows.items()]
                for lesion in range(1, 4):
                    found = bool(rng.random() < 0.4 + gain * (arm_number > 0))
                    size = {"diameter_mm": 9.0 * lesion, "size_bin": ("<=10", "10-20", "20-30")[lesion - 1]}
                    lesions.append(identity | size | {"lesion": lesion, "detected": found, "iou": 0.5 * found})
    return make_table(scores, SCORES), make_table(lesions, LESIONS)


NO_PROBABILITIES = make_table([], CANDIDATES), make_table([], RELIABILITY)


def made_config(**changes):
    raw = small_config().model_dump(mode="json")
    raw["recognition"]["arms"] = ["real", "constant", "classic"]
    raw["recognition"]["seeds"] = [1, 2]
    raw["evaluation"]["resamples"] = 200
    return small_config(**{name: raw[name] for name in ("recognition", "evaluation")} | changes)


def test_differences_are_paired_by_scan_and_averaged_by_patient():
    config = made_config()
    scores, lesions = made_scores(config, 0.1, scans=2)
    scores = scores[~((scores["case_id"] == "d4-1") & (scores["patient_id"] == "d4"))]  # patients of unequal weight
    row = compare(config, scores, lesions).query("metric == 'dice' and arm == 'constant'").iloc[0]
    dice = scores[scores["metric"] == "dice"]
    wide = dice.groupby(["arm", "patient_id"])["value"].mean().unstack("arm")
    assert row["mean"] == pytest.approx(wide["constant"].mean())
    assert row["difference"] == pytest.approx((wide["constant"] - wide["real"]).mean())
    assert (row["n"], row["patients"], row["trainings"], row["baseline"]) == (17, 9, 6, "real")


def test_a_scan_that_one_training_lacks_is_left_out_of_the_pairing():
    config = made_config()
    scores, lesions = made_scores(config)
    lacking = (scores["case_id"] == "d3-0") & (scores["arm"] == "constant") & (scores["seed"] == 2)
    summary = compare(config, scores[~lacking], lesions).query("metric == 'dice'").set_index("arm")
    assert (summary.loc["constant", "n"], summary.loc["classic", "n"]) == (8, 9)


def test_external_scans_are_crossed_with_all_trainings():
    config = made_config()
    parts = [made_scores(config, split=split) for split in ("development", "external")]
    scores, lesions = (pd.concat(part, ignore_index=True) for part in zip(*parts, strict=True))
    summary = compare(config, scores, lesions).query("metric == 'dice' and arm == 'constant'").set_index("split")
    assert (summary.loc["external", "trainings"], summary.loc["external", "patients"]) == (6, 9)
    assert list(summary["family"]) == ["primary", "secondary"]


def test_only_the_declared_family_is_corrected():
    config = made_config()
    summary = compare(config, *made_scores(config, 0.05))
    family = summary[summary["family"] == "primary"]
    assert set(zip(family["metric"], family["arm"], strict=True)) == {
        (metric, arm) for metric in ("dice", "sensitivity_early") for arm in ("constant", "classic")
    }
    order = family["p"].sort_values()
    expected = np.minimum(np.maximum.accumulate(order.to_numpy() * [4, 3, 2, 1]), 1)
    np.testing.assert_allclose(family.loc[order.index, "p_adjusted"], expected)
    assert summary.loc[summary["family"] == "secondary", "p_adjusted"].isna().all()
    assert dict(zip(summary["metric"], summary["better"], strict=True))["hd95"] == "lower"


def test_early_sensitivity_is_a_share_of_lesions_up_to_twenty_millimeters():
    config = made_config()
    scores, lesions = made_scores(config, 0.2)
    row = compare(config, scores, lesions).query("metric == 'sensitivity_early' and arm == 'classic'").iloc[0]
    early = lesions[lesions["diameter_mm"] <= 20].groupby("arm")["detected"].mean()
    assert row["mean"] == pytest.approx(early["classic"]) and row["mean_baseline"] == pytest.approx(early["real"])
    assert row["difference"] == pytest.approx(early["classic"] - early["real"])
    assert (row["n"], row["patients"]) == (18, 9) and "clustered by patient" in row["test"]


def test_with_one_seed_the_summary_says_this_trained_model_only():
    config = made_config()
    scores, lesions = made_scores(config, seeds=(1,))
    row = compare(config, scores, lesions).query("metric == 'dice' and arm == 'constant'").iloc[0]
    wide = scores[scores["metric"] == "dice"].pivot(index="case_id", columns="arm", values="value")
    assert "this trained model only" in row["test"]
    assert row["p"] == pytest.approx(stats.ttest_rel(wide["constant"], wide["real"]).pvalue)


def test_sensitivity_by_size_is_the_share_of_each_bin():
    config = made_config()
    _, lesions = made_scores(config, 0.2)
    lesions.loc[lesions["size_bin"] == "20-30", "detected"] = True
    sizes = sensitivity_by_size(config, lesions).set_index(["arm", "size_bin"])
    shares = lesions.groupby(["arm", "size_bin"])["detected"].mean()
    assert list(sizes.loc["real"].index) == ["<=10", "10-20", "20-30"]
    for key, share in shares.items():
        row = sizes.loc[key]
        assert row["detected_share"] == pytest.approx(share) and row["ci_low"] <= share <= row["ci_high"]
        assert (row["lesions"], row["n_patients"], row["trainings"]) == (9, 9, 6)
    assert 0.6 < sizes.loc[("real", "20-30"), "ci_low"] < 1, "nine of nine patients do not prove certainty"


def test_tables_are_complete_deterministic_and_merged_in_any_order(tmp_path):
    config = made_config()
    scores, lesions = made_scores(config, 0.1)
    parts = []
    for (arm, fold, seed), part in scores.groupby(["arm", "fold", "seed"]):
        chosen = (lesions["arm"] == arm) & (lesions["fold"] == fold) & (lesions["seed"] == seed)
        paths = Rows(*(tmp_path / f"{arm}{fold}{seed}.{name}.parquet" for name in Rows._fields))
        for table, schema, path in zip((part, lesions[chosen], *NO_PROBABILITIES), SCHEMAS, paths, strict=True):
            write_table(table, path, schema)
        parts.append(paths)
    contents = []
    for name, order in (("x", parts), ("y", parts[::-1])):
        folder = tmp_path / name
        merged = Rows(*(folder / f"{name}.parquet" for name in Rows._fields))
        merge_scores(config, Rows(*zip(*order, strict=True)), merged, folder / "selections.csv")
        tables = [folder / f"{table}.csv" for table in ("summary", "sizes", "arms")]
        analyze(config, merged.scores, merged.lesions, *tables)
        contents.append([path.read_bytes() for path in (*merged, *tables)])
    assert contents[0] == contents[1]
    for table, schema in zip(tables, (SUMMARY, SIZES, ARMS), strict=True):
        assert len(read_table(table, schema)) > 0
    arms = read_table(tables[2], ARMS).set_index(["metric", "arm"])
    row = arms.loc[("dice", "real")]
    assert (row["n"], row["cases"], row["trainings"], row["n_missed"], row["n_empty_references"]) == (18, 9, 6, 2, 0)
    dice = scores.query("metric == 'dice' and arm == 'real'").groupby(["fold", "seed"])["value"].mean().unstack()
    assert row["sd"] == pytest.approx(np.sqrt(dice.var(axis=1, ddof=1).mean()))
    assert row["mean"] == pytest.approx(scores.query("metric == 'dice' and arm == 'real'")["value"].mean())
    with pytest.raises(UserError, match="is scored twice for arm"):
        twice = Rows(*([path] for path in parts[0]))._replace(scores=[parts[0].scores] * 2)
        merge_scores(config, twice, merged, tmp_path / "selections.csv")


def test_mistakes_are_named(tmp_path):
    config = made_config()
    scores, lesions = made_scores(config)
    write_table(scores[scores["arm"] != "classic"], tmp_path / "cases.parquet", SCORES)
    write_table(lesions, tmp_path / "lesions.parquet", LESIONS)
    with pytest.raises(UserError, match="no scores of arm 'classic'"):
        analyze(config, tmp_path / "cases.parquet", tmp_path / "lesions.parquet", *(tmp_path / f"{n}.csv" for n in "abc"))
    odd = made_config(evaluation={"primary": ["dise"]})
    with pytest.raises(UserError, match=r"evaluation\.primary: 'dise' is not compared; compared are dice"):
        compare(odd, scores, lesions)


def test_the_printed_summary_holds_the_primary_metrics_of_every_arm():
    config = made_config(evaluation={"primary": ["dice", "hd95"]})
    summary = compare(config, *made_scores(config, 0.1))
    text = format_summary(summary)
    for arm in ("constant", "classic"):
        for metric in ("dice", "hd95"):
            row = summary.query("arm == @arm and metric == @metric").iloc[0]
            line = next(line for line in text.splitlines() if line.split()[:2] == [arm, metric])
            assert f"{row['difference']:+.3f}" in line and f"{row['ci_low']:+.3f} to {row['ci_high']:+.3f}" in line
    assert "false_positives" not in text
    assert "Lower is better: hd95." in text and "Against 'real'" in text
    assert "No comparison" in format_summary(summary.iloc[:0])


def test_scripts_run_from_predictions_to_the_printed_table(tmp_path):
    config = made_config()
    save(config, tmp_path / "study.yaml")
    tables = []
    for arm in config.recognition.arms:
        for seed in (1, 2):
            folder = tmp_path / arm / f"seed{seed}"
            folder.mkdir(parents=True)
            rows = []
            for case in range(3):
                noise = generator("scripts", arm, seed, case).random(SHAPE) < 0.3
                prediction = np.where(noise, 0, reference(case < 2)[1]).astype(np.uint8)
                rows.append(row_of(folder, f"c{case}", prediction, case < 2, arm=arm, seed=seed))
            write_table(make_table(rows, PREDICTIONS), folder / "predictions.parquet", PREDICTIONS)
            tables.append(folder)
    common = ["--config", tmp_path / "study.yaml"]

    def run(script, *arguments):
        command = [sys.executable, SCRIPTS / script, *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    parts = [Rows(*(folder / f"{name}.parquet" for name in Rows._fields)) for folder in tables]
    outputs = [part for name, path in parts[0]._asdict().items() for part in (f"--{name}", path)]
    run("score_cases.py", *common, "--predictions", tables[0] / "predictions.parquet", *outputs)
    for folder, part in zip(tables[1:], parts[1:], strict=True):
        score_predictions(config, folder / "predictions.parquet", part)
    merged = Rows(*(tmp_path / f"{name}.parquet" for name in Rows._fields))
    inputs = [part for name in Rows._fields for part in (f"--{name}", *(getattr(paths, name) for paths in parts))]
    outputs = [part for name in Rows._fields[1:] for part in (f"--{name}-output", getattr(merged, name))]
    outputs += ["--output", merged.scores, "--selections", tmp_path / "selections.csv"]
    run("merge_scores.py", *common, *inputs, *outputs)
    names = ("summary", "sizes", "arms")
    outputs = [part for name in names for part in (f"--{name}", tmp_path / f"{name}.csv")]
    text = run("analyze_comparisons.py", *common, "--scores", merged.scores, "--lesions", merged.lesions, *outputs)
    assert "constant" in text and "sensitivity_early" in text and "specificity" in text
    summary = read_table(tmp_path / "summary.csv", SUMMARY)
    assert set(summary["structure"]) == {"tumor", "liver_tumor", "pancreas_tumor"}
