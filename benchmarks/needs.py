"""What jobs need: the greatest memory and the processor time of real jobs on made-up scans, beside what the workflow asks for.

    python benchmarks/needs.py                              # all points, an hour or two of one core, up to 8 GB
    python benchmarks/needs.py --kinds predict score_cases  # some
    python benchmarks/needs.py --list                       # what was measured last, beside what is asked for
    python benchmarks/needs.py --page                       # the tables of docs/explanation/scale.md

Every job is the script that its rule runs, in a process of its own, started by one that holds nothing. Memory is the greatest
resident memory (of several processes: of all together, looked at 50 times a second), time that of all its threads and
processes. Results are kept in ``benchmarks/needs.csv``, from which a test takes them. See benchmarks/README.md.
"""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    sys.path[:1] = [str(REPOSITORY), str(REPOSITORY / "scripts")]  # without this folder, whose statistics.py is another
    from benchmarks.needs_measuring import main

    main(__doc__)
