"""A deck for a Visual Turing Test is balanced, shuffled, and tells a reader nothing."""

import re

import numpy as np
import pytest
from PIL import Image

from freetumor.core.errors import UserError
from freetumor.core.tables import FOLD_CASES, MANIFEST, make_table, read_table, write_table
from freetumor.synthesis.deck import KEY, export_deck
from tests.factory import EMPTY_ROW, bank_image
from tests.regions import CATEGORIES, make_region, make_region_fold, region_config

IMAGES = 5


@pytest.fixture(scope="module")
def config():
    return region_config()


@pytest.fixture(scope="module")
def table(config, tmp_path_factory):
    return make_region_fold(tmp_path_factory.mktemp("regions"), config)


def write_bank(folder, seed=0):
    """A manifest of images that look like the real ones."""
    rows = []
    for index, category in enumerate(CATEGORIES):
        for draw in range(IMAGES):
            row = EMPTY_ROW | {"lesion_id": f"{category}.{draw}", "organ": category, "draw": draw, "synthesizer": "dcgan"}
            image = make_region(index, 100 + draw, 16, 16)
            rows.append(row | {"seed": seed + 10 * index + draw} | bank_image(folder, f"{category}.{draw}", image))
    write_table(make_table(rows, MANIFEST), folder / "manifest.parquet", MANIFEST)
    return folder / "manifest.parquet"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_bank(tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def deck(config, table, manifest, tmp_path_factory):
    output = tmp_path_factory.mktemp("deck") / "deck.csv"
    export_deck(config, table, manifest, output)
    return output


def test_half_of_each_category_is_real_and_none_of_it_was_trained_on(deck, table):
    key = read_table(deck, KEY)
    assert key.groupby(["category", "kind"]).size().to_dict() == {(c, k): 3 for c in CATEGORIES for k in ("real", "synthetic")}
    parts = read_table(table, FOLD_CASES).set_index("case_id")["part"]
    assert set(parts[key.loc[key["kind"] == "real", "origin"]]) == {"test"}
    assert key["origin"].is_unique
    assert all(row.category in row.origin for row in key.itertuples())


def test_the_folder_for_readers_holds_no_answer(deck):
    key = read_table(deck, KEY)
    folder = deck.parent / "deck"
    assert {path.name for path in folder.iterdir()} == {*key["file"], "index.html"}
    page = (folder / "index.html").read_text()
    for origin in key["origin"]:
        assert origin not in page
    assert all(re.fullmatch(r"[0-9a-f]{16}\.png", name) for name in key["file"])
    assert re.search(r"https?://", page) is None  # nothing from outside
    for name in key["file"]:
        assert page.count(name) == 1
    listed = re.findall(r"[0-9a-f]{16}\.png", page)
    assert listed == key["file"].tolist()
    kinds = key["kind"].tolist()
    assert kinds not in (sorted(kinds), sorted(kinds, reverse=True))
    for name in ("cyst", "metastasis", "hemangioma", "real", "synthetic"):
        assert f'"{name}"' in page


def test_real_and_synthetic_pictures_are_made_alike(deck):
    key = read_table(deck, KEY)
    pictures = {name: Image.open(deck.parent / "deck" / name) for name in key["file"]}
    assert {(picture.mode, picture.size) for picture in pictures.values()} == {("L", (256, 256))}
    assert not any(picture.info for picture in pictures.values())
    assert len({picture.tobytes() for picture in pictures.values()}) == len(pictures)


def test_a_picture_shows_the_window(tmp_path):
    from freetumor.synthesis.deck import write_picture

    image = np.full((8, 8), -60.0)
    image[:, 4:] = 300
    image[:4] = 75.2
    write_picture(tmp_path / "a.png", image, (-50, 200))
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    assert picture.shape == (256, 256)
    assert (picture[40, 40], picture[240, 10], picture[240, 250]) == (128, 0, 255)


def test_the_same_deck_every_time_and_another_for_another_bank(config, table, manifest, deck, tmp_path):
    export_deck(config, table, manifest, tmp_path / "deck.csv")
    assert (tmp_path / "deck.csv").read_bytes() == deck.read_bytes()
    for path in (tmp_path / "deck").iterdir():
        assert path.read_bytes() == (deck.parent / "deck" / path.name).read_bytes()
    export_deck(config, table, write_bank(tmp_path / "other", seed=500), tmp_path / "deck.csv")
    again = read_table(tmp_path / "deck.csv", KEY)
    assert not set(again["file"]) & set(read_table(deck, KEY)["file"])
    assert {path.name for path in (tmp_path / "deck").iterdir()} == {*again["file"], "index.html"}  # nothing left over


def test_few_real_images_make_a_smaller_deck_that_is_still_balanced(config, table, manifest, tmp_path, capsys):
    frame = read_table(table, FOLD_CASES)
    write_table(frame[~frame["case_id"].isin(["cyst-005", "cyst-006"])], tmp_path / "cases.parquet", FOLD_CASES)
    export_deck(config, tmp_path / "cases.parquet", manifest, tmp_path / "deck.csv")
    counts = read_table(tmp_path / "deck.csv", KEY).groupby(["category", "kind"]).size()
    assert counts["cyst", "real"] == counts["cyst", "synthetic"] == 1
    assert counts["metastasis", "real"] == 3
    assert "1 instead of 3 images of 'cyst'" in capsys.readouterr().err


def test_a_category_without_real_images_is_a_mistake_of_the_user(config, table, manifest, tmp_path):
    frame = read_table(table, FOLD_CASES)
    write_table(frame[frame["category"] != "cyst"], tmp_path / "cases.parquet", FOLD_CASES)
    with pytest.raises(UserError, match=r"synthesis\.deck_images: 'cyst' has 0 real"):
        export_deck(config, tmp_path / "cases.parquet", manifest, tmp_path / "deck.csv")


def test_titles_are_escaped():
    from freetumor.synthesis.form import answer_form

    assert "<script>alert" not in answer_form("<script>alert(1)</script>", ["a", "b"], ["x.png"])
