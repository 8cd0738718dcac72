"""Regions of real lesions: taken from CT volumes with masks, they lie in the middle and fill their share of the square."""

import json

import nibabel
import numpy as np
import pytest

from freetumor.core.tables import QUARANTINE, VOLUMES, read_table
from freetumor.download.sources import download_source
from freetumor.preprocessing.store import read_array
from freetumor.preprocessing.volumes import preprocess_shard
from tests.regions import region_config

PATCH, FIT = 32, 1.5
STS = ["STS_019", "STS_012"]
HEADER = "image,category,patient_id,case_id,mask,slice,x0,x1,y0,y1"


@pytest.fixture(scope="module")
def regions(real_data, tmp_path_factory):
    """Volumes of sarcomas (category cyst by whim), of the same patient as DICOM with a box, and the image of one of them."""
    folder = tmp_path_factory.mktemp("regions")
    lines = [f"sts/ct/{name}.nii.gz,cyst,{name},{name},sts/gtv/{name}.nii.gz,,,,," for name in STS]
    mask = np.asarray(nibabel.load(real_data / "sts/gtv/STS_019.nii.gz").dataobj) > 0
    plane = int(mask.sum(axis=(0, 1)).argmax())
    (x, y), ends = np.nonzero(mask[..., plane]), mask.shape[2]
    box = f"{x.min()},{x.max() + 1},{y.min()},{y.max() + 1}"
    lines.append(f"sts/ct/STS_019.nii.gz,metastasis,STS_019,boxed,,{plane},{box}")
    (folder / "rois.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    source = {"name": "sts", "kind": "roi_folder", "root": str(real_data), "table": str(folder / "rois.csv")}
    config = region_config(PATCH, sources=[source | {"structure": "muscle_tumor"}], organs=["muscle"])
    download_source(config, "sts", folder / "cases.csv")
    preprocess_shard(config, "sts", folder / "cases.csv", 0, folder / "v.parquet", folder / "q.tsv", folder / "store")
    assert not len(read_table(folder / "q.tsv", QUARANTINE)), ends
    return read_table(folder / "v.parquet", VOLUMES).set_index("case_id")


@pytest.mark.parametrize("name", STS)
def test_the_lesion_is_in_the_middle_and_fills_its_share(regions, real_data, name):
    row = regions.loc[name]
    file = nibabel.load(real_data / f"sts/gtv/{name}.nii.gz")
    mask = np.asarray(file.dataobj) > 0
    area = mask.sum(axis=(0, 1)).max() * np.prod(file.header.get_zooms()[:2])
    assert row["diameter_mm"] <= 2 * np.sqrt(area / np.pi) + 1e-6
    assert row["diameter_mm"] == pytest.approx(2 * np.sqrt(area / np.pi), rel=0.02)  # the largest of several components
    label = read_array(row["label"])[0]
    code = next(int(code) for code, structure in json.loads(row["names"]).items() if structure == "muscle_tumor")
    lesion = label == code
    assert label.shape == (52, 52)
    assert 2 * np.sqrt(lesion.sum() / np.pi) == pytest.approx(PATCH / FIT, rel=0.03)
    np.testing.assert_allclose(np.argwhere(lesion).mean(axis=0), (len(label) - 1) / 2, atol=0.4)


@pytest.mark.parametrize("name", STS)
def test_the_region_shows_the_scan_at_that_place(regions, real_data, name):
    row = regions.loc[name]
    file = nibabel.load(real_data / f"sts/ct/{name}.nii.gz")
    voxels, affine = np.asarray(file.dataobj), np.array(json.loads(row["affine"]))
    image = read_array(row["image"])[0]
    grid = np.stack(np.meshgrid(np.arange(52), np.arange(52), [0], [1], indexing="ij"), -1).reshape(-1, 4)
    index = np.rint(grid @ (np.linalg.inv(file.affine) @ affine).T)[:, :3].astype(int)
    inside = ((index >= 0) & (index < voxels.shape)).all(axis=1)
    there = voxels[tuple(index[inside].T)]
    here = image[grid[inside, 1], grid[inside, 0]]
    assert np.corrcoef(here, there)[0, 1] > 0.95


def test_a_box_finds_the_same_slice_and_about_the_same_lesion(regions):
    masked, boxed = regions.loc["STS_019"], regions.loc["boxed"]
    assert boxed["diameter_mm"] == pytest.approx(masked["diameter_mm"], rel=0.2)
    assert json.loads(boxed["affine"])[2][3] == pytest.approx(json.loads(masked["affine"])[2][3], abs=1e-3)
    assert boxed["voxel_hash"] != masked["voxel_hash"]
