"""The MONAI export is a data list whose files lie where it says."""

import json

import nibabel
import numpy as np
import pytest

from freetumor.synthesis.export_monai import export_monai
from tests.synthesis.export_samples import make_sample


@pytest.fixture(scope="module")
def sample(fold, tmp_path_factory):
    return make_sample(fold, tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def folder(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("monai")
    export_monai(sample.config, sample.cases, sample.manifest, folder / "exports.csv")
    return folder


def test_entries_say_where_they_come_from(sample, folder):
    lists = json.loads((folder / "datalist.json").read_text())
    assert lists["labels"] == {"0": "background", "1": "liver", "2": "liver_tumor", "3": "pancreas", "4": "pancreas_tumor"}
    entries = {entry["image"]: entry for entry in lists["training"]}
    assert set(entries) == {f"images/case-{n}.nii.gz" for n in range(3)} | {
        f"images/case-{n}_v{v}.nii.gz" for n in (0, 1, 2, 6) for v in (0, 1)
    }
    assert entries["images/case-6_v0.nii.gz"] == {
        "image": "images/case-6_v0.nii.gz",
        "label": "labels/case-6_v0.nii.gz",
        "fold": 1,
        "synthetic": True,
        "case": "case-6",
        "patient": "patient-6",
        "lesions": ["case-6.0", "case-6.1"],
    }
    assert not entries["images/case-0.nii.gz"]["synthetic"]
    (held_out,) = lists["validation"]
    assert (held_out["case"], held_out["fold"], held_out["synthetic"], held_out["lesions"]) == ("case-3", 0, False, [])


def test_patients_are_on_one_side(folder):
    lists = json.loads((folder / "datalist.json").read_text())
    sides = [{entry["patient"] for entry in lists[side]} for side in ("training", "validation")]
    assert not sides[0] & sides[1]


def test_monai_reads_the_list(sample, folder):
    from monai.data import load_decathlon_datalist

    for side, count in (("training", 11), ("validation", 1)):
        entries = load_decathlon_datalist(str(folder / "datalist.json"), is_segmentation=True, data_list_key=side)
        assert len(entries) == count
        for entry in entries:
            name = entry["image"].rsplit("/", 1)[1].removesuffix(".nii.gz")
            image, label = sample.volumes[name]
            assert np.array_equal(np.asanyarray(nibabel.load(entry["image"]).dataobj).transpose(2, 1, 0), image)
            assert np.array_equal(np.asanyarray(nibabel.load(entry["label"]).dataobj).transpose(2, 1, 0), label)


def test_the_note_says_that_patient_ids_are_in_the_list(folder):
    text = " ".join((folder / "README.txt").read_text(encoding="utf-8").split())
    assert "by the case ids of the study, in datalist.json also by its patient ids, and by nothing else" in text
    assert "8 volumes carry 12 synthetic lesions; 4 volumes are real cases" in text
