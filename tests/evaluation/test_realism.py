"""Realism of a study: like lesions look alike, shifted ones do not, and what cannot be said is not said."""

import numpy as np
import pandas as pd
import pytest

from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import make_table, read_table, write_table
from freetumor.evaluation.aligned import alignment
from freetumor.evaluation.lesion_crops import (
    COPIES,
    COPY,
    HELD_OUT,
    MEASURED,
    PAINTED,
    PLANTED,
    REAL,
    TRAINING,
    measure_fold,
)
from freetumor.evaluation.lesion_features import (
    LESION_FEATURES,
    MEASURES,
    PROFILE,
    RING_FEATURES,
)
from freetumor.evaluation.radiomics import RADIOMICS
from freetumor.evaluation.realism import score_realism
from freetumor.evaluation.realism_tables import DISTRIBUTIONS, NOT_ENOUGH, PROFILES, REALISM
from freetumor.preprocessing.store import read_array
from tests.factory import paint_bank, small_config


def measured_rows(kind, synthesizer="", count=40, shift=0.0, size=1.0, part="", fold=0, key=0):
    """Lesions of one organ with every number drawn; ``shift`` moves their look, ``size`` their diameters."""
    rng = generator("measured", kind, synthesizer, key)
    names = (*MEASURES, "flatness", *LESION_FEATURES, *RING_FEATURES, *PROFILE, *RADIOMICS)
    rows = []
    for number in range(count):
        row = {name: float(rng.normal(0 if name.startswith("ring") else shift)) for name in names}
        case = f"{'a' if kind == REAL else 'b'}{key}.{number // 2}"
        row |= {"kind": kind, "synthesizer": synthesizer, "fold": fold, "organ": "liver", "part": part, "case_id": case}
        row |= {"lesion_id": f"{case}.{number}", "patient_id": case, "diameter_mm": size * float(rng.uniform(10, 30))}
        rows.append(row)
    return rows


def make_measured(folder, shift=0.0, painted=60, order=None):
    rows = measured_rows(REAL, count=24, part=TRAINING) + measured_rows(REAL, count=30, part=HELD_OUT, key=1)
    rows += measured_rows(PAINTED, "constant", painted, shift, 1.2)
    table = make_table(rows, MEASURED)
    table = table if order is None else table.iloc[order.permutation(len(table))]
    path = folder / "lesions.parquet"
    write_table(table, path, MEASURED)
    return path


def scored(folder, path, **changes):
    config = small_config(evaluation={"resamples": 200}, **changes)
    score_realism(config, [path], folder / "realism.csv", folder / "profiles.csv", folder / "distributions.csv")
    return read_table(folder / "realism.csv", REALISM), read_table(folder / "profiles.csv", PROFILES)


def number(table, measure, statistic, organ="liver"):
    here = table[(table["measure"] == measure) & (table["statistic"] == statistic) & (table["organ"] == organ)]
    assert len(here) == 1
    return here.iloc[0]


@pytest.fixture(scope="module")
def like_and_shifted(tmp_path_factory):
    """Folders of the scores of painted lesions like the real ones, and of shifted ones, with both tables; by shift."""
    found = {}
    for shift in (0.0, 2.0):
        folder = tmp_path_factory.mktemp("scored")
        found[shift] = folder, *scored(folder, make_measured(folder, shift))
    return found


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_like_lesions_look_alike_and_shifted_ones_do_not(like_and_shifted, shift):
    _, table, profiles = like_and_shifted[shift]
    lesions, rings = (number(table, name, "auc") for name in ("lesions", "rings"))
    assert (lesions["value"] > 0.9) == (shift > 0)
    assert rings["ci_low"] < 0.5 < rings["ci_high"]
    far = [
        ("contrast_hu", "distance"),
        *((space, name) for space in ("features", "radiomics") for name in ("kernel", "frechet")),
    ]
    for measure, statistic in far:
        row = number(table, measure, statistic)
        assert (row["value"] > row["reference_high"]) == (shift > 0), measure
    for space in ("features", "radiomics"):
        for statistic in ("density", "coverage"):
            row = number(table, space, statistic)
            assert (row["value"] < row["reference_low"]) == (shift > 0), statistic
    middle = number(table, "contrast_hu", "q50")
    assert middle["value"] - middle["reference"] == pytest.approx(shift, abs=0.7)
    assert (profiles["value"] - profiles["reference"]).mean() == pytest.approx(shift, abs=0.15)
    assert (profiles["ci_low"] <= profiles["value"]).all() and (profiles["value"] <= profiles["ci_high"]).all()
    copies = number(table, "lesions", "neighbor")
    assert copies["reference_low"] <= copies["value"] <= copies["reference_high"]


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_every_radiomics_feature_is_tested_on_lesions_of_the_same_sizes(like_and_shifted, shift):
    folder, table, _ = like_and_shifted[shift]
    tests = read_table(folder / "distributions.csv", DISTRIBUTIONS)
    liver = tests[tests["organ"] == "liver"]
    assert tuple(liver["feature"]) == RADIOMICS
    assert (liver["n"] == number(table, "lesions", "auc")["n"]).all()
    assert ((liver["p_adjusted"] < 0.05).mean() > 0.9) == (shift > 0)
    assert (tests.loc[tests["organ"] == "pancreas", "note"] == NOT_ENOUGH).all()


