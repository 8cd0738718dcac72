"""Painting a shard of the canvases, or making a shard of whole images.

A record depends on (study seed, fold, synthesizer, case, draw) alone, so shards, workers and interruptions change nothing. The
shard's only declared output is its manifest, written last. What was made on a parent lies in a pack of its own in the bank
folder beside it, and a pack that is complete and of this configuration is not made again.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freetumor.core.code import code_hash
from freetumor.core.config import Config
from freetumor.core.device import prepare
from freetumor.core.files import sha256_file, sha256_json
from freetumor.core.progress import Progress
from freetumor.core.seeding import derive_seed, generator, shard_of
from freetumor.core.tables import FOLD_CASES, MANIFEST, make_table, read_table, write_table
from freetumor.synthesizer.assembly import assemble
from freetumor.synthesizer.cases import AIR, Case, Patch, open_cases
from freetumor.synthesizer.gan import ImageSynthesizer
from freetumor.synthesizer.synthetic import SyntheticCase
from freetumor.synthesizer.tumor import Request, TumorSynthesizer

from .bank import crop_lesion, pack_lesion, read_rows, record_block, write_pack

Made = list[tuple[dict, bytes]]  # records and their blocks; an empty block where nothing was accepted


@dataclass(frozen=True)
class FoldSynthesizer:
    """A synthesizer at work in a fold of a study."""

    config: Config
    synthesizer: TumorSynthesizer | ImageSynthesizer
    name: str
    fold: int

    def key(self, parent: str, draw: int) -> tuple[str | int, ...]:
        """Seed key of a draw: the same lesion in the bank and in a training that makes its own."""
        return (self.config.seed, "synthesis", self.name, self.fold, parent, draw)

    def canvas_key(self, parent: str, draw: int) -> tuple[str | int, ...]:
        """Seed key of organ, place and mask, which do not depend on the synthesizer."""
        return (self.config.seed, "canvas", self.fold, parent, draw)


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
    donors, held_out = open_cases(table, config, "train"), open_cases(table, config, "validation")
    synthesizer = assemble(name, config, donors, device.torch, weights, segmenter, held_out)
    painter = FoldSynthesizer(config, synthesizer, name, fold)
    base = _identity(config, name, fold, [*donors, *held_out], weights, segmenter)
    tasks: list[tuple[str, str, int, Callable[[], Made]]] = []  # pack, fingerprint, draws, work
    if config.synthesizers[name].whole_image:
        for category in config.categories:
            for draw in range(config.synthesis.images_per_category):
                work = _bind(make_image, painter, category, draw)
                tasks.append((f"{category}.{draw}", sha256_json([base, category, draw]), 1, work))
    else:
        draws = config.synthesis.lesions_per_case
        for case in open_cases(table, config, "train", "pool"):
            if case.organs:
                fingerprint = sha256_json([base, case.case_id, case.parent_hash, case.hide_tumors])
                tasks.append((case.case_id, fingerprint, draws, _bind(paint_case, painter, case)))
    mine = [task for task in tasks if shard_of(task[0], config.synthesis.shards) == shard]
    rows = _work(mine, manifest.parent, f"{name} fold {fold} shard {shard}")
    write_table(make_table(rows, MANIFEST), manifest, MANIFEST)


def _identity(
    config: Config, name: str, fold: int, learned_from: Sequence[Case], weights: Path | None, segmenter: Path | None
) -> str:
    """Of all that a draw depends on, besides its parent."""
    return sha256_json(
        {
            "settings": config.synthesizers[name].model_dump(mode="json"),
            "preset": config.working.model_dump(mode="json"),
            "names": [config.organs, config.categories],
            "draws": [config.synthesis.lesions_per_case, config.synthesis.lesions_per_volume],
            "seed": [config.seed, name, fold],
            "cases": [(case.case_id, case.parent_hash) for case in learned_from],
            "weights": [sha256_file(path) for path in (weights, segmenter) if path is not None],
            "threads": config.compute.torch_threads,
            "code": code_hash(__file__),
        }
    )


def _bind(function: Callable[..., Made], *arguments: object) -> Callable[[], Made]:
    return lambda: function(*arguments)


def _work(tasks: Iterable[tuple[str, str, int, Callable[[], Made]]], folder: Path, label: str) -> list[dict]:
    """Do what is not done yet; the records of everything."""
    tasks = list(tasks)
    rows: list[dict] = []
    progress = Progress(label, sum(draws for _, _, draws, _ in tasks), "lesion", interval=10)
    for parent, fingerprint, draws, work in tasks:
        patch = f"bank/{parent}.pack"
        done = read_rows(folder / patch, fingerprint)
        if done is None:
            for left in (folder / "bank").glob(f".{parent}.pack.*"):  # of a process that was killed while it wrote
                left.unlink(missing_ok=True)
            done, blocks, offset = [], [], 0
            for row, block in work():
                done.append(row | ({"patch": patch} | record_block(block, offset) if block else {}))
                blocks.append(block)
                offset += len(block)
            write_pack(folder / patch, done, blocks, fingerprint)
        rows += done
        progress.advance(draws)
    return rows


def blank_canvas(config: Config) -> Patch:
    """The empty canvas of whole images: air of the size of the study's patch, without a place in any volume."""
    size = config.working.patch
    return Patch(np.full(size, AIR, np.int16), np.zeros(size, np.uint8), (0, 0, 0), (1.0, 1.0, 1.0), "blank", "", "")


