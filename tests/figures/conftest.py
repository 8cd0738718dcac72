"""A made-up study and all its figures, made once."""

from pathlib import Path

import pytest

from tests.figures.made_config import INPUTS, Study
from tests.figures.made_study import make_study
from tests.once import once


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    """The made-up study, made once."""
    return once(tmp_path_factory, "study", lambda: make_study(tmp_path_factory.mktemp("study")))


@pytest.fixture(scope="session")
def drawn(study, tmp_path_factory) -> Path:
    """A folder with all figures, drawn once."""

    def draw() -> Path:
        folder = tmp_path_factory.mktemp("figures")
        for name in INPUTS:
            study.draw(name, folder / f"{name}.png")
        return folder

    return once(tmp_path_factory, "figures", draw)
