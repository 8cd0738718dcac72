"""The command line of each kind of job that is measured, and its inputs, made up (``needs_cases``)."""

import json
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import RAW_CASES, write_table
from freetumor.core.weights import save_weights
from freetumor.synthesis import manifests, shards
from freetumor.synthesizer.assembly import generator_network, segmenter_network
from freetumor.synthesizer.diffusion_networks import diffusion_network

from . import needs_cases as made
from .needs_points import Point

REGIONS = 10  # of each category, for every part that there is
Command = list[str | Path]


def joined(parts: Iterable[Command]) -> Command:
    """Parts of a command line."""
    return list(chain.from_iterable(parts))


def write_cases(point: Point, config: Config, folder: Path) -> Path:
    """The fold table of a point, with its scans or regions."""
    parts = [{"t": "train", "v": "validation", "e": "test", "p": "pool"}[letter] for letter in point.parts]
    if config.task == "classification":
        return made.write_regions(folder, dict.fromkeys(parts, REGIONS), config.working.patch[1])
    return made.write_fold(folder, parts, point.stored, point.native or point.stored, point.copies)


def on_fold(script: str, point: Point, config: Config, folder: Path) -> Command:
    """What all jobs on a fold begin with."""
    return [script, "--config", folder / "config.yaml", "--fold", "0", "--cases", write_cases(point, config, folder)]


def trained(folder: Path) -> Command:
    """Outputs of a training."""
    place = folder / "trained"
    return ["--weights", place / "weights.safetensors", "--history", place / "history.csv", "--sidecar", place / "checkpoints"]


def segmenter(config: Config, folder: Path) -> Command:
    """A segmenter whose weights are drawn, not trained."""
    path = folder / "segmenter.safetensors"
    save_weights(path, segmenter_network(config.segmenter.network, config, seed=0).state_dict(), {})
    return ["--segmenter", path]


def train_segmenter(point: Point, config: Config, folder: Path) -> Command:
    """See ``scripts/train_segmenter.py``."""
    return [*on_fold("train_segmenter.py", point, config, folder), *trained(folder)]


def train_synthesizer(point: Point, config: Config, folder: Path) -> Command:
    """See ``scripts/train_synthesizer.py``."""
    judge = segmenter(config, folder) if config.synthesizers["made"].taught else []
    common = on_fold("train_synthesizer.py", point, config, folder)
    return [*common, "--synthesizer", "made", *judge, *trained(folder)]


def train_recognizer(point: Point, config: Config, folder: Path) -> Command:
    """See ``scripts/train_recognizer.py``."""
    return [*on_fold("train_recognizer.py", point, config, folder), "--arm", "real", "--seed", "1", *trained(folder)]


def synthesize_shard(point: Point, config: Config, folder: Path) -> Command:
    """See ``scripts/synthesize_shard.py``; weights are drawn, not trained."""
    settings, networks = config.synthesizers["made"], []
    if settings.painter.kind == "diffusion":
        state = diffusion_network(settings.painter.diffusion, len(config.organs), seed=0).state_dict()
    else:
        state = generator_network(settings, config, seed=0).state_dict() if settings.trained else {}
    if state:
        save_weights(folder / "generator.safetensors", state, {})
        networks += ["--generator", folder / "generator.safetensors"]
    networks += segmenter(config, folder) if settings.judged else []
    common = on_fold("synthesize_shard.py", point, config, folder)
    return [*common, "--synthesizer", "made", "--shard", "0", *networks, "--manifest", folder / "bank" / "shard0.parquet"]


def predict(point: Point, config: Config, folder: Path) -> Command:
    """See ``scripts/predict.py``; weights are drawn, not trained."""
    weights, output = folder / "recognizer.safetensors", folder / "predictions" / "predictions.parquet"
    save_weights(weights, segmenter_network(config.recognition.network, config, seed=0).state_dict(), {})
    common = on_fold("predict.py", point, config, folder)
    return [*common, "--arm", "real", "--seed", "1", "--weights", weights, "--output", output]


def score_cases(point: Point, config: Config, folder: Path) -> Command:
    """See ``scripts/score_cases.py``; the prediction is the truth of another scan."""
    predictions = made.write_predictions(folder, point.native or point.stored, point.parts.count("e"))
    outputs = [[f"--{name}", folder / f"{name}.parquet"] for name in ("scores", "lesions", "candidates", "reliability")]
    return ["score_cases.py", "--config", folder / "config.yaml", "--predictions", predictions, *joined(outputs)]


