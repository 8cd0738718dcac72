"""DICOM labels made in code: what segments.py reads of them, and frames that it must not read."""

import io

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

FRAMES = bytes(range(256)) * 16


def dicom(uid, kind, **fields):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID = kind, f"{uid}.1", uid
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = kind, f"{uid}.1"
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def items(**values):
    """One item per value, each with one attribute."""
    (name, texts), *_ = values.items()
    sequence = []
    for text in texts:
        item = Dataset()
        setattr(item, name, text)
        sequence.append(item)
    return sequence


def segmentation(uid, image, *names):
    return dicom(
        uid,
        SegmentationStorage,
        ReferencedSeriesSequence=items(SeriesInstanceUID=[image]),
        SegmentSequence=items(SegmentLabel=names),
        BitsAllocated=8,
        PixelData=FRAMES,
    )
