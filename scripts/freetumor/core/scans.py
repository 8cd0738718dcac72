"""What is known of the scans of a study when its jobs are planned: how many there are, and how large.

Before anything is downloaded only the configuration tells; once a fold table is there, it does. What nobody can know is assumed
to be large (``costs.csv``), and a job that needs still more comes back with twice as much.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from .config import Config, Source
from .known_costs import costs

PARTS = ("train", "validation", "test", "pool")


@dataclass(frozen=True)
class Scans:
    """Scans of a fold or of a source. Sizes are in 10^6 voxels.

    Attributes:
        train, validation, test, pool: how many play which part.
        native: the largest as it was read.
        stored: the largest as it is stored.
        mean_native: their mean.
        mean_stored: their mean.
    """

    train: int = 0
    validation: int = 0
    test: int = 0
    pool: int = 0
    native: float = 0.0
    stored: float = 0.0
    mean_native: float = 0.0
    mean_stored: float = 0.0

    @property
    def count(self) -> int:
        """All of them."""
        return self.train + self.validation + self.test + self.pool


def expected_scans(config: Config, sizes: Sequence[Scans]) -> Scans:
    """What a fold of a study will hold.

    Args:
        config: the study.
        sizes: scans of each source, see :func:`source_scans`.
    """
    tested = sum(scans.test for scans in sizes)
    folds, share = config.cohort.folds, config.cohort.validation
    labeled, pool = sum(scans.train for scans in sizes), sum(scans.pool for scans in sizes)
    tested += math.ceil(labeled / folds)
    learned = labeled - labeled // folds
    validation = math.ceil(share * learned)
    total = max(sum(scans.count for scans in sizes), 1)
    return Scans(
        learned - validation,
        validation,
        tested,
        pool,
        max(scans.native for scans in sizes),
        max(scans.stored for scans in sizes),
        sum(scans.mean_native * scans.count for scans in sizes) / total,
        sum(scans.mean_stored * scans.count for scans in sizes) / total,
    )


def source_scans(config: Config, source: Source, count: int, unlabeled: int = 0) -> Scans:
    """The scans of one source: to train on, or to paint on alone, or, of an external source, to test on.

    Args:
        config: the study.
        source: the source.
        count: its scans.
        unlabeled: those of them whose tumors nobody annotated.
    """
    known = costs()
    if source.kind == "phantom":
        native = mean = known["scans", "phantom"]
        liters = (known["scans", "kept of a phantom"],) * 2
    else:
        native, mean = known["scans", "largest"], known["preprocessing", "size of a scan"]
        liters = known["scans", "kept of the largest"], known["preprocessing", "part of a scan that is kept"]
    native = min(native, config.checks.max_voxels / 1e6)
    mean = min(mean, native)
    if config.working.form == "volume":
        stored, usual = (part / math.prod(config.working.spacing) for part in liters)  # 10^6 mm³ are a liter
    else:
        stored = usual = math.prod(config.working.patch) / 1e6 * (config.working.context / config.working.fit) ** 2
        native = mean = known["scans", "slice"] if source.kind == "roi_phantom" else native
    parts = {"test": count} if source.split == "external" else {"train": count - unlabeled, "pool": unlabeled}
    return Scans(**parts, native=native, stored=stored, mean_native=mean, mean_stored=usual)


def fold_scans(path: str | Path) -> Scans | None:
    """What a fold table tells; nothing if there is none yet, or it cannot be read."""
    try:
        return _read(str(path), Path(path).stat().st_mtime_ns)
    except (OSError, ValueError, KeyError):  # a damaged one is told of by the jobs that need it
        return None


@lru_cache(maxsize=64)
def _read(path: str, _: int) -> Scans:
    """Of the table at ``path``, of this modification time."""
    from pyarrow import parquet  # takes a fifth of a second, and only jobs whose table is there need it

    table = parquet.read_table(path, columns=["part", "shape", "native_shape"])
    counted = {name: _counts(table[name]) for name in table.column_names}
    scans = Scans(**{part: counted["part"].get(part, 0) for part in PARTS})
    for name, column in (("native", "native_shape"), ("stored", "shape")):
        voxels = {text: math.prod(json.loads(text)) / 1e6 for text in counted[column] if text}
        mean = sum(voxels[text] * counted[column][text] for text in voxels) / max(scans.count, 1)
        scans = replace(scans, **{name: max(voxels.values(), default=0.0), f"mean_{name}": mean})
    return scans


def _counts(column: object) -> dict[str, int]:
    """How often each value of a column of pyarrow occurs."""
    return {row["values"]: row["counts"] for row in column.value_counts().to_pylist()}
