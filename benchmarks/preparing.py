"""One scan from its files to what training reads: the library, MONAI's chain, and the floors below both."""

import argparse
import gzip
import json
import statistics
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from isal import igzip

from freetumor.core.config import Checks, Preset
from freetumor.preprocessing import case
from freetumor.preprocessing.recipe import Recipe
from freetumor.preprocessing.store import read_array, write_array

from .canvases import GRIDS, make_canvas
from .measure import Stages, timed
from .report import table

STAGES = ("read", "check", "label", "body", "resample", "fingerprint", "sites", "write", "hash")
STEPS = ("LoadImaged", "EnsureChannelFirstd", "Orientationd", "Spacingd", "CropForegroundd")
AIR = -400  # HU; what is denser is the foreground that MONAI's chain crops to
CODES = {"liver": 1, "liver_tumor": 2}


@dataclass(frozen=True)
class Scan:
    """The files of a scan with a label of organ (1) and tumors (2)."""

    name: str
    image: Path
    label: Path


def main(description: str, arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Run the benchmark and print it; return the ratios."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", nargs="*", choices=list(GRIDS), default=["A", "B", "C"], help="volumes made in code")
    parser.add_argument("--image", type=Path, nargs="*", default=[], help="further CT files (NIfTI)")
    parser.add_argument("--label", type=Path, nargs="*", default=[], help="their label files, in the same order")
    parser.add_argument("--spacing", type=float, nargs=3, default=(1.5, 1.5, 1.5), help="of the working grid, mm (z, y, x)")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions (default: 3)")
    options = parser.parse_args(arguments)
    if len(options.image) != len(options.label):
        parser.error("--image and --label: as many files of one as of the other")
    given = list(zip(options.image, options.label, strict=True))
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="monai")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        scans = [write_scan(name, folder) for name in options.volumes]
        scans += [Scan(image.name.split(".")[0], image, label) for image, label in given]
        results = {scan.name: measure(scan, tuple(options.spacing), folder, options.repeat) for scan in scans}
    print(table([row(name, result) for name, result in results.items()], HEADER), end="\n\n")
    for side, stages, rest in (("library", STAGES, "other"), ("monai", STEPS, "cache")):
        rows = [shares(name, result, side, stages) for name, result in results.items()]
        print(table(rows, [f"of the time of {SIDES[side]}", *stages, rest]), end="\n\n")
    ratios = {}
    for name, result in results.items():
        ratios[f"monai_{name}"] = result["monai"] / result["library"]
        ratios[f"monai_alike_{name}"] = result["monai"] / result["alike"]
        ratios[f"floor_{name}"] = result["library"] / result["floor"]
        ratios[f"fast_floor_{name}"] = result["library"] / result["fast_floor"]
    for name, value in ratios.items():
        print(f"ratio {name} {value:.4g}")
    return ratios


