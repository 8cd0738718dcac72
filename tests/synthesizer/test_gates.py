"""Gates keep what meets their criteria: each refuses what it should, alone or in company, and the fair one every size alike."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from freetumor.core.config import Gate, Synthesizer
from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.synthesizer.calibration import calibrate, real_lesions
from freetumor.synthesizer.cases import Patch
from freetumor.synthesizer.criteria import contrast_bounds, planned_volume, ring_contrast, soft_dice
from freetumor.synthesizer.gates import ComposedGate, Judge, Listener, OpenGate, RecallGate, build_gate
from freetumor.synthesizer.networks import UNet3D
from freetumor.synthesizer.synthetic import Painted

SHAPE, SPACING = (12, 12, 12), (2.0, 1.0, 1.5)
WINDOW, CPU = (-175.0, 250.0), torch.device("cpu")
ORGANS = ["liver", "kidney"]


def cube(a, b, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[a:b, a:b, a:b] = True
    return mask


LESION = cube(4, 8)


def painted(lesion=LESION, change=-50, organ=0, label=None, level=100, noise=0, seed=0, **parameters):
    """A lesion of constant change in an organ that fills the patch."""
    image = np.full(lesion.shape, level, np.int16)
    image += np.rint(noise * generator("noise", seed).normal(size=lesion.shape)).astype(np.int16)
    label = np.full(lesion.shape, 2 * organ + 1, np.uint8) if label is None else label
    result = np.where(lesion, image + np.int16(change), image).astype(np.int16)
    return Painted(Patch(image, label, (0, 0, 0), SPACING, "case", "patient", "source"), result, lesion, organ, parameters)


class Oracle(torch.nn.Module):
    """A segmenter that is sure of given classes and remembers what it saw."""

    def __init__(self, classes, number=5):
        super().__init__()
        self.classes, self.number, self.seen = np.asarray(classes), number, []

    def forward(self, x):
        self.seen.append(x)
        one_hot = 50 * np.eye(self.number, dtype=np.float32)[self.classes]
        return torch.from_numpy(one_hot.transpose(3, 0, 1, 2))[None].repeat(len(x), 1, 1, 1, 1)


class Eye(torch.nn.Module):
    """A segmenter to which darkness is tumor: logits grow with the distance below 100 HU."""

    def forward(self, x):
        hu = x * (WINDOW[1] - WINDOW[0]) + WINDOW[0]
        rest = torch.zeros_like(hu)
        return torch.cat([rest, rest, (60 - hu) / 10, rest, rest], dim=1)


def gate_of(segmenter=None, discriminator=None, real=(), painter="difference", defects=(), **criteria):
    settings = Synthesizer(
        painter={"kind": painter}, gate={"kind": "composed"} | criteria, defects=dict.fromkeys(defects, True)
    )
    return build_gate(settings, ORGANS, WINDOW, CPU, segmenter, discriminator, real)


def judge(gate, *items):
    verdicts = gate.judge(list(items))
    return verdicts[0] if len(items) == 1 else verdicts


FOUND = [
    (2 * LESION, 1, 1),
    (0 * LESION, 0, 0),
    (4 * LESION, 0, 1),  # found as a tumor of the other organ
    (1 * LESION, 0, 0),  # found as healthy organ
    (2 * (LESION & (np.arange(12) < 6)), 2 * 32 / (32 + 64), 0.5),  # one half of it
    (2 * cube(3, 9), 2 * 64 / (64 + 216), 1),  # one voxel too much on all sides
    (2 * cube(0, 12), 2 * 64 / (64 + 512), 1),  # everything: two voxels around the lesion's box count
    (2 * (LESION | cube(0, 2)), 1, 1),  # another lesion far away does not count against it
]
NAMES = ["exact", "missed", "wrong class", "organ", "half", "too large", "everything", "another"]


@pytest.mark.parametrize(("found", "dice", "recall"), FOUND, ids=NAMES)
def test_scores_have_their_closed_forms(found, dice, recall):
    verdict = judge(gate_of(Oracle(found), agreement={"fair": "none", "least": 0.4}), painted())
    assert (verdict.score, verdict.scores["dice"]) == pytest.approx((dice, dice), abs=1e-6)
    assert verdict.scores["recall"] == pytest.approx(recall, abs=1e-6)
    assert verdict.accepted == (dice >= 0.4)
    # An oracle's probabilities are 0 and 1, so that both kinds of Dice agree.
    assert verdict.scores["agreement"] == pytest.approx(dice, abs=1e-6)


@pytest.mark.parametrize(("found", "dice", "recall"), FOUND, ids=NAMES)
def test_the_published_gate_asks_for_recall_of_any_tumor(found, dice, recall):
    """Defect `recall_gate`: over-segmented lesions and those of another organ pass."""
    verdict = judge(gate_of(Oracle(found), agreement={}, defects=["recall_gate"]), painted())
    assert (verdict.accepted, verdict.score) == (recall > 0.7, pytest.approx(recall))
    assert verdict.reason == ("" if verdict.accepted else "recall")


def test_the_published_threshold_itself_is_refused():
    lesion = np.zeros(SHAPE, bool)
    lesion[5, 5, :10] = True
    seven = lesion & (np.arange(12) < 7)
    eight = lesion & (np.arange(12) < 8)
    gates = [RecallGate(Judge(Oracle(2 * found), WINDOW, CPU)) for found in (seven, eight)]
    assert [judge(gate, painted(lesion)).accepted for gate in gates] == [False, True]


def test_a_segmenter_gate_is_the_dice_with_a_threshold():
    settings = Synthesizer(painter={"kind": "constant"}, gate={"kind": "segmenter", "threshold": 0.7})
    half = 2 * (LESION & (np.arange(12) < 6))
    for found, accepted in ((2 * LESION, True), (half, False)):
        verdict = judge(build_gate(settings, ORGANS, WINDOW, CPU, Oracle(found)), painted())
        assert (verdict.accepted, verdict.reason) == (accepted, "" if accepted else "agreement")


def test_networks_see_the_windowed_image():
    oracle = Oracle(LESION * 2)
    item = painted()
    item.image[0, 0, :4] = (-175, 250, 3000, round(-175 + 0.2 * 425))
    judge(gate_of(oracle, agreement={"fair": "none"}), item)
    assert oracle.seen[0][0, 0, 0, 0, :4].tolist() == pytest.approx([0, 1, 1, 0.2])


def test_an_open_gate_keeps_everything():
    verdict = judge(OpenGate(), painted())
    assert verdict.accepted
    assert np.isnan(verdict.score)
    assert OpenGate.local


def test_a_gate_without_networks_is_local():
    assert gate_of(size={}, contrast={"bounds": {"liver": [-9, 9]}}).local
    assert not gate_of(Oracle(2 * LESION), size={}, own_class={}).local


def test_overlap_counts_voxels_of_real_tumors():
    label = np.where(cube(7, 12), np.uint8(4), np.uint8(1))  # of any organ
    for most, accepted in ((0, False), (1, True)):
        verdict = judge(gate_of(overlap={"most": most}), painted(label=label))
        assert (verdict.accepted, verdict.scores["overlap"]) == (accepted, 1)
    assert judge(gate_of(overlap={}), painted()).accepted


def test_size_is_bounded_in_mm():
    volume = 64 * np.prod(SPACING)
    diameter = (6 * volume / np.pi) ** (1 / 3)
    for bounds, accepted in (((diameter - 0.1, 99), True), ((diameter + 0.1, 99), False), ((1, diameter - 0.1), False)):
        verdict = judge(gate_of(size={"diameter": bounds}), painted())
        assert (verdict.accepted, verdict.scores["diameter_mm"]) == (accepted, pytest.approx(diameter, rel=1e-5))


@pytest.mark.parametrize(
    ("parameters", "volume"),
    [({"axes_mm": [3, 4, 5]}, 4 / 3 * np.pi * 60), ({"radius_mm": 6}, 4 / 3 * np.pi * 216), ({}, np.nan)],
)
def test_a_remainder_of_what_was_planned_is_refused(parameters, volume):
    assert planned_volume(parameters) == pytest.approx(volume, nan_ok=True)
    share = 64 * np.prod(SPACING) / volume
    for least in (0.01, 0.99):
        verdict = judge(gate_of(size={"planned_share": least}), painted(**parameters))
        assert verdict.accepted == (np.isnan(share) or share >= least)
        assert verdict.scores.get("planned_share", np.nan) == pytest.approx(share, rel=1e-5, nan_ok=True)


def test_contrast_is_against_the_healthy_organ_around():
    item = painted(change=-50)
    item.patch.label[9:] = 0  # another tissue
    item.patch.image[9:] = item.image[9:] = 900
    item.patch.label[:3] = 2  # a real tumor
    item.patch.image[:3] = item.image[:3] = -900
    item.patch.image[3, 4:8, 4:8] = item.image[3, 4:8, 4:8] = 0  # touches the lesion: may hold a part of it
    assert ring_contrast(item) == -50
    for bounds, accepted in (([-60, -40], True), ([-49, 0], False), ([-99, -51], False)):
        verdict = judge(gate_of(contrast={"bounds": {"liver": bounds}}), item)
        assert (verdict.accepted, verdict.reason) == (accepted, "" if accepted else "contrast")
    assert judge(gate_of(contrast={"bounds": {"kidney": [1, 2]}}), item).accepted


def test_a_rim_painted_beyond_the_label_does_not_count():
    item = painted(change=-50)
    item.image[~item.lesion] -= 30
    assert ring_contrast(item) == -50


def test_a_lesion_that_fills_its_organ_has_no_measurable_contrast():
    verdict = judge(gate_of(contrast={"bounds": {"liver": [1, 2]}}), painted(label=LESION.astype(np.uint8)))
    assert verdict.accepted
    assert "ring_contrast_hu" not in verdict.scores


def test_bounds_of_the_contrast_hold_one_more_real_lesion():
    rng, held = generator("bounds"), []
    for _ in range(400):
        values = rng.normal(-50, 20, 5)
        real = [painted(change=round(value)) for value in values[:4]]
        low, high = contrast_bounds(real, 0.8)[0]
        held.append(low <= values[4] <= high)
    assert np.mean(held) == pytest.approx(0.8, abs=0.05)  # also from four lesions; their extremes would hold 0.6
    assert contrast_bounds([painted()] * 2 + [painted(label=LESION.astype(np.uint8))], 0.8) == {}


def test_bounds_are_learned_for_organs_that_have_none():
    real = [painted(change=change, organ=organ) for change in (-60, -50, -40) for organ in (0, 1)]
    low, high = contrast_bounds(real, 0.9)[0]
    assert (low, high) == pytest.approx((-50 - 2.92 * 10 * np.sqrt(4 / 3), -50 + 2.92 * 10 * np.sqrt(4 / 3)), abs=0.01)
    gate = gate_of(real=real, contrast={"coverage": 0.9, "bounds": {"kidney": [-5, 5]}})
    items = [painted(change=-83), painted(change=-84), painted(change=-16), painted(organ=1, change=-50)]
    assert [verdict.accepted for verdict in judge(gate, *items)] == [True, False, False, False]


@pytest.mark.parametrize(("own", "accepted"), [(64, True), (32, True), (31, False), (0, False)])
def test_another_organ_s_tumor_is_refused(own, accepted):
    found = np.zeros(SHAPE, int)
    found[LESION] = np.where(np.arange(64) < own, 2, 4)
    verdict = judge(gate_of(Oracle(found), own_class={}), painted())
    assert (verdict.accepted, verdict.scores["own_class"]) == (accepted, own / 64)


def test_what_is_not_found_has_no_class_and_is_not_refused_for_it():
    verdict = judge(gate_of(Oracle(0 * LESION), own_class={}), painted())
    assert verdict.accepted
    assert "own_class" not in verdict.scores


def test_realism_is_the_probability_of_the_class_real():
    real = LESION & (np.arange(12) < 6)
    for least, accepted in ((0.49, True), (0.51, False)):
        oracle = Oracle(np.where(real, 1, 2), number=3)
        verdict = judge(gate_of(None, oracle, realism={"fair": "none", "least": least}), painted())
        assert (verdict.accepted, verdict.scores["realism"]) == (accepted, pytest.approx(0.5))


def test_a_copy_of_a_real_lesion_is_refused_wherever_it_lies():
    texture = generator("texture").normal(0, 20, SHAPE).astype(np.int16)
    ball = np.linalg.norm(np.indices(SHAPE) - 5.0, axis=0) <= 3.5
    original = painted(ball, organ=1)
    original.image[ball] += texture[ball]
    copy, fresh = painted(np.roll(ball, (1, -1, 2), (0, 1, 2)), organ=1, level=60, change=-30), painted(ball, organ=1, noise=20)
    copy.image[copy.lesion] += texture[ball] // 2
    other = painted(copy.lesion, organ=0)
    other.image[...] = copy.image
    part = painted(ball & (np.arange(12) < 4), organ=1)
    part.image[part.lesion] += texture[part.lesion]
    gate = gate_of(real=[painted(organ=1, noise=20, seed=5), original], copies={})
    assert part.lesion.sum() >= 27
    assert "copy" not in judge(gate, part).scores  # less than half of the lesion
    verdicts = judge(gate, copy, fresh, other, painted(cube(0, 2), organ=1))
    assert [verdict.reason for verdict in verdicts] == ["copies", "", "", ""]
    assert verdicts[0].scores["copy"] > 0.99  # integer division blurs it a little
    assert verdicts[1].scores["copy"] < 0.7
    assert "copy" not in verdicts[2].scores  # a copy of another organ's lesion is not looked for
    assert "copy" not in verdicts[3].scores  # too small to tell


def test_the_correlation_agrees_with_a_search_by_hand():
    from freetumor.synthesizer.copies import copy_correlation

    rng = generator("correlation")
    shapes = [(6, 5, 7), (5, 7, 6)]
    images = [rng.normal(0, 30, shape) + 1000 for shape in shapes]
    masks = [rng.random(shape) < 0.9 for shape in shapes]
    best = -1.0
    frame = [np.full((20, 20, 20), np.nan), np.full((20, 20, 20), np.nan)]
    frame[1][7:12, 7:14, 7:13] = np.where(masks[1], images[1], np.nan)
    for z, y, x in np.ndindex(14, 15, 13):
        frame[0][:] = np.nan
        frame[0][z : z + 6, y : y + 5, x : x + 7] = np.where(masks[0], images[0], np.nan)
        shared = ~np.isnan(frame[0]) & ~np.isnan(frame[1])
        if shared.sum() >= max(27, max(mask.sum() for mask in masks) / 2):
            best = max(best, np.corrcoef(frame[0][shared], frame[1][shared])[0, 1])
    assert copy_correlation(images[0], masks[0], images[1], masks[1]) == pytest.approx(best, abs=1e-9)


def test_the_first_failure_is_the_reason_and_cheap_scores_are_all_there():
    oracle = Oracle(0 * LESION)
    label = np.where(cube(7, 12), np.uint8(2), np.uint8(1))
    gate = gate_of(oracle, overlap={}, size={"diameter": [90, 99]}, agreement={"fair": "none"}, own_class={})
    verdict = judge(gate, painted(label=label))
    assert (verdict.accepted, verdict.reason) == (False, "overlap")
    assert set(verdict.scores) == {"overlap", "diameter_mm"}
    assert not oracle.seen  # the network was not asked about what is refused anyway
    assert np.isnan(verdict.score)


def test_verdicts_depend_neither_on_order_nor_on_companions():
    network = UNet3D(1, 5, width=2).eval()
    items = [
        painted(cube(2, 2 + side, (16, 16, 16)), change=-change, noise=10, seed=change)
        for side, change in ((3, 20), (8, 60), (5, 90), (8, 30), (4, 55))
    ]
    gate = gate_of(network, size={"diameter": [4, 12]}, contrast={"bounds": {"liver": [-80, -10]}}, agreement={})
    listener = Listener(gate)
    listener.judge(items)
    gate.calibrate("draws", listener.measured)
    together = [str(verdict) for verdict in gate.judge(items)]
    assert [str(verdict) for verdict in gate.judge(items[::-1])] == together[::-1]
    assert [str(gate.judge([item])[0]) for item in items] == together
    assert len(set(together)) == len(items)
    assert not gate.judge([])


def draws(number, key="draws"):
    """Lesions of which the segmenter scores small ones a thousand times lower, in kidneys even lower."""
    rng = generator(key)
    diameters = np.exp(rng.uniform(np.log(6), np.log(50), number))
    organs = rng.integers(2, size=number)
    scores = 1 / (1 + np.exp(-(3 * np.log(diameters / 30) - organs + rng.normal(0, 1, number))))
    return [
        {"organ": int(organ), "diameter_mm": float(d), "agreement": float(s)}
        for organ, d, s in zip(organs, diameters, scores, strict=True)
    ]


@pytest.mark.parametrize("least", [0.25, 0.5, 0.8])
def test_ranks_accept_the_same_share_of_every_size_and_organ(least):
    reference = calibrate(draws(2000), likeness=0.1)
    new = draws(4000, "new")
    accepted = np.array([reference.rank("agreement", r["organ"], r["diameter_mm"], r["agreement"]) >= least for r in new])
    diameters, organs = np.array([r["diameter_mm"] for r in new]), np.array([r["organ"] for r in new])
    for organ in (0, 1):
        for low, high in ((6, 12), (12, 20), (20, 30), (30, 50)):
            group = accepted[(organs == organ) & (diameters >= low) & (diameters < high)]
            assert group.mean() == pytest.approx(1 - least, abs=0.1)
    plain = np.array([r["agreement"] >= 0.3 for r in new])  # what a threshold on the score does
    assert plain[diameters < 12].mean() < 0.1
    assert plain[diameters > 30].mean() > 0.5


def test_a_rank_has_its_closed_form():
    rows = [{"organ": 0, "diameter_mm": 10, "agreement": score} for score in (0.1, 0.2, 0.2, 0.4)]
    rows += [{"organ": 1, "diameter_mm": 10, "agreement": 0.0}, {"organ": 0, "diameter_mm": 10, "agreement": float("nan")}]
    reference = calibrate(rows, likeness=0.2)
    ranks = [reference.rank("agreement", 0, 10, score) for score in (0.05, 0.1, 0.2, 0.3, 1)]
    assert ranks == pytest.approx([1 / 5, 2 / 5, 4 / 5, 4 / 5, 1])
    assert reference.rank("agreement", 0, 10 * np.exp(0.2), 0.05) == pytest.approx(1 / (1 + 4 * np.exp(-0.5)))
    assert np.isnan(reference.rank("agreement", 0, 10, float("nan")))


def test_what_the_segmenter_cannot_find_at_all_is_not_refused():
    nothing = calibrate([{"organ": 0, "diameter_mm": 8, "agreement": 0.0}] * 50, 0.2)
    assert nothing.rank("agreement", 0, 8, 0.0) == 1
    assert nothing.threshold("agreement", 0, 8, 0.5) == 0


def test_few_real_lesions_cannot_refuse():
    few = calibrate([{"organ": 0, "diameter_mm": 10, "agreement": 0.9}] * 3, 0.2)
    assert few.rank("agreement", 0, 10, 0.0) == 1 / 4
    assert few.rank("agreement", 0, 40, 0.0) == pytest.approx(1)  # unlike all of them
    assert few.rank("agreement", 1, 10, 0.0) == 1  # another organ
    assert calibrate([], 0.2).threshold("agreement", 0, 10, 0.5) == 0


@pytest.mark.parametrize("least", [0.1, 0.37, 0.5, 0.9, 1.0])
def test_the_recorded_threshold_is_where_the_rank_passes(least):
    reference, scores = calibrate(draws(60), 0.3), np.linspace(0, 1, 2001)
    for organ, diameter in ((0, 8), (0, 25), (1, 40)):
        needed = reference.threshold("agreement", organ, diameter, least)
        ranks = np.array([reference.rank("agreement", organ, diameter, score) for score in scores])
        assert ((ranks >= least - 1e-12) == (scores >= needed)).all()


def test_a_fair_gate_ranks_what_the_network_sees():
    gate = gate_of(Eye(), agreement={"least": 0.5})
    with pytest.raises(ValueError, match="calibrated"):
        gate.judge([painted()])
    listener = Listener(gate)
    assert not listener.local
    sides = [cube(4, 6), cube(2, 10)]
    for number in range(40):
        verdicts = listener.judge([painted(lesion, change=-20 - number) for lesion in sides])
        assert all(verdict.accepted for verdict in verdicts)
    gate.calibrate("draws", listener.measured)
    for lesion in sides:
        verdicts = judge(gate, *[painted(lesion, change=-20 - number) for number in range(40)])
        assert sum(verdict.accepted for verdict in verdicts) == pytest.approx(20, abs=2)
        assert not any(verdict.accepted for verdict in verdicts[:15])  # the darker half is kept
        assert all(verdict.accepted for verdict in verdicts[25:])
        for verdict in verdicts:
            assert verdict.score == pytest.approx(verdict.scores["agreement_rank"], rel=1e-5)
            assert verdict.accepted == (verdict.scores["agreement"] >= verdict.scores["agreement_needed"])


def test_draws_and_real_lesions_are_told_apart():
    oracle, critic = Oracle(2 * LESION), Oracle(LESION * 1, number=3)
    gate = gate_of(oracle, critic, agreement={"fair": "draws"}, realism={"fair": "real"})
    measured = gate.measure([painted(), painted(organ=1)])
    assert [row["organ"] for row in measured] == [0, 1]
    assert [row["realism"] for row in measured] == pytest.approx([1, 1])
    gate.calibrate("draws", measured)
    with pytest.raises(ValueError, match="calibrated"):
        gate.judge([painted()])
    gate.calibrate("real", measured)
    assert {"agreement_rank", "realism_rank"} <= set(judge(gate, painted()).scores)


def test_real_lesions_are_what_is_annotated(labeled, pool, study):
    found = list(real_lesions(labeled + pool, study.organs, study.working.patch))
    close = list(real_lesions(labeled + pool, study.organs))
    assert {item.organ for item in found} == {0, 1}
    assert len(found) == sum(len(case.lesions(organ)) for case in labeled for organ in study.organs)
    for item, near in zip(found, close, strict=True):
        assert item.image.shape == study.working.patch
        assert near.lesion.sum() >= item.lesion.sum() > 0
        assert ring_contrast(near) == pytest.approx(-50, abs=12)
        assert (item.patch.label[item.lesion] == 2 * item.organ + 2).all()
        assert ring_contrast(item) == pytest.approx(-50, abs=12)  # as the factory paints them


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "composed"}, "at least one criterion"),
        ({"kind": "segmenter", "size": {}}, "'size' needs kind 'composed'"),
        ({"kind": "composed", "contrast": {"bounds": {"liver": [9, 1]}}}, "lower and an upper bound"),
        ({"kind": "composed", "agreement": {"least": 2}}, "less than or equal to 1"),
        ({"kind": "composed", "agreement": {"fair": "yes"}}, "'none', 'draws' or 'real'"),
        ({"kind": "composed", "agreemnt": {}}, "Extra inputs"),
    ],
)
def test_mistakes_in_the_configuration_are_told(settings, message):
    with pytest.raises(ValidationError, match=message):
        Gate.model_validate(settings)


@pytest.mark.parametrize(
    ("painter", "shape", "gate", "message"),
    [
        ("constant", "ellipsoid", {"realism": {}}, "only the painter 'difference' has a discriminator"),
        ("transplant", "real", {"copies": {}}, "copies by design"),
        ("dcgan", "ellipsoid", {"size": {}}, "whole images"),
    ],
)
def test_criteria_must_fit_the_painter(painter, shape, gate, message):
    with pytest.raises(ValidationError, match=message):
        Synthesizer(painter={"kind": painter}, shape={"kind": shape}, gate={"kind": "composed"} | gate)


def test_bounds_of_an_unknown_organ_are_told():
    with pytest.raises(UserError, match="'spleen' is no organ of the study \\(liver, kidney\\)"):
        gate_of(contrast={"bounds": {"spleen": [-9, 9]}})


@pytest.mark.parametrize(
    ("gate", "defect", "judged", "least"),
    [
        ({}, False, False, None),
        ({}, True, False, None),
        ({"kind": "segmenter", "threshold": 0.2}, False, True, 0.2),
        ({"kind": "composed", "size": {}}, False, False, None),
        ({"kind": "composed", "size": {}}, True, True, None),
        ({"kind": "composed", "agreement": {"least": 0.3}}, False, True, 0.3),
        ({"kind": "composed", "own_class": {}}, False, True, None),
    ],
)
def test_a_synthesizer_says_whether_it_needs_the_segmenter(gate, defect, judged, least):
    settings = Synthesizer(painter={"kind": "constant"}, gate=gate, defects={"recall_gate": defect})
    assert settings.judged == judged
    assert settings.gate.least_score == least


def test_a_gate_says_whether_it_needs_real_lesions():
    def compares(**criteria):
        return Gate(kind="composed", **criteria).compares(ORGANS)

    assert compares(copies={})
    assert compares(contrast={"bounds": {"liver": [-9, 9]}})
    assert not compares(contrast={"bounds": {"liver": [-9, 9], "kidney": [-9, 9]}})
    assert not compares(size={})
    assert not Gate().compares(ORGANS)


def test_soft_dice_of_a_mask_is_dice():
    rng = generator("dice")
    found, lesion = rng.random(SHAPE) < 0.4, rng.random(SHAPE) < 0.5
    assert soft_dice(found, lesion) == pytest.approx(2 * (found & lesion).sum() / (found.sum() + lesion.sum()))


def test_a_network_that_uses_batch_statistics_sees_patches_one_by_one():
    assert Judge(UNet3D(1, 3, 2, batch_statistics=True), WINDOW, torch.device("cuda")).batch == 1
    assert Judge(UNet3D(1, 3, 2), WINDOW, torch.device("cuda")).batch > 1
    assert Judge(UNet3D(1, 3, 2), WINDOW, CPU).batch == 1
    assert isinstance(gate_of(size={}), ComposedGate)
