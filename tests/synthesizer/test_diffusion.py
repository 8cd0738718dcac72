"""The diffusion painter: a lesion depends on its own brush, weights on what they were trained for, and it learns contrast."""

import numpy as np
import pytest
import torch
from torch import nn

from freetumor.core.device import Device
from freetumor.core.errors import UserError
from freetumor.core.labels import organ_code
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, HISTORY, read_table, write_table
from freetumor.core.weights import save_weights
from freetumor.synthesizer.cases import Patch
from freetumor.synthesizer.diffusion import DiffusionPainter, sphere_diameter
from freetumor.synthesizer.diffusion_networks import diffusion_network
from freetumor.synthesizer.diffusion_training import DiffusionTraining
from freetumor.synthesizer.networks import load_network
from freetumor.synthesizer.synthetic import Brush, Mask
from freetumor.synthesizer.train import train_synthesizer
from tests.diffusion import SPACING, diffusion_config
from tests.factory import make_fold

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config():
    return diffusion_config()


@pytest.fixture(scope="module")
def state(config):
    """Weights that paint something, trained or not."""
    network = diffusion_network(config.synthesizers["diffusion"].painter.diffusion, 2, seed=1)
    for parameter in network.denoiser.parameters():
        nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
    return network.state_dict()


@pytest.fixture(scope="module")
def weights(config, state, tmp_path_factory):
    path = tmp_path_factory.mktemp("diffusion") / "weights.safetensors"
    save_weights(path, state, {"label": "diffusion", "fits": config.fits})
    return path


def load(config, path):
    settings = config.synthesizers["diffusion"].painter.diffusion
    return load_network(path, diffusion_network(settings, len(config.organs), seed=0), config, CPU)


@pytest.fixture(scope="module")
def painter(config, weights):
    settings = config.synthesizers["diffusion"].painter.diffusion
    return DiffusionPainter(load(config, weights), settings, config.working.window, CPU)


def brush(number=0, radius=2.2, shape=(16, 16, 16), center=(8, 7, 9), organ=0):
    """A ball in a noisy organ that fills the patch."""
    rng = generator("brush", number)
    mask = np.linalg.norm(np.indices(shape) - np.reshape(center, (3, 1, 1, 1)), axis=0) <= radius
    image = np.rint(rng.normal(100, 15, shape)).astype(np.int16)
    patch = Patch(image, np.full(shape, organ_code(organ), np.uint8), (0, 0, 0), SPACING, "case", "patient", "made")
    return Brush(patch, organ, Mask(mask), mask.astype(np.float32), rng)


def test_nothing_to_paint_is_no_mistake(painter):
    assert painter.render([]) == []


def test_a_rendered_lesion_is_in_hu_and_says_how_many_steps_it_took(painter):
    """10.9 mm and 17.6 mm in equivalent diameter; early is up to 12 mm."""
    small, large = brush(radius=1.8), brush(radius=3.3)
    for item, steps in ((small, 2), (large, 4)):
        diameter = sphere_diameter(int(item.mask.array.sum()), SPACING)
        assert (diameter <= 12) == (steps == 2)
        image, drawn = painter.render([item])[0]
        assert image.shape == item.patch.image.shape
        assert image.dtype == np.float32
        assert drawn == {"steps": steps}
        assert np.abs(image - item.patch.image)[item.mask.array].max() > 1


def test_the_equivalent_sphere_of_a_ball_is_the_ball():
    ball = np.linalg.norm(np.indices((41, 41, 41)) - 20, axis=0) <= 15
    assert sphere_diameter(int(ball.sum()), (0.5, 0.5, 0.5)) == pytest.approx(15, rel=0.01)


def test_companions_order_and_global_state_change_nothing(painter):
    def brushes():
        return [brush(number, radius=1.5 + number / 2, organ=number % 2) for number in range(4)]

    together = painter.render(brushes())
    torch.manual_seed(1)
    reverse = painter.render(brushes()[::-1])[::-1]
    alone = [painter.render([item])[0] for item in brushes()]
    for (first, drawn), (second, again), (third, _) in zip(together, reverse, alone, strict=True):
        assert first.tobytes() == second.tobytes() == third.tobytes()
        assert drawn == again
    other = brush(0, radius=1.5)
    other.rng.random()
    assert not np.array_equal(painter.render([other])[0][0], together[0][0])  # the noise is the lesion's own


def test_a_small_lesion_costs_its_window_alone(painter):
    item = brush(radius=1, shape=(32, 32, 32), center=(16, 16, 16))
    changed = painter.render([item])[0][0] != item.patch.image
    places = np.argwhere(changed)
    assert places[:, 0].size
    assert (places.max(axis=0) - places.min(axis=0) < 8).all()  # 3 voxels and 2 of margin on both sides: a window of 8


@pytest.mark.parametrize("center", [(0, 0, 0), (16, 12, 9), (9, 0, 12)])
def test_any_patch_and_any_place_will_do(painter, center):
    item = brush(shape=(17, 13, 18), center=center, radius=3)
    image = painter.render([item])[0][0]
    assert image.shape == (17, 13, 18)
    assert np.isfinite(image).all()
    assert (image != item.patch.image)[item.mask.array].mean() > 0.9
    wide = brush(shape=(7, 9, 6), center=(3, 4, 3), radius=9)
    assert painter.render([wide])[0][0].shape == (7, 9, 6)


