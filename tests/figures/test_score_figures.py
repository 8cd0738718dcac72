"""Figures of scores: their numbers, counted again in another way."""

import numpy as np
import pandas as pd
import pytest

from freetumor.core.config_figures import scaled_arms, shows_defects
from freetumor.core.tables import CASES, LESIONS, QUARANTINE, SCORES, make_table, read_table, write_table
from freetumor.evaluation.early import WILSON, early_detection
from freetumor.evaluation.statistics.proportions import wilson_interval
from freetumor.figures.boxes import box_numbers, case_values
from freetumor.figures.flow_chart import flow_numbers
from freetumor.figures.privacy import privacy_numbers
from freetumor.figures.scaling import plot_scaling, scaling_numbers
from freetumor.figures.trainings import training_numbers
from tests.figures.made_config import ARMS, make_config


def score(case="a", arm="real", seed=1, value=0.5, **changes):
    keys = {"case_id": case, "patient_id": case, "source": "phantom_a", "split": "development", "fold": 0, "arm": arm}
    return keys | {"seed": seed, "structure": "tumor", "metric": "dice", "value": value} | changes


def test_a_box_is_what_numpy_says_of_the_means_over_trainings(study, drawn):
    boxes = pd.read_csv(drawn / "boxes.csv")
    scores = read_table(study.paths["scores"], SCORES)
    scores = scores[(scores["metric"] == "dice") & (scores["source"] == "phantom_a")]
    for arm in ARMS:
        values = [rows["value"].mean() for _, rows in scores[scores["arm"] == arm].groupby("case_id")]
        row = boxes[(boxes["source"] == "phantom_a") & (boxes["arm"] == arm)].iloc[0]
        assert row["n"] == len(values)
        expected = [np.mean(values), *np.percentile(values, [25, 75]), min(values), max(values)]
        assert row[["mean", "q25", "q75", "low", "high"]].to_list() == pytest.approx(expected)


def test_an_arm_without_a_case_keeps_its_place():
    rows = [score(), score("b"), score("b", "freetumor", structure="liver_tumor"), score("b", structure="liver_tumor")]
    rows += [score("b", structure="kidney_tumor"), score("b", split="validation", value=0.9)]
    config = make_config()
    boxes = box_numbers(config, case_values(config, make_table(rows, SCORES)))
    counts = boxes.set_index(["structure", "arm"])["n"].to_dict()
    assert counts["tumor", "real"] == 2
    assert counts["kidney_tumor", "freetumor"] == 0
    assert not (boxes["high"] == 0.9).any()  # validation cases are not reported


def test_a_single_class_of_tumor_is_drawn_once():
    rows = [score(), score(structure="liver_tumor")]
    assert case_values(make_config(), make_table(rows, SCORES))["structure"].tolist() == ["tumor"]


def test_the_spread_of_trainings_is_taken_within_folds():
    values = pd.DataFrame(
        [
            {
                "source": "x",
                "metric": "dice",
                "arm": "real",
                "fold": fold,
                "seed": seed,
                "case_id": f"{fold}{case}",
                "value": value,
            }
            for fold, seed, found in ((0, 1, (0.2, 0.4)), (0, 2, (0.4, 0.6)), (1, 1, (0.8, 0.8)), (1, 2, (0.9, 0.9)))
            for case, value in enumerate(found)
        ]
    )
    within = training_numbers(values, within_folds=True)
    trainings = within[within["kind"] == "training"].set_index(["fold", "seed"])["mean"]
    assert trainings.to_list() == pytest.approx([0.3, 0.5, 0.8, 0.9])
    arm = within[within["kind"] == "arm"].iloc[0]
    assert (arm["mean"], arm["trainings"], arm["cases"]) == (pytest.approx(0.625), 4, 4)
    assert arm["sd"] == pytest.approx(np.sqrt((0.02 + 0.005) / 2))  # two folds, one degree of freedom each
    overall = training_numbers(values, within_folds=False)
    assert overall[overall["kind"] == "arm"]["sd"].item() == pytest.approx(np.std([0.3, 0.5, 0.8, 0.9], ddof=1))


def test_one_training_per_fold_has_no_spread():
    values = pd.DataFrame([score(case="a"), score(case="b", fold=1)])
    numbers = training_numbers(values, within_folds=True)
    assert numbers[numbers["kind"] == "arm"]["sd"].isna().all()


def lesion(case, number, diameter, detected, seed=1, **changes):
    keys = {key: value for key, value in score(case, seed=seed).items() if key not in ("metric", "value")}
    return keys | {"lesion": number, "diameter_mm": diameter, "size_bin": "x", "detected": detected, "iou": 0.0} | changes


