"""Classifications: from predictions to rates, tests, selections and published numbers beside them."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from freetumor.core.errors import UserError
from freetumor.core.settings import save
from freetumor.core.tables import CLASSIFICATIONS, LESIONS, SCORES, make_table, read_table, write_table
from freetumor.evaluation.arms import describe_arms
from freetumor.evaluation.calibration import CALIBRATION
from freetumor.evaluation.classification import (
    CLASSIFICATION,
    CONFUSION,
    Pooled,
    analyze_classification,
    category_rates,
    class_weighted,
    macro_auc,
    pool,
)
from freetumor.evaluation.comparisons import analyze, compare, format_summary
from freetumor.evaluation.curves import accuracy_curves, added_samples
from freetumor.evaluation.pairing import reported
from freetumor.evaluation.score import Rows, score_category, score_predictions
from freetumor.evaluation.sizes import sensitivity_by_size
from freetumor.evaluation.statistics.proportions import mcnemar_of, wilson_interval
from tests.classification import CATEGORIES, classification_config, classified, merged_scores
from tests.conftest import REPOSITORY

AUGMENTED = np.array([[52, 1, 0], [2, 44, 18], [0, 18, 47]])  # Frid-Adar et al. 2018, tables I and II
SYNTHESIZED = np.array([[53, 0, 0], [2, 52, 10], [1, 13, 51]])


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    """Merged tables of a made-up study: its configuration, and paths of scores, lesions and selections."""
    config = classification_config()
    return config, merged_scores(config, tmp_path_factory.mktemp("merged"))


@pytest.fixture(scope="module")
def tables(merged, tmp_path_factory):
    """The three tables of the analysis, as paths."""
    config, paths = merged
    folder = tmp_path_factory.mktemp("tables")
    outputs = {name: folder / f"{name}.csv" for name in ("classification", "confusion", "curves")}
    analyze_classification(config, paths["scores"], *outputs.values())
    return outputs


def prediction(**changes):
    row = {"case_id": "a", "patient_id": "p", "source": "made", "domain": "", "split": "development", "fold": 0, "arm": "x"}
    row |= {"seed": 1, "category": "cyst", "predicted": "metastasis", "diameter_mm": 33.0}
    shares = {"cyst": 0.3, "metastasis": 0.6, "hemangioma": 0.1}
    return row | {"probabilities": json.dumps(shares)} | changes


# --- scores ------------------------------------------------------------------------------------------------------------


def test_a_wrong_case_is_a_miss_of_its_category_and_a_false_alarm_of_one_other():
    scores, lesions, candidates, reliability = score_category(classification_config(), prediction())
    values = {(row["structure"], row["metric"]): row["value"] for row in scores}
    assert values == {
        ("all", "accuracy"): 0, ("all", "category"): 0, ("all", "predicted"): 1,
        ("cyst", "probability"): 0.3, ("metastasis", "probability"): 0.6, ("hemangioma", "probability"): 0.1,
        ("cyst", "sensitivity"): 0, ("metastasis", "specificity"): 0, ("hemangioma", "specificity"): 1,
    }  # fmt: skip
    assert [(row["structure"], row["detected"], row["size_bin"]) for row in lesions] == [
        ("cyst", False, "20-40"),
        ("tumor", False, "20-40"),
    ]
    counted = [(row["kind"], row["bin"], row["count"], row["positives"]) for row in reliability]
    assert not candidates and counted == [
        ("category", 1, 1, 0), ("category", 3, 1, 1), ("category", 6, 1, 0), ("top_category", 6, 1, 0)
    ]  # fmt: skip


@pytest.mark.parametrize("changes", [{"category": "abscess"}, {"predicted": "abscess"}, {"probabilities": '{"abscess": 1}'}])
def test_a_category_that_the_study_does_not_know_is_named(changes):
    with pytest.raises(UserError, match=r"categories: case a has abscess; expected cyst, metastasis, hemangioma"):
        score_category(classification_config(), prediction(**changes))


def test_the_task_decides_which_table_is_read(tmp_path):
    write_table(make_table([prediction()], CLASSIFICATIONS), tmp_path / "p.parquet", CLASSIFICATIONS)
    outputs = Rows(*(tmp_path / f"{name}.parquet" for name in Rows._fields))
    score_predictions(classification_config(), tmp_path / "p.parquet", outputs)
    assert len(read_table(outputs.scores, SCORES)) == 9 and len(read_table(outputs.lesions, LESIONS)) == 2


# --- rates -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matrix", "sensitivity", "specificity", "weighted"),
    [
        (AUGMENTED, (98.1, 68.7, 72.3), (98.4, 83.9, 84.6), (78.6, 88.4)),
        (SYNTHESIZED, (100, 81.2, 78.5), (97.7, 89.0, 91.4), (85.7, 92.4)),
    ],
)
def test_the_published_matrices_give_the_published_rates(matrix, sensitivity, specificity, weighted):
    found = category_rates(matrix)
    for rates, printed in zip(found, (sensitivity, specificity), strict=True):
        np.testing.assert_allclose(100 * rates, printed, atol=0.06)  # some were printed cut off instead of rounded
    assert [round(100 * class_weighted(rates, matrix), 1) for rates in found] == list(weighted)
    assert class_weighted(found[0], matrix) == pytest.approx(np.trace(matrix) / matrix.sum())


def test_the_published_accuracies_have_the_intervals_of_wilson():
    assert wilson_interval(143, 182, 0.95) == pytest.approx((0.721, 0.839), abs=5e-4)
    assert wilson_interval(156, 182, 0.95) == pytest.approx((0.799, 0.901), abs=5e-4)


def test_a_category_without_cases_has_no_weight():
    matrix = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    sensitivity, _ = category_rates(matrix)
    assert np.isnan(sensitivity[2]) and class_weighted(sensitivity, matrix) == pytest.approx(7 / 8)


def test_macro_auc_is_that_of_scikit_learn_and_needs_every_category():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(3)
    true = np.repeat([0, 1, 2], 20)
    shares = rng.dirichlet(np.ones(3), 60) + 0.3 * np.eye(3)[true]
    shares /= shares.sum(axis=1, keepdims=True)
    found = Pooled([str(i) for i in range(60)], true, shares.argmax(axis=1), shares)
    assert macro_auc(found) == pytest.approx(roc_auc_score(true, shares, multi_class="ovr", average="macro"))
    assert np.isnan(macro_auc(Pooled(found.cases[:40], true[:40], found.predicted[:40], shares[:40])))


@pytest.mark.parametrize(("b", "c", "p"), [(23, 10, 0.035), (28, 15, 0.066), (0, 0, 1.0)])
def test_mcnemar_is_the_exact_test(b, c, p):
    """The first two are the p-values of a gain of 13 cases, as audits of the paper compute them."""
    from statsmodels.stats.contingency_tables import mcnemar as reference

    right = np.array([True] * b + [False] * c + [True] * 9 + [False] * 4)
    baseline = np.array([False] * b + [True] * c + [True] * 9 + [False] * 4)
    found = mcnemar_of(right, baseline)
    assert (found.first, found.second) == (b, c) and found.p == pytest.approx(p, abs=5e-4)
    assert found.p == pytest.approx(reference([[9, c], [b, 4]], exact=True).pvalue)


def test_pooled_matrices_hold_each_test_case_once_per_seed(merged, tables):
    config, paths = merged
    confusion = read_table(tables["confusion"], CONFUSION)
    assert confusion.groupby(["arm", "seed"])["count"].sum().eq(60).all()
    scores = read_table(paths["scores"], SCORES)
    own = scores[(scores["arm"] == "dcgan_30") & (scores["split"] == "development") & (scores["seed"] == 2)]
    right = own[own["metric"] == "accuracy"]["value"].sum()
    diagonal = confusion[
        (confusion["arm"] == "dcgan_30") & (confusion["seed"] == 2) & (confusion["true"] == confusion["predicted"])
    ]
    assert diagonal["count"].sum() == right
    assert set(confusion["arm"]) == set(config.compared)


def test_means_over_seeds_are_those_of_the_seeds_and_intervals_hold_them(tables):
    table = read_table(tables["classification"], CLASSIFICATION)
    keys = ["arm", "metric", "category"]
    single = table[(table["seed"] != "mean") & (table["metric"] != "mcnemar")].groupby(keys)["value"]
    mean = table[(table["seed"] == "mean") & (table["metric"] != "optimism")].set_index(keys).sort_index()
    np.testing.assert_allclose(mean["value"], single.mean().sort_index(), atol=1e-12)
    np.testing.assert_allclose(mean["sd"], single.std().sort_index(), atol=1e-12)
    bounded = mean.dropna(subset="ci_low")
    assert (bounded["ci_low"] <= bounded["value"] + 1e-12).all() and (bounded["value"] <= bounded["ci_high"] + 1e-12).all()
    assert set(mean.index.get_level_values("metric")).difference(bounded.index.get_level_values("metric")) == {
        "weighted_specificity", "macro_auc"
    }  # fmt: skip


def test_mcnemar_rows_count_the_cases_in_which_the_arms_differ(merged, tables):
    config, paths = merged
    table = read_table(tables["classification"], CLASSIFICATION)
    row = table[(table["metric"] == "mcnemar") & (table["arm"] == "classic_0") & (table["seed"] == "3")].iloc[0]
    scores = reported(read_table(paths["scores"], SCORES))
    wide = scores[(scores["metric"] == "accuracy") & (scores["seed"] == 3)].pivot(
        index="case_id", columns="arm", values="value"
    )
    b, c = ((wide["classic_0"] > wide["classic_100"]).sum(), (wide["classic_0"] < wide["classic_100"]).sum())
    assert (row["b"], row["c"], row["baseline"]) == (b, c, "classic_100")
    assert row["p"] == pytest.approx(stats.binomtest(int(b), int(b + c)).pvalue)
    assert "what papers report" in row["test"]
    assert not ((table["metric"] == "mcnemar") & (table["arm"] == config.compared[0])).any()


def test_out_of_fold_predictions_do_not_depend_on_the_order_of_rows(merged):
    config, paths = merged
    scores = reported(read_table(paths["scores"], SCORES))
    own = scores[scores["arm"] == "acgan_30"]
    first, second = (pool(config, table)[1] for table in (own, own.sample(frac=1, random_state=0)))
    assert first.cases == second.cases
    np.testing.assert_array_equal(first.probabilities, second.probabilities)


# --- comparisons -------------------------------------------------------------------------------------------------------


def test_compared_are_accuracy_overall_and_both_rates_per_category(merged):
    config, paths = merged
    summary = compare(config, *(reported(read_table(paths[name])) for name in ("scores", "lesions")))
    assert set(zip(summary["metric"], summary["structure"], strict=True)) == {
        ("accuracy", "all"), *((metric, name) for metric in ("sensitivity", "specificity") for name in CATEGORIES)
    }  # fmt: skip
    assert set(summary.loc[summary["family"] == "primary", "arm"]) == set(config.compared[1:])
    assert set(summary.loc[summary["family"] == "primary", "metric"]) == {"accuracy"}
    text = format_summary(summary)
    for arm in config.compared[1:]:
        assert any(line.split()[:3] == [arm, "accuracy", "development"] for line in text.splitlines())
    assert "sensitivity_early" not in text and "specificity" not in text


def test_validation_cases_enter_nothing_but_selections(merged, tmp_path):
    config, paths = merged
    few = {"arms": ["classic_100", "dcgan_10", "dcgan_30"], "network": config.recognition.network}
    config = classification_config(recognition=few)
    scores, lesions = (read_table(paths[name]) for name in ("scores", "lesions"))
    assert (scores["split"] == "validation").any()
    names = ("summary", "sizes", "arms")
    contents = []
    for number, keep in enumerate((scores["split"] != "none", scores["split"] != "validation")):
        folder = tmp_path / str(number)
        write_table(scores[keep], folder / "scores.parquet", SCORES)
        outputs = [folder / f"{name}.csv" for name in names]
        analyze(config, folder / "scores.parquet", paths["lesions"], *outputs)
        rest = [folder / f"{name}.csv" for name in ("classification", "confusion", "curves")]
        analyze_classification(config, folder / "scores.parquet", *rest)
        contents.append([path.read_bytes() for path in (*outputs, *rest)])
    assert contents[0] == contents[1]
    assert "validation" not in "".join(content.decode() for content in contents[0][:3])
    assert len(reported(lesions)) < len(lesions)


def test_arms_have_no_rows_of_bookkeeping_and_no_empty_masks(merged):
    config, paths = merged
    arms = describe_arms(config, *(reported(read_table(paths[name])) for name in ("scores", "lesions")))
    assert set(arms["metric"]) == {"accuracy", "sensitivity", "specificity"} and set(arms["arm"]) == set(config.compared)
    assert not arms[["n_empty_references", "n_missed", "n_false_alarms"]].to_numpy().any()


def test_lesions_by_size_are_the_share_that_is_classified_correctly(merged):
    config, paths = merged
    lesions = reported(read_table(paths["lesions"], LESIONS))
    sizes = sensitivity_by_size(config, lesions).set_index(["arm", "size_bin"])
    expected = lesions[lesions["structure"] == "tumor"].groupby(["arm", "size_bin"])["detected"].mean()
    np.testing.assert_allclose(sizes["detected_share"].sort_index(), expected.sort_index())


# --- curves ------------------------------------------------------------------------------------------------------------


def test_curves_count_synthetic_samples_of_all_categories(merged):
    config, paths = merged
    scores = reported(read_table(paths["scores"], SCORES))
    curves = accuracy_curves(config, scores).set_index("arm")
    assert added_samples(config, "dcgan_30") == (100, 90) and curves.loc["dcgan_30", "added"] == 190
    assert curves["kind"].to_dict() == {
        "classic_0": "classic", "classic_50": "classic", "classic_100": "classic", "dcgan_10": "dcgan", "dcgan_30": "dcgan",
        "acgan_30": "acgan", "dcgan_nested": "selection", "dcgan_optimistic": "selection",
    }  # fmt: skip
    accuracy = scores[scores["metric"] == "accuracy"].groupby("arm")["value"].mean()
    np.testing.assert_allclose(curves["accuracy"].sort_index(), accuracy.sort_index())


# --- mistakes and scripts ----------------------------------------------------------------------------------------------


def test_an_arm_without_classifications_is_named(merged, tmp_path):
    config, paths = merged
    scores = read_table(paths["scores"], SCORES)
    write_table(scores[scores["arm"] != "acgan_30"], tmp_path / "scores.parquet", SCORES)
    outputs = [tmp_path / f"{name}.csv" for name in "abc"]
    with pytest.raises(UserError, match="no classifications of arm 'acgan_30'"):
        analyze_classification(config, tmp_path / "scores.parquet", *outputs)


def test_scripts_run_from_predictions_to_the_printed_table(tmp_path):
    network = classification_config().recognition.network
    arms = ["classic_100", "dcgan_10"]
    config = classification_config(evaluation={"primary": ["accuracy"]}, recognition={"arms": arms, "network": network})
    save(config, tmp_path / "study.yaml")
    parts = []
    for arm in arms:
        rows = [row for fold in config.folds for row in classified(config, arm, fold, 1, 24)]
        write_table(make_table(rows, CLASSIFICATIONS), tmp_path / f"{arm}.parquet", CLASSIFICATIONS)
        parts.append(Rows(*(tmp_path / f"{arm}.{name}.parquet" for name in Rows._fields)))
        score_predictions(config, tmp_path / f"{arm}.parquet", parts[-1])

    def run(script, *arguments):
        command = [sys.executable, REPOSITORY / "scripts" / script, "--config", tmp_path / "study.yaml", *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    scores, lesions = tmp_path / "cases.parquet", tmp_path / "lesions.parquet"
    reliability = tmp_path / "reliability.parquet"
    inputs = [part for name in Rows._fields for part in (f"--{name}", *(getattr(paths, name) for paths in parts))]
    outputs = ["--output", scores, "--lesions-output", lesions, "--selections", tmp_path / "selections.csv"]
    outputs += ["--candidates-output", tmp_path / "candidates.parquet", "--reliability-output", reliability]
    run("merge_scores.py", *inputs, *outputs)
    run("analyze_calibration.py", "--reliability", reliability, "--output", tmp_path / "calibration.csv")
    calibration = read_table(tmp_path / "calibration.csv", CALIBRATION)
    assert set(calibration["kind"]) == {"category", "top_category"} and set(calibration["arm"]) == set(arms)
    tables = [part for name in ("table", "confusion", "curves") for part in (f"--{name}", tmp_path / f"{name}.csv")]
    text = run("analyze_classification.py", "--scores", scores, *tables)
    assert all(arm in text for arm in arms)
    assert (tmp_path / "selections.csv").read_text() == "fold,selection,by,candidate,value,chosen\n"
