"""A bank made by hand for the tests of exports: known lesions on cases with an oblique affine, without a synthesizer."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.labels import class_codes, tumor_of
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, MANIFEST, read_table, write_table
from freetumor.synthesis.bank import crop_lesion, pack_lesion, record_block, write_pack
from freetumor.synthesizer.cases import Case, open_cases
from tests.factory import small_config

SPACING = (2.5, 2.5, 3.0)  # x, y, z in mm
TURN = np.array(  # canonical directions turned about two axes; columns are the steps of x, y and z
    [[-np.cos(0.2), np.sin(0.2), 0], [-np.sin(0.2) * np.cos(0.1), -np.cos(0.2) * np.cos(0.1), -np.sin(0.1)], [0, 0, 0]]
)
TURN[2] = [-np.sin(0.2) * np.sin(0.1), -np.cos(0.2) * np.sin(0.1), np.cos(0.1)]
AFFINE = np.eye(4)
AFFINE[:3, :3], AFFINE[:3, 3] = TURN * SPACING, [40.5, -30.25, 500.125]
REFUSED = 3  # this draw of every case


@dataclass(frozen=True)
class Sample:
    """A study, its fold table and bank, and the volumes that an export must give."""

    config: Config
    cases: Path
    manifest: Path
    volumes: dict[str, tuple[np.ndarray, np.ndarray]]  # image and label by name
    lesions: dict[str, list[str]]

    def changed(self, **synthesis: object) -> Config:
        """The study with other settings of ``synthesis``."""
        return self.config.model_copy(update={"synthesis": self.config.synthesis.model_copy(update=synthesis)})


def make_sample(fold: Path, folder: Path) -> Sample:
    """Two lesions in variant 0 of every canvas, one in variant 1 (the other was refused)."""
    config = small_config()
    config = config.model_copy(update={"synthesis": config.synthesis.model_copy(update={"export_variants": None})})
    table = read_table(fold, FOLD_CASES)
    table["affine"] = json.dumps(AFFINE.tolist())
    write_table(table, folder / "cases.parquet", FOLD_CASES)
    rows, volumes, lesions = [], {}, {}
    for case in open_cases(table, config, "train", "pool"):
        done, blocks = [], []
        for draw in range(4):
            row, block = _draw(case, draw, config, volumes, lesions)
            block_row = record_block(block, sum(map(len, blocks))) | {"patch": f"bank/{case.case_id}.pack"} if block else {}
            done.append(row | block_row)
            blocks.append(block)
        write_pack(folder / "bank" / f"{case.case_id}.pack", done, blocks, "by hand")
        rows += done
    for case in open_cases(table, config, "train", "validation"):
        volumes[case.case_id], lesions[case.case_id] = (case.image[...], case.read_label()), []
    write_table(pd.DataFrame(rows)[list(MANIFEST.columns)], folder / "manifest.parquet", MANIFEST)
    return Sample(config, folder / "cases.parquet", folder / "manifest.parquet", volumes, lesions)


def _draw(case: Case, draw: int, config: Config, volumes: dict, lesions: dict) -> tuple[dict, bytes]:
    """One lesion in the liver or the pancreas, 3 voxels wide and at a place of its own; also painted voxel by voxel."""
    organ, variant = config.organs[draw % 2], draw // 2
    row = {name: "" if kind == "str" else -1 for name, kind in MANIFEST.columns.items()} | {
        "lesion_id": f"{case.case_id}.{draw}",
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "source": case.source,
        "synthesizer": "constant",
        "draw": draw,
        "variant": variant,
        "organ": organ,
        "outcome": "refused" if draw == REFUSED else "accepted",
        "parent_hash": case.parent_hash,
    }
    if draw == REFUSED:
        return row, b""
    corner = (12, 16, 10 if organ == "liver" else 30)
    before, label = case.image[...], np.zeros(case.shape, bool)
    after = before.copy()
    painted = volumes.setdefault(f"{case.case_id}_v{variant}", (before.copy(), case.read_label()))
    lesions.setdefault(f"{case.case_id}_v{variant}", []).append(row["lesion_id"])
    rng = generator("export", case.case_id, draw)
    for offset in np.ndindex(3, 3, 3):
        place = tuple(c + o for c, o in zip(corner, offset, strict=True))
        after[place] -= int(rng.integers(1, 90))
        painted[0][place] = after[place]
        if sum(offset) != 6:  # a changed voxel that is not labeled
            label[place] = True
            painted[1][place] = class_codes(config.organs)[tumor_of(organ)]
    lesion = crop_lesion(before, after, label, (0, 0, 0))
    return row | {"corner": json.dumps(list(lesion.corner))}, pack_lesion(lesion)
