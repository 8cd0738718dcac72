"""Join the score tables of all folds, arms and seeds of a study, and add its selections as arms."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.tables import LESIONS, SCORES, Schema, read_table, write_table
from freetumor.evaluation.selection import SELECTIONS, select_arms, with_selections

if TYPE_CHECKING:
    import pandas as pd

TRAINING = ["split", "arm", "fold", "seed"]
SCORE_KEY = [*TRAINING, "case_id", "structure", "metric"]
LESION_KEY = [*TRAINING, "case_id", "structure", "lesion"]


def merge_scores(
    config: Config,
    scores: Sequence[str | Path],
    lesions: Sequence[str | Path],
    output: str | Path,
    lesions_output: str | Path,
    selections_output: str | Path,
) -> None:
    """Concatenate score tables and lesion tables; the result does not depend on the order they are named in.

    Args:
        config: the study; the arms that its selections choose are written once more under the selection's name.
        scores: score tables.
        lesions: lesion tables.
        output: all scores.
        lesions_output: all reference lesions.
        selections_output: what each selection chose, and from what.

    Raises:
        UserError: if two tables score the same case with the same arm, fold and seed, or a selection has nothing to choose by.
    """
    all_scores = _merge(scores, SCORES, SCORE_KEY, output)
    selections = select_arms(config, all_scores)
    write_table(selections, selections_output, SELECTIONS)
    write_table(_sorted(with_selections(all_scores, selections), SCORE_KEY), output, SCORES)
    all_lesions = with_selections(_merge(lesions, LESIONS, LESION_KEY, lesions_output), selections)
    write_table(_sorted(all_lesions, LESION_KEY), lesions_output, LESIONS)


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
