"""What is trained: an arm of a study in one fold with one seed, and the files that it reads."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from freetumor.core.config import Arm, Config
from freetumor.core.tables import FOLD_CASES, read_table


@dataclass(frozen=True)
class ArmJob:
    """The training of an arm.

    Attributes:
        config: the study.
        arm: key of ``arms``.
        fold: the fold.
        seed: one of ``recognition.seeds``.
        cases: the fold table.
        generator: trained generator, if the arm paints online with one.
        segmenter: trained segmenter, if the arm's gate needs it.
        bank: manifest of the bank, if the arm takes lesions from it.
    """

    config: Config
    arm: str
    fold: int
    seed: int
    cases: Path
    generator: Path | None = None
    segmenter: Path | None = None
    bank: Path | None = None

    @property
    def settings(self) -> Arm:
        """The arm."""
        return self.config.arms[self.arm]

    @property
    def key(self) -> tuple[str | int, ...]:
        """Seed key, without the arm: arms share their initial weights and the order of what they share."""
        return (self.config.seed, "recognition", self.fold, self.seed)

    @property
    def inputs(self) -> list[Path]:
        """All files that the result depends on."""
        return [path for path in (self.cases, self.generator, self.segmenter, self.bank) if path is not None]

    @cached_property
    def table(self) -> pd.DataFrame:
        """The fold table, read."""
        return read_table(self.cases, FOLD_CASES)
