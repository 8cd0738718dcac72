"""Gzip streams of arrays that share most of their slabs with one parent: a shared slab is compressed once.

A stream is one gzip member whose deflate blocks are made slab by slab and end on a byte, so that a compressed slab can stand in
any stream. The checksum of the whole follows from the checksums of the slabs. Painted variants of a scan differ in a few
slabs, so the second one costs little more than writing it.

Reference: RFC 1951 (deflate), RFC 1952 (gzip); the checksum is a remainder of a polynomial over GF(2), see RFC 1952, section 8.
"""

import zlib
from functools import cache

import numpy as np

try:  # several times faster; the streams differ, what they hold does not
    from isal import isal_zlib as codec
except ImportError:
    codec = zlib

SLAB = 2**18  # bytes of a slab at least
GZIP_HEADER = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])  # no name, no time, unknown system: the same bytes anywhere
LAST_BLOCK = b"\x03\x00"
POLYNOMIAL = 0xEDB88320  # of CRC-32; the highest bit is the coefficient of power 0
ONE, X = 1 << 31, 1 << 30

Slab = tuple[bytes, int, int]  # deflate blocks, checksum and length of the content


class SlabGzip:
    """Compress arrays that are like a parent.

    Args:
        parent: array of any type, C order; slabs are runs along its first axis. It must not change.
    """

    def __init__(self, parent: np.ndarray) -> None:
        self.parent = parent
        self.step = max(1, -(-SLAB // max(1, parent[:1].nbytes)))
        self.known: dict[int, Slab] = {}

    def compress(self, header: bytes, array: np.ndarray) -> list[bytes]:
        """The parts of a gzip file that holds ``header`` and the bytes of ``array``, of the parent's shape and type."""
        slabs = [deflate(header), *(self._slab(start, array) for start in range(0, len(array), self.step))]
        checksum = length = 0
        for _, part, size in slabs:
            checksum, length = join_checksums(checksum, part, size), length + size
        end = checksum.to_bytes(4, "little") + (length % 2**32).to_bytes(4, "little")
        return [GZIP_HEADER, *(blocks for blocks, _, _ in slabs), LAST_BLOCK, end]

    def _slab(self, start: int, array: np.ndarray) -> Slab:
        part = array[start : start + self.step]
        if array is not self.parent and not np.array_equal(part, self.parent[start : start + self.step]):
            return deflate(part)
        if start not in self.known:
            self.known[start] = deflate(part)
        return self.known[start]


def deflate(data: bytes | np.ndarray) -> Slab:
    """Deflate blocks of ``data`` that end on a byte and look at nothing before them, at level 1."""
    content = memoryview(np.ascontiguousarray(data)).cast("B") if isinstance(data, np.ndarray) else data
    stream = codec.compressobj(1, codec.DEFLATED, -15)
    blocks = stream.compress(content) + stream.flush(codec.Z_SYNC_FLUSH)
    return blocks, codec.crc32(content), len(content)


def join_checksums(first: int, second: int, length: int) -> int:
    """CRC-32 of two pieces in a row, from the CRC-32 of each and the ``length`` in bytes of the second."""
    return _times(_power(length), first) ^ second


@cache
def _power(length: int) -> int:
    """x to the power of 8 ``length``, modulo the polynomial."""
    result, square, exponent = ONE, X, 8 * length
    while exponent:
        if exponent & 1:
            result = _times(square, result)
        square, exponent = _times(square, square), exponent >> 1
    return result


def _times(first: int, second: int) -> int:
    """Product of two polynomials over GF(2), modulo the polynomial."""
    product = 0
    for bit in range(31, -1, -1):
        if first >> bit & 1:
            product ^= second
        second = second >> 1 ^ (POLYNOMIAL if second & 1 else 0)
    return product
