"""Nothing personal passes: tokens are planted wherever scans have room for words, and looked for in all that is written."""

import json
from pathlib import Path

import pytest

from freetumor.core import settings
from freetumor.core.config import OrganLabels
from freetumor.core.errors import UserError
from freetumor.core.provenance import write_provenance
from freetumor.core.tables import CASES, FOLD_CASES, QUARANTINE, RAW_CASES, VOLUMES, read_table
from freetumor.download.organ_command import label_case
from freetumor.download.pseudonyms import KEY_FILE, VARIABLE, conceal, pseudonym, read_key
from freetumor.download.sources import download_source
from freetumor.evaluation.sheets.cohort import collect_cohort
from freetumor.figures.cohort import plot_cohort
from freetumor.figures.contact_sheet import plot_contact_sheet
from freetumor.figures.data_sheet import data_sheet
from freetumor.preprocessing.folds import assign_folds
from freetumor.preprocessing.merge import merge_volumes
from freetumor.preprocessing.volumes import preprocess_shard
from freetumor.synthesis.export_dicom import export_dicom
from freetumor.synthesis.export_monai import export_monai
from freetumor.synthesis.export_nifti import export_nifti
from freetumor.synthesis.export_nnunet import export_nnunet
from tests.factory import paint_bank
from tests.preprocessing.personal import find_tokens, make_hospital
from tests.preprocessing.samples import make_ct, raw_case, study, write_nifti

MAP = {1: "liver", 2: "liver_tumor", 3: "kidney", "Liver": "liver", "GTV": "liver_tumor", 0: "background"}


def configure(root: Path, identity: str):
    source = {"root": str(root), "images": "list.csv", "label_map": MAP, "identity": identity}
    return study(source=source, cohort={"folds": 2, "run_folds": [0]}, checks={"hu": False})


def prepare(config, out: Path) -> Path:
    """Index, preprocess, divide and paint; return the folder of the study."""
    data, stage, final = out / "data" / "own", out / "volumes" / "own", out / config.study
    download_source(config, "own", data / "cases.csv")
    shard = stage / "0.parquet", stage / "0.tsv"
    preprocess_shard(config, "own", data / "cases.csv", 0, *shard, stage / "store")
    merge_volumes([shard[0]], [shard[1]], stage / "volumes.parquet", stage / "quarantine.tsv")
    tables = [stage / "volumes.parquet"], [stage / "quarantine.tsv"]
    fold = final / "fold0" / "cases.parquet"
    assign_folds(config, *tables, final / "cases.parquet", final / "quarantine.tsv", {0: fold})
    paint_bank(config, fold, final / "bank", 1)
    return final


def finish(config, final: Path) -> None:
    """Export, draw and describe."""
    fold, manifest = final / "fold0" / "cases.parquet", final / "bank" / "manifest.parquet"
    export_nifti(config, fold, manifest, final / "nifti" / "exports.csv")
    export_dicom(config, fold, manifest, final / "dicom" / "exports.csv")
    export_monai(config, fold, manifest, final / "monai" / "exports.csv")
    export_nnunet(config, 0, "constant", fold, manifest, final / "nnunet" / "exports.csv")
    collect_cohort(config, final / "cases.parquet", final / "sheets" / "cohort.csv")
    tables = [final / name for name in ("cases.parquet", "quarantine.tsv", "sheets/cohort.csv")]
    plot_cohort(config, *tables, final / "cohort.png")
    plot_contact_sheet(config, final.parent / "volumes" / "own" / "volumes.parquet", final / "contact.png", 2)
    parts = [read_table(final / name, schema) for name, schema in (("cases.parquet", CASES), ("quarantine.tsv", QUARANTINE))]
    (final / "data_sheet.md").write_text(data_sheet(config, *parts, {0: read_table(fold, FOLD_CASES)}))
    write_provenance(final / "provenance.json", 0.0, config.model_dump(mode="json"))
    settings.save(config, final / "config.yaml")


@pytest.fixture
def hospital(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "vault"))
    root = tmp_path / "hospital"
    return root, make_hospital(root)


def test_no_planted_token_is_in_any_output(hospital, tmp_path, capfd):
    root, tokens = hospital
    assert len(set(tokens)) == len(tokens) >= 50, len(tokens)
    assert set(find_tokens(root, tokens)) == set(tokens)  # they are there, and the search finds them
    config, out = configure(root, "keyed"), tmp_path / "results"
    final = prepare(config, out)
    finish(config, final)
    raws = read_table(out / "data" / "own" / "cases.csv", RAW_CASES).to_dict("records")
    wanted = OrganLabels(command="cp {image} {output}", label_map={"*": "kidney"})
    copies = [label_case({**raw, "labels": "[]"}, wanted, "", out, silent=True) for raw in raws if "nii.gz" in raw["image"]]
    assert sum(bool(copy["path"]) for copy in copies) == 1
    log = capfd.readouterr()
    (out / "log.txt").write_text(log.out + log.err)
    assert find_tokens(out, tokens) == {}
    volumes = read_table(out / "volumes" / "own" / "volumes.parquet", VOLUMES)
    assert (len(volumes), volumes["labeled"].sum()) == (6, 6)
    codes = read_table(final / "quarantine.tsv", QUARANTINE)["code"].value_counts().to_dict()
    assert codes == {"gzip_damaged": 1, "file_unreadable": 1, "file_missing": 1, "label_unknown_value": 1}
    assert len(list((final / "dicom").rglob("*.dcm"))) > 20


