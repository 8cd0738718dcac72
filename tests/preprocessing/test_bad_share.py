"""Bad volumes in a large source: few are a row each and change nothing else, too many end the job with exit code 3."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from freetumor.core.errors import TooManyRefused
from freetumor.core.files import sha256_file
from freetumor.core.seeding import generator
from freetumor.core.settings import save
from freetumor.core.tables import QUARANTINE, VOLUMES, read_table
from freetumor.preprocessing.volumes import preprocess_shard
from tests.conftest import REPOSITORY
from tests.preprocessing.samples import make_ct, raw_case, study, write_cases, write_nifti

CASES = int(os.environ.get("FREETUMOR_BAD_SHARE_CASES", "120"))
MANY = round(0.17 * CASES)
CHECKS = {"max_quarantined": 0.1, "tolerated_refusals": 4}


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Path:
    """A folder of small volumes that are alike but for their noise."""
    folder = tmp_path_factory.mktemp("pool")
    image, label = make_ct(0, (12, 20, 22))
    write_nifti(folder / "label.nii", label)
    for number in range(CASES):
        noise = generator("bad share", number).normal(0, 5, image.shape)
        write_nifti(folder / f"{number}.nii", np.rint(image + noise).clip(-1024, 3000).astype(np.int16))
    return folder


def with_bad(pool, folder, count):
    """The table of cases, of which ``count`` are damaged."""
    folder.mkdir()
    bad = set(generator("bad", count).choice(CASES, count, replace=False).tolist())
    rows = []
    for number in range(CASES):
        image = pool / f"{number}.nii"
        if number in bad:
            content = image.read_bytes()
            image = folder / f"{number}.nii"
            image.write_bytes(content[: len(content) // 2])
        rows.append(raw_case(f"case-{number:05d}", image, pool / "label.nii"))
    return write_cases(folder / "cases.csv", rows), {f"case-{number:05d}" for number in bad}


def prepare(cases, folder):
    outputs = folder / "volumes.parquet", folder / "quarantine.tsv"
    preprocess_shard(study(checks=CHECKS), "own", cases, 0, *outputs, folder / "work")
    volumes = read_table(outputs[0], VOLUMES).set_index("case_id")
    for column in ("image", "label", "native", "sites"):  # the files themselves in place of their paths
        volumes[column] = [sha256_file(path) for path in volumes[column]]
    return volumes, read_table(outputs[1], QUARANTINE)


def test_few_bad_volumes_are_quarantined_and_nothing_else_changes(pool, tmp_path):
    clean, refused = prepare(with_bad(pool, tmp_path / "clean", 0)[0], tmp_path / "clean")
    assert (len(clean), len(refused)) == (CASES, 0)
    for count in (1, CASES // 40 if CASES < 1000 else 10):
        cases, bad = with_bad(pool, tmp_path / str(count), count)
        volumes, refused = prepare(cases, tmp_path / str(count))
        assert set(refused["case_id"]) == bad
        assert set(refused["code"]) == {"payload_length"}
        assert volumes.equals(clean.drop(sorted(bad)))

    cases, bad = with_bad(pool, tmp_path / "many", MANY)
    with pytest.raises(
        TooManyRefused,
        match=rf"own: {MANY} refused \({MANY} payload_length\) of {CASES} cases, checks.max_quarantined allows 10%",
    ):
        prepare(cases, tmp_path / "many")
    assert set(read_table(tmp_path / "many" / "quarantine.tsv", QUARANTINE)["case_id"]) == bad

    config = tmp_path / "config.yaml"
    save(study(checks=CHECKS), config)
    command = [sys.executable, "scripts/preprocess_shard.py", "--config", str(config), "--source", "own", "--cases", str(cases)]
    outputs = ["--quarantine", str(tmp_path / "q.tsv"), "--output", str(tmp_path / "v.parquet")]
    done = subprocess.run(
        [*command, "--shard", "0", "--workers", "1", "--work", str(tmp_path / "many" / "work"), *outputs],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3
    assert f"{MANY} payload_length" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "v.parquet").exists()
