"""A small bank, painted once."""

import pytest

from freetumor.core.tables import FOLD_CASES, MANIFEST, read_table
from tests.factory import paint_bank


@pytest.fixture(scope="session")
def manifest(study, fold, tmp_path_factory):
    return paint_bank(study, fold, tmp_path_factory.mktemp("bank"), 2)


@pytest.fixture(scope="session")
def rows(manifest):
    return read_table(manifest, MANIFEST)


@pytest.fixture(scope="session")
def cases(fold, study):
    """Cases that may be painted on, by id."""
    from freetumor.synthesizer.cases import open_cases

    return {case.case_id: case for case in open_cases(read_table(fold, FOLD_CASES), study, "train", "pool")}
