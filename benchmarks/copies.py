"""Copies of phantoms, planted among them and looked for; and the cost of looking among many volumes."""

import argparse
from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from freetumor.core.config import PhantomSource
from freetumor.core.seeding import generator
from freetumor.download.phantom import make_phantom, plan_cases
from freetumor.preprocessing.duplicates import find_pairs
from freetumor.preprocessing.geometry import resample_image, working_shape
from freetumor.preprocessing.host import find_body
from freetumor.preprocessing.identity import fingerprint, landmarks, voxel_hash
from freetumor.preprocessing.landmarks import Landmarks
from freetumor.preprocessing.parts import find_parts

from .measure import timed
from .report import table

SEED = 161310  # of no study: none of these phantoms was looked at when the limits were set
KEPT = 0.8  # of each axis, in a crop
FINE = (1.5, 1.5, 1.5)  # mm
NOISE = 5.0  # HU
SPREAD = 0.35  # of the made-up landmarks around measured ones, standard deviations
MOST_LANDMARKS = 96

Spacing = tuple[float, float, float]


def main(description: str, arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Run the benchmark and print it; return what its last lines say."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--phantoms", type=int, default=100, help="different scans; one copy of each kind of each (default: 100)"
    )
    parser.add_argument("--volumes", type=int, nargs="*", default=[1000, 2500, 5000], help="sizes of the search that is timed")
    parser.add_argument("--seed", type=int, default=SEED, help="of the phantoms and the copies")
    options = parser.parse_args(arguments)
    found, false_pairs, scans = plant(options.phantoms, options.seed)
    compared = options.phantoms * (options.phantoms - 1) // 2
    print(table([[kind, f"{count} of {options.phantoms}"] for kind, count in found.items()], ["copy", "found"]), end="\n\n")
    print(f"false pairs: {false_pairs} (of {compared} pairs of different phantoms, and of their copies)", end="\n\n")
    seconds = {count: search(scans, count, options.seed) for count in options.volumes}
    print(
        table([[f"{count:,}", f"{value:.1f}"] for count, value in seconds.items()], ["volumes", "core-seconds of the search"])
    )
    print()
    results = {f"found {kind}": count / options.phantoms for kind, count in found.items()}
    results |= {"false_pairs": float(false_pairs), **{f"seconds {count}": value for count, value in seconds.items()}}
    for name, value in results.items():
        print(f"{name} {value:.4g}")
    return results


def plant(count: int, seed: int) -> tuple[dict[str, int], int, list[Landmarks]]:
    """Make phantoms and copies of them, and look for pairs.

    Returns:
        Copies of each kind that were found, pairs of different phantoms that were, and the landmarks of the phantoms.
    """
    rows = []
    source = PhantomSource(
        name="planted", kind="phantom", seed=seed, labeled=count // 2, tumor_free=0, unlabeled=count - count // 2
    )
    for case in plan_cases(source):
        made = make_phantom(source, case)
        versions = copies(made.image, made.grid.spacing, generator(seed, "benchmark", "copies", case.case_id))
        for kind, (image, spacing) in {"original": (made.image, made.grid.spacing), **versions}.items():
            box = find_body(image, spacing).box()
            rows.append([case.index, kind, voxel_hash(image), fingerprint(image, box, spacing)])
    scans = pd.DataFrame(rows, columns=["scan", "kind", "voxel_hash", "fingerprint"])
    found = dict.fromkeys((kind for kind in scans["kind"].unique() if kind != "original"), 0)
    false_pairs = 0
    originals = scans[scans["kind"] == "original"]
    for kind in found:  # each kind by itself, so that no copy is found by way of another one
        subset = pd.concat([originals, scans[scans["kind"] == kind]], ignore_index=True)
        same = Counter()
        for pair in find_pairs(subset):
            one, other = subset["scan"].iloc[[pair.one, pair.other]]
            false_pairs += one != other
            same[one] += one == other
        found[kind] = sum(number > 0 for number in same.values())
    return found, int(false_pairs), [landmarks(text) for text in originals["fingerprint"]]


def copies(image: np.ndarray, spacing: Spacing, rng: np.random.Generator) -> dict[str, tuple[np.ndarray, Spacing]]:
    """The disguises of a scan, and their spacings."""
    whole = tuple((0, length) for length in image.shape)
    lengths = [round(KEPT * length) for length in image.shape]
    starts = [int(rng.integers(0, length - kept + 1)) for length, kept in zip(image.shape, lengths, strict=True)]
    part = image[tuple(slice(start, start + kept) for start, kept in zip(starts, lengths, strict=True))]
    mirrors = (*(slice(None, None, int(rng.choice([1, -1]))) for _ in range(2)), slice(None, None, -1))
    noisy = np.rint(image + rng.normal(0, NOISE, image.shape)).astype(np.int16)
    made = {
        "same voxels": (image, spacing),
        "mirrored": (image[mirrors], spacing),
        "plus 10 HU": (image + np.int16(10), spacing),
        "noise of 5 HU": (noisy, spacing),
        "1.5 mm voxels": (resample_image(image, whole, working_shape(whole, spacing, FINE)), FINE),
        "cropped by a fifth": (part, spacing),
        "cropped and mirrored": (part[mirrors], spacing),
    }
    return {kind: (np.ascontiguousarray(array), grid) for kind, (array, grid) in made.items()}


def search(scans: Sequence[Landmarks], count: int, seed: int) -> float:
    """Core-seconds to look for parts among volumes whose landmarks are drawn from those of ``scans``, and scattered."""
    rng = generator(seed, "benchmark", "search", count)
    values = np.concatenate([scan.values for scan in scans])
    scatter = SPREAD * values.std(axis=0)
    made = []
    for _ in range(count):
        drawn = values[rng.integers(0, len(values), MOST_LANDMARKS)] + scatter * rng.normal(
            size=(MOST_LANDMARKS, values.shape[1])
        )
        made.append(Landmarks(rng.uniform(0, 300, (MOST_LANDMARKS, 3)), drawn))
    return timed(partial(find_parts, made))[0]
