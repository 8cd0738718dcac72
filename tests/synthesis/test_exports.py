"""Exports are whole volumes in patient space, with every accepted lesion and nothing else."""

import json

import nibabel
import numpy as np
import pytest

from freetumor.core.tables import FOLD_CASES, MANIFEST, read_table, write_table
from freetumor.synthesis.bank import read_lesion
from freetumor.synthesis.export import export_nifti

OBLIQUE = [[0.0, -2.5, 0.0, 40.0], [-2.4, 0.0, 0.7, -30.0], [0.7, 0.0, 2.9, 500.0], [0.0, 0.0, 0.0, 1.0]]


@pytest.fixture(scope="module")
def exported(study, fold, manifest, tmp_path_factory):
    """Exports of a bank of which some lesions are refused, from cases with an oblique affine."""
    folder = tmp_path_factory.mktemp("export")
    table = read_table(fold, FOLD_CASES)
    table["affine"] = json.dumps(OBLIQUE)
    write_table(table, folder / "cases.parquet", FOLD_CASES)
    rows = read_table(manifest, MANIFEST)
    rows.loc[rows.index[::2], ["outcome", "patch", "patch_sha256"]] = ["refused", "", ""]
    bank = folder / "bank"
    bank.symlink_to(manifest.parent / "bank")
    write_table(rows, folder / "manifest.parquet", MANIFEST)
    export_nifti(study, folder / "cases.parquet", folder / "manifest.parquet", folder / "out" / "exports.csv")
    return folder


def test_geometry_is_that_of_the_stored_volume(exported, cases):
    table = read_table(exported / "out" / "exports.csv").set_index("case_id")
    assert len(table) == 4  # synthesis.export_cases
    for case_id, row in table.iterrows():
        for kind in ("image", "label"):
            nifti = nibabel.load(exported / "out" / row[kind])
            np.testing.assert_allclose(nifti.affine, OBLIQUE, atol=1e-4)
            assert nifti.header["sform_code"] > 0
            assert nifti.shape == cases[case_id].shape[::-1]
            assert nifti.header.get_zooms() == pytest.approx([np.hypot(2.4, 0.7), 2.5, np.hypot(0.7, 2.9)], rel=1e-4)


def test_voxels_are_the_parents_but_for_the_applied_lesions(study, exported, cases):
    table = read_table(exported / "out" / "exports.csv").set_index("case_id")
    rows = read_table(exported / "manifest.parquet", MANIFEST).set_index("lesion_id", drop=False)
    applied = 0
    for case_id, row in table.iterrows():
        image, label = (np.asanyarray(nibabel.load(exported / "out" / row[kind]).dataobj) for kind in ("image", "label"))
        parent, expected = cases[case_id].image[...], cases[case_id].read_label()
        assert image.dtype == np.int16
        assert label.dtype == np.uint8
        for lesion_id in json.loads(row["lesions"]):
            assert rows.loc[lesion_id, "outcome"] == "accepted"
            lesion = read_lesion(exported / "manifest.parquet", rows.loc[lesion_id])
            for voxel in np.argwhere(lesion.label):
                place = tuple(voxel + lesion.corner)
                parent[place] = lesion.image[tuple(voxel)]
                expected[place] = 2 * study.organs.index(rows.loc[lesion_id, "organ"]) + 2
            applied += 1
        for z, y, x in np.ndindex(2, 3, 4):  # spelled out where it is easy to get wrong
            assert image[9 * x, 9 * y, 9 * z] == parent[9 * z, 9 * y, 9 * x]
        assert np.array_equal(image, parent.transpose(2, 1, 0))
        assert np.array_equal(label, expected.transpose(2, 1, 0))
    assert applied >= 4


def test_refused_and_overlapping_lesions_are_left_out(exported):
    table = read_table(exported / "out" / "exports.csv").set_index("case_id")
    rows = read_table(exported / "manifest.parquet", MANIFEST)
    for case_id, row in table.iterrows():
        accepted = rows[(rows["case_id"] == case_id) & (rows["outcome"] == "accepted")]
        names = json.loads(row["lesions"])
        assert names[0] == accepted["lesion_id"].iloc[0]
        taken = set()
        for _, entry in accepted.iterrows():
            lesion = read_lesion(exported / "manifest.parquet", entry)
            voxels = {tuple(voxel) for voxel in np.argwhere(lesion.label) + lesion.corner}
            assert (entry["lesion_id"] in names) == (not voxels & taken)
            taken |= voxels if not voxels & taken else set()


def test_exporting_again_gives_the_same_bytes(study, exported, tmp_path):
    export_nifti(study, exported / "cases.parquet", exported / "manifest.parquet", tmp_path / "exports.csv")
    first = {path.name: path.read_bytes() for path in (exported / "out").iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
