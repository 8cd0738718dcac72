"""An interrupted training ends exactly as one that was not."""

import itertools
import math

import pytest
import torch

from freetumor.core.checkpoint import Checkpoints
from freetumor.core.config import Training
from freetumor.core.device import Device
from freetumor.core.optimization import learning_rate, make_optimizer, optimize, set_learning_rate, with_steps
from freetumor.core.seeding import torch_generator

SETTINGS = Training(steps=11, batch=2, learning_rate=0.1, warmup=3, validate_every=4, checkpoint_every=3)
DEVICE = Device(torch.device("cpu"))


class Interrupted(Exception):
    pass


class Regression:
    """Fits a small network to data drawn from the step number, with momentum, and counts its steps."""

    def __init__(self, stop_after=None):
        self.network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
        for index, parameter in enumerate(self.network.parameters()):
            torch.nn.init.normal_(parameter, generator=torch_generator("weights", index))
        self.optimizer = torch.optim.Adam(self.network.parameters(), SETTINGS.learning_rate)
        self.stop_after, self.steps = stop_after, []

    def step(self, step):
        if self.stop_after is not None and step > self.stop_after:
            raise Interrupted
        self.steps.append(step)
        set_learning_rate(self.optimizer, learning_rate(SETTINGS, step))
        x = torch.randn(8, 3, generator=torch_generator("data", step))
        loss = ((self.network(x) - x.sum(dim=1, keepdim=True)) ** 2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item(), "sometimes": float(step) if step % 2 else math.nan}

    def validate(self, step):
        return {"validation": float(self.network(torch.ones(1, 3)).detach())}

    def state(self):
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state):
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


def run(folder, trainable):
    rows = optimize(trainable, SETTINGS, Checkpoints(folder, "print"), DEVICE, "test")
    return [value.tolist() for value in trainable.network.state_dict().values()], rows


def without_missing(rows):
    return [row for row in rows if not math.isnan(row[2])]


@pytest.mark.parametrize("stop", range(SETTINGS.steps + 1))
def test_an_interruption_after_any_step_changes_nothing(tmp_path, stop):
    expected = run(tmp_path / "whole", Regression())
    if stop < SETTINGS.steps:
        with pytest.raises(Interrupted):
            run(tmp_path / "cut", Regression(stop))
    else:
        run(tmp_path / "cut", Regression())
    second = Regression()
    assert run(tmp_path / "cut", second) == expected
    assert second.steps == list(range(stop - stop % 3 + 1 if stop < SETTINGS.steps else SETTINGS.steps + 1, SETTINGS.steps + 1))


def test_many_interruptions_change_nothing(tmp_path):
    expected = run(tmp_path / "whole", Regression())
    for stop in (1, 3, 4, 4, 7, 10):
        with pytest.raises(Interrupted):
            run(tmp_path / "cut", Regression(stop))
    assert run(tmp_path / "cut", Regression()) == expected


def test_the_history_holds_means_since_the_last_record_and_the_validation(tmp_path):
    _, rows = run(tmp_path, Regression())
    assert sorted({step for step, _, _ in rows}) == [4, 8, 11]
    assert [(step, name) for step, name, _ in rows if name == "validation"] == [(n, "validation") for n in (4, 8, 11)]
    direct = Regression()
    losses = [direct.step(step)["loss"] for step in range(1, 12)]
    recorded = [value for _, name, value in rows if name == "loss"]
    expected = [sum(losses[a:b]) / (b - a) for a, b in ((0, 4), (4, 8), (8, 11))]
    assert recorded == pytest.approx(expected, rel=1e-12)
    assert not any(math.isnan(value) for _, _, value in rows)


def test_the_training_itself_draws_no_global_randomness(tmp_path):
    torch.manual_seed(0)
    first = run(tmp_path / "a", Regression())
    torch.manual_seed(1)
    assert run(tmp_path / "b", Regression()) == first


def test_the_learning_rate_warms_up_linearly_and_follows_a_cosine():
    settings = Training(steps=109, warmup=10, learning_rate=2.0)
    rates = [learning_rate(settings, step) for step in range(1, 110)]
    assert rates[:10] == pytest.approx([0.2 * step for step in range(1, 11)])
    assert rates[10 + 50 - 1] == pytest.approx(1.0)  # half of the hundred intervals from the peak to zero
    assert rates[10 + 25 - 1] == pytest.approx(1 + math.sqrt(0.5))
    assert all(a > b > 0 for a, b in itertools.pairwise(rates[9:]))


def test_a_constant_learning_rate_stays_at_its_peak():
    settings = Training(steps=20, warmup=4, learning_rate=1.0, schedule="constant")
    assert [learning_rate(settings, step) for step in range(1, 8)] == [0.25, 0.5, 0.75, 1, 1, 1, 1]
    assert learning_rate(Training(steps=5, warmup=0, learning_rate=1.0), 1) < 1


@pytest.mark.parametrize(("epochs", "samples", "steps"), [(1, 64, 1), (1, 65, 2), (150, 5121, 12003), (70, 1, 2), (1, 0, 1)])
def test_epochs_become_steps(epochs, samples, steps):
    assert with_steps(Training(epochs=epochs, batch=64), samples).steps == steps


def test_without_epochs_the_steps_stay():
    assert with_steps(SETTINGS, 1000) is SETTINGS


def test_sgd_has_nesterov_momentum_and_no_weight_decay():
    """Two steps by hand on a loss whose gradient is the parameter itself."""
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(module.weight, 2.0)
    optimizer = make_optimizer(module, Training(optimizer="sgd", learning_rate=0.1, weight_decay=0.5))
    value, velocity = 2.0, 0.0
    for _ in range(3):
        optimizer.zero_grad()
        (module.weight**2 / 2).sum().backward()
        optimizer.step()
        velocity = 0.9 * velocity + value
        value -= 0.1 * (value + 0.9 * velocity)
        assert module.weight.item() == pytest.approx(value, rel=1e-6)


def test_adamw_decays_weights():
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(module.weight, 2.0)
    optimizer = make_optimizer(module, Training(optimizer="adamw", learning_rate=0.1, weight_decay=0.5))
    module.weight.grad = torch.zeros_like(module.weight)
    optimizer.step()
    assert module.weight.item() == pytest.approx(2.0 * (1 - 0.1 * 0.5))
