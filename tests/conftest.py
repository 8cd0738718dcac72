"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real CT with tumor masks, from FREETUMOR_REAL_DATA or beside the checkout; skips without it."""
    folder = Path(os.environ.get("FREETUMOR_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "sts").is_dir():
        pytest.skip(f"no real data: {folder} does not hold the folder 'sts' (set FREETUMOR_REAL_DATA)")
    return folder
