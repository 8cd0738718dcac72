"""The nnU-Net export is a data set that nnU-Net takes as it is."""

import json

import nibabel
import numpy as np
import pytest

from freetumor.core.errors import UserError
from freetumor.core.tables import FOLD_CASES, read_table
from freetumor.synthesis.export import EXPORTS
from freetumor.synthesis.export_nnunet import dataset_id, export_nnunet
from tests.factory import small_config
from tests.synthesis.export_samples import make_sample

NAME = "Dataset900_small_constant_fold0"


@pytest.fixture(scope="module")
def sample(fold, tmp_path_factory):
    return make_sample(fold, tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def folder(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    export_nnunet(sample.config, 0, "constant", sample.cases, sample.manifest, folder / "exports.csv")
    return folder / NAME


def test_every_volume_has_an_image_and_a_label(sample, folder):
    names = {f"case-{n}" for n in range(4)} | {f"case-{n}_v{v}" for n in (0, 1, 2, 6) for v in (0, 1)}
    assert {path.name for path in (folder / "imagesTr").iterdir()} == {f"{name}_0000.nii.gz" for name in names}
    assert {path.name for path in (folder / "labelsTr").iterdir()} == {f"{name}.nii.gz" for name in names}
    for name in names:  # test cases are not among them
        image, label = sample.volumes[name]
        stored = np.asanyarray(nibabel.load(folder / "imagesTr" / f"{name}_0000.nii.gz").dataobj)
        codes = np.asanyarray(nibabel.load(folder / "labelsTr" / f"{name}.nii.gz").dataobj)
        assert np.array_equal(stored.transpose(2, 1, 0), image)
        assert np.array_equal(codes.transpose(2, 1, 0), label)


def test_the_data_set_is_described(folder):
    text = json.loads((folder / "dataset.json").read_text())
    assert text["channel_names"] == {"0": "CT"}
    assert text["labels"] == {"background": 0, "liver": 1, "liver_tumor": 2, "pancreas": 3, "pancreas_tumor": 4}
    assert text["numTraining"] == len(list((folder / "imagesTr").iterdir())) == 12
    assert text["file_ending"] == ".nii.gz"


def test_all_variants_of_a_patient_are_on_one_side(sample, folder):
    (split,) = json.loads((folder / "splits_final.json").read_text())
    table = read_table(folder.parent / "exports.csv", EXPORTS).set_index("volume")
    patients = read_table(sample.cases, FOLD_CASES).set_index("case_id")["patient_id"]
    sides = [{patients[table.loc[name, "case_id"]] for name in split[side]} for side in ("train", "val")]
    assert not sides[0] & sides[1]
    assert split["val"] == ["case-3"]  # validation cases, all of them real
    assert sorted(split["train"] + split["val"]) == sorted(table.index)


def test_painted_volumes_alone(sample, tmp_path):
    config = sample.changed(export_real=False)
    export_nnunet(config, 0, "constant", sample.cases, sample.manifest, tmp_path / "exports.csv")
    assert read_table(tmp_path / "exports.csv", EXPORTS)["synthetic"].all()
    assert len(list((tmp_path / NAME / "imagesTr").iterdir())) == 8


def test_a_real_case_with_the_name_of_a_painted_volume_is_refused(sample, tmp_path):
    from freetumor.synthesis.export_volume import plan_items

    table = read_table(sample.cases, FOLD_CASES).set_index("case_id", drop=False).rename(index={"case-1": "case-0_v0"})
    rows = read_table(sample.manifest)
    with pytest.raises(UserError, match=r"'case-0_v0'"):
        plan_items(sample.config, table, rows[rows["case_id"] == "case-0"], real=True)


def test_every_bank_and_fold_has_a_number_of_its_own():
    config = small_config(synthesis={"synthesizers": ["constant", "copy_paste"], "nnunet_id": 950})
    numbers = [dataset_id(config, fold, name) for fold in range(3) for name in config.banks]
    assert sorted(numbers) == list(range(950, 956))
    with pytest.raises(UserError, match=r"synthesis\.nnunet_id: fold 30 .* at most 999"):
        dataset_id(config, 30, "constant")


def test_nnunet_finds_no_fault(folder, monkeypatch, tmp_path):
    """Needs the optional package nnunetv2."""
    for name, place in (("raw", folder.parent), ("preprocessed", tmp_path), ("results", tmp_path)):
        monkeypatch.setenv(f"nnUNet_{name}", str(place))
    check = pytest.importorskip("nnunetv2.experiment_planning.verify_dataset_integrity")
    fingerprints = pytest.importorskip("nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor")
    check.verify_dataset_integrity(str(folder), num_processes=1)
    found = fingerprints.DatasetFingerprintExtractor(900, num_processes=1).run(overwrite_existing=True)
    np.testing.assert_allclose(found["spacings"], [[3, 2.5, 2.5]] * 12, rtol=1e-5)
