"""How many planted copies of a scan are found, how many false pairs, and what the search costs.

    python benchmarks/duplicates.py                      # 100 phantoms, some minutes of one core
    python benchmarks/duplicates.py --phantoms 10 --volumes 200

Prints tables and, last, ``found <kind> <share>``, ``false_pairs <number>`` and ``seconds <volumes> <core-seconds>``.
See docs/explanation/duplicates.md.
"""

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is imported: core-seconds are those of one thread
    sys.path[:1] = [str(REPOSITORY), str(REPOSITORY / "scripts")]  # without this folder, whose statistics.py is another
    from benchmarks.copies import main

    main(__doc__)
