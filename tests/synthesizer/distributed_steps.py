"""Steps of every training, by as many processes as torchrun starts: gradients and recorded numbers go to a file.

torchrun --nproc-per-node 2 tests/synthesizer/distributed_steps.py CASES REGIONS OUTPUT
"""

import sys
from pathlib import Path

import torch

from freetumor.core.config import Compute
from freetumor.core.device import prepare
from freetumor.core.tables import FOLD_CASES, read_table
from freetumor.recognition.batches import ArmBatches
from freetumor.synthesizer.adversarial import AdversarialTraining
from freetumor.synthesizer.assembly import segmenter_network
from freetumor.synthesizer.cases import open_cases
from freetumor.synthesizer.gan import GanTraining, training_images
from freetumor.synthesizer.regions import open_regions
from freetumor.synthesizer.segmentation import SegmentationTraining
from tests.factory import small_config
from tests.regions import region_config

STEPS = 1


def trainings(cases, regions, device):
    """Each training with its networks, by name; batches of four."""
    study = small_config()
    table = read_table(cases, FOLD_CASES)
    labeled, pool = open_cases(table, study, "train"), open_cases(table, study, "pool")

    training = study.recognition.training.model_copy(update={"batch": 4})
    batches = ArmBatches(study.arms["cutmix"], study, labeled, None, training.batch, "key")
    network = segmenter_network(study.segmenter.network, study, seed=3)
    made = SegmentationTraining(network, training, batches, labeled[:1], study, device)
    yield "segmentation", made, [made.network]

    settings = study.synthesizers["freetumor"]
    painter = settings.painter.model_copy(update={"training": settings.painter.training.model_copy(update={"batch": 4})})
    study = study.model_copy(update={"synthesizers": {"freetumor": settings.model_copy(update={"painter": painter})}})
    segmenter = segmenter_network(study.segmenter.network, study, seed=1).eval().requires_grad_(False)
    made = AdversarialTraining("freetumor", 0, study, segmenter, labeled, pool, device)
    yield "adversarial", made, [made.generator, made.discriminator]

    study = region_config()
    painter = study.synthesizers["acgan"].painter
    images, categories = training_images(open_regions(read_table(regions, FOLD_CASES), study, "train"), painter.group, study)
    made = GanTraining(painter, study, images, categories, device, 1, "acgan")
    yield "gan", made, [made.generator, *(pair.discriminator for pair in made.pairs)]


def main():
    """Do the steps."""
    cases, regions, output = map(Path, sys.argv[1:])
    device = prepare(Compute(device="cpu"))
    found = {}
    for name, training, networks in trainings(cases, regions, device):
        records = [device.average(training.step(step)) for step in range(1, STEPS + 1)]
        gradients = {
            f"{place}.{key}": parameter.grad
            for place, network in enumerate(networks)
            for key, parameter in network.named_parameters()
        }
        buffers = {f"{place}.{key}": value for place, network in enumerate(networks) for key, value in network.named_buffers()}
        found[name] = {"records": records, "gradients": gradients, "buffers": buffers}
    device.barrier()
    if device.leads:
        torch.save(found, output)


main()
