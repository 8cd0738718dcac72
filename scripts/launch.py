r"""Start a script on the GPUs of this machine that no other job uses, or on the CPU if there are none.

With one GPU, or none, the script runs as it is. With several it runs under torchrun, one process per GPU. Inside an
allocation of Slurm with several tasks, each task starts its share and they meet at the first node.

Example:
    python scripts/launch.py --gpus 2 scripts/train_segmenter.py --config results/quick/config.yaml ...
"""

import argparse

from freetumor.core.errors import run_script
from freetumor.core.launch import launch


def main() -> None:
    """Parse the arguments and become the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=1, help="GPUs of the job; 0 keeps it on the CPU (default: 1)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the script and its arguments")
    arguments = parser.parse_args()
    launch(arguments.gpus, arguments.command)


if __name__ == "__main__":
    run_script(main)
