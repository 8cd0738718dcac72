"""What each job asks its scheduler for: memory and a time limit, from the configuration and the scans of a study.

The measured cost of a job (``loads``) with a margin, and never less than a small job of its kind takes. Nothing was measured on
a GPU: there no training, painting or prediction asks for less than 8 GB, nor for another time than a day or four hours. This
module is read by the Snakefile and imports nothing heavy.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from . import scan_loads as scan
from .config import Config
from .known_costs import costs
from .loads import Load
from .scans import Scans
from .training_loads import recognizer_training, segmentation_training, synthesizer_training

LEAST_MB, STEP_MB = 1000, 100
LEAST_MINUTES, STEP_MINUTES = 30, 10
MOST_MINUTES = 7 * 1440  # what is cut off goes on from its checkpoint, or from the scans or lesions that it has finished
MARGIN, TIME_MARGIN = 1.4, 5
GPU_MB, GPU_MINUTES = 8000, {True: 1440, False: 240}  # on a GPU, where nothing was measured: of trainings, of others
Names = Mapping[str, str]


@dataclass(frozen=True)
class Need:
    """What a job asks for: MB of memory, and minutes."""

    memory_mb: int
    minutes: int


@dataclass(frozen=True)
class Study:
    """What the needs of the jobs of a study are computed from.

    Attributes:
        config: the study.
        fold: scans of a fold, by its number.
        source: scans of a source, by its name.
    """

    config: Config
    fold: Callable[[int], Scans]
    source: Callable[[str], Scans]

    @property
    def cases(self) -> int:
        """Scans of all sources."""
        return sum(self.source(source.name).count for source in self.config.sources)

    @property
    def canvases(self) -> int:
        """Scans that are painted on, of the largest fold."""
        return max(scans.train + scans.pool for scans in map(self.fold, self.config.folds))

    @property
    def lesions(self) -> int:
        """Rows of the manifest of a bank."""
        return self.canvases * self.config.synthesis.lesions_per_case

    @property
    def score_rows(self) -> float:
        """Rows of the scores of all trainings."""
        tested = sum(scans.test + scans.validation for scans in map(self.fold, self.config.folds))
        return scan.score_rows(self.config, tested)


def _segmenter(study: Study, names: Names) -> Load:
    scans, settings = study.fold(int(names["fold"])), study.config.segmenter
    opens = scans.train + scans.validation
    return segmentation_training(study.config, settings.network, settings.training, scans, opens)


def _recognizer(study: Study, names: Names) -> Load:
    return recognizer_training(study.config, study.config.arms[names["arm"]], study.fold(int(names["fold"])))


def _of_scores(study: Study, _: Names) -> Load:
    return scan.tables(study.cases, study.score_rows)


def _of_cases(study: Study, _: Names) -> Load:
    return scan.tables(study.cases)


def _of_banks(study: Study, _: Names) -> Load:
    banks = len(study.config.banks)
    return scan.tables(study.cases, lesions=study.lesions * banks * len(study.config.folds))


def _of_fold(study: Study, names: Names) -> Load:
    return scan.measuring(study.config, study.fold(int(names.get("fold", study.config.folds[0]))))


LOADS: dict[str, Callable[[Study, Names], Load]] = {
    "preprocess_shard": lambda study, names: scan.preprocessing(
        study.config, study.config.source(names["source"]), study.source(names["source"])
    ),
    "merge_volumes": lambda study, names: scan.tables(study.source(names["source"]).count),
    "assign_folds": lambda study, names: scan.dividing(study.cases),
    "train_segmenter": _segmenter,
    "train_synthesizer": lambda study, names: synthesizer_training(
        study.config, names["synthesizer"], study.fold(int(names["fold"]))
    ),
    "synthesize_shard": lambda study, names: scan.painting(study.config, names["synthesizer"], study.fold(int(names["fold"]))),
    "merge_manifests": lambda study, names: scan.tables(0, lesions=study.lesions),
    "export_volumes": lambda study, names: scan.exporting(study.config, study.fold(int(names["fold"]))),
    "train_recognizer": _recognizer,
    "predict": lambda study, names: scan.predicting(study.config, study.fold(int(names["fold"]))),
    "score_cases": lambda study, names: scan.scoring(study.config, study.fold(int(names["fold"]))),
    "read_scores": _of_scores,
    "read_cases": _of_cases,
    "read_banks": _of_banks,
    "read_fold": _of_fold,
}

PAINTED, TRAINED = ("synthesize_shard", "predict"), ("train_segmenter", "train_synthesizer", "train_recognizer")


def need_of(kind: str, study: Study, names: Names) -> Need:
    """What a job asks for.

    Args:
        kind: of the job, a key of :data:`LOADS`.
        study: the study.
        names: what tells the job from others of its kind, such as ``{"fold": "0", "arm": "real"}``.
    """
    load = LOADS[kind](study, names)
    on_gpu = study.config.compute.device == "cuda" and kind in (*TRAINED, *PAINTED)
    megabytes = MARGIN * (load.megabytes + (0.0 if on_gpu else load.computed)) + costs()["memory", "Snakemake itself"]
    if on_gpu:
        return Need(_rounded(max(megabytes, GPU_MB), STEP_MB), GPU_MINUTES[kind in TRAINED])
    minutes = min(max(TIME_MARGIN * load.seconds / 60, LEAST_MINUTES), MOST_MINUTES)
    return Need(_rounded(max(megabytes, LEAST_MB), STEP_MB), _rounded(minutes, STEP_MINUTES))


def _rounded(value: float, step: int) -> int:
    """Up to the next multiple of a step."""
    return math.ceil(value / step) * step


def jobs_of(study: Study) -> Iterator[tuple[str, Names, Need]]:
    """Every job whose needs grow with the study: its kind, what tells it from others of its kind, and its need."""
    config = study.config
    names: dict[str, list[Names]] = {
        "preprocess_shard": [{"source": source.name} for source in config.sources],
        "merge_volumes": [{"source": source.name} for source in config.sources],
        "assign_folds": [{}],
        "train_segmenter": [{}] if config.needs_segmenter else [],
        "train_synthesizer": [{"synthesizer": name} for name in config.trainings_of_synthesizers],
        "synthesize_shard": [{"synthesizer": name} for name in config.banks],
        "merge_manifests": [{}] if config.banks else [],
        "train_recognizer": [{"arm": arm} for arm in config.recognition.arms],
        "predict": [{}],
        "score_cases": [{}],
        "read_scores": [{}],
        "read_banks": [{}] if config.banks else [],
        "read_fold": [{}] if config.banks else [],
    }
    first = {"fold": str(config.folds[0])}  # folds are alike
    for kind, jobs in names.items():
        yield from ((kind, job, need_of(kind, study, first | job)) for job in jobs)
