"""What a DICOM label says of itself, without its voxels: the names of its segments, and the CT series it was drawn on.

Reading stops before the frames or contours, which are most of the file. Reference: DICOM PS3.3, C.8.20.2 (segmentation),
C.8.8.5 (structure set), C.12.1.2 (common instance reference).
"""

from dataclasses import dataclass
from pathlib import Path

from freetumor.core.errors import UserError

CONTOURS = 0x30060039  # ROI contours; the frames of a segmentation come later still


@dataclass(frozen=True)
class ReadLabel:
    """A label file: its path, the names of its segments or regions, and the UID of its CT series (empty: it tells none)."""

    path: Path
    names: tuple[str, ...]
    image: str


def read_label(path: Path) -> ReadLabel:
    """Read the names and the reference of a DICOM SEG or RTSTRUCT.

    Raises:
        UserError: if the file is no DICOM file.
    """
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_partial

    try:
        with path.open("rb") as stream:
            dataset = read_partial(stream, stop_when=lambda tag, representation, length: tag >= CONTOURS)
    except (InvalidDicomError, OSError, EOFError, ValueError) as error:
        raise UserError(f"{path}: expected a DICOM SEG or RTSTRUCT ({type(error).__name__})") from error
    regions = [item.get("ROIName", "") for item in dataset.get("StructureSetROISequence") or []]
    segments = [item.get("SegmentLabel", "") for item in dataset.get("SegmentSequence") or []]
    return ReadLabel(path, tuple(str(name).strip() for name in [*segments, *regions]), _reference(dataset))


def _reference(dataset: object) -> str:
    """The only series that the file refers to."""
    found = [item.get("SeriesInstanceUID", "") for item in dataset.get("ReferencedSeriesSequence") or []]
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            found += [item.get("SeriesInstanceUID", "") for item in study.get("RTReferencedSeriesSequence") or []]
    return str(found[0]) if len(set(found)) == 1 else ""
