"""The parts of the report that a study has only if it made their tables: detection, calibration, realism, privacy.

The page shows what such a table holds, not what somebody expected it to hold: a new column appears by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.tables import read_table
from freetumor.figures.answers import percent, plain
from freetumor.figures.html import Html, Section, element, folded, section, table
from freetumor.figures.style import SPLITS, metric_name, readable, structure_name

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 16  # rows of a table that is not folded
CONSTANT = {"interval": "Intervals:", "baseline": "Differences are from"}  # columns that are said once if they never change


@dataclass(frozen=True)
class Extra:
    """How a table is shown.

    Attributes:
        section: title of the section.
        name: of the table.
        note: what one must know to read it.
        rows: the rows that are shown; the file holds all.
    """

    section: str
    name: str
    note: str
    rows: "Callable[[pd.DataFrame], pd.DataFrame]" = lambda frame: frame


def tables_sections(config: Config, paths: Sequence[str | Path]) -> list[Section]:
    """A section per group of tables, in the order of :data:`EXTRAS`.

    Args:
        config: the study.
        paths: tables, known by their names.

    Raises:
        UserError: if a table is not a known one.
    """
    given = {Path(path).stem: Path(path) for path in paths}
    unknown = sorted(set(given).difference(EXTRAS))
    if unknown:
        raise UserError(f"{given[unknown[0]]}: not a table of the report; known are {', '.join(EXTRAS)}")
    parts: dict[str, list[Html]] = {}
    for name, extra in EXTRAS.items():
        if name in given:
            parts.setdefault(extra.section, []).append(_shown(config, extra, given[name]))
    return [section(title, *shown) for title, shown in parts.items()]


def _shown(config: Config, extra: Extra, path: Path) -> Html:
    frame = extra.rows(read_any(path))
    if frame.empty:
        return element("p", f"{extra.name}: nothing to show.")
    same = [name for name in CONSTANT if name in frame and frame[name].nunique() == 1]
    said = [f" {CONSTANT[name]} {frame[name].iloc[0]}." for name in same]
    frame = frame.drop(columns=same)
    note = element("p", extra.note, *said, " All of it: ", element("code", f"evaluation/{path.name}"), ".", class_="muted")
    shown = frame_table(extra.name, frame, percent(config.evaluation.confidence))
    return element("div", note, folded(f"{extra.name} ({len(frame):,} rows)", shown) if len(frame) > LONGEST else shown)


def read_any(path: str | Path) -> "pd.DataFrame":
    """Read a table whose columns this module does not know: those that hold nothing but numbers, or nothing, become numbers."""
    import pandas as pd

    frame = read_table(path)
    for name in frame:
        if frame[name].dtype.kind not in "biuf":
            text = frame[name].astype(str).replace("nan", "")
            numbers = pd.to_numeric(text.where(text != ""), errors="coerce")
            frame[name] = numbers if (numbers.notna() == (text != "")).all() else text
    return frame


def frame_table(name: str, frame: "pd.DataFrame", confidence: str) -> Html:
    """A table of all columns that are not empty; ``x_low`` and ``x_high`` become one column.

    Args:
        name: caption.
        frame: the rows.
        confidence: level of the intervals, as text.
    """
    header, columns, numeric = [], [], []
    for column in frame:
        if column.endswith("_low") and column.removesuffix("_low") + "_high" in frame:
            stem = column.removesuffix("_low")
            pairs = zip(frame[column], frame[f"{stem}_high"], strict=True)
            cells = [f"{plain(low)} to {plain(high)}" if low == low else "–" for low, high in pairs]
            heading = f"{confidence} CI" if stem == "ci" else f"{readable(stem)}, {confidence} range"
        elif column.endswith("_high") and column.removesuffix("_high") + "_low" in frame:
            continue
        else:
            cells, heading = _cells(column, frame[column]), readable(column)
        if set(cells) <= {"", "–"}:
            continue
        if frame[column].dtype.kind in "iuf":
            numeric.append(len(header))
        header.append(heading[:1].upper() + heading[1:])
        columns.append(cells)
    return table(name, header, list(zip(*columns, strict=True)), numeric)


NAMES = {"metric": metric_name, "structure": structure_name, "split": lambda split: SPLITS.get(split, split)}


def _cells(column: str, values: "pd.Series") -> list[str]:
    if values.dtype.kind in "iu" or (values.dtype.kind == "f" and (values.dropna() % 1 == 0).all() and values.max() > 1):
        return [f"{value:,.0f}" if value == value else "–" for value in values]
    if values.dtype.kind == "f":
        return [plain(value) for value in values]
    if values.dtype.kind == "b":
        return ["yes" if value else "no" for value in values]
    return [NAMES.get(column, str)(value) for value in values]


def _operating(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Of the free-response table: the operating points and the summaries, by the primary match."""
    chosen = (frame["match"] == "one_to_one") & (frame["operating"] | (frame["quantity"] != "sensitivity"))
    return frame[chosen].drop(columns=["match", "operating"])


def _errors(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Of the calibration table: the errors; the bins are in the figure."""
    return frame[frame["quantity"] != "bin"].drop(columns=["bin_low", "bin_high", "predicted"])


def _tests(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Of the realism table: what speaks of all measures together; single measures are in the figure."""
    single = frame["statistic"].isin(["q10", "q50", "q90", "distance"])
    return frame[~single].drop(columns=["reference_low", "reference_high"], errors="ignore")


EXTRAS = {
    "patients": Extra(
        "Detection",
        "Patients called positive",
        "Whether a patient has any tumor: area under the curve, and rates at a threshold fixed on validation patients.",
    ),
    "froc": Extra(
        "Detection",
        "Lesions found at fixed rates of false alarms",
        "Share of lesions found when a scan may have so many false positives on average, at the operating points of LUNA16; "
        "froc score: their mean.",
        _operating,
    ),
    "calibration": Extra(
        "Calibration",
        "How far probabilities can be taken at their word",
        "Expected calibration error (ece) and Brier score; 0 is best for both.",
        _errors,
    ),
    "realism": Extra(
        "Realism",
        "Painted against real lesions",
        "Each number beside what real lesions reach among themselves; single measures are in the figure.",
        _tests,
    ),
    "distributions": Extra(
        "Realism",
        "Radiomics of painted and real lesions",
        "Of lesions matched by size; p adjusted by Benjamini and Hochberg over the features of a synthesizer and organ.",
    ),
    "privacy": Extra(
        "Privacy",
        "Whether painted lesions are copies",
        "Distances to training lesions beside distances to lesions never seen. Outside the painted voxels a scan stays the "
        "patient's, whatever this table says.",
    ),
}
