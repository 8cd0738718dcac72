"""How often the statistics are wrong: simulated studies in which the truth is known.

    python benchmarks/statistics.py             # 2,000 studies per design, some minutes
    python benchmarks/statistics.py --quick     # 100 studies per design, less than one

Prints a table and, last, one line per rate and time: ``rate <name> <value>``, ``seconds <name> <value>``. Type-I error of a 5 %
test should lie between 3.5 and 6.5 %, coverage of a 95 % interval between 93 and 97 %. Naive procedures stand beside.
"""

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is imported: core-seconds are those of one thread
    # This folder has to leave the path: here `statistics` would be this file, and no longer Python's module.
    sys.path[0:1] = [str(REPOSITORY), str(REPOSITORY / "scripts")]
    from benchmarks.error_rates import main

    main(__doc__)
