"""What a training needs for each of its steps, made ahead by worker processes if there are any.

What a step needs is a pure function of its number, so neither the number of workers nor an interruption changes it.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from .device import set_threads
from .errors import UserError
from .workers import end_with_parent

T = TypeVar("T")
AHEAD = 2  # steps that each worker makes before they are asked for


class Feed(Generic[T]):
    """Gives what the steps of a training need, in turn.

    Args:
        make: what step number ``step`` needs: a pure function of it, which can be pickled if there are workers. What it gives
            should be arrays, not tensors: these would go through shared memory, of which containers have little.
        steps: number of the last step.
        workers: processes that make it ahead; none: it is made when it is asked for.
    """

    def __init__(self, make: Callable[[int], T], steps: int, workers: int = 0) -> None:
        self.make, self.steps, self.workers = make, steps, workers
        self._coming: Iterator[T | UserError] | None = None
        self._threads: set[threading.Thread] = set()  # they pass the numbers of the steps to the workers
        self._next = 0

    def take(self, step: int) -> T:
        """What step number ``step`` needs; workers are started, or started anew, where it is not the one after the last.

        Raises:
            UserError: if making it did, or a worker was killed.
        """
        if not self.workers:
            return self.make(step)
        if self._coming is None or step != self._next:
            self._end_workers()
            self._start_workers(step)
        try:
            made = next(self._coming)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            raise UserError(
                "compute.loader_workers: a process that makes patches was killed, most often for lack of memory; expected "
                "fewer of them, or more memory for the job"
            ) from error
        self._next = step + 1
        if step == self.steps:
            self._end_workers()
        if isinstance(made, UserError):
            raise made
        return made

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._end_workers()

    def _start_workers(self, step: int) -> None:
        before = set(threading.enumerate())
        self._coming = iter(self._loader(range(step, self.steps + 1)))
        self._threads = set(threading.enumerate()) - before

    def _end_workers(self) -> None:
        """Workers end with the last reference; so do the threads, which must not meet the end of Python while they clean up."""
        self._coming = None
        for thread in self._threads - {threading.current_thread()}:
            thread.join(timeout=5)
        self._threads = set()

    def _loader(self, steps: Sequence[int]) -> DataLoader:
        return DataLoader(
            _Steps(self.make, torch.get_num_threads(), torch.get_deterministic_debug_mode()),
            batch_size=None,
            sampler=steps,
            num_workers=min(self.workers, len(steps)),
            collate_fn=_as_it_is,
            worker_init_fn=_prepare_worker,
            prefetch_factor=AHEAD,
            multiprocessing_context="spawn",  # a fork would inherit threads and locks of torch, blosc2 and CUDA
        )


class _Steps(Dataset):
    """The steps of a training as a data set of torch."""

    def __init__(self, make: Callable[[int], Any], threads: int, determinism: int) -> None:
        self.make, self.threads, self.determinism = make, threads, determinism

    def __getitem__(self, step: int) -> Any:
        try:
            return self.make(step)
        except UserError as error:  # torch would wrap its one line into a traceback
            return error


def _as_it_is(sample: Any) -> Any:
    return sample


def _prepare_worker(_: int) -> None:
    """Compute as the training does, and end with it."""
    steps = torch.utils.data.get_worker_info().dataset
    set_threads(steps.threads)
    torch.set_deterministic_debug_mode(steps.determinism)
    end_with_parent()
