"""Why a case is refused, or how it was repaired: the closed list of codes and the exception that carries one.

A refused case becomes one row of the quarantine table; a repaired case carries the code of the repair in the column
``notes`` of its volume. ``docs/reference/quarantine.md`` lists the same codes for the user; a test compares the two.
"""

REFUSALS = {
    "file_missing": "A file or folder of the case does not exist.",
    "file_empty": "A file has no bytes, or a DICOM folder no files.",
    "file_unreadable": "The operating system or the format's library could not read a file.",
    "format_unknown": "The name of a file ends in none of the known suffixes.",
    "gzip_damaged": "A compressed file is truncated, fails its checksum, or is followed by other bytes.",
    "header_invalid": "The header is not one of the format: wrong magic, size, offset or fields.",
    "payload_length": "There are fewer or more voxel bytes than the header promises.",
    "too_large": "The volume has more voxels than `checks.max_voxels`.",
    "dimensions": "The data are not one 3-D volume (for regions, or axial slice): a length below two, or a fourth dimension.",
    "voxel_type": "Voxels are complex, colored, or of an unknown type.",
    "scaling": "Slope or intercept is infinite or absurd.",
    "voxel_nan": "A voxel is NaN or infinite.",
    "hu_range": "A voxel does not fit into 16 bits.",
    "units": "The header counts in meters or micrometers; programs disagree about such files.",
    "affine_invalid": "The affine is not finite, or singular.",
    "affine_sheared": "The axes are not orthogonal, for example under a tilted gantry.",
    "affine_conflict": "The two affines of a NIfTI header (qform and sform), or the voxel sizes, contradict each other.",
    "spacing": "The voxel spacing is outside `checks.spacing`.",
    "extent": "The extent is outside `checks.extent`.",
    "image_constant": "All voxels have the same value.",
    "image_few_values": "Too few different values for a CT: a label file given as an image, or an 8-bit picture.",
    "hu_windowed": "Intensities were clipped to a display window.",
    "hu_offset": "Intensities are CT, but shifted by about 1000 or 1024.",
    "hu_inverted": "Intensities are CT with the opposite sign.",
    "hu_not_ct": "Intensities do not look like Hounsfield units.",
    "dicom_no_ct": "The folder holds no CT image.",
    "dicom_several_series": "The folder holds more than one CT series.",
    "dicom_unsupported": "An enhanced (multi-frame) CT, or a segmentation of an unknown kind.",
    "dicom_inconsistent": "Slices of the series differ in size, spacing or orientation.",
    "dicom_duplicate_slices": "Two different slices lie at the same place.",
    "dicom_missing_slices": "The distances between slices are unequal: slices are missing.",
    "label_grid": "Label and image differ in shape or position.",
    "label_not_integer": "A label file has a value that is not an integer.",
    "label_unknown_value": "A label file has a value that its map does not name.",
    "label_no_structure": "A DICOM label file has none of the segments that its map names.",
    "label_contour": "A contour lies between the slices, outside the image, or in no plane.",
    "organ_command": "The command that makes organ labels failed on the case, ran too long or left nothing usable.",
    "lesion_missing": "Nothing outlines a lesion, of which a region should be taken: no mask, no box, or no voxel in them.",
    "label_empty": "The label files of the case, which should hold an organ, hold no voxel at all.",
    "worker_lost": "The process that worked on the case was killed, most often for lack of memory.",
    "unexpected": "An error that no other code describes; the reason names it.",
}

NOTES = {
    "affine_repaired": "Axes that were slightly off the right angle were made orthogonal.",
    "orientation_assumed": "The header does not say how the volume lies; the default of the format was taken.",
    "padding_clipped": "Values below -1024 HU, as scanners pad with, were set to -1024.",
    "label_affine_rounded": "The label's affine differs from the image's by a rounding error; the image's was taken.",
    "segments_ignored": "A DICOM label file has segments that its map does not name.",
    "contour_repeated": "A contour was listed twice; the copy was dropped.",
    "tumor_apart": "A tumor has no contact with its organ.",
    "lesion_rescued": "A lesion too small for the working grid was kept as single voxels.",
    "hu_unproven": "A single slice shows too little to tell whether it is CT in HU; it was taken as it is.",
    "context_padded": "The image ends near the lesion; around it the region was continued with the outermost pixels.",
    "organ_by_rule": "An organ was derived from the CT by a threshold rule.",
}


class CaseRefused(Exception):
    """A case that cannot be used: a code of :data:`REFUSALS`, the file at fault, and a reason in one line."""

    def __init__(self, code: str, path: object, reason: str) -> None:
        if code not in REFUSALS:
            raise ValueError(f"{code} is not a quarantine code")
        super().__init__(code, str(path), " ".join(reason.split()))
        self.code, self.path, self.reason = self.args


def quarantine_row(case_id: str, error: CaseRefused) -> dict[str, str]:
    """The row of :data:`freetumor.core.tables.QUARANTINE` for a refused case."""
    return {
        "case_id": case_id,
        "stage": "preprocessing",
        "code": error.code,
        "path": error.path,
        "reason": error.reason,
    }
