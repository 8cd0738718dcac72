"""Grown lesions as a shape: planned on a case, grown in a patch, within reach, the same whatever the patch."""

from dataclasses import replace

import numpy as np
import pytest

from freetumor.core.config import Placement, Shape
from freetumor.core.seeding import generator
from freetumor.synthesizer.automaton_shape import AutomatonShape
from freetumor.synthesizer.cases import Patch, organ_mask
from freetumor.synthesizer.shapes import EllipsoidShape
from freetumor.synthesizer.synthetic import Plan

SPACING = (2.0, 1.5, 1.5)
SIZE = (40, 52, 52)


def shape_of(organs=("liver", "pancreas"), growth=None, **settings):
    return AutomatonShape(Shape(kind="automaton", growth=growth or {}, **settings), Placement(), organs)


def whole(size=SIZE, label=1, corner=(0, 0, 0)):
    image = np.rint(generator("canvas").normal(110, 20, SIZE)).astype(np.int16)
    label = np.broadcast_to(np.asarray(label, np.uint8), SIZE)
    box = tuple(slice(c, c + n) for c, n in zip(corner, size, strict=True))
    return Patch(image[box], label[box], corner, SPACING, "case", "patient", "made")


def planned(radius, satellites=0, center=(20, 26, 26)):
    return Plan(0, center, 60.0, 50.0, {"size": "medium", "radius_mm": radius, "satellites": satellites})


def test_a_mask_has_density_core_and_record_that_agree():
    mask = shape_of(growth={"necrosis_share": 1.0}).draw(whole(), planned(15.0), generator("agree"))
    assert mask.array.dtype == mask.core.dtype == bool
    assert mask.density.dtype == np.float32
    assert np.array_equal(mask.array, mask.density > 0)
    assert mask.core.any()
    assert (mask.density[mask.core] == 1).all()  # necrosis is tumor, and full
    assert mask.parameters["necrotic_share"] == pytest.approx(mask.core.sum() / mask.array.sum(), abs=1e-4)
    ball = (mask.array.sum() * np.prod(SPACING) * 3 / 4 / np.pi) ** (1 / 3)
    assert mask.parameters["grown_mm"] == pytest.approx(ball, abs=1e-3)
    assert 15.0 <= ball < 16.0
    assert mask.parameters["steps"] > 50


def test_the_patch_does_not_matter_if_the_tumor_fits():
    shape, plan = shape_of(), planned(8.0, satellites=4)
    first = shape.draw(whole(), plan, generator("patch"))
    corner, size = (7, 8, 9), (30, 36, 34)
    second = shape.draw(whole(size, corner=corner), plan, generator("patch"))
    box = tuple(slice(c, c + n) for c, n in zip(corner, size, strict=True))
    assert first.array.sum() == second.array.sum()
    assert np.array_equal(first.density[box], second.density)
    assert first.parameters == second.parameters


@pytest.mark.parametrize("satellites", [0, 9])
def test_a_lesion_stays_in_its_organ_and_within_its_reach(labeled, study, satellites):
    share = 1.0 if satellites else 0.0
    shape = AutomatonShape(
        Shape(kind="automaton", growth={"satellite_share": share, "satellites": (9, 9)}), Placement(), study.organs, rim=2.0
    )
    drawn = 0
    for index in range(12):
        case, rng = labeled[index % 3], generator("reach", index)
        plan = shape.plan(case, index % 2, shape.choose(index % 2, rng), rng)
        half = [int(np.ceil(plan.reach / s)) for s in case.spacing]
        patch = case.patch([c - h for c, h in zip(plan.center, half, strict=True)], [2 * h + 1 for h in half])
        mask = shape.draw(patch, plan, rng)
        if mask is None:
            continue
        drawn += 1
        assert not (mask.array & ~organ_mask(patch.label, index % 2)).any()
        away = np.abs(np.argwhere(mask.array) - half) * case.spacing
        assert away.max() <= plan.reach - 2.0
        assert plan.choice["satellites"] == satellites
    assert drawn >= 10


def test_sizes_follow_the_classes_of_the_ellipsoid(labeled):
    settings = Shape(kind="automaton")
    grown, ellipsoid = AutomatonShape(settings, Placement(), ["liver"]), EllipsoidShape(settings, Placement(), ["liver"])
    sizes = [[shape.choose(0, generator("class", i))["size"] for i in range(30)] for shape in (grown, ellipsoid)]
    assert sizes[0] == sizes[1]
    case = labeled[0]
    plans = [grown.plan(case, 0, {"size": "small"}, generator("radius", i)) for i in range(80)]
    radii, satellites = (np.array([plan.choice[key] for plan in plans]) for key in ("radius_mm", "satellites"))
    assert 6 <= radii.min() < 6.5
    assert 9.5 < radii.max() <= 10
    assert 12 <= np.count_nonzero(satellites) <= 42  # a third of 80
    assert set(satellites[satellites > 0]) <= set(range(3, 10))


def test_an_organ_that_the_case_lacks_offers_no_place(labeled):
    shape = shape_of()
    far = Placement(margin=500.0)
    assert (
        AutomatonShape(Shape(kind="automaton"), far, ["liver"]).plan(labeled[0], 0, {"size": "tiny"}, generator("far")) is None
    )
    assert shape.draw(whole(label=0), planned(8.0), generator("none")) is None


def test_a_tiny_organ_gives_nothing_and_a_small_one_what_it_has():
    label = np.zeros(SIZE, np.uint8)
    label[20, 26, 25:28] = 1
    assert shape_of().draw(whole(label=label), planned(8.0), generator("tiny")) is None
    label[19:22, 25:28, 25:28] = 1
    rule = {"limits": {"liver": (-1000, 1000)}}
    mask = shape_of(growth=rule).draw(whole(label=label), planned(8.0), generator("small"))
    assert np.array_equal(mask.array, label == 1)


def test_in_a_thin_organ_a_tumor_ends_at_its_reach():
    label = np.zeros(SIZE, np.uint8)
    label[20:22] = 1
    mask = shape_of().draw(whole(label=label), planned(12.0), generator("thin"))
    away = np.linalg.norm((np.argwhere(mask.array) - [20, 26, 26]) * SPACING, axis=1)
    assert 1.4 * 12 < away.max() <= 1.6 * 12
    assert mask.parameters["grown_mm"] < 12


def test_limits_belong_to_their_organ():
    closed = {"limits": {"liver": (-100, 0)}, "smoothing": 0, "pressure": 1000}  # all of it is a wall
    for organs, grows in ((("liver", "kidney"), (False, True)), (("kidney", "liver"), (True, False))):
        for organ, expected in enumerate(grows):
            plan = replace(planned(8.0), organ=organ)
            mask = shape_of(organs, closed).draw(whole(label=2 * organ + 1), plan, generator("closed"))
            assert (mask is not None) == expected
