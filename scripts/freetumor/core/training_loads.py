"""What trainings take by the measured costs, before any margin; see ``loads``."""

import math
from collections.abc import Sequence

from .config import Arm, Config, Network, Synthesizer, Training
from .known_costs import costs
from .loads import (
    FLOAT,
    Load,
    attempts_of,
    classes_of,
    draw,
    fold_load,
    images_mb,
    memory_of,
    opened,
    painting_networks,
    pass_seconds,
    patch_voxels,
    prediction,
    start,
    weights_mb,
)
from .network_sizes import Size, generator_sizes, segmenter_size
from .scans import Scans

VALIDATED, CALIBRATED = 16, 64  # windows that a diffusion is validated on, and standardized on
SHOWN, TIMES = 128, 32  # images of a category that the last statistics of a GAN are taken of at once, and how often


def segmentation_training(config: Config, network: Network, training: Training, scans: Scans, opens: int) -> Load:
    """A segmenter, or a recognizer that paints nothing while it trains.

    Args:
        config: the study.
        network: what is trained.
        training: steps and batch.
        scans: of the fold.
        opens: cases that it opens.
    """
    size, voxels = segmenter_size(network, config), patch_voxels(config)
    work = _steps(config, training, [size], size.values, classes_of(config), voxels)
    checked = prediction(config, size, scans.stored, 0.0, scans.mean_stored)
    checks = (training.steps // training.validate_every + 1) * scans.validation
    drawn = training.batch * training.steps
    held = Load(memory_of("trained weights") * weights_mb(size) + checked.megabytes)
    seconds = work.seconds + costs()["jobs", "patch"] * drawn + checked.seconds * checks
    computed = Load(computed=max(work.computed, checked.computed), seconds=seconds)
    return _job(config, held + computed, opened(opens, scans.count, min(opens, drawn + scans.validation)))


def recognizer_training(config: Config, arm: Arm, scans: Scans) -> Load:
    """The recognizer of an arm."""
    training = config.recognition.training
    if config.task == "classification":
        return _classifier_training(config, arm, scans)
    opens = 2 * (scans.train + scans.validation) + scans.pool  # as labeled scans, and again as canvases
    real = segmentation_training(config, config.recognition.network, training, scans, opens)
    if arm.synthesizer is None:
        return real
    synthesizer = config.synthesizers[arm.synthesizer]
    painted = round(arm.synthetic_share * training.batch) * training.steps
    if arm.lesions == "bank":
        lesions = (scans.train + scans.pool) * config.synthesis.lesions_per_case
        rows = Load(lesions * memory_of("row of a lesion") / 1e3, seconds=painted * costs()["synthesis", "constant"])
        return real + rows.in_each(config.compute.gpus_per_job)
    one, networks = draw(config, synthesizer), painting_networks(config, synthesizer)
    online = one.repeated(attempts_of(synthesizer) * painted) + Load(weights_mb(*networks))
    return real + online.in_each(config.compute.gpus_per_job)


def synthesizer_training(config: Config, name: str, scans: Scans) -> Load:
    """The networks of a synthesizer."""
    kind = config.synthesizers[name].painter.kind
    return {"difference": _adversarial, "diffusion": _diffusion}.get(kind, _gan)(config, config.synthesizers[name], scans)


def _adversarial(config: Config, settings: Synthesizer, scans: Scans) -> Load:
    """Generator and discriminator in turn; the generator's loss goes back through the segmenter and the discriminator."""
    painter, voxels = settings.painter, patch_voxels(config)
    made, taught = generator_sizes(painter, config)
    judge = segmenter_size(config.segmenter.network, config)
    outputs = classes_of(config) + len(config.organs) + 3
    values = made.values + judge.values + taught.values
    work = _steps(config, painter.training, [made, judge, taught, taught], values, outputs, voxels)
    drawn = painter.training.batch * painter.training.steps
    sampling = Load(seconds=costs()["jobs", "painted voxel"] * voxels * drawn)
    held = Load(memory_of("trained weights") * weights_mb(made, taught) + weights_mb(judge))
    return _job(config, work + sampling + held, fold_load(scans, "train", "pool", used=drawn))


def _diffusion(config: Config, settings: Synthesizer, scans: Scans) -> Load:
    """Autoencoder, then denoiser; windows are as large as a patch at most."""
    phases, voxels = settings.painter.diffusion, patch_voxels(config)
    coder, denoiser = generator_sizes(settings.painter, config)
    first = _steps(config, phases.autoencoder.training, [coder], coder.values, 1, voxels)
    second = _steps(config, phases.denoiser.training, [denoiser, coder], denoiser.values, 1, voxels)
    sampling = costs()["jobs", "painted voxel"] * voxels
    drawn = sum(t.batch * t.steps for t in (phases.autoencoder.training, phases.denoiser.training))
    looks = sum(VALIDATED * (t.steps // t.validate_every + 1) for t in (phases.autoencoder.training, phases.denoiser.training))
    seconds = first.seconds + second.seconds + sampling * (drawn + looks + 2 * CALIBRATED)
    seconds += (looks * (3 + phases.early_steps) + 3 * CALIBRATED) * voxels * max(pass_seconds(coder), pass_seconds(denoiser))
    held = Load(memory_of("trained weights") * weights_mb(coder, denoiser) + memory_of("start of diffusion"))
    work = Load(computed=max(first.computed, second.computed), seconds=seconds)
    return _job(config, work + held, fold_load(scans, "train", "pool", "validation"))


def _gan(config: Config, settings: Synthesizer, scans: Scans) -> Load:
    """Generators and discriminators of whole images, in pairs that see their batches one after another."""
    painter, voxels = settings.painter, patch_voxels(config)
    made, judged = generator_sizes(painter, config)
    pairs = len(config.categories) if painter.kind == "dcgan" else 1
    training = _with_steps(painter.training, (scans.train + painter.group) / pairs)
    work = _steps(config, training, [made, judged, judged, judged], (made.values + 3 * judged.values) / pairs, 1, voxels)
    held = Load(memory_of("trained weights") * weights_mb(made, judged) + images_mb(scans.train + painter.group, config))
    shown = voxels * SHOWN * len(config.categories)  # to take the last statistics of a generator
    final = shown * FLOAT * made.values / pairs * memory_of("value of a generated image")
    seconds = TIMES * shown * pass_seconds(made) / pairs + costs()["jobs", "image"] * (scans.train + painter.group)
    computed = Load(computed=max(work.computed, final), seconds=work.seconds + seconds)
    return _job(config, computed + held + fold_load(scans, "train"))


def _classifier_training(config: Config, arm: Arm, scans: Scans) -> Load:
    """A classifier of regions, whose training set is in memory."""
    size, voxels = segmenter_size(config.recognition.network, config), patch_voxels(config)
    samples = scans.train + arm.group + arm.synthetic * len(config.categories)
    training = _with_steps(config.recognition.training, samples)
    work = _steps(config, training, [size], size.values, 0, voxels)
    checks = (training.steps // training.validate_every + 1) * scans.validation * voxels * pass_seconds(size)
    held = Load(memory_of("trained weights") * weights_mb(size) + images_mb(samples, config))
    making = Load(seconds=samples * costs()["jobs", "image"] + checks)
    return _job(config, work + held + making + fold_load(scans, "train", "validation"))


def _with_steps(training: Training, samples: float) -> Training:
    """As ``core.optimization.with_steps``, which imports torch."""
    if training.epochs is None:
        return training
    return training.model_copy(update={"steps": max(1, math.ceil(training.epochs * samples / training.batch))})


def _steps(config: Config, training: Training, passed: Sequence[Size], values: float, outputs: int, voxels: float) -> Load:
    """All steps of a training: what one process holds of a step, and the time of all of them.

    Args:
        config: the study.
        training: steps, batch, parts of a batch.
        passed: networks that each sample passes forth and back.
        values: numbers that are kept per voxel at once.
        outputs: channels that losses are taken of.
        voxels: of a sample, 10^6.
    """
    samples = math.ceil(training.batch / training.accumulate / config.compute.processes_per_job)
    kept = memory_of("value that is kept") * values + memory_of("output of a loss") * outputs
    seconds = sum(3 * pass_seconds(size) for size in passed) * voxels * training.batch * training.steps
    return Load(computed=samples * voxels * FLOAT * kept, seconds=seconds)


def _job(config: Config, load: Load, cases: Load | None = None) -> Load:
    """A training in as many processes as it has on a machine, each of which holds the same.

    Args:
        config: the study.
        load: of each process, without its cases if these are given.
        cases: those that it opens, as do the workers that make its patches, if it has some.
    """
    process = start("training", config.compute.device == "cuda") + load
    if cases is not None:
        worker = Load(memory_of("process that makes patches") + cases.megabytes)
        process += cases + worker.in_each(config.compute.loader_workers)
    return process.in_each(config.compute.gpus_per_job)
