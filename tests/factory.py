"""Small preprocessed cases and a small study, made in code: what the stages after preprocessing read."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, MANIFEST, write_table
from freetumor.preprocessing.sites import find_sites, write_sites
from freetumor.preprocessing.store import write_array

NAMES = {1: "liver", 2: "liver_tumor", 3: "pancreas", 4: "pancreas_tumor"}
SPACING = (3.0, 2.5, 2.5)


def small_config(**changes: object) -> Config:
    """A study of two organs with tiny networks and few steps; ``changes`` replace top-level keys."""
    network = {"name": "unet", "channels": [4, 8]}
    training = {"steps": 4, "batch": 2, "validate_every": 2, "checkpoint_every": 1, "warmup": 1}
    difference = {"kind": "difference", "network": {"name": "unet3d", "channels": [2]}, "training": training}
    raw = {
        "study": "small",
        "organs": ["liver", "pancreas"],
        "preset": "tiny",
        "presets": {"tiny": {"spacing": SPACING, "window": [-175, 250], "patch": [16, 16, 16]}},
        "sources": [{"name": "made", "kind": "phantom", "labeled": 4}],
        "segmenter": {"network": network, "training": training},
        "synthesizers": {
            "constant": {"painter": {"kind": "constant"}},
            "copy_paste": {"painter": {"kind": "transplant"}, "shape": {"kind": "real"}},
            "automaton": {"painter": {"kind": "states"}, "shape": {"kind": "automaton"}},
            "freetumor": {"painter": difference, "gate": {"kind": "segmenter", "threshold": 0.0}},
            "published": {"painter": difference, "gate": {"kind": "segmenter"}, "mode": "as_published"},
        },
        "synthesis": {"synthesizers": ["constant"], "lesions_per_case": 3, "shards": 2},
        "arms": {
            "real": {},
            "classic": {"augmentation": "standard"},
            "constant": {"synthesizer": "constant"},
            "copy_paste": {"synthesizer": "copy_paste"},
            "freetumor": {"synthesizer": "freetumor"},
            "bank": {"synthesizer": "constant", "lesions": "bank"},
            "cutmix": {"cutmix": "independent_axes"},
        },
        "recognition": {"network": network, "training": training, "arms": ["real", "constant"], "seeds": [1]},
    }
    return Config.model_validate(raw | changes)


def make_volume(index: int, tumors: bool) -> tuple[np.ndarray, np.ndarray]:
    """HU and label (z, y, x): two ball-shaped organs in noise, each with a ball-shaped tumor if asked for."""
    shape = (28, 36, 40)
    rng = generator("factory", index)
    grid = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, SPACING, strict=True)), indexing="ij"))
    image, label = rng.normal(-60, 12, shape), np.zeros(shape, np.uint8)
    for code, center, radius, level in ((1, (42, 45, 30), 27, 100), (3, (42, 45, 80), 15, 80)):
        distance = np.linalg.norm(grid - np.reshape(center, (3, 1, 1, 1)), axis=0)
        inside = distance < radius
        image[inside] = rng.normal(level, 15, inside.sum())
        label[inside] = code
        if tumors:
            spot = np.array(center) + rng.uniform(-0.4, 0.4, 3) * radius
            lesion = (np.linalg.norm(grid - spot.reshape(3, 1, 1, 1), axis=0) < 0.4 * radius) & inside
            image[lesion] -= 50
            label[lesion] = code + 1
    return np.rint(image).astype(np.int16), label


def make_fold(folder: Path, train: int = 3, validation: int = 1, test: int = 2, pool: int = 2) -> Path:
    """Write cases and their fold table; return the table's path. The last test case has no tumor."""
    rows = []
    parts = ["train"] * train + ["validation"] * validation + ["test"] * test + ["pool"] * pool
    for index, part in enumerate(parts):
        case_id = f"case-{index}"
        tumors = not (part == "test" and index == train + validation + test - 1 and test > 1)
        image, label = make_volume(index, tumors)
        paths = {key: folder / f"{case_id}.{key}.b2nd" for key in ("image", "label", "native")}
        for key, array in (("image", image), ("label", label), ("native", label)):
            write_array(paths[key], array)
        write_sites(folder / f"{case_id}.sites.npz", find_sites(label, NAMES, case_id, SPACING, image))
        rows.append(
            {
                "case_id": case_id,
                "patient_id": f"patient-{index}",
                "source": "made",
                "domain": "a",
                "labeled": part != "pool",
                "category": "",
                **{key: str(path) for key, path in paths.items()},
                "sites": str(folder / f"{case_id}.sites.npz"),
                "names": json.dumps({str(code): name for code, name in NAMES.items()}),
                "shape": json.dumps(image.shape),
                "spacing": json.dumps(SPACING),
                "native_shape": json.dumps(image.shape),
                "native_spacing": json.dumps(SPACING),
                "crop": json.dumps([[0, n] for n in image.shape]),
                "affine": json.dumps(np.diag([*SPACING[::-1], 1]).tolist()),
                "organs": "liver,pancreas",
                "tumors": "liver_tumor,pancreas_tumor" if tumors else "",
                "tumor_ml": 1.0 if tumors else 0.0,
                "diameter_mm": float("nan"),
                "voxel_hash": case_id,
                "notes": "",
                "split": "pool" if part == "pool" else "development",
                "fold": 0 if part == "test" else -1,
                "excluded_because": "",
                "part": part,
            }
        )
    path = folder / "cases.parquet"
    write_table(pd.DataFrame(rows), path, FOLD_CASES)
    return path


def bank_image(folder: Path, name: str, image: np.ndarray) -> dict:
    """Bank a whole image (n, n) in HU under ``name``; what its manifest row says of its place."""
    from freetumor.synthesis.bank import crop_lesion

    after = np.rint(image).astype(np.int16)[None]
    return bank_lesion(folder, name, crop_lesion(np.full_like(after, -1024), after, np.ones(after.shape, bool), (0, 0, 0)))


def bank_lesion(folder: Path, name: str, lesion: object) -> dict:
    """Bank a lesion in a pack of its own."""
    from freetumor.synthesis.bank import pack_lesion, record_block, write_pack

    block = pack_lesion(lesion)
    place = {"patch": f"bank/{name}.pack", "corner": json.dumps(list(lesion.corner))} | record_block(block, 0)
    write_pack(folder / place["patch"], [place], [block], "made")
    return place


EMPTY_ROW = dict.fromkeys(MANIFEST.columns, "") | {
    "draw": 0,
    "variant": 0,
    "seed": 0,
    "attempts": 1,
    "outcome": "accepted",
    "offset": -1,
    "bytes": 0,
    **dict.fromkeys(("score", "diameter_mm", "volume_ml", "contrast_hu"), float("nan")),
}


def paint_bank(
    study: Config,
    fold: Path,
    folder: Path,
    shards: int,
    name: str = "constant",
    weights: Path | None = None,
    segmenter: Path | None = None,
    order: Sequence[int] | None = None,
) -> Path:
    """Synthesize all shards of a fold, in ``order``, and merge them; return the path of the manifest."""
    from freetumor.synthesis.manifests import merge_manifests
    from freetumor.synthesis.shards import synthesize_shard

    config = study.model_copy(update={"synthesis": study.synthesis.model_copy(update={"shards": shards})})
    paths = [folder / f"shard{shard}.parquet" for shard in range(shards)]
    for shard in order or range(shards):
        synthesize_shard(config, name, 0, shard, fold, paths[shard], weights, segmenter)
    merge_manifests(paths, folder / "manifest.parquet")
    return folder / "manifest.parquet"
