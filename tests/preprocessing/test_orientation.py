"""However a volume is stored, its canonical array is the same bit for bit."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from freetumor.core.config import Checks
from freetumor.preprocessing.orientation import Volume, canonicalize, check_affine, corners
from freetumor.preprocessing.quarantine import CaseRefused
from freetumor.preprocessing.reader import read_image
from tests.preprocessing.samples import AFFINE, make_ct, write_nifti

IMAGE, _ = make_ct(shape=(20, 30, 34))
TURNS = list(product(permutations(range(3)), product([1, -1], repeat=3)))


def stored_otherwise(order: tuple[int, ...], signs: tuple[int, ...], rotation: np.ndarray | None = None) -> nibabel.Nifti1Image:
    """The same patient in another storage order, by nibabel's own reorientation."""
    affine = AFFINE if rotation is None else rotation @ AFFINE
    image = nibabel.Nifti1Image(IMAGE.transpose(2, 1, 0), affine)
    return image.as_reoriented(np.stack([order, signs], axis=1))


@pytest.mark.parametrize(("order", "signs"), TURNS)
def test_all_48_storage_orders_give_the_same_canonical_array(tmp_path, order, signs):
    turned = stored_otherwise(order, signs)
    path = write_nifti(tmp_path / "image.nii", np.ascontiguousarray(np.asarray(turned.dataobj).T), turned.affine)
    volume = read_image(path, Checks())
    np.testing.assert_array_equal(volume.array, IMAGE)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)
    assert volume.notes == ()


@pytest.mark.parametrize(("order", "signs"), TURNS[::7])
def test_oblique_volumes_keep_their_rotation(order, signs):
    angle = np.deg2rad(20)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turned = stored_otherwise(order, signs, rotation)
    volume = canonicalize(Volume(np.asarray(turned.dataobj).T, turned.affine))
    np.testing.assert_array_equal(volume.array, IMAGE)
    np.testing.assert_allclose(volume.affine, rotation @ AFFINE, atol=1e-9)


def test_itk_agrees_on_what_canonical_means(tmp_path):
    turned = stored_otherwise((2, 0, 1), (-1, 1, 1))
    path = write_nifti(tmp_path / "image.nii", np.ascontiguousarray(np.asarray(turned.dataobj).T), turned.affine)
    expected = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
    volume = read_image(path, Checks())
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(expected))
    np.testing.assert_allclose(volume.spacing[::-1], expected.GetSpacing(), rtol=1e-6)
    last = [length - 1 for length in expected.GetSize()]
    point = np.array(expected.TransformIndexToPhysicalPoint(last)) * [-1, -1, 1]
    np.testing.assert_allclose(corners(volume.array.shape, volume.affine)[-1], point, atol=1e-4)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd"])
@pytest.mark.parametrize("compress", [False, True])
def test_other_formats_say_the_same(tmp_path, suffix, compress):
    image = sitk.ReadImage(str(write_nifti(tmp_path / "image.nii", IMAGE)))
    sitk.WriteImage(image, str(tmp_path / f"image{suffix}"), compress)
    volume = read_image(tmp_path / f"image{suffix}", Checks())
    np.testing.assert_array_equal(volume.array, IMAGE)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)


@pytest.mark.parametrize(("shear", "notes"), [(0.0, ()), (4e-4, ("affine_repaired",))])
def test_slight_shear_is_repaired_and_noted(shear, notes):
    affine = AFFINE.copy()
    affine[0, 2] = shear * 3.5
    repaired, found = check_affine(affine, "file")
    assert found == notes
    axes = repaired[:3, :3] / np.linalg.norm(repaired[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(repaired, affine, atol=2e-3)


def test_a_tilted_gantry_is_refused():
    affine = AFFINE.copy()
    affine[1, 2] = 0.5
    with pytest.raises(CaseRefused, match="affine_sheared"):
        check_affine(affine, "file")
