"""Kill a study at random moments, go on each time, and compare what comes out with an undisturbed run.

    python benchmarks/kills.py               # 200 kills of a tiny study, 51 minutes beside other work
    python benchmarks/kills.py --kills 20

In turn: SIGKILL to everything at once (a power cut), to the driver alone (its jobs go on), to one job; the driver then goes on
with the others for some seconds, before the power fails. A process of its own feeds each training. An undisturbed run is
watched first; then every script is struck as often as any other, at a random moment between the start of its process and the
end that the undisturbed run leads to expect. A run that reaches its end is compared, byte for byte, searched for temporary
files, thrown away, and begun anew.
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
EARLY, PLANNING = 8, 3.0  # every eighth kill comes in the first seconds of the driver, while it plans
POWER, DRIVER, JOB = "power cut", "driver", "job"
PATIENCE = 120.0  # seconds in which jobs whose driver is gone must end
GOING_ON = 8.0  # seconds that a driver has, at most, after one of its jobs was killed
STUDY = "compute: { loader_workers: 1 }"
LOOK = 0.05  # seconds between looks at the processes


def prepared(folder: Path) -> "Checkout":
    """A copy of the workflow with the study."""
    checkout = Checkout(folder)
    checkout.write_study("tiny", TINY + STUDY)
    return checkout


def jobs_in(folder: Path) -> dict[int, str]:
    """Processes that work in ``folder``: the script that each runs, or an empty word for those that run none."""
    found = {}
    for process in processes_in(folder):
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        scripts = [Path(word).stem for word in words[:3] if word.startswith("scripts/") and word.endswith(".py")]
        found[process] = scripts[0] if scripts and Path(words[0]).name.startswith("python") else ""
    return found


def start(checkout: "Checkout", log: Path) -> subprocess.Popen:
    """A driver on two cores, in a process group of its own."""
    with log.open("a") as stream:
        return subprocess.Popen(
            checkout.command(cores=2),
            cwd=checkout.folder,
            env=ENVIRONMENT,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def durations(checkout: "Checkout") -> dict[str, float]:
    """Run a study undisturbed; seconds of the longest process of each script."""
    driver = start(checkout, checkout.folder / "driver.log")
    begun: dict[int, float] = {}
    longest: dict[str, float] = {}
    while driver.poll() is None:
        now = time.monotonic()
        for process, name in jobs_in(checkout.folder).items():
            if name and name != "launch":
                longest[name] = max(longest.get(name, 0.0), now - begun.setdefault(process, now))
        time.sleep(LOOK)
    if driver.returncode:
        raise SystemExit(f"kills: the undisturbed run ended with {driver.returncode}; see {checkout.folder}/driver.log")
    return longest


class Killer:
    """A study that is killed again and again.

    Args:
        folder: where it runs.
        expected: hashes of the results of an undisturbed run.
        lasting: seconds of each script there.
        rng: draws moments and victims.
    """

    def __init__(self, folder: Path, expected: dict[str, str], lasting: dict[str, float], rng: random.Random) -> None:
        self.checkout, self.expected, self.lasting, self.rng = prepared(folder), expected, lasting, rng
        self.log = folder / "driver.log"
        self.struck: Counter[str] = Counter(dict.fromkeys(lasting, 0))
        self.victims: Counter[str] = Counter()
        self.idle = 0
        self.compared = 0

    def round(self, victim: str) -> int:
        """Start a driver and kill; how many kills it took to end it, none if it came to its own end."""
        driver = start(self.checkout, self.log)
        if self.rng.randrange(EARLY) == 0:
            target, moment = None, self.rng.uniform(0, PLANNING)
        else:
            target = self._await_target(driver)
            moment = self.rng.uniform(0, self.lasting[target[1]]) if target else 0.0
        try:
            status = driver.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            return self._kill(driver, victim, target)
        if status != 0:
            raise SystemExit(f"kills: the driver ended by itself with {status}; see {self.log}")
        self.compare()
        return 0

    def _await_target(self, driver: subprocess.Popen) -> tuple[int, str] | None:
        """The first process of a script that was struck as seldom as any, once it runs; none if the driver ends before."""
        while driver.poll() is None:
            for process, name in jobs_in(self.checkout.folder).items():
                if name in self.struck and self.struck[name] == min(self.struck.values()):
                    return process, name
            time.sleep(LOOK)
        return None

    def _kill(self, driver: subprocess.Popen, victim: str, target: tuple[int, str] | None) -> int:
        jobs = {process: name for process, name in jobs_in(self.checkout.folder).items() if name in self.struck}
        if victim == JOB and not jobs:
            victim = POWER
        if victim == JOB:
            chosen = target[0] if target and target[0] in jobs else self.rng.choice(sorted(jobs))
            jobs = {chosen: jobs[chosen]}
        self.victims[victim] += 1
        self.struck.update(jobs.values())
        self.idle += not jobs
        if victim == POWER:
            os.killpg(driver.pid, signal.SIGKILL)
        elif victim == DRIVER:
            driver.kill()
        else:
            os.kill(chosen, signal.SIGKILL)
            try:
                driver.wait(timeout=self.rng.uniform(0, GOING_ON))
            except subprocess.TimeoutExpired:
                return 1 + self._kill(driver, POWER, None)
        driver.wait(timeout=PATIENCE)
        self._wait()
        if victim != JOB:
            recover = [sys.executable, "scripts/recover_run.py", *self.checkout.command(cores=2)]
            subprocess.run(
                recover, cwd=self.checkout.folder, env=ENVIRONMENT, check=True, capture_output=True, timeout=PATIENCE
            )
        return 1

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while processes_in(self.checkout.folder):
            if time.monotonic() > deadline:
                raise SystemExit(f"kills: jobs do not end: {jobs_in(self.checkout.folder)}")
            time.sleep(0.1)

    def compare(self) -> None:
        """See that a finished run has the bytes of the undisturbed one and no temporary file; throw it away."""
        found = self.checkout.content()
        if found != self.expected:
            names = sorted(name for name in found.keys() | self.expected if found.get(name) != self.expected.get(name))
            raise SystemExit(f"kills: after {sum(self.victims.values())} kills these differ: {', '.join(names[:20])}")
        results = self.checkout.folder / "results"
        left = [path for path in results.rglob("*") if path.is_file() and ".tmp" in path.name]
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
        undisturbed = prepared(Path(text) / "undisturbed")
        lasting = durations(undisturbed)
        killer = Killer(Path(text) / "killed", undisturbed.content(), lasting, random.Random(args.seed))
        progress = Progress("kills", args.kills, "kill", interval=30)
        while progress.done < args.kills or killer.compared == 0 or any((killer.checkout.folder / "results").glob("*")):
            if progress.done < args.kills:
                progress.advance(killer.round((POWER, DRIVER, JOB)[progress.done % 3]), f"{killer.compared} runs compared")
            else:
                killer.checkout.run(cores=2)
                killer.compare()
    print(f"{progress.done} kills: " + ", ".join(f"{count} of the {name}" for name, count in killer.victims.items()))
    struck = ", ".join(f"{name} {count}" for name, count in killer.struck.most_common())
    print(f"running when killed: {struck}; none {killer.idle}")
    print(f"{killer.compared} finished runs of {len(killer.expected)} results each: same bytes, no temporary file")


if __name__ == "__main__":
    sys.path[0:1] = [str(REPOSITORY), str(REPOSITORY / "scripts")]
    from freetumor.core.progress import Progress
    from tests.workflow.checkout import ENVIRONMENT, TINY, Checkout
    from tests.workflow.test_reproducibility import processes_in

    main()
