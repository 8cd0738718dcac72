"""What the benchmark of a GPU trains: every training of the project, on made canvases, at the size of the paper or tiny."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from freetumor.core.config import Config, Network, Training
from freetumor.core.device import Device
from freetumor.core.optimization import Trainable
from freetumor.core.seeding import generator
from freetumor.recognition.classification import ClassificationTraining
from freetumor.recognition.classifier import classifier_network
from freetumor.recognition.samples import Samples
from freetumor.synthesizer.adversarial import AdversarialTraining
from freetumor.synthesizer.assembly import segmenter_network
from freetumor.synthesizer.cases import Case
from freetumor.synthesizer.diffusion_training import DiffusionTraining
from freetumor.synthesizer.gan import GanTraining
from freetumor.synthesizer.segmentation import RealBatches, SegmentationTraining

from . import library
from .sections import Setting

SEED = 1
REGIONS = 300  # images of regions, a third of each category


@dataclass(frozen=True)
class Sizes:
    """How large networks and batches are.

    Attributes:
        patch: voxels of a patch, unless a network needs more.
        batch: patches per step.
        lesion: size class of simulated lesions.
        unet3d: width of FreeTumor's U-Net; 32 in the paper.
        swin: features of SwinUNETR; 48 in the paper.
        region: pixels per side of a region; 64 in the paper.
        width: of the GANs; 64 in the paper.
        images: regions per step.
    """

    patch: tuple[int, int, int]
    batch: int
    lesion: str
    unet3d: int
    swin: int
    region: int
    width: int
    images: int


PAPER = Sizes((96, 96, 96), 2, "small", 32, 48, 64, 64, 64)
TINY = Sizes((16, 16, 16), 2, "tiny", 2, 12, 32, 2, 12)


@dataclass(frozen=True)
class Subject:
    """A training, ready for its steps.

    Attributes:
        trainable: the training; its next step has the number ``first``.
        networks: what it trains, by name.
        samples: patches or images per step.
        first: number of the first step.
    """

    trainable: Trainable
    networks: dict[str, nn.Module]
    samples: int
    first: int = 1

    def losses(self, record: dict[str, float]) -> list[float]:
        """The losses of what a step returned."""
        return [value for name, value in record.items() if name.startswith("loss")]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights and buffers of all networks, on the CPU."""
        return {
            f"{name}.{key}": value.detach().cpu().clone()
            for name, network in self.networks.items()
            for key, value in network.state_dict().items()
        }


def build(name: str, sizes: Sizes, setting: Setting, device: Device) -> Subject:
    """Make training ``name``, one of :data:`NAMES`, with weights and samples that depend on its sizes alone."""
    return _BUILDERS[name](sizes, setting, device)


def _study(name: str, sizes: Sizes, setting: Setting, *networks: Network) -> Config:
    """The study of a synthesizer, with patches of which the deepest level of each of ``networks`` sees more than one voxel."""
    config = library.study(name, setting.canvas.grid, sizes.lesion)
    stride = max((network.stride for network in networks), default=1)
    patch = tuple(max(stride * least, length) for least, length in zip((2, 1, 1), sizes.patch, strict=True))
    return config.model_copy(update={"presets": {config.preset: config.working.model_copy(update={"patch": patch})}})


def _training(batch: int) -> Training:
    return Training(steps=1000, batch=batch)


def _cases(setting: Setting) -> tuple[list[Case], list[Case]]:
    """Labeled and pool cases."""
    return [library.open_case(setting.donor, hide_tumors=False)], [library.open_case(setting.files)]


def _segmentation(network: Network | None, sizes: Sizes, setting: Setting, device: Device) -> Subject:
    """A segmenter with a network, or with that of the default study."""
    config = _study(library.DEFAULT, sizes, setting, *filter(None, [network]))
    labeled, _ = _cases(setting)
    batches = RealBatches(labeled, config.working.patch, SEED, "batches")
    built = segmenter_network(network or config.segmenter.network, config, SEED)
    training = SegmentationTraining(built, _training(sizes.batch), batches, [], config, device)
    return Subject(training, {"network": training.network}, sizes.batch)


def _adversarial(network: Network | None, judge: Network | None, sizes: Sizes, setting: Setting, device: Device) -> Subject:
    """A generator and a discriminator against a frozen segmenter, or with the networks of the default study."""
    config = _study(library.DEFAULT, sizes, setting, *filter(None, [network, judge]))
    settings = config.synthesizers[library.DEFAULT]
    changes = {"training": _training(sizes.batch)} | ({"network": network} if network else {})
    changed = settings.model_copy(update={"painter": settings.painter.model_copy(update=changes)})
    config = config.model_copy(update={"synthesizers": {library.DEFAULT: changed}})
    segmenter = segmenter_network(judge or config.segmenter.network, config, SEED).to(device.torch)
    segmenter.eval().requires_grad_(False)
    training = AdversarialTraining(library.DEFAULT, 0, config, segmenter, *_cases(setting), device)
    return Subject(training, {"generator": training.generator, "discriminator": training.discriminator}, sizes.batch)


