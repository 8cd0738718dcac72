"""A diffusion painter that was trained for seconds paints what it was shown."""

import numpy as np
import pytest
import torch

from freetumor.core.device import Device
from freetumor.core.labels import organ_code, tumor_code
from freetumor.core.seeding import generator
from freetumor.synthesizer.cases import Patch
from freetumor.synthesizer.diffusion import DiffusionPainter
from freetumor.synthesizer.diffusion_training import DiffusionTraining
from freetumor.synthesizer.synthetic import Brush, Mask
from tests.diffusion import SPACING, TRAINING, MadeCase, diffusion_config

CPU = torch.device("cpu")


@pytest.mark.parametrize("contrast", [-60, 60])
def test_it_learns_whether_tumors_are_dark_or_bright(contrast):
    """Painted lesions are darker, or brighter, than the organ as the real ones are."""
    training = TRAINING | {"batch": 2, "learning_rate": 4e-3}
    config = diffusion_config(
        {"channels": [16], "training": training | {"steps": 120}},
        {"channels": [16, 16], "average": 0.9, "timesteps": 50, "training": training | {"steps": 80}},
    )
    cases = [MadeCase(number, contrast) for number in range(4)]
    taught = DiffusionTraining("diffusion", 0, config, cases, [], [], Device(CPU))
    for step in range(1, 201):
        taught.step(step)
    settings = config.synthesizers["diffusion"].painter.diffusion
    painter = DiffusionPainter(taught.painter, settings, config.working.window, CPU)
    changes = []
    for number in range(6):
        case = MadeCase(10 + number, 0)
        patch = case.patch((5, 5, 5), (16, 16, 16))
        lesion = patch.label == tumor_code(0)
        healthy = Patch(
            patch.image, np.where(lesion, organ_code(0), patch.label).astype(np.uint8), (5, 5, 5), SPACING, "c", "p", "s"
        )
        item = Brush(healthy, 0, Mask(lesion), lesion.astype(np.float32), generator("learned", number))
        changes.append((painter.render([item])[0][0] - patch.image)[lesion].mean())
    assert np.mean(changes) * np.sign(contrast) > 10
