"""Exports of the bank: whole NIfTI pairs for other programs and viewers."""

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.files import atomic
from freetumor.core.labels import class_codes, tumor_of
from freetumor.core.tables import FOLD_CASES, MANIFEST, TEXT, Schema, read_table, write_table
from freetumor.synthesizer.assembly import ACCEPTED
from freetumor.synthesizer.cases import Case

from .bank import apply_lesion, read_lesion

EXPORTS = Schema("exports", {"case_id": TEXT, "image": TEXT, "label": TEXT, "lesions": TEXT})


def export_nifti(config: Config, cases: Path, manifest: Path, output: Path) -> None:
    """Write painted volumes as NIfTI pairs beside ``output``, a table of what was written.

    Each volume carries all accepted lesions that do not touch an earlier one.

    Args:
        config: the study.
        cases: the fold table.
        manifest: the manifest of a synthesizer.
        output: output table; images and labels lie in its folder.
    """
    rows = read_table(manifest, MANIFEST)
    rows = rows[rows["outcome"] == ACCEPTED]
    table = read_table(cases, FOLD_CASES).set_index("case_id", drop=False)
    codes = class_codes(config.organs)
    written = []
    for case_id in sorted(rows["case_id"].unique())[: config.synthesis.export_cases]:
        case = Case(table.loc[case_id], config.organs, hide_tumors=table.loc[case_id, "part"] == "pool")
        image, label, applied = case.image[...], case.read_label(), []
        taken = np.zeros(image.shape, bool)
        for _, row in rows[rows["case_id"] == case_id].iterrows():
            lesion = read_lesion(manifest, row)
            box = tuple(slice(c, c + n) for c, n in zip(lesion.corner, lesion.label.shape, strict=True))
            if not (taken[box] & lesion.label).any():
                apply_lesion(lesion, image, label, codes[tumor_of(row["organ"])])
                taken[box] |= lesion.label
                applied.append(row["lesion_id"])
        affine = np.array(json.loads(table.loc[case_id, "affine"]))
        names = {kind: f"{case_id}_{kind}.nii.gz" for kind in ("image", "label")}
        for kind, array in (("image", image), ("label", label)):
            write_nifti(output.parent / names[kind], array, affine)
        written.append({"case_id": case_id, **names, "lesions": json.dumps(applied)})
    write_table(pd.DataFrame(written, columns=list(EXPORTS.columns)), output, EXPORTS)


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write an array (z, y, x) as ``.nii.gz`` atomically, with reproducible bytes."""
    data = nibabel.Nifti1Image(array.transpose(2, 1, 0), affine).to_bytes()  # NIfTI is (x, y, z)
    with atomic(path) as temporary:
        temporary.write_bytes(gzip.compress(data, compresslevel=3, mtime=0))
