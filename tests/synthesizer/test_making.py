"""``make`` depends on its arguments alone, and says what became of every draw."""

import numpy as np
import pytest
import torch

from freetumor.core.config import Gate, Synthesizer
from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.weights import save_weights
from freetumor.synthesizer.assembly import (
    ACCEPTED,
    EMPTY,
    NO_PLACE,
    REFUSED,
    TumorSynthesizer,
    assemble,
    load_segmenter,
    segmenter_network,
)
from freetumor.synthesizer.cases import canvas_patch
from freetumor.synthesizer.gates import OpenGate
from freetumor.synthesizer.painters import ConstantPainter, DifferencePainter
from freetumor.synthesizer.shapes import EllipsoidShape
from tests.factory import small_config

CPU = torch.device("cpu")


def content(made):
    parts = (made.image, made.label, made.lesion)
    return [part.tobytes() for part in parts], made.outcome, made.attempts, str(made.score), made.parameters


def canvas(study, case, index):
    patch, name = canvas_patch(case, study.working.patch, generator("canvas", index))
    return patch, study.organs.index(name)


@pytest.mark.parametrize("name", ["constant", "copy_paste", "freetumor", "published"])
def test_order_repetition_and_other_patches_change_nothing(study, synthesizers, labeled, name):
    synthesizer = synthesizers[name]
    inputs = [(*canvas(study, labeled[index % 3], index), index) for index in range(4)]

    def make(item):
        patch, organ, index = item
        return content(synthesizer.make(patch, organ, generator("make", index)))

    forward = [make(item) for item in inputs]
    np.random.seed(3)  # noqa: NPY002 - a global state that must not matter
    torch.manual_seed(3)
    assert [make(item) for item in reversed(inputs)] == forward[::-1]
    assert [make(inputs[0]), make(inputs[2]), make(inputs[0])] == [forward[0], forward[2], forward[0]]
    assert len({str(item) for item in forward}) == 4


@pytest.mark.parametrize("name", ["constant", "copy_paste", "freetumor", "published"])
def test_the_canvas_is_never_written_to(study, synthesizers, labeled, name):
    patch, organ = canvas(study, labeled[0], 1)
    before = patch.image.copy(), patch.label.copy()
    synthesizers[name].make(patch, organ, generator("make"))
    assert np.array_equal(patch.image, before[0])
    assert np.array_equal(patch.label, before[1])


class Judge:
    """A gate that gives the scores it was told to."""

    threshold = 0.5

    def __init__(self, *scores):
        self.scores = list(scores)

    def score(self, image, lesion, organ):
        return self.scores.pop(0)


def synthesizer_of(gate, painter=None, **changes):
    settings = Synthesizer(painter=painter or {"kind": "constant"}, gate=Gate(attempts=3), **changes)
    return TumorSynthesizer(settings, EllipsoidShape(settings.shape), ConstantPainter(settings.painter, settings.texture), gate)


def test_a_refused_lesion_is_drawn_again_until_one_passes(study, labeled):
    patch, organ = canvas(study, labeled[0], 0)
    made = synthesizer_of(Judge(0.1, 0.49, 0.5)).make(patch, organ, generator("again"))
    assert (made.outcome, made.attempts, made.score) == (ACCEPTED, 3, 0.5)
    assert made.lesion.any()


def test_a_patch_without_an_accepted_lesion_comes_back_unchanged(study, labeled):
    patch, organ = canvas(study, labeled[0], 0)
    made = synthesizer_of(Judge(0.1, 0.2, 0.3)).make(patch, organ, generator("refused"))
    assert (made.outcome, made.attempts, made.score) == (REFUSED, 3, 0.3)
    assert np.array_equal(made.image, patch.image)
    assert np.array_equal(made.label, patch.label)
    assert not made.lesion.any()


def test_the_published_gate_asks_once(study, labeled):
    patch, organ = canvas(study, labeled[0], 0)
    gate = Judge(0.1, 0.9)
    made = synthesizer_of(gate, defects={"recall_gate": True}).make(patch, organ, generator("once"))
    assert (made.outcome, made.attempts, gate.scores) == (REFUSED, 1, [0.9])


def test_a_lesion_that_changes_nothing_is_empty(study, labeled):
    patch, organ = canvas(study, labeled[0], 0)
    made = synthesizer_of(OpenGate(), {"kind": "constant", "contrast": [0, 0]}).make(patch, organ, generator("empty"))
    assert made.outcome == EMPTY
    assert np.isnan(made.score)


