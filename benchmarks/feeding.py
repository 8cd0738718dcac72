"""What the patches of a training cost, and the processes that make them ahead.

    .venv/bin/python benchmarks/feeding.py

Patches of 96 x 96 x 96 voxels are cut from canvas B, windowed, painted and augmented: milliseconds of one core for each. Then
two processes make those of the same arms ahead (``compute.loader_workers``): core-seconds until each gives its first batches,
and its memory.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import torch

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]

from benchmarks.canvases import make_canvas, write_canvas  # noqa: E402
from freetumor.core.config import Config  # noqa: E402
from freetumor.core.device import set_threads  # noqa: E402
from freetumor.core.feed import Feed  # noqa: E402
from freetumor.core.settings import merge, read_yaml  # noqa: E402
from freetumor.recognition.batches import ArmBatches, OnlineLesions  # noqa: E402
from freetumor.synthesizer.assembly import assemble  # noqa: E402
from freetumor.synthesizer.cases import Case  # noqa: E402
from freetumor.synthesizer.segmentation import Views  # noqa: E402

BATCH, STEPS, WORKERS = 4, 8, 2
CPU = torch.device("cpu")
ARMS = (("real", "none"), ("real", "standard"), ("constant", "none"), ("constant", "standard"))


def views(config: Config, case: Case, name: str, augmentation: str) -> Views:
    """The batches of an arm, all of whose patches are painted if it paints."""
    arm = config.arms[name].model_copy(update={"augmentation": augmentation, "synthetic_share": 1.0})
    lesions = OnlineLesions(assemble(name, config, [case], CPU), [case], config, CPU) if arm.synthesizer else None
    return Views(ArmBatches(arm, config, [case], lesions, BATCH, 1), config.working.window, range(BATCH))


def milliseconds(batches: Views) -> float:
    """Of one core, for a patch; the first batch, which opens files and fills caches, does not count."""
    batches(0)
    started = time.process_time()
    for step in range(1, STEPS + 1):
        batches(step)
    return (time.process_time() - started) / (STEPS * BATCH) * 1e3


def workers(batches: Views) -> tuple[float, float, float]:
    """Core-seconds of a worker until it has made its first batches, its resident memory in MB, and what of it is its own."""
    before = set(psutil.Process().children())
    feed = Feed(batches, 100, WORKERS)
    feed.take(1)
    found = [process for process in set(psutil.Process().children()) - before if process.memory_info().rss > 1e8]
    spent = [sum(process.cpu_times()[:2]) for process in found]
    for step in range(2, STEPS):
        feed.take(step)
    memory = [process.memory_full_info() for process in found]
    return float(np.mean(spent)), max(m.rss for m in memory) / 1e6, max(m.uss for m in memory) / 1e6


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    set_threads(1)
    config = Config.model_validate(
        merge(read_yaml(REPOSITORY / "config.yaml"), {"study": "feeding", "preset": "abdomen", "organs": ["liver"]})
    )
    with tempfile.TemporaryDirectory() as folder:
        case = Case(pd.Series(write_canvas(make_canvas("B"), Path(folder)).row), ["liver"], hide_tumors=True)
        print("arm, augmentation: core-ms per patch; core-s until a worker gives, its memory and its own part of that in MB")
        for name, augmentation in ARMS:
            batches = views(config, case, name, augmentation)
            spent, resident, own = workers(batches)
            print(f"{name}, {augmentation}: {milliseconds(batches):.1f}; {spent:.1f}, {resident:.0f}, {own:.0f}", flush=True)


if __name__ == "__main__":
    main()
