"""The volume store: what is written is what is read, and writing many arrays costs no more per array than writing one."""

import blosc2
import numpy as np
import pytest

from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.preprocessing.store import BLOCK, CHUNK, open_array, read_array, read_patch, write_array


@pytest.mark.parametrize(("shape", "dtype"), [((70, 20, 3), np.int16), ((5, 6, 7), np.uint8), ((4, 12, 12), np.float32)])
def test_an_array_is_read_as_it_was_written(shape, dtype, tmp_path):
    array = generator("store", *shape).normal(0, 50, shape).astype(dtype)
    write_array(tmp_path / "a.b2nd", array)
    found = read_array(tmp_path / "a.b2nd")
    assert found.dtype == dtype
    assert np.array_equal(found, array)


def test_the_bytes_are_those_of_the_library_s_own_way_to_store_an_array(tmp_path):
    array = generator("store").normal(0, 50, (70, 20, 30)).astype(np.int16)
    write_array(tmp_path / "a.b2nd", array)
    chunks = tuple(min(CHUNK, length) for length in array.shape)
    how = {"codec": blosc2.Codec.ZSTD, "clevel": 3, "nthreads": 1}
    blocks = tuple(min(BLOCK, length) for length in chunks)
    blosc2.asarray(array, chunks=chunks, blocks=blocks, cparams=how, urlpath=str(tmp_path / "b.b2nd"), mode="w")
    assert (tmp_path / "a.b2nd").read_bytes() == (tmp_path / "b.b2nd").read_bytes()


def test_a_patch_is_a_part_of_the_array_and_fill_beyond_it(tmp_path):
    array = generator("store").integers(-50, 50, (9, 10, 11)).astype(np.int16)
    write_array(tmp_path / "a.b2nd", array)
    padded = np.pad(array, 20, constant_values=-1024)
    for corner in ((0, 0, 0), (-3, 2, 8), (5, -4, 3), (15, 0, 0), (-19, 3, 3)):
        expected = padded[tuple(slice(start + 20, start + 25) for start in corner)]
        for source in (open_array(tmp_path / "a.b2nd"), array):
            assert np.array_equal(read_patch(source, corner, (5, 5, 5), -1024), expected)


def test_the_library_remembers_nothing_of_the_arrays_that_were_written(tmp_path):
    """Each write looked once for the folders of all arrays that its process had written before."""
    from blosc2 import indexing

    def remembered():
        return {name: len(value) for name, value in vars(indexing).items() if name.startswith("_") and isinstance(value, dict)}

    before = remembered()
    for number in range(5):
        write_array(tmp_path / f"{number}.b2nd", np.ones((4, 5, 6), np.int16))
        read_patch(open_array(tmp_path / f"{number}.b2nd"), (0, 0, 0), (2, 2, 2), 0)
    assert remembered() == before


def test_a_damaged_file_is_a_user_error(tmp_path):
    (tmp_path / "a.b2nd").write_bytes(b"damaged")
    for name in ("a.b2nd", "missing.b2nd"):
        with pytest.raises(UserError, match=rf"{name}: not a readable array"):
            open_array(tmp_path / name)
