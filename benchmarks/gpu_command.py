"""The command line of the benchmark of a GPU: what is measured, and what is printed."""

import argparse
import json
import math
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from freetumor.core.config import Compute
from freetumor.core.device import prepare
from freetumor.core.errors import UserError

from . import library, report, trainings
from .accelerator import describe, headline
from .gpu_sections import SECTIONS, Options, Row
from .sections import Setting

PAINTERS = (library.PROCEDURAL, library.DEFAULT, library.PAPER, library.DIFFUSION)
TITLES = {
    "training": "Training",
    "precision": "Mixed precision (bfloat16) against full",
    "determinism": "Reruns, all in full precision",
    "operators": "Operators of torch's lists of what is not deterministic, in a step of each training",
    "synthesis": "Painting a stored volume into the bank",
    "launch": "Started by scripts/launch.py, two steps of two tiny trainings",
}
COLUMNS: dict[str, dict[str, tuple[str, str]]] = {  # key of a row: title and format
    "training": {
        "parameters": ("parameters", ",d"),
        "samples": ("batch", "d"),
        "steps_per_second": ("steps/s", ".3g"),
        "samples_per_second": ("samples/s", ".3g"),
        "step_ms": ("ms/step", ",.1f"),
        "data_ms": ("of it data", ",.1f"),
        "peak_mb": ("peak MB", ",.0f"),
        "failed": ("", "s"),
    },
    "precision": {
        "full_ms": ("full ms/step", ",.1f"),
        "mixed_ms": ("mixed", ",.1f"),
        "speed": ("full / mixed", ".2f"),
        "full_mb": ("full peak MB", ",.0f"),
        "mixed_mb": ("mixed", ",.0f"),
        "steps": ("steps", "d"),
        "loss": ("last loss full", ".5f"),
        "mixed_loss": ("mixed", ".5f"),
        "largest_difference": ("largest difference", ".2g"),
        "failed": ("", "s"),
    },
    "determinism": {
        "steps": ("steps", "d"),
        "tensors": ("tensors", "d"),
        "unequal": ("unequal in a rerun", "d"),
        "unequal_if_free": ("with fastest kernels", "d"),
        "deterministic_ms": ("ms/step", ",.1f"),
        "free_ms": ("with fastest kernels", ",.1f"),
        "loss_off_cpu": ("tiny, against a CPU: losses", ".1e"),
        "weights_off_cpu": ("weights", ".1e"),
        "failed": ("", "s"),
    },
    "operators": {
        "deterministic": ("deterministic", "s"),
        "explained": ("explained", "s"),
        "trainings": ("trainings", "s"),
    },
    "synthesis": {
        "gate": ("gate", "s"),
        "wanted": ("lesions", "d"),
        "painted": ("painted", "d"),
        "lesions_per_second": ("lesions/s", ".3g"),
        "lesion_ms": ("ms/lesion", ",.1f"),
        "peak_mb": ("peak MB", ",.0f"),
    },
    "launch": {
        "backend": ("group", "s"),
        "seconds": ("seconds", ".1f"),
        "sum_ms": ("ms per sum of 19.07 M", ",.1f"),
        "loss_off_alone": ("losses off", ".1e"),
        "gradient_off_alone": ("gradients off", ".1e"),
    },
}


def main(description: str, arguments: Sequence[str] | None = None) -> dict[str, list[Row]]:
    """Run the sections and print them; return their rows."""
    chosen = parse(description, arguments)
    try:
        device = prepare(Compute(device=chosen.device, torch_threads=torch.get_num_threads())).torch
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    warnings.filterwarnings("ignore", module="monai")
    facts, found = describe(device), {}
    print(headline(facts), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        options = Options(
            device=device,
            setting=Setting("tiny" if chosen.quick else "B", Path(folder)),
            sizes=trainings.TINY if chosen.quick else trainings.PAPER,
            networks=chosen.networks,
            painters=[name for name in PAINTERS if not (chosen.quick and name == library.PAPER)],
            window=32 if chosen.quick else 96,
            steps=chosen.steps,
            warmup=chosen.warmup,
            lesions=4 if chosen.quick else 64,
        )
        for section in chosen.sections:
            start = time.perf_counter()
            found[section] = list(SECTIONS[section](options))
            title = f"{TITLES[section]} ({time.perf_counter() - start:.0f} s)"
            print(f"\n{title}\n\n{show(section, found[section])}", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps({"facts": facts, **found}, indent=1))
    return found


def parse(description: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Command line; ``--quick`` changes defaults, not what is given."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="where to compute (default: cuda)")
    parser.add_argument("--quick", action="store_true", help="tiny networks and canvas, few steps, no SwinUNETR")
    parser.add_argument("--sections", nargs="+", default=list(SECTIONS), help=f"of {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--networks", nargs="+", choices=trainings.NAMES, help="trainings (default: all)")
    parser.add_argument("--steps", type=int, help="counted steps of each training (default: 20; 2 if quick)")
    parser.add_argument("--warmup", type=int, help="steps before them (default: 5; 1 if quick)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write all figures to this file")
    options = parser.parse_args(arguments)
    options.sections = [name for text in options.sections for name in text.split(",")]
    if unknown := [name for name in options.sections if name not in SECTIONS]:
        parser.error(f"--sections: no '{unknown[0]}'; choose from {', '.join(SECTIONS)}")
    slow = trainings.WITH_SWIN if options.quick else ()
    options.networks = options.networks or [name for name in trainings.NAMES if name not in slow]
    options.steps = options.steps or (2 if options.quick else 20)
    options.warmup = (1 if options.quick else 5) if options.warmup is None else options.warmup
    return options


def show(section: str, rows: Sequence[Row]) -> str:
    """The table of a section."""
    columns = COLUMNS[section]
    header = ["", *(title for title, _ in columns.values())]
    return report.table(
        [[next(iter(row.values())), *(cell(row.get(key), form) for key, (_, form) in columns.items())] for row in rows], header
    )


def cell(value: Any, form: str) -> str:
    """A figure as text: nothing for what was not measured."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else format(value, form)
