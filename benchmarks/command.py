"""The command line of the benchmark: what is run in which order, and what is printed."""

import argparse
import json
import math
import sys
import tempfile
import time
import warnings
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from freetumor.preprocessing.sites import find_sites

from . import library, report, sections
from .canvases import GRIDS, NAMES
from .measure import Sample, peak_mb, timed

QUICK_WINDOW = 64  # voxels per axis; the judge is built for multiples of 32, and more than one


def main(description: str, arguments: list[str] | None = None) -> dict[str, float]:
    """Run the benchmark and print it; return the ratios."""
    options = parse(description, arguments)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="monai")
    start = time.process_time()
    with tempfile.TemporaryDirectory() as temporary:
        settings = [sections.Setting(name, Path(temporary) / name) for name in options.volumes]
        print(describe(settings), end="\n\n", flush=True)
        peaks = {}
        with_networks = next((setting for setting in settings if setting.name == "B"), settings[0])
        for setting in settings:
            peaks |= measure(setting, options, setting is with_networks)
        samples = [sample for setting in settings for sample in setting.samples]
    found = report.ratios(samples)
    print(show(samples, peaks))
    print(f"\nThis took {time.process_time() - start:.0f} core-seconds, without the workers.\n")
    for name, value in found.items():
        print(f"ratio {name} {value:.4g}")
    if options.json:
        content = {"ratios": found, "memory_mb": peaks, "samples": [asdict(sample) for sample in samples]}
        options.json.write_text(json.dumps(content, indent=1))
    return found


def parse(description: str, arguments: list[str] | None) -> argparse.Namespace:
    """Command line; ``--quick`` changes defaults, not what is given."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", nargs="+", choices=list(GRIDS), help="canvases (default: A B C; B if quick)")
    parser.add_argument("--synthesizers", nargs="+", choices=library.SYNTHESIZERS, default=list(library.SYNTHESIZERS))
    parser.add_argument("--repeat", type=int, help="repetitions of what takes milliseconds (default: 5; 1 if quick)")
    parser.add_argument("--quick", action="store_true", help="volume B once, networks on windows of 64 voxels per axis")
    parser.add_argument("--window", type=int, help="voxels per axis that networks see (default: 96 as published; 64 if quick)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write every timing to this file")
    options = parser.parse_args(arguments)
    options.volumes = options.volumes or (["B"] if options.quick else ["A", "B", "C"])
    options.repeat = options.repeat or (1 if options.quick else 5)
    options.window = options.window or (QUICK_WINDOW if options.quick else 96)
    return options


def measure(setting: sections.Setting, options: argparse.Namespace, networks: bool) -> dict[str, dict[str, float]]:
    """Time everything that was asked for on one canvas; return the memory of its workers.

    Networks see windows, not volumes: they are timed on one canvas only.
    """
    wanted, repeats = options.synthesizers, options.repeat
    start = time.process_time()
    if library.PROCEDURAL in wanted:
        sections.time_procedural(setting, repeats)
    for name in (library.PROCEDURAL, library.AUTOMATON, library.COPY_PASTE):
        if name in wanted:
            sections.time_bank(setting, name, max(repeats // 2, 1))
    if library.AUTOMATON in wanted:
        sections.time_automaton(setting, 1)
    slow = 1 if options.quick else 2
    if networks:
        painted = [name for name in (library.DEFAULT, library.PAPER) if name in wanted]
        if painted:
            sections.time_freetumor(setting, painted, slow, options.window)
        if library.DIFFUSION in wanted:
            sections.time_diffusion(setting, slow, options.window)
    print(f"{setting.name}: {time.process_time() - start:.0f} core-seconds", file=sys.stderr, flush=True)
    alone = [] if options.quick else [name for name in wanted if networks or name not in library.WITH_NETWORKS]
    peaks = sections.measure_memory(setting, alone) if alone else {}
    setting.release()
    return peaks


def describe(settings: list[sections.Setting]) -> str:
    """A table of the canvases."""
    rows = []
    for setting in settings:
        canvas, files = setting.canvas, setting.files
        index, _ = timed(partial(find_sites, canvas.label, NAMES, "x", canvas.grid.spacing, canvas.image))
        liters = (canvas.label == 1).sum() * canvas.grid.unit**3 / 1e6
        packed = canvas.image.nbytes / files.nifti_image.stat().st_size
        size, spacing = (" x ".join(f"{n:g}" for n in triple) for triple in (canvas.grid.shape, canvas.grid.spacing))
        rows.append([setting.name, size, spacing, f"{liters:.2f}", f"{packed:.2f}", f"{1e3 * index:.0f}"])
    return report.table(rows, ["canvas", "voxels (z, y, x)", "mm", "organ L", ".nii.gz 1 :", "table of sites, ms once"])


def show(samples: list[Sample], peaks: dict[str, dict[str, float]]) -> str:
    """All tables; times are core-milliseconds of one thread unless they say otherwise."""
    titles = {
        "Painting in memory": report.in_memory,
        "From the store to the bank; with networks, one lesion": report.at_scale,
        "From .nii.gz to .nii.gz, ms per painted volume": report.files_to_files,
        "References": report.references,
    }
    tables = {title: make(samples) for title, make in titles.items()}
    tables["Memory"] = report.memory(peaks | {"the benchmark itself": {"start_mb": math.nan, "peak_mb": peak_mb()}})
    return "\n\n".join(f"{title}\n\n{text}" for title, text in tables.items() if text)


if __name__ == "__main__":
    main()
