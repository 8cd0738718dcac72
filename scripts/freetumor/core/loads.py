"""What jobs take by the measured costs, before any margin: memory and processor time of what many jobs have in common.

Memory is in MB, time in core-seconds, voxels in 10^6. All constants are rows of ``costs.csv``.
"""

import math
from dataclasses import dataclass, replace

from .config import Config, Synthesizer
from .known_costs import costs
from .network_sizes import Size, generator_sizes, segmenter_size
from .scans import Scans

FLOAT = 4  # bytes
OPEN = 1000  # cases that stay open, as in synthesizer.cases
WINDOW = 64  # least window of a prediction in voxels, as in synthesizer.inference
WHOLE = 1.5  # 10^6 voxels: a volume up to this is predicted in one pass, as there
ROUNDED = 1.3  # what rounding its sides up adds to a volume


@dataclass(frozen=True)
class Load:
    """What a job takes.

    Attributes:
        megabytes: the most that its processes hold, without what networks compute.
        computed: MB of what networks compute; on a GPU that lies there.
        seconds: core-seconds; not known of a GPU.
    """

    megabytes: float = 0.0
    computed: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: "Load") -> "Load":
        """Both at once."""
        return Load(self.megabytes + other.megabytes, self.computed + other.computed, self.seconds + other.seconds)

    def repeated(self, times: float) -> "Load":
        """One after the other: the memory of one, the time of all."""
        return replace(self, seconds=self.seconds * times)

    def in_each(self, processes: int) -> "Load":
        """In each of some processes that share the work: the memory of all, the time of one."""
        return replace(self, megabytes=self.megabytes * processes, computed=self.computed * processes)


def memory_of(what: str) -> float:
    """A row of the stage ``memory``."""
    return costs()["memory", what]


def start(what: str = "tables", gpu: bool = False) -> Load:
    """Imports, and a first small piece of work, of a job on `tables`, `painting`, `prediction` or `training`."""
    libraries = memory_of("libraries of a GPU") if gpu else 0.0
    return Load(memory_of(f"start of {what}") + libraries, seconds=costs()["jobs", "start"])


def patch_voxels(config: Config) -> float:
    """Voxels of a patch."""
    return math.prod(config.working.patch) / 1e6


def classes_of(config: Config) -> int:
    """Outputs of a segmentation or classification network of a study."""
    return len(config.categories) if config.task == "classification" else 1 + 2 * len(config.organs)


def weights_mb(*sizes: Size) -> float:
    """Weights of networks, once."""
    return sum(size.parameters for size in sizes) * FLOAT / 1e6


def pass_seconds(size: Size) -> float:
    """Core-seconds per 10^6 voxels of a forward pass."""
    known = costs()
    seconds = (
        size.values * known["training", "value that is kept of a pass"]
        + size.operations * known["training", "multiplication of a pass"]
    )
    return seconds * size.slowness / 3  # the way back takes about twice as long as the way there


def opened(cases: float, rows: int, used: float = 0.0) -> Load:
    """A fold table that is read, and those of its cases that are opened.

    Args:
        cases: cases that are opened, to see what they show.
        rows: rows of the table.
        used: those whose voxels and places are looked at: the last of them stay open.
    """
    open_still = min(used, OPEN)
    each = memory_of("opened case") * cases + memory_of("row of a fold") * rows + memory_of("used case") * open_still
    return Load(each / 1e3, seconds=costs()["jobs", "opening a case"] * cases)


def prediction(config: Config, size: Size, stored: float, overlap: float, mean: float | None = None) -> Load:
    """Class probabilities of one stored volume by sliding window; see ``synthesizer.inference``.

    Args:
        config: the study.
        size: of the network.
        stored: voxels of the largest volume, which decides on the memory.
        overlap: of neighboring windows.
        mean: voxels of the mean volume, which decides on the time; the same if not given.
    """
    classes, mean = classes_of(config), stored if mean is None else mean
    window = math.prod(max(WINDOW, length) for length in config.working.patch) / 1e6
    seen = min(stored * ROUNDED, WHOLE) if stored <= WHOLE else max(window, WHOLE)  # among larger scans may be smaller ones
    held = stored * (memory_of("predicted voxel") + memory_of("class of a predicted voxel") * classes)
    work = seen * FLOAT * size.values * memory_of("value of a prediction")
    passes = max(mean, min(window, WHOLE)) / (1 - overlap) ** 3
    return Load(held, work, passes * pass_seconds(size) + mean * costs()["jobs", "predicted voxel"])


def painting_networks(config: Config, settings: Synthesizer) -> list[Size]:
    """The networks that a synthesizer paints and judges with."""
    found = []
    if settings.trained:
        made, taught = generator_sizes(settings.painter, config)
        found.append(made)
        if settings.painter.kind == "diffusion" or settings.gate.asks("discriminator"):
            found.append(taught)
    return [*found, segmenter_size(config.segmenter.network, config)] if settings.judged else found


def draw(config: Config, settings: Synthesizer) -> Load:
    """One attempt at a lesion, without what is held of the others of its case."""
    known, kind = costs(), settings.painter.kind
    seconds = known["jobs", "growing a lesion"] if settings.shape.kind == "automaton" else known["synthesis", "constant"]
    voxels = patch_voxels(config)
    networks = painting_networks(config, settings)
    if not networks:
        return Load(seconds=seconds)
    values = max(size.values for size in networks) * memory_of("value of a prediction")
    if kind == "diffusion":
        coder, denoiser = networks[:2]
        steps = settings.painter.diffusion.late_steps
        passes = 3 * pass_seconds(coder) + steps * pass_seconds(denoiser) + sum(map(pass_seconds, networks[2:]))
    else:
        passes = sum(map(pass_seconds, networks))
    seconds += voxels * (passes + known["jobs", "painted voxel"])
    return Load(voxels * memory_of("painted voxel"), voxels * FLOAT * values, seconds)


def attempts_of(settings: Synthesizer) -> int:
    """Draws of a lesion that is refused again and again."""
    return 1 if settings.gate.kind == "none" or settings.has("recall_gate") else settings.gate.attempts


def images_mb(count: float, config: Config) -> float:
    """MB of so many images of a classification."""
    return count * patch_voxels(config) * FLOAT * memory_of("copies of an image")


def fold_load(scans: Scans, *parts: str, used: float = math.inf) -> Load:
    """A fold table, and the cases of some parts of it opened, of which at most ``used`` are looked at."""
    cases = sum(getattr(scans, part) for part in parts)
    return opened(cases, scans.count, min(cases, used))
