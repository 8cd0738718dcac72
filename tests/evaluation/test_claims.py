"""Published beside measured numbers: every value keeps its source, and a verdict follows from the interval alone."""

import math
import subprocess
import sys

import pandas as pd
import pytest

from freetumor.core.errors import UserError
from freetumor.core.settings import save
from freetumor.core.tables import SUMMARY, TEXT, make_table, read_table, write_table
from freetumor.evaluation.claims import (
    CLAIMS,
    HIGHER,
    INSIDE,
    LOWER,
    NO_INTERVAL,
    NOT_MEASURED,
    PUBLISHED,
    TRUST,
    Measure,
    arm_of_setting,
    classification_measures,
    compare_claims,
    judge,
)
from freetumor.evaluation.classification import CLASSIFICATION, CONFUSION, analyze_classification
from freetumor.evaluation.comparisons import analyze
from tests.classification import CATEGORIES, classification_config, merged_scores
from tests.conftest import REPOSITORY
from tests.figures.made_config import make_config

FILES = sorted((REPOSITORY / "studies" / "claims").glob("*.csv"))
FRIDADAR = REPOSITORY / "studies" / "claims" / "fridadar2018.csv"
MATRICES = {  # Frid-Adar et al. 2018, tables I and II
    "baseline": [[52, 1, 0], [2, 44, 18], [0, 18, 47]],
    "dcgan_optimistic": [[53, 0, 0], [2, 52, 10], [1, 13, 51]],
}


def comparison(**changes):
    row = dict.fromkeys(SUMMARY.columns, math.nan) | {name: "" for name, kind in SUMMARY.columns.items() if kind == TEXT}
    row |= {"metric": "dice", "structure": "tumor", "split": "development", "arm": "freetumor", "baseline": "real", "n": 24}
    row |= {
        "patients": 24,
        "trainings": 6,
        "mean": 0.3,
        "mean_baseline": 0.2,
        "difference": 0.1,
        "ci_low": 0.02,
        "ci_high": 0.18,
    }
    return row | changes


def published(**changes):
    row = {"quantity": "difference/dice/tumor/development", "setting": "freetumor", "value": 0.067, "unit": "Dice"}
    row |= {"numerator": math.nan, "denominator": math.nan, "data": "12 data sets", "source": "a paper", "trust": "first-hand"}
    return row | {"needs": ""} | changes


def beside(folder, *claims, **changes):
    """The table of claims for one comparison."""
    write_table(make_table(claims, PUBLISHED), folder / "published.csv", PUBLISHED)
    write_table(make_table([comparison(**changes)], SUMMARY), folder / "summary.csv", SUMMARY)
    compare_claims(make_config(), folder / "published.csv", folder / "summary.csv", folder / "claims.csv")
    return read_table(folder / "claims.csv", CLAIMS)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.02, 0.18, INSIDE), (0.067, 0.18, INSIDE), (0.0, 0.05, LOWER), (0.08, 0.18, HIGHER), (math.nan, math.nan, NO_INTERVAL)],
)
def test_the_verdict_is_the_side_on_which_the_interval_lies(low, high, verdict):
    assert judge(0.067, Measure(0.05, low, high, 24, "cases")) == verdict


def test_a_comparison_stands_beside_the_published_one(tmp_path):
    row = beside(tmp_path, published()).iloc[0]
    assert (row["measured"], row["measured_low"], row["measured_high"]) == (0.1, 0.02, 0.18)
    assert (row["arm"], row["verdict"], row["measured_data"]) == ("freetumor", INSIDE, "this study, 24 cases")
    assert row["reason"] == "other data"


def test_what_is_not_measured_says_why(tmp_path):
    quantity = "reading_accuracy"
    claims = [
        published(quantity=quantity, setting="radiologists", needs="radiologists"),
        published(setting="elsewhere"),
        published(quantity=quantity),
        published(quantity="difference/dice/tumor/external"),
    ]
    table = beside(tmp_path, *claims)
    assert set(table["verdict"]) == {NOT_MEASURED} and table["measured"].isna().all() and (table["arm"] == "").all()
    unmeasured = "this study does not measure it"
    assert list(table["reason"]) == ["needs radiologists", "no arm of this study is 'elsewhere'", unmeasured, unmeasured]


def test_a_p_value_gets_no_verdict(tmp_path):
    row = beside(tmp_path, published(quantity="p/dice/tumor/development", unit="p"), p=0.03).iloc[0]
    assert (row["measured"], row["verdict"]) == (0.03, NO_INTERVAL)
    assert row["reason"] == "it has no interval, and other data"


