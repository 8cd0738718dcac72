"""Device, threads, precision and determinism of a job that uses torch."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed
from threadpoolctl import threadpool_limits
from torch import Tensor

from . import distributed
from .config import Compute
from .errors import UserError
from .workers import end_with_parent


@dataclass(frozen=True)
class Device:
    """Where a job computes, and its place among the processes of a distributed job."""

    torch: torch.device
    rank: int = 0
    world: int = 1
    mixed_precision: bool = False

    @property
    def leads(self) -> bool:
        """Whether this process writes files and prints progress."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager:
        """Mixed precision where it is on; else a context that does nothing."""
        return torch.autocast(self.torch.type, dtype=torch.bfloat16) if self.mixed_precision else nullcontext()

    def mine(self, batch: int) -> range:
        """The slots of a batch of ``batch`` samples that this process computes."""
        return range(self.rank, batch, self.world)

    def total(self, value: Tensor) -> Tensor:
        """Sum of ``value`` over all processes; differentiable."""
        return distributed.total(value) if self.world > 1 else value

    def gather(self, part: Tensor) -> Tensor:
        """The whole batch from the parts of all processes, in the order of the slots; differentiable."""
        return distributed.gather(part) if self.world > 1 else part

    def average(self, numbers: dict[str, float]) -> dict[str, float]:
        """Means of recorded numbers, which all processes have under the same names, over the processes."""
        if self.world == 1:
            return numbers
        values = distributed.total(torch.tensor(list(numbers.values()), device=self.torch)) / self.world
        return dict(zip(numbers, values.tolist(), strict=True))

    def synchronize_norms(self, network: torch.nn.Module) -> None:
        """Let batch normalization of ``network`` see the parts of all processes while it trains."""
        if self.world > 1:
            distributed.synchronize_norms(network)

    def average_gradients(self, module: torch.nn.Module) -> None:
        """Average the gradients of ``module`` over all processes; nothing to do in a single one."""
        if self.world > 1:
            distributed.average_gradients(module)

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            torch.distributed.barrier()


def set_threads(count: int) -> None:
    """Let torch and the matrix products of NumPy and SciPy use ``count`` threads, here and in processes started later.

    Whoever starts a job sets a number of its own, such as that of all cores of the job.
    """
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(count)))
    threadpool_limits(count)
    torch.set_num_threads(count)


def prepare(compute: Compute) -> Device:
    """Set threads and deterministic kernels, join the process group that ``torchrun`` announced, and choose the device.

    Raises:
        UserError: if a GPU is demanded and there is none.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    set_threads(compute.torch_threads)
    # An error, since nothing that is trained needs a kernel without a deterministic form (benchmarks/determinism.py).
    # `use_deterministic_algorithms` does the same, but imports the compiler for it, a third of the time of a short job.
    torch.set_deterministic_debug_mode("error" if compute.deterministic else "default")
    torch.backends.cudnn.benchmark = False
    has_gpu = torch.cuda.is_available()
    if compute.device == "cuda" and not has_gpu:
        raise UserError("compute.device: 'cuda' was asked for, but torch sees no GPU; use 'auto' or 'cpu'")
    on_gpu = has_gpu and compute.device != "cpu"
    rank, world, local = (
        int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    if world > 1 and not torch.distributed.is_initialized():
        end_with_parent()
        torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    return Device(device, rank, world, mixed_precision=on_gpu and compute.mixed_precision)
