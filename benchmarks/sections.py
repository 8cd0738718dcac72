"""What is timed: each section does the same work on the library's side and on a reference's, in turn, with the same seeds."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import nibabel
import numpy as np

from freetumor.core.seeding import generator
from freetumor.synthesis.shards import FoldSynthesizer

from . import library
from .canvases import GRIDS, LIVER_MM, Canvas, CanvasFiles, make_canvas, write_canvas
from .measure import Sample, Stages, run_worker, timed
from .references import difftumor, freetumor, pixel2cancer
from .references.syntumor import SIZES, SynTumor, bounding_box, random_count

SEED = 1
VARIANTS = 4  # painted versions of a volume, where more than one is written


@dataclass
class Setting:
    """One canvas with what references and library need to paint on it.

    Attributes:
        name: key of ``GRIDS``.
        folder: for files; may be deleted afterwards.
        samples: what was timed.
    """

    name: str
    folder: Path
    samples: list[Sample] = field(default_factory=list)

    @cached_property
    def canvas(self) -> Canvas:
        """The volume."""
        return make_canvas(self.name, SEED)

    @cached_property
    def files(self) -> CanvasFiles:
        """The volume as files."""
        return write_canvas(self.canvas, self.folder / "canvas")

    @cached_property
    def donor(self) -> CanvasFiles:
        """The canvas with tumors painted by the reference, as files: a donor of real lesions."""
        image, label = (array.copy() for array in self.file_order)
        for size in ("small", "medium"):
            self.syntumor(image, label, size, 3, generator(SEED, "donor", size))
        image, label = np.rint(image).astype(np.int16).transpose(2, 1, 0), label.transpose(2, 1, 0)
        canvas = Canvas(self.name, GRIDS[self.name], np.ascontiguousarray(image), np.ascontiguousarray(label))
        return write_canvas(canvas, self.folder / "donor", "train")

    @cached_property
    def file_order(self) -> tuple[np.ndarray, np.ndarray]:
        """Image in float32 and label, (x, y, z), as a loader hands them over."""
        image, label = (array.transpose(2, 1, 0) for array in (self.canvas.image, self.canvas.label))
        return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(label)

    @cached_property
    def syntumor(self) -> SynTumor:
        """The reference, with one start-up texture that is as large as this organ needs."""
        box = bounding_box(self.file_order[1] == 1)
        return SynTumor(tuple(side.stop - side.start + 16 for side in box), generator(SEED, "texture", self.name))

    def counts(self, repeats: int) -> Iterator[tuple[int, str, int]]:
        """Repetition, size class and number of tumors; repetition -1, whose timings are not kept, fills the caches."""
        for repeat in range(-1, repeats):
            for size in SIZES:
                yield repeat, size, random_count(size, generator(SEED, "count", size, repeat)) if repeat >= 0 else 1

    def add(self, section: str, side: str, kind: str, repeat: int, seconds: float, **facts: object) -> None:
        """Keep a timing, unless it was to warm up."""
        if repeat >= 0:
            self.samples.append(Sample(section, side, self.name, kind, repeat, seconds, **facts))

    def release(self) -> None:
        """Give the memory back; the timings stay."""
        for name in ("canvas", "file_order", "syntumor"):
            self.__dict__.pop(name, None)


def in_turn(repeat: int, *sides: Callable[[], None]) -> None:
    """Run all sides; which one goes first changes from repetition to repetition."""
    for side in sides if repeat % 2 == 0 else reversed(sides):
        side()


def time_procedural(setting: Setting, repeats: int) -> None:
    """Paint a volume that is in memory: SynTumor against the procedural synthesizer. The first round only warms up."""
    image, label = setting.file_order
    paint, grid = setting.syntumor, setting.canvas.grid
    for repeat, size, count in setting.counts(repeats):

        def reference(repeat: int = repeat, size: str = size, count: int = count) -> None:
            target, mask = image.copy(), label.copy()
            seconds, _ = timed(lambda: paint(target, mask, size, count, generator(SEED, "reference", size, repeat)))
            setting.add("procedural", "reference", size, repeat, seconds, wanted=count, painted=count)

        def own(repeat: int = repeat, size: str = size, count: int = count) -> None:
            synthesizer = library.build(library.study(library.PROCEDURAL, grid, size, count), setting.folder)
            case = library.case_in_memory(setting.files, setting.canvas)
            seconds, painted = timed(lambda: library.paint_in_memory(synthesizer, case, count, SEED, "own", size, repeat))
            setting.add("procedural", "library", size, repeat, seconds, wanted=count, painted=painted)

        in_turn(repeat, reference, own)


def time_bank(setting: Setting, name: str, repeats: int) -> None:
    """Paint a stored volume into the bank with a synthesizer without networks, and touch what it had to touch.

    Beside the procedural synthesizer, SynTumor paints the same volume from ``.nii.gz`` to ``.nii.gz``, and so does the library.
    """
    section, donors = f"bank_{name}", [setting.donor] if name == library.COPY_PASTE else []
    for repeat, size, count in setting.counts(repeats):
        config = library.study(name, setting.canvas.grid, size, count).model_copy(update={"seed": repeat})
        painter = FoldSynthesizer(config, library.build(config, setting.folder, donors), name, 0)
        sides = [partial(_time_own_bank, setting, section, painter, size, repeat, count)]
        if name == library.PROCEDURAL and repeat >= 0:
            files = library.NiftiPainter(config, painter.synthesizer)
            sides += [
                partial(_time_whole_files, setting, section, size, repeat, count),
                partial(_time_own_files, setting, "nifti", 1, files, size, repeat, count),
                partial(_time_own_files, setting, "nifti_variants", VARIANTS, files, size, repeat, count),
            ]
        in_turn(repeat, *sides)


def _time_own_bank(setting: Setting, section: str, painter: FoldSynthesizer, size: str, repeat: int, count: int) -> None:
    """From the store to the bank; then the floor of it, and once more with a look at its stages."""
    pack, stages = setting.folder / "own.pack", Stages()
    seconds, banked = timed(lambda: library.bank_volume(painter, setting.files, pack))
    facts = {"wanted": count, "painted": len(banked.lesions)}
    setting.add(section, "library", size, repeat, seconds, **facts)
    floor, _ = timed(lambda: library.touch_volume(setting.files, banked, setting.folder / "floor.pack"))
    setting.add(section, "floor", size, repeat, floor, **facts)
    with library.watched(stages, painter.synthesizer):
        seconds, _ = timed(lambda: library.bank_volume(painter, setting.files, pack))
    setting.add(section, "stages", size, repeat, seconds, **facts, stages=dict(stages.seconds))


def _time_whole_files(setting: Setting, section: str, size: str, repeat: int, count: int) -> None:
    seconds, _ = timed(lambda: whole_files(setting, size, count, repeat))
    setting.add(section, "reference", size, repeat, seconds, wanted=count, painted=count)


def _time_own_files(
    setting: Setting, section: str, variants: int, paint: library.NiftiPainter, size: str, repeat: int, count: int
) -> None:
    key = (SEED, section, size, repeat)
    seconds, painted = timed(lambda: paint(setting.files, setting.folder, count, variants, *key))
    setting.add(section, "library", size, repeat, seconds / variants, wanted=count, painted=painted / variants)


def whole_files(setting: Setting, size: str, count: int, repeat: int) -> None:
    """Read a pair of ``.nii.gz``, paint by SynTumor, write a pair."""
    loaded = [nibabel.load(path) for path in (setting.files.nifti_image, setting.files.nifti_label)]
    image, label = loaded[0].get_fdata(dtype=np.float32), np.asarray(loaded[1].dataobj).copy()
    setting.syntumor(image, label, size, count, generator(SEED, "reference", size, repeat))
    for array, kind in ((np.rint(image).astype(np.int16), "image"), (label, "label")):
        nibabel.save(nibabel.Nifti1Image(array, loaded[0].affine), setting.folder / f"reference_{kind}.nii.gz")


def time_automaton(setting: Setting, repeats: int) -> None:
    """Grow a tumor in a volume in memory by Pixel2Cancer's rule, for each quarter of its range of steps."""
    image, label = setting.file_order
    for repeat in range(repeats):
        for steps in pixel2cancer.QUARTERS:
            target, mask = image.copy(), label.copy()
            rng = generator(SEED, "pixel2cancer", repeat, steps)
            texture = setting.syntumor.textures[0]
            seconds, _ = timed(partial(pixel2cancer.paint, target, mask, texture, steps, rng))
            setting.add(f"bank_{library.AUTOMATON}", "published", f"{steps} steps", repeat, seconds)