def test_rows_keep_their_order_and_their_sources(tmp_path):
    claims = [published(setting=name, source=f"paper {name}") for name in ("b", "freetumor", "a")]
    table = beside(tmp_path, *claims)
    assert list(table["source"]) == ["paper b", "paper freetumor", "paper a"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trust": "rumor"}, "expected a trust among first-hand, secondary, derived, got 'rumor'"),
        ({"value": 0.9, "numerator": 104, "denominator": 182}, r"expected the value 0\.571 \(104/182\), got 0\.9"),
    ],
)
def test_a_mistake_in_the_published_table_is_named(tmp_path, changes, message):
    with pytest.raises(UserError, match=rf"published\.csv: difference/dice/tumor/development of freetumor: {message}"):
        beside(tmp_path, published(**changes))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_published_number_has_a_source_data_and_trust(path):
    table = read_table(path, PUBLISHED)
    assert len(table) > 10 and table["value"].notna().all() and not table.duplicated(["quantity", "setting", "data"]).any()
    assert set(table["trust"]) <= set(TRUST)
    for column in ("quantity", "setting", "unit", "data", "source"):
        assert (table[column].str.strip() != "").all()


def test_numbers_that_nobody_could_verify_are_left_out():
    table = read_table(REPOSITORY / "studies" / "claims" / "freetumor2025.csv", PUBLISHED)
    assert 0.164 not in set(table["value"])  # early detection: known from a machine-written summary alone


# --- classification ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """A made-up classification: its configuration, and paths of its tables."""
    config, folder = classification_config(), tmp_path_factory.mktemp("claims")
    paths = merged_scores(config, folder)
    names = ("classification", "confusion", "curves", "summary", "sizes", "arms", "claims")
    paths |= {name: folder / f"{name}.csv" for name in names}
    analyze_classification(config, paths["scores"], *(paths[name] for name in names[:3]))
    analyze(config, paths["scores"], paths["lesions"], *(paths[name] for name in names[3:6]))
    compare_claims(config, FRIDADAR, paths["summary"], paths["claims"], paths["classification"])
    return config, paths


def test_published_shares_have_wilson_intervals_and_stay_apart_from_our_own(classified):
    _, paths = classified
    claims = read_table(paths["claims"], CLAIMS)
    row = claims[(claims["quantity"] == "weighted_sensitivity") & (claims["setting"] == "dcgan_optimistic")].iloc[0]
    assert (row["claimed_low"], row["claimed_high"]) == pytest.approx((0.799, 0.901), abs=5e-4)
    assert row["claimed_data"] == "private, 182 lesions" and row["measured_data"] == "this study, 60 lesions made in code"
    rates = read_table(paths["classification"], CLASSIFICATION)
    own = rates[(rates["arm"] == "dcgan_optimistic") & (rates["seed"] == "mean") & (rates["metric"] == "accuracy")]
    assert row["measured"] == pytest.approx(own["value"].item())
    absent = claims[claims["setting"].isin(["expert_1", "bovw_mi", "classic_5000"])]
    assert len(absent) and (absent["verdict"] == NOT_MEASURED).all() and absent["measured"].isna().all()


def test_shares_of_a_confusion_matrix_are_those_of_its_row():
    rows = [("cyst", "cyst", 6), ("cyst", "metastasis", 2), ("metastasis", "metastasis", 5), ("metastasis", "cyst", 0)]
    counts = [{"arm": "x", "seed": seed, "true": t, "predicted": p, "count": n} for seed in (1, 2) for t, p, n in rows]
    found = classification_measures(make_table([], CLASSIFICATION), make_table(counts, CONFUSION))
    measure = found["confusion/cyst/metastasis", "x"]
    assert (measure.value, measure.n) == (0.25, 8)
    assert found["confusion/metastasis/cyst", "x"].value == 0


def test_settings_are_arms_selections_the_baseline_or_synthesizers():
    config = classification_config()
    for setting, arm in (("baseline", "classic_100"), ("classic_0", "classic_0"), ("dcgan_nested", "dcgan_nested"),
                         ("dcgan", "dcgan_30"), ("acgan", "acgan_30"), ("expert_1", "")):  # fmt: skip
        assert arm_of_setting(config, setting) == arm


def test_the_published_table_holds_both_matrices_whole():
    table = read_table(FRIDADAR, PUBLISHED).set_index(["quantity", "setting"])
    for setting, matrix in MATRICES.items():
        for true, counts in zip(CATEGORIES, matrix, strict=True):
            for predicted, count in zip(CATEGORIES, counts, strict=True):
                row = table.loc[f"confusion/{true}/{predicted}", setting]
                assert (row["numerator"], row["denominator"]) == (count, sum(counts))


def test_the_script_writes_the_same_table(classified, tmp_path):
    config, paths = classified
    save(config, tmp_path / "config.yaml")
    arguments = {"config": tmp_path / "config.yaml", "published": FRIDADAR, "output": tmp_path / "claims.csv"}
    arguments |= {name: paths[name] for name in ("summary", "classification")}
    flags = [str(part) for name, value in arguments.items() for part in (f"--{name}", value)]
    script = REPOSITORY / "scripts" / "compare_claims.py"
    done = subprocess.run([sys.executable, script, *flags], capture_output=True, text=True, check=True)
    assert (tmp_path / "claims.csv").read_bytes() == paths["claims"].read_bytes()
    assert NOT_MEASURED in done.stdout and len(pd.read_csv(tmp_path / "claims.csv")) > 50
