"""The worst cases: chosen by rule, with what each arm found in the slice where the reference tumor is largest."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.labels import class_codes, is_tumor
from freetumor.core.tables import CASES, PREDICTIONS, SCORES, make_table, read_table
from freetumor.evaluation.pairing import reported
from freetumor.evaluation.structures import ANY_TUMOR
from freetumor.preprocessing.store import open_array, read_patch

from .archive import Sheet, write_sheet
from .slices import AIR, center_of, code_names, locate, spacing_of
from .tables import FAILURE_PICTURES, FAILURE_SHEET

WORST = 6  # cases
MOST_ARMS = 5  # of the study, the first ones
PER_CASE = ("dice", "surface_dice")  # metrics by which cases can be ranked
FIELD = (72.0, 144.0)  # mm, least and largest side of the square that is shown


def collect_failures(config: Config, cases: Path, scores: Path, predictions: Sequence[Path], output: Path) -> None:
    """Keep the worst cases of a segmentation, one row per case and arm.

    Args:
        config: the study.
        cases: table of ``core.tables.CASES``.
        scores: merged table of ``core.tables.SCORES``.
        predictions: tables of ``core.tables.PREDICTIONS`` of all trainings.
        output: table of :data:`FAILURE_SHEET`; its pictures (int16 HU, and two masks) are written beside it.
    """
    stored = {row["case_id"]: row for row in read_table(cases, CASES).to_dict("records")}
    chosen = worst_cases(config, read_table(scores, SCORES))
    found = shown_trainings(config, chosen, predictions)
    rows, pictures = [], {name: [] for name in FAILURE_PICTURES}
    for row in found.to_dict("records"):
        case = stored[row["case_id"]]
        views, level = read_views(config, case, cases, row["prediction"], row["table"])
        _, spacing_y, spacing_x = spacing_of(case)
        facts = {"level": level, "spacing_y": spacing_y, "spacing_x": spacing_x}
        rows.append({name: row[name] for name in FAILURE_SHEET.columns if name in row} | facts)
        for name in FAILURE_PICTURES:
            pictures[name].append(views[name])
    write_sheet(output, Sheet(make_table(rows, FAILURE_SHEET), pictures), FAILURE_SHEET)


def worst_cases(config: Config, scores: pd.DataFrame) -> pd.DataFrame:
    """Cases with the lowest mean over all arms and trainings: ``rank case_id metric mean cases``, and the values of all.

    Returns:
        One row per case, arm, fold and seed of the chosen cases, worst first.
    """
    metric = next((name for name in config.evaluation.primary if name in PER_CASE), PER_CASE[0])
    arms = config.recognition.arms
    here = reported(scores)
    here = here[(here["metric"] == metric) & (here["structure"] == ANY_TUMOR) & here["arm"].isin(arms)].dropna(subset="value")
    means = here.groupby("case_id")["value"].mean().reset_index(name="mean").sort_values(["mean", "case_id"])
    ranked = means.assign(rank=np.arange(1, len(means) + 1), cases=len(means)).head(WORST)
    return here.merge(ranked, on="case_id").sort_values(["rank", "arm", "fold", "seed"], ignore_index=True)


def shown_trainings(config: Config, chosen: pd.DataFrame, predictions: Sequence[Path]) -> pd.DataFrame:
    """Of each chosen case and arm the first training, with the path of its prediction and of the table that names it."""
    first = chosen.groupby(["rank", "case_id", "arm"], as_index=False).first()
    order = {arm: place for place, arm in enumerate(config.recognition.arms[:MOST_ARMS])}
    first = first[first["arm"].isin(list(order))]
    first = first.assign(place=first["arm"].map(order)).sort_values(["rank", "place"])
    tables = [read_table(path, PREDICTIONS).assign(table=str(path)) for path in predictions]
    if not tables:
        return first.iloc[:0]
    paths = pd.concat(tables, ignore_index=True)[["case_id", "arm", "fold", "seed", "prediction", "table"]]
    keys = ["case_id", "arm", "fold", "seed"]
    # An external case belongs to no fold; its scores name the fold of the training, as the predictions do.
    return first.merge(paths, on=keys, how="inner")


def read_views(config: Config, case: Mapping, cases: Path, prediction: str, table: str) -> tuple[dict[str, np.ndarray], int]:
    """Image, reference and prediction around the tumor, in the slice where it is largest, on the grid of the stored volume."""
    label = open_array(locate(case["label"], cases))[...]
    tumors = [code for code, name in code_names(case).items() if is_tumor(name)]
    reference = np.isin(label, tumors)
    level = int(reference.sum(axis=(1, 2)).argmax())
    corner, size = window(reference[level], level, spacing_of(case))
    found = [code for name, code in class_codes(config.organs).items() if is_tumor(name)]
    predicted = np.isin(stored_slice(open_array(locate(prediction, table)), case, level), found)
    image = read_patch(open_array(locate(case["image"], cases)), corner, size, AIR)[0]
    masks = (read_patch(mask[None].astype(np.uint8), (0, *corner[1:]), size, 0)[0] for mask in (reference[level], predicted))
    return dict(zip(FAILURE_PICTURES, (image, *masks), strict=True)), level


def window(
    mask: np.ndarray, level: int, spacing: tuple[float, float, float]
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Corner and size of a square around a mask (y, x): two and a half times its extent."""
    center = center_of(mask[None], (level, 0, 0))
    found = np.argwhere(mask)
    extent = (np.ptp(found, axis=0) + 1) * spacing[1:] if len(found) else np.zeros(2)
    field = float(np.clip(2.5 * extent.max(), *FIELD))
    height, width = (2 * int(np.ceil(field / 2 / step)) + 1 for step in spacing[1:])
    return (level, center[1] - height // 2, center[2] - width // 2), (1, height, width)


def stored_slice(native: np.ndarray, case: Mapping, level: int) -> np.ndarray:
    """The slice of a native array that a level of the stored volume lies in, on the grid of that volume (nearest voxel)."""

    shape, crop = json.loads(case["shape"]), json.loads(case["crop"])
    places = [
        low + ((np.arange(count) + 0.5) * (high - low) / count).astype(int)
        for count, (low, high) in zip(shape, crop, strict=True)
    ]
    return native[int(places[0][level])][np.ix_(places[1], places[2])]
