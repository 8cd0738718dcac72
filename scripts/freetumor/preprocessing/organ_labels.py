"""Organ labels that a command of the user made, put beside the labels that cases have of their own."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from freetumor.core.config import OrganLabels
from freetumor.core.errors import UserError
from freetumor.core.labels import BACKGROUND
from freetumor.core.tables import ORGAN_LABELS, read_table
from freetumor.preprocessing.quarantine import CaseRefused, quarantine_row
from freetumor.preprocessing.structures import parse_labels


def add_organ_labels(
    rows: Sequence[Mapping[str, Any]], table: Path | None, wanted: OrganLabels
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Add the made label of each case to its labels, as the first and therefore weakest.

    A structure that the case's own files name is left to them: two outlines of one organ would differ at their borders.

    Args:
        rows: rows of ``core.tables.RAW_CASES``.
        table: of ``core.tables.ORGAN_LABELS``, with a row for each of them.
        wanted: settings of the source.

    Returns:
        The rows whose labels are complete, and quarantine rows of the others.

    Raises:
        UserError: if there is no table, or a case is not in it.
    """
    if table is None:
        raise UserError("--organ-labels: the source has a command that makes organ labels; expected the table of its shard")
    made = read_table(table, ORGAN_LABELS).set_index("case_id").to_dict("index")
    complete, refused = [], []
    for row in rows:
        if row["case_id"] not in made:
            raise UserError(f"{table}: case {row['case_id']} is missing; make the organ labels of its shard again")
        entry = made[row["case_id"]]
        if entry["reason"]:
            refused.append(quarantine_row(row["case_id"], CaseRefused("organ_command", row["image"], entry["reason"])))
            continue
        labels = parse_labels(row["labels"])
        own = {name for label in labels for name in label["map"].values()}
        names = {str(code): BACKGROUND if name in own else name for code, name in wanted.label_map.items()}
        first = [{"path": entry["path"], "map": names}] if entry["path"] else []
        complete.append({**row, "labels": json.dumps([*first, *labels])})
    return complete, refused
