"""What painting costs, beside plain references of the published algorithms and beside touching the data.

    python benchmarks/synthesis.py             # about ten minutes
    python benchmarks/synthesis.py --quick     # less than one

Prints tables and, last, one line per ratio: ``ratio <name> <value>``. See benchmarks/README.md.
"""

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS")

if __name__ == "__main__":
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # before NumPy is imported: core-seconds are those of one thread
    sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]
    from benchmarks.command import main

    main(__doc__)
