"""Training of a recognizer: one arm, one fold, one seed."""

from pathlib import Path

from freetumor.core.config import Config
from freetumor.core.device import Device
from freetumor.core.job import run_training
from freetumor.core.seeding import derive_seed
from freetumor.core.tables import FOLD_CASES, read_table
from freetumor.synthesizer.assembly import assemble, segmenter_network
from freetumor.synthesizer.cases import open_cases
from freetumor.synthesizer.segmentation import SegmentationTraining

from .batches import ArmBatches, BankLesions, OnlineLesions


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
    """Train the recognizer of an arm.

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
    table = read_table(cases, FOLD_CASES)
    settings, recognition = config.arms[arm], config.recognition
    key = (config.seed, "recognition", fold, seed)  # without the arm: arms share weights, real patches and canvases

    def build(device: Device) -> SegmentationTraining:
        labeled = open_cases(table, config, "train")
        canvases = open_cases(table, config, "train", "pool")
        lesions = None
        if settings.synthesizer is not None and settings.lesions == "bank":
            lesions = BankLesions(bank, canvases, config)
        elif settings.synthesizer is not None:
            painter = assemble(settings.synthesizer, config, labeled, device.torch, generator, segmenter)
            lesions = OnlineLesions(painter, canvases, config)
        batches = ArmBatches(settings, config, labeled, lesions, recognition.training.batch, *key)
        network = segmenter_network(recognition.network, config, derive_seed(*key, "weights"))
        validation = open_cases(table, config, "validation")
        return SegmentationTraining(network, recognition.training, batches, validation, config, device)

    identity = {
        "arm": settings.model_dump(mode="json"),
        "synthesizer": config.synthesizers[settings.synthesizer].model_dump(mode="json") if settings.synthesizer else None,
        "network": recognition.network.model_dump(mode="json"),
        "training": recognition.training.model_dump(mode="json"),
        "preset": config.working.model_dump(mode="json"),
        "seed": [config.seed, fold, seed],
    }
    run_training(
        f"{arm} fold {fold} seed {seed}",
        config,
        recognition.training,
        [path for path in (cases, generator, segmenter, bank) if path is not None],
        identity,
        build,
        lambda training: {"recognizer": training.kept},
        {"recognizer": weights},
        history,
        sidecar,
    )
