"""The training set of an arm that classifies: real regions, their classic augmentation, and synthetic images, in this order.

A smaller set of an arm is the beginning of a larger one: every epoch then goes through what two arms share in the same order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.progress import Progress
from freetumor.core.tables import MANIFEST, read_table
from freetumor.synthesis.bank import read_image
from freetumor.synthesis.shards import FoldSynthesizer, draw_image
from freetumor.synthesizer.assembly import assemble
from freetumor.synthesizer.regions import classic_group, open_regions, plain
from freetumor.synthesizer.synthetic import ACCEPTED

from .arm import ArmJob
from .classifier import window_images


@dataclass(frozen=True)
class Samples:
    """Images with their categories."""

    images: np.ndarray  # float32 (samples, n, n), the window of the study as 0 to 1
    categories: np.ndarray  # int64 (samples,), positions in the categories of the study


def labeled_part(table: pd.DataFrame, part: str) -> pd.DataFrame:
    """The rows of a fold table that belong to a part and have a known category."""
    return table[(table["part"] == part) & table["labeled"]]


def count_samples(job: ArmJob) -> int:
    """Size of the training set of an arm, without making it.

    Raises:
        UserError: if there is no labeled training case.
    """
    real = len(labeled_part(job.table, "train"))
    if not real:
        raise UserError(f"{job.cases}: no labeled training case to learn from")
    return real + job.settings.group + job.settings.synthetic * len(job.config.categories)


def arm_samples(job: ArmJob, device: torch.device) -> Samples:
    """The training set of an arm.

    Args:
        job: the arm, its fold and its files.
        device: where a generator runs, if the arm makes images online.

    Raises:
        UserError: if the pool of classic augmentation or the bank is too small.
    """
    config = job.config
    regions = open_regions(labeled_part(job.table, "train"), config, "train")
    real = [plain(region, config) for region in regions]
    augmented, categories = classic_group(regions, job.settings.group, config)
    synthetic = list(_synthetic_images(job, device))
    images = [*real, *augmented, *(image for image, _ in synthetic)]
    everything = [*(region.category for region in regions), *categories, *(category for _, category in synthetic)]
    return Samples(window_images(images, config), np.array(everything, np.int64))


def part_samples(table: pd.DataFrame, config: Config, part: str) -> Samples:
    """The real regions of a part of a fold as they are, sorted by case."""
    regions = open_regions(labeled_part(table, part), config, part)
    images = window_images([plain(region, config) for region in regions], config)
    return Samples(images, np.array([region.category for region in regions], np.int64))


def _synthetic_images(job: ArmJob, device: torch.device) -> Iterator[tuple[np.ndarray, int]]:
    """Images (n, n) in HU with their categories: draw after draw, so that a smaller set is part of a larger one."""
    if not job.settings.synthetic or job.settings.synthesizer is None:
        return iter(())
    if job.settings.lesions == "bank":
        return _bank_images(job.bank, job.arm, job.settings.synthetic, job.config)
    return _online_images(job, device)


def _bank_images(manifest: Path, arm: str, count: int, config: Config) -> Iterator[tuple[np.ndarray, int]]:
    table = read_table(manifest, MANIFEST)
    table = table[(table["outcome"] == ACCEPTED) & (table["draw"] < count)]
    rows = {(row["draw"], row["organ"]): row for _, row in table.iterrows()}
    for draw in range(count):
        for index, category in enumerate(config.categories):
            if (draw, category) not in rows:
                raise UserError(
                    f"arms.{arm}.synthetic: {count} images per category are asked for, but {manifest} holds no number {draw} "
                    f"of '{category}'; synthesis.images_per_category is {config.synthesis.images_per_category}"
                )
            yield read_image(manifest, rows[draw, category]), index


def _online_images(job: ArmJob, device: torch.device) -> Iterator[tuple[np.ndarray, int]]:
    """The images that a bank would hold, made here."""
    config, name, count = job.config, job.settings.synthesizer, job.settings.synthetic
    painter = FoldSynthesizer(config, assemble(name, config, [], device, job.generator, job.segmenter), name, job.fold)
    progress = Progress(f"{name} fold {job.fold}", count * len(config.categories), "image", interval=10)
    for draw in range(count):
        for index, category in enumerate(config.categories):
            yield draw_image(painter, category, draw).image[0], index
            progress.advance()
