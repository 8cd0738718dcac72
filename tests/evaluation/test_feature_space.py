"""Distances of samples: closed forms, the bias of the Fréchet distance, coverage by its lemma, features of a network."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from freetumor.core.config import Network
from freetumor.core.errors import UserError
from freetumor.core.files import sha256_file
from freetumor.core.seeding import generator
from freetumor.core.tables import read_table
from freetumor.core.weights import save_weights
from freetumor.evaluation import lesion_crops
from freetumor.evaluation.coverage import density_and_coverage, expected_coverage, radii
from freetumor.evaluation.feature_space import DISTANCES, LesionEncoder, load_encoder, space_distances, spaces
from freetumor.evaluation.lesion_features import LESION_FEATURES, Crop
from freetumor.evaluation.likeness import cubic_kernel, frechet_distance, squared_discrepancy
from freetumor.synthesizer.assembly import segmenter_network
from freetumor.synthesizer.networks import build_network
from tests.factory import small_config

NETWORKS = {
    "unet": {"name": "unet", "channels": [4, 8, 12], "residual_units": 1},
    "unet3d": {"name": "unet3d", "channels": [2]},
}


def standard(n, d):
    """A sample whose mean is exactly 0 and whose covariance is exactly the identity."""
    values = generator("standard", n, d).normal(size=(n, d))
    values -= values.mean(axis=0)
    return np.linalg.qr(values)[0] * np.sqrt(n - 1)


@pytest.mark.parametrize("n", [9, 40])
def test_the_frechet_distance_of_normal_distributions_has_a_closed_form(n):
    unit = standard(n, 8)
    assert frechet_distance(unit, unit + 1) == pytest.approx(8)  # N(0, I), N(1, I)
    assert frechet_distance(unit, 2 * unit) == pytest.approx(8)  # N(0, I), N(0, 4 I)
    assert frechet_distance(unit, unit) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_of_monais_example():
    first, second = np.array([[1, 2], [1, 2], [1, 2]]), np.array([[2, 2], [1, 2], [1, 2]])
    assert frechet_distance(first, second) == pytest.approx(0.4444, abs=1e-4)


@pytest.mark.parametrize("sizes", [(30, 40), (5, 40), (4, 6)])
def test_the_frechet_distance_is_that_of_the_matrix_root(sizes):
    rng = generator("root", *sizes)
    a, b = (rng.normal(size=(n, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6) for n in sizes)
    first, second = (np.cov(sample.T) + 1e-12 * np.eye(6) for sample in (a, b))
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-3)


def test_the_frechet_distance_is_biased_by_the_size_of_the_sample_and_the_kernel_distance_is_not():
    """Of one normal distribution of 64 dimensions: 43.8 at n = 50, 22.4 at 100, 10.9 at 200, and near 0 for the kernel."""
    rng = generator("bias")

    def mean(distance, n):
        return np.mean([distance(rng.normal(size=(n, 64)), rng.normal(size=(n, 64))) for _ in range(8)])

    for n, expected in ((50, 43.8), (100, 22.4), (200, 10.9)):
        assert mean(frechet_distance, n) == pytest.approx(expected, rel=0.03)
        assert abs(mean(lambda a, b: squared_discrepancy(cubic_kernel(a, a), cubic_kernel(b, b), cubic_kernel(a, b)), n)) < 0.05


def test_density_and_coverage_of_three_points_on_a_line():
    real = np.array([[0.0], [1.0], [3.0]])
    synthetic = np.array([[0.5], [10.0]])
    assert radii(cdist(real, real), 1).tolist() == [1, 1, 2]
    density, coverage = density_and_coverage(cdist(synthetic, real), cdist(real, real), 1)
    assert density == 1  # 0.5 lies in the balls of 0 and 1, 10 in none: two of two
    assert coverage == pytest.approx(2 / 3)


@pytest.mark.parametrize(("synthetic", "real"), [(20, 30), (40, 15)])
def test_coverage_of_like_samples_is_that_of_the_lemma_and_density_is_one(synthetic, real):
    rng, found = generator("lemma", synthetic, real), []
    for _ in range(200):
        a, b = rng.normal(size=(synthetic, 4)), rng.normal(size=(real, 4))
        found.append(density_and_coverage(cdist(a, b), cdist(b, b)))
    density, coverage = np.mean(found, axis=0)
    assert coverage == pytest.approx(expected_coverage(synthetic, real), abs=0.02)
    assert density == pytest.approx(1, abs=0.08)


def test_too_few_real_samples_have_no_balls():
    with pytest.raises(ValueError, match="3 samples have no 3 neighbors"):
        radii(np.zeros((3, 3)))


def patients(count, each, first=0):
    return np.array([f"p{first + number // each}" for number in range(count)])


def test_unlike_and_collapsed_samples_leave_the_range_of_real_ones():
    rng = generator("spaces")
    real, sides = rng.normal(size=(60, 6)), (patients(60, 2, 100), patients(60, 2))
    like = space_distances(rng.normal(size=(60, 6)), real, *sides, 0.95, rng)
    assert tuple(like) == DISTANCES
    assert all(floor[1] <= value[0] <= floor[2] for value, floor in like.values())
    apart = space_distances(rng.normal(2, 1, (60, 6)), real, *sides, 0.95, rng)
    collapsed = space_distances(np.repeat(real[:3], 20, axis=0), real, *sides, 0.95, rng)
    for name in ("kernel", "frechet"):
        assert apart[name][0][0] > apart[name][1][2]
    for name in ("density", "coverage"):
        assert apart[name][0][0] < apart[name][1][1]
    assert collapsed["coverage"][0][0] < collapsed["coverage"][1][1]
    assert collapsed["density"][0][0] > 0.6  # they look real


def test_of_too_few_patients_no_coverage_is_told():
    rng = generator("few")
    found = space_distances(rng.normal(size=(20, 3)), rng.normal(size=(20, 3)), patients(20, 2, 50), patients(20, 3), 0.95, rng)
    assert np.isnan([found[name][0][0] for name in ("density", "coverage")]).all()
    assert np.isfinite(found["kernel"][0][0])


def test_a_network_is_a_space_only_where_it_was_used():
    assert tuple(spaces(pd.DataFrame({"network_000": [np.nan]}))) == ("features", "radiomics")
    found = spaces(pd.DataFrame({"network_000": [1.0], "network_001": [2.0]}))
    assert found["features"] == list(LESION_FEATURES) and found["network"] == ["network_000", "network_001"]


def crop(level, shape=(13, 18, 21)):
    """A block of another HU in an organ."""
    image, lesion = np.full(shape, 100, np.int16), np.zeros(shape, bool)
    lesion[4:9, 5:12, 6:14] = True
    image[lesion] = level
    return Crop(image, lesion, ~lesion, (3.0, 2.5, 2.5))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_deepest_layer_of_any_network_describes_lesions(name):
    network = build_network(Network(**NETWORKS[name]), 1, 3, seed=5)
    encoder = LesionEncoder(network, (-175, 250), torch.device("cpu"))
    assert (encoder.size, encoder.stride) == {"unet": (12, 4), "unet3d": (32, 8)}[name]
    dark, again, bright = (np.array(list(encoder(crop(level)).values())) for level in (20, 20, 180))
    assert len(dark) == encoder.size and next(iter(encoder(crop(20)))) == "network_000"
    assert np.array_equal(dark, again)
    assert not np.allclose(dark, bright)


def with_network(folder, **settings):
    """A study that asks for a network, and that network in a file."""
    config = small_config()
    network = build_network(Network(**NETWORKS["unet"]), 1, 3, seed=5)
    save_weights(folder / "given.safetensors", network.state_dict(), {"label": "given"})
    given = {"weights": str(folder / "given.safetensors"), "network": NETWORKS["unet"], "outputs": 3}
    given |= {"sha256": sha256_file(folder / "given.safetensors")} | settings
    return small_config(evaluation={"feature_network": given}), config, network


def test_a_file_is_taken_only_with_its_checksum(tmp_path):
    config, _, network = with_network(tmp_path)
    weights = config.evaluation.feature_network.weights
    encoder = load_encoder(config, weights, torch.device("cpu"))
    expected = LesionEncoder(network, config.working.window, torch.device("cpu"))
    assert encoder(crop(20)) == expected(crop(20))
    for changes, message in (
        (
            {"sha256": "0" * 64},
            r"given\.safetensors: has SHA-256 [0-9a-f]{64}, but evaluation\.feature_network\.sha256 says 0000",
        ),
        ({"outputs": 2}, r"given\.safetensors: the weights do not fit"),
    ):
        config, *_ = with_network(tmp_path, **changes)
        with pytest.raises(UserError, match=message) as caught:
            load_encoder(config, weights, torch.device("cpu"))
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"other\.safetensors: weights not found"):
        load_encoder(config, tmp_path / "other.safetensors", torch.device("cpu"))


def test_the_segmenter_of_the_study_serves_too_unless_it_was_trained_for_another(tmp_path):
    config = small_config(evaluation={"feature_network": {}})
    network = segmenter_network(config.segmenter.network, config, seed=1)
    save_weights(tmp_path / "weights.safetensors", network.state_dict(), {"fits": config.fits})
    assert len(load_encoder(config, tmp_path / "weights.safetensors", torch.device("cpu"))(crop(20))) == 8
    save_weights(tmp_path / "weights.safetensors", network.state_dict(), {"fits": config.fits | {"organs": ["lung"]}})
    with pytest.raises(UserError, match=r"was trained for organs \['lung'\]"):
        load_encoder(config, tmp_path / "weights.safetensors", torch.device("cpu"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": "a.safetensors"}, "is a file, which needs sha256 and network"),
        ({"sha256": "0" * 64}, "sha256: belongs to a file"),
        ({"weights": "a", "sha256": "0" * 64, "network": {"name": "roi_cnn", "channels": [2, 2, 2]}}, "does not see volumes"),
    ],
)
def test_a_file_without_its_facts_is_refused_by_the_configuration(settings, message):
    with pytest.raises(ValueError, match=message):
        small_config(evaluation={"feature_network": settings})


def test_lesions_are_averaged_inside_their_mask_only():
    """A layer that is the image itself, at half resolution."""

    class Half(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv3d(1, 1, 2, stride=2, bias=False)
            torch.nn.init.constant_(self.conv.weight, 1 / 8)

        def forward(self, x):
            return self.conv(x)

    encoder = LesionEncoder(Half(), (0, 200), torch.device("cpu"))
    image, lesion = np.zeros((4, 4, 5), np.int16), np.zeros((4, 4, 5), bool)
    image[:2], lesion[:2, :2] = 100, True
    features = encoder(Crop(image, lesion, ~lesion, (1.0, 1.0, 1.0)))
    assert features == {"network_000": pytest.approx(0.5)}


def test_lesions_of_a_fold_are_described_by_the_network_that_is_asked_for(fold, tmp_path, monkeypatch):
    monkeypatch.setattr(lesion_crops, "COPIES", 1)
    config, _, _ = with_network(tmp_path)
    paths = tmp_path / "lesions.parquet", tmp_path / "lesions.b2nd", tmp_path / "given.safetensors"
    lesion_crops.measure_fold(config, 0, fold, [], *paths)
    table = read_table(paths[0], lesion_crops.MEASURED)
    assert spaces(table)["network"] == [f"network_{index:03d}" for index in range(12)]
    assert np.isfinite(table[spaces(table)["network"]]).all(axis=None)
    assert table["network_000"].nunique() > 3
