"""A source gives the same volumes in any number of shards, processes and attempts."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from freetumor.core.errors import UserError
from freetumor.core.tables import QUARANTINE, VOLUMES, read_table
from freetumor.preprocessing import case as case_module
from freetumor.preprocessing import volumes as stage
from freetumor.preprocessing.geometry import to_native
from freetumor.preprocessing.merge import merge_volumes
from freetumor.preprocessing.store import read_array
from freetumor.preprocessing.volumes import preprocess_shard
from tests.preprocessing.samples import AFFINE, make_ct, raw_case, study, write_cases, write_dicom, write_nifti

CASES = 6


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> Path:
    """Six good cases, the last as DICOM without labels, and a damaged one."""
    folder = tmp_path_factory.mktemp("raw")
    rows = []
    for index in range(CASES - 1):
        image, label = make_ct(index)
        paths = write_nifti(folder / f"i{index}.nii.gz", image), write_nifti(folder / f"l{index}.nii.gz", label)
        rows.append(raw_case(f"case-{index}", *paths))
    write_dicom(folder / "series", make_ct(9)[0])
    rows.append(raw_case(f"case-{CASES - 1}", folder / "series", labeled=False))
    (folder / "bad.nii.gz").write_bytes((folder / "i0.nii.gz").read_bytes()[:-50])
    rows.append(raw_case("damaged", folder / "bad.nii.gz"))
    return write_cases(folder / "cases.csv", rows)


def run(cases: Path, out: Path, work: Path, shards: int = 1, workers: int = 1, **changes: object) -> dict[str, bytes]:
    """Run all shards and merge them; return the bytes of everything that was written."""
    config = study(shards, **changes)
    parts = []
    for shard in range(shards):
        parts.append((out / f"{shard}.parquet", out / f"{shard}.tsv"))
        preprocess_shard(config, "own", cases, shard, *parts[-1], work, workers)
    tables, quarantines = zip(*parts, strict=True)
    merge_volumes(tables, quarantines, out / "volumes.parquet", out / "quarantine.tsv")
    files = [*work.iterdir(), out / "volumes.parquet", out / "quarantine.tsv"]
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def reference(cases, tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    """The result of one shard and one process, and where it lies."""
    folder = tmp_path_factory.mktemp("reference")
    work = Path("work")
    before = Path.cwd()
    os.chdir(folder)
    try:
        return folder, run(cases, folder / "out", work)
    finally:
        os.chdir(before)


@pytest.mark.parametrize(("shards", "workers"), [(7, 1), (323, 1), (1, 2)])
def test_shards_and_processes_change_no_byte(cases, reference, tmp_path, monkeypatch, shards, workers):
    monkeypatch.chdir(tmp_path)
    result = run(cases, tmp_path / "out", Path("work"), shards, workers)
    assert sorted(result) == sorted(reference[1])
    assert [name for name in result if result[name] != reference[1][name]] == []


def test_valid_results_are_kept_and_damaged_ones_made_anew(cases, reference, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    work = Path("work")
    run(cases, tmp_path / "out", work)
    made = []
    original = case_module.FORMS["volume"]

    def record(raw, *rest):
        made.append(raw["case_id"])
        return original(raw, *rest)

    monkeypatch.setitem(case_module.FORMS, "volume", record)
    array = work / "case-1.image.b2nd"
    array.write_bytes(array.read_bytes()[:-10])
    (work / "case-2.json").write_text("{ torn")
    result = run(cases, tmp_path / "out", work)
    assert made == ["case-1", "case-2", "damaged"]
    assert result == reference[1]
    made.clear()
    run(cases, tmp_path / "out", work, checks={"hu": False})
    assert len(made) == CASES + 1  # other settings, other results


def test_a_row_describes_its_arrays(reference):
    folder, _ = reference
    table = read_table(folder / "out/volumes.parquet", VOLUMES).set_index("case_id")
    assert len(table) == CASES
    for case_id, row in table.iterrows():
        image, label, native = (read_array(folder / row[kind]) for kind in ("image", "label", "native"))
        assert (image.dtype, label.dtype, native.dtype) == (np.int16, np.uint8, np.uint8)
        assert list(image.shape) == list(label.shape) == json.loads(row["shape"])
        assert list(native.shape) == json.loads(row["native_shape"])
        assert json.loads(row["names"]) == {"1": "kidney", "2": "liver", "3": "liver_tumor"}
        with np.load(folder / row["sites"], allow_pickle=False) as sites:
            assert {"lesions", "foreground"} <= set(sites.files)
        if row["labeled"]:
            truth = make_ct(int(case_id[-1]))[1]
            np.testing.assert_array_equal(native, np.array([0, 2, 3, 1], np.uint8)[truth])
            assert (row["organs"], row["tumors"]) == ("kidney,liver", "liver_tumor")
            assert row["tumor_ml"] == pytest.approx((truth == 2).sum() * 3.5 * 2.5 * 2.0 / 1000)
        else:
            assert (row["organs"], row["tumors"], native.any()) == ("", "", False)


def test_the_affine_puts_every_voxel_where_the_patient_was(cases, tmp_path):
    presets = {"tiny": {"spacing": (2.2, 1.9, 1.7), "window": (-175, 250), "patch": (16, 16, 16)}}  # finer than native
    run(cases, tmp_path / "out", tmp_path / "work", presets=presets)
    row = read_table(tmp_path / "out/volumes.parquet", VOLUMES).set_index("case_id").loc["case-0"]
    affine = np.array(json.loads(row["affine"]))
    stored = read_array(row["image"])
    index = np.argwhere(np.ones(stored.shape, bool))[:, ::-1]  # (x, y, z)
    places = index @ affine[:3, :3].T + affine[:3, 3]
    inverse = np.linalg.inv(AFFINE)
    native = (places @ inverse[:3, :3].T + inverse[:3, 3])[:, ::-1]
    expected = ndimage.map_coordinates(make_ct(0)[0].astype(float), native.T, order=1, mode="nearest")
    assert np.abs(stored.ravel() - expected).max() < 0.6
    lengths = np.linalg.norm(affine[:3, :3], axis=0)[::-1]
    np.testing.assert_allclose(lengths, json.loads(row["spacing"]), atol=1e-6)
    back, _ = to_native(read_array(row["label"]), json.loads(row["crop"]), json.loads(row["native_shape"]))
    truth = read_array(row["native"])
    assert 2 * ((back == 2) & (truth == 2)).sum() / ((back == 2).sum() + (truth == 2).sum()) > 0.95


def test_organs_crop_and_host_rules_apply(cases, tmp_path):
    source = {"host_rule": {"muscle": "muscle"}}
    presets = {"tiny": {"spacing": (3, 3, 3), "window": (-175, 250), "patch": (16, 16, 16), "crop": "organs", "margin": 0}}
    run(cases, tmp_path / "out", tmp_path / "work", source=source, presets=presets)
    table = read_table(tmp_path / "out/volumes.parquet", VOLUMES).set_index("case_id")
    assert set(table["organs"]) == {"kidney,liver,muscle", "muscle"}
    assert table["notes"].str.contains("organ_by_rule").all()
    label = read_array(table.loc["case-0", "native"])
    names = json.loads(table.loc["case-0", "names"])
    truth = make_ct(0)[1]
    assert names["4"] == "muscle"
    np.testing.assert_array_equal(label[truth > 0], np.array([0, 2, 3, 1], np.uint8)[truth[truth > 0]])


def test_too_many_refusals_fail_with_the_reason(cases, tmp_path):
    with pytest.raises(UserError, match=r"own: 1 refused \(1 gzip_damaged\) of 7 cases.*damaged") as caught:
        run(cases, tmp_path / "out", tmp_path / "work", checks={"max_quarantined": 0.1})
    assert "\n" not in str(caught.value)
    assert read_table(tmp_path / "out/0.tsv", QUARANTINE)["code"].tolist() == ["gzip_damaged"]
    assert not (tmp_path / "out/0.parquet").exists()


def test_no_case_left_fails_even_if_all_may_be_refused(tmp_path):
    cases = write_cases(tmp_path / "cases.csv", [raw_case("only", tmp_path / "nowhere.nii.gz")])
    with pytest.raises(UserError, match="file_missing"):
        run(cases, tmp_path / "out", tmp_path / "work")


@pytest.mark.parametrize("name", ["../up", "-rf", "a/b", "a b", "", "x" * 65, "näme", "a\nb"])
def test_hostile_case_ids_are_refused_before_anything_is_written(tmp_path, name):
    cases = write_cases(tmp_path / "cases.parquet", [raw_case(name, tmp_path / "image.nii.gz")])
    with pytest.raises(UserError, match="not a case id"):
        run(cases, tmp_path / "out", tmp_path / "work")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases.parquet"]


def test_an_unknown_error_is_a_row_and_not_a_crash(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(case_module, "find_body", lambda *_: 1 / 0)
    with pytest.raises(UserError, match="6 unexpected"):
        run(cases, tmp_path / "out", tmp_path / "work")
    refused = read_table(tmp_path / "out/0.tsv", QUARANTINE)
    assert refused.loc[refused["code"] == "unexpected", "reason"].unique().tolist() == ["ZeroDivisionError: division by zero"]


def die_on_case_1(raw: dict, *rest: object) -> tuple:
    """Stands in for a process that the system kills for lack of memory."""
    if raw["case_id"] == "case-1":
        os.kill(os.getpid(), signal.SIGKILL)
    return stage.prepare_case(raw, *rest), None


def test_a_killed_process_costs_one_case(cases, reference, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage, "try_case", die_on_case_1)
    table = cases.parent / "without-damaged.csv"
    table.write_text("".join(line for line in cases.read_text().splitlines(True) if not line.startswith("damaged")))
    run(table, tmp_path / "out", Path("work"), workers=2)
    refused = read_table(tmp_path / "out/quarantine.tsv", QUARANTINE)
    assert refused[["case_id", "code"]].to_numpy().tolist() == [["case-1", "worker_lost"]]
    assert len(read_table(tmp_path / "out/volumes.parquet", VOLUMES)) == CASES - 1
    assert not list(Path("work").glob(".*"))


def test_real_sarcomas_pass_from_file_to_row(real_data, tmp_path):
    entry = [{"path": str(real_data / "sts/gtv/STS_019.nii.gz"), "map": {"1": "muscle_tumor"}}]
    twin = [{"path": str(real_data / "dicom_rtstruct/CT/mask/RS.dcm"), "map": {"GTV_Mass_CT": "muscle_tumor"}}]
    rows = [
        raw_case("nifti", real_data / "sts/ct/STS_019.nii.gz", labels=json.dumps(entry)),
        raw_case("dicom", real_data / "dicom_rtstruct/CT/image", labels=json.dumps(twin)),
    ]
    run(write_cases(tmp_path / "cases.csv", rows), tmp_path, tmp_path / "work", source={"host_rule": {"muscle": "muscle"}})
    table = read_table(tmp_path / "volumes.parquet", VOLUMES)
    assert table["voxel_hash"].nunique() == table["fingerprint"].nunique() == 1
    assert table["organs"].tolist() == ["muscle", "muscle"]
    assert table["tumor_ml"].tolist() == pytest.approx([5564 * 0.976562**2 * 3.27 / 1000] * 2, rel=1e-5)
    native = [read_array(path) for path in table["native"]]
    np.testing.assert_array_equal(native[0], native[1])
