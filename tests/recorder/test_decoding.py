"""Bodies that come compressed, in pieces of any size."""

from __future__ import annotations

import gzip
import importlib.util
import sys
import types
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_llmcache.exceptions import LLMCacheError
from django_llmcache.recorder import decoding
from django_llmcache.recorder.decoding import DecodingError, decoded
from django_llmcache.recorder.exchange import Chunk

TEXT = b'data: {"text": "\xc3\xa9t\xc3\xa9"}\n\n' * 40


def bare_deflate(data):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "GZIP": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "deflate, gzip": gzip.compress(zlib.compress(TEXT)),
    "identity, gzip": gzip.compress(TEXT),
    "identity": TEXT,
    "": TEXT,
}


def cut(data, *places):
    ends = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [Chunk(float(number), data[a:b]) for number, (a, b) in enumerate(pairwise(ends))]


def joined(chunks):
    return b"".join(chunk.data for chunk in chunks)


@given(st.sampled_from(sorted(PACKED)), st.lists(st.integers(0, 200), max_size=6))
def test_a_body_is_the_same_wherever_it_is_cut(encoding, places):
    assert joined(decoded(cut(PACKED[encoding], *places), encoding)) == TEXT


@given(st.lists(st.integers(0, 80), max_size=4))
def test_deflate_without_the_header_of_the_standard_is_decoded_too(places):
    assert joined(decoded(cut(bare_deflate(TEXT), *places), "deflate")) == TEXT


def test_each_chunk_keeps_the_offset_at_which_it_came():
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    events = (b"data: one\n\n", b"data: two\n\n", b"data: three\n\n")
    raw = [packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH) for event in events]

    chunks = [Chunk(10.0 * number, data) for number, data in enumerate([*raw, packer.flush()])]

    assert decoded(chunks, "gzip") == tuple(Chunk(10.0 * number, event) for number, event in enumerate(events))


def test_a_chunk_that_says_nothing_yet_is_part_of_the_next():
    packed = gzip.compress(b"Hello")

    assert decoded([Chunk(1, packed[:5]), Chunk(2, packed[5:9]), Chunk(7, packed[9:])], "gzip") == (Chunk(7, b"Hello"),)


def test_without_an_encoding_chunks_are_as_they_came_less_the_empty_ones():
    assert decoded([Chunk(1, b"a"), Chunk(2, b""), Chunk(3, b"b")], "") == (Chunk(1, b"a"), Chunk(3, b"b"))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "deflate, gzip"])
