"""Copies are found however they were disguised, and different scans are told apart."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from freetumor.core.config import Checks
from freetumor.preprocessing.duplicates import ALIKE, Pair, connect, find_pairs
from freetumor.preprocessing.geometry import resample_image, working_shape
from freetumor.preprocessing.host import find_body
from freetumor.preprocessing.identity import correlations, fingerprint, landmarks, picture, voxel_hash
from freetumor.preprocessing.landmarks import (
    CORNERS,
    Landmarks,
    coarse_grid,
    decode_landmarks,
    encode_landmarks,
    find_landmarks,
)
from freetumor.preprocessing.parts import MIRRORS, describe, find_parts
from freetumor.preprocessing.reader import read_image
from tests.preprocessing.samples import SPACING, make_ct


def identify(image: np.ndarray, spacing: tuple[float, ...]) -> dict[str, str]:
    """The two columns that duplicates are found by."""
    return {"voxel_hash": voxel_hash(image), "fingerprint": fingerprint(image, find_body(image, spacing).box(), spacing)}


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


def places(pairs: list[Pair]) -> list[tuple[int, int]]:
    """The rows of each pair."""
    return [(pair.one, pair.other) for pair in pairs]


def cropped(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Four fifths of each axis, anywhere."""
    lengths = [round(0.8 * length) for length in image.shape]
    starts = [int(rng.integers(0, length - kept + 1)) for length, kept in zip(image.shape, lengths, strict=True)]
    return image[tuple(slice(start, start + kept) for start, kept in zip(starts, lengths, strict=True))]


@pytest.fixture(scope="module")
def bodies() -> list[tuple[np.ndarray, tuple[float, ...]]]:
    """Five oval bodies of random soft tissue in air, and their spacings."""
    made = []
    for seed in range(5):
        rng, spacing = np.random.default_rng(seed), (3.0 + 0.5 * seed, 2.0, 2.0)
        shape = (round(200 / spacing[0]), 90, 120)
        y, x = np.ogrid[-1:1:90j, -1:1:120j]
        waves = [gaussian_filter(rng.normal(size=shape), [width / step for step in spacing]) for width in (9, 25)]
        tissue = 40 + sum(50 * wave / wave.std() for wave in waves)
        inside = np.broadcast_to(y**2 + x**2 < 0.9, shape)
        made.append((np.rint(np.where(inside, tissue, -1000) + rng.normal(0, 5, shape)).astype(np.int16), spacing))
    return made


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


def test_parts_of_a_scan_are_found_mirrored_and_noisy_and_no_other_patient(bodies):
    rng = np.random.default_rng(3)
    rows = [identify(image, spacing) for image, spacing in bodies]
    for number, (image, spacing) in enumerate(bodies):
        part = cropped(image, rng)[:: 1 - 2 * (number % 2), :, :: -1 if number % 3 else 1]
        rows.append(identify(np.rint(part + rng.normal(0, 5, part.shape)).astype(np.int16), spacing))
    pairs = find_pairs(pd.DataFrame(rows))
    assert places(pairs) == [(number, number + len(bodies)) for number in range(len(bodies))]
    assert {pair.kind for pair in pairs} == {"part"}
    assert min(pair.correlation for pair in pairs) > 0.95


def test_parts_on_other_voxels_are_found(bodies):
    image, spacing = bodies[0]
    part = cropped(image, np.random.default_rng(1))
    box = tuple((0, length) for length in part.shape)
    other = resample_image(part, box, working_shape(box, spacing, (1.5, 1.5, 1.5)))
    table = pd.DataFrame([identify(image, spacing), identify(bodies[1][0], bodies[1][1]), identify(other, (1.5, 1.5, 1.5))])
    assert places(find_pairs(table)) == [(0, 2)]


def test_landmarks_survive_their_text(bodies):
    image, spacing = bodies[0]
    found = find_landmarks(coarse_grid(image.clip(-200, 300).astype(np.float32), spacing))
    read = decode_landmarks(encode_landmarks(found))
    assert 20 < len(read.places) <= 96
    np.testing.assert_allclose(read.places, found.places, atol=0.051)
    np.testing.assert_allclose(read.values, found.values, atol=2.001)


def test_terms_do_not_depend_on_mirrors():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 50, (7, 2, 8))
    plain = describe(Landmarks(np.zeros((7, 3)), values.reshape(7, 16)))
    for signs in MIRRORS:
        order = [int(np.flatnonzero((corner * signs == CORNERS).all(axis=1))[0]) for corner in CORNERS]
        turned = Landmarks(np.zeros((7, 3)), values[..., order].reshape(7, 16))
        np.testing.assert_allclose(describe(turned), plain, atol=1e-4)


def test_the_search_for_parts_by_blocks_finds_the_same(bodies, monkeypatch):
    rng = np.random.default_rng(3)
    scans = [landmarks(identify(image, spacing)["fingerprint"]) for image, spacing in bodies]
    scans += [landmarks(identify(cropped(image, rng), spacing)["fingerprint"]) for image, spacing in bodies]
    expected = find_parts(scans)
    monkeypatch.setattr("freetumor.preprocessing.parts.BLOCK", 50)
    assert find_parts(scans) == expected
    assert len(expected) == len(bodies)


def test_exact_copies_are_found_by_their_hash():
    image = make_ct()[0]
    table = pd.DataFrame([identify(image, SPACING), identify(make_ct(5)[0][:, ::-1] * 2, SPACING), identify(image, SPACING)])
    assert find_pairs(table) == [Pair(0, 2, "exact", 1.0)]


def test_the_search_by_blocks_agrees_with_comparing_all_pairs(monkeypatch):
    monkeypatch.setattr("freetumor.preprocessing.duplicates.BLOCK", 7)
    table = random_table(40, [(3, 20), (3, 31), (11, 12), (0, 39)])
    pictures = [picture(text) for text in table["fingerprint"]]
    expected = [(i, j) for i, j in combinations(range(40), 2) if max(correlations(pictures[i], pictures[j])) >= ALIKE]
    assert places(find_pairs(table)) == expected
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
