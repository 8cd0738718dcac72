"""The shards of a source, put together."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from freetumor.core.errors import UserError
from freetumor.core.tables import QUARANTINE, VOLUMES, Schema, read_table, write_table
from freetumor.preprocessing.volumes import check_share, describe_refusals


def merge_volumes(
    shards: Sequence[Path],
    quarantines: Sequence[Path],
    output: Path,
    quarantine: Path,
    most_refused: float = 1.0,
    tolerated: int = 0,
) -> None:
    """Merge the tables of all shards of a source, sorted by case id.

    Args:
        shards: tables of volumes.
        quarantines: tables of refused cases.
        output: merged table of volumes.
        quarantine: merged table of refused cases.
        most_refused: greatest share of refused cases.
        tolerated: refused cases that are no failure whatever their share.

    Raises:
        UserError: if no volume is left, more than the share are refused, or a case occurs twice.
    """
    volumes = concatenate(shards, VOLUMES)
    refused = concatenate(quarantines, QUARANTINE)
    twice = volumes.loc[volumes["case_id"].duplicated(), "case_id"]
    if len(twice):
        raise UserError(f"{output}: case id '{twice.iloc[0]}' comes from two shards")
    write_table(refused, quarantine, QUARANTINE)
    rows = refused.to_dict("records")
    name = volumes["source"].iloc[0] if len(volumes) else output.parent.name
    print(f"{name}: {len(volumes)} volumes, {describe_refusals(rows)}", flush=True)
    check_share(len(volumes), rows, most_refused, tolerated, name)
    write_table(volumes, output, VOLUMES)


def concatenate(paths: Sequence[Path], schema: Schema) -> pd.DataFrame:
    """Tables of one schema below each other, sorted by case id and then by all other columns."""
    tables = [read_table(path, schema) for path in paths]
    merged = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    return merged.sort_values(["case_id", *[name for name in schema.columns if name != "case_id"]], ignore_index=True)