def test_a_level_shift_that_the_autoencoder_makes_does_not_reach_the_lesion(config, state, painter):
    """Decoded images 0.2 (42 HU) too bright: the lesion stays as it was, since it is the difference of two decodings."""
    settings = config.synthesizers["diffusion"].painter.diffusion
    network = diffusion_network(settings, 2, seed=1)
    network.load_state_dict(state)
    network.autoencoder.decoder.blocks[-1].conv.bias.data += 0.2
    shifted = DiffusionPainter(network.eval(), settings, config.working.window, CPU)
    np.testing.assert_allclose(shifted.render([brush()])[0][0], painter.render([brush()])[0][0], atol=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"organs": ["pancreas", "liver"]}, r"was trained for organs \['liver', 'pancreas'\], but the study has \['pa"),
        (
            {"presets": {"tiny": {"spacing": [1, 1, 1], "window": [-175, 250], "patch": [16, 16, 16]}}},
            r"was trained for spacing \[3\.0, 2\.5, 2\.5\], but the study has \[1\.0, 1\.0, 1\.0\]",
        ),
        ({"denoiser": {"channels": [8, 16]}}, "do not fit the network of the configuration"),
        ({"autoencoder": {"latent": 3}}, "do not fit the network of the configuration"),
    ],
)
def test_weights_of_another_study_are_refused_in_one_line(weights, changes, message):
    with pytest.raises(UserError, match=message) as failure:
        load(diffusion_config(**changes), weights)
    assert str(weights) in str(failure.value)
    assert "\n" not in str(failure.value)


def test_weights_of_another_kind_are_refused(config, tmp_path):
    save_weights(tmp_path / "other.safetensors", {"layer": torch.zeros(2)}, {})
    with pytest.raises(UserError, match="do not fit the network of the configuration"):
        load(config, tmp_path / "other.safetensors")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_fold(tmp_path_factory.mktemp("fold"))


def train(config, table, folder):
    paths = folder / "weights.safetensors", folder / "history.csv", folder / "sidecar"
    train_synthesizer(config, "diffusion", 0, table, None, *paths)
    return paths[0]


def test_an_interrupted_training_ends_with_the_same_bytes(config, table, tmp_path, monkeypatch):
    """Interrupted in the first phase, at the change of phases and in the second: steps 2, 3 and 5 of 5."""
    whole = train(config, table, tmp_path / "whole")
    step = DiffusionTraining.step
    for last in (2, 3, 5):

        def fail(self, number, last=last):
            if number == last:
                raise KeyboardInterrupt
            return step(self, number)

        monkeypatch.setattr(DiffusionTraining, "step", fail)
        with pytest.raises(KeyboardInterrupt):
            train(config, table, tmp_path / "stopped")
    monkeypatch.undo()
    resumed = train(config, table, tmp_path / "stopped")
    for name in ("weights.safetensors", "history.csv"):
        assert (whole.with_name(name)).read_bytes() == (resumed.with_name(name)).read_bytes(), name
    assert not whole.with_name("discriminator.safetensors").exists()
    history = read_table(whole.with_name("history.csv"), HISTORY)
    assert set(history["name"]) == {"loss_autoencoder", "loss_denoiser", "reconstruction_hu", "level_error_hu"}
    assert history["step"].max() == 5
    assert load(config, whole).denoiser is not None


def test_a_step_is_a_function_of_its_number(config, labeled, pool):
    first, second = (DiffusionTraining("diffusion", 0, config, labeled, pool, [], Device(CPU)) for _ in range(2))
    second.windows.lesion(generator("other"))
    torch.manual_seed(0)
    losses = [first.step(step) for step in (1, 2, 3, 4)]
    torch.manual_seed(1)
    assert [second.step(step) for step in (1, 2, 3, 4)] == losses
    assert first.validate(4) == {}  # there is nothing to validate on


def test_the_second_phase_leaves_the_autoencoder_alone(config, labeled):
    training = DiffusionTraining("diffusion", 0, config, labeled, [], [], Device(CPU))
    training.step(1)
    before = {name: tensor.clone() for name, tensor in training.painter_state().items()}
    training.step(3)
    training.step(4)
    after = training.painter_state()
    changed = {name.split(".")[0] for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed == {"denoiser", "mean", "deviation", "shift", "spread"}
    with torch.no_grad():
        tissue = [torch.from_numpy(training.windows.tissue(generator("t", n)))[None, None] for n in range(40)]
        latents = torch.cat([training.painter.encode(image).flatten(2)[0] for image in tissue], dim=1)
    assert latents.mean(dim=1).abs().max() < 0.3
    assert (latents.std(dim=1) - 1).abs().max() < 0.3


def test_without_an_annotated_tumor_there_is_nothing_to_learn(config, table, tmp_path):
    frame = read_table(table, FOLD_CASES)
    write_table(frame[frame["part"] != "train"], tmp_path / "cases.parquet", FOLD_CASES)
    with pytest.raises(UserError, match="no labeled training case has a tumor"):
        train(config, tmp_path / "cases.parquet", tmp_path / "run")
