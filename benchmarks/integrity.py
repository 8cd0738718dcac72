"""Ten thousand painted lesions: labels are exact, none is lost or double, and shards and kills change nothing.

    .venv/bin/python benchmarks/integrity.py --config results/quick/config.yaml --cases results/quick/fold0/cases.parquet

It paints the same bank in 1, 7 and 64 shards and once more under random kills, compares the bytes, and checks every lesion
against its parent.
"""

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

from freetumor.core import settings  # noqa: E402
from freetumor.core.config import Config  # noqa: E402
from freetumor.core.labels import organ_code  # noqa: E402
from freetumor.core.tables import FOLD_CASES, read_table  # noqa: E402
from freetumor.synthesis.bank import accepted_rows, read_lesion  # noqa: E402
from freetumor.synthesis.manifests import merge_manifests  # noqa: E402
from freetumor.synthesis.shards import synthesize_shard  # noqa: E402
from freetumor.synthesizer.cases import open_cases  # noqa: E402

SHARDS = (1, 7, 64)


def digest(manifest: Path) -> str:
    """Hash of a manifest and of all packs that it names."""
    found = hashlib.sha256(manifest.read_bytes())
    for pack in sorted((manifest.parent / "bank").iterdir()):
        found.update(pack.name.encode() + pack.read_bytes())
    return found.hexdigest()[:16]


def paint(config: Config, name: str, fold: int, cases: Path, folder: Path, shards: int) -> Path:
    """Paint a bank in so many shards."""
    config = config.model_copy(update={"synthesis": config.synthesis.model_copy(update={"shards": shards})})
    paths = [folder / f"shard{shard}.parquet" for shard in range(shards)]
    for shard, path in enumerate(paths):
        synthesize_shard(config, name, fold, shard, cases, path)
    merge_manifests(paths, folder / "manifest.parquet")
    return folder / "manifest.parquet"


def paint_under_kills(config: Config, name: str, fold: int, cases: Path, folder: Path, kills: int) -> tuple[Path, int]:
    """Paint a bank in one shard whose process is killed again and again; the manifest, and how many kills hit."""
    single = config.model_copy(update={"synthesis": config.synthesis.model_copy(update={"shards": 1})})
    folder.mkdir(parents=True)
    settings.save(single, folder / "config.yaml")
    shard, chance, hit = folder / "shard0.parquet", random.Random(1), 0
    command = [
        sys.executable,
        REPOSITORY / "scripts/synthesize_shard.py",
        "--config",
        folder / "config.yaml",
        "--fold",
        str(fold),
    ]
    command += ["--synthesizer", name, "--shard", "0", "--cases", cases, "--manifest", shard]
    while not shard.exists():
        process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
        if hit < kills:
            done = len(list((folder / "bank").glob("*.pack"))) if (folder / "bank").exists() else 0
            while process.poll() is None and len(list((folder / "bank").glob("*.pack"))) <= done:
                time.sleep(0.01)  # until it has painted something new
            time.sleep(chance.uniform(0, 0.5))
            if process.poll() is None:
                process.kill()
                hit += 1
        process.wait()
    merge_manifests([shard], folder / "manifest.parquet")
    return folder / "manifest.parquet", hit


def check(config: Config, manifest: Path, cases: Path) -> dict[str, int]:
    """Look at every lesion and count what is wrong."""
    opened = open_cases(read_table(cases, FOLD_CASES), config, "train", "pool")
    by_id, seen = {case.case_id: case for case in opened}, set()
    counts = dict.fromkeys(
        ("lesions", "voxels outside the label", "label voxels unchanged", "not in healthy organ", "duplicates"), 0
    )
    for case_id, group in accepted_rows(manifest, opened).groupby("case_id"):
        label = by_id[case_id].read_label()
        for _, row in group.iterrows():
            lesion = read_lesion(manifest, row)
            changed, organ = lesion.change != 0, config.organs.index(row["organ"])
            counts["lesions"] += 1
            counts["voxels outside the label"] += int((changed & ~lesion.label).sum())
            counts["label voxels unchanged"] += int((lesion.label & (np.abs(lesion.change) <= 1)).sum())
            counts["not in healthy organ"] += int((label[lesion.box][lesion.label] != organ_code(organ)).sum())
            key = (case_id, lesion.corner, lesion.change.tobytes())
            counts["duplicates"] += key in seen
            seen.add(key)
    return counts


def main() -> None:
    """Parse the arguments, paint and check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of a study that was run")
    parser.add_argument("--cases", type=Path, required=True, help="its fold table")
    parser.add_argument("--synthesizer", default="constant", help="one that needs no training")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--lesions", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    args = parser.parse_args()
    config = settings.load(args.config)
    table = read_table(args.cases, FOLD_CASES)
    canvases = sum(bool(case.organs) for case in open_cases(table, config, "train", "pool"))
    draws = -(-args.lesions // canvases)
    config = config.model_copy(update={"synthesis": config.synthesis.model_copy(update={"lesions_per_case": draws})})
    with tempfile.TemporaryDirectory() as temporary:
        found = {}
        for shards in SHARDS:
            start = time.process_time()
            manifest = paint(config, args.synthesizer, args.fold, args.cases, Path(temporary) / str(shards), shards)
            found[f"{shards} shards"] = digest(manifest)
            print(f"{shards} shards: {digest(manifest)}, {time.process_time() - start:.1f} core-seconds", flush=True)
        killed, hit = paint_under_kills(config, args.synthesizer, args.fold, args.cases, Path(temporary) / "killed", args.kills)
        found["kills"] = digest(killed)
        print(f"{hit} kills: {digest(killed)}", flush=True)
        rows = pd.read_parquet(manifest)
        print(f"{len(rows)} draws on {canvases} canvases: {rows['outcome'].value_counts().to_dict()}")
        counts = check(config, manifest, args.cases)
        print(counts)
    wrong = len(set(found.values())) > 1 or len(rows) != draws * canvases or any(list(counts.values())[1:])
    sys.exit("FAILED" if wrong else 0)


if __name__ == "__main__":
    main()
