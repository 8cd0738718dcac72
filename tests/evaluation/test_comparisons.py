"""What comparisons say beside the main test, and what they refuse or leave out."""

import numpy as np
import pytest
from scipy import stats

from freetumor.core.errors import UserError
from freetumor.core.tables import LESIONS, SCORES, make_table, write_table
from freetumor.evaluation.checks import check_lesions, check_scores
from freetumor.evaluation.comparisons import analyze, compare, format_summary
from tests.evaluation.test_pipeline import made_config, made_scores


def row_of(summary, metric="dice", arm="constant"):
    return summary.query("metric == @metric and arm == @arm and split == 'development'").iloc[0]


def patient_differences(scores, arm="constant", metric="dice"):
    wide = scores[scores["metric"] == metric].groupby(["arm", "patient_id"])["value"].mean().unstack("arm")
    return (wide[arm] - wide["real"]).to_numpy()


def test_effect_superiority_and_permutation_test_are_those_of_the_patients():
    config = made_config()
    scores, lesions = made_scores(config, 0.02)
    row, gains = row_of(compare(config, scores, lesions)), patient_differences(scores)
    d = gains.mean() / gains.std(ddof=1)
    assert row["effect"] == pytest.approx(d * (1 - 3 / (4 * 8 - 1)), rel=2e-3)
    assert row["effect_low"] < row["effect"] < row["effect_high"]
    assert row["superiority"] == np.mean(gains > 0)
    signs = np.array(np.meshgrid(*[[-1, 1]] * 9)).reshape(9, -1).T
    assert row["p_trained"] == pytest.approx(np.mean(np.abs(signs @ np.abs(gains)) >= abs(gains.sum()) - 1e-12))


def test_the_papers_test_is_a_paired_t_test_with_bonferronis_correction():
    config = made_config()
    scores, lesions = made_scores(config, 0.02)
    summary = compare(config, scores, lesions)
    family = summary[summary["family"] == "primary"]
    expected = min(len(family) * stats.ttest_1samp(patient_differences(scores), 0).pvalue, 1)
    assert row_of(summary)["p_published"] == pytest.approx(expected)
    assert summary.loc[summary["family"] == "secondary", "p_published"].isna().all()


def test_the_arm_is_superior_where_lower_is_better_if_it_is_lower():
    config = made_config()
    summary = compare(config, *made_scores(config, 0.3))
    assert row_of(summary, "dice")["superiority"] == row_of(summary, "hd95")["superiority"] == 1
    assert row_of(summary, "hd95")["effect"] < 0, "effects keep the sign of the difference"


def test_lesions_of_a_patient_are_one_unit():
    config = made_config()
    scores, lesions = made_scores(config, 0.3)
    row = row_of(compare(config, scores, lesions), "sensitivity_early")
    early = lesions[lesions["diameter_mm"] <= 20].groupby(["arm", "patient_id"])["detected"].mean().unstack("arm")
    gains = (early["constant"] - early["real"]).to_numpy()
    assert row["superiority"] == pytest.approx(np.mean(gains > 0) + np.mean(gains == 0) / 2)
    assert row["effect"] * row["difference"] > 0


def test_what_cannot_be_paired_is_counted_and_printed():
    config = made_config()
    scores, lesions = made_scores(config)
    case = (scores["case_id"] == "d3-0") & (scores["arm"] == "constant") & (scores["seed"] == 2)
    training = (scores["fold"] == 1) & (scores["arm"] == "classic") & (scores["seed"] == 1)
    summary = compare(config, scores[~case & ~training], lesions)
    assert row_of(summary)["note"] == "paired on 8 of 9 cases"
    assert row_of(summary, arm="classic")["note"] == "paired on 5 of 6 trainings"
    assert set(summary.loc[summary["metric"] == "sensitivity_early", "note"]) == {""}
    assert "constant, dice, development: paired on 8 of 9 cases." in format_summary(summary)


def test_an_undefined_value_is_left_out_and_counted():
    config = made_config()
    scores, lesions = made_scores(config)
    undefined = (scores["case_id"] == "d2-0") & (scores["metric"] == "dice") & (scores["arm"] == "real")
    scores.loc[undefined, "value"] = np.nan
    assert row_of(compare(config, scores, lesions))["note"] == "paired on 8 of 9 cases"


def test_one_case_has_no_test_and_equal_arms_have_p_one():
    config = made_config()
    scores, lesions = made_scores(config, patients=1)
    row = row_of(compare(config, scores, lesions))
    assert row["n"] == 1 and "fewer than two patients" in row["test"]
    assert np.isnan([row["p"], row["ci_low"], row["effect"], row["p_published"]]).all() and row["p_trained"] == 1
    scores, lesions = made_scores(config)
    scores["value"] = scores.groupby(["case_id", "metric"])["value"].transform("first")
    row = row_of(compare(config, scores, lesions))
    assert (row["difference"], row["p"], row["p_trained"], row["p_published"], row["superiority"]) == (0, 1, 1, 1, 0.5)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: s.drop(columns="seed"), r"cases\.parquet: table of scores: columns missing: seed"),
        (lambda s: s.iloc[[0, *range(len(s))]], r"case d0-0, arm real, fold 0, seed 1: dice of tumor is there twice"),
        (lambda s: s.assign(value=s["value"].where(s["metric"] != "dice", 1.5)), r"dice is 1\.5, expected 0 to 1"),
        (lambda s: s.assign(value=s["value"].where(s["metric"] != "hd95", -3.0)), r"hd95 is -3, expected 0 or more"),
        (lambda s: s.assign(value=s["value"].where(s["metric"] != "hd95", np.inf)), r"hd95 is inf, expected 0 or more"),
    ],
    ids=["column missing", "row twice", "above its range", "below its range", "infinite"],
)
def test_scores_that_cannot_be_right_are_refused_in_one_line(tmp_path, change, expected):
    config = made_config()
    scores, lesions = made_scores(config)
    write_table(change(scores), tmp_path / "cases.parquet")
    write_table(lesions, tmp_path / "lesions.parquet", LESIONS)
    with pytest.raises(UserError, match=expected):
        analyze(config, tmp_path / "cases.parquet", tmp_path / "lesions.parquet", *(tmp_path / f"{n}.csv" for n in "abc"))
    assert not (tmp_path / "a.csv").exists()


def test_a_lesion_that_is_there_twice_is_refused():
    _, lesions = made_scores(made_config())
    check_lesions(lesions, "lesions.parquet")
    with pytest.raises(
        UserError, match=r"lesions\.parquet: case d0-0, arm real, fold 0, seed 1: lesion 1 of tumor is there twice"
    ):
        check_lesions(lesions.iloc[[0, *range(len(lesions))]], "lesions.parquet")


def test_an_undefined_score_is_no_mistake():
    identity = {"case_id": "a", "patient_id": "a", "source": "x", "split": "development", "fold": 0, "arm": "real", "seed": 1}
    rows = [identity | {"structure": "tumor", "metric": name, "value": value} for name, value in
            (("dice", np.nan), ("hd95_incl_empty", 900.0), ("reference_ml", 5e3))]  # fmt: skip
    check_scores(make_table(rows, SCORES), "cases.parquet")
