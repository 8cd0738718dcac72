"""A bank of whole images: every draw of every category once, whatever the shards, and the same as made directly."""

import json

import numpy as np
import pytest
import torch

from freetumor.core.tables import MANIFEST, read_table
from freetumor.core.weights import save_weights
from freetumor.synthesis.bank import read_image
from freetumor.synthesis.shards import FoldSynthesizer, draw_image
from freetumor.synthesizer.assembly import assemble
from freetumor.synthesizer.gan_networks import image_generator
from tests.factory import paint_bank
from tests.regions import CATEGORIES, make_region_fold, region_config


@pytest.fixture(scope="module")
def config():
    return region_config()


@pytest.fixture(scope="module")
def table(config, tmp_path_factory):
    return make_region_fold(tmp_path_factory.mktemp("regions"), config)


@pytest.fixture(scope="module")
def weights(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("generator") / "weights.safetensors"
    network = image_generator(config.synthesizers["dcgan"].painter, config, seed=4)
    for name, tensor in network.state_dict().items():
        if "weight" in name and tensor.dim() > 1:
            tensor.mul_(20)  # so that images differ by more than rounding
    save_weights(path, network.state_dict(), {"label": "generator"})
    return path


def bank(config, table, weights, folder, shards=2, order=None):
    return paint_bank(config, table, folder, shards, "dcgan", weights, order=order)


def test_any_number_of_shards_gives_the_same_manifest_and_images(config, table, weights, tmp_path):
    contents = []
    for shards in (1, 3):
        manifest = bank(config, table, weights, tmp_path / str(shards), shards, list(reversed(range(shards))))
        contents.append((manifest.read_bytes(), {p.name: p.read_bytes() for p in (manifest.parent / "bank").iterdir()}))
    assert contents[0] == contents[1]


def test_a_larger_bank_begins_with_a_smaller_one(config, table, weights, tmp_path):
    synthesis = config.synthesis.model_copy(update={"images_per_category": 9})
    small = read_table(bank(config, table, weights, tmp_path / "small"), MANIFEST)
    large = read_table(bank(config.model_copy(update={"synthesis": synthesis}), table, weights, tmp_path / "large"), MANIFEST)
    large = large[large["draw"] < 6].reset_index(drop=True)
    assert large.equals(small)


def test_every_category_has_as_many_images_as_asked_for(config, table, weights, tmp_path):
    rows = read_table(bank(config, table, weights, tmp_path), MANIFEST)
    assert rows.groupby("organ")["draw"].apply(sorted).to_dict() == {name: list(range(6)) for name in CATEGORIES}
    assert (rows["outcome"] == "accepted").all()
    assert rows["lesion_id"].tolist() == [f"{row.organ}.{row.draw}" for row in rows.itertuples()]
    assert rows["case_id"].tolist() == [f"blank.{name}" for name in rows["organ"]]
    assert (rows["patient_id"] == "").all()
    assert rows["lesion_id"].is_unique
    assert rows["seed"].is_unique


def test_the_bank_holds_the_whole_image_that_is_made_from_the_key(config, table, weights, tmp_path):
    manifest = bank(config, table, weights, tmp_path)
    synthesizer = assemble("dcgan", config, [], torch.device("cpu"), weights)
    images = set()
    for _, row in read_table(manifest, MANIFEST).iterrows():
        made = draw_image(FoldSynthesizer(config, synthesizer, "dcgan", 0), row["organ"], row["draw"])
        image = read_image(manifest, row)
        assert image.shape == (16, 16)
        assert np.array_equal(image, made.image[0])
        assert json.loads(row["corner"]) == [0, 0, 0]
        images.add(image.tobytes())
    assert len(images) == 18
