"""Painting a shard of the canvases, or making a shard of whole images, and merging shards into a manifest.

A record depends on (study seed, fold, synthesizer, case, draw) alone, so shards, workers and interruptions change nothing. The
shard's only declared output is its manifest, written last; patches lie in the bank folder beside it.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.device import prepare
from freetumor.core.errors import UserError
from freetumor.core.progress import Progress
from freetumor.core.seeding import derive_seed, generator, shard_of
from freetumor.core.tables import FOLD_CASES, MANIFEST, make_table, read_table, write_table
from freetumor.synthesizer.assembly import TumorSynthesizer, assemble
from freetumor.synthesizer.cases import AIR, Case, Patch, canvas_patch, open_cases
from freetumor.synthesizer.gan import ImageSynthesizer
from freetumor.synthesizer.synthetic import ACCEPTED, SyntheticCase

from .bank import crop_lesion, write_lesion


def synthesize_shard(
    config: Config,
    name: str,
    fold: int,
    shard: int,
    cases: Path,
    manifest: Path,
    weights: Path | None = None,
    segmenter: Path | None = None,
) -> None:
    """Paint the canvases of one shard with synthesizer ``name`` and write the shard's manifest.

    Canvases are the training and the pool cases of the fold: nothing derived from a test case is painted. A synthesizer of
    whole images makes ``synthesis.images_per_category`` of each category on an empty canvas.

    Args:
        config: the study.
        name: key of ``synthesizers``.
        fold: the fold.
        shard: number of the shard, from 0.
        cases: the fold table.
        manifest: output.
        weights: the trained generator, if the painter has one.
        segmenter: the trained segmenter, if the gate needs it.
    """
    device = prepare(config.compute)
    table = read_table(cases, FOLD_CASES)
    synthesizer = assemble(name, config, open_cases(table, config, "train"), device.torch, weights, segmenter)
    folder, label = manifest.parent, f"{name} fold {fold} shard {shard}"
    if config.synthesizers[name].whole_image:
        rows = _make_images(config, synthesizer, name, fold, shard, folder, label)
    else:
        canvases = [case for case in open_cases(table, config, "train", "pool") if case.organs]
        canvases = [case for case in canvases if shard_of(case.case_id, config.synthesis.shards) == shard]
        rows = _paint_canvases(config, synthesizer, name, fold, canvases, folder, label)
    write_table(make_table(rows, MANIFEST), manifest, MANIFEST)


def _paint_canvases(
    config: Config, synthesizer: TumorSynthesizer, name: str, fold: int, canvases: list[Case], folder: Path, label: str
) -> list[dict]:
    draws = config.synthesis.lesions_per_case
    progress = Progress(label, len(canvases) * draws, "lesion", interval=10)
    rows = []
    for case in canvases:
        for draw in range(draws):
            rows.append(paint_draw(config, synthesizer, name, fold, case, draw, folder))
            progress.advance()
    return rows


def _make_images(
    config: Config, synthesizer: ImageSynthesizer, name: str, fold: int, shard: int, folder: Path, label: str
) -> list[dict]:
    draws = [(category, draw) for category in config.categories for draw in range(config.synthesis.images_per_category)]
    mine = [(category, draw) for category, draw in draws if shard_of(f"{category}.{draw}", config.synthesis.shards) == shard]
    progress = Progress(label, len(mine), "image", interval=10)
    rows = []
    for category, draw in mine:
        rows.append(make_image(config, synthesizer, name, fold, category, draw, folder))
        progress.advance()
    return rows


def blank_canvas(config: Config) -> Patch:
    """The empty canvas of whole images: air of the size of the study's patch, without a place in any volume."""
    size = config.working.patch
    return Patch(np.full(size, AIR, np.int16), np.zeros(size, np.uint8), (0, 0, 0), (1.0, 1.0, 1.0), "blank", "", "")


