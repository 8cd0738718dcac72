"""Join the tables of all folds, arms and seeds of a study, and add its selections as arms."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.tables import Schema, read_table, write_table
from freetumor.evaluation.score import SCHEMAS, Rows
from freetumor.evaluation.selection import SELECTIONS, select_arms, with_selections

if TYPE_CHECKING:
    import pandas as pd

TRAINING = ["split", "arm", "fold", "seed"]
KEYS = Rows(
    [*TRAINING, "case_id", "structure", "metric"],
    [*TRAINING, "case_id", "structure", "lesion"],
    [*TRAINING, "case_id", "candidate"],
    [*TRAINING, "case_id", "kind", "bin"],
)


def merge_scores(config: Config, tables: Rows, outputs: Rows, selections_output: str | Path) -> None:
    """Concatenate the tables of each kind; the result does not depend on the order they are named in.

    Args:
        config: the study; the arms that its selections choose are written once more under the selection's name.
        tables: per kind, the tables of all trainings.
        outputs: per kind, the joined table.
        selections_output: what each selection chose, and from what.

    Raises:
        UserError: if two tables score the same case with the same arm, fold and seed, or a selection has nothing to choose by.
    """
    merged = Rows(*(_merge(*parts) for parts in zip(tables, SCHEMAS, KEYS, outputs, strict=True)))
    selections = select_arms(config, merged.scores)
    write_table(selections, selections_output, SELECTIONS)
    for table, schema, key, output in zip(merged, SCHEMAS, KEYS, outputs, strict=True):
        write_table(_sorted(with_selections(table, selections), key), output, schema)


def _merge(paths: Sequence[str | Path], schema: Schema, key: list[str], output: str | Path) -> "pd.DataFrame":
    import pandas as pd

    frame = _sorted(pd.concat([read_table(path, schema) for path in paths], ignore_index=True), key)
    twice = frame.duplicated(key)
    if twice.any():
        first = frame[twice].iloc[0]
        raise UserError(
            f"{output}: case {first['case_id']} is scored twice for arm {first['arm']}, fold {first['fold']}, "
            f"seed {first['seed']}; expected each prediction table once"
        )
    return frame


def _sorted(frame: "pd.DataFrame", key: list[str]) -> "pd.DataFrame":
    return frame.sort_values(key, kind="stable")
