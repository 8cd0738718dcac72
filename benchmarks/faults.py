"""What happens on a Slurm cluster when something fails: a pretended cluster of two nodes, the profile that users take.

    python benchmarks/faults.py                 # all, 55 minutes beside other work; needs root and Slurm
    python benchmarks/faults.py memory gpu      # some

Prints one line per event: what was done, what came of it, and whether it is what docs/how-to/run-on-a-cluster.md says.
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
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ATTEMPTS = 10  # runs of the driver, when so many jobs are killed that one of them fails three times
QUICK = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5")


class Place:
    """A folder with the workflow of this benchmark, on the cluster of ``environment``."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        shutil.copy(REPOSITORY / "benchmarks" / "faults.smk", folder / "Snakefile")
        shutil.copytree(REPOSITORY / "profiles" / "slurm", folder / "profiles" / "slurm")
        profile = folder / "profiles" / "slurm" / "profile.yaml"
        text = profile.read_text()
        profile.write_text(text[: text.index("# GPUs of a job")])  # the rules of this workflow have other names

    def start(self, *targets: str) -> subprocess.Popen:
        """Start a driver."""
        command = [sys.executable, "-m", "snakemake", *targets, "--workflow-profile", "profiles/slurm", *QUICK]
        log = (self.folder / "driver.log").open("a")
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True)

    def run(self, *targets: str) -> int:
        """Run a driver to its end."""
        return self.start(*targets).wait(timeout=600)

    def ask(self, *command: str) -> str:
        """What a command of Slurm says."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True).stdout

    def wait_for(self, name: str, seconds: float = 120) -> None:
        """Wait for a file."""
        deadline = time.monotonic() + seconds
        while not (self.folder / name).exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} did not come; see {self.folder / 'driver.log'}")
            time.sleep(0.2)

    def starts(self) -> int:
        """How often the long job began."""
        return len((self.folder / "starts.txt").read_text().split())


def memory(place: Place) -> tuple[str, bool]:
    """A job takes more memory than it asked for."""
    status = place.run("memory.txt")
    states = place.ask("scontrol", "show", "job").count("JobState=OUT_OF_MEMORY") + place.ask("scontrol", "show", "job").count(
        "JobState=FAILED"
    )
    return (
        f"driver ended with {status}, {states} job killed, done by another with twice the memory",
        status == 0 and states == 1,
    )


def limit(place: Place) -> tuple[str, bool]:
    """A job takes longer than it asked for."""
    status = place.run("time.txt")
    late = place.ask("scontrol", "show", "job").count("JobState=TIMEOUT")
    return f"driver ended with {status}, {late} job out of time, done by another with more", status == 0 and late == 1


def gpu(place: Place) -> tuple[str, bool]:
    """Two jobs want a GPU each, of two."""
    status = place.run("gpu1.txt", "gpu2.txt")
    given = sorted((place.folder / f"gpu{number}.txt").read_text().strip() for number in (1, 2))
    return f"CUDA_VISIBLE_DEVICES {' and '.join(given)}", status == 0 and given == ["0", "1"]


def node(place: Place) -> tuple[str, bool]:
    """A node is set down while its job runs."""
    driver = place.start("long.txt")
    place.wait_for("starts.txt")
    place.ask("scontrol", "update", "NodeName=cpu1", "State=DOWN", "Reason=test")
    time.sleep(5)
    place.ask("scontrol", "update", "NodeName=cpu1", "State=RESUME")
    status = driver.wait(timeout=300)
    return f"driver ended with {status}, the job began {place.starts()} times", status == 0 and place.starts() == 2


def interrupt(place: Place) -> tuple[str, bool]:
    """SIGINT to the driver (Ctrl-C)."""
    driver = place.start("long.txt")
    place.wait_for("starts.txt")
    os.killpg(driver.pid, signal.SIGINT)
    driver.wait(timeout=120)
    time.sleep(3)
    running = len(place.ask("squeue", "-h").splitlines())
    status = place.run("long.txt")
    return f"{running} jobs left in the queue; the next driver ended with {status}", running == 0 and status == 0


def terminate(place: Place) -> tuple[str, bool]:
    """SIGTERM to the driver."""
    driver = place.start("long.txt")
    place.wait_for("starts.txt")
    driver.send_signal(signal.SIGTERM)
    driver.wait(timeout=120)
    done = (place.folder / "long.txt").exists()
    status = place.run("long.txt")
    good = done and status == 0 and place.starts() == 1
    return f"waited for its job ({'done' if done else 'not done'}); the next driver ended with {status}", good


def kill(place: Place) -> tuple[str, bool]:
    """SIGKILL to the driver: its job goes on; then the recovery that the docs describe."""
    driver = place.start("long.txt")
    place.wait_for("starts.txt")
    driver.kill()
    driver.wait()
    barred = place.run("long.txt")
    place.wait_for("long.txt")
    unlock = [sys.executable, str(REPOSITORY / "scripts" / "recover_run.py"), sys.executable, "-m", "snakemake", "--cores", "1"]
    subprocess.run(unlock, cwd=place.folder, env=place.environment, check=True, capture_output=True)
    status = place.run("long.txt")
    return f"the next driver ended with {barred} (locked), after `make recover` with {status}", barred == 1 and status == 0


def twice(place: Place) -> tuple[str, bool]:
    """Two drivers at once."""
    driver = place.start("long.txt")
    place.wait_for("starts.txt")
    second = place.run("long.txt")
    status = driver.wait(timeout=300)
    good = second == 1 and status == 0 and place.starts() == 1
    return f"the second ended with {second}, the first with {status}, the job began {place.starts()} times", good


def study(place: Place) -> tuple[str, bool]:
    """The tiny study of the tests, every stage; nothing fails."""
    status, same, count, _ = _study(place, most=0)
    return f"driver ended with {status}, {count} results{'' if same else ' NOT'} as on one machine", status == 0 and same


def cancel(place: Place) -> tuple[str, bool]:
    """The same study, of which a running job is killed every few seconds."""
    status, same, count, killed = _study(place, most=20)
    said = f"{killed} jobs killed, driver ended with {status}, {count} results{'' if same else ' NOT'} as on one machine"
    return said, status == 0 and same and killed > 0


def _study(place: Place, most: int) -> tuple[int, bool, int, int]:
    """Run the tiny study here, and on the cluster while jobs are killed: exit status, same bytes, results, jobs killed.

    Args:
        place: where.
        most: jobs that are killed.
    """
    here, there = (Checkout(place.folder / name) for name in ("here", "there"))
    here.run(cores=2)
    words = there.command()
    command = [*words[: words.index("--cores")], "--workflow-profile", "profiles/slurm", "--jobs", "4", *QUICK]
    command += words[words.index("--configfile") :]
    environment, rng = place.environment | ENVIRONMENT | {"SLURM_CONF": place.environment["SLURM_CONF"]}, random.Random(1)
    status, killed = None, 0
    for _ in range(ATTEMPTS):
        with (place.folder / "driver.log").open("a") as log:
            driver = subprocess.Popen(command, cwd=there.folder, env=environment, stdout=log, stderr=log)
        while (status := driver.poll()) is None:
            time.sleep(rng.uniform(2, 8))
            running = place.ask("squeue", "-h", "-t", "running", "-o", "%i").split()
            if killed < most and running:
                command_of_slurm = ["scancel", "--signal=KILL", "--full", rng.choice(running)]
                killed += subprocess.run(command_of_slurm, env=place.environment, capture_output=True).returncode == 0
        if status == 0:
            break
    found, expected = there.content(), here.content()
    return status, found == expected, len(found), killed


EVENTS: dict[str, Callable[[Place], tuple[str, bool]]] = {
    event.__name__: event for event in (gpu, memory, node, interrupt, terminate, kill, twice, limit, study, cancel)
}


def main() -> None:
    """Let each event happen on a cluster of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="*", choices=[*EVENTS, []], help="events (default: all)")
    names = parser.parse_args().events or list(EVENTS)
    if reason := why_not():
        sys.exit(f"faults: no cluster can be started here: {reason}")
    bad = 0
    for name in names:
        with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as text:
            folder = Path(text)
            folder.chmod(0o755)
            (folder / "work").mkdir()
            (folder / "cluster").mkdir()
            started = time.monotonic()
            with cluster(folder / "cluster") as environment:
                said, good = EVENTS[name](Place(folder / "work", environment))
            bad += not good
            happened = EVENTS[name].__doc__ or ""
            mark = "as documented" if good else "NOT AS DOCUMENTED"
            print(f"{name}: {happened} {said}. {mark}, {time.monotonic() - started:.0f} s", flush=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    sys.path[0:1] = [str(REPOSITORY), str(REPOSITORY / "scripts")]
    from tests.workflow.checkout import ENVIRONMENT, Checkout
    from tests.workflow.slurm_cluster import cluster, why_not

    main()
