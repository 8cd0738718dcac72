"""How a script gets its GPUs and its companions: it is replaced by Python, or by torchrun, with the environment set."""

import os
import sys
from collections.abc import Mapping, Sequence

from .errors import UserError
from .gpu_slots import slots_folder, take_gpus, visible_gpus
from .workers import LAUNCHER

FIRST_PORT, PORTS = 20000, 20000  # where the processes of several machines meet, by the number of the allocation


def launch(gpus: int, command: Sequence[str]) -> None:
    """Become ``command``, a script and its arguments, on ``gpus`` GPUs of this machine that are held by no other job.

    A machine without GPUs runs it on the CPU: a script that needs a GPU says so itself. Does not return.

    Raises:
        UserError: if there is no command, or the machine has GPUs, but fewer than asked for.
    """
    if not command:
        raise UserError("launch: expected a script and its arguments")
    environment = dict(os.environ)
    visible = visible_gpus(environment) if gpus else []
    held = take_gpus(gpus, visible, slots_folder(environment)) if visible else []
    if held:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(held)
    environment[LAUNCHER] = str(os.getpid())
    program = launcher(max(1, len(held)), environment)
    sys.stdout.flush()
    os.execve(program[0], [*program, *command], environment)


def launcher(processes: int, environment: Mapping[str, str]) -> list[str]:
    """What starts the script: Python alone, torchrun on one machine, or torchrun on this machine as one of several.

    Args:
        processes: processes on this machine.
        environment: several tasks of a Slurm step (``srun``) are one machine each.
    """
    machines = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if machines == processes == 1:
        return [sys.executable]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    if machines == 1:
        return [*torchrun, "--standalone"]
    try:
        number, rank, head = (environment[name] for name in ("SLURM_JOB_ID", "SLURM_PROCID", "SLURM_LAUNCH_NODE_IPADDR"))
    except KeyError as missing:
        raise UserError(
            f"launch: a step of {machines} tasks, but {missing.args[0]} is not set; start the script with srun"
        ) from None
    port = FIRST_PORT + int(number) % PORTS
    place = ["--nnodes", str(machines), "--node-rank", rank, "--master-addr", head, "--master-port", str(port)]
    return [*torchrun, *place]
