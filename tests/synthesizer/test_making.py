"""``make`` depends on its arguments alone, and says what became of every draw."""

import copy

import numpy as np
import pytest
import torch

from freetumor.core.config import Gate, Placement, Synthesizer
from freetumor.core.errors import UserError
from freetumor.core.labels import organ_code
from freetumor.core.seeding import generator
from freetumor.core.weights import save_weights
from freetumor.synthesizer.assembly import assemble, load_segmenter, segmenter_network
from freetumor.synthesizer.painters import ConstantPainter, DifferencePainter
from freetumor.synthesizer.shapes import EllipsoidShape
from freetumor.synthesizer.synthetic import ACCEPTED, EMPTY, NO_PLACE, REFUSED, Brush, Verdict
from freetumor.synthesizer.tumor import Request, TumorSynthesizer
from tests.factory import small_config

CPU = torch.device("cpu")
ALL = ["constant", "copy_paste", "automaton", "freetumor", "published"]


def content(made):
    arrays = [None if array is None else array.tobytes() for array in (made.image, made.lesion)]
    return arrays, made.outcome, made.attempts, str(made.verdict), made.parameters, str(made.contrast)


def requests(count, organs=2, group=None):
    return [
        Request(number % organs, generator("canvas", number), generator("lesion", number), number if group is None else group)
        for number in range(count)
    ]


@pytest.mark.parametrize("name", ALL)
def test_order_repetition_and_companions_change_nothing(synthesizers, labeled, name):
    synthesizer = synthesizers[name]
    together = [content(made) for made in synthesizer.make_many(labeled[0], requests(6))]
    np.random.seed(3)  # noqa: NPY002 - a global state that must not matter
    torch.manual_seed(3)
    assert [content(made) for made in synthesizer.make_many(labeled[0], requests(6)[::-1])] == together[::-1]
    assert [content(synthesizer.make_many(labeled[0], [request])[0]) for request in requests(6)] == together
    assert content(synthesizer.make(labeled[1], 0, generator("one"))) == content(
        synthesizer.make(labeled[1], 0, generator("one"))
    )
    assert len({str(item) for item in together}) == 6


@pytest.mark.parametrize("name", ALL)
def test_what_changes_is_healthy_organ_under_the_label(study, synthesizers, labeled, name):
    accepted, synthesizer = 0, copy.copy(synthesizers[name])
    synthesizer.gate = Judge(1.0)  # an untrained segmenter finds nothing
    for request, made in zip(requests(12), synthesizer.make_many(labeled[0], requests(12)), strict=True):
        if not made.accepted:
            assert made.image is None
            continue
        accepted += 1
        again = labeled[0].patch(made.canvas.corner, made.canvas.image.shape)
        assert np.array_equal(again.image, made.canvas.image)  # the canvas was not written to
        assert np.array_equal(again.label, made.canvas.label)
        assert (made.canvas.label[made.lesion] == organ_code(request.organ)).all()
        changed = made.image != made.canvas.image
        if name == "published":  # its rim is blurred beyond the mask
            assert (made.canvas.label[changed] == organ_code(request.organ)).all()
        else:
            assert np.array_equal(changed, made.lesion)
        change = made.image[made.lesion].astype(float) - made.canvas.image[made.lesion]
        assert made.contrast == pytest.approx(change.mean())
    assert accepted >= 6


def test_synthesizers_of_one_shape_draw_the_same_masks_at_the_same_places(study, synthesizers, labeled):
    first, second = (synthesizers[name].make_many(labeled[0], requests(8)) for name in ("constant", "freetumor"))
    compared = 0
    for one, two in zip(first, second, strict=True):
        if one.accepted and two.accepted:
            assert one.parameters["center"] == two.parameters["center"]
            assert one.parameters["axes_mm"] == two.parameters["axes_mm"]
            compared += 1
    assert compared >= 4


def test_lesions_of_a_group_never_touch(study, labeled):
    synthesizer, collided = synthesizer_of(Judge(1.0), shape=SMALL), False
    for group in (0, None):
        label = np.zeros(labeled[0].shape, np.int32)
        for made in synthesizer.make_many(labeled[0], requests(20, organs=1, group=group)):
            if made.accepted:
                side = zip(made.canvas.corner, made.lesion.shape, strict=True)
                part = label[tuple(slice(c, c + n) for c, n in side)]
                part += made.lesion
        assert label.max() >= 1
        collided |= label.max() > 1
        assert (label.max() == 1) or group is None
    assert collided  # without a group they do


