"""Ranks among likes accept every size alike, and few likes refuse nothing."""

import numpy as np
import pytest

from freetumor.core.seeding import generator
from freetumor.synthesizer.calibration import calibrate, real_lesions
from freetumor.synthesizer.criteria import ring_contrast
from freetumor.synthesizer.gates import Listener
from freetumor.synthesizer.networks import UNet3D
from tests.gates import LESION, Eye, Oracle, cube, gate_of, judge, painted


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
