"""Training of a recognizer: one arm, one fold, one seed."""

from collections.abc import Callable
from pathlib import Path

from freetumor.core.config import Config, Training
from freetumor.core.device import Device
from freetumor.core.job import run_training
from freetumor.core.optimization import Supervised
from freetumor.core.seeding import derive_seed
from freetumor.synthesizer.assembly import assemble, segmenter_network
from freetumor.synthesizer.cases import open_cases
from freetumor.synthesizer.segmentation import SegmentationTraining

from .arm import ArmJob
from .batches import ArmBatches, BankLesions, OnlineLesions
from .classification import plan_classification

Plan = tuple[Training, Callable[[Device], Supervised]]


def train_recognizer(
    config: Config,
    arm: str,
    fold: int,
    seed: int,
    cases: Path,
    weights: Path,
    history: Path,
    sidecar: Path,
    generator: Path | None = None,
    segmenter: Path | None = None,
    bank: Path | None = None,
) -> None:
    """Train the recognizer of an arm for the task of the study.

    Args:
        config: the study.
        arm: key of ``arms``.
        fold: the fold.
        seed: one of ``recognition.seeds``.
        cases: the fold table.
        weights: output, safetensors.
        history: output, table of losses.
        sidecar: folder of the resumable checkpoints.
        generator: trained generator, if the arm paints online with one.
        segmenter: trained segmenter, if the arm's gate needs it.
        bank: manifest of the bank, if the arm takes lesions from it.
    """
    job = ArmJob(config, arm, fold, seed, cases, generator, segmenter, bank)
    settings, build = TASKS[config.task](job)
    synthesizer = job.settings.synthesizer
    identity = {
        "arm": job.settings.model_dump(mode="json"),
        "synthesizer": config.synthesizers[synthesizer].model_dump(mode="json") if synthesizer else None,
        "network": config.recognition.network.model_dump(mode="json"),
        "training": settings.model_dump(mode="json"),
        "preset": config.working.model_dump(mode="json"),
        "seed": [config.seed, fold, seed],
        "task": config.task,
        "categories": config.categories,
    }
    run_training(
        f"{arm} fold {fold} seed {seed}",
        config,
        settings,
        job.inputs,
        identity,
        build,
        lambda training: {"recognizer": training.kept},
        {"recognizer": weights},
        history,
        sidecar,
    )


def plan_segmentation(job: ArmJob) -> Plan:
    """Steps of the training of an arm that segments, and what makes it on a device."""
    config, arm, training = job.config, job.settings, job.config.recognition.training

    def build(device: Device) -> SegmentationTraining:
        labeled = open_cases(job.table, config, "train")
        canvases = open_cases(job.table, config, "train", "pool")
        lesions = None
        if arm.synthesizer is not None and arm.lesions == "bank":
            lesions = BankLesions(job.bank, canvases, config, arm.variants)
        elif arm.synthesizer is not None:
            held_out = open_cases(job.table, config, "validation")
            painter = assemble(arm.synthesizer, config, labeled, device.torch, job.generator, job.segmenter, held_out)
            lesions = OnlineLesions(painter, canvases, config, device.torch)
        batches = ArmBatches(arm, config, labeled, lesions, training.batch, *job.key)
        if config.compute.loader_workers and not batches.elsewhere and device.leads:
            print("compute.loader_workers: not used, because this arm paints with networks on the GPU", flush=True)
        network = segmenter_network(config.recognition.network, config, derive_seed(*job.key, "weights"))
        validation = open_cases(job.table, config, "validation")
        return SegmentationTraining(network, training, batches, validation, config, device)

    return training, build


TASKS: dict[str, Callable[[ArmJob], Plan]] = {"segmentation": plan_segmentation, "classification": plan_classification}