def test_a_box_holds_all_that_a_window_shows(study, labeled):
    """Reading the lesion's own box gives the same lesion as reading a large window around it."""
    compared = 0
    for number in range(8):
        made = []
        for local in (True, False):
            synthesizer = synthesizer_of(Judge(1.0), {"kind": "constant", "contrast": [90, 90]}, window=(48, 48, 48))
            synthesizer.local = local
            request = Request(0, generator("canvas", number), generator("lesion", number))
            made.append(synthesizer.make_many(labeled[0], [request])[0])
        if not made[0].accepted:
            assert made[1].outcome == made[0].outcome
            continue
        pasted = [np.zeros([n + 100 for n in labeled[0].shape], np.int32) for _ in made]
        for array, item in zip(pasted, made, strict=True):
            side = zip(item.canvas.corner, item.image.shape, strict=True)
            array[tuple(slice(c + 50, c + 50 + n) for c, n in side)] = item.image.astype(np.int32) - item.canvas.image
        assert np.array_equal(*pasted)
        assert made[0].image.size < made[1].image.size
        compared += 1
    assert compared >= 6


class Judge:
    """A gate that gives the scores it was told to, the last one for ever."""

    def __init__(self, *scores, local=True):
        self.scores, self.local = list(scores), local

    def judge(self, painted):
        scores = [self.scores.pop(0) if len(self.scores) > 1 else self.scores[0] for _ in painted]
        return [Verdict(score >= 0.5, score) for score in scores]


SMALL = {"radius": {"small": 5.0}, "probability": {"small": 1.0}}


def synthesizer_of(gate, painter=None, window=(16, 16, 16), **changes):
    settings = Synthesizer(painter=painter or {"kind": "constant"}, gate=Gate(attempts=3), **changes)
    rim = 3 * settings.compositor.blur[1]
    shape = EllipsoidShape(settings.shape, Placement(), ["liver", "pancreas"], rim)
    return TumorSynthesizer(settings, window, shape, ConstantPainter(settings.painter, settings.texture), gate)


def test_a_refused_lesion_is_drawn_again_until_one_passes(labeled):
    made = synthesizer_of(Judge(0.1, 0.49, 0.5)).make(labeled[0], 0, generator("again"))
    assert (made.outcome, made.attempts, made.verdict.score) == (ACCEPTED, 3, 0.5)
    assert made.lesion.any()


def test_what_was_refused_to_the_end_is_recorded_without_an_image(labeled):
    made = synthesizer_of(Judge(0.1, 0.2, 0.3)).make(labeled[0], 0, generator("refused"))
    assert (made.outcome, made.attempts, made.verdict.score) == (REFUSED, 3, 0.3)
    assert made.image is None
    assert made.contrast < -10


def test_the_published_gate_asks_once(labeled):
    gate = Judge(0.1, 0.9)
    made = synthesizer_of(gate, defects={"recall_gate": True}).make(labeled[0], 0, generator("once"))
    assert (made.outcome, made.attempts, gate.scores) == (REFUSED, 1, [0.9])


def test_a_lesion_that_changes_nothing_is_empty(labeled):
    made = synthesizer_of(Judge(1.0), {"kind": "constant", "contrast": [0, 0]}).make(labeled[0], 0, generator("empty"))
    assert made.outcome == EMPTY
    assert np.isnan(made.verdict.score)


def test_a_canvas_without_a_place_is_a_counted_outcome(study, labeled):
    synthesizer = synthesizer_of(Judge(1.0))
    synthesizer.shape.placement = Placement(margin=500)
    made = synthesizer.make(labeled[0], 0, generator("nowhere"))
    assert made.outcome == NO_PLACE
    assert made.canvas is None


def test_a_lesion_drawn_again_keeps_its_size_class(labeled):
    for index in range(20):
        synthesizer = synthesizer_of(Judge(0.0, 0.0, 1.0))
        canvas = generator("class", index)
        first = synthesizer.shape.choose(0, generator("class", index))
        made = synthesizer.make_many(labeled[0], [Request(0, canvas, generator("lesion", index))])[0]
        assert (made.attempts, made.parameters["size"]) == (3, first["size"])


