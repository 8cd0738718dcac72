"""Exports are whole volumes in patient space, with the accepted lesions of their variant and nothing else."""

import os
import shutil

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from freetumor.core.errors import UserError
from freetumor.core.settings import merge, read_yaml, validate
from freetumor.core.tables import FOLD_CASES, MANIFEST, read_table, write_table
from freetumor.synthesis.export import EXPORTS
from freetumor.synthesis.export_nifti import export_nifti
from tests.conftest import REPOSITORY
from tests.synthesis.export_samples import AFFINE, SPACING, make_sample


@pytest.fixture(scope="module")
def sample(fold, tmp_path_factory):
    return make_sample(fold, tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def exported(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    export_nifti(sample.config, sample.cases, sample.manifest, folder / "exports.csv")
    return folder


def export(sample, folder, config=None):
    export_nifti(config or sample.config, sample.cases, sample.manifest, folder / "exports.csv")
    return read_table(folder / "exports.csv", EXPORTS)


def files(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_geometry_is_that_of_the_stored_volume(exported):
    table = read_table(exported / "exports.csv", EXPORTS)
    assert table["volume"].tolist() == [f"case-{n}_v{v}" for n in (0, 1, 2, 6) for v in (0, 1)]  # synthesis.export_cases
    for path in [*table["image"], *table["label"]]:
        nifti = nibabel.load(exported / path)
        np.testing.assert_allclose(nifti.header.get_sform(), AFFINE, atol=1e-4)
        np.testing.assert_allclose(nifti.header.get_qform(), AFFINE, atol=1e-4)
        assert nifti.header["sform_code"] == nifti.header["qform_code"] == 1
        assert nifti.header.get_xyzt_units()[0] == "mm"
        assert nifti.header.get_zooms() == pytest.approx(SPACING, rel=1e-5)
        assert sitk.ReadImage(str(exported / path)).GetOrigin() == pytest.approx([-40.5, 30.25, 500.125], abs=1e-4)


def test_voxels_are_the_parents_but_for_the_lesions_of_the_variant(sample, exported):
    table = read_table(exported / "exports.csv", EXPORTS)
    for row in table.to_dict("records"):
        image, label = sample.volumes[row["volume"]]
        assert row["lesions"].split(",") == sample.lesions[row["volume"]]
        stored, codes = (np.asanyarray(nibabel.load(exported / row[kind]).dataobj) for kind in ("image", "label"))
        assert (stored.dtype, codes.dtype) == (np.int16, np.uint8)
        for z, y, x in np.ndindex(2, 3, 4):  # spelled out where it is easy to get wrong
            assert stored[9 * x, 9 * y, 9 * z] == image[9 * z, 9 * y, 9 * x]
        assert np.array_equal(stored, image.transpose(2, 1, 0))
        assert np.array_equal(codes, label.transpose(2, 1, 0))
        assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(exported / row["image"]))), image)
    assert table["lesions"].str.split(",").str.len().tolist() == [2, 1] * 4  # a refused draw is left out
    assert table["synthetic"].all()


def test_exporting_again_gives_the_same_bytes(sample, exported, tmp_path):
    export(sample, tmp_path)
    assert {name: path.read_bytes() for name, path in files(tmp_path).items()} == {
        name: path.read_bytes() for name, path in files(exported).items()
    }


def test_finished_volumes_are_kept_and_damaged_ones_written_again(sample, exported, tmp_path, capsys):
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    for path in files(tmp_path).values():
        os.utime(path, (1, 1))
    (tmp_path / "exports.csv").unlink()  # as Snakemake does
    damaged = tmp_path / "case-1_v0_image.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (tmp_path / "case-2_v1_label.nii.gz").unlink()
    export(sample, tmp_path)
    written = {name for name, path in files(tmp_path).items() if path.stat().st_mtime > 1 and name.endswith(".gz")}
    assert written == {f"case-{name}_{kind}.nii.gz" for name in ("1_v0", "2_v1") for kind in ("image", "label")}
    assert damaged.read_bytes() == (exported / damaged.name).read_bytes()
    assert "export NIfTI pairs: 8/8 volumes" in capsys.readouterr().err