def test_early_detection_has_the_denominators_of_small_lesions_and_free_scans():
    config = make_config(recognition={"arms": ["real"]})
    lesions = [lesion(case, number, size, hit, seed) for seed, extra in ((1, True), (2, False)) for case, number, size, hit in (
        ("a", 1, 8, True), ("a", 2, 19, extra), ("b", 1, 20, False), ("b", 2, 20.5, True))]  # fmt: skip
    free = [score(case, seed=seed, metric="specificity", value=1.0) for case in "cd" for seed in (1, 2)]
    found = early_detection(config, make_table(free, SCORES), make_table(lesions, LESIONS)).set_index("measure")
    early = found.loc["sensitivity_early"]
    assert (early["n"], early["patients"], early["trainings"]) == (3, 2, 2)  # the lesion of 20.5 mm is not early
    assert early["hits"] == pytest.approx(1.5)  # two in the one training, one in the other
    assert early["value"] == pytest.approx(0.5)
    assert 0 <= early["ci_low"] <= 0.5 <= early["ci_high"] <= 1
    assert found.loc["specificity", "interval"] == WILSON
    low, high = wilson_interval(2, 2, 0.95)
    assert (found.loc["specificity", "ci_low"], found.loc["specificity", "ci_high"]) == (low, high)


def test_the_flow_adds_up_and_names_every_fold(study):
    cases, quarantine = read_table(study.paths["cases"], CASES), read_table(study.paths["quarantine"], QUARANTINE)
    numbers = flow_numbers(cases, quarantine)
    by_step = numbers.groupby("step")["cases"].sum()
    assert by_step["entered"] == by_step["quarantined"] + by_step["excluded"] + by_step["used"]
    assert by_step["used"] == by_step["purpose"]
    development = numbers[(numbers["step"] == "purpose") & (numbers["name"] == "development")]["cases"].item()
    assert by_step["fold"] == development
    assert numbers[numbers["step"] == "quarantined"]["name"].tolist() == ["file_empty", "hu_range"]


def bank_config(*variants):
    arms = {
        f"bank_{number}": {"synthesizer": "constant_contrast", "lesions": "bank", "variants": number} for number in variants
    }
    recognition = {"arms": ["real", *arms], "seeds": [1, 2, 3]}
    return make_config(arms={"real": {}} | arms, recognition=recognition, synthesis={"lesions_per_case": 16})


def test_arms_scale_by_the_draws_that_they_take():
    assert scaled_arms(bank_config(1, 4, 16)) == {"constant_contrast": {"bank_1": 1, "bank_4": 4, "bank_16": 16}}
    assert scaled_arms(bank_config(1, 4)) == {}
    assert scaled_arms(bank_config(4, 16, 20)) == {}  # the bank holds 16
    assert "scaling" in bank_config(1, 4, 16).figures
    assert "scaling" not in make_config().figures


def test_the_curve_lies_among_the_trainings(tmp_path):
    config = bank_config(1, 2, 4, 16)
    rows = [
        score(case, f"bank_{n}", seed, 0.7 - 0.4 * n**-0.5 + 0.01 * seed)
        for n in (1, 2, 4, 16)
        for seed in (1, 2, 3)
        for case in "ab"
    ]
    numbers = scaling_numbers(config, make_table(rows, SCORES))
    curve = numbers[numbers["kind"] == "curve"]
    assert set(curve["curve"]) != {"constant"}
    assert curve["draws"].min() == 1
    assert curve["draws"].max() == pytest.approx(16)  # nothing is said beyond the data
    expected = 0.72 - 0.4 * curve["draws"].to_numpy(float) ** -0.5
    np.testing.assert_allclose(curve["value"].to_numpy(float), expected, atol=0.02)
    write_table(make_table(rows, SCORES), tmp_path / "scores.parquet", SCORES)
    plot_scaling(config, tmp_path / "scores.parquet", tmp_path / "scaling.png")
    assert (tmp_path / "scaling.md").read_text().count("12 trainings") == 1


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        ({"synthesizer": "freetumor"}, {"synthesizer": "published"}, True),
        ({"synthesizer": "freetumor"}, {"synthesizer": "freetumor", "cutmix": "independent_axes"}, True),
        ({"synthesizer": "published"}, {"synthesizer": "freetumor"}, False),
        ({}, {"synthesizer": "published"}, False),  # the baseline is no corrected method
    ],
)
def test_defects_are_drawn_against_a_corrected_method(first, second, shown):
    config = make_config(arms={"first": first, "second": second}, recognition={"arms": ["first", "second"]})
    assert shows_defects(config) == shown
    assert ("defects" in config.figures) == shown


def test_histograms_of_distances_hold_every_lesion(study):
    table = pd.read_csv(study.paths["distances"], keep_default_na=False)
    numbers = privacy_numbers(table, ["constant_contrast", "freetumor"])
    assert (numbers.groupby(["synthesizer", "measure", "kind"])["count"].sum() == 20).all()
    assert np.allclose(numbers.groupby(["synthesizer", "measure", "kind"])["share"].sum(), 1)
    edges = numbers.groupby("measure")[["low", "high"]].nunique()
    assert (edges == 24).all(axis=None)  # bins of a measure are the same throughout
