"""A sheet of pictures as two small files: ``<name>.csv``, one row per picture, and ``<name>.npz``, its arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from freetumor.core.errors import UserError
from freetumor.core.files import atomic
from freetumor.core.tables import Schema, read_table, write_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Sheet:
    """Rows and their pictures.

    Attributes:
        table: one row per picture.
        pictures: by name, one array per row; shapes may differ from row to row.
    """

    table: "pd.DataFrame"
    pictures: Mapping[str, Sequence[np.ndarray]]


def write_sheet(table: str | Path, sheet: Sheet, schema: Schema) -> None:
    """Write a sheet; the same sheet gives the same bytes.

    Args:
        table: path of the CSV; the arrays are written beside it.
        sheet: what to write.
        schema: of the table.

    Raises:
        ValueError: if a row has no picture, or a picture no row.
    """
    wrong = [name for name, arrays in sheet.pictures.items() if len(arrays) != len(sheet.table)]
    if wrong:
        raise ValueError(f"{table}: {len(sheet.table)} rows, but not as many pictures '{wrong[0]}'")
    arrays = {f"{name}.{row}": array for name, found in sheet.pictures.items() for row, array in enumerate(found)}
    with atomic(Path(table).with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, **arrays)
    write_table(sheet.table, table, schema)


def read_sheet(table: str | Path, schema: Schema, names: Sequence[str]) -> Sheet:
    """Read a sheet.

    Args:
        table: path of the CSV.
        schema: of the table.
        names: of the pictures that every row must have.

    Raises:
        UserError: if a file is missing or damaged, or a row lacks a picture.
    """
    rows, path = read_table(table, schema), Path(table).with_suffix(".npz")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Sheet(rows, {name: [arrays[f"{name}.{row}"] for row in range(len(rows))] for name in names})
    except FileNotFoundError as error:
        raise UserError(f"{path}: pictures not found") from error
    except KeyError as error:
        raise UserError(f"{path}: a picture of {table} is missing: {error.args[0]}") from error
    except (ValueError, OSError, BadZipFile) as error:
        raise UserError(f"{path}: expected an archive of arrays, got: {error}") from error
