"""The body and the rule-made organs are where anatomy says they are."""

import numpy as np
import pytest
from scipy import ndimage

from freetumor.core.config import Checks
from freetumor.preprocessing.geometry import find_box
from freetumor.preprocessing.host import BODY_LEVEL, BODY_OPENING, COARSE, find_body, find_lung, find_muscle
from freetumor.preprocessing.reader import read_image, read_label_file

SPACING = (3.0, 1.0, 1.0)
SHAPE = (24, 150, 150)


def disk(center: tuple[float, float], radius: float) -> np.ndarray:
    """A cylinder along z, radius in mm."""
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    return np.broadcast_to((y - center[0]) ** 2 + (x - center[1]) ** 2 <= radius**2, SHAPE)


def make_thigh() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A thigh of fat, muscle, bone and a tumor, and a thin table below."""
    rng = np.random.default_rng(0)
    parts = {"fat": disk((70, 75), 60), "muscle": disk((70, 75), 48), "bone": disk((70, 75), 12), "tumor": disk((70, 105), 10)}
    image = rng.normal(-1000, 10, SHAPE)
    for name, level in (("fat", -100), ("muscle", 55), ("bone", 900), ("tumor", 40)):
        image[parts[name]] = rng.normal(level, 15, parts[name].sum())
    image[:, 138:141] = 300
    return np.rint(image).astype(np.int16), parts


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_the_body_is_found_without_the_table():
    image, parts = make_thigh()
    body = find_body(image, SPACING).mask()
    assert dice(body, parts["fat"]) > 0.97
    assert not body[:, 136:].any()


def test_cavities_and_two_legs_belong_to_the_body():
    image = np.full(SHAPE, -1000, np.int16)
    legs = disk((70, 40), 30) | disk((70, 110), 30)
    image[legs] = 40
    image[disk((70, 40), 10)] = -1000
    assert dice(find_body(image, SPACING).mask(), legs) > 0.95


@pytest.mark.parametrize("spacing", [(3.0, 1.0, 1.0), (1.4, 0.8, 0.8), (5.0, 2.5, 1.2)])
def test_the_body_agrees_with_its_definition(spacing):
    rng = np.random.default_rng(5)
    image = ndimage.gaussian_filter(rng.normal(0, 1, (23, 61, 70)), (1.5, 5, 5))
    image = (image / image.std() * 500 - 300).astype(np.int16)
    body = find_body(image, spacing)
    strides = [max(1, int(COARSE // step)) for step in spacing]
    steps = [stride * step for stride, step in zip(strides, spacing, strict=True)]
    centers = [np.minimum(np.arange(0, n, s) + s // 2, n - 1) for n, s in zip(image.shape, strides, strict=True)]
    dense = np.pad(image[np.ix_(*centers)] > BODY_LEVEL, 7, mode="edge")
    eroded = ndimage.distance_transform_edt(dense, sampling=steps) > BODY_OPENING / 2 + 1e-6
    opened = (ndimage.distance_transform_edt(~eroded, sampling=steps) <= BODY_OPENING / 2 + 1e-6)[7:-7, 7:-7, 7:-7]
    labels, _ = ndimage.label(opened)
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    kept = (counts >= counts.max() / 10)[labels]
    expected = np.stack([ndimage.binary_fill_holes(plane) for plane in kept])
    assert 0.1 < expected.mean() < 0.9
    assert (expected != kept).any()
    np.testing.assert_array_equal(body.coarse, expected)
    mask = body.mask()
    assert mask.shape == image.shape
    assert body.box() == find_box(mask, 0, spacing)


def test_an_image_without_body_is_body_throughout():
    assert find_body(np.full((5, 9, 9), -1000, np.int16), SPACING).mask().all()


def test_muscle_lies_between_fat_and_bone_and_beside_the_tumor():
    image, parts = make_thigh()
    muscle = find_muscle(image, find_body(image, SPACING).mask(), parts["tumor"], SPACING)
    true = parts["muscle"] & ~parts["bone"] & ~parts["tumor"]
    assert dice(muscle, true) > 0.9
    assert not (muscle & parts["tumor"]).any()
    assert not (muscle & parts["bone"]).any()
    assert (muscle & ~parts["muscle"]).sum() < 0.03 * muscle.sum()


def test_lung_is_air_inside_the_body_without_the_airway():
    image = np.full(SHAPE, -1000, np.int16)
    lungs, airway = disk((75, 45), 25) | disk((75, 105), 25), disk((60, 75), 9)
    image[disk((75, 75), 65)] = 40
    image[lungs] = -850
    image[airway] = -1000
    tumor = disk((75, 45), 6)
    image[tumor] = 30
    lung = find_lung(image, find_body(image, SPACING).mask(), tumor, SPACING)
    assert dice(lung, lungs & ~tumor) > 0.97
    assert not (lung & tumor).any()
    assert (lung & airway).sum() < 0.03 * airway.sum()  # where it touches the lung, the smoothed border is not sharp


@pytest.mark.parametrize(("folder", "image", "label", "codes"), [
    ("lung_4d", "ct", "label", (1, 3)), ("lung_r01", "ct_1.4x1.4x2mm", "lungs_threshold", (1,)),
])  # fmt: skip
def test_real_lungs_are_found(real_data, folder, image, label, codes):
    volume = read_image(real_data / folder / f"{image}.nii.gz", Checks())
    reference = read_label_file(real_data / folder / f"{label}.nii.gz", Checks()).array
    tumor = reference == 3
    thin = slice(None, None, 3)  # a third of the slices is enough here, and faster
    spacing = (volume.spacing[0] * 3, *volume.spacing[1:])
    lung = find_lung(volume.array[thin], find_body(volume.array[thin], spacing).mask(), tumor[thin], spacing)
    assert dice(lung, reference[thin] == codes[0]) > 0.88
    assert not (lung & tumor[thin]).any()


def test_real_sarcomas_border_on_the_muscle_that_the_rule_finds(real_data):
    for name in ("STS_004", "STS_029", "STS_048"):
        volume = read_image(real_data / f"sts/ct/{name}.nii.gz", Checks())
        tumor = read_label_file(real_data / f"sts/gtv/{name}.nii.gz", Checks()).array > 0
        muscle = find_muscle(volume.array, find_body(volume.array, volume.spacing).mask(), tumor, volume.spacing)
        assert not (muscle & tumor).any()
        assert 0.1 < muscle.mean() < 0.5
        z = np.argmax(tumor.sum(axis=(1, 2)))
        rim = np.roll(tumor[z], 4, 0) | np.roll(tumor[z], -4, 0) | np.roll(tumor[z], 4, 1) | np.roll(tumor[z], -4, 1)
        assert (muscle[z] & rim).sum() > 0.3 * (rim & ~tumor[z]).sum()
