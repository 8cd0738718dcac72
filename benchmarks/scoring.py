"""Time and memory of scoring volumes of 512 x 512 x 300 voxels, beside the floor of reading them.

    .venv/bin/python benchmarks/scoring.py              # three volumes, about a minute of one core
    .venv/bin/python benchmarks/scoring.py --volumes 10 --shape 300 512 512

A volume is a liver of 1.7 liters with up to eight tumors; the prediction moves and bends all borders by about 2 mm, misses the
last tumor and has three false alarms; the map of probability falls off around what is predicted. All times are core-seconds of
one thread; scoring includes the reading, memory is that of a process that does nothing else. The floor reads the three arrays
and does nothing. The last lines are ``time <name> <value>``.
"""

import argparse
import json
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy import ndimage

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]

from benchmarks.measure import peak_mb, timed  # noqa: E402
from freetumor.core.config import Config  # noqa: E402
from freetumor.core.seeding import generator  # noqa: E402
from freetumor.core.settings import read_yaml  # noqa: E402
from freetumor.evaluation.score import score_case  # noqa: E402
from freetumor.preprocessing.store import read_array, write_array  # noqa: E402

EXTENT_MM = (300.0, 360.0, 360.0)
LIVER_MM = (60.0, 78.0, 88.0)  # semi-axes (z, y, x)
ARRAYS = ("prediction", "reference", "probability")


def distances(shape: tuple[int, int, int], center: np.ndarray, axes: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """Distance in mm from the wavy border of an ellipsoid, about; negative inside, float32."""
    grids = [
        np.reshape(((np.arange(n) + 0.5) / n * extent - c), [-1 if axis == i else 1 for i in range(3)]).astype(np.float32)
        for axis, (n, extent, c) in enumerate(zip(shape, EXTENT_MM, center, strict=True))
    ]
    radius = np.sqrt(sum((grid / np.float32(a)) ** 2 for grid, a in zip(grids, axes, strict=True)))
    bend = sum(np.sin(grid / np.float32(7) + np.float32(phase)) for grid, phase in zip(grids, waves, strict=True))
    return (radius - 1) * np.float32(np.cbrt(np.prod(axes))) + np.float32(0.8) * bend


def write_case(folder: Path, number: int, shape: tuple[int, int, int]) -> dict:
    """Write the arrays of one made-up prediction; return its row."""
    rng = generator("benchmark", "scoring", number)
    middle, waves = np.array(EXTENT_MM) / 2, rng.uniform(0, 6, (2, 3))
    label, predicted = (np.where(distances(shape, middle, np.array(LIVER_MM), w) < 0, 1, 0).astype(np.uint8) for w in waves)
    probability = np.zeros(shape, np.float32)
    tumors = int(rng.integers(2, 9))
    for tumor in range(tumors + 3):
        center = middle + rng.uniform(-0.55, 0.55, 3) * LIVER_MM
        axes = rng.uniform(3, 18) * rng.uniform(0.8, 1.2, 3)
        if tumor < tumors:
            label[distances(shape, center, axes, waves[0]) < 0] = 2
        if tumor != tumors - 1:
            away = distances(shape, center, axes * 1.1, waves[1])
            predicted[away < 0] = 2
            np.maximum(probability, rng.uniform(0.6, 1) / (1 + np.exp(np.clip(away, -20, 20))), out=probability)
    noise = ndimage.zoom(rng.random([max(n // 8, 2) for n in shape]).astype(np.float32), 8, order=1)
    probability *= 0.7 + 0.3 * np.resize(noise, shape)
    arrays = {"prediction": predicted, "reference": label, "probability": np.rint(255 * probability).astype(np.uint8)}
    for name, array in arrays.items():
        write_array(folder / f"{number}.{name}.b2nd", array)
    spacing = [extent / n for extent, n in zip(EXTENT_MM, shape, strict=True)]
    row = {name: str(folder / f"{number}.{name}.b2nd") for name in ARRAYS}
    return row | {"names": json.dumps({"1": "liver", "2": "liver_tumor"}), "native_spacing": json.dumps(spacing)}


def measure(row: dict) -> tuple[float, float, float]:
    """Core-seconds of reading the arrays and of scoring the case, and the greatest memory of this process in MB."""
    config = Config.model_validate(read_yaml(REPOSITORY / "config.yaml") | {"organs": ["liver"]})
    reading = timed(lambda: [read_array(row[name]) for name in ARRAYS])[0]
    return reading, timed(lambda: score_case(config, row))[0], peak_mb()


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Run the benchmark and print it; return the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=3, help="volumes to score (default: 3)")
    parser.add_argument("--shape", type=int, nargs=3, default=[300, 512, 512], help="voxels (z, y, x)")
    options = parser.parse_args(arguments)
    found = []
    with tempfile.TemporaryDirectory() as temporary, ProcessPoolExecutor(1, get_context("spawn")) as scorer:
        for number in range(options.volumes):
            row = write_case(Path(temporary), number, tuple(options.shape))
            found.append(scorer.submit(measure, row).result())
            print("volume {}: reading {:.2f} s, reading and scoring {:.2f} s".format(number, *found[-1][:2]), flush=True)
    reading, scoring, peak = np.array(found).T
    results = {"read_volume": float(np.median(reading)), "score_volume": float(np.median(scoring))}
    results |= {"floor_share": results["read_volume"] / results["score_volume"], "peak_mb": float(peak.max())}
    results["score_1000_volumes_hours"] = results["score_volume"] * 1000 / 3600
    for name, value in results.items():
        print(f"time {name} {value:.4g}")
    return results


if __name__ == "__main__":
    main()
