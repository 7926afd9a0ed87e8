"""Encrypted large objects: every range reads as it was written, and nothing that was changed reads at all."""

import os
from contextlib import closing
from dataclasses import replace
from io import FileIO
from pathlib import Path

import pytest

from fhir_server.encryption.blob_keys import BlobKeys
from fhir_server.encryption.chunks import CHUNK, SealedReader, SealedWriter, key_name, plain_size
from fhir_server.encryption.faults import Damaged, EncryptionFault
from fhir_server.encryption.keyring import Keyring
from fhir_server.encryption.unlocked import Unlocked

SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5)
HEAD = 8 + 16 + 60
KEY = "0123456789abcdef"
KEYS = BlobKeys(Unlocked(Keyring("clinic", KEY, KEY, "", {}), {KEY: b"k" * 32}))


def written(path: Path, data: bytes, blob: str = "blob", step: int = 10_000) -> Path:
    with closing(SealedWriter(FileIO(path, "wb"), KEYS, blob)) as writer:
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
        writer.finish()
    return path


def read(path: Path, size: int = 10**9, start: int = 0, *, keys: BlobKeys = KEYS, blob: str = "blob") -> bytes:
    with closing(SealedReader(path, keys, blob)) as reader:
        return reader.pread(size, start)


@pytest.mark.parametrize("size", SIZES)
def test_every_range_reads_as_it_was_written(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    path = written(tmp_path / "file", data)
    assert read(path) == data
    for start in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, max(size - 1, 0)):
        for length in (1, 10, CHUNK, 2 * CHUNK):
            assert read(path, length, start) == data[start : start + length]
    assert plain_size(path) == size
    assert key_name(path) == KEY


def test_nothing_of_the_bytes_stands_in_the_file(tmp_path: Path) -> None:
    raw = written(tmp_path / "file", b"Kowalskiewicz" * 20_000).read_bytes()
    assert b"Kowal" not in raw


@pytest.mark.parametrize(
    "place", [0, 7, 8, 20, 24, 39, HEAD - 1, HEAD, 1_000, HEAD + CHUNK, HEAD + CHUNK + 16, -1, -16]
)
def test_a_flipped_bit_anywhere_is_an_error(tmp_path: Path, place: int) -> None:
    path = written(tmp_path / "file", os.urandom(2 * CHUNK + 100))
    raw = bytearray(path.read_bytes())
    raw[place] ^= 4
    path.write_bytes(raw)
    with pytest.raises(EncryptionFault, match=r"blob|key"):
        read(path)


def test_a_file_that_is_cut_at_a_chunk_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "file", os.urandom(3 * CHUNK))
    os.truncate(path, HEAD + 2 * (CHUNK + 16))
    with pytest.raises(Damaged, match="chunk 1 of blob"):
        read(path)


def test_chunks_cannot_change_places(tmp_path: Path) -> None:
    path = written(tmp_path / "file", os.urandom(3 * CHUNK))
    raw, size = path.read_bytes(), CHUNK + 16
    first, second = raw[HEAD : HEAD + size], raw[HEAD + size : HEAD + 2 * size]
    path.write_bytes(raw[:HEAD] + second + first + raw[HEAD + 2 * size :])
    with pytest.raises(Damaged, match="chunk 0 of blob"):
        read(path)


def test_a_file_in_the_place_of_another_blob_or_tenant_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "file", b"bytes")
    with pytest.raises(Damaged):
        read(path, blob="other")
    with pytest.raises(Damaged):
        read(path, keys=replace(KEYS, keys=replace(KEYS.keys, ring=replace(KEYS.keys.ring, tenant="other"))))


def test_a_plain_file_is_not_read_as_if_it_were_encrypted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"FHIRBLB1 put here by somebody" * 10)
    with pytest.raises(EncryptionFault):
        read(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"plain")
    with pytest.raises(Damaged, match="not encrypted"):
        read(tmp_path / "file")
    assert key_name(tmp_path / "file") == ""


def test_a_key_that_is_gone_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "file", b"bytes")
    with pytest.raises(EncryptionFault, match=KEY):
        read(path, keys=BlobKeys(Unlocked(KEYS.keys.ring, {})))
