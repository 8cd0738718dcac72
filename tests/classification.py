"""A small classification study, and made-up predictions of it: what the evaluation of a classification reads."""

import json
from pathlib import Path

import numpy as np

from freetumor.core.config import Config
from freetumor.core.seeding import generator
from freetumor.core.tables import CLASSIFICATIONS, make_table, write_table
from freetumor.evaluation.merge import merge_scores
from freetumor.evaluation.score import Rows, score_predictions

CATEGORIES = ["cyst", "metastasis", "hemangioma"]
GAINS = {"classic_100": 0.8, "classic_0": 0.0, "classic_50": 0.5, "dcgan_10": 0.9, "dcgan_30": 1.1, "acgan_30": 0.7}


def classification_config(**changes: object) -> Config:
    """A study of three categories, six arms and two selections; ``changes`` replace top-level keys."""
    gan = {"kind": "dcgan", "width": 2, "group": 100, "training": {"steps": 2}}
    raw = {
        "study": "regions",
        "title": "Do synthetic lesions help?",
        "task": "classification",
        "organs": ["liver"],
        "categories": CATEGORIES,
        "preset": "roi",
        "presets": {"roi": {"form": "region", "window": [-50, 200], "patch": [1, 32, 32]}},
        "sources": [{"name": "made", "kind": "roi_phantom"}],
        "synthesizers": {"dcgan": {"painter": gan}, "acgan": {"painter": gan | {"kind": "acgan"}}},
        "arms": {
            "classic_100": {"group": 100},
            "classic_0": {},
            "classic_50": {"group": 50},
            "dcgan_10": {"group": 100, "synthesizer": "dcgan", "synthetic": 10, "lesions": "bank"},
            "dcgan_30": {"group": 100, "synthesizer": "dcgan", "synthetic": 30, "lesions": "bank"},
            "acgan_30": {"group": 100, "synthesizer": "acgan", "synthetic": 30, "lesions": "bank"},
        },
        "recognition": {
            "network": {"name": "roi_cnn", "channels": [32, 64, 128]},
            "arms": list(GAINS),
            "seeds": [1, 2, 3],
        },
        "evaluation": {
            "primary": ["accuracy"],
            "size_bins": [20, 40, 60],
            "resamples": 200,
            "selections": {
                "dcgan_nested": {"candidates": ["classic_100", "dcgan_10", "dcgan_30"], "by": "validation"},
                "dcgan_optimistic": {"candidates": ["classic_100", "dcgan_10", "dcgan_30"], "by": "test"},
            },
        },
    }
    return Config.model_validate(raw | changes)


def classified(config: Config, arm: str, fold: int, seed: int, cases: int = 60, gain: float | None = None) -> list[dict]:
    """Rows of the prediction table of one training: a third of the cases as test, some of the others as validation."""
    rows = []
    for number in range(cases):
        split = "development" if number % config.cohort.folds == fold else "validation" if number % 4 == 1 else None
        if split is None:
            continue
        true = number // 3 % len(config.categories)
        ease = generator("made", "ease", number).normal((1.5, 0.2, 0.0)[true], 0.7)
        noise = generator("made", "noise", arm, fold, seed, number, split).normal(0, 0.8, len(config.categories))
        logits = noise
        logits[true] += ease + (GAINS[arm] if gain is None else gain)
        shares = np.exp(logits) / np.exp(logits).sum()
        row = {"case_id": f"lesion-{number:03d}", "patient_id": f"p{number:03d}", "source": "made", "domain": ""}
        row |= {"split": split, "fold": fold, "arm": arm, "seed": seed, "category": config.categories[true]}
        row |= {"predicted": config.categories[int(np.argmax(shares))]}
        row |= {"probabilities": json.dumps(dict(zip(config.categories, map(float, shares), strict=True)))}
        rows.append(row | {"diameter_mm": float(generator("made", "diameter", number).uniform(10, 100))})
    return rows


def merged_scores(config: Config, folder: Path, cases: int = 60, gain: float | None = None) -> dict[str, Path]:
    """Score and merge made-up predictions of all trainings of a study: paths of all tables."""
    parts = []
    for arm in config.recognition.arms:
        for fold in config.folds:
            for seed in config.recognition.seeds:
                stem = folder / "parts" / f"{arm}-{fold}-{seed}"
                rows = classified(config, arm, fold, seed, cases, gain)
                write_table(make_table(rows, CLASSIFICATIONS), f"{stem}.predictions.parquet", CLASSIFICATIONS)
                parts.append(Rows(*(f"{stem}.{name}.parquet" for name in Rows._fields)))
                score_predictions(config, f"{stem}.predictions.parquet", parts[-1])
    paths = Rows(*(folder / f"{name}.parquet" for name in Rows._fields))
    merge_scores(config, Rows(*zip(*parts, strict=True)), paths, folder / "selections.csv")
    return paths._asdict() | {"selections": folder / "selections.csv"}
