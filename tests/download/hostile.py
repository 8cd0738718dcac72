"""Archives that must not be unpacked, made in code: every kind of attack and damage, varied by a generator of numbers."""

import gzip
import io
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pyarrow

MARK = b"hostile"  # content of what must never be written
LIMITS = {"members": 40, "size": 2**22, "slack": 2**16, "ratio": 200.0}
BOMB = 2**22 + 2**16  # bytes
Files = list[tuple[str, bytes]]


def honest_files(rng: np.random.Generator, most: int = 4) -> Files:
    """A few files in folders, some empty, with names of several scripts."""
    names = ["a.txt", "images/ct 1.nii", "images/deep/er/é.bin", "масса/Ω.dat", "empty", "images/.hidden"]
    chosen = rng.permutation(len(names))[: 1 + rng.integers(most)]
    return [(names[index], rng.bytes(int(rng.choice([0, 1, 511, 512, 513, 3000])))) for index in sorted(chosen)]


def tar_entry(name: str, content: bytes = MARK, kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, link, len(content)
    return entry, content


def make_tar(files: Files, extra: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar file of honest files with entries in the middle of them."""
    stream = io.BytesIO()
    entries = [tar_entry(name, content) for name, content in files]
    entries[len(entries) // 2 : len(entries) // 2] = extra
    with tarfile.open(fileobj=stream, mode="w", format=form, encoding="utf-8") as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def make_zip(files: Files, extra: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    """A zip file of honest files with entries in the middle of them."""
    stream = io.BytesIO()
    entries = [(zip_entry(name), content) for name, content in files]
    entries[len(entries) // 2 : len(entries) // 2] = extra
    with zipfile.ZipFile(stream, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that names occur twice
        for entry, content in entries:
            archive.writestr(entry, content)
    return stream.getvalue()


def zip_entry(name: str, mode: int = 0, method: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("x")
    entry.filename, entry.external_attr, entry.compress_type = name, mode << 16, method
    return entry


def compress(rng: np.random.Generator, plain: bytes) -> tuple[str, bytes]:
    """The suffix and the bytes of a tar file, plain or compressed."""
    choice = int(rng.integers(3))
    if choice == 0:
        return ".tar", plain
    if choice == 1:
        return ".tar.gz", gzip.compress(plain, 6, mtime=0)
    return ".tar.zst", pyarrow.compress(plain, "zstd", asbytes=True)


def bad_names(rng: np.random.Generator, outside: str) -> dict[str, list[str]]:
    """Kinds of names, or pairs of names, that must not be created."""
    up = "../" * int(rng.integers(1, 12))
    folder = str(rng.choice(["", "images/", "images/deep/er/"]))
    return {
        "traversal": [f"{folder}{'../' * (folder.count('/') + 1)}pwned"],
        "deep_traversal": [f"{folder}{up}{outside.lstrip('/')}/pwned"],
        "only_dots": [f"{folder}.."],
        "absolute": [f"{outside}/pwned"],
        "double_slash": [f"/{outside}/pwned"],
        "drive": ["C:/pwned"],
        "relative_drive": [f"{rng.choice(list('aZ'))}:pwned"],
        "backslash": [f"{folder}..\\..\\pwned"],
        "share": ["\\\\host\\share\\pwned"],
        "newline": [f"{folder}a\nerror: b"],
        "escape": [f"{folder}a\x1b[2Jb"],
        "long_part": [folder + "n" * int(rng.integers(256, 400))],
        "long_part_in_bytes": [folder + "é" * int(rng.integers(128, 200))],
        "long_name": ["/".join(["n" * 200] * int(rng.integers(6, 9)))],
        "deep": ["d/" * int(rng.integers(40, 90)) + "x"],
        "duplicate": [f"{folder}twin", f"{folder}twin"],
        "hidden_duplicate": [f"{folder}twin", f"./{folder}./twin"],
        "case": [f"{folder}Twin.nii", f"{folder}twin.NII"],
        "folder_case": ["Folder/one", "folder/two"],
        "accents": [f"{folder}\u00e9.nii", f"{folder}e\u0301.nii"],
        "folded": [f"{folder}stra\u00dfe", f"{folder}STRASSE"],
        "file_and_folder": ["thing", "thing/inside"],
        "folder_and_file": ["thing/inside", "thing"],
        "marker": [".unpacked.json"],
        "marker_case": [".UNPACKED.json"],
        "many": [f"many/{number}" for number in range(LIMITS["members"] + 1)],
    }


def tar_archives(rng: np.random.Generator, outside: str) -> dict[str, Callable[[], tuple[str, bytes]]]:
    """Kinds of tar files, each a function that makes one."""
    files = honest_files(rng)

    def tar(*extra: tuple[tarfile.TarInfo, bytes]) -> bytes:
        return make_tar(files, list(extra))

    def of(plain: bytes) -> tuple[str, bytes]:
        return compress(rng, plain)

    def entry(kind: bytes, link: str = "") -> bytes:
        return tar(tar_entry("thing", b"", kind, link))

    def patched(place: int, content: bytes) -> bytes:
        """The first header with other bytes and the right checksum."""
        data = bytearray(make_tar(files, [], tarfile.GNU_FORMAT))
        data[place : place + len(content)] = content
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:512])
        return bytes(data)

    def extended(kind: bytes, content: bytes, times: int = 1) -> bytes:
        """Headers that describe the next member, before the first one."""
        block = tarfile.TarInfo("././@LongLink")
        block.type, block.size = kind, len(content)
        padded = content + bytes(-len(content) % 512)
        return (block.tobuf(tarfile.GNU_FORMAT) + padded) * times + tar()

    def zeros() -> tuple[str, bytes]:
        suffix, data = compress(rng, tar(tar_entry("bomb", bytes(BOMB))))
        return (suffix, data) if suffix != ".tar" else (".tar.gz", gzip.compress(data, 6, mtime=0))

    through = [tar_entry("thing", b"", tarfile.SYMTYPE, outside), tar_entry("thing/pwned")]
    plain = tar()
    kinds = {name: (lambda names=names: of(tar(*map(tar_entry, names)))) for name, names in bad_names(rng, outside).items()}
    return kinds | {
        "link": lambda: of(entry(tarfile.SYMTYPE, str(rng.choice(["/etc/passwd", "..", "a.txt", outside])))),
        "hard_link": lambda: of(entry(tarfile.LNKTYPE, str(rng.choice(["/etc/passwd", "../x", "a.txt"])))),
        "through_link": lambda: of(tar(*through)),
        "device": lambda: of(entry(tarfile.CHRTYPE)),
        "disk": lambda: of(entry(tarfile.BLKTYPE)),
        "fifo": lambda: of(entry(tarfile.FIFOTYPE)),
        "sparse": lambda: of(patched(156, tarfile.GNUTYPE_SPARSE)),
        "unknown_type": lambda: of(patched(156, b"Z")[: rng.integers(700, 1500)]),
        "not_utf8": lambda: of(patched(0, b"\xff\xfe")),
        "negative_size": lambda: of(patched(124, b"\xff" * 12)),
        "huge_size": lambda: of(patched(124, b"\x80" + b"\0" * 4 + b"\x7f" * 7)),
        "long_name_bomb": lambda: of(extended(tarfile.GNUTYPE_LONGNAME, b"n" * 2**20)),
        "attribute_bomb": lambda: of(extended(tarfile.XHDTYPE, b"1" * 2**20)),
        "long_names_nested": lambda: of(extended(tarfile.GNUTYPE_LONGNAME, b"n", 1500)),
        "long_name_up": lambda: of(extended(tarfile.GNUTYPE_LONGNAME, b"../" * 60 + b"pwned\0")),
        "attribute_size": lambda: of(extended(tarfile.XHDTYPE, b"18 size=999999999\n")),
        "bad_checksum": lambda: of(b"\1" + plain[1:]),
        "cut": lambda: of(plain[: rng.integers(1, len(plain) - 10240 + 512)]),
        "no_end": lambda: of((content := plain.rstrip(b"\0")) + bytes(-len(content) % 512)),
        "later_checksum": lambda: of(spoil_last_header(tar(tar_entry("thing")))),
        "cut_stream": lambda: (".tar.gz", (packed := gzip.compress(plain))[: -rng.integers(1, len(packed))]),
        "cut_frame": lambda: (".tar.zst", pyarrow.compress(plain, "zstd", asbytes=True)[: -rng.integers(1, 20)]),
        "bad_stream": lambda: (".tar.gz", (packed := gzip.compress(plain))[:-8] + b"\0\1\2\3" + packed[-4:]),
        "second_archive": lambda: of(plain + make_tar([("second", MARK)], [])),
        "long_tail": lambda: (".tar.gz", gzip.compress(plain + bytes(2**20 + 2**15), 1, mtime=0)),
        "empty": lambda: of(make_tar([], [])),
        "no_bytes": lambda: (".tar", b""),
        "page": lambda: (".tar.gz", b"<!doctype html><title>Log in</title>" * int(rng.integers(1, 40))),
        "zeros": zeros,
    }


def spoil_last_header(data: bytes) -> bytes:
    """Change the name of the last member of a tar file, but not the checksum of its header."""
    start = data.rindex(b"ustar") - 257
    return data[:start] + bytes([data[start] ^ 1]) + data[start + 1 :]


def zip_archives(rng: np.random.Generator, outside: str) -> dict[str, Callable[[], tuple[str, bytes]]]:
    """Kinds of zip files, each a function that makes one."""
    files = honest_files(rng)

    def of(*extra: tuple[zipfile.ZipInfo, bytes]) -> tuple[str, bytes]:
        return ".zip", make_zip(files, list(extra))

    def lying(declared: int, content: bytes) -> tuple[str, bytes]:
        """A member whose directory and header declare another size, with the checksum of that much."""
        return ".zip", raw_zip(b"thing", zlib.compress(content, 6)[2:-4], declared, zlib.crc32(content[:declared]))

    def changed(old: bytes, new: bytes, last: bool = False) -> tuple[str, bytes]:
        _, data = of((zip_entry("thing.bin"), MARK * 50))
        place = data.rfind(old) if last else data.find(old)
        return ".zip", data[:place] + new + data[place + len(old) :]

    def shared() -> tuple[str, bytes]:
        """A stored member whose content is the other member, header included: each byte is unpacked twice."""
        content = bytes(7000)
        stream = zlib.compress(content, 6)[2:-4]
        inner, inner_entry = zip_member(b"inner", stream, len(content), zlib.crc32(content))
        outer, outer_entry = zip_member(b"outer", inner, len(inner), zlib.crc32(inner), method=0)
        directory = outer_entry(0) + inner_entry(len(outer) - len(inner))
        return ".zip", outer + directory + end_of_zip(2, len(directory), len(outer))

    def damaged() -> tuple[str, bytes]:
        """A member with a flipped bit."""
        content = rng.bytes(2000)
        stream = bytearray(zlib.compress(content, 6)[2:-4])
        stream[rng.integers(10, len(stream) - 10)] ^= 1 << rng.integers(8)
        return ".zip", raw_zip(b"thing", bytes(stream), len(content), zlib.crc32(content))

    def cut() -> tuple[str, bytes]:
        _, data = of()
        return ".zip", data[: rng.integers(0, len(data))]

    kinds = {
        name: (lambda names=names: of(*((zip_entry(one), MARK) for one in names)))
        for name, names in bad_names(rng, outside).items()
    }
    encrypted = raw_zip(b"thing", MARK, len(MARK), zlib.crc32(MARK), method=0, flags=1)
    return kinds | {
        "nul": lambda: (".zip", raw_zip(b"a.txt\0../pwned", MARK, len(MARK), zlib.crc32(MARK), method=0)),
        "link": lambda: of((zip_entry("thing", stat.S_IFLNK | 0o777), outside.encode())),
        "through_link": lambda: of((zip_entry("thing", stat.S_IFLNK), outside.encode()), (zip_entry("thing/pwned"), MARK)),
        "device": lambda: of((zip_entry("thing", int(rng.choice([stat.S_IFCHR, stat.S_IFBLK]))), b"")),
        "fifo": lambda: of((zip_entry("thing", int(rng.choice([stat.S_IFIFO, stat.S_IFSOCK]))), b"")),
        "folder_as_file": lambda: of((zip_entry("thing", stat.S_IFDIR), MARK)),
        "folder_with_content": lambda: of((zip_entry("thing/"), MARK)),
        "encrypted": lambda: (".zip", encrypted),
        "method": lambda: of((zip_entry("thing", method=zipfile.ZIP_BZIP2), MARK)),
        "unknown_method": lambda: (".zip", raw_zip(b"thing", MARK, len(MARK), zlib.crc32(MARK), method=9)),
        "more_than_declared": lambda: lying(int(rng.integers(1, 900)), rng.bytes(1000)),
        "less_than_declared": lambda: lying(1000 + int(rng.integers(1, 900)), rng.bytes(1000)),
        "bomb_declared": lambda: of((zip_entry("bomb"), bytes(BOMB))),
        "bomb_hidden": lambda: lying(100, bytes(BOMB)),
        "bomb_in_parts": lambda: of(*((zip_entry(f"bomb{part}"), bytes(BOMB // 8)) for part in range(8))),
        "shared": shared,
        "bad_checksum": lambda: (".zip", raw_zip(b"thing", MARK, len(MARK), 12345, method=0)),
        "two_names": lambda: changed(b"thing.bin", b"other.bin"),
        "absolute_local": lambda: changed(b"thing.bin", b"/hing.bin", last=True),
        "damaged": lambda: changed(b"PK\1\2", b"PK\0\0"),
        "damaged_stream": damaged,
        "far_offset": lambda: (".zip", raw_zip(b"thing", MARK, len(MARK), zlib.crc32(MARK), method=0, offset=2**31)),
        "cut": cut,
        "empty": lambda: (".zip", make_zip([], [])),
        "page": lambda: (".zip", b"<html>Not found</html>" * int(rng.integers(1, 40))),
    }


def raw_zip(name: bytes, data: bytes, size: int, crc: int, method: int = 8, flags: int = 0, offset: int = 0) -> bytes:
    """A zip file of one member, field by field."""
    local, entry = zip_member(name, data, size, crc, method, flags)
    return local + entry(offset) + end_of_zip(1, len(entry(0)), len(local))


def zip_member(
    name: bytes, data: bytes, size: int, crc: int, method: int = 8, flags: int = 0
) -> tuple[bytes, Callable[[int], bytes]]:
    """A member with its header, and its directory entry as a function of its place (APPNOTE 4.3)."""
    fields = struct.pack("<HHHHHIIIHH", 20, flags, method, 0, 0x21, crc, len(data), size, len(name), 0)

    def entry(offset: int) -> bytes:
        return b"PK\1\2" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, offset) + name

    return b"PK\3\4" + fields + name + data, entry


def end_of_zip(count: int, size: int, start: int) -> bytes:
    return b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, size, start, 0)


def gz_archives(rng: np.random.Generator) -> dict[str, Callable[[], tuple[str, bytes]]]:
    """Kinds of single compressed files, each a function that makes one."""
    packed = gzip.compress(rng.bytes(2000), mtime=0)
    return {
        "bomb": lambda: (".gz", gzip.compress(bytes(BOMB), mtime=0)),
        "cut": lambda: (".gz", packed[: -rng.integers(1, len(packed))]),
        "bad_checksum": lambda: (".gz", packed[:-8] + b"\0\1\2\3" + packed[-4:]),
        "bad_length": lambda: (".gz", packed[:-4] + b"\1\1\1\1"),
        "tail": lambda: (".gz", packed + b"<html>"),
        "page": lambda: (".gz", b"<html>Not found</html>"),
    }
