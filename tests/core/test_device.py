"""Several processes compute the gradient of one."""

import json
import os
import socket
import subprocess
import sys
import textwrap

import pytest
import torch

from freetumor.core.config import Compute
from freetumor.core.device import Device, prepare
from freetumor.core.errors import UserError
from tests.conftest import REPOSITORY

PROGRAM = """
import json, os, sys
import torch
from freetumor.core.config import Compute
from freetumor.core.device import prepare

device = prepare(Compute(device="cpu"))
model = torch.nn.Linear(3, 2)
unused = torch.nn.Linear(1, 1)  # has no gradient on any process
with torch.no_grad():
    for parameter in model.parameters():
        parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 7)
x = torch.arange(24.0).reshape(8, 3).sin()
own = x[device.rank :: device.world]
(model(own) ** 2).sum(dim=1).mean().backward()
device.average_gradients(torch.nn.ModuleList([model, unused]))
device.barrier()
if device.leads:
    print(json.dumps([parameter.grad.tolist() for parameter in model.parameters()]))
"""


def closed_form():
    """Gradient of mean ||W x + b||^2 over all eight samples: 2/n (W x + b) x^T, and 2/n (W x + b)."""
    weight, bias = torch.arange(6).reshape(2, 3) / 7, torch.arange(2) / 7
    x = torch.arange(24.0).reshape(8, 3).sin()
    residual = x @ weight.T + bias
    return 2 / 8 * residual.T @ x, 2 / 8 * residual.sum(dim=0)


def launch(world):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        **os.environ,
        "PYTHONPATH": "scripts",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM)],
            cwd=REPOSITORY,
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    outputs = [process.communicate(timeout=100)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * world
    assert [bool(output) for output in outputs] == [True] + [False] * (world - 1)  # one process speaks
    return json.loads(outputs[0])


@pytest.mark.parametrize("world", [1, 2])
def test_the_averaged_gradient_is_that_of_a_single_process(world):
    for computed, expected in zip(launch(world), closed_form(), strict=True):
        torch.testing.assert_close(torch.tensor(computed), expected, rtol=1e-5, atol=1e-6)


def test_a_single_process_is_left_alone():
    model = torch.nn.Linear(2, 1)
    model(torch.ones(1, 2)).sum().backward()
    before = [parameter.grad.clone() for parameter in model.parameters()]
    device = Device(torch.device("cpu"))
    device.average_gradients(model)
    device.barrier()
    assert device.leads
    assert all(torch.equal(a, b.grad) for a, b in zip(before, model.parameters(), strict=True))


def test_a_demanded_gpu_that_is_not_there_is_a_user_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"compute\.device: 'cuda'"):
        prepare(Compute(device="cuda"))


def test_mixed_precision_is_never_used_on_a_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    device = prepare(Compute(device="auto", mixed_precision=True))
    assert not device.mixed_precision
    with device.autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32
    assert torch.are_deterministic_algorithms_enabled()
