"""A raw data set for nnU-Net: labeled cases and painted variants, with the study's own split.

Reference: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z; the format is that of nnU-Net version 2
(documentation/dataset_format.md of its repository).
"""

from pathlib import Path

import pandas as pd

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.files import write_json
from freetumor.core.labels import class_codes

from .export import Export, export_volumes
from .export_nifti import NiftiWriter

LARGEST_ID = 999  # names of data sets have three digits
ENDING = ".nii.gz"


def export_nnunet(config: Config, fold: int, synthesizer: str, cases: Path, manifest: Path, output: Path) -> None:
    """Write ``Dataset<number>_<study>_<synthesizer>_fold<k>`` beside ``output``: images, labels, and two JSON files.

    Args:
        config: the study; ``synthesis.export_real`` says whether labeled cases join.
        fold: the fold.
        synthesizer: key of ``synthesizers``.
        cases: the fold table.
        manifest: the manifest of the synthesizer.
        output: table of the volumes written (CSV).

    Raises:
        UserError: if the bank holds no accepted lesion, or the number of the data set has more than three digits.
    """
    folder = f"Dataset{dataset_id(config, fold, synthesizer):03d}_{config.study}_{synthesizer}_fold{fold}"
    export = Export(__file__, config, "nnU-Net raw data set", cases, manifest, output, folder, real=True)
    writer = NiftiWriter(lambda item: (f"imagesTr/{item.name}_0000{ENDING}", f"labelsTr/{item.name}{ENDING}"))

    def finish(written: pd.DataFrame) -> None:
        write_json(export.root / "dataset.json", dataset_json(config, written))
        write_json(export.root / "splits_final.json", [split_volumes(written)])

    export_volumes(export, writer, finish)


def dataset_id(config: Config, fold: int, synthesizer: str) -> int:
    """Number of a data set: each bank of each fold has its own, so that all can lie in one folder of raw data."""
    banks = config.banks
    number = config.synthesis.nnunet_id + fold * len(banks) + (banks.index(synthesizer) if synthesizer in banks else 0)
    if number > LARGEST_ID:
        raise UserError(f"synthesis.nnunet_id: fold {fold} of '{synthesizer}' would be data set {number}; at most {LARGEST_ID}")
    return number


def dataset_json(config: Config, written: pd.DataFrame) -> dict:
    """What nnU-Net reads first: channels, classes, number of training volumes."""
    return {
        "name": config.title or config.study,
        "description": "Working grid of the study. Volumes whose name ends in _v and a number carry synthetic tumors.",
        "channel_names": {"0": "CT"},
        "labels": class_codes(config.organs),
        "numTraining": len(written),
        "file_ending": ENDING,
    }


def split_volumes(written: pd.DataFrame) -> dict[str, list[str]]:
    """The study's split: validation cases, all real, against the rest.

    Parts are by patient, so every variant of a patient is on one side; and no synthesizer has learned from a validation case,
    which the splits that nnU-Net draws by itself would not heed.
    """
    held_out = written["part"] == "validation"
    return {"train": written.loc[~held_out, "volume"].tolist(), "val": written.loc[held_out, "volume"].tolist()}