def test_sizes_are_those_of_all_lesions_and_the_rest_is_matched(like_and_shifted):
    _, table, _ = like_and_shifted[0.0]
    size, lesions = number(table, "diameter_mm", "q50"), number(table, "lesions", "auc")
    assert (size["n"], size["n_real"]) == (60, 54)
    assert lesions["n"] % lesions["n_real"] == 0 and lesions["n_real"] < 54


def test_the_order_of_rows_changes_nothing(like_and_shifted, tmp_path):
    folder, _, _ = like_and_shifted[2.0]
    scored(tmp_path, make_measured(tmp_path, 2.0, order=generator("order")))
    for name in ("realism.csv", "profiles.csv", "distributions.csv"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_of_few_lesions_nothing_is_said(tmp_path):
    table, profiles = scored(tmp_path, make_measured(tmp_path, painted=8))
    assert (table["note"] == NOT_ENOUGH).all()
    assert table["value"].isna().all() and table["reference"].isna().all()
    assert number(table, "diameter_mm", "q50")[["n", "n_real", "patients_real"]].tolist() == [8, 54, 27]
    assert profiles.empty
    assert number(table, "lesions", "auc", "pancreas")["n_real"] == 0


def test_without_any_lesion_there_is_one_line(tmp_path):
    path = tmp_path / "lesions.parquet"
    write_table(make_table([], MEASURED), path, MEASURED)
    with pytest.raises(UserError, match=r"lesions\.parquet: holds no lesion") as caught:
        scored(tmp_path, path)
    assert "\n" not in str(caught.value)


def test_a_table_of_another_kind_is_one_line(tmp_path):
    path = tmp_path / "other.parquet"
    pd.DataFrame({"kind": ["real"]}).to_parquet(path)
    with pytest.raises(UserError, match=r"other\.parquet: table of measured lesions: columns missing: synthesizer") as caught:
        scored(tmp_path, path)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def measured(study, fold, tmp_path_factory):
    """Real, painted and planted lesions of the small fold, measured: the manifest, the table and the thumbnails."""
    folder = tmp_path_factory.mktemp("measured")
    manifest = paint_bank(study, fold, folder / "constant", 1)
    measure_fold(study, 0, fold, [manifest], folder / "lesions.parquet", folder / "lesions.b2nd")
    return read_table(manifest), read_table(folder / "lesions.parquet", MEASURED), read_array(folder / "lesions.b2nd")


def test_every_lesion_of_a_fold_is_measured_as_it_was_made(measured):
    manifest, table, _ = measured
    real = table[table["kind"] == REAL]
    assert real.groupby(["organ", "part"]).size().to_dict() == {
        ("liver", HELD_OUT): 2,
        ("liver", TRAINING): 3,
        ("pancreas", HELD_OUT): 2,
        ("pancreas", TRAINING): 3,
    }
    liver = real[real["organ"] == "liver"]
    assert liver["diameter_mm"].between(18, 22.5).all()  # balls of 21.6 mm, some cut by the organ
    assert liver["contrast_hu"].between(-57, -43).all()  # made 50 HU darker
    accepted = manifest[manifest["outcome"] == "accepted"].set_index("lesion_id")
    painted = table[table["kind"] == PAINTED].set_index("lesion_id")
    assert len(painted) and set(painted.index) <= set(accepted.index)
    assert painted["diameter_mm"].to_numpy() == pytest.approx(accepted.loc[painted.index, "diameter_mm"].to_numpy())
    assert (painted["patient_id"] == accepted.loc[painted.index, "patient_id"]).all()


def test_planted_copies_are_measured_like_their_originals_and_recognized(measured):
    _, table, cubes = measured
    assert len(cubes) == len(table) and cubes.dtype == np.float16
    planted = table[table["kind"] == PLANTED]
    assert planted.groupby("organ").size().to_dict() == {"liver": COPIES, "pancreas": COPIES}
    original = planted["lesion_id"].map(lambda name: name.rpartition(COPY)[0])
    originals = table[table["part"] == TRAINING].set_index("lesion_id").loc[original]
    assert set(original) == set(table.loc[table["part"] == TRAINING, "lesion_id"])
    for name in ("diameter_mm", "patient_id", "case_id"):
        assert planted[name].tolist() == originals[name].tolist()
    assert planted["lesion_sd"].to_numpy() == pytest.approx(np.hypot(originals["lesion_sd"], 5).to_numpy(), rel=0.1)
    mine, real = (((table["kind"] == kind) & (table["organ"] == "liver")).to_numpy() for kind in (PLANTED, REAL))
    _, outstanding = alignment(cubes[mine].astype(np.float32), cubes[real].astype(np.float32))
    nearest = table.loc[real, "lesion_id"].to_numpy()[outstanding.argmax(axis=1)]
    assert nearest.tolist() == original[planted["organ"] == "liver"].tolist()