def write_scan(name: str, folder: Path) -> Scan:
    """A volume made in code, as a pair of ``.nii.gz``, with a tumor in its organ."""
    canvas = make_canvas(name)
    inside = np.argwhere(canvas.label == 1)
    middle = tuple(inside[len(inside) // 2])
    canvas.label[tuple(slice(max(0, place - 5), place + 5) for place in middle)] *= 2
    paths = [folder / f"{name}-{kind}.nii.gz" for kind in ("image", "label")]
    for path, array in zip(paths, (canvas.image, canvas.label), strict=True):
        picture = nibabel.Nifti1Image(array.transpose(2, 1, 0), canvas.affine)
        picture.header.set_xyzt_units("mm")
        nibabel.save(picture, path)
    return Scan(name, *paths)


def measure(scan: Scan, spacing: tuple[float, ...], folder: Path, repeats: int) -> dict[str, Any]:
    """Median core-seconds of each side, which take turns, and those of the library and of MONAI by stage."""
    from monai import transforms

    work = {side: folder / f"{scan.name}-{side}" for side in SIDES}
    for path in work.values():
        path.mkdir()
    recipe = Recipe(Preset(spacing=spacing, window=(-175, 250), patch=(96, 96, 96)), Checks(), CODES, {}, "", "benchmark")
    stages = Stages()
    watched = {"library": WATCHED, "monai": [(getattr(transforms, step), "__call__", step) for step in STEPS]}
    arrays: dict[str, np.ndarray] = {}
    sides: dict[str, Callable[[int], Any]] = {
        "library": lambda number: case.prepare_case(raw_case(scan, f"c{number}"), recipe, work["library"]),
        "floor": lambda number: touch(scan, arrays, work["floor"] / f"c{number}", gzip.open),
        "fast_floor": lambda number: touch(scan, arrays, work["fast_floor"] / f"c{number}", igzip.open),
        "monai": lambda number: chain(scan, spacing, work["monai"] / f"c{number}"),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(repeats + 1):  # the first round fills the caches, and is not counted
        for side, run in sides.items():
            if not arrays and side == "floor":
                arrays |= {kind: read_array(work["library"] / f"c0.{kind}.b2nd") for kind in ("image", "label", "native")}
            with stages.watch(*(watched.get(side, []) if number else [])):
                taken, _ = timed(partial(run, number))
            if number:
                seconds[side].append(taken)
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    parts = {stage: stages.seconds[stage] / repeats for stage in (*STAGES, *STEPS)}
    alike = medians["library"] - sum(parts[stage] for stage in ONLY_HERE)
    return {**medians, "alike": alike, "parts": parts, "total": {side: statistics.fmean(seconds[side]) for side in watched}}


SIDES = {"library": "the library", "floor": "decompress and write", "fast_floor": "the same with isal", "monai": "MONAI"}
ONLY_HERE = ("fingerprint", "sites", "hash")  # what MONAI's chain does not do
WATCHED = [
    (case, "read_image", "read"),
    (case, "check_hounsfield", "check"),
    (case, "clip_padding", "check"),
    (case, "read_structures", "label"),
    (case, "find_body", "body"),
    (case.geometry, "resample_image", "resample"),
    (case.geometry, "resample_label", "resample"),
    (case, "voxel_hash", "fingerprint"),
    (case, "fingerprint", "fingerprint"),
    (case, "find_sites", "sites"),
    (case, "write_sites", "sites"),
    (case, "write_array", "write"),
    (case, "sha256_file", "hash"),
]


def raw_case(scan: Scan, case_id: str) -> dict[str, Any]:
    """The row of the table of raw cases."""
    labels = [{"path": str(scan.label), "map": {"1": "liver", "2": "liver_tumor", "*": "background"}}]
    fields = {"case_id": case_id, "patient_id": case_id, "source": "benchmark", "domain": "", "category": "", "region": ""}
    return {**fields, "image": str(scan.image), "labels": json.dumps(labels), "labeled": True}


def touch(scan: Scan, arrays: Mapping[str, np.ndarray], target: Path, opened: Callable[[Path], Any]) -> None:
    """Decompress both files, and write the arrays that preprocessing makes of them: less is not possible."""
    for path in (scan.image, scan.label):
        with opened(path) as stream:
            stream.read()
    for kind, array in arrays.items():
        write_array(target.with_name(f"{target.name}.{kind}.b2nd"), array)


def dense(image: torch.Tensor) -> torch.Tensor:
    """The foreground of a CT."""
    return image > AIR


def chain(scan: Scan, spacing: tuple[float, ...], cache: Path) -> Any:
    """MONAI's standard chain: the first look at an item of a ``PersistentDataset`` runs it and writes the cache."""
    from monai.data import PersistentDataset
    from monai.transforms import Compose, CropForegroundd, EnsureChannelFirstd, LoadImaged, Orientationd, Spacingd

    keys = ["image", "label"]
    steps = Compose(
        [
            LoadImaged(keys),
            EnsureChannelFirstd(keys),
            Orientationd(keys, axcodes="LPS", labels=None),
            Spacingd(keys, pixdim=spacing[::-1], mode=("bilinear", "nearest")),
            CropForegroundd(keys, source_key="image", select_fn=dense, allow_smaller=True),
        ]
    )
    dataset = PersistentDataset([{"image": str(scan.image), "label": str(scan.label)}], steps, cache_dir=cache)
    return dataset[0]


COLUMNS = {"library": "library", "alike": "without what MONAI's chain lacks", "monai": "MONAI"}
COLUMNS |= {side: SIDES[side] for side in ("floor", "fast_floor")}
HEADER = ["core-ms per scan", *COLUMNS.values()]


def row(name: str, result: dict[str, Any]) -> list[str]:
    """A line of the table of costs."""
    return [name, *(f"{1e3 * result[side]:,.0f}" for side in COLUMNS)]


def shares(name: str, result: dict[str, Any], side: str, stages: Sequence[str]) -> list[str]:
    """A line of a table of stages."""
    parts = [100 * result["parts"][stage] / result["total"][side] for stage in stages]
    return [name, *(f"{part:.0f}%" for part in (*parts, 100 - sum(parts)))]
