"""The manifest of a bank, out of those of its shards."""

from pathlib import Path

import pandas as pd

from freetumor.core.errors import UserError
from freetumor.core.tables import MANIFEST, read_table, write_table


def merge_manifests(shards: list[Path], output: Path) -> None:
    """Merge the shards of a synthesizer into one manifest, sorted by case and draw.

    Raises:
        UserError: if nothing was painted at all.
    """
    frame = pd.concat([read_table(path, MANIFEST) for path in shards], ignore_index=True)
    if not len(frame):
        raise UserError(f"{output}: no canvas has an organ of the study to paint into")
    write_table(frame.sort_values(["case_id", "draw"]), output, MANIFEST)