def test_a_volume_is_written_again_when_its_lesions_change(sample, exported, tmp_path):
    shutil.copytree(exported, tmp_path / "out")
    shutil.copytree(sample.manifest.parent, tmp_path / "bank")
    rows = read_table(sample.manifest, MANIFEST)
    rows.loc[rows["lesion_id"] == "case-0.1", "outcome"] = "refused"
    write_table(rows, tmp_path / "bank" / "manifest.parquet", MANIFEST)
    export_nifti(sample.config, sample.cases, tmp_path / "bank" / "manifest.parquet", tmp_path / "out" / "exports.csv")
    before, after = files(exported), files(tmp_path / "out")
    changed = {name for name in before if before[name].read_bytes() != after[name].read_bytes()}
    assert {name for name in changed if name.endswith(".gz")} == {"case-0_v0_image.nii.gz", "case-0_v0_label.nii.gz"}


def test_a_damaged_sidecar_is_no_obstacle(sample, exported, tmp_path):
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    (tmp_path / ".volumes" / "case-0_v0.json").write_text('{"key":')
    (tmp_path / ".volumes" / "case-0_v7.json").write_text("[1]")
    export(sample, tmp_path)
    assert {name: path.read_bytes() for name, path in files(tmp_path).items()} == {
        name: path.read_bytes() for name, path in files(exported).items()
    }


def test_fewer_volumes_leave_no_others_behind(sample, exported, tmp_path):
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    table = export(sample, tmp_path, sample.changed(export_cases=2, export_variants=1))
    assert table["volume"].tolist() == ["case-0_v0", "case-1_v0"]
    assert {name for name in files(tmp_path) if name.endswith(".gz")} == {*table["image"], *table["label"]}


def test_all_canvases_are_exported_if_no_number_is_given(sample, tmp_path):
    table = export(sample, tmp_path, sample.changed(export_cases=None))
    assert table["case_id"].unique().tolist() == [f"case-{n}" for n in (0, 1, 2, 6, 7)]
    assert set(table["part"]) == {"train", "pool"}


def test_the_note_says_what_is_synthetic_and_who_the_parents_are(exported):
    text = (exported / "README.txt").read_text(encoding="utf-8")
    assert "8 volumes carry 12 synthetic lesions; 0 volumes are real cases" in text
    assert "not for diagnosis" in text
    assert "working grid" in text
    assert "3 x 2.5 x 2.5 mm" in text
    content = "".join(path.read_text(encoding="utf-8") for name, path in files(exported).items() if not name.endswith(".gz"))
    assert "patient-" not in content  # no patient id anywhere


def test_a_bank_without_accepted_lesions_is_refused_in_one_line(sample, tmp_path):
    rows = read_table(sample.manifest, MANIFEST).assign(outcome="refused")
    write_table(rows, tmp_path / "manifest.parquet", MANIFEST)
    with pytest.raises(UserError, match="no accepted lesion") as caught:
        export_nifti(sample.config, sample.cases, tmp_path / "manifest.parquet", tmp_path / "exports.csv")
    assert str(tmp_path / "manifest.parquet") in str(caught.value)
    assert not (tmp_path / "exports.csv").exists()


def test_a_parent_that_has_changed_is_refused(sample, tmp_path):
    table = read_table(sample.cases, FOLD_CASES)
    table["voxel_hash"] = "other"
    write_table(table, tmp_path / "cases.parquet", FOLD_CASES)
    with pytest.raises(UserError, match=r"case-0 has changed"):
        export_nifti(sample.config, tmp_path / "cases.parquet", sample.manifest, tmp_path / "exports.csv")


@pytest.mark.parametrize("names", [["nift"], ["nifti", "nifti"]])
def test_an_unknown_or_repeated_export_is_refused_in_one_line(names):
    with pytest.raises(UserError, match=r"synthesis\.exports") as caught:
        validate(merge(read_yaml(REPOSITORY / "config.yaml"), {"synthesis": {"exports": names}}))
    assert "\n" not in str(caught.value)


def test_classes_that_nobody_annotated_are_named(sample, tmp_path):
    table = read_table(sample.cases, FOLD_CASES)
    table["names"] = '{"1": "liver", "2": "liver_tumor"}'
    write_table(table, tmp_path / "cases.parquet", FOLD_CASES)
    export_nifti(sample.config, tmp_path / "cases.parquet", sample.manifest, tmp_path / "exports.csv")
    assert set(read_table(tmp_path / "exports.csv", EXPORTS)["unannotated"]) == {"pancreas,pancreas_tumor"}
