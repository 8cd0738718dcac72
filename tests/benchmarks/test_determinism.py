"""Nothing that is trained or painted needs a kernel that differs from run to run on a GPU, but for what a table explains."""

import re
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.determinism import LISTED, USES, Recorder, table, unexplained
from freetumor.core.config import Compute, Network
from freetumor.core.device import Device, prepare
from freetumor.core.errors import run_script
from freetumor.core.tables import FOLD_CASES, read_table
from freetumor.core.weights import save_weights
from freetumor.recognition.classification import ClassificationTraining
from freetumor.recognition.samples import Samples
from freetumor.synthesizer.adversarial import AdversarialTraining
from freetumor.synthesizer.assembly import assemble, segmenter_network
from freetumor.synthesizer.cases import open_cases
from freetumor.synthesizer.diffusion_networks import diffusion_network
from freetumor.synthesizer.diffusion_training import DiffusionTraining
from freetumor.synthesizer.gan import GanTraining
from freetumor.synthesizer.networks import build_network
from freetumor.synthesizer.segmentation import RealBatches, SegmentationTraining, mean_cross_entropy
from tests.conftest import REPOSITORY
from tests.diffusion import diffusion_config
from tests.regions import region_config

CPU = Device(torch.device("cpu"))
NETWORKS = {"unet": [4, 8], "unet3d": [2], "swin_unetr": [12]}
TRAININGS = [*NETWORKS, "adversarial", "adversarial as published", "diffusion", "dcgan", "acgan", "roi_cnn", "painting"]


@pytest.fixture(autouse=True)
def _no_refusals():
    """torch runs what it would refuse, and what it was told before is put back."""
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    yield
    torch.set_deterministic_debug_mode(before)


@pytest.fixture(scope="module")
def recorded(fold, study, untrained, tmp_path_factory):
    """What every training dispatches in a step and a validation, and what painting does, by name."""
    table = read_table(fold, FOLD_CASES)
    labeled, pool = open_cases(table, study, "train"), open_cases(table, study, "pool")
    found = {}

    def record(name, training, steps=1):
        with Recorder() as found[name]:
            for step in range(1, steps + 1):
                training.step(step)
                training.validate(step)

    for name, channels in NETWORKS.items():
        size = (64, 32, 32) if name == "swin_unetr" else study.working.patch
        network = segmenter_network(Network(name=name, channels=channels), study, seed=1)
        batches = RealBatches(labeled, size, "key")
        validation = labeled[: name != "swin_unetr"]
        record(name, SegmentationTraining(network, study.segmenter.training, batches, validation, study, CPU))
    segmenter = segmenter_network(study.segmenter.network, study, seed=1).eval().requires_grad_(False)
    for name, key in (("adversarial", "freetumor"), ("adversarial as published", "published")):
        record(name, AdversarialTraining(key, 0, study, segmenter, labeled, pool, CPU))
    diffusion = diffusion_config()
    record("diffusion", DiffusionTraining("diffusion", 0, diffusion, labeled, pool, labeled[:1], CPU), steps=5)

    regions = region_config()
    images, categories = np.random.default_rng(0).random((12, 16, 16), np.float32), np.arange(12) % 3
    for name in ("dcgan", "acgan"):
        training = GanTraining(regions.synthesizers[name].painter, regions, 200 * images, categories, CPU, name)
        record(name, training)
        with found[name]:
            training.generator_state()
    samples = Samples(np.pad(images, ((0, 0), (4, 4), (4, 4))), categories)
    network = build_network(Network(name="roi_cnn", channels=[2, 2, 2]), 1, 3, seed=0, size=24)
    record("roi_cnn", ClassificationTraining(network, regions.recognition.training, samples, samples, CPU, "key"))

    weights = tmp_path_factory.mktemp("weights") / "diffusion.safetensors"
    save_weights(weights, diffusion_network(diffusion.synthesizers["diffusion"].painter.diffusion, 2, seed=0).state_dict(), {})
    painters = [(study, "freetumor", untrained["freetumor"]), (diffusion, "diffusion", weights)]
    with Recorder() as found["painting"]:
        for config, name, path in painters:
            synthesizer = assemble(name, config, labeled, torch.device("cpu"), path, untrained["segmenter"])
            assert synthesizer.make(labeled[0], 0, np.random.default_rng(1)).image is not None
    return found


