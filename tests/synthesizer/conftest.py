"""What the tests of the synthesizer share: opened cases, and synthesizers with untrained networks."""

import pytest
import torch

from freetumor.core.tables import FOLD_CASES, read_table
from freetumor.synthesizer.assembly import assemble
from freetumor.synthesizer.cases import open_cases

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def labeled(fold, study):
    return open_cases(read_table(fold, FOLD_CASES), study, "train")


@pytest.fixture(scope="session")
def pool(fold, study):
    return open_cases(read_table(fold, FOLD_CASES), study, "pool")


@pytest.fixture(scope="session")
def synthesizers(study, labeled, untrained):
    """Every synthesizer of the study, by name."""
    return {
        name: assemble(name, study, labeled, CPU, untrained.get(name), untrained["segmenter"]) for name in study.synthesizers
    }
