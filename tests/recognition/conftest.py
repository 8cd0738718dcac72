"""A classification study with a bank, for the tests of recognition."""

from pathlib import Path

import numpy as np
import pytest

from freetumor.core.config import Config
from freetumor.core.seeding import generator
from freetumor.core.tables import MANIFEST, make_table, write_table
from tests.factory import EMPTY_ROW, bank_image
from tests.regions import CATEGORIES, make_region_fold, region_config

SIZE, HELD = 32, 6  # pixels of a region, and images per category in the bank


@pytest.fixture(scope="session")
def classification() -> Config:
    """A study of 32 x 32 pixels whose arms are parts of each other, with a narrow network and few steps."""
    training = {"steps": 4, "batch": 8, "optimizer": "sgd", "learning_rate": 0.02, "warmup": 0, "schedule": "constant"}
    sets = {"group": 30, "synthesizer": "dcgan", "lesions": "bank"}
    return region_config(
        SIZE,
        arms={
            "plain": {},
            "classic": {"group": 30},
            "few": sets | {"synthetic": 2},
            "many": sets | {"synthetic": 5},
            "online": sets | {"synthetic": 5, "lesions": "online"},
        },
        recognition={
            "network": {"name": "roi_cnn", "channels": [4, 6, 8]},
            "training": training | {"validate_every": 2, "checkpoint_every": 1},
            "arms": ["plain", "classic", "few", "many", "online"],
            "seeds": [1],
        },
    )


@pytest.fixture(scope="session")
def regions(classification, tmp_path_factory) -> Path:
    """Fold table of four training, two validation and three test regions of each category; never written to."""
    return make_region_fold(
        tmp_path_factory.mktemp("regions"), classification, {"train": 4, "validation": 2, "test": 3, "pool": 1}
    )


@pytest.fixture(scope="session")
def image_bank(tmp_path_factory) -> Path:
    """Manifest of a bank of six images per category, whose every pixel tells the category and the draw; rows are shuffled."""
    folder, rows = tmp_path_factory.mktemp("bank"), []
    for index, category in enumerate(CATEGORIES):
        for draw in range(HELD):
            row = EMPTY_ROW | {"lesion_id": f"{category}.{draw}", "case_id": f"blank.{category}", "synthesizer": "dcgan"}
            image = np.full((SIZE, SIZE), 40 * index + draw, np.int16)
            rows.append(row | {"draw": draw, "organ": category} | bank_image(folder, f"{category}.{draw}", image))
    order = generator("tests", "bank").permutation(len(rows))
    write_table(make_table([rows[place] for place in order], MANIFEST), folder / "manifest.parquet", MANIFEST)
    return folder / "manifest.parquet"
