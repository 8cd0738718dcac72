"""Kill a study at random moments, go on each time, and compare what comes out with an undisturbed run.

    python benchmarks/kills.py               # 200 kills of a tiny study, some forty minutes of two cores
    python benchmarks/kills.py --kills 20

In turn: SIGKILL to everything at once (a power cut), to the driver alone (its jobs go on), to one job. A run that reaches its
end is compared, byte for byte, searched for temporary files, thrown away, and begun anew. What ran when it was killed is
counted.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
LATEST, LONG = (
    7.0,
    40.0,
)  # seconds from the start of the first job to the kill, mostly; every fifth may come later, or on a busy
LATE = 5  # machine a job that takes longer would never end
EARLY, PLANNING = 8, 3.0  # every eighth kill comes in the first seconds of the driver, while it plans
POWER, DRIVER, JOB = "power cut", "driver", "job"
PATIENCE = 120.0  # seconds in which jobs whose driver is gone must end


class Killer:
    """A study that is killed again and again.

    Args:
        folder: where it runs.
        expected: hashes of the results of an undisturbed run.
        rng: draws moments and victims.
    """

    def __init__(self, folder: Path, expected: dict[str, str], rng: random.Random) -> None:
        self.checkout, self.expected, self.rng = Checkout(folder), expected, rng
        self.log = folder / "driver.log"
        self.ran: Counter[str] = Counter()
        self.victims: Counter[str] = Counter()
        self.compared = 0

    def round(self, victim: str) -> bool:
        """Start a driver and kill; whether there was something to kill."""
        with self.log.open("a") as log:
            driver = subprocess.Popen(
                self.checkout.command(cores=2),
                cwd=self.checkout.folder,
                env=ENVIRONMENT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if self.rng.randrange(EARLY):
            while driver.poll() is None and not any(self._jobs().values()):
                time.sleep(0.05)
            moment = self.rng.uniform(0, LATEST if self.rng.randrange(LATE) else LONG)
        else:
            moment = self.rng.uniform(0, PLANNING)
        try:
            status = driver.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            return self._kill(driver, victim)
        if status != 0:
            raise SystemExit(f"kills: the driver ended by itself with {status}; see {self.log}")
        self.compare()
        return False

    def _kill(self, driver: subprocess.Popen, victim: str) -> bool:
        jobs = {process: name for process, name in self._jobs().items() if name}
        self.ran.update(jobs.values() or ["between jobs"])
        if victim == JOB and not jobs:
            victim = POWER
        self.victims[victim] += 1
        if victim == POWER:
            os.killpg(driver.pid, signal.SIGKILL)
        elif victim == DRIVER:
            driver.kill()
        else:
            os.kill(self.rng.choice(sorted(jobs)), signal.SIGKILL)
        driver.wait(timeout=PATIENCE)
        self._wait()
        if victim != JOB:
            recover = [sys.executable, "scripts/recover_run.py", *self.checkout.command(cores=2)]
            subprocess.run(
                recover, cwd=self.checkout.folder, env=ENVIRONMENT, check=True, capture_output=True, timeout=PATIENCE
            )
        return True

    def _jobs(self) -> dict[int, str]:
        """Scripts that run in the folder, by process."""
        found = {}
        for process in processes_in(self.checkout.folder):
            try:
                words = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            scripts = [Path(word).stem for word in words[:3] if word.startswith("scripts/") and word.endswith(".py")]
            found[process] = scripts[0] if scripts and Path(words[0]).name.startswith("python") else ""
        return found

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while processes_in(self.checkout.folder):
            if time.monotonic() > deadline:
                raise SystemExit(f"kills: jobs do not end: {self._jobs()}")
            time.sleep(0.1)

    def compare(self) -> None:
        """See that a finished run has the bytes of the undisturbed one and no temporary file; throw it away."""
        found = self.checkout.content()
        if found != self.expected:
            names = sorted(name for name in found.keys() | self.expected if found.get(name) != self.expected.get(name))
            raise SystemExit(f"kills: after {sum(self.victims.values())} kills these differ: {', '.join(names[:20])}")
        results = self.checkout.folder / "results"
        left = [path for path in results.rglob("*") if path.is_file() and (".part" in path.name or ".tmp" in path.name)]
        if left:
            raise SystemExit(f"kills: temporary files are left: {', '.join(map(str, left[:20]))}")
        self.compared += 1
        shutil.rmtree(results)


def main() -> None:
    """Kill, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="of moments and victims (default: 1)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-", ignore_cleanup_errors=True) as text:
        undisturbed = Checkout(Path(text) / "undisturbed")
        undisturbed.run(cores=2)
        killer = Killer(Path(text) / "killed", undisturbed.content(), random.Random(args.seed))
        progress = Progress("kills", args.kills, "kill", interval=30)
        while progress.done < args.kills or killer.compared == 0 or any((killer.checkout.folder / "results").glob("*")):
            if progress.done < args.kills:
                progress.advance(int(killer.round((POWER, DRIVER, JOB)[progress.done % 3])), f"{killer.compared} runs compared")
            else:
                killer.checkout.run(cores=2)
                killer.compare()
    print(f"{args.kills} kills: " + ", ".join(f"{count} of the {name}" for name, count in killer.victims.items()))
    print("running when killed: " + ", ".join(f"{name} {count}" for name, count in killer.ran.most_common()))
    print(f"{killer.compared} finished runs of {len(killer.expected)} results each: same bytes, no temporary file")


if __name__ == "__main__":
    sys.path[0:1] = [str(REPOSITORY), str(REPOSITORY / "scripts")]
    from freetumor.core.progress import Progress
    from tests.workflow.checkout import ENVIRONMENT, Checkout
    from tests.workflow.test_reproducibility import processes_in

    main()
