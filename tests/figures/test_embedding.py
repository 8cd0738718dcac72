"""The map of the last layer: its points, their neighborhoods, and the same bytes on every run."""

import numpy as np
import pandas as pd
import pytest

from freetumor.core.errors import UserError
from freetumor.core.tables import FOLD_CASES, read_table
from freetumor.core.weights import save_weights
from freetumor.evaluation.sheets.embedding import AUGMENTED, collect_embedding, embedded_regions, nearest_agrees, tsne
from freetumor.figures.embedding import plot_embedding
from freetumor.recognition.classifier import classifier_network
from freetumor.recognition.samples import part_samples
from tests.regions import make_region_fold, region_config

TEST = 9  # three test cases of each category


@pytest.fixture(scope="module")
def config():
    network = {"name": "roi_cnn", "channels": [4, 4, 4]}
    return region_config(32, recognition={"network": network, "arms": ["classic"], "seeds": [1]})


@pytest.fixture(scope="module")
def cases(tmp_path_factory, config):
    return make_region_fold(tmp_path_factory.mktemp("fold"), config)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, config):
    folder = tmp_path_factory.mktemp("results") / "fold0" / "recognition"
    paths = [folder / arm / "seed1" / "weights.safetensors" for arm in ("real", "classic")]
    for seed, path in enumerate(paths):
        path.parent.mkdir(parents=True)
        save_weights(path, classifier_network(config, seed).state_dict(), {"label": "recognizer"})
    return paths


def test_points_are_the_test_regions_each_with_augmentations_of_it(config, cases):
    table = read_table(cases, FOLD_CASES)
    points, images = embedded_regions(config, table)
    assert len(points) == len(images) == TEST * (1 + AUGMENTED)
    assert points["case_id"].unique().tolist() == sorted(table.loc[table["part"] == "test", "case_id"])
    assert (points.groupby("case_id")["kind"].value_counts().unstack()["augmented"] == AUGMENTED).all()
    originals = images[(points["kind"] == "original").to_numpy()]
    np.testing.assert_array_equal(originals, part_samples(table, config, "test").images)
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_every_recognizer_has_its_own_map_the_same_every_time(config, cases, weights, tmp_path):
    for run in ("first", "second"):
        collect_embedding(config, cases, weights, tmp_path / run / "embedding.csv")
    first, second = ((tmp_path / run / "embedding.csv").read_bytes() for run in ("first", "second"))
    assert first == second
    table = pd.read_csv(tmp_path / "first" / "embedding.csv")
    assert table["arm"].unique().tolist() == ["real", "classic"]
    assert table.groupby("arm").size().tolist() == [TEST * (1 + AUGMENTED)] * 2
    assert np.isfinite(table[["x", "y"]]).all(axis=None)
    assert not np.allclose(table.loc[table["arm"] == "real", "x"], table.loc[table["arm"] == "classic", "x"])
    plot_embedding(config, tmp_path / "first" / "embedding.csv", tmp_path / "figures" / "embedding.png")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "figures" / "embedding.csv"), table)


def test_a_fold_without_test_cases_gives_an_empty_figure(config, weights, tmp_path):
    cases = make_region_fold(tmp_path, config, {"train": 1})
    collect_embedding(config, cases, weights, tmp_path / "points.csv")
    plot_embedding(config, tmp_path / "points.csv", tmp_path / "embedding.png")
    assert pd.read_csv(tmp_path / "embedding.csv").empty


def test_weights_of_another_network_are_a_user_error(config, cases, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, {}, {})
    with pytest.raises(UserError, match="do not fit"):
        collect_embedding(config, cases, [path], tmp_path / "embedding.csv")


def test_the_map_keeps_clusters_apart():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(center, 0.1, (20, 8)) for center in (0, 5)]).astype(np.float32)
    places = tsne(features, seed=1)
    left, right = places[:20], places[20:]
    spread = max(np.linalg.norm(half - half.mean(axis=0), axis=1).max() for half in (left, right))
    assert np.linalg.norm(left.mean(axis=0) - right.mean(axis=0)) > spread
    np.testing.assert_array_equal(places, tsne(features, seed=1))


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_a_handful_of_points_can_be_drawn(count):
    assert tsne(np.eye(count, 6, dtype=np.float32), seed=0).shape == (count, 2)


def test_the_nearest_point_is_sought_among_other_cases():
    features = np.array([[0.0], [0.1], [1.0], [1.05], [5.0]])
    found = nearest_agrees(features, ["a", "a", "b", "c", "d"], ["x", "x", "y", "y", "x"])
    # By hand: a and a are one case, so their nearest are b (y); b and c are each other's nearest; d's is c.
    assert found.tolist() == [False, False, True, True, False]
