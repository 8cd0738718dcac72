"""The plain references do what the descriptions say, and the library paints the same lesions."""

import itertools

import numpy as np
import pytest

from benchmarks import library
from benchmarks.canvases import GRIDS, LIVER_MM, make_canvas, write_canvas
from benchmarks.references import freetumor, pixel2cancer
from benchmarks.references.syntumor import SIZES, SynTumor, bounding_box, deform, make_texture, random_center
from freetumor.core.seeding import generator

DRAWS = 24


@pytest.fixture(scope="module")
def canvas():
    return make_canvas("A")


@pytest.fixture(scope="module")
def files(canvas, tmp_path_factory):
    return write_canvas(canvas, tmp_path_factory.mktemp("canvas"))


@pytest.fixture(scope="module")
def arrays(canvas):
    """Image and label (x, y, z)."""
    image, label = (array.transpose(2, 1, 0) for array in (canvas.image, canvas.label))
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(label)


@pytest.fixture(scope="module")
def syntumor(arrays):
    shape = tuple(side.stop - side.start + 10 for side in bounding_box(arrays[1] == 1))
    return SynTumor(shape, generator("texture"), ((3, 4), (9, 7)))


def test_the_canvas_is_that_of_the_published_measurements(canvas, files):
    organ = canvas.label == 1
    extent = [side.stop - side.start for side in bounding_box(organ)]
    assert np.allclose(np.multiply(extent, canvas.grid.spacing), LIVER_MM, atol=2.5 * canvas.grid.spacing[0])
    assert 1.6 < organ.sum() * canvas.grid.unit**3 / 1e6 < 1.8  # liters
    assert 1.9 < canvas.image.nbytes / files.nifti_image.stat().st_size < 2.4


def test_a_canvas_depends_on_its_name_and_seed_alone():
    first, again, other = (make_canvas("tiny", seed) for seed in (1, 1, 2))
    assert (first.image == again.image).all()
    assert (first.image != other.image).any()
    assert (first.label != other.label).any()


def test_no_voxel_outside_the_organ_changes(arrays, syntumor):
    image, label = (array.copy() for array in arrays)
    syntumor(image, label, "medium", 4, generator("paint"))
    outside = arrays[1] == 0
    assert (image[outside] == arrays[0][outside]).all()
    assert (label[outside] == 0).all()
    assert (label == 2).any()


def test_a_reference_repeats_itself(arrays, syntumor):
    results = []
    for _ in range(2):
        image, label = (array.copy() for array in arrays)
        syntumor(image, label, "small", 3, generator("repeat"))
        results.append((image, label))
    assert all((a == b).all() for a, b in zip(*results, strict=True))


def test_the_center_lies_in_the_middle_and_inside(arrays):
    organ = arrays[1][bounding_box(arrays[1] == 1)] == 1
    depth = organ.shape[2]
    for draw in range(20):
        x, y, z = random_center(organ, generator("center", draw))
        assert organ[x, y, z]
        assert 0.3 * depth - 1 <= z <= 0.7 * depth + 1


def test_a_deformation_without_amplitude_changes_nothing():
    mask = generator("deform").random((12, 12, 12)) < 0.5
    for plane in itertools.combinations(range(3), 2):
        assert (deform(mask, plane, 0.0, generator("none")) == mask).all()
        assert (deform(mask, plane, 2.0, generator("some")) != mask).any()


def test_the_texture_has_the_published_level():
    texture = make_texture((60, 60, 60), 3, 4, generator("level"))
    assert 0.45 < texture[texture > 0.12 * 0.5 / 0.2].mean() < 0.6
    assert 0 <= texture.min() <= texture.max() <= 1


@pytest.mark.parametrize(("size", "most"), [("tiny", 1.6), ("small", 1.5), ("medium", 2.0)])
def test_references_and_library_paint_alike(size, most, arrays, files, canvas, syntumor):
    """Medians over draws: like contrast, and volumes that are larger, since the organ's border cuts less off deeper lesions."""
    image, label = arrays
    published, own = [], []
    synthesizer = library.build(library.study(library.PROCEDURAL, canvas.grid, size), files.nifti_image.parent)
    case = library.case_in_memory(files, canvas)
    for draw in range(DRAWS):
        painted, mask = image.copy(), label.copy()
        syntumor(painted, mask, size, 1, generator("alike", draw))
        lesion = mask == 2
        published.append((lesion.sum(), (painted - image)[lesion].mean()))
        made = synthesizer.make(case, library.ORGAN, generator("own", draw))
        own.append((made.lesion.sum(), (made.image - made.canvas.image.astype(float))[made.lesion].mean()))
    ratio = np.median(own, axis=0) / np.median(published, axis=0)
    assert 0.8 < ratio[0] < most
    assert 0.8 < ratio[1] < 1.25


def test_published_windows_cover_the_organ():
    assert freetumor.windows(LIVER_MM) == 24  # as counted on the published code
    assert freetumor.windows((144, 144, 144)) == 1


def test_the_composition_changes_only_what_the_generator_asks_for(arrays):
    box = bounding_box(arrays[1] == 1)
    shape = tuple(side.stop - side.start for side in box)
    texture = np.ones(shape)
    nothing = freetumor.synthesis_step(*arrays, texture, "small", np.zeros(shape, np.float32), generator("step"))
    darker = freetumor.synthesis_step(*arrays, texture, "small", np.full(shape, 9, np.float32), generator("step"))
    low, high = freetumor.HU_WINDOW
    assert np.allclose(nothing, np.clip((arrays[0][box] - low) / (high - low), 0, 1))
    changed = nothing - darker
    assert changed.min() >= 0
    assert 0.9 < changed.max() <= 1.001
    assert (changed[arrays[1][box] == 0] == 0).all()


def test_a_tumor_grows_with_its_steps_and_stays_in_its_organ(arrays, syntumor):
    sizes = []
    for steps in (5, 20, 40):
        image, label = (array.copy() for array in arrays)
        sizes.append(pixel2cancer.paint(image, label, syntumor.textures[0], steps, generator("grow")))
        assert (label == 2).sum() == sizes[-1]
        assert (image[arrays[1] == 0] == arrays[0][arrays[1] == 0]).all()
    assert sizes == sorted(sizes)
    assert sizes[-1] > 10 * sizes[0]


def test_dense_tissue_slows_growth():
    level = np.full((41, 41, 41), 0, np.int8)
    level[:, :, :20] = 2
    level[[0, -1]] = level[:, [0, -1]] = level[:, :, [0, -1]] = pixel2cancer.WALL
    state = np.zeros_like(level)
    state[20, 20, 20] = pixel2cancer.SPREADING
    rng = generator("dense")
    for _ in range(30):
        pixel2cancer.step(state, level, rng)
    assert (state[:, :, 21:] > 0).sum() > 2 * (state[:, :, :20] > 0).sum() > 0


def test_published_sizes_become_the_same_voxels_on_any_grid():
    for grid in GRIDS.values():
        config = library.study(library.PROCEDURAL, grid, "large")
        radius = config.synthesizers[library.PROCEDURAL].shape.radius["large"]
        assert radius**3 / np.prod(grid.spacing) == pytest.approx(SIZES["large"].radius ** 3)
