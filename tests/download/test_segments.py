"""What a label says of its image and structures, read off its header."""

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from freetumor.core.errors import UserError
from freetumor.download.segments import read_label
from tests.download.dicom_labels import FRAMES, dicom, items, segmentation


def test_the_header_of_a_label_is_read_without_its_frames(tmp_path):
    path = tmp_path / "s.dcm"
    content = segmentation("1.9", "1.2", "Liver")
    path.write_bytes(content[: content.index(FRAMES) + 100])  # the rest is still on its way
    label = read_label(path)
    assert (label.names, label.image) == (("Liver",), "1.2")
    path.write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"s\.dcm: expected a DICOM SEG or RTSTRUCT"):
        read_label(path)


def test_a_label_that_refers_to_two_series_tells_none(tmp_path):
    path = tmp_path / "s.dcm"
    path.write_bytes(dicom("1.9", SegmentationStorage, ReferencedSeriesSequence=items(SeriesInstanceUID=["1.2", "1.3"])))
    assert read_label(path).image == ""


def test_the_structures_and_the_image_of_an_rtstruct_are_read(tmp_path):
    series, study_item, frame = items(SeriesInstanceUID=["1.7"]), Dataset(), Dataset()
    study_item.RTReferencedSeriesSequence = series
    frame.RTReferencedStudySequence = [study_item]
    kind = "1.2.840.10008.5.1.4.1.1.481.3"
    regions = items(ROIName=["GTV ", "Liver"])
    path = tmp_path / "r.dcm"
    path.write_bytes(dicom("1.9", kind, ReferencedFrameOfReferenceSequence=[frame], StructureSetROISequence=regions))
    label = read_label(path)
    assert (label.names, label.image) == (("GTV", "Liver"), "1.7")
