"""Fixtures shared by all tests."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

# The same examples on every run, and no failure because the machine is busy.
hypothesis.settings.register_profile("repository", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repository")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: sums differ between thread counts

if TYPE_CHECKING:
    from freetumor.core.config import Config

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that run the workflow come first: they take longest, and the others then fill both processes to the end."""
    items.sort(key=lambda item: item.get_closest_marker("workflow") is None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real CT with tumor masks, from FREETUMOR_REAL_DATA or beside the checkout; skips without it."""
    folder = Path(os.environ.get("FREETUMOR_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "sts").is_dir():
        pytest.skip(f"no real data: {folder} does not hold the folder 'sts' (set FREETUMOR_REAL_DATA)")
    return folder


@pytest.fixture(scope="session")
def study() -> "Config":
    """A study of two organs with tiny networks."""
    from tests.factory import small_config

    return small_config()


@pytest.fixture(scope="session")
def fold(tmp_path_factory) -> Path:
    """Fold table of three training, one validation, two test and two pool cases; never written to."""
    from tests.factory import make_fold

    return make_fold(tmp_path_factory.mktemp("fold"))


@pytest.fixture(scope="session")
def untrained(study, tmp_path_factory) -> dict[str, Path]:
    """Weights as they were drawn: of the segmenter, and of each generator of the study, by name."""
    from freetumor.core.weights import save_weights
    from freetumor.synthesizer.assembly import generator_network, segmenter_network

    folder = tmp_path_factory.mktemp("weights")
    networks = {"segmenter": segmenter_network(study.segmenter.network, study, seed=1)}
    for name, settings in study.synthesizers.items():
        if settings.trained:
            networks[name] = generator_network(settings, study, seed=2)
    for name, network in networks.items():
        save_weights(folder / f"{name}.safetensors", network.state_dict(), {"label": name})
    return {name: folder / f"{name}.safetensors" for name in networks}
