"""Grids, storage and noise of the phantom's scanners."""

import gzip
import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from freetumor.core.seeding import generator
from freetumor.download.scanner import SCANNERS, Grid, Scanner, as_stored, make_grid, nifti_bytes, noise

SMALL = (30.0, 40.0, 50.0)
ALL = [scanner for family in SCANNERS.values() for scanner in family]


def autocorrelation(volume, axis, lag):
    first = np.take(volume, range(volume.shape[axis] - lag), axis)
    second = np.take(volume, range(lag, volume.shape[axis]), axis)
    return float((first * second).mean() / (volume**2).mean())


@pytest.mark.parametrize("scanner", ALL, ids=lambda scanner: scanner.name)
def test_a_stored_file_holds_every_voxel_at_its_place_in_the_world(scanner, tmp_path):
    grid = make_grid(scanner, generator("test", scanner.name), SMALL)
    z, y, x = (np.broadcast_to(c, grid.shape) for c in grid.world(tuple(slice(0, n) for n in grid.shape)))
    path = tmp_path / "z.nii.gz"
    # The value of each voxel is its own coordinate in tenths of a millimeter.
    for coordinate, axis, sign in ((z, 2, 1), (y, 1, -1), (x, 0, -1)):  # LPS to RAS
        path.write_bytes(nifti_bytes(np.rint(10 * coordinate).astype(np.int16), grid, scanner))
        image = nibabel.load(path)
        index = np.indices(image.shape).reshape(3, -1)
        world = nibabel.affines.apply_affine(image.affine, index.T)[:, axis]
        np.testing.assert_allclose(sign * np.asarray(image.dataobj).ravel(), 10 * world, atol=0.6)


@pytest.mark.parametrize("scanner", ALL, ids=lambda scanner: scanner.name)
def test_a_reader_that_orients_to_lps_gets_the_canonical_array_back(scanner, tmp_path):
    grid = make_grid(scanner, generator("test", scanner.name), SMALL)
    volume = generator("volume").integers(-1000, 1000, grid.shape).astype(np.int16)
    (tmp_path / "v.nii.gz").write_bytes(nifti_bytes(volume, grid, scanner))
    image = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(tmp_path / "v.nii.gz")), "LPS")
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), volume)
    np.testing.assert_allclose(image.GetSpacing()[::-1], grid.spacing, rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    order=st.sampled_from(list(itertools.permutations(range(3)))),
    flips=st.tuples(*[st.booleans()] * 3),
    tilt=st.floats(-20, 20),
)
def test_storage_changes_the_index_of_a_voxel_but_not_its_place(order, flips, tilt):
    scanner = Scanner("any", (3.0, 1.5, 2.0), 0.0, 0.0, order=order, flips=flips, tilt=tilt)
    grid = make_grid(scanner, generator("any"), (15.0, 12.0, 10.0))
    volume = np.zeros(grid.shape, np.int16)
    voxel = (1, 3, 2)
    volume[voxel] = 1
    stored, affine = as_stored(volume, grid, scanner)
    ras = affine @ [*np.argwhere(stored)[0], 1]
    lps = (grid.matrix @ voxel + grid.origin)[::-1]
    np.testing.assert_allclose(ras[:3], lps * (-1, -1, 1), atol=1e-6)


def test_files_of_equal_content_have_equal_bytes_without_a_time_stamp():
    scanner = ALL[0]
    grid = make_grid(scanner, generator("g"), SMALL)
    first, second = (nifti_bytes(np.zeros(grid.shape, np.int16), grid, scanner) for _ in range(2))
    assert first == second
    assert first[4:8] == b"\0\0\0\0"  # modification time in the gzip header, RFC 1952
    assert len(gzip.decompress(first)) == 352 + 2 * np.prod(grid.shape)


def test_noise_has_the_standard_deviation_and_the_autocorrelation_measured_in_ct():
    scanner = Scanner("fine", (1.6, 0.745, 0.745), noise=22.0, correlated=0.28)
    shape = (48, 160, 160)
    grid = Grid(shape, scanner.spacing, np.diag(scanner.spacing), np.zeros(3))
    volume = noise(scanner, grid, generator("noise"))
    assert volume.std() == pytest.approx(22.0, rel=0.02)
    assert volume.mean() == pytest.approx(0, abs=0.2)
    for axis in (1, 2):
        measured = [autocorrelation(volume, axis, lag) for lag in (1, 2, 3)]
        assert measured == pytest.approx([0.42, 0.22, 0.18], abs=0.06)
    assert [autocorrelation(volume, 0, lag) for lag in (1, 2, 3)] == pytest.approx([0.23, 0.09, 0.04], abs=0.06)


def test_a_softer_kernel_correlates_more():
    grid = Grid((40, 60, 60), (4.0, 1.8, 1.8), np.diag((4.0, 1.8, 1.8)), np.zeros(3))
    sharp, soft = (noise(Scanner("s", grid.spacing, 20.0, share), grid, generator("kernel")) for share in (0.25, 0.5))
    assert autocorrelation(soft, 2, 1) > autocorrelation(sharp, 2, 1) + 0.08
