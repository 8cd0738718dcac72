"""The two trainings of the synthesizer stage: the baseline segmenter, and a generator."""

from pathlib import Path

from freetumor.core.config import Config
from freetumor.core.device import Device
from freetumor.core.errors import UserError
from freetumor.core.job import run_training
from freetumor.core.seeding import derive_seed
from freetumor.core.tables import FOLD_CASES, read_table

from .adversarial import AdversarialTraining
from .assembly import load_segmenter, segmenter_network
from .cases import open_cases
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
    config: Config, name: str, fold: int, cases: Path, segmenter: Path, weights: Path, history: Path, sidecar: Path
) -> None:
    """Train the generator of synthesizer ``name`` on the labeled and the pool cases of a fold.

    Args:
        config: the study.
        name: key of ``synthesizers``.
        fold: the fold, part of the seed key.
        cases: the fold table.
        segmenter: weights of the frozen segmenter.
        weights: output: the generator; the discriminator is written beside it.
        history: output, table of losses.
        sidecar: folder of the resumable checkpoints.

    Raises:
        UserError: if the synthesizer has nothing to train, or no labeled case has an organ.
    """
    settings = config.synthesizers[name]
    if not settings.trained:
        raise UserError(f"synthesizers.{name}: the painter '{settings.painter.kind}' has no weights to train")
    table = read_table(cases, FOLD_CASES)

    def build(device: Device) -> AdversarialTraining:
        judge = load_segmenter(segmenter, config.segmenter.network, config, device.torch)
        labeled, pool = open_cases(table, config, "train"), open_cases(table, config, "pool")
        if not any(case.organs for case in labeled):
            raise UserError(f"{cases}: no labeled training case has an organ to paint into")
        return AdversarialTraining(name, fold, config, judge, labeled, pool, device)

    identity = {
        "settings": settings.model_dump(mode="json"),
        "preset": config.working.model_dump(mode="json"),
        "seed": config.seed,
        "fold": fold,
    }
    run_training(
        f"synthesizer {name} fold {fold}",
        config,
        settings.painter.training,
        [cases, segmenter],
        identity,
        build,
        lambda training: {
            "generator": training.generator.state_dict(),
            "discriminator": training.discriminator.state_dict(),
        },
        {"generator": weights, "discriminator": weights.with_name("discriminator.safetensors")},
        history,
        sidecar,
    )
