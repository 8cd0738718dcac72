"""A channel of conda packages and a folder of wheels, made in code: what an environment of this project asks for, as stubs."""

import asyncio
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

PYTHON = '#!/bin/sh\necho "$@" >> "$(dirname "$0")/../calls"\nexec {python} "$@"\n'


def make_channel(folder: Path, python: str) -> str:
    """A channel with a Python that is ``python`` and tells of its calls, and a pip that is nothing; its address."""
    from rattler.index import index_fs

    _package(folder / "linux-64", "python", "3.11.9", {"bin/python": PYTHON.format(python=python)})
    _package(folder / "linux-64", "python", "3.13.1", {"bin/python": "#!/bin/sh\nexit 9\n"})  # newer than what is asked for
    _package(folder / "noarch", "pip", "25.3", {"share/pip": "stub\n"})
    asyncio.run(index_fs(folder))
    return folder.as_uri()


def _package(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    contents = {path: text.encode() for path, text in files.items()}
    paths = [
        {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_in_bytes": len(content),
        }
        for path, content in contents.items()
    ]
    index = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": [], "subdir": folder.name}
    contents["info/index.json"] = json.dumps(index).encode()
    contents["info/paths.json"] = json.dumps({"paths": paths, "paths_version": 1}).encode()
    contents["info/files"] = "\n".join(files).encode()
    with tarfile.open(folder / f"{name}-{version}-0.tar.bz2", "w:bz2") as archive:
        for path, content in contents.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))


def make_wheels(folder: Path, pins: list[str]) -> None:
    """An empty wheel for each ``name==version``."""
    folder.mkdir(parents=True, exist_ok=True)
    for pin in pins:
        name, version = pin.split("==")
        stem = f"{name.replace('-', '_')}-{version}"
        files = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "".join(f"{stem}.dist-info/{file},,\n" for file in ("METADATA", "WHEEL", "RECORD")),
        }
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
            for file, text in files.items():
                wheel.writestr(f"{stem}.dist-info/{file}", text)