def test_a_constant_lesion_is_darker_by_texture_times_contrast(labeled):
    settings = {"kind": "constant", "contrast": [100, 100]}
    synthesizer = synthesizer_of(Judge(1.0), settings, compositor={"blur": [0, 0]})
    made = [synthesizer.make(labeled[index % 3], 0, generator(index)) for index in range(30)]
    # The texture's mean over its values above 0.12 is 0.5 to 0.55, so that of all its values is a little less.
    assert -60 < np.mean([item.contrast for item in made if item.accepted]) < -40


class FixedGenerator(torch.nn.Module):
    """Answers (0.3, -0.8) for the first and the second organ, plus the mean of its second channel if it has one."""

    def forward(self, x):
        output = torch.tensor([0.3, -0.8]).view(1, 2, 1, 1, 1).expand(len(x), 2, *x.shape[2:])
        return output + x[:, 1:].mean() if x.shape[1] > 1 else output


def brush(study, case, alpha, organ):
    patch = case.patch((5, 5, 5), study.working.patch)
    return Brush(patch, organ, None, np.full(patch.image.shape, alpha, np.float32), generator("render"))


@pytest.mark.parametrize(
    ("polarity", "route", "organ", "factor"),
    [
        ("subtract", True, 0, -np.tanh(0.3)),
        ("subtract", True, 1, -np.tanh(-0.8)),
        ("subtract", False, 1, -np.tanh(0.3)),  # defect `channel_routing`: every organ uses channel 0
        ("add", True, 1, 1 / (1 + np.exp(0.8))),
    ],
)
def test_the_learned_difference_has_its_closed_form(study, labeled, monkeypatch, polarity, route, organ, factor):
    settings = small_config().synthesizers["freetumor"].painter.model_copy(update={"polarity": polarity})
    texture = study.synthesizers["freetumor"].texture
    painter = DifferencePainter(FixedGenerator(), settings, texture, study.working.window, False, route, CPU)
    monkeypatch.setattr("freetumor.synthesizer.painters.make_texture", lambda s, shape, *_: np.full(shape, 0.5, np.float32))
    item = brush(study, labeled[0], 1.0, organ)
    rendered, _ = painter.render([item])[0]
    assert rendered - item.patch.image == pytest.approx(np.full(rendered.shape, factor * 0.5 * 425), abs=0.02)


def test_an_unconditioned_generator_does_not_see_the_mask(study, labeled):
    """Defect `unconditioned`: the same patch with two masks."""
    settings = study.synthesizers["freetumor"]
    for conditioned in (True, False):
        painter = DifferencePainter(
            FixedGenerator(), settings.painter, settings.texture, study.working.window, conditioned, True, CPU
        )
        results = [painter.render([brush(study, labeled[0], level, 0)])[0][0] for level in (0.2, 0.9)]
        assert np.array_equal(*results) != conditioned


def test_networks_are_demanded_and_checked(study, labeled, untrained, tmp_path):
    with pytest.raises(UserError, match=r"synthesizers\.freetumor: needs the trained generator"):
        assemble("freetumor", study, labeled, CPU, None, untrained["segmenter"])
    with pytest.raises(UserError, match=r"synthesizers\.freetumor: needs the trained segmenter"):
        assemble("freetumor", study, labeled, CPU, untrained["freetumor"], None)
    with pytest.raises(UserError, match="do not fit the network of the configuration"):
        assemble("freetumor", study, labeled, CPU, untrained["segmenter"], untrained["segmenter"])
    network = segmenter_network(study.segmenter.network, study, seed=3)
    for key, value in (("organs", ["liver", "kidney"]), ("spacing", [1.0, 1.0, 1.0])):
        save_weights(tmp_path / "other.safetensors", network.state_dict(), {"fits": study.fits | {key: value}})
        with pytest.raises(UserError, match=rf"other\.safetensors: was trained for {key} .*, but the study has"):
            load_segmenter(tmp_path / "other.safetensors", study.segmenter.network, study, CPU)
    save_weights(tmp_path / "w.safetensors", network.state_dict(), {"fits": study.fits})
    loaded = load_segmenter(tmp_path / "w.safetensors", study.segmenter.network, study, CPU)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), network.parameters(), strict=True))