def _diffusion(phase: str, sizes: Sizes, setting: Setting, device: Device) -> Subject:
    """The first phase alone, or the second after one step of the first and the standardization of the latents."""
    config = _study(library.DIFFUSION, sizes, setting)
    settings = config.synthesizers[library.DIFFUSION]
    parts, steps = settings.painter.diffusion, 1 if phase == "denoiser" else 1000
    parts = parts.model_copy(
        update={
            key: getattr(parts, key).model_copy(
                update={"training": getattr(parts, key).training.model_copy(update={"batch": sizes.batch, "steps": steps})}
            )
            for key in ("autoencoder", "denoiser")
        }
    )
    painter = settings.painter.model_copy(update={"diffusion": parts})
    changed = {library.DIFFUSION: settings.model_copy(update={"painter": painter})}
    config = config.model_copy(update={"synthesizers": changed})
    training = DiffusionTraining(library.DIFFUSION, 0, config, *_cases(setting), [], device)
    first = 1
    if phase == "denoiser":
        training.step(1)
        first = 2
    return Subject(training, {phase: getattr(training.network, phase)}, sizes.batch, first)


def _regions_study(sizes: Sizes) -> Config:
    training = _training(sizes.images).model_dump()
    painters = {kind: {"painter": {"kind": kind, "width": sizes.width, "training": training}} for kind in ("dcgan", "acgan")}
    return Config.model_validate(
        {
            "study": "benchmark",
            "task": "classification",
            "organs": ["liver"],
            "categories": ["cyst", "metastasis", "hemangioma"],
            "preset": "roi",
            "presets": {"roi": {"form": "region", "window": [-50, 200], "patch": [1, sizes.region, sizes.region]}},
            "sources": [{"name": "benchmark", "kind": "roi_phantom"}],
            "synthesizers": painters,
            "synthesis": {"synthesizers": ["dcgan"]},
            "arms": {"classic": {}},
            "recognition": {"network": {"name": "roi_cnn", "channels": [32, 64, 128]}, "arms": ["classic"]},
        }
    )


def _regions(sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """Images of noise in HU, and their categories; time does not depend on what they show."""
    images = generator(SEED, "regions").uniform(-50, 200, (REGIONS, sizes.region, sizes.region))
    return images.astype(np.float32), np.arange(REGIONS) % 3


def _gan(kind: str, sizes: Sizes, device: Device) -> Subject:
    config = _regions_study(sizes)
    training = GanTraining(config.synthesizers[kind].painter, config, *_regions(sizes), device, SEED, kind)
    judges = {f"discriminator {number}": pair.discriminator for number, pair in enumerate(training.pairs)}
    return Subject(training, {"generator": training.generator, **judges}, sizes.images * len(training.pairs))


def _classifier(sizes: Sizes, device: Device) -> Subject:
    config = _regions_study(sizes)
    images, categories = _regions(sizes)
    samples = Samples((images + 50) / 250, categories)
    training = ClassificationTraining(
        classifier_network(config, SEED), _training(sizes.images), samples, samples, device, SEED, "classifier"
    )
    return Subject(training, {"network": training.network}, sizes.images)


def _unet3d(sizes: Sizes) -> Network:
    return Network(name="unet3d", channels=[sizes.unet3d])


def _swin(sizes: Sizes) -> Network:
    return Network(name="swin_unetr", channels=[sizes.swin])


_BUILDERS: dict[str, Callable[[Sizes, Setting, Device], Subject]] = {
    "unet": lambda sizes, *where: _segmentation(None, sizes, *where),
    "unet3d": lambda sizes, *where: _segmentation(_unet3d(sizes), sizes, *where),
    "swin_unetr": lambda sizes, *where: _segmentation(_swin(sizes), sizes, *where),
    "adversarial": lambda sizes, *where: _adversarial(None, None, sizes, *where),
    "adversarial_unet3d": lambda sizes, *where: _adversarial(_unet3d(sizes), None, sizes, *where),
    "adversarial_paper": lambda sizes, *where: _adversarial(_unet3d(sizes), _swin(sizes), sizes, *where),
    "autoencoder": lambda sizes, *where: _diffusion("autoencoder", sizes, *where),
    "denoiser": lambda sizes, *where: _diffusion("denoiser", sizes, *where),
    "dcgan": lambda sizes, _, device: _gan("dcgan", sizes, device),
    "acgan": lambda sizes, _, device: _gan("acgan", sizes, device),
    "roi_cnn": lambda sizes, _, device: _classifier(sizes, device),
}
NAMES = tuple(_BUILDERS)
WITH_SWIN = ("swin_unetr", "adversarial_paper")  # seconds per step on a CPU, however small