def image_key(config: Config, name: str, fold: int, category: str, draw: int) -> tuple[str | int, ...]:
    """Seed key of draw number ``draw`` of a category: the same image in the bank and in a training that makes its own."""
    return (config.seed, "synthesis", name, fold, f"blank.{category}", draw)


def make_image(
    config: Config, synthesizer: ImageSynthesizer, name: str, fold: int, category: str, draw: int, folder: Path
) -> dict:
    """Make draw number ``draw`` of a category, write it into the bank, and return its record."""
    key = image_key(config, name, fold, category, draw)
    canvas = blank_canvas(config)
    made = synthesizer.make(canvas, config.categories.index(category), generator(*key))
    lesion = crop_lesion(made.image, made.lesion, canvas.corner)
    path = Path("bank") / f"{category}.{draw}.b2"
    return _record(name, f"blank.{category}", draw, key, category, made) | {
        "lesion_id": f"{category}.{draw}",
        "corner": json.dumps(list(lesion.corner)),
        "patch": str(path),
        "patch_sha256": write_lesion(folder / path, lesion),
    }


def paint_draw(
    config: Config, synthesizer: TumorSynthesizer, name: str, fold: int, case: Case, draw: int, folder: Path
) -> dict:
    """Paint draw number ``draw`` on a case, write its patch into the bank, and return its record."""
    # The canvas does not depend on the synthesizer: all of them paint on the same patches.
    canvas_key = (config.seed, "canvas", fold, case.case_id, draw)
    key = (config.seed, "synthesis", name, fold, case.case_id, draw)
    patch, organ = canvas_patch(case, config.working.patch, generator(*canvas_key))
    made = synthesizer.make(patch, config.organs.index(organ), generator(*key))
    row = _record(name, case.case_id, draw, key, organ, made) | {"patient_id": case.patient_id, "source": case.source}
    if made.outcome != ACCEPTED:
        return row
    lesion = crop_lesion(made.image, made.lesion, patch.corner)
    path = Path("bank") / f"{case.case_id}.{draw}.b2"
    volume = float(made.lesion.sum() * np.prod(case.spacing))
    center = np.argwhere(made.lesion).mean(axis=0) + patch.corner
    change = made.image[made.lesion].astype(np.float64) - patch.image[made.lesion]
    return row | {
        "diameter_mm": (6 * volume / np.pi) ** (1 / 3),
        "volume_ml": volume / 1000,
        "contrast_hu": float(change.mean()),
        "center": json.dumps([round(float(c), 2) for c in center]),
        "corner": json.dumps(list(lesion.corner)),
        "patch": str(path),
        "patch_sha256": write_lesion(folder / path, lesion),
    }


def _record(name: str, case_id: str, draw: int, key: tuple[str | int, ...], organ: str, made: SyntheticCase) -> dict:
    """The row of a draw before anything of it is banked."""
    return {
        "lesion_id": f"{case_id}.{draw}",
        "case_id": case_id,
        "patient_id": "",
        "source": "",
        "synthesizer": name,
        "draw": draw,
        "seed": derive_seed(*key),
        "organ": organ,
        "outcome": made.outcome,
        "attempts": made.attempts,
        "score": made.score,
        "diameter_mm": float("nan"),
        "volume_ml": float("nan"),
        "contrast_hu": float("nan"),
        "center": "",
        "corner": "",
        "parameters": json.dumps(made.parameters, sort_keys=True),
        "patch": "",
        "patch_sha256": "",
    }


def merge_manifests(shards: list[Path], output: Path) -> None:
    """Merge the shards of a synthesizer into one manifest, sorted by case and draw.

    Raises:
        UserError: if nothing was painted at all.
    """
    frame = pd.concat([read_table(path, MANIFEST) for path in shards], ignore_index=True)
    if not len(frame):
        raise UserError(f"{output}: no canvas has an organ of the study to paint into")
    write_table(frame.sort_values(["case_id", "draw"]), output, MANIFEST)