def test_without_keys_names_stay_and_words_in_headers_do_not(hospital, tmp_path):
    root, tokens = hospital
    out = tmp_path / "results"
    prepare(configure(root, "as_is"), out)
    named = {token for token in tokens if token in (root / "list.csv").read_text()}
    inside = {path.name for path in root.rglob("*")}
    named |= {token for token in tokens if any(token in name for name in inside)}
    found = set(find_tokens(out, tokens))
    assert found <= named
    assert len(named) < len(tokens) / 2
    assert found  # ids and paths are the user's own


def test_the_owner_of_the_vault_finds_the_file_of_a_case(hospital, tmp_path):
    root, _ = hospital
    output = tmp_path / "results" / "data" / "own" / "cases.csv"
    download_source(configure(root, "keyed"), "own", output)
    for row in read_table(output, RAW_CASES).to_dict("records"):
        image = Path(row["image"])
        assert image.is_relative_to(tmp_path / "vault" / "own" / row["case_id"])
        files = sorted(image.iterdir()) if image.is_dir() else [image]
        assert all(file.readlink().is_relative_to(root) for file in files)
    assert (tmp_path / "vault").stat().st_mode & 0o077 == 0
    assert (tmp_path / "vault" / KEY_FILE).stat().st_mode & 0o077 == 0


def test_ids_depend_on_the_key_and_keep_patients_together(tmp_path, monkeypatch):
    image = write_nifti(tmp_path / "raw" / "a.nii.gz", make_ct()[0])
    rows = [raw_case("one", image, patient_id="p"), raw_case("two", image, patient_id="p"), raw_case("p", image)]
    ids = {}
    for vault in ("first", "second", "first"):
        monkeypatch.setenv(VARIABLE, str(tmp_path / vault))
        made = conceal(rows, "own", tmp_path / "results")
        assert len({row["case_id"] for row in made}) == 3
        assert len({row["patient_id"] for row in made}) == 1
        assert [row["case_id"] for row in made] == sorted(row["case_id"] for row in made)
        ids.setdefault(vault, made)
        assert ids[vault] == made
    assert not {row["case_id"] for row in ids["first"]} & {row["case_id"] for row in ids["second"]}
    other = conceal(rows, "other", tmp_path / "results")
    assert not {row["patient_id"] for row in ids["second"]} & {row["patient_id"] for row in other}
    key = read_key(tmp_path / "first")
    assert pseudonym(key, "a", "bc") != pseudonym(key, "ab", "c")


def test_links_follow_what_changes(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "vault"))
    series = tmp_path / "series"
    series.mkdir()
    for name in "abc":
        (series / name).write_text(name)
    first = conceal([raw_case("x", series), raw_case("y", series / "a")], "own", tmp_path / "results")
    (series / "b").unlink()
    second = conceal([raw_case("x", series)], "own", tmp_path / "results")
    (row,) = second
    assert row in first
    assert [file.read_text() for file in sorted(Path(row["image"]).iterdir())] == ["a", "c"]
    assert [path.name for path in (tmp_path / "vault" / "own").iterdir()] == [row["case_id"]]


@pytest.mark.parametrize("problem", ["vault in results", "short key", "detached header"])
def test_what_would_give_names_away_is_refused(tmp_path, monkeypatch, problem):
    vault = tmp_path / ("results/vault" if problem == "vault in results" else "vault")
    monkeypatch.setenv(VARIABLE, str(vault))
    vault.mkdir(parents=True)
    if problem == "short key":
        (vault / KEY_FILE).write_text("secret\n")
    suffix = ".mhd" if problem == "detached header" else ".nii"
    messages = {
        "vault in results": "lies in the results; expected a folder that is never passed on",
        "short key": "a key of 6 characters; expected at least 32",
        "detached header": r"sources\.own\.identity: 1 files have their voxels in another file",
    }
    with pytest.raises(UserError, match=messages[problem]) as raised:
        conceal([raw_case("Jane", tmp_path / f"Jane{suffix}")], "own", tmp_path / "results")
    assert "Jane" not in str(raised.value)
    assert json.dumps(str(raised.value)).count("\\n") == 0
