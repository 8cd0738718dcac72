"""Valid files of every unusual kind are read as the voxels and the place that they hold, and can be put back."""

import nibabel
import numpy as np
import pytest

from freetumor.core.config import Checks
from freetumor.preprocessing.checks import check_hounsfield
from freetumor.preprocessing.quarantine import CaseRefused
from freetumor.preprocessing.reader import read_image
from tests.preprocessing.mutations import IMAGE
from tests.preprocessing.oddities import TURNS, Oddity, all_oddities
from tests.preprocessing.samples import AFFINE, write_nifti

ODDITIES = all_oddities()
LIMITS = Checks(spacing=(0.3, 10))


def verdict(oddity: Oddity, folder) -> str:
    """What is wrong with how the reader sees a file; nothing if it is accepted as what it is."""
    path = oddity.write(folder)
    try:
        volume = read_image(path, LIMITS)
        check_hounsfield(volume.array, path)
    except CaseRefused as refusal:
        return f"{refusal.code}: {refusal.reason}"
    if not np.array_equal(volume.array, oddity.image):
        return "other voxels"
    return "" if np.allclose(volume.affine, oddity.affine, atol=2e-3) else "another place"


def test_all_valid_files_are_accepted_as_they_are(tmp_path):
    assert len(ODDITIES) >= 200
    assert len({oddity.name for oddity in ODDITIES}) == len(ODDITIES)
    wrong = {oddity.name: text for oddity in ODDITIES if (text := verdict(oddity, tmp_path))}
    assert wrong == {}


@pytest.mark.parametrize("start", range(0, 48, 12))
def test_a_canonical_volume_can_be_put_back_into_all_48_storage_orders(tmp_path, start):
    for order, signs in TURNS[start : start + 12]:
        plain = nibabel.Nifti1Image(IMAGE.transpose(2, 1, 0), AFFINE)
        stored = plain.as_reoriented(np.stack([order, signs], axis=1))
        path = write_nifti(tmp_path / "image.nii", np.ascontiguousarray(np.asarray(stored.dataobj).T), stored.affine)
        volume = read_image(path, Checks())
        np.testing.assert_array_equal(volume.array, IMAGE)
        back = nibabel.Nifti1Image(volume.array.transpose(2, 1, 0), volume.affine)
        axes = [nibabel.io_orientation(image.affine) for image in (back, stored)]
        again = back.as_reoriented(nibabel.orientations.ornt_transform(*axes))
        np.testing.assert_array_equal(np.asarray(again.dataobj), np.asarray(stored.dataobj))
        np.testing.assert_allclose(again.affine, stored.affine, atol=1e-4)
