"""What checking and preprocessing a scan costs, beside MONAI's standard chain and beside touching the data.

    python benchmarks/preprocessing.py                 # volumes A, B, C, some minutes of one core
    python benchmarks/preprocessing.py --volumes B     # one of them
    python benchmarks/preprocessing.py --image CT.nii.gz --label LABEL.nii.gz

Prints tables and, last, one line per ratio: ``ratio <name> <value>``. See benchmarks/README.md.
"""

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS")

if __name__ == "__main__":
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # before NumPy is imported: core-seconds are those of one thread
    sys.path[:1] = [str(REPOSITORY), str(REPOSITORY / "scripts")]  # without this folder, whose statistics.py is another
    from benchmarks.preparing import main

    main(__doc__)
