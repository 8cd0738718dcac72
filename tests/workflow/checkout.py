"""Copies of the workflow to run in, so that the results of the checkout under test are never touched."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

PARTS = ("Snakefile", "config.yaml", "rules", "scripts", "profiles", "envs", "studies", "docs")
SNAKEMAKE = (sys.executable, "-m", "snakemake")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
# What differs between two runs by nature: times, durations, machines, and what a killed job left unfinished.
DIFFERS = re.compile(
    r"(^|/)(logs|benchmarks)/|\.log$|checksums\.json$|costs\.(csv|html)$|download\.tsv$|\.benchmark\.tsv$|provenance\.json$|(^|/)\.[^/]*$|/checkpoints/"
)

TINY = """
study: tiny
sources:
  - { name: tiny_a, kind: phantom, domain: a, seed: 5, tumor_organs: [liver, kidney], labeled: 4, tumor_free: 0, unlabeled: 1 }
preset: coarse
presets:
  coarse: { spacing: [6.0, 6.0, 6.0], window: [-175, 250], patch: [16, 16, 16] }
cohort: { folds: 2, run_folds: [0] }
segmenter:
  network: { channels: [4, 8] }
  training: { steps: 6, batch: 2, validate_every: 3, checkpoint_every: 2, warmup: 1 }
synthesizers:
  freetumor:
    painter:
      network: { name: unet, channels: [2, 4] }
      training: { steps: 4, batch: 2, validate_every: 2, checkpoint_every: 1, warmup: 1 }
    gate: { threshold: 0.0 }
synthesis: { synthesizers: [freetumor], lesions_per_case: 2, shards: 1 }
arms:
  freetumor: { lesions: bank }
recognition:
  network: { channels: [4, 8] }
  training: { steps: 6, batch: 2, validate_every: 3, checkpoint_every: 2, warmup: 1 }
  arms: [real, freetumor]
  seeds: [1]
evaluation: { resamples: 100 }
"""


class Checkout:
    """A copy of the workflow in ``folder``, with the study `tiny`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        for part in PARTS:
            source = REPOSITORY / part
            ignore = shutil.ignore_patterns("__pycache__")
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / part, **({"ignore": ignore} if source.is_dir() else {}))
        self.write_study("tiny", TINY)

    def write_study(self, name: str, text: str) -> None:
        """Add a study."""
        (self.folder / "studies" / f"{name}.yaml").write_text(text)

    def take(self, folder: str | Path, *parts: str) -> None:
        """Copy what was made in another checkout: all of it, or these paths, and what Snakemake knows of them."""
        for part in (*(parts or ("results",)), ".snakemake"):
            source, copy = Path(folder) / part, self.folder / part
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, copy, dirs_exist_ok=True)
            else:
                shutil.copy2(source, copy)

    def command(self, *arguments: str, study: str | None = "tiny", cores: int = 1) -> list[str]:
        """A command line of Snakemake; targets come first, because a configuration file takes all that follows."""
        chosen = ["--configfile", f"studies/{study}.yaml"] if study else []
        return [*SNAKEMAKE, *arguments, "--cores", str(cores), *chosen]

    def run(self, *arguments: str, study: str | None = "tiny", cores: int = 1, check: bool = True) -> tuple[int, str]:
        """Run Snakemake; its exit status and all it said."""
        done = subprocess.run(
            self.command(*arguments, study=study, cores=cores),
            cwd=self.folder,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        assert not check or done.returncode == 0, done.stdout[-6000:]
        return done.returncode, done.stdout

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs that a run would do, counted by rule."""
        _, text = self.run("--dry-run", *arguments)
        if "Nothing to be done" in text:
            return {}
        table = text.split("Job stats:")[-1].split("total")[0]
        return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}

    def content(self) -> dict[str, str]:
        """Hash of every result but those that differ by nature, by path."""
        paths = (path for path in sorted((self.folder / "results").rglob("*")) if path.is_file())
        names = {path.relative_to(self.folder / "results").as_posix(): path for path in paths}
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in names.items() if not DIFFERS.search(name)}
