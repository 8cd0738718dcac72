"""Real and painted lesions of a fold, cut out in the same way and measured: one row each.

Real lesions are the annotated tumors of the labeled development cases; those of the training part are what synthesizers have
learned from. Painted ones are the accepted lesions of the banks, each applied alone to its parent. Lesions below the study's
least volume, or of fewer than 20 voxels, are left out on both sides.

A third kind is the positive control of the test for copies: *planted* lesions are copies of training lesions, mirrored at
random and with 5 HU of noise, cut out and measured like all others. Nothing but ``privacy`` looks at them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from freetumor.core.components import connected_components
from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.labels import tumor_code
from freetumor.core.progress import Progress
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, INTEGER, NUMBER, TEXT, Schema, make_table, read_table, write_table
from freetumor.preprocessing.store import write_array
from freetumor.synthesis.bank import accepted_rows, apply_lesion, read_lesion
from freetumor.synthesizer.cases import Case, Patch, open_cases, organ_mask

from .aligned import SIDE, thumbnail
from .lesion_features import LESION_FEATURES, MARGIN, MEASURES, PROFILE, RING_FEATURES, Crop, measure_lesion
from .radiomics import RADIOMICS, radiomics

REAL, PAINTED, PLANTED = "real", "painted", "planted"
TRAINING, HELD_OUT = "training", "held_out"
MOST = 400  # lesions of one kind and organ that are measured, at random
COPIES = 20  # planted per organ
COPY = ".copy"  # between the name of the original and the number of the copy
NOISE = 5.0  # HU, of planted copies
KEYS = ("kind", "synthesizer", "fold", "organ", "case_id", "lesion_id")
MEASURED = Schema(
    "measured lesions",
    {
        "kind": TEXT,  # real, painted or planted
        "synthesizer": TEXT,  # empty unless painted
        "fold": INTEGER,
        "organ": TEXT,
        "case_id": TEXT,
        "lesion_id": TEXT,
        "patient_id": TEXT,
        "part": TEXT,  # of a real lesion: training or held_out; else empty
        **dict.fromkeys((*MEASURES, "flatness", *LESION_FEATURES, *RING_FEATURES, *PROFILE, *RADIOMICS), NUMBER),
    },
    open=True,  # features of a network, where the study asks for one
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


def measure_fold(
    config: Config,
    fold: int,
    cases: Path,
    manifests: Sequence[Path],
    output: Path,
    thumbnails: Path,
    network: Path | None = None,
) -> None:
    """Measure the real lesions of a fold, those of all its banks, and planted copies, and write :data:`MEASURED`.

    Args:
        config: the study.
        fold: the fold.
        cases: its fold table.
        manifests: manifests of synthesizers.
        output: output table.
        thumbnails: output array (lesions, 12, 12, 12) of ``aligned.thumbnail`` in float16, in the order of the table.
        network: weights of ``evaluation.feature_network``, if the study has one.
    """
    table = read_table(cases, FOLD_CASES)
    extra = _network_features(config, network)
    found = [*real_lesions(table, config), *painted_lesions(table, config, manifests)]
    progress = Progress(f"lesions of fold {fold}", len(found), "lesion", interval=10)
    rows = []
    for lesion in found:
        rows += _described(lesion.identity, lesion.crop(), fold, config, extra)
        progress.advance()
    measured = {row["lesion_id"] for row in rows if row["part"] == TRAINING}
    print(f"fold {fold}: {len(rows)} of {len(found)} lesions are large enough to be measured", flush=True)
    for identity, crop in planted_lesions([lesion for lesion in found if lesion.identity["lesion_id"] in measured], config):
        rows += _described(identity, crop, fold, config, extra)
    rows.sort(key=lambda row: tuple(row[key] for key in KEYS))
    cubes = [row.pop("thumbnail") for row in rows]
    write_array(thumbnails, np.stack(cubes) if cubes else np.zeros((0, *(SIDE,) * 3), np.float16))
    write_table(make_table(rows, MEASURED), output, MEASURED)


def read_measured(paths: Sequence[Path]) -> pd.DataFrame:
    """The measured lesions of all folds in a fixed order; the index tells their places in the tables below each other.

    Raises:
        UserError: if a table is missing or damaged, or if no table holds a lesion.
    """
    table = pd.concat([read_table(path, MEASURED) for path in paths], ignore_index=True)
    if table.empty:
        raise UserError(f"{paths[0]}: holds no lesion, neither real nor painted; each fold needs annotated tumors or a bank")
    return table.sort_values(list(KEYS))


def _described(
    identity: dict[str, str], crop: Crop, fold: int, config: Config, extra: Callable[[Crop], dict[str, float]]
) -> list[dict]:
    """The row of a lesion with its thumbnail; none if it is too small."""
    large = np.count_nonzero(crop.lesion) * np.prod(crop.spacing) / 1000 >= config.evaluation.min_lesion_ml
    numbers = measure_lesion(crop) if large else None
    if numbers is None:
        return []
    more = radiomics(crop.image, crop.lesion, crop.spacing) | extra(crop) | {"thumbnail": thumbnail(crop).astype(np.float16)}
    return [{"fold": fold, **identity, **numbers, **more}]


def _network_features(config: Config, weights: Path | None) -> Callable[[Crop], dict[str, float]]:
    """What describes a lesion by the network that the study asks for: nothing, if it asks for none."""
    if weights is None:
        return lambda crop: {}
    from freetumor.core.device import prepare

    from .feature_space import load_encoder

    return load_encoder(config, weights, prepare(config.compute).torch)


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


def planted_lesions(training: Sequence[Found], config: Config) -> Iterator[tuple[dict[str, str], Crop]]:
    """Copies of training lesions, :data:`COPIES` per organ that has one, each original about as often as the others."""
    for organ in config.organs:
        originals = [lesion for lesion in training if lesion.identity["organ"] == organ]
        for number in range(COPIES if originals else 0):
            original = originals[number % len(originals)]
            identity = original.identity | {"kind": PLANTED, "part": ""}
            identity["lesion_id"] += f"{COPY}{number}"
            yield identity, plant(original.crop(), generator(config.seed, "privacy", "plant", identity["lesion_id"]))


def plant(crop: Crop, rng: np.random.Generator, noise: float = NOISE) -> Crop:
    """A copy of a lesion, mirrored along axes drawn at random, with ``noise`` HU of white noise on every voxel."""
    ways = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(3))
    image = np.rint(crop.image[ways] + rng.normal(0, noise, crop.image.shape)).astype(np.int16)
    return Crop(image, crop.lesion[ways], crop.organ[ways], crop.spacing)


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
    names, _ = connected_components(patch.label == tumor_code(index))
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
