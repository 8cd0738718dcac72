"""The two trainings of the synthesizer stage: the baseline segmenter, and a generator."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freetumor.core.config import Config, Training
from freetumor.core.device import Device
from freetumor.core.errors import UserError
from freetumor.core.job import run_training
from freetumor.core.optimization import Trainable, with_steps
from freetumor.core.seeding import derive_seed
from freetumor.core.tables import FOLD_CASES, read_table

from .adversarial import AdversarialTraining
from .assembly import load_segmenter, segmenter_network
from .cases import open_cases
from .diffusion_training import DiffusionTraining
from .gan import GanTraining, seen_apart, training_images
from .regions import open_regions
from .segmentation import RealBatches, SegmentationTraining


def train_segmenter(config: Config, fold: int, cases: Path, weights: Path, history: Path, sidecar: Path) -> None:
    """Train the baseline segmenter of a fold on its real labeled cases.

    Args:
        config: the study.
        fold: the fold, part of the seed key.
        cases: the fold table.
        weights: output, safetensors.
        history: output, table of losses.
        sidecar: folder of the resumable checkpoints.
    """
    table = read_table(cases, FOLD_CASES)
    key = (config.seed, "segmenter", fold)
    settings = config.segmenter

    def build(device: Device) -> SegmentationTraining:
        network = segmenter_network(settings.network, config, derive_seed(*key, "weights"))
        batches = RealBatches(open_cases(table, config, "train"), config.working.patch, *key)
        return SegmentationTraining(
            network, settings.training, batches, open_cases(table, config, "validation"), config, device
        )

    identity = {
        "settings": settings.model_dump(mode="json"),
        "preset": config.working.model_dump(mode="json"),
        "seed": config.seed,
        "fold": fold,
    }
    run_training(
        f"segmenter fold {fold}",
        config,
        settings.training,
        [cases],
        identity,
        build,
        lambda training: {"segmenter": training.kept},
        {"segmenter": weights},
        history,
        sidecar,
    )


def train_synthesizer(
    config: Config, name: str, fold: int, cases: Path, segmenter: Path | None, weights: Path, history: Path, sidecar: Path
) -> None:
    """Train the generator of synthesizer ``name`` on the training side of a fold.

    Args:
        config: the study.
        name: key of ``synthesizers``.
        fold: the fold, part of the seed key.
        cases: the fold table.
        segmenter: weights of the frozen segmenter, if the painter is trained against it.
        weights: output: what paints; networks that only taught it, such as a discriminator, are written beside it.
        history: output, table of losses.
        sidecar: folder of the resumable checkpoints.

    Raises:
        UserError: if the synthesizer has nothing to train, or the training cases do not suit it.
    """
    settings = config.synthesizers[name]
    if not settings.trained:
        raise UserError(f"synthesizers.{name}: the painter '{settings.painter.kind}' has no weights to train")
    if settings.taught and segmenter is None:
        raise UserError(f"synthesizers.{name}: is trained against the segmenter, whose weights are missing")
    job = _JOBS[settings.painter.kind](config, name, fold, cases, segmenter)
    identity = {
        "settings": settings.model_dump(mode="json"),
        "preset": config.working.model_dump(mode="json"),
        "seed": config.seed,
        "fold": fold,
        "categories": config.categories,
    }
    run_training(
        f"synthesizer {name} fold {fold}",
        config,
        job.training,
        [path for path in (cases, segmenter) if path is not None],
        identity,
        job.build,
        job.networks,
        {"generator": weights} | {network: weights.with_name(f"{network}.safetensors") for network in job.beside},
        history,
        sidecar,
    )


@dataclass(frozen=True)
class Job:
    """What a kind of painter brings to :func:`freetumor.core.job.run_training`.

    Attributes:
        training: the optimization.
        build: makes the trainable on a device.
        networks: the states to write: ``generator``, what paints, and those of ``beside``.
        beside: networks that taught the generator.
    """

    training: Training
    build: Callable[[Device], Trainable]
    networks: Callable[[Any], dict[str, dict]]
    beside: tuple[str, ...] = ()


def _against_segmenter(config: Config, name: str, fold: int, cases: Path, segmenter: Path) -> Job:
    """A difference that the segmenter takes for a tumor, learned from the labeled and the pool cases."""
    table = read_table(cases, FOLD_CASES)

    def build(device: Device) -> AdversarialTraining:
        judge = load_segmenter(segmenter, config.segmenter.network, config, device.torch)
        labeled, pool = open_cases(table, config, "train"), open_cases(table, config, "pool")
        if not any(case.organs for case in labeled):
            raise UserError(f"{cases}: no labeled training case has an organ to paint into")
        return AdversarialTraining(name, fold, config, judge, labeled, pool, device)

    def networks(training: AdversarialTraining) -> dict[str, dict]:
        return {"generator": training.generator.state_dict(), "discriminator": training.discriminator.state_dict()}

    return Job(config.synthesizers[name].painter.training, build, networks, ("discriminator",))


def _of_whole_images(config: Config, name: str, fold: int, cases: Path, _: Path | None) -> Job:
    """Whole images of each category, learned from the training regions and a group of classically augmented ones."""
    painter = config.synthesizers[name].painter
    regions = open_regions(read_table(cases, FOLD_CASES), config, "train")
    missing = [category for index, category in enumerate(config.categories) if all(r.category != index for r in regions)]
    if missing:
        raise UserError(f"{cases}: no training case is a '{missing[0]}', one of categories")

    def build(device: Device) -> GanTraining:
        images, categories = training_images(regions, painter.group, config)
        return GanTraining(painter, config, images, categories, device, config.seed, "synthesizer", name, fold)

    def networks(training: GanTraining) -> dict[str, dict]:
        return {"generator": training.generator_state(), "discriminator": training.discriminator_state()}

    samples = (len(regions) + painter.group) // seen_apart(painter.kind, len(config.categories))
    return Job(with_steps(painter.training, samples), build, networks, ("discriminator",))


def _of_latents(config: Config, name: str, fold: int, cases: Path, _: Path | None) -> Job:
    """A latent diffusion of the annotated tumors; its autoencoder also learns from the pool."""
    table = read_table(cases, FOLD_CASES)
    phases = config.synthesizers[name].painter.diffusion

    def build(device: Device) -> DiffusionTraining:
        labeled, pool, validation = (open_cases(table, config, part) for part in ("train", "pool", "validation"))
        if not any(case.tumors for case in labeled):
            raise UserError(f"{cases}: no labeled training case has a tumor to learn from")
        return DiffusionTraining(name, fold, config, labeled, pool, validation, device)

    steps = phases.autoencoder.training.steps + phases.denoiser.training.steps
    training = phases.denoiser.training.model_copy(update={"steps": steps})
    return Job(training, build, lambda training: {"generator": training.painter_state()})


_JOBS: dict[str, Callable[..., Job]] = {
    "difference": _against_segmenter,
    "diffusion": _of_latents,
    "dcgan": _of_whole_images,
    "acgan": _of_whole_images,
}
