"""Adversarial networks of whole images: hand-computed losses, exact resume, ``make`` as a pure function."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from freetumor.core.device import Device
from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, HISTORY, read_table, write_table
from freetumor.synthesis.shards import blank_canvas
from freetumor.synthesizer.assembly import assemble
from freetumor.synthesizer.gan import GanTraining, calibrate, training_images
from freetumor.synthesizer.gan_networks import GENERATORS, image_generator
from freetumor.synthesizer.regions import classic_group, open_regions, plain
from freetumor.synthesizer.train import train_synthesizer
from tests.regions import make_region_fold, region_config

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config():
    return region_config()


@pytest.fixture(scope="module")
def table(config, tmp_path_factory):
    return make_region_fold(tmp_path_factory.mktemp("regions"), config)


@pytest.fixture(scope="module")
def regions(config, table):
    return open_regions(read_table(table, FOLD_CASES), config, "train")


def make_training(config, regions, kind="dcgan", images=None):
    painter = config.synthesizers[kind].painter
    made, categories = training_images(regions, painter.group, config)
    return GanTraining(painter, config, made if images is None else images, categories, Device(CPU), 1, kind)


def train(config, table, folder, kind="dcgan"):
    folder.mkdir(exist_ok=True)
    paths = folder / "weights.safetensors", folder / "history.csv", folder / "sidecar"
    train_synthesizer(config, kind, 0, table, None, *paths)
    return paths[0]


def test_a_generator_learns_from_the_originals_and_the_classic_group(config, regions):
    images, categories = training_images(regions, 7, config)
    assert len(images) == len(categories) == len(regions) + 7
    assert np.array_equal(images[3], plain(regions[3], config))
    assert np.array_equal(images[len(regions) :], classic_group(regions, 7, config)[0])
    assert categories[: len(regions)].tolist() == [region.category for region in regions]


class Judge(nn.Module):
    """Answers by the mean of an image: the first logit, and a fixed one per category."""

    def __init__(self, *categories):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(categories))

    def forward(self, x):
        first = x.flatten(1).mean(1, keepdim=True)
        return torch.cat([first, self.logits.expand(len(x), -1) + 0 * first], dim=1)


def entropy(logits, target):
    return math.log(sum(math.exp(v) for v in logits)) - logits[target]


def soft(x):
    return math.log(1 + math.exp(x))


@pytest.mark.parametrize(("kind", "heads"), [("dcgan", []), ("acgan", [0.3, -0.2, 0.9])])
def test_losses_have_their_hand_computed_values(config, regions, kind, heads, monkeypatch):
    training = make_training(config, regions, kind)
    pair = SimpleNamespace(generator=training.pairs[0].generator, discriminator=Judge(*heads))
    training.pairs[0] = pair
    monkeypatch.setattr(training, "_descend", lambda *_: None)
    real, latent = torch.full((2, 1, 16, 16), 0.4), torch.rand(2, 6)
    batch = real, torch.tensor([0, 1]), latent, torch.tensor([0, 0])
    monkeypatch.setattr(training, "_batch", lambda *_: batch)
    with torch.no_grad():
        made = training.generator(latent, batch[3]).flatten(1).mean(1).tolist()
    record = training._pair_step(0, 1)
    source = sum(soft(-0.4) + soft(m) for m in made) / 2
    on_real = sum(entropy(heads, c) for c in (0, 1)) / 2 if heads else 0
    on_made = entropy(heads, 0) if heads else 0
    assert record["loss_discriminator"] == pytest.approx(source + on_real, rel=1e-5)  # categories of real images alone
    assert record["loss_generator"] == pytest.approx(sum(soft(-m) for m in made) / 2 + on_made, rel=1e-5)
    assert record["real_found_real"] == pytest.approx(1 / (1 + math.exp(-0.4)), rel=1e-5)
    assert record["synthetic_found_real"] == pytest.approx(sum(1 / (1 + math.exp(-m)) for m in made) / 2, rel=1e-5)
    assert ("synthetic_category_found" in record) == bool(heads)


def test_the_generators_step_leaves_the_discriminator_alone(config, regions):
    training = make_training(config, regions, "acgan")
    training._pair_step(0, 1)
    judge = training.pairs[0].discriminator
    before = [p.grad.clone() for p in judge.parameters()]
    real, known, latent, category = training._batch(0, 1)
    assert all(p.requires_grad for p in judge.parameters())
    training._discriminator_step(0, real, known, training.generator(latent, category).detach(), category)
    assert any(not torch.equal(a, p.grad) for a, p in zip(before, judge.parameters(), strict=True))
    assert len(real) == len(latent) == 8


def test_categories_are_trained_apart(config, regions):
    """Other images of one category change the generator of that category and no other."""
    images, categories = training_images(regions, 24, config)
    trainings = [
        make_training(config, regions, images=images + change * (categories == 1)[:, None, None]) for change in (0, -30)
    ]
    for training in trainings:
        training.step(1)
        training.step(2)
    for index in range(3):
        pairs = zip(*(training.generator.members[index].parameters() for training in trainings), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == (index != 1)
    assert [set(pair.categories.tolist()) for pair in trainings[0].pairs] == [{0}, {1}, {2}]


@pytest.mark.parametrize("betas", [(0.5, 0.999), (0.0, 0.99)])
def test_networks_move_as_adam_with_the_betas_of_the_painter(config, regions, betas):
    """Two steps of the output bias of a discriminator, by hand; the first pair is the published one, and the default."""
    training = make_training(config, regions)
    painter = training.painter
    assert painter.betas == (0.5, 0.999)
    images, categories = training_images(regions, painter.group, config)
    training = GanTraining(painter.model_copy(update={"betas": betas}), config, images, categories, Device(CPU), 1, "dcgan")
    bias = training.pairs[0].discriminator.layers[-1].bias
    value, mean, square = 0.0, 0.0, 0.0
    for step in (1, 2):
        training._discriminator_step(0, *training._batch(0, step)[:2], torch.zeros(8, 1, 16, 16), None)
        mean = betas[0] * mean + (1 - betas[0]) * bias.grad.item()
        square = betas[1] * square + (1 - betas[1]) * bias.grad.item() ** 2
        value -= painter.training.learning_rate * mean / (1 - betas[0] ** step) / (square / (1 - betas[1] ** step)) ** 0.5
        assert bias.item() == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_step_is_a_function_of_its_number(config, regions, kind):
    first, second = (make_training(config, regions, kind) for _ in range(2))
    second._batch(0, 9)
    torch.manual_seed(0)
    losses = [first.step(step) for step in (1, 2)]
    torch.manual_seed(1)
    assert [second.step(step) for step in (1, 2)] == losses


@pytest.mark.parametrize("kind", GENERATORS)
def test_an_interrupted_training_ends_with_the_same_bytes(config, table, tmp_path, kind, monkeypatch):
    whole = train(config, table, tmp_path / "whole", kind)
    step = GanTraining.step

    def fail(self, number):
        if number == 3:
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(GanTraining, "step", fail)
    with pytest.raises(KeyboardInterrupt):
        train(config, table, tmp_path / "stopped", kind)
    monkeypatch.undo()
    resumed = train(config, table, tmp_path / "stopped", kind)
    for name in ("weights.safetensors", "discriminator.safetensors", "history.csv"):
        assert (whole.with_name(name)).read_bytes() == (resumed.with_name(name)).read_bytes(), name


def test_the_history_tells_how_the_discriminator_fares(config, table, tmp_path):
    history = read_table(train(config, table, tmp_path / "run", "acgan").with_name("history.csv"), HISTORY)
    assert set(history["step"]) == {2, 4}
    names = {"loss_generator", "loss_discriminator", "real_found_real", "synthetic_found_real", "synthetic_category_found"}
    assert set(history["name"]) == names


@pytest.mark.parametrize(("kind", "samples"), [("dcgan", 12), ("acgan", 36)])
def test_epochs_are_passes_over_what_one_discriminator_sees(table, tmp_path, kind, samples):
    """12 regions and a group of 24: 36 samples, 12 of an average category; batches of 8, 2 epochs."""
    painter = region_config().synthesizers[kind].painter
    training = painter.training.model_copy(update={"epochs": 2})
    config = region_config(
        synthesizers={kind: {"painter": painter.model_copy(update={"training": training}).model_dump()}},
        synthesis={"synthesizers": [kind]},
    )
    history = read_table(train(config, table, tmp_path / "run", kind).with_name("history.csv"), HISTORY)
    assert history["step"].max() == -(-2 * samples // 8)


def test_a_category_without_a_training_case_is_a_mistake_of_the_user(config, table, tmp_path):
    frame = read_table(table, FOLD_CASES)
    write_table(frame[(frame["category"] != "metastasis") | (frame["part"] != "train")], tmp_path / "cases.parquet", FOLD_CASES)
    with pytest.raises(UserError, match="no training case is a 'metastasis'"):
        train(config, tmp_path / "cases.parquet", tmp_path / "run")


@pytest.mark.parametrize("kind", GENERATORS)
def test_making_depends_on_category_and_generator_alone(config, table, tmp_path, kind):
    weights = train(config, table, tmp_path / "run", kind)
    synthesizer, again = (assemble(kind, config, [], CPU, weights) for _ in range(2))
    canvas = blank_canvas(config)
    first = synthesizer.make(canvas, 1, generator("make"))
    synthesizer.make(canvas, 0, generator("another"))
    torch.manual_seed(3)
    assert np.array_equal(again.make(canvas, 1, generator("make")).image, first.image)
    assert not np.array_equal(again.make(canvas, 1, generator("other")).image, first.image)
    assert not np.array_equal(again.make(canvas, 2, generator("make")).image, first.image)
    assert (first.image.dtype, first.image.shape, first.outcome, first.organ) == (np.int16, (1, 16, 16), "accepted", 1)
    assert first.lesion.all()
    assert first.image.min() >= -50
    assert first.image.max() <= 200
    assert (canvas.image == -1024).all()


def test_black_and_white_are_the_ends_of_the_window(config, table, tmp_path):
    synthesizer = assemble("dcgan", config, [], CPU, train(config, table, tmp_path / "run"))
    for end, hu in ((-1.0, -50), (0.0, 75), (1.0, 200)):
        synthesizer.network = lambda latent, category, end=end: torch.full((1, 1, 16, 16), end)
        assert (synthesizer.make(blank_canvas(config), 0, generator(0)).image == hu).all()


def test_weights_are_asked_for_and_must_fit(config, table, tmp_path):
    with pytest.raises(UserError, match=r"synthesizers\.dcgan: needs the trained generator"):
        assemble("dcgan", config, [], CPU)
    with pytest.raises(UserError, match="do not fit"):
        assemble("acgan", config, [], CPU, train(config, table, tmp_path / "run"))


def test_calibrated_statistics_are_those_of_generated_images(config):
    """In evaluation mode the generator makes what it made in training mode, up to the noise of a batch."""
    network = image_generator(config.synthesizers["dcgan"].painter, config, 3)
    for member in network.members:
        for layer in member.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.fill_(5)  # of a network that no longer exists
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    calibrated = calibrate(network, 6, 3, "key")
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())  # a copy
    latent = torch.from_numpy(generator("latent").uniform(-1, 1, (600, 6)).astype(np.float32))
    category = torch.arange(600) % 3
    with torch.no_grad():
        trained, settled = network.train()(latent, category), calibrated(latent, category)
    assert (trained - settled).abs().mean() < 0.1 * trained.std()


def test_a_generator_learns_what_a_category_looks_like(tmp_path):
    """After a few steps, generated cysts are darker in the middle than at the rim, and hemangiomas brighter in a ring."""
    config = region_config(16)
    painter = config.synthesizers["dcgan"].painter
    training = painter.training.model_copy(update={"steps": 100, "learning_rate": 1e-3, "batch": 16, "checkpoint_every": 999})
    painter = painter.model_copy(update={"training": training, "width": 4, "latent": 16, "group": 60})
    config = region_config(16, synthesizers={"dcgan": {"painter": painter.model_dump()}})
    table = make_region_fold(tmp_path, config, {"train": 20})
    synthesizer = assemble("dcgan", config, [], CPU, train(config, table, tmp_path / "run"))
    made = [
        np.mean([synthesizer.make(blank_canvas(config), c, generator(c, k)).image[0] for k in range(30)], axis=0)
        for c in range(3)
    ]
    middle, rim = (slice(6, 10), slice(6, 10)), (slice(0, 2), slice(None))
    contrast = [float(image[middle].mean() - image[rim].mean()) for image in made]
    assert contrast[0] < -60
    assert contrast[1] < -15
    assert contrast[0] < contrast[1] - 20
    ring = np.hypot(*(np.indices((16, 16)) - 7.5))
    ring = (ring > 3) & (ring < 5)
    assert made[2][ring].mean() > made[1][ring].mean() + 15
