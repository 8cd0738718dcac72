"""A compressed volume is one valid gzip stream whose bytes depend on its content alone."""

import gzip
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core.seeding import generator
from freetumor.synthesis import export_gzip
from freetumor.synthesis.export_gzip import SlabGzip, join_checksums

HEADER = b"header" * 50
SHAPE = (23, 110, 120)  # slabs of ten slices, the last one shorter


@pytest.fixture(params=["zlib", "isal"])
def codec(request, monkeypatch):
    module = zlib if request.param == "zlib" else pytest.importorskip("isal.isal_zlib")
    monkeypatch.setattr(export_gzip, "codec", module)


@pytest.fixture
def parent():
    return generator("gzip").integers(-50, 50, SHAPE).astype(np.int16)


@given(st.binary(), st.binary())
def test_checksums_are_joined(first, second):
    assert join_checksums(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


def test_a_stream_holds_header_and_array(codec, parent):
    assert gzip.decompress(b"".join(SlabGzip(parent).compress(HEADER, parent))) == HEADER + parent.tobytes()
    thin = parent[:, :1, :1].copy()
    assert gzip.decompress(b"".join(SlabGzip(thin).compress(b"", thin))) == thin.tobytes()


def test_the_bytes_do_not_depend_on_what_was_compressed_before(codec, parent):
    variants = [parent.copy() for _ in range(3)]
    variants[0][12, 5, 5] += 1
    variants[1][0, 0, 0] -= 7
    variants[2][-1, -1, -1] -= 7
    shared = SlabGzip(parent)
    for array in (*variants, parent, variants[0]):
        stream = b"".join(shared.compress(HEADER, array))
        assert stream == b"".join(SlabGzip(parent).compress(HEADER, array))
        assert gzip.decompress(stream) == HEADER + array.tobytes()


def test_only_slabs_that_differ_are_compressed_again(codec, parent, monkeypatch):
    calls = []
    compress = export_gzip.deflate
    monkeypatch.setattr(export_gzip, "deflate", lambda data: calls.append(len(data)) or compress(data))
    shared = SlabGzip(parent)
    shared.compress(HEADER, parent)
    assert calls == [len(HEADER), 10, 10, 3]
    variant = parent.copy()
    variant[13] += 1
    shared.compress(HEADER, variant)
    assert calls[4:] == [len(HEADER), 10]
