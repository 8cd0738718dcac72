"""The library's side: the same work as the references, by the calls that the workflow makes."""

import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import blosc2
import numpy as np
import pandas as pd
import SimpleITK
import torch
import yaml

from freetumor.core.config import Config
from freetumor.core.labels import tumor_code
from freetumor.core.seeding import generator
from freetumor.core.weights import save_weights
from freetumor.preprocessing.store import open_array, read_patch
from freetumor.synthesis import shards
from freetumor.synthesis.bank import Lesion, record_block, unpack_lesion, write_pack
from freetumor.synthesis.export_nifti import NiftiWriter
from freetumor.synthesis.export_volume import Item, Parent, Volume
from freetumor.synthesizer import painters, states, tumor
from freetumor.synthesizer.assembly import assemble, generator_network, segmenter_network
from freetumor.synthesizer.cases import AIR, Case
from freetumor.synthesizer.diffusion_networks import diffusion_network
from freetumor.synthesizer.tumor import TumorSynthesizer

from .canvases import Canvas, CanvasFiles, Grid
from .measure import Stages
from .references import freetumor as published
from .references import pixel2cancer as published_growth
from .references.syntumor import BLUR, CONTRAST, SIZES

REPOSITORY = Path(__file__).resolve().parent.parent
CPU = torch.device("cpu")
ORGAN = 0
FASTEST = {"typesize": 2, "codec": blosc2.Codec.ZSTD, "clevel": 1, "nthreads": 1}  # of what is as small as any
PROCEDURAL, AUTOMATON, COPY_PASTE = "procedural", "automaton", "copy_paste"
DEFAULT, PAPER, DIFFUSION = "freetumor_default_networks", "freetumor_paper_networks", "diffusion_early"
MEDIUM_GROWTH = f"{published_growth.QUARTERS[1]} steps"  # gives about as many voxels as the class "medium" has
WITH_NETWORKS = (DEFAULT, PAPER, DIFFUSION)
SYNTHESIZERS = (PROCEDURAL, AUTOMATON, COPY_PASTE, *WITH_NETWORKS)


def study(name: str, grid: Grid, size: str, lesions: int = 1, window: int = published.WINDOW) -> Config:
    """A study of one synthesizer that paints what the published code paints.

    Args:
        name: one of ``SYNTHESIZERS``.
        grid: of the canvas; published lengths in voxels become mm by the edge of a voxel's volume.
        size: the only size class, a key of ``syntumor.SIZES``.
        lesions: per volume; in the bank each is a version of its own.
        window: voxels per axis that networks see.
    """
    voxel = grid.unit
    parts = {
        PROCEDURAL: {"painter": {"kind": "constant", "contrast": CONTRAST}},
        AUTOMATON: {"shape": {"kind": "automaton"}, "painter": {"kind": "states", "contrast": CONTRAST}},
        COPY_PASTE: {"shape": {"kind": "real"}, "painter": {"kind": "transplant"}},
        DEFAULT: _default()["synthesizers"]["freetumor"],
        PAPER: {"painter": {"kind": "difference", "network": published.GENERATOR.model_dump()}, "gate": {"kind": "segmenter"}},
        DIFFUSION: {"painter": {"kind": "diffusion"}},
    }[name]
    shape = {"radius": {size: SIZES[size].radius * voxel}, "probability": {size: 1.0}, "max_depth_ratio": 10.0}
    gate = {**parts.get("gate", {}), "threshold": 0.0, "attempts": 1}  # weights are random: whatever is painted is kept
    texture = {"sigma_a": [3 * voxel, 6 * voxel, 9 * voxel, 12 * voxel, 15 * voxel], "sigma_b": [4 * voxel, 7 * voxel]}
    settings = {
        **parts,
        "shape": {**parts.get("shape", {}), **shape},
        "texture": texture,
        "compositor": {"blur": tuple(sigma * voxel for sigma in BLUR)},
        "gate": gate,
    }
    judge = published.JUDGE.model_dump() if name == PAPER else _default()["segmenter"]["network"]
    preset = {"spacing": grid.spacing, "window": published.HU_WINDOW, "patch": [window] * 3}
    return Config.model_validate(
        {
            "study": "benchmark",
            "organs": ["liver"],
            "preset": "canvas",
            "presets": {"canvas": preset},
            "sources": [{"name": "benchmark", "kind": "phantom", "labeled": 1}],
            "segmenter": {"network": judge},
            "synthesizers": {name: settings},
            "synthesis": {"synthesizers": [name], "lesions_per_case": lesions},
            "arms": {"real": {}},
            "recognition": {"arms": ["real"], "network": _default()["recognition"]["network"]},
        }
    )


@cache
def _default() -> dict:
    """The default study, whose networks are the default networks."""
    return yaml.safe_load((REPOSITORY / "config.yaml").read_text())


def build(config: Config, folder: Path, donors: Sequence[CanvasFiles] = (), device: torch.device = CPU) -> TumorSynthesizer:
    """The study's synthesizer; weights are drawn, not trained, since time does not depend on them.

    Args:
        config: the study, of one synthesizer.
        folder: where weights are written to, as the assembly reads them from files.
        donors: cases with lesions, for copy-and-paste.
        device: where networks run.
    """
    (name,) = config.synthesizers
    settings, weights, segmenter = config.synthesizers[name], None, None
    folder.mkdir(parents=True, exist_ok=True)
    if settings.trained:
        weights = folder / f"{name}.safetensors"
        if settings.painter.kind == "diffusion":
            state = diffusion_network(settings.painter.diffusion, 1, seed=0).state_dict()
        else:
            state = generator_network(settings, config, seed=0).state_dict()
        save_weights(weights, state, {})
    if settings.judged:
        segmenter = folder / f"{name}.segmenter.safetensors"
        save_weights(segmenter, segmenter_network(config.segmenter.network, config, seed=0).state_dict(), {})
    lenders = [open_case(files, hide_tumors=False) for files in donors]
    return assemble(name, config, lenders, device, weights, segmenter)


