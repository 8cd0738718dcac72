"""Real CT from file to figure: every kind of file is read, and painting changes nothing outside its label."""

import json

import numpy as np
import pandas as pd
import pytest

from freetumor.core.errors import UserError
from freetumor.core.settings import load, merge, read_yaml, validate
from freetumor.core.tables import QUARANTINE, RAW_CASES, VOLUMES, read_table
from freetumor.download.folder import check_source
from freetumor.download.sources import download_source
from freetumor.figures.canvases import plot_canvases
from freetumor.preprocessing.store import read_array
from freetumor.preprocessing.volumes import preprocess_shard
from tests.conftest import REPOSITORY

BASE = REPOSITORY / "config.yaml"
SEG = {  # three slices of 1 mm: less than checks.extent allows by default
    "name": "seg",
    "kind": "folder",
    "root": "${FREETUMOR_REAL_DATA:-../shared/data}",
    "images": "*/ct-3slice",
    "labels": "*/liver.dcm",
    "label_map": {"Liver": "liver"},
    "tumors_annotated": False,
}


def study(name):
    return load(BASE, REPOSITORY / "studies" / f"{name}.yaml")


@pytest.fixture(scope="module")
def ingested(real_data, tmp_path_factory):
    """The study of real canvases with one more source, and the folder of its tables of volumes, coarse to be fast."""
    folder = tmp_path_factory.mktemp("real")
    raw = merge(read_yaml(BASE), read_yaml(REPOSITORY / "studies" / "real_canvases.yaml"))
    raw["sources"].append(SEG)
    raw["presets"]["canvas"] |= {"spacing": [3.0, 2.0, 2.0], "patch": [32, 48, 48]}
    config = validate(raw | {"checks": {"extent": [2.0, 2500.0]}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FREETUMOR_REAL_DATA", str(real_data))
        for source in config.sources:
            cases = folder / f"{source.name}.csv"
            download_source(config, source.name, cases)
            outputs = folder / f"{source.name}.parquet", folder / f"{source.name}.tsv", folder / source.name
            preprocess_shard(config, source.name, cases, 0, *outputs)
    return config, folder


def row_of(folder, source):
    (row,) = read_table(folder / f"{source}.parquet", VOLUMES).to_dict("records")
    return row


def test_no_real_scan_is_refused(ingested):
    config, folder = ingested
    for source in config.sources:
        assert not len(read_table(folder / f"{source.name}.tsv", QUARANTINE))


@pytest.mark.parametrize(
    ("source", "case_id", "organs", "tumors", "labeled"),
    [
        ("abdomen", "abdomen", "kidney,liver", "", False),
        ("chest_planning", "lung_4d", "lung", "lung_tumor", True),
        ("chest_diagnostic", "lung_r01", "lung", "", False),
        ("sarcoma", "dicom_rtstruct", "muscle", "muscle_tumor", True),
        ("seg", "dicom_seg", "liver", "", False),
    ],
)
def test_every_kind_of_file_gives_its_structures(ingested, source, case_id, organs, tumors, labeled):
    row = row_of(ingested[1], source)
    assert (row["case_id"], row["organs"], row["tumors"], row["labeled"]) == (case_id, organs, tumors, labeled)


def test_the_lung_tumor_has_its_published_volume_and_the_lymph_node_is_no_tumor(ingested):
    row = row_of(ingested[1], "chest_planning")
    assert row["tumor_ml"] == pytest.approx(67.6, abs=0.1)


def test_the_working_volume_keeps_organ_and_tumor_volumes_of_the_native_one(ingested):
    for source in ("abdomen", "chest_planning", "chest_diagnostic", "sarcoma"):
        row = row_of(ingested[1], source)
        native, working = read_array(row["native"]), read_array(row["label"])
        for code, name in json.loads(row["names"]).items():
            volumes = [
                (array == int(code)).sum() * np.prod(json.loads(row[spacing]))
                for array, spacing in ((native, "native_spacing"), (working, "spacing"))
            ]
            assert volumes[1] == pytest.approx(volumes[0], rel=0.03), (source, name)


def test_painting_into_real_organs_changes_the_label_and_nothing_else(ingested, tmp_path):
    config, folder = ingested
    tables = [folder / f"{name}.parquet" for name in ("abdomen", "chest_planning", "chest_diagnostic", "sarcoma")]
    plot_canvases(config, tables, tmp_path / "canvases.png")
    numbers = pd.read_csv(tmp_path / "canvases.csv")
    painters = ["liver", "liver_grown", "kidney", "kidney_grown", "lung", "muscle", "muscle_grown"]
    assert numbers["synthesizer"].tolist() == [name for name in painters for _ in range(2)]
    assert numbers["case_id"].nunique() == 4
    assert (numbers["changed_outside"] == 0).all()
    assert (numbers["unchanged_inside"] == 0).all()
    change = numbers["hu_after"] - numbers["hu_before"]
    assert (change[numbers["organ"] == "lung"] > 200).all()
    assert change[numbers["organ"] != "lung"].between(-80, -5).all()
    assert (tmp_path / "canvases.png").stat().st_size < 700_000


def test_the_sarcoma_study_finds_all_patients_beside_the_checkout_or_where_the_variable_says(real_data, tmp_path, monkeypatch):
    for name in ("checkout", "shared", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "shared" / "data").symlink_to(real_data)
    monkeypatch.chdir(tmp_path / "checkout")
    config = study("sts")
    for folder in ("", str(real_data)):
        monkeypatch.setenv("FREETUMOR_REAL_DATA", folder)
        download_source(config, "sts", tmp_path / "cases.csv")
        rows = read_table(tmp_path / "cases.csv", RAW_CASES)
        assert len(rows) == 24
        assert rows["labeled"].all()
        assert rows["image"].str.startswith(f"{folder or '../shared/data'}/sts/ct/STS_").all()
        for row in rows.to_dict("records"):
            (label,) = json.loads(row["labels"])
            assert label == {"path": row["image"].replace("/ct/", "/gtv/"), "map": {"1": "muscle_tumor"}}


def test_missing_data_are_one_line_that_names_the_variable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, named in (("", "../shared/data"), ("/no/such/folder", "/no/such/folder")):
        monkeypatch.setenv("FREETUMOR_REAL_DATA", folder)
        with pytest.raises(UserError) as caught:
            check_source(study("sts").source("sts"))
        assert "\n" not in str(caught.value)
        assert f"sources.sts.root: {named} is not a folder" in str(caught.value)
        assert "export FREETUMOR_REAL_DATA=" in str(caught.value)


def test_both_studies_of_real_data_look_in_the_same_place():
    roots = {source.root for name in ("sts", "real_canvases") for source in study(name).sources}
    assert len(roots) == 1
