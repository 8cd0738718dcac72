"""What the stages of a study will take, computed from a small table of measured and assumed costs (``costs.csv``)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from freetumor.core.config import Config
from freetumor.core.known_costs import cost_rows, costs
from freetumor.core.loads import Load
from freetumor.core.progress import format_duration
from freetumor.core.scans import Scans
from freetumor.core.training_loads import recognizer_training, segmentation_training, synthesizer_training

TRAININGS = ("synthesizer", "recognition")


@dataclass(frozen=True)
class Stage:
    """An estimate.

    Attributes:
        name: of the stage.
        work: what is done, in words.
        gigabytes: disk that is added (10^9 bytes).
        seconds: core-seconds, or seconds of a transfer; ``None``: not measured.
    """

    name: str
    work: str
    gigabytes: float = 0.0
    seconds: float | None = None


def assumptions(plan: Sequence["Stage"]) -> list[str]:
    """The costs that the estimates of a plan rest on, in words."""
    measured = {"training" if stage.name in TRAININGS else stage.name for stage in plan if stage.seconds is not None}
    rows = [row for row in cost_rows() if row["stage"] in measured]
    return [f"{row['stage']}: {row['what']}, {row['value']} {row['unit']} ({row['origin']})" for row in rows]


def stages(config: Config, volumes: int, pool: int, fetch: float, unpacked: float, rate: float) -> list[Stage]:
    """Estimates of all stages that can take long.

    Args:
        config: the study.
        volumes: scans that are not made in code.
        pool: scans that can be painted on.
        fetch: 10^9 bytes still to be fetched.
        unpacked: 10^9 bytes that unpacking adds.
        rate: 10^6 bytes per second of the connection.
    """
    found = [Stage("download", f"{fetch:.1f} GB to fetch", fetch + unpacked, fetch * 1e3 / rate)] if fetch else []
    if volumes and config.working.form == "volume":
        found.append(_preprocessing(config, volumes))
    return [*found, *_trainings(config), *_banks(config, pool), *_recognizers(config)]


def _preprocessing(config: Config, volumes: int) -> Stage:
    kept, seconds = per_volume(math.prod(config.working.spacing))
    return Stage("preprocessing", f"{volumes} scans", volumes * kept, volumes * seconds)


def per_volume(voxel: float) -> tuple[float, float]:
    """What storing a scan takes.

    Args:
        voxel: volume of a stored voxel in mm³.

    Returns:
        10^9 bytes, and core-seconds.
    """
    known = costs()
    bytes_kept = known["preprocessing", "part of a scan that is kept"] * 1e6 / voxel * known["preprocessing", "stored array"]
    seconds = known["preprocessing", "size of a scan"] * known["preprocessing", "reading and checking"]
    return bytes_kept / 1e9, seconds


def _trainings(config: Config) -> list[Stage]:
    loads = [_segmenter(config)] if config.needs_segmenter else []
    loads += [synthesizer_training(config, name, Scans()) for name in config.trainings_of_synthesizers]
    return [_training(TRAININGS[0], loads * len(config.folds), config)] if loads else []


def _segmenter(config: Config) -> Load:
    return segmentation_training(config, config.segmenter.network, config.segmenter.training, Scans(), 0)


def _recognizers(config: Config) -> list[Stage]:
    arms = [config.arms[name] for name in config.recognition.arms]
    loads = [recognizer_training(config, arm, Scans()) for arm in arms]
    return [_training(TRAININGS[1], loads * len(config.folds) * len(config.recognition.seeds), config)]


def _training(name: str, loads: Sequence[Load], config: Config) -> Stage:
    """Trainings, without their validation, which depends on the scans; not measured on a GPU."""
    seconds = None if config.compute.device == "cuda" else sum(load.seconds for load in loads)
    return Stage(name, f"{len(loads)} trainings", 0.0, seconds)


def _banks(config: Config, pool: int) -> list[Stage]:
    if not config.banks or config.task != "segmentation":
        return []
    known = costs()
    lesions = pool * config.synthesis.lesions_per_case * len(config.folds)
    times = [known.get(("synthesis", config.synthesizers[name].painter.kind)) for name in config.banks]
    seconds = None if None in times or config.compute.device == "cuda" else lesions * sum(times)
    total = lesions * len(config.banks)
    return [Stage("synthesis", f"{total} lesions", total * known["synthesis", "bank"] / 1e9, seconds)]


def duration(stage: Stage) -> str:
    """Time of a stage in words."""
    if stage.seconds is None:
        return "not measured"
    text = f"{stage.seconds / 86400:.1f} days" if stage.seconds > 2 * 86400 else format_duration(stage.seconds)
    return text if stage.name == "download" else f"{text} of one core"