def test_a_body_that_breaks_off_gives_what_came(encoding):
    packed = PACKED[encoding]

    found = joined(decoded(cut(packed[: len(packed) // 2]), encoding))

    assert TEXT.startswith(found)


@pytest.mark.parametrize("encoding", sorted(PACKED))
def test_no_body_decodes_to_none(encoding):
    assert decoded([], encoding) == ()


@pytest.mark.parametrize("places", [(), (70, 90)])
def test_a_body_of_several_members_is_decoded_to_its_end(places):
    packed = gzip.compress(b"one, ") + gzip.compress(b"two, ") + gzip.compress(b"three")

    assert joined(decoded(cut(packed, *places), "gzip")) == b"one, two, three"


@pytest.mark.parametrize("padding", [b"\0" * 20, b"no gzip at all"])
@pytest.mark.parametrize("apart", [True, False])
def test_padding_after_the_last_member_is_no_damage(padding, apart):
    packed = gzip.compress(b"Hello")
    chunks = [Chunk(1, packed), Chunk(2, padding), Chunk(3, padding)] if apart else [Chunk(1, packed + padding)]

    assert decoded(chunks, "gzip") == (Chunk(1, b"Hello"),)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_damaged_body_is_an_error_that_names_the_encoding(encoding):
    with pytest.raises(DecodingError, match=f"not {encoding}"):
        decoded([Chunk(0, b"{}: this was never compressed")], encoding)


def test_damage_in_the_middle_of_a_body_is_an_error():
    packed = bytearray(gzip.compress(bytes(range(256)) * 40, compresslevel=0))
    packed[-6] ^= 0xFF

    with pytest.raises(DecodingError):
        decoded([Chunk(0, bytes(packed))], "gzip")


def test_damage_in_a_later_member_is_an_error():
    packed = bytearray(gzip.compress(bytes(range(256)) * 40, compresslevel=0))
    packed[-6] ^= 0xFF

    with pytest.raises(DecodingError):
        decoded([Chunk(0, gzip.compress(b"one")), Chunk(1, bytes(packed[:500])), Chunk(2, bytes(packed[500:]))], "gzip")


def test_an_unknown_encoding_is_an_error_that_names_it():
    with pytest.raises(DecodingError, match="'lzma' is unknown"):
        decoded([Chunk(0, b"x")], "gzip, lzma")


def test_a_decoding_error_is_one_of_ours_and_a_value_error():
    assert issubclass(DecodingError, LLMCacheError)
    assert issubclass(DecodingError, ValueError)


@pytest.mark.parametrize(
    ("encoding", "names", "package"),
    [("br", decoding.BROTLI, "brotli"), ("zstd", decoding.ZSTANDARD, "zstandard")],
)
def test_a_missing_package_is_an_error_that_names_it(monkeypatch, encoding, names, package):
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(DecodingError, match=f"'{encoding}' needs a package that is not installed: {package}"):
        decoded([Chunk(0, b"x")], encoding)


def is_installed(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("name", decoding.BROTLI)
def test_brotli_is_decoded_by_each_package_that_there_is(monkeypatch, name):
    if not is_installed(name):
        pytest.skip(f"{name} is not installed")
    packed = importlib.import_module(name).compress(TEXT)
    monkeypatch.setattr(decoding, "BROTLI", (name,))

    assert joined(decoded(cut(packed, 3, 20), "br")) == TEXT
    with pytest.raises(DecodingError, match="not br"):
        decoded([Chunk(0, b"{}: this was never compressed")], "br")


@pytest.mark.parametrize("name", decoding.ZSTANDARD)
def test_zstandard_is_decoded_by_each_package_that_there_is(monkeypatch, name):
    if not is_installed(name):
        pytest.skip(f"{name} is not installed")
    library = importlib.import_module(name)
    packed = library.compress(b"frame, ") + library.compress(TEXT)
    monkeypatch.setattr(decoding, "ZSTANDARD", (name,))

    assert joined(decoded(cut(packed, 3, 20), "zstd")) == b"frame, " + TEXT
    with pytest.raises(DecodingError, match="not zstd"):
        decoded([Chunk(0, b"{}: this was never compressed")], "zstd")


def library_like(name, **names):
    """A module with the names of a compression package, over zlib, which is always there."""
    module = types.ModuleType(name)
    vars(module).update(names)
    return module


class Processing:
    def __init__(self):
        self.process = zlib.decompressobj().decompress


class Direct:
    def __new__(cls):
        return zlib.decompressobj()


class Indirect:
    def decompressobj(self):
        return zlib.decompressobj()


@pytest.mark.parametrize(
    ("encoding", "module"),
    [
        ("br", library_like("brotli", Decompressor=Processing)),
        ("br", library_like("brotlicffi", Decompressor=Direct)),
        ("zstd", library_like("compression.zstd", ZstdDecompressor=Direct)),
        ("zstd", library_like("zstandard", ZstdDecompressor=Indirect)),
    ],
    ids=["brotli", "brotlicffi", "compression.zstd", "zstandard"],
)
def test_each_package_is_called_as_it_wants_to_be(monkeypatch, encoding, module):
    for name in (*decoding.BROTLI, *decoding.ZSTANDARD):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module.__name__, module)

    assert joined(decoded(cut(zlib.compress(TEXT), 5, 50), encoding)) == TEXT
