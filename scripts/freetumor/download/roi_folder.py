"""Index a user's own lesions for classification: one row of a CSV, one lesion.

Nothing is read but the CSV and, for pictures, the picture; pictures are written anew as NIfTI beside the table of cases,
because the checked reader reads no pictures. This module imports nothing heavy, because the Snakefile checks sources.
"""

import csv
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from freetumor.core.config import RoiFolderSource
from freetumor.core.errors import UserError
from freetumor.core.labels import is_tumor
from freetumor.download.folder import SUFFIXES, case_id_of, expand, root_of

NEEDED = ("image", "category", "patient_id")
BOX = ("y0", "y1", "x0", "x1")
PICTURES = (".png",)

Line = tuple[int, dict[str, str]]  # number in the file, and the fields


def check_source(source: RoiFolderSource) -> None:
    """Check that the folder and the CSV exist, its columns, and that every row has what it needs; opens no image.

    Raises:
        UserError: naming the key or the line, and what was expected.
    """
    if not is_tumor(source.structure):
        raise UserError(f"sources.{source.name}.structure: '{source.structure}' is no lesion; expected <organ>_tumor")
    _read_lines(source)


def index_rois(source: RoiFolderSource, categories: Sequence[str], output: Path) -> list[dict[str, Any]]:
    """List the lesions of a source, and convert its pictures.

    Args:
        source: the source.
        categories: of the study.
        output: table that the rows are for; converted pictures lie in ``images`` and ``labels`` beside it.

    Returns:
        Rows of the table of raw cases, sorted by case id. Files that do not exist are left to preprocessing, which sets
        their cases aside.

    Raises:
        UserError: if the CSV is not what is expected, names a category that the study does not, or a picture is unreadable.
    """
    table, lines = _read_lines(source)
    root = root_of(source)
    rows, known = [], {}
    for number, line in lines:
        where = f"{table}, line {number}"
        if line["category"] not in categories:
            raise UserError(f"{where}: category '{line['category']}' is not among categories ({', '.join(categories)})")
        image = root / expand(line["image"])
        owner = known.setdefault(image.as_posix(), line["patient_id"])
        if owner != line["patient_id"]:
            raise UserError(f"{where}: {line['image']} is of patient '{line['patient_id']}' here and of '{owner}' before")
        stem = image.stem if image.suffix.lower() in PICTURES else SUFFIXES.sub("", image.name)
        case_id = case_id_of(line.get("case_id") or stem)
        mask = root / expand(line["mask"]) if line.get("mask") else None
        paths = [_readable(path, kind, case_id, source, output) for path, kind in ((image, "image"), (mask, "label")) if path]
        labels = [{"path": path.as_posix(), "map": {"*": source.structure}} for path in paths[1:]]
        rows.append(
            {
                "case_id": case_id,
                "patient_id": line["patient_id"],
                "source": source.name,
                "domain": source.domain,
                "image": paths[0].as_posix(),
                "labels": json.dumps(labels),
                "labeled": True,
                "category": line["category"],
                "region": _region(line, where),
            }
        )
    rows.sort(key=lambda row: row["case_id"])
    _check_unique(rows, table)
    return rows


def _read_lines(source: RoiFolderSource) -> tuple[Path, list[Line]]:
    """Path of the CSV and its lines, with the checks that need nothing but them."""
    path = root_of(source) / expand(source.table)
    where = f"sources.{source.name}.table"
    if not path.is_file():
        raise UserError(f"{where}: {path} not found; expected a CSV with the columns {', '.join(NEEDED)}")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        fields = reader.fieldnames or []
        missing = [name for name in NEEDED if name not in fields]
        if missing:
            raise UserError(f"{path}: column {' and '.join(missing)} missing; expected {', '.join(NEEDED)}")
        sides = [name for name in BOX if name in fields]
        if sides and len(sides) < len(BOX):
            raise UserError(f"{path}: a box needs the columns {', '.join(BOX)}, there are only {', '.join(sides)}")
        lines = [
            (reader.line_num, {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)})
            for row in reader
        ]
    lines = [(number, line) for number, line in lines if any(line.values())]
    if not lines:
        raise UserError(f"{path}: lists no lesion")
    for number, line in lines:
        for name in NEEDED:
            if not line[name]:
                raise UserError(f"{path}, line {number}: {name} is empty")
        _region(line, f"{path}, line {number}")
    return path, lines


def _region(line: Mapping[str, str], where: str) -> str:
    """The column ``region`` of a line: its box and slice, or nothing."""
    texts = [line.get(name, "") for name in BOX]
    if not any(texts):
        return ""
    try:
        y0, y1, x0, x1 = box = [int(text) for text in texts]
        plane = int(line.get("slice") or 0)
    except ValueError as error:
        raise UserError(f"{where}: box and slice must be whole numbers, got {', '.join(texts)}") from error
    if not (0 <= y0 < y1 and 0 <= x0 < x1 and plane >= 0):
        raise UserError(f"{where}: a box needs 0 <= y0 < y1, 0 <= x0 < x1 and slice >= 0, got {box}, slice {plane}")
    return json.dumps({"slice": plane, "box": box})


def _check_unique(rows: Sequence[Mapping[str, Any]], table: Path) -> None:
    for first, second in itertools.pairwise(rows):
        if first["case_id"] == second["case_id"]:
            raise UserError(f"{table}: case id '{first['case_id']}' occurs twice; give the lesions a column case_id")


def _readable(path: Path, kind: str, case_id: str, source: RoiFolderSource, output: Path) -> Path:
    """The file itself, or for a picture the NIfTI file that it is written to."""
    if path.suffix.lower() not in PICTURES or not path.exists():
        return path
    from freetumor.download.cohort import file_of
    from freetumor.download.pictures import convert_picture

    target = file_of(output.parent, kind, case_id)
    convert_picture(path, target, source.pixel_mm, source.intensity if kind == "image" else None)
    return target
