"""What training and painting cost on a GPU, and whether reruns give the same bits.

    python benchmarks/gpu.py                          # on a GPU
    python benchmarks/gpu.py --device cpu --quick     # the same at tiny sizes, to see that it runs

Prints a line with date, device and versions, and a table per section. See benchmarks/README.md.
"""

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS"):
        os.environ.setdefault(name, "1")  # as `compute.torch_threads` of the default study
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before the first product: cuBLAS is deterministic with it
    sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]
    from benchmarks.gpu_command import main

    main(__doc__)