def window_painter(setting: Setting, name: str, window: int) -> Callable[[int], None]:
    """What times, per repetition, one lesion painted and judged in one window by a synthesizer with networks.

    With random weights, a refusal is as good as an acceptance. Stages are taken along: they cost nothing beside networks.
    """
    size = "tiny" if name == library.DIFFUSION else "small"
    synthesizer = library.build(library.study(name, setting.canvas.grid, size, window=window), setting.folder)
    case = library.open_case(setting.files)

    def paint(repeat: int) -> None:
        stages = Stages()
        with library.watched(stages, synthesizer):
            seconds, _ = timed(lambda: synthesizer.make(case, library.ORGAN, generator(SEED, name, repeat)))
        setting.add(name, "library", "window", repeat, seconds, stages=dict(stages.seconds))

    if name != library.PAPER:  # the first call of a small network is not typical; of a large one it is
        paint(-1)
    return paint


def time_freetumor(setting: Setting, names: list[str], repeats: int, window: int) -> None:
    """FreeTumor's offline script by one window of its two networks, and the library with each of ``names``."""
    networks = dict(zip(("generator", "judge"), freetumor.networks(), strict=True))
    image, label = setting.file_order
    box = bounding_box(label == 1)
    change = generator(SEED, "change").standard_normal(tuple(side.stop - side.start for side in box), np.float32)
    step = partial(freetumor.synthesis_step, image, label, setting.syntumor.textures[0], "small", change)
    count = freetumor.windows(LIVER_MM)
    painters = {name: window_painter(setting, name, window) for name in names}
    for repeat in range(repeats):
        parts = {name: timed(partial(freetumor.run_window, network, window))[0] for name, network in networks.items()}
        parts["step"] = timed(partial(step, generator(SEED, "step", repeat)))[0]
        total = count * (parts["generator"] + parts["judge"]) + parts["step"]
        for name, paint in painters.items():
            setting.add(name, "reference", f"{count} windows of {window}", repeat, total, stages=parts)
            if name == library.PAPER:
                setting.add(name, "floor", "window", repeat, parts["generator"] + parts["judge"])
            paint(repeat)


def time_diffusion(setting: Setting, repeats: int, window: int) -> None:
    """DiffTumor's early path on one patch, and the library's diffusion painter on an early lesion."""
    published, own = difftumor.EarlyPainter(), window_painter(setting, library.DIFFUSION, window)
    patch = np.zeros((window,) * 3, np.float32)
    mask = np.zeros(patch.shape, bool)
    mask[tuple(slice(length // 2 - 4, length // 2 + 4) for length in patch.shape)] = True
    for repeat in range(repeats):
        seconds, _ = timed(partial(published, patch, mask, generator(SEED, "early", repeat)))
        setting.add(library.DIFFUSION, "reference", f"patch of {window}", repeat, seconds)
        own(repeat)


def measure_memory(setting: Setting, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Memory in MB of a worker per synthesizer, each in a process of its own."""
    setting.files.write(setting.folder / "canvas.json")
    setting.donor.write(setting.folder / "donor.json")
    files = [str(setting.folder / f"{kind}.json") for kind in ("canvas", "donor")]
    work = setting.folder / "worker"
    return {f"{name} {setting.name}": json.loads(run_worker(name, setting.name, *files, str(work))) for name in names}
