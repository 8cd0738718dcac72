"""Painting inside a MONAI pipeline: seeded, exact outside the lesions, also in workers."""

import pickle

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, ThreadDataLoader
from monai.transforms import Compose, RandFlipd, ScaleIntensityRanged

from freetumor.core.errors import UserError
from freetumor.synthesis import RandPaintTumord
from tests.factory import SPACING, make_volume

AFFINE = torch.diag(torch.tensor([*SPACING[::-1], 1.0]))
SMALL = {"painter": {"kind": "constant"}, "shape": {"radius": {"small": 8.0}, "probability": {"small": 1.0}}}


def item(index=0, tumors=True):
    image, label = make_volume(index, tumors)
    image = MetaTensor(torch.from_numpy(image.transpose(2, 1, 0).astype(np.float32).copy())[None], affine=AFFINE)
    return {"image": image, "label": MetaTensor(torch.from_numpy(label.transpose(2, 1, 0).copy())[None], affine=AFFINE)}


def transform(**changes):
    settings = {"organ": 1, "tumor": 2, "synthesizer": SMALL, "prob": 1.0} | changes
    return RandPaintTumord(["image", "label"], **settings).set_random_state(seed=3)


def same(a, b):
    return torch.equal(torch.as_tensor(a["image"]), torch.as_tensor(b["image"])) and torch.equal(
        torch.as_tensor(a["label"]), torch.as_tensor(b["label"])
    )


def test_only_healthy_organ_under_the_new_label_changes():
    data = item(tumors=False)
    before = {key: value.clone() for key, value in data.items()}
    tiny = {"painter": {"kind": "constant"}, "shape": {"radius": {"tiny": 4.0}, "probability": {"tiny": 1.0}}}
    result = transform(lesions=(2, 2), synthesizer=tiny)(data)
    assert same(data, before)  # the input is left alone
    changed = torch.as_tensor(result["image"] != data["image"])
    labeled = torch.as_tensor(result["label"] != data["label"])
    assert result["painted"] == 2
    assert torch.equal(changed, labeled)
    assert (data["label"][labeled] == 1).all()
    assert (result["label"][labeled] == 2).all()
    assert (result["image"] - data["image"])[changed].mean() < -20
    assert isinstance(result["image"], MetaTensor)
    assert torch.equal(result["image"].affine, AFFINE.to(result["image"].affine))


def test_the_lesion_has_its_size_in_mm_along_every_axis():
    extents = []
    for seed in range(10):
        result = transform().set_random_state(seed=seed)(item(tumors=False))
        voxels = torch.nonzero(torch.as_tensor(result["label"] == 2)[0])
        if len(voxels):
            extents.append(((voxels.amax(0) - voxels.amin(0) + 1) * torch.tensor(SPACING[::-1])).numpy())
    mean = np.mean(extents, axis=0)
    assert (np.abs(mean - 16) < 6).all()


def test_windowed_images_change_as_much_in_hu():
    low, high = -175, 250
    scale = ScaleIntensityRanged("image", low, high, 0, 1, clip=False)
    plain, scaled = transform()(item()), transform(window=(low, high))(scale(item()))
    assert torch.equal(torch.as_tensor(plain["label"]), torch.as_tensor(scaled["label"]))
    change = (torch.as_tensor(scaled["image"]) - torch.as_tensor(scale(item())["image"])) * (high - low)
    assert torch.allclose(change, torch.as_tensor(plain["image"] - item()["image"]), atol=0.01)


def test_arrays_need_a_spacing_and_give_the_same():
    data = {key: value.numpy() for key, value in item().items()}
    with pytest.raises(ValueError, match="spacing: must be given"):
        transform()(data)
    assert same(transform(spacing=SPACING[::-1])(data), transform()(item()))


def test_the_seed_decides_and_pickling_changes_nothing():
    first, second = transform(), pickle.loads(pickle.dumps(transform()))
    a, b = [first(item()) for _ in range(3)], [second(item()) for _ in range(3)]
    assert all(same(x, y) for x, y in zip(a, b, strict=True))
    assert not same(a[0], a[1])
    assert not same(transform().set_random_state(seed=4)(item()), a[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_it_works_in_the_workers_of_a_loader(workers):
    chain = Compose([transform(), RandFlipd(["image", "label"], prob=0.5)])
    chain.set_random_state(seed=5)
    data = Dataset([item(index) for index in range(4)], chain)
    batches = list(DataLoader(data, batch_size=2, num_workers=workers))
    assert len(batches) == 2
    assert all((batch["label"] == 2).any() for batch in batches)
    assert sum(int(batch["painted"].sum()) for batch in batches) >= 3


def test_it_works_in_a_thread_loader():
    batches = list(ThreadDataLoader(Dataset([item(index) for index in range(3)], transform()), batch_size=1, num_workers=0))
    assert sum(int(batch["painted"].sum()) for batch in batches) >= 2


def test_a_probability_of_zero_paints_nothing():
    data = item()
    assert same(transform(prob=0.0)(data), data)
    assert transform(prob=0.0)(data)["painted"] == 0


def test_a_patch_without_the_organ_is_returned_unchanged():
    data = item()
    data["label"] = torch.zeros_like(data["label"])
    result = transform()(data)
    assert same(result, data)
    assert result["painted"] == 0


def test_mistakes_are_named():
    with pytest.raises(UserError, match="expected parts that need no training"):
        transform(synthesizer={"painter": {"kind": "difference"}})
    with pytest.raises(ValueError, match="keys: expected an image and a label"):
        RandPaintTumord(["image"])
    with pytest.raises(ValueError, match="lesions: expected least and most"):
        transform(lesions=(3, 1))
    data = item()
    data["label"] = data["label"][:, 1:]
    with pytest.raises(ValueError, match="of one shape"):
        transform()(data)


def test_a_trained_synthesizer_refuses_images_of_another_spacing(study, untrained):
    from freetumor.synthesizer.assembly import assemble

    trained = assemble("freetumor", study, [], torch.device("cpu"), untrained["freetumor"], untrained["segmenter"])
    assert trained.spacing == SPACING
    assert transform(synthesizer=trained).synthesizer is trained
    transform(synthesizer=trained)(item(tumors=False))
    data = {key: MetaTensor(value.as_tensor(), affine=AFFINE * 0.5) for key, value in item().items()}
    with pytest.raises(ValueError, match=r"trained at 3 x 2\.5 x 2\.5 mm \(z, y, x\), the image has 1\.5 x 1\.25 x 1\.25"):
        transform(synthesizer=trained)(data)
