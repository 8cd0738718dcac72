"""Copies are found however they were disguised, and different scans are told apart."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core.config import Checks
from freetumor.preprocessing.duplicates import ALIKE, connect, find_pairs
from freetumor.preprocessing.geometry import resample_image, working_shape
from freetumor.preprocessing.host import body_mask
from freetumor.preprocessing.identity import correlations, fingerprint, picture, voxel_hash
from freetumor.preprocessing.reader import read_image
from tests.preprocessing.samples import SPACING, make_ct


def identify(image: np.ndarray, spacing: tuple[float, ...]) -> dict[str, str]:
    """The two columns that duplicates are found by."""
    return {"voxel_hash": voxel_hash(image), "fingerprint": fingerprint(image, body_mask(image, spacing))}


def disguises(image: np.ndarray, spacing: tuple[float, ...]) -> dict[str, tuple[np.ndarray, tuple[float, ...]]]:
    """Copies of a scan that are not equal voxel for voxel."""
    box = tuple((0, length) for length in image.shape)
    fine = working_shape(box, spacing, (1.5, 1.5, 1.5))
    noise = np.random.default_rng(0).normal(0, 5, image.shape)
    return {
        "noise": (np.rint(image + noise).astype(np.int16), spacing),
        "offset": ((image + 10).astype(np.int16), spacing),
        "resampled": (resample_image(image, box, fine), (1.5, 1.5, 1.5)),
        "flipped": (np.ascontiguousarray(image[:, :, ::-1]), spacing),
        "turned": (np.ascontiguousarray(image[::-1, ::-1]), spacing),
        "padded": (np.pad(image, ((0, 0), (9, 0), (0, 20)), constant_values=-1024), spacing),
    }


def random_table(count: int, copies: list[tuple[int, int]]) -> pd.DataFrame:
    """Independent random pictures; ``copies`` are (original, copy), noisy and flipped."""
    rng = np.random.default_rng(7)
    pictures = rng.normal(0, 32, (count, 12, 12, 12))
    for original, copy in copies:
        pictures[copy] = pictures[original, ::-1, :, ::-1] + rng.normal(0, 3, (12, 12, 12))
    levels = (pictures.round().clip(-127, 127) + 128).astype(np.uint8)
    return pd.DataFrame({"voxel_hash": [str(i) for i in range(count)], "fingerprint": [one.tobytes().hex() for one in levels]})


def test_a_voxel_more_or_less_changes_the_hash():
    image = make_ct()[0]
    changed = image.copy()
    changed[3, 4, 5] += 1
    hashes = [voxel_hash(image), voxel_hash(changed), voxel_hash(image.reshape(image.shape[0], -1)[:, :, None])]
    assert len(set(hashes)) == 3
    assert voxel_hash(image.astype(">i2")) == hashes[0]
    assert voxel_hash(np.asfortranarray(image)) == hashes[0]


def test_disguised_copies_of_real_scans_are_found_and_nothing_else(real_data):
    rows, names = [], []
    for path in [*sorted((real_data / "sts/ct").glob("*.nii.gz"))[::3], real_data / "abdomen/ct_3mm.nii.gz"]:
        volume = read_image(path, Checks())
        rows.append(identify(volume.array, volume.spacing))
        names.append(path.name)
        for image, spacing in disguises(volume.array, volume.spacing).values():
            rows.append(identify(image, spacing))
            names.append(path.name)
    table = pd.DataFrame(rows)
    components = connect(len(table), find_pairs(table))
    for one, other in combinations(range(len(table)), 2):
        assert (components[one] == components[other]) == (names[one] == names[other]), (names[one], names[other])


def test_exact_copies_are_found_by_their_hash():
    image = make_ct()[0]
    table = pd.DataFrame([identify(image, SPACING), identify(make_ct(5)[0][:, ::-1] * 2, SPACING), identify(image, SPACING)])
    assert find_pairs(table) == [(0, 2)]


def test_the_search_by_blocks_agrees_with_comparing_all_pairs(monkeypatch):
    monkeypatch.setattr("freetumor.preprocessing.duplicates.BLOCK", 7)
    table = random_table(40, [(3, 20), (3, 31), (11, 12), (0, 39)])
    pictures = [picture(text) for text in table["fingerprint"]]
    expected = [(i, j) for i, j in combinations(range(40), 2) if max(correlations(pictures[i], pictures[j])) >= ALIKE]
    assert find_pairs(table) == expected
    assert {(3, 20), (3, 31), (20, 31), (11, 12), (0, 39)} == set(expected)


def test_constant_pictures_are_like_nothing():
    table = pd.DataFrame({"voxel_hash": ["a", "b"], "fingerprint": ["80" * 12**3] * 2})
    assert find_pairs(table) == []


@pytest.mark.parametrize("value", [0, 1, 2])
def test_small_tables_have_no_pairs(value):
    assert find_pairs(random_table(value, [])) == []


@given(st.integers(1, 30), st.data())
def test_components_agree_with_walking_the_graph(count, data):
    pairs = data.draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=40))
    found = connect(count, pairs)
    for start in range(count):
        reached, todo = set(), [start]
        while todo:
            node = todo.pop()
            if node not in reached:
                reached.add(node)
                todo += [b if a == node else a for a, b in pairs if node in (a, b)]
        assert found[start] == min(reached)
