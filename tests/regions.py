"""A small classification study and regions of three categories that are easy to tell apart, made in code."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from freetumor.core.config import Config
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, write_table
from freetumor.preprocessing.store import write_array

CATEGORIES = ("cyst", "metastasis", "hemangioma")
FIT, CONTEXT = 1.5, 2.4
PARTS = {"train": 4, "validation": 1, "test": 3}


def region_config(size: int = 16, **changes: object) -> Config:
    """A study of three categories with tiny generators and few steps; ``changes`` replace top-level keys."""
    training = {"steps": 4, "batch": 8, "learning_rate": 2e-4, "schedule": "constant", "warmup": 0}
    training |= {"validate_every": 2, "checkpoint_every": 1}
    painter = {"width": 2, "latent": 6, "group": 24, "training": training}
    raw = {
        "study": "small",
        "task": "classification",
        "organs": ["liver"],
        "categories": CATEGORIES,
        "preset": "roi",
        "presets": {"roi": {"form": "region", "window": [-50, 200], "patch": [1, size, size]}},
        "sources": [{"name": "made", "kind": "roi_phantom"}],
        "synthesizers": {kind: {"painter": {"kind": kind, **painter}} for kind in ("dcgan", "acgan")},
        "synthesis": {"synthesizers": ["dcgan"], "images_per_category": 6, "shards": 2, "deck_images": 3},
        "arms": {"classic": {"group": 24}},
        "recognition": {
            "network": {"name": "roi_cnn", "channels": [4, 4, 4]},
            "training": training,
            "arms": ["classic"],
            "seeds": [1],
        },
    }
    return Config.model_validate(raw | changes)


def make_region(category: int, index: int, side: int, fit_pixels: float) -> np.ndarray:
    """HU (side, side): a dark sharp disk, a soft one, or a bright broken ring, ``fit_pixels / 1.5`` pixels wide, on liver."""
    rng = generator("regions", category, index)
    y, x = np.indices((side, side)) - (side - 1) / 2
    radius = fit_pixels / FIT / 2 * rng.uniform(0.85, 1.1)
    distance = np.hypot(y * rng.uniform(0.85, 1.15), x) / radius
    angle = np.arctan2(y, x)
    liver = 105 + gaussian_filter(rng.normal(0, 30, (side, side)), 1)
    if category == 0:
        return np.where(distance < 1, rng.uniform(0, 15), liver)
    if category == 1:
        return liver - rng.uniform(40, 60) / (1 + np.exp((distance - 0.9) * 6))
    ring = (distance < 1) & (distance > 0.55) & (np.sin(3 * angle + rng.uniform(0, 6)) > -0.4)
    return np.where(ring, 160, np.where(distance < 1, 65, liver))


def make_region_fold(folder: Path, config: Config, parts: dict[str, int] | None = None) -> Path:
    """Write regions and their fold table, ``parts`` of each category; return the table's path."""
    size = config.working.patch[1]
    side = round(size * CONTEXT / FIT)
    rows = []
    for category, name in enumerate(CATEGORIES):
        for index, part in enumerate(part for part, count in (parts or PARTS).items() for _ in range(count)):
            case_id = f"{name}-{index:03d}"
            image = np.rint(make_region(category, index, side, size)).astype(np.int16)[None]
            paths = {key: folder / f"{case_id}.{key}.b2nd" for key in ("image", "label", "native")}
            for key, array in (("image", image), ("label", np.ones(image.shape, np.uint8))):
                write_array(paths[key], array)
            np.savez(folder / f"{case_id}.sites.npz", liver=np.argwhere(image > -999).astype(np.int32))
            rows.append(
                dict.fromkeys(FOLD_CASES.columns, "")
                | {"case_id": case_id, "patient_id": f"patient-{case_id}", "source": "made", "labeled": True}
                | {key: str(path) for key, path in paths.items()}
                | {"sites": str(folder / f"{case_id}.sites.npz"), "names": json.dumps({"1": "liver"}), "category": name}
                | {"shape": json.dumps(image.shape), "spacing": "[5.0, 1.0, 1.0]", "native_spacing": "[5.0, 1.0, 1.0]"}
                | {"tumor_ml": 1.0, "diameter_mm": size / FIT, "split": "development", "fold": 0, "part": part}
            )
    path = folder / "cases.parquet"
    write_table(pd.DataFrame(rows), path, FOLD_CASES)
    return path