def preprocess_shard(point: Point, config: Config, folder: Path) -> Command:
    """See ``scripts/preprocess_shard.py``; two scans in two processes."""
    image, label = made.write_nifti(folder, point.native or point.stored)
    labels = json.dumps([{"path": str(label), "map": {str(code): name for code, name in made.NAMES.items()}}])
    row = dict.fromkeys(RAW_CASES.columns, "") | {"source": "made", "image": str(image), "labels": labels, "labeled": True}
    rows = [row | {"case_id": f"case-{number}", "patient_id": f"patient-{number}"} for number in range(point.count)]
    write_table(pd.DataFrame(rows), folder / "cases.csv", RAW_CASES)
    outputs = ["--work", folder / "store", "--quarantine", folder / "quarantine.tsv", "--output", folder / "volumes.parquet"]
    common = ["preprocess_shard.py", "--config", folder / "config.yaml", "--source", "made", "--cases", folder / "cases.csv"]
    return [*common, "--shard", "0", "--workers", "2", *outputs]


def merge_volumes(point: Point, config: Config, folder: Path) -> Command:
    """See ``scripts/merge_volumes.py``."""
    volumes, refused = made.write_volumes(folder, point.count), folder / "quarantine.tsv"
    limits = ["--max-quarantined", "0.1", "--tolerated", "4"]
    outputs = ["--output", folder / "merged.parquet", "--quarantine", folder / "merged.tsv"]
    return ["merge_volumes.py", "--shards", volumes, "--quarantines", refused, *limits, *outputs]


def assign_folds(point: Point, config: Config, folder: Path) -> Command:
    """See ``scripts/assign_folds.py``."""
    volumes, folds = made.write_volumes(folder, point.count), range(config.cohort.folds)
    tables = [folder / f"fold{fold}" / "cases.parquet" for fold in folds]
    inputs = ["--config", folder / "config.yaml", "--volumes", volumes, "--quarantines", folder / "quarantine.tsv"]
    outputs = [[f"--{name}", folder / f"out.{name}.csv"] for name in ("duplicates", "overlaps")]
    cases = ["--cases", folder / "cases.parquet", "--quarantine", folder / "out.tsv"]
    return ["assign_folds.py", *inputs, *cases, *joined(outputs), "--fold-tables", *tables]


def merge_manifests(point: Point, config: Config, folder: Path) -> Command:
    """See ``scripts/merge_manifests.py``."""
    return ["merge_manifests.py", "--shards", *made.write_manifests(folder, point.count), "--manifest", folder / "all.parquet"]


def read_scores(point: Point, config: Config, folder: Path) -> Command:
    """See ``scripts/merge_scores.py``, which takes most of the jobs that read the scores of all trainings."""
    trainings = config.recognition
    tables = made.write_scores(folder, point.count, config.cohort.folds, trainings.arms, trainings.seeds)
    inputs = joined([f"--{name}", *paths] for name, paths in tables.items())
    outputs = ["--output", folder / "cases.parquet", "--selections", folder / "selections.csv"]
    outputs += joined([f"--{name}-output", folder / f"{name}.parquet"] for name in tables if name != "scores")
    return ["merge_scores.py", "--config", folder / "config.yaml", *inputs, *outputs]


def export_volumes(point: Point, config: Config, folder: Path) -> Command:
    """See ``scripts/export_nnunet.py``, on a bank that was painted just before."""
    cases, bank = write_cases(point, config, folder), folder / "bank"
    shards.synthesize_shard(config, "made", 0, 0, cases, bank / "shard0.parquet")
    manifests.merge_manifests([bank / "shard0.parquet"], bank / "manifest.parquet")
    inputs = ["--config", folder / "config.yaml", "--fold", "0", "--synthesizer", "made", "--cases", cases]
    return ["export_nnunet.py", *inputs, "--manifest", bank / "manifest.parquet", "--output", folder / "nnunet" / "exports.csv"]


COMMANDS: dict[str, Callable[[Point, Config, Path], Command]] = {
    function.__name__: function
    for function in (
        train_segmenter,
        train_synthesizer,
        train_recognizer,
        synthesize_shard,
        predict,
        score_cases,
        preprocess_shard,
        merge_volumes,
        assign_folds,
        merge_manifests,
        read_scores,
        export_volumes,
    )
}
