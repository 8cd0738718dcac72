"""DICOM folders and DICOM labels say what their NIfTI and NRRD counterparts say."""

import json

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, SegmentationStorage

from freetumor.core.config import Checks
from freetumor.preprocessing.dicom_labels import polygon_mask, read_dicom_label
from freetumor.preprocessing.orientation import Volume, canonicalize
from freetumor.preprocessing.quarantine import CaseRefused
from freetumor.preprocessing.reader import read_image, read_label_file
from freetumor.preprocessing.structures import read_structures
from tests.preprocessing.samples import AFFINE, make_ct, write_dicom

IMAGE, LABEL = make_ct()
CODES = {"liver": 1, "liver_tumor": 2, "muscle_tumor": 3}


def write_rtstruct(path, contours: dict[str, list[np.ndarray]], kind: str = "CLOSED_PLANAR"):
    """An RTSTRUCT with contours given as canonical voxel indices (x, y, z)."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = RTStructureSetStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, polygons) in enumerate(contours.items(), 1):
        roi, region = pydicom.Dataset(), pydicom.Dataset()
        roi.ROINumber, roi.ROIName, region.ReferencedROINumber = number, name, number
        region.ContourSequence = []
        for polygon in polygons:
            item = pydicom.Dataset()
            item.ContourGeometricType = kind
            points = (np.asarray(polygon) @ AFFINE[:3, :3].T + AFFINE[:3, 3]) * [-1, -1, 1]
            item.ContourData = [round(value, 4) for value in points.ravel().tolist()]
            region.ContourSequence.append(item)
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(region)
    dataset.save_as(path, enforce_file_format=True)
    return path


def square(low: float, high: float, z: float) -> np.ndarray:
    """A square contour of voxel indices (x, y, z)."""
    return np.array([[low, low, z], [high, low, z], [high, high, z], [low, high, z]])


def read_label(tmp_path, contours, wanted, **options):
    image = read_image(write_dicom(tmp_path / "ct", IMAGE) and tmp_path / "ct", Checks())
    return read_dicom_label(write_rtstruct(tmp_path / "rs.dcm", contours, **options), image, wanted, CODES)


def sequence(**fields: object) -> list[pydicom.Dataset]:
    """A sequence of one item."""
    item = pydicom.Dataset()
    for name, value in fields.items():
        setattr(item, name, value)
    return [item]


def write_seg(path, frames: list[tuple[int, int, np.ndarray]], names: list[str], flipped: bool = False, largest: int = 1):
    """A SEG of (segment, slice, mask) frames on the grid of ``IMAGE``; with ``flipped``, its rows run upward and leftward.

    With ``largest`` above one it is FRACTIONAL, and masks have values up to it.
    """
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SegmentationStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.4"
    dataset.SegmentationType, dataset.MaximumFractionalValue = "BINARY" if largest == 1 else "FRACTIONAL", largest
    dataset.SegmentSequence = [sequence(SegmentNumber=number, SegmentLabel=name)[0] for number, name in enumerate(names, 1)]
    directions = [-1, 0, 0, 0, -1, 0] if flipped else [1, 0, 0, 0, 1, 0]
    shared = sequence(
        PixelMeasuresSequence=sequence(PixelSpacing=[2.5, 2.0]),
        PlaneOrientationSequence=sequence(ImageOrientationPatient=directions),
    )
    dataset.SharedFunctionalGroupsSequence = shared
    dataset.Rows, dataset.Columns = IMAGE.shape[1:]
    corner = [-40 + 2.0 * (dataset.Columns - 1), -45 + 2.5 * (dataset.Rows - 1)] if flipped else [-40, -45]
    dataset.PerFrameFunctionalGroupsSequence = [
        sequence(
            SegmentIdentificationSequence=sequence(ReferencedSegmentNumber=number),
            PlanePositionSequence=sequence(ImagePositionPatient=[*corner, -70 + 3.5 * z]),
        )[0]
        for number, z, _ in frames
    ]
    dataset.NumberOfFrames, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = len(frames), 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 1 if largest == 1 else 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsAllocated - 1, 0
    pixels = np.stack([mask[::-1, ::-1] if flipped else mask for _, _, mask in frames]).astype(np.uint8)
    data = (np.packbits(pixels.ravel(), bitorder="little") if largest == 1 else pixels).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset.save_as(path, enforce_file_format=True)
    return path


def random_frames(segments: int, largest: int = 1) -> list[tuple[int, int, np.ndarray]]:
    """Overlapping blobs of some slices, in disorder."""
    rng = np.random.default_rng(3)
    frames = []
    for number in range(1, segments + 1):
        for z in rng.choice(len(IMAGE), len(IMAGE) // 2, replace=False):
            mask = np.zeros(IMAGE.shape[1:], np.uint8)
            row, column = rng.integers(0, 20, 2)
            mask[row : row + 9, column : column + 11] = rng.integers(0, largest + 1, (9, 11))
            frames.append((number, int(z), mask[: IMAGE.shape[1], : IMAGE.shape[2]]))
    return [frames[index] for index in rng.permutation(len(frames))]


def read_image_of(tmp_path) -> Volume:
    write_dicom(tmp_path / "ct", IMAGE)
    return read_image(tmp_path / "ct", Checks())


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("largest", [1, 200])
def test_segments_are_laid_over_each_other_frame_by_frame(tmp_path, monkeypatch, flipped, largest):
    names = ["Liver", "Tumor", "Kidney", "Tumor 2", "Spleen"]
    wanted = {"Liver": "liver", "Tumor": "liver_tumor", "4": "liver_tumor", "Kidney": "kidney"}
    codes = {"kidney": 1, "liver": 2, "liver_tumor": 3}
    frames = random_frames(len(names), largest)
    expected = np.zeros(IMAGE.shape, np.uint8)
    for numbers, code in (((3,), 1), ((1,), 2), ((2, 4), 3)):  # later names win, and tumors over all
        for number, z, mask in frames:
            if number in numbers:
                expected[z][mask >= largest / 2] = code
    unpacked = []
    unpackbits = np.unpackbits
    monkeypatch.setattr(np, "unpackbits", lambda bits, **options: unpacked.append(bits.size) or unpackbits(bits, **options))
    path = write_seg(tmp_path / "seg.dcm", frames, names, flipped, largest)
    label, notes = read_dicom_label(path, read_image_of(tmp_path), wanted, codes)
    np.testing.assert_array_equal(label, expected)
    assert notes == ["segments_ignored"]
    assert label.dtype == np.uint8
    assert max(unpacked, default=0) <= IMAGE[0].size // 8 + 2  # never more than a frame
    assert len(unpacked) == (4 * (len(IMAGE) // 2) if largest == 1 else 0)  # nothing of the spleen


@pytest.mark.parametrize("change", ["position", "spacing", "outside"])
def test_a_segmentation_of_another_grid_is_refused(tmp_path, change):
    path = write_seg(tmp_path / "seg.dcm", random_frames(1), ["Liver"])
    dataset = pydicom.dcmread(path)
    if change == "spacing":
        dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [5.0, 2.0]
    else:
        place = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
        place.ImagePositionPatient = [-40, -45, -69] if change == "position" else [-40, -45, 700]
    dataset.save_as(path)
    with pytest.raises(CaseRefused) as caught:
        read_dicom_label(path, read_image_of(tmp_path), {"Liver": "liver"}, CODES)
    assert caught.value.code == "label_grid"


def test_a_segmentation_with_missing_frames_is_refused(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", random_frames(2), ["Liver", "Tumor"])
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 4 * 2]
    dataset.save_as(path)
    with pytest.raises(CaseRefused) as caught:
        read_dicom_label(path, read_image_of(tmp_path), {"*": "liver"}, CODES)
    assert caught.value.code == "header_invalid"


@pytest.mark.parametrize("descending", [False, True])
def test_a_series_is_ordered_by_position_and_not_by_name(tmp_path, descending):
    write_dicom(tmp_path, IMAGE, descending)
    volume = read_image(tmp_path, Checks())
    np.testing.assert_array_equal(volume.array, IMAGE)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-9)
    assert volume.spacing == pytest.approx((3.5, 2.5, 2.0))  # the distance of the slices, not their thickness of 5


def test_other_objects_in_the_folder_are_ignored(tmp_path):
    paths = write_dicom(tmp_path, IMAGE)
    (tmp_path / "notes.txt").write_text("text")
    write_rtstruct(tmp_path / "rs.dcm", {"Liver": [square(5, 9, 3)]})
    (tmp_path / "copy-of-a-slice").write_bytes(paths[4].read_bytes())
    scout = pydicom.dcmread(paths[0])
    scout.ImageType, scout.SOPInstanceUID, scout.Rows = ["ORIGINAL", "PRIMARY", "LOCALIZER"], "1.2.9", 7
    scout.save_as(tmp_path / "scout")
    np.testing.assert_array_equal(read_image(tmp_path, Checks()).array, IMAGE)


def test_contours_are_united_and_copies_dropped(tmp_path):
    outer, inner = square(5.5, 20.5, 3), square(9.5, 12.5, 3)
    label, notes = read_label(tmp_path, {"Tumor": [outer, inner, outer]}, {"Tumor": "liver_tumor"})
    expected = np.zeros(IMAGE.shape, bool)
    expected[3, 6:21, 6:21] = True
    np.testing.assert_array_equal(label == 2, expected)
    assert notes == ["contour_repeated"]


def test_exclusive_contours_cut_holes(tmp_path):
    contours = {"Tumor": [square(5.5, 20.5, 3), square(9.5, 12.5, 3)]}
    label, _ = read_label(tmp_path, contours, {"Tumor": "liver_tumor"}, kind="CLOSEDPLANAR_XOR")
    assert (label == 2).sum() == 15 * 15 - 3 * 3


def test_regions_are_found_by_name_or_number_and_others_noted(tmp_path):
    contours = {"Body": [square(1, 30, 2)], "GTV": [square(5.5, 8.5, 4)], "GTV 2": [square(15.5, 18.5, 4)]}
    label, notes = read_label(tmp_path, contours, {"GTV": "liver_tumor", "3": "liver_tumor"})
    assert (label == 2).sum() == 18
    assert notes == ["segments_ignored"]


@pytest.mark.parametrize(
    ("contours", "code"),
    [
        ({"Body": [square(1, 9, 2)]}, "label_no_structure"),
        ({"GTV": [square(1, 9, 2.5)]}, "label_contour"),
        ({"GTV": [square(1, 9, 200)]}, "label_contour"),
        ({"GTV": [np.array([[1, 1, 1], [9, 1, 3], [9, 9, 8], [1, 5, 2]])]}, "label_contour"),
    ],
)
def test_wrong_contours_are_refused(tmp_path, contours, code):
    with pytest.raises(CaseRefused) as caught:
        read_label(tmp_path, contours, {"GTV": "liver_tumor"})
    assert caught.value.code == code


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-3, 14), st.floats(-3, 17)), min_size=3, max_size=9))
def test_polygons_agree_with_a_ray_per_pixel(corners):
    expected = np.zeros((12, 15), bool)
    for row in range(12):
        for column in range(15):
            inside = False
            for (ra, ca), (rb, cb) in zip(corners, corners[1:] + corners[:1], strict=True):
                if (ra < row) != (rb < row) and column >= ca + (row - ra) / (rb - ra) * (cb - ca):
                    inside = not inside
            expected[row, column] = inside
    found = polygon_mask(np.array(corners), (12, 15))
    # Pixels whose center lies on an edge may go either way.
    assert (found != expected).sum() <= sum(float(r).is_integer() or float(c).is_integer() for r, c in corners) * 15


def test_published_contours_give_the_published_mask_voxel_for_voxel(real_data):
    image = read_image(real_data / "dicom_rtstruct/CT/image", Checks())
    same = read_image(real_data / "sts/ct/STS_019.nii.gz", Checks())
    np.testing.assert_array_equal(image.array, same.array)
    np.testing.assert_allclose(image.affine, same.affine, atol=1e-5)
    path = real_data / "dicom_rtstruct/CT/mask/RS.dcm"
    label, notes = read_dicom_label(path, image, {"GTV_Mass_CT": "muscle_tumor"}, CODES)
    expected = read_label_file(real_data / "sts/gtv/STS_019.nii.gz", Checks())
    np.testing.assert_array_equal(label == 3, expected.array > 0)
    assert notes == []


def test_a_published_segmentation_equals_its_nrrd_copy(real_data):
    image = read_image(real_data / "dicom_seg/ct-3slice", Checks())
    assert image.array.min() == -3024
    assert image.spacing[0] == pytest.approx(1.0)
    codes = {"liver": 1}
    labels = []
    for name, key in (("liver.dcm", "Liver"), ("liver_seg.nrrd", "1")):
        entries = [{"path": str(real_data / "dicom_seg" / name), "map": {key: "liver"}}]
        label, notes = read_structures(json.loads(json.dumps(entries)), image, "ct", codes, True, Checks())
        labels.append(label)
        assert notes == []
    np.testing.assert_array_equal(labels[0], labels[1])
    assert labels[0].sum() == 107098


def test_nothing_of_the_patient_is_kept(tmp_path):
    write_dicom(tmp_path, IMAGE)
    volume = canonicalize(read_image(tmp_path, Checks()))
    assert set(vars(volume)) == {"array", "affine", "notes"}
