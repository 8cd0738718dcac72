"""A Slurm cluster of two pretended nodes on this machine, for as long as a test needs it. Needs root and Slurm's programs."""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scontrol", "scancel")
LINKS = Path("/etc/slurm")  # Snakemake's job step forgets SLURM_CONF before it calls srun

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
CommunicationParameters=NoAddrCache,NoInAddrAny,NoCtldInAddrAny
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill
JobAcctGatherFrequency=task=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=defer_batch,sched_interval=2,bf_interval=5,batch_sched_delay=0
DefMemPerCPU=500
MinJobAge=300
KillWait=5
GresTypes=gpu
AccountingStorageType=accounting_storage/none
NodeName=cpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={cpu_port} CPUs=4 RealMemory=64000 State=UNKNOWN
NodeName=gpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={gpu_port} CPUs=4 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes=cpu1,gpu1 Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Why no cluster can be started here; empty if one can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "Snakemake's plugin for Slurm is not installed (make cluster)"
    if missing:
        return f"Slurm is not installed (no {', '.join(missing)})"
    if os.getuid() != 0:
        return "starting Slurm needs root"
    if any((LINKS / name).exists() and not _left_over(LINKS / name) for name in ("slurm.conf", "gres.conf")):
        return "this machine has a Slurm of its own (/etc/slurm)"
    return ""


def _left_over(link: Path) -> bool:
    """Whether a file of /etc/slurm is a link into the folder of a cluster of these tests that was killed and runs no more."""
    if not link.is_symlink():
        return False
    folder = link.readlink().parent
    try:
        number = int((folder / "slurmctld.pid").read_text())
    except (OSError, ValueError):
        return (folder / "munge" / "key").exists()
    return not Path(f"/proc/{number}").exists()


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start the cluster with all its files in ``folder``; yields the environment that its commands need; ends it."""
    started: list[str] = []
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    names = ("slurm.conf", "gres.conf")
    try:
        _write(folder)
        LINKS.mkdir(exist_ok=True)
        for name in names:
            (LINKS / name).unlink(missing_ok=True)  # of a cluster that is gone; `why_not` knows of no other
            (LINKS / name).symlink_to(folder / name)
        _munge(folder)
        for command in (["slurmctld", "-c"], ["slurmd", "-N", "cpu1"], ["slurmd", "-N", "gpu1"]):
            subprocess.run(command, env=environment, check=True, capture_output=True)
        started = [f"{name}.pid" for name in ("slurmd-cpu1", "slurmd-gpu1", "slurmctld")]
        _wait(60, lambda: _idle(environment) == 2)
        yield environment
    finally:
        if started:
            subprocess.run(["scancel", "--partition=all", "--signal=KILL"], env=environment, capture_output=True)
            with contextlib.suppress(TimeoutError):
                _wait(20, lambda: not _output(["squeue", "-h"], environment))
        for name in [*started, "munge/munged.pid"]:
            _end(folder / name)
        for name in names:
            if (LINKS / name).is_symlink() and (LINKS / name).readlink() == folder / name:
                (LINKS / name).unlink()


def _write(folder: Path) -> None:
    """Configuration, folders, and two device files that behave as /dev/null and play GPUs."""
    ports = [_free_port() for _ in range(3)]
    values = {"host": socket.gethostname().split(".")[0], "folder": folder}
    text = CONFIGURATION.format(port=ports[0], cpu_port=ports[1], gpu_port=ports[2], **values)
    (folder / "slurm.conf").write_text(text)
    for name in ("state", "spool/cpu1", "spool/gpu1", "munge"):
        (folder / name).mkdir(parents=True)
    for number in range(2):
        os.mknod(folder / f"gpu{number}", 0o666 | 0o020000, os.makedev(1, 3))
    (folder / "gres.conf").write_text(f"NodeName=gpu1 Name=gpu File={folder}/gpu[0-1]\n")


def _munge(folder: Path) -> None:
    """The authentication service, with a key and a socket of its own."""
    place = folder / "munge"
    key = place / "key"
    key.touch(0o600)
    key.write_bytes(os.urandom(1024))
    files = {"key-file": key, "socket": place / "socket", "pid-file": place / "munged.pid"}
    files |= {"seed-file": place / "seed", "log-file": place / "log"}
    command = ["munged", "--force", *(f"--{name}={path}" for name, path in files.items())]
    subprocess.run(command, check=True, capture_output=True)
    _wait(10, lambda: subprocess.run(["munge", "-n", "-S", str(place / "socket")], capture_output=True).returncode == 0)


def _idle(environment: dict[str, str]) -> int:
    return len(
        [line for line in _output(["sinfo", "-h", "-N", "-o", "%N %T"], environment).splitlines() if line.endswith(" idle")]
    )


def _output(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def _wait(seconds: float, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the cluster did not come up, or its jobs did not end, in time; see the logs in its folder")
        time.sleep(0.2)


def _end(file: Path) -> None:
    """End the process whose number is in ``file``, if it is there."""
    try:
        number = int(file.read_text())
        os.kill(number, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            _wait(10, lambda: not Path(f"/proc/{number}").exists())
        os.kill(number, signal.SIGKILL)
    except (OSError, ValueError):
        return
