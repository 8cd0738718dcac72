"""Worker processes that end with the process that started them."""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from threading import Thread

LAUNCHER = "FREETUMOR_LAUNCHER"  # variable of the environment: the process that becomes torchrun
PAUSE = 0.5  # seconds between two looks at the parent


def process_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of fresh processes.

    Workers of the standard pool outlive a parent that was killed: they wait for work forever, and hold open the output that
    whoever started the job reads to its end, so that a job killed for want of memory would never end.
    """
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent)


def end_with_parent() -> None:
    """Let this process, which another one started, end when that one does.

    So do the processes of ``torchrun``: they have sessions of their own, and would go on with a training whose job is over. Who
    starts it tells them its number (``LAUNCHER``), since it may be gone before they look.
    """
    Thread(target=_follow_parent, args=(int(os.environ.get(LAUNCHER, os.getppid())),), daemon=True).start()


def _follow_parent(number: int) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    else:
        while os.getppid() == number:
            time.sleep(PAUSE)
    os._exit(1)
