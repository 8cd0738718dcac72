"""What killed jobs leave behind is removed, and nothing that somebody may still write."""

import os
import signal
import socket
import subprocess
import sys

from freetumor.core.files import atomic, temporary_name
from freetumor.core.leftovers import DAY, remove_leftovers
from tests.conftest import REPOSITORY

WRITER = """
import sys, time
from pathlib import Path
from freetumor.core.files import atomic
with atomic(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def kill_a_writer(path):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
    command = [sys.executable, "-c", WRITER, str(path)]
    writer = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "writing\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_killed_writer_leaves_nothing_for_long(tmp_path):
    (tmp_path / "figures").mkdir()
    for name in ("figures/overview.pdf", "cases.parquet", "case-1.image.b2nd", "no_suffix"):
        kill_a_writer(tmp_path / name)
    (tmp_path / "cases.parquet").write_text("whole")
    assert len(names(tmp_path)) == 6
    assert remove_leftovers([tmp_path]) == 4
    assert names(tmp_path) == ["cases.parquet", "figures"]


def test_what_is_being_written_stays(tmp_path):
    host = socket.gethostname()
    (tmp_path / ".a.csv.elsewhere.org-1.tmp.csv").write_text("new, of another machine")
    (tmp_path / ".b.csv.elsewhere.org-1.tmp.csv").write_text("old, of another machine")
    os.utime(tmp_path / ".b.csv.elsewhere.org-1.tmp.csv", (0, 0))
    with atomic(tmp_path / "c.csv") as temporary:
        temporary.write_text("by this process")
        os.utime(temporary, (0, 0))
        assert remove_leftovers([tmp_path]) == 1
        assert temporary.name == f".c.csv.{host}-{os.getpid()}.tmp.csv"
    assert names(tmp_path) == [".a.csv.elsewhere.org-1.tmp.csv", "c.csv"]
    assert DAY > 3600


def test_transfers_that_will_be_continued_and_names_of_users_stay(tmp_path):
    kept = [".scan.zip.part", ".IM-0001-0001.part", "a-1.tmp.csv", ".hidden", "x-1.tmp", ".snakemake_timestamp"]
    for name in kept:
        (tmp_path / name).write_text("")
    assert remove_leftovers([tmp_path]) == 0
    assert names(tmp_path) == sorted(kept)


def test_folders_go_with_all_that_is_in_them(tmp_path):
    folder = temporary_name(tmp_path / "case.1")
    (folder / "ct").mkdir(parents=True)
    (folder / "ct" / "1.dcm").write_text("")
    assert remove_leftovers([tmp_path]) == 0
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    folder.rename(folder.with_name(folder.name.replace(f"-{os.getpid()}.tmp", f"-{gone.pid}.tmp")))
    assert remove_leftovers([tmp_path]) == 1
    assert names(tmp_path) == []


def test_a_folder_that_is_not_there_has_none(tmp_path):
    assert remove_leftovers([tmp_path / "none"]) == 0