def test_a_patch_without_the_organ_is_no_place(study, labeled):
    patch, organ = canvas(study, labeled[0], 0)
    patch.label[patch.label == 2 * organ + 1] = 0
    made = synthesizer_of(OpenGate()).make(patch, organ, generator("nowhere"))
    assert made.outcome == NO_PLACE
    assert np.array_equal(made.image, patch.image)


def test_a_constant_lesion_is_darker_by_texture_times_contrast(study, labeled):
    changes = []
    for index in range(30):
        patch, organ = canvas(study, labeled[index % 3], index)
        settings = {"kind": "constant", "contrast": [100, 100]}
        made = synthesizer_of(OpenGate(), settings, compositor={"blur": [0, 0]}).make(patch, organ, generator(index))
        if made.outcome == ACCEPTED:
            changes.append((made.image.astype(float) - patch.image)[made.lesion].mean())
    # The texture's mean over its values above 0.12 is 0.5 to 0.55, so that of all its values is a little less.
    assert -60 < np.mean(changes) < -40


class FixedGenerator(torch.nn.Module):
    """Answers (0.3, -0.8) for the first and the second organ, plus the mean of its second channel if it has one."""

    def forward(self, x):
        output = torch.tensor([0.3, -0.8]).view(1, 2, 1, 1, 1).expand(len(x), 2, *x.shape[2:])
        return output + x[:, 1:].mean() if x.shape[1] > 1 else output


@pytest.mark.parametrize(
    ("polarity", "route", "organ", "factor"),
    [
        ("subtract", True, 0, -np.tanh(0.3)),
        ("subtract", True, 1, -np.tanh(-0.8)),
        ("subtract", False, 1, -np.tanh(0.3)),  # defect `channel_routing`: every organ uses channel 0
        ("add", True, 1, 1 / (1 + np.exp(0.8))),
    ],
)
def test_the_learned_difference_has_its_closed_form(study, labeled, polarity, route, organ, factor):
    settings = small_config().synthesizers["freetumor"].painter.model_copy(update={"polarity": polarity})
    flat = study.synthesizers["freetumor"].texture.model_copy(update={"sigma_a": [3.0], "sigma_b": [0.01], "level": (0.5, 0.5)})
    painter = DifferencePainter(FixedGenerator(), settings, flat, study.working.window, False, route, CPU)
    patch, _ = canvas(study, labeled[0], 0)
    alpha = np.ones(patch.image.shape, np.float32)
    rendered, _ = painter.render(patch, organ, None, alpha, generator("render"))
    values = np.unique(np.round(rendered - patch.image, 2))  # a texture without smoothing is 0 or 0.5
    assert values.tolist() == pytest.approx(sorted([0, factor * 0.5 * 425]), abs=0.02)


def test_an_unconditioned_generator_does_not_see_the_mask(study, labeled):
    """Defect `unconditioned`: the same patch with two masks."""
    settings = study.synthesizers["freetumor"]
    patch, organ = canvas(study, labeled[0], 0)
    for conditioned in (True, False):
        painter = DifferencePainter(
            FixedGenerator(), settings.painter, settings.texture, study.working.window, conditioned, True, CPU
        )
        results = []
        for level in (0.2, 0.9):
            alpha = np.full(patch.image.shape, level, np.float32)
            results.append(painter.render(patch, organ, None, alpha, generator("render"))[0])
        assert np.array_equal(*results) != conditioned


def test_networks_are_demanded_and_checked(study, labeled, untrained, tmp_path):
    with pytest.raises(UserError, match=r"synthesizers\.freetumor: needs the trained generator"):
        assemble("freetumor", study, labeled, CPU, None, untrained["segmenter"])
    with pytest.raises(UserError, match=r"synthesizers\.freetumor: needs the trained segmenter"):
        assemble("freetumor", study, labeled, CPU, untrained["freetumor"], None)
    with pytest.raises(UserError, match="do not fit the network of the configuration"):
        assemble("freetumor", study, labeled, CPU, untrained["segmenter"], untrained["segmenter"])
    network = segmenter_network(study.segmenter.network, study, seed=3)
    save_weights(tmp_path / "w.safetensors", network.state_dict(), {})
    loaded = load_segmenter(tmp_path / "w.safetensors", study.segmenter.network, study, CPU)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), network.parameters(), strict=True))


def test_a_lesion_drawn_again_keeps_its_size_class(study, labeled):
    patch, organ = canvas(study, labeled[0], 0)
    for index in range(30):
        synthesizer = synthesizer_of(Judge(0.0, 0.0, 1.0))
        first = synthesizer.shape.choose(organ, generator("class", index))
        made = synthesizer.make(patch, organ, generator("class", index))
        assert (made.attempts, made.parameters["size"]) == (3, first["size"])
