"""NIfTI pairs and the data list that MONAI's ``load_decathlon_datalist`` reads."""

from pathlib import Path

import pandas as pd

from freetumor.core.config import Config
from freetumor.core.files import write_json
from freetumor.core.labels import class_codes
from freetumor.core.tables import FOLD_CASES, read_table

from .export import Export, export_volumes
from .export_nifti import NiftiWriter

TRAINING, VALIDATION = 1, 0  # MONAI: the fold that is held out, and the others


def export_monai(config: Config, cases: Path, manifest: Path, output: Path) -> None:
    """Write ``images/``, ``labels/`` and ``datalist.json`` beside ``output``.

    Args:
        config: the study; ``synthesis.export_real`` says whether labeled cases join.
        cases: the fold table.
        manifest: the manifest of a synthesizer.
        output: table of the volumes written (CSV).

    Raises:
        UserError: if the bank holds no accepted lesion.
    """
    patients = ", in datalist.json also by its patient ids"
    export = Export(__file__, config, "MONAI data list", cases, manifest, output, real=True, identity=patients)
    writer = NiftiWriter(lambda item: (f"images/{item.name}.nii.gz", f"labels/{item.name}.nii.gz"))
    patient_of = read_table(cases, FOLD_CASES).set_index("case_id")["patient_id"].to_dict()
    export_volumes(
        export, writer, lambda written: write_json(export.root / "datalist.json", data_list(config, written, patient_of))
    )


def data_list(config: Config, written: pd.DataFrame, patient_of: dict[str, str]) -> dict:
    """The data list: paths are relative to its folder.

    Args:
        config: the study.
        written: the table of exported volumes.
        patient_of: patient of each case; whoever divides the list anew must keep entries of a patient together.
    """
    lists: dict[str, list[dict]] = {"training": [], "validation": []}
    for row in written.to_dict("records"):
        held_out = row["part"] == "validation"
        entry = {
            "image": row["image"],
            "label": row["label"],
            "fold": VALIDATION if held_out else TRAINING,
            "synthetic": row["synthetic"],
            "case": row["case_id"],
            "patient": patient_of[row["case_id"]],
            "lesions": [name for name in row["lesions"].split(",") if name],
        }
        lists["validation" if held_out else "training"].append(entry)
    labels = {str(code): name for name, code in class_codes(config.organs).items()}
    return {"name": config.title or config.study, "modality": {"0": "CT"}, "labels": labels, **lists}