def draw_image(painter: FoldSynthesizer, category: str, draw: int) -> SyntheticCase:
    """Draw number ``draw`` of a category: the same image in the bank and in a training that makes its own."""
    canvas, organ = blank_canvas(painter.config), painter.config.categories.index(category)
    return painter.synthesizer.make(canvas, organ, generator(*painter.key(f"blank.{category}", draw)))


def make_image(painter: FoldSynthesizer, category: str, draw: int) -> Made:
    """Make draw number ``draw`` of a category: its record and block."""
    parent, made = f"blank.{category}", draw_image(painter, category, draw)
    lesion = crop_lesion(made.canvas.image, made.image, made.lesion, made.canvas.corner)
    row = _record(painter, parent, draw, draw, category, made) | {
        "lesion_id": f"{category}.{draw}",
        "contrast_hu": float("nan"),
        "corner": json.dumps(list(lesion.corner)),
    }
    return [(row, pack_lesion(lesion))]


def paint_case(painter: FoldSynthesizer, case: Case) -> Made:
    """Paint all draws on a case: their records and blocks."""
    config, organs = painter.config, []
    requests = []
    for draw in range(config.synthesis.lesions_per_case):
        canvas = generator(*painter.canvas_key(case.case_id, draw))
        organs.append(case.organs[canvas.integers(len(case.organs))])
        lesion = generator(*painter.key(case.case_id, draw))
        group = draw // config.synthesis.lesions_per_volume
        requests.append(Request(config.organs.index(organs[-1]), canvas, lesion, group))
    results = painter.synthesizer.make_many(case, requests)
    return [
        _bank_draw(painter, case, draw, request.group, organ, made)
        for draw, (request, organ, made) in enumerate(zip(requests, organs, results, strict=True))
    ]


def _bank_draw(
    painter: FoldSynthesizer, case: Case, draw: int, variant: int, organ: str, made: SyntheticCase
) -> tuple[dict, bytes]:
    row = _record(painter, case.case_id, draw, variant, organ, made) | {
        "patient_id": case.patient_id,
        "source": case.source,
        "parent_hash": case.parent_hash,
    }
    if not made.accepted:
        return row, b""
    patch = made.canvas
    lesion = crop_lesion(patch.image, made.image, made.lesion, patch.corner)
    volume = float(np.count_nonzero(lesion.label) * np.prod(case.spacing))
    center = np.argwhere(lesion.label).mean(axis=0) + lesion.corner
    row |= {
        "diameter_mm": (6 * volume / np.pi) ** (1 / 3),
        "volume_ml": volume / 1000,
        "center": json.dumps([round(float(c), 2) for c in center]),
        "corner": json.dumps(list(lesion.corner)),
    }
    return row, pack_lesion(lesion)


def _record(painter: FoldSynthesizer, parent: str, draw: int, variant: int, organ: str, made: SyntheticCase) -> dict:
    """The row of a draw before anything of it is banked."""
    return {
        "lesion_id": f"{parent}.{draw}",
        "case_id": parent,
        "patient_id": "",
        "source": "",
        "synthesizer": painter.name,
        "draw": draw,
        "variant": variant,
        "seed": derive_seed(*painter.key(parent, draw)),
        "organ": organ,
        "outcome": made.outcome,
        "attempts": made.attempts,
        "score": made.verdict.score,
        "scores": json.dumps(made.verdict.scores, sort_keys=True),
        "reason": made.verdict.reason,
        "diameter_mm": float("nan"),
        "volume_ml": float("nan"),
        "contrast_hu": made.contrast,
        "center": "",
        "corner": "",
        "parameters": json.dumps(made.parameters, sort_keys=True),
        "parent_hash": "",
        "patch": "",
        "offset": -1,
        "bytes": 0,
        "patch_sha256": "",
    }