def open_case(files: CanvasFiles, hide_tumors: bool = True) -> Case:
    """A canvas as the workflow opens it."""
    return Case(pd.Series(files.row), ["liver"], hide_tumors)


class LoadedCase(Case):
    """A case whose arrays are in memory; paint goes there.

    Args:
        files: of the canvas.
        image: int16 HU (z, y, x); copied.
        label: uint8 codes, same shape; copied.
    """

    image: np.ndarray = None
    label: np.ndarray = None

    def __init__(self, files: CanvasFiles, image: np.ndarray, label: np.ndarray) -> None:
        super().__init__(pd.Series(files.row), ["liver"], hide_tumors=True)
        self.image, self.label = image.copy(), label.copy()


def case_in_memory(files: CanvasFiles, canvas: Canvas) -> Case:
    """A canvas whose arrays and sites are in memory."""
    case = LoadedCase(files, canvas.image, canvas.label)
    case.places(ORGAN)
    return case


def paint_in_memory(synthesizer: TumorSynthesizer, case: Case, lesions: int, *key: str | int) -> int:
    """Paint lesions one after the other into a case in memory, in place; how many found a place."""
    painted = 0
    for number in range(lesions):
        made = synthesizer.make(case, ORGAN, generator(*key, number))
        if made.accepted:  # the box of a lesion that needs no network lies within the volume
            box = tuple(slice(c, c + n) for c, n in zip(made.canvas.corner, made.image.shape, strict=True))
            case.image[box] = made.image
            case.label[box][made.lesion] = tumor_code(ORGAN)
            painted += 1
    return painted


@dataclass(frozen=True)
class Banked:
    """A pack in the making: what is banked of a volume."""

    rows: list[dict]
    blocks: list[bytes]

    @cached_property
    def lesions(self) -> list[Lesion]:
        """The lesions that were painted."""
        pairs = zip(self.rows, self.blocks, strict=True)
        return [unpack_lesion(block, tuple(json.loads(row["corner"]))) for row, block in pairs if block]


def bank_volume(painter: shards.FoldSynthesizer, files: CanvasFiles, pack: Path) -> Banked:
    """Open a stored volume, paint all its draws and write their pack."""
    rows, blocks, offset = [], [], 0
    for row, block in shards.paint_case(painter, open_case(files)):
        rows.append(row | (record_block(block, offset) if block else {}) | {"patch": pack.name})
        blocks.append(block)
        offset += len(block)
    write_pack(pack, rows, blocks, "benchmark")
    return Banked(rows, blocks)


def touch_volume(files: CanvasFiles, banked: Banked, pack: Path) -> None:
    """The floor of :func:`bank_volume`: open the arrays, read the boxes that were painted, compress and write what changed."""
    image, label = (open_array(files.row[key]) for key in ("image", "label"))
    with pack.open("wb") as stream:
        for lesion in banked.lesions:
            read_patch(image, lesion.corner, lesion.label.shape, AIR)
            read_patch(label, lesion.corner, lesion.label.shape, 0)
            stream.write(blosc2.compress2(lesion.change, **FASTEST))
            stream.write(blosc2.compress2(np.packbits(lesion.label), **FASTEST | {"typesize": 1}))


class NiftiPainter:
    """Paints ``.nii.gz`` pairs into ``.nii.gz`` pairs; the table of sites is taken from preprocessing, as everywhere.

    Args:
        config: the study.
        synthesizer: what paints.
    """

    def __init__(self, config: Config, synthesizer: TumorSynthesizer) -> None:
        self.config, self.synthesizer = config, synthesizer

    def __call__(self, files: CanvasFiles, folder: Path, lesions: int, variants: int, *key: str | int) -> int:
        """Read a pair once, write so many painted variants of it; how many lesions were painted."""
        parent = Parent(pd.Series(files.row), self.config)
        read = [SimpleITK.ReadImage(path) for path in (files.nifti_image, files.nifti_label)]
        parent.image, parent.label = map(SimpleITK.GetArrayViewFromImage, read)
        writer = NiftiWriter(lambda item: (f"{item.name}_image.nii.gz", f"{item.name}_label.nii.gz"))
        painted = 0
        for variant in range(variants):
            case = LoadedCase(files, parent.image, parent.label)
            painted += paint_in_memory(self.synthesizer, case, lesions, *key, variant)
            item = Item(f"{case.case_id}_v{variant}", case.case_id, "pool", variant, pd.DataFrame({"lesion_id": []}))
            writer(folder, item, Volume(case.image, case.label, parent))
        return painted


def watched(stages: Stages, synthesizer: TumorSynthesizer) -> AbstractContextManager:
    """Take the core-seconds of the stages of a synthesizer while the context lasts."""
    return stages.watch(
        (sys.modules[__name__], "open_case", "read"),
        (Case, "patch", "read"),
        (Case, "places", "read"),
        (synthesizer.shape, "plan", "shape"),
        (synthesizer.shape, "draw", "shape"),
        (painters, "make_texture", "texture"),
        (states, "make_texture", "texture"),
        (tumor, "soften", "painter"),
        (tumor, "composite", "painter"),
        (synthesizer.painter, "render", "painter"),
        (synthesizer.gate, "judge", "gate"),
        (shards, "crop_lesion", "write"),
        (shards, "pack_lesion", "write"),
        (sys.modules[__name__], "write_pack", "write"),
    )