def test_the_lists_are_those_that_torch_documents():
    text = torch.use_deterministic_algorithms.__doc__
    named = re.compile(r"^ *\* :(?:class|func):`([\w.]+)`", re.MULTILINE)
    taken, refused = text.partition("nondeterministic operations will throw a")[::2]
    assert {*named.findall(taken)} == {entry.documented for entry in LISTED if not entry.refused}
    assert {*named.findall(refused)} == {entry.documented for entry in LISTED if entry.refused}


def through(module, *shape):
    """A forward and a backward pass."""
    return lambda: module(torch.rand(shape, requires_grad=True)).sum().backward()


def interpolated(mode, *shape, **options):
    return through(lambda x: functional.interpolate(x, scale_factor=2, mode=mode, **options), *shape)


def sampled(*shape):
    grid = torch.zeros(1, *shape[2:], len(shape) - 2)
    return through(lambda x: functional.grid_sample(x, grid, align_corners=False), *shape)


def unpooled(n):
    pool, unpool = getattr(nn, f"MaxPool{n}d")(2, return_indices=True), getattr(nn, f"MaxUnpool{n}d")(2)
    return lambda: unpool(*pool(torch.rand(1, 1, *(4,) * n)))


INTEGERS, NUMBERS = torch.arange(4), torch.rand(4)
CALLS = {
    "AvgPool3d": through(nn.AvgPool3d(2), 1, 1, 4, 4, 4),
    "AdaptiveAvgPool2d": through(nn.AdaptiveAvgPool2d(3), 1, 1, 4, 4),
    "AdaptiveAvgPool3d": through(nn.AdaptiveAvgPool3d(3), 1, 1, 4, 4, 4),
    "AdaptiveMaxPool2d": through(nn.AdaptiveMaxPool2d(3), 1, 1, 4, 4),
    "FractionalMaxPool2d": through(nn.FractionalMaxPool2d(2, 2), 1, 1, 6, 6),
    "FractionalMaxPool3d": through(nn.FractionalMaxPool3d(2, 2), 1, 1, 6, 6, 6),
    **{f"MaxUnpool{n}d": unpooled(n) for n in (1, 2, 3)},
    "interpolate linear": interpolated("linear", 1, 1, 4),
    "interpolate bilinear": interpolated("bilinear", 1, 1, 4, 4),
    "interpolate bilinear smoothly": interpolated("bilinear", 1, 1, 4, 4, antialias=True),
    "interpolate bicubic": interpolated("bicubic", 1, 1, 4, 4),
    "interpolate bicubic smoothly": interpolated("bicubic", 1, 1, 4, 4, antialias=True),
    "interpolate trilinear": interpolated("trilinear", 1, 1, 4, 4, 4),
    **{f"ReflectionPad{n}d": through(getattr(nn, f"ReflectionPad{n}d")(1), 1, 1, *(4,) * n) for n in (1, 2, 3)},
    "NLLLoss of voxels": lambda: functional.cross_entropy(torch.rand(1, 4, 2, 2, 2), torch.zeros(1, 2, 2, 2).long()),
    "NLLLoss": lambda: functional.nll_loss(torch.rand(4, 4), INTEGERS, reduction="sum"),
    "CTCLoss": lambda: functional.ctc_loss(
        torch.rand(6, 1, 4, requires_grad=True).log_softmax(2), torch.ones(1, 2).long(), torch.tensor([6]), torch.tensor([2])
    ).backward(),
    "EmbeddingBag": lambda: nn.EmbeddingBag(4, 2, mode="max")(INTEGERS[None]).sum().backward(),
    "put_": lambda: NUMBERS.clone().put_(INTEGERS, NUMBERS),
    "histc": lambda: NUMBERS.histc(),
    "bincount": lambda: INTEGERS.bincount(NUMBERS),
    "median": lambda: NUMBERS.median(dim=0),
    "grid_sample": sampled(1, 1, 4, 4),
    "grid_sample of volumes": sampled(1, 1, 4, 4, 4),
    "cumsum": lambda: INTEGERS.cumsum(0, dtype=torch.float32),
    "scatter_reduce": lambda: NUMBERS.scatter_reduce(0, INTEGERS, NUMBERS, reduce="prod"),
    "resize_": lambda: torch.quantize_per_tensor(NUMBERS, 0.1, 0, torch.quint8).resize_(2),
}
HARMLESS = {
    "mean of losses": lambda: functional.cross_entropy(torch.rand(1, 4, 2, 2), torch.zeros(1, 2, 2).long(), reduction="none"),
    "nearest": interpolated("nearest", 1, 1, 4, 4, 4),
    "average": lambda: nn.AvgPool3d(2)(torch.rand(1, 1, 4, 4, 4)),
    "mean of embeddings": lambda: nn.EmbeddingBag(4, 2)(INTEGERS[None]).sum().backward(),
    "counts": lambda: INTEGERS.bincount(),
    "median alone": lambda: NUMBERS.median(),
    "sum of integers": lambda: INTEGERS.cumsum(0),
    "scattered sum": lambda: NUMBERS.scatter_reduce(0, INTEGERS, NUMBERS, reduce="sum"),
    "resize_": lambda: NUMBERS.clone().resize_(2),
    "pool": through(nn.MaxPool2d(2), 1, 1, 4, 4),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_an_operation_of_the_list_is_recognized_by_its_operator(name):
    with Recorder() as recorder:
        CALLS[name]()
    (found,) = recorder.refused
    assert unexplained({found}) or name.startswith("NLLLoss")
    assert {entry.documented.rpartition(".")[2] for entry in recorder.listed[found] if entry.refused} <= {
        name.split(" ")[0],
        "MaxUnpool1d" if name == "MaxUnpool2d" else "MaxUnpool2d",
    }


@pytest.mark.parametrize("name", HARMLESS)
def test_what_the_list_excludes_is_no_finding(name):
    with Recorder() as recorder:
        HARMLESS[name]()
    assert recorder.operators and not recorder.refused


def test_the_list_is_covered():
    called = {name.split(" ")[0] for name in CALLS}
    assert called == {entry.documented.rpartition(".")[2] for entry in LISTED if entry.refused}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_dispatches_only_listed_operators_that_are_explained(recorded, name):
    assert len(recorded[name].operators) > 20
    assert unexplained(recorded[name].listed) == set()


def test_no_explanation_is_left_over(recorded):
    assert set(recorded) == set(TRAININGS)
    assert {name for found in recorded.values() for name in found.listed} == {name for use in USES for name in use.operators}


def test_backward_passes_and_optimizers_are_recorded(recorded):
    for name in set(TRAININGS) - {"painting"}:
        assert {"convolution_backward", "addcmul_"} <= set(recorded[name].operators), name


def test_only_cross_entropies_are_without_a_deterministic_kernel(recorded):
    refused = {name: found.refused for name, found in recorded.items() if found.refused}
    voxels, categories = {"nll_loss2d_forward"}, {"nll_loss_forward"}
    assert refused == {**dict.fromkeys(NETWORKS, voxels), "acgan": categories, "roi_cnn": categories}


def test_off_the_cpu_the_cross_entropy_of_voxels_needs_no_such_kernel():
    logits = torch.rand(2, 3, 4, 4, 4, device="meta", requires_grad=True)
    with Recorder() as recorder:
        mean_cross_entropy(logits, torch.zeros(2, 4, 4, 4, dtype=torch.int64, device="meta")).backward()
    assert {"nll_loss2d_forward", "nll_loss2d_backward"} <= set(recorder.operators)
    assert not recorder.listed


@pytest.mark.parametrize(("deterministic", "mode"), [(True, 2), (False, 0)])
def test_determinism_is_demanded_unless_the_study_does_without(deterministic, mode):
    prepare(Compute(device="cpu", deterministic=deterministic))
    assert torch.get_deterministic_debug_mode() == mode


def test_a_refusal_of_torch_is_one_line_that_names_the_key(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "script.py")])
    prepare(Compute(device="cpu"))
    with pytest.raises(SystemExit) as ended:
        run_script(unpooled(3))
    assert ended.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: compute.deterministic: max_unpooling3d") and line.count("\n") == 1


def test_any_other_error_of_torch_stays_one(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "script.py")])
    with pytest.raises(RuntimeError, match="size"):
        run_script(lambda: torch.zeros(2) + torch.zeros(3))


def test_the_table_of_the_guide_is_that_of_the_code():
    assert table() in (REPOSITORY / "docs" / "how-to" / "run-on-a-gpu.md").read_text(encoding="utf-8")
