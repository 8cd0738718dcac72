"""Join the score tables of all folds, arms and seeds of a study."""

from collections.abc import Sequence
from pathlib import Path

from freetumor.core.errors import UserError
from freetumor.core.tables import LESIONS, SCORES, Schema, read_table, write_table

TRAINING = ["split", "arm", "fold", "seed"]
SCORE_KEY = [*TRAINING, "case_id", "structure", "metric"]
LESION_KEY = [*TRAINING, "case_id", "structure", "lesion"]


def merge_scores(
    scores: Sequence[str | Path], lesions: Sequence[str | Path], output: str | Path, lesions_output: str | Path
) -> None:
    """Concatenate score tables and lesion tables; the result does not depend on the order they are named in.

    Raises:
        UserError: if two tables score the same case with the same arm, fold and seed.
    """
    _merge(scores, SCORES, SCORE_KEY, output)
    _merge(lesions, LESIONS, LESION_KEY, lesions_output)


def _merge(paths: Sequence[str | Path], schema: Schema, key: list[str], output: str | Path) -> None:
    import pandas as pd

    frame = pd.concat([read_table(path, schema) for path in paths], ignore_index=True).sort_values(key, kind="stable")
    twice = frame.duplicated(key)
    if twice.any():
        first = frame[twice].iloc[0]
        raise UserError(
            f"{output}: case {first['case_id']} is scored twice for arm {first['arm']}, fold {first['fold']}, "
            f"seed {first['seed']}; expected each prediction table once"
        )
    write_table(frame, output, schema)
