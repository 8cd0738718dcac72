"""Real and painted lesions of a fold, cut out in the same way and measured: one row each.

Real lesions are the annotated tumors of the labeled development cases; those of the training part are what synthesizers have
learned from. Painted ones are the accepted lesions of the banks, each applied alone to its parent. Lesions below the study's
least volume, or of fewer than 20 voxels, are left out on both sides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cc3d
import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.labels import tumor_code
from freetumor.core.progress import Progress
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, INTEGER, NUMBER, TEXT, Schema, make_table, read_table, write_table
from freetumor.synthesis.bank import accepted_rows, apply_lesion, read_lesion
from freetumor.synthesizer.cases import Case, Patch, open_cases, organ_mask

from .lesion_features import LESION_FEATURES, MARGIN, MEASURES, PROFILE, RING_FEATURES, Crop, measure_lesion

REAL, PAINTED = "real", "painted"
TRAINING, HELD_OUT = "training", "held_out"
MOST = 400  # lesions of one kind and organ that are measured, at random
KEYS = ("kind", "synthesizer", "fold", "organ", "case_id", "lesion_id")
MEASURED = Schema(
    "measured lesions",
    {
        "kind": TEXT,  # real or painted
        "synthesizer": TEXT,  # empty for a real lesion
        "fold": INTEGER,
        "organ": TEXT,
        "case_id": TEXT,
        "lesion_id": TEXT,
        "patient_id": TEXT,
        "part": TEXT,  # of a real lesion: training or held_out; else empty
        **dict.fromkeys((*MEASURES, "flatness", *LESION_FEATURES, *RING_FEATURES, *PROFILE), NUMBER),
    },
)


@dataclass(frozen=True)
class Found:
    """A lesion that can be cut out: its identity, and how."""

    identity: dict[str, str]
    case: Case
    index: int  # of the organ in the study's list
    source: object  # box of a real lesion (6,), or manifest and row of a painted one

    def crop(self) -> Crop:
        """Read it."""
        if isinstance(self.source, np.ndarray):
            return _real_crop(self.case, self.index, self.source)
        return _painted_crop(self.case, self.index, *self.source)


def measure_fold(config: Config, fold: int, cases: Path, manifests: Sequence[Path], output: Path) -> None:
    """Measure the real lesions of a fold and those of all its banks, and write :data:`MEASURED`.

    Args:
        config: the study.
        fold: the fold.
        cases: its fold table.
        manifests: manifests of synthesizers.
        output: output table.
    """
    table = read_table(cases, FOLD_CASES)
    found = [*real_lesions(table, config), *painted_lesions(table, config, manifests)]
    progress = Progress(f"lesions of fold {fold}", len(found), "lesion", interval=10)
    rows = []
    for lesion in found:
        crop = lesion.crop()
        large = np.count_nonzero(crop.lesion) * np.prod(crop.spacing) / 1000 >= config.evaluation.min_lesion_ml
        numbers = measure_lesion(crop) if large else None
        if numbers is not None:
            rows.append({"fold": fold, **lesion.identity, **numbers})
        progress.advance()
    print(f"fold {fold}: {len(rows)} of {len(found)} lesions are large enough to be measured", flush=True)
    write_table(make_table(rows, MEASURED).sort_values(list(KEYS)), output, MEASURED)


def real_lesions(table: pd.DataFrame, config: Config) -> Iterator[Found]:
    """Annotated lesions of the training part, and of the validation and test parts, of a fold's development cases."""
    labeled = table[table["labeled"] & (table["split"] == "development")]
    for part, names in ((TRAINING, ("train",)), (HELD_OUT, ("validation", "test"))):
        opened = open_cases(labeled, config, *names)
        for index, organ in enumerate(config.organs):
            every = [(case, number, box) for case in opened for number, box in enumerate(case.lesions(organ))]
            for case, number, box in (every[place] for place in some(len(every), config, REAL, part, organ)):
                lesion_id = f"{case.case_id}.{organ}.{number}"
                yield Found(_identity(REAL, "", organ, case, lesion_id) | {"part": part}, case, index, np.asarray(box))


def painted_lesions(table: pd.DataFrame, config: Config, manifests: Sequence[Path]) -> Iterator[Found]:
    """Accepted lesions of banks."""
    parents = {case.case_id: case for case in open_cases(table, config, "train", "pool")}
    for manifest in manifests:
        accepted = accepted_rows(manifest, list(parents.values()))
        for (name, organ), rows in accepted.sort_values("lesion_id").groupby(["synthesizer", "organ"], sort=True):
            for _, row in rows.iloc[some(len(rows), config, PAINTED, name, organ)].iterrows():
                case = parents[row["case_id"]]
                identity = _identity(PAINTED, name, organ, case, row["lesion_id"]) | {"part": ""}
                yield Found(identity, case, config.organs.index(organ), (manifest, row))


def some(count: int, config: Config, *key: str) -> np.ndarray:
    """Positions of at most :data:`MOST` of ``count`` lesions, drawn by the study's seed, in their order."""
    if count <= MOST:
        return np.arange(count)
    return np.sort(generator(config.seed, "realism", "some", *key).choice(count, MOST, replace=False))


def _identity(kind: str, synthesizer: str, organ: str, case: Case, lesion_id: str) -> dict[str, str]:
    names = {"kind": kind, "synthesizer": synthesizer, "organ": organ, "case_id": case.case_id}
    return names | {"lesion_id": lesion_id, "patient_id": case.patient_id}


def _real_crop(case: Case, index: int, box: np.ndarray) -> Crop:
    """The annotated lesion whose bounding box is ``box`` (z0, z1, y0, y1, x0, x1)."""
    low, high = box[0::2], box[1::2]
    patch = _patch_around(case, low, high)
    names = cc3d.connected_components(patch.label == tumor_code(index), connectivity=26)
    inside = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, patch.corner, strict=True))
    counts = np.bincount(names[inside].ravel())
    counts[0] = 0
    return Crop(patch.image, names == counts.argmax(), organ_mask(patch.label, index), case.spacing)


def _painted_crop(case: Case, index: int, manifest: Path, row: pd.Series) -> Crop:
    """A lesion of a bank, applied to its parent."""
    lesion = read_lesion(manifest, row)
    low = np.array(lesion.corner)
    patch = _patch_around(case, low, low + lesion.label.shape)
    painted = np.zeros(patch.label.shape, np.uint8)
    apply_lesion(lesion, patch.image, painted, 1, patch.corner)
    return Crop(patch.image, painted > 0, organ_mask(patch.label, index) & (painted == 0), case.spacing)


def _patch_around(case: Case, low: np.ndarray, high: np.ndarray) -> Patch:
    """The box from ``low`` to before ``high`` with the margin of a crop."""
    margin = np.ceil(MARGIN / np.array(case.spacing)).astype(int)
    corner, size = low - margin, high - low + 2 * margin
    return case.patch(tuple(int(c) for c in corner), tuple(int(n) for n in size))
