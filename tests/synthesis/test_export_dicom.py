"""The DICOM export reads back as the painted volume, in this project's reader and in others, and identifies nobody."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.sr.codedict import codes

from freetumor.core.config import Checks
from freetumor.core.tables import read_table
from freetumor.preprocessing.dicom_labels import read_dicom_label
from freetumor.preprocessing.reader import read_image
from freetumor.synthesis.export import EXPORTS
from freetumor.synthesis.export_dicom import export_dicom
from freetumor.synthesis.export_seg import ABNORMAL, ANATOMY, ANY_ORGAN, NEOPLASM, ORGANS
from tests.synthesis.export_samples import AFFINE, SPACING, make_sample

CLASSES = ("liver", "liver_tumor", "pancreas", "pancreas_tumor")


@pytest.fixture(scope="module")
def sample(fold, tmp_path_factory):
    return make_sample(fold, tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def folder(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicom")
    export(sample, folder)
    return folder


def export(sample, folder):
    config = sample.changed(export_cases=2, export_variants=1)
    export_dicom(config, sample.cases, sample.manifest, folder / "exports.csv")


def volumes(folder):
    return read_table(folder / "exports.csv", EXPORTS).to_dict("records")


def test_the_project_reads_back_what_it_wrote(sample, folder):
    for row in volumes(folder):
        image, label = sample.volumes[row["volume"]]
        volume = read_image(folder / row["image"], Checks())
        assert np.array_equal(volume.array, image)
        np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-6)
        codes = {name: code for code, name in enumerate(CLASSES, 1)}
        found, notes = read_dicom_label(folder / row["label"], volume, {name: name for name in CLASSES}, codes)
        assert not notes
        assert set(np.unique(found)) >= set(codes.values())
        assert np.array_equal(found, label)


def test_another_reader_agrees(sample, folder):
    row = volumes(folder)[0]
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / row["image"])))
    image = reader.Execute()
    assert np.array_equal(sitk.GetArrayFromImage(image), sample.volumes[row["volume"]][0])
    assert image.GetSpacing() == pytest.approx(SPACING)
    flip = np.array([-1, -1, 1])
    assert image.GetOrigin() == pytest.approx(flip * AFFINE[:3, 3])
    np.testing.assert_allclose(np.reshape(image.GetDirection(), (3, 3)), flip[:, None] * AFFINE[:3, :3] / SPACING, atol=1e-6)
    for path in sorted((folder / row["image"]).iterdir())[:2]:
        slice_ = pydicom.dcmread(path)
        hu = slice_.pixel_array * slice_.RescaleSlope + slice_.RescaleIntercept
        assert np.array_equal(hu, sample.volumes[row["volume"]][0][slice_.InstanceNumber - 1])


def test_the_segmentation_refers_to_the_series(folder):
    row = volumes(folder)[0]
    images = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, (folder / row["image"]).iterdir())}
    seg = pydicom.dcmread(folder / row["label"])
    first = next(iter(images.values()))
    assert len(images) == 28
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert seg[name].value == first[name].value
    (reference,) = seg.ReferencedSeriesSequence
    assert reference.SeriesInstanceUID == first.SeriesInstanceUID != seg.SeriesInstanceUID
    assert {item.ReferencedSOPInstanceUID for item in reference.ReferencedInstanceSequence} == set(images)
    assert [item.SegmentLabel for item in seg.SegmentSequence] == list(CLASSES)
    assert [item.SegmentNumber for item in seg.SegmentSequence] == [1, 2, 3, 4]
    assert seg.NumberOfFrames == len(seg.PerFrameFunctionalGroupsSequence) == len(seg.pixel_array)
    assert seg.pixel_array.any(axis=(1, 2)).all()
    for groups in seg.PerFrameFunctionalGroupsSequence:
        source = images[groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        assert groups.PlanePositionSequence[0].ImagePositionPatient == source.ImagePositionPatient
        segment, place = groups.FrameContentSequence[0].DimensionIndexValues
        assert segment == groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        assert place == source.InstanceNumber


def test_every_object_says_that_it_is_synthetic_and_names_nobody(sample, folder):
    row = volumes(folder)[0]
    for path in [*(folder / row["image"]).iterdir(), folder / row["label"]]:
        dataset = pydicom.dcmread(path)
        assert (dataset.PatientName, dataset.PatientID, dataset.PatientIdentityRemoved) == ("SYNTHETIC", "case-0", "YES")
        assert dataset.SyntheticData == "YES"
        assert dataset.ImageComments.startswith("SYNTHETIC: 2 lesions")
        assert dataset.ImageComments.endswith("case-0.0, case-0.1")
        assert b"patient-0" not in path.read_bytes()
        for name in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
            assert dataset[name].value == ""
        uids = [str(dataset[name].value) for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")]
        assert len(set(uids)) == 3
        assert all(uid.is_valid and len(uid) <= 64 for uid in map(pydicom.uid.UID, uids))


def test_the_bytes_are_reproducible_and_identifiers_follow_the_content(sample, folder, tmp_path):
    export(sample, tmp_path)
    first = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first
    one, two = (pydicom.dcmread(folder / row["label"]) for row in volumes(folder))
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert one[name].value != two[name].value


def test_a_series_that_lacks_a_slice_is_written_again(sample, folder, tmp_path):
    export(sample, tmp_path)
    row = volumes(tmp_path)[1]
    (tmp_path / row["image"] / "0005.dcm").unlink()
    (tmp_path / row["image"] / "left-over").write_text("of another version")
    export(sample, tmp_path)
    files = sorted(path.name for path in (tmp_path / row["image"]).iterdir())
    assert files == [f"{number:04d}.dcm" for number in range(1, 29)]


def test_the_codes_are_those_of_the_standard():
    known = {(code.value, code.meaning.lower()) for code in codes.SCT.concepts.values()}
    for value, scheme, meaning in (ANATOMY, ABNORMAL, NEOPLASM, ANY_ORGAN, *ORGANS.values()):
        assert scheme == "SCT"
        assert (value, meaning.lower()) in known
