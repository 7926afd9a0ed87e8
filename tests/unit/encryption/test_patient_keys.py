"""The file of patient keys: what was destroyed is gone, what was changed is an error, whoever was cut off goes on."""

import os
from contextlib import nullcontext
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.encryption import rotation
from fhir_server.encryption.envelopes import SEALED, number_of, seal, unseal
from fhir_server.encryption.faults import Damaged, EncryptionFault, WrongKey
from fhir_server.encryption.keyring import read_keyring
from fhir_server.encryption.patient_keys import SHARED, SLOTS, PatientKeys, folder_of
from fhir_server.encryption.recovery import RecoveryKey
from fhir_server.encryption.unlocked import unlocked
from fhir_server.settings import Settings
from tests.unit.encryption.kit import ready

SLOT, HEAD = 68, 24


def made(tmp_path: Path, number: int = 3) -> tuple[PatientKeys, Settings, RecoveryKey]:
    settings, recovery = ready(tmp_path / "data")
    keys = PatientKeys.make(folder_of(settings, "default"), settings)
    keys.add(range(1, number + 1))
    return keys, settings, recovery


def test_keys_are_kept_and_differ(tmp_path: Path) -> None:
    keys, _, _ = made(tmp_path)
    found = [keys.get(number) for number in range(4)]
    assert len(set(found)) == 4 and all(key is not None and len(key) == 32 for key in found)
    assert keys.count() == 4 and found[SHARED] is not None
    data = (keys.folder / SLOTS).read_bytes()
    assert not any(key in data for key in found if key)


def test_a_destroyed_key_is_overwritten_where_it_stands(tmp_path: Path) -> None:
    keys, _, _ = made(tmp_path)
    before = (keys.folder / SLOTS).read_bytes()
    keys.destroy(2)
    after = (keys.folder / SLOTS).read_bytes()
    assert keys.get(2) is None and keys.get(1) is not None and keys.get(3) is not None
    at = HEAD + 2 * SLOT
    assert before[at : at + SLOT] not in after
    assert before[:at] == after[:at] and before[at + SLOT :] == after[at + SLOT :]


@pytest.mark.parametrize("place", range(0, SLOT, 7))
def test_a_flipped_bit_in_a_slot_is_an_error_and_never_a_destroyed_key(tmp_path: Path, place: int) -> None:
    keys, _, _ = made(tmp_path)
    path = keys.folder / SLOTS
    data = bytearray(path.read_bytes())
    data[HEAD + SLOT + place] ^= 16
    path.write_bytes(data)
    with pytest.raises(EncryptionFault, match=r"patient key 1 |has no key"):
        keys.get(1)
    assert keys.get(2) is not None


def test_slots_cannot_change_places(tmp_path: Path) -> None:
    keys, _, _ = made(tmp_path)
    path = keys.folder / SLOTS
    data = path.read_bytes()
    first, second = data[HEAD + SLOT : HEAD + 2 * SLOT], data[HEAD + 2 * SLOT : HEAD + 3 * SLOT]
    path.write_bytes(data[: HEAD + SLOT] + second + first + data[HEAD + 3 * SLOT :])
    with pytest.raises(Damaged, match="patient key 1"):
        keys.get(1)


def test_a_key_that_never_was_is_an_error(tmp_path: Path) -> None:
    keys, _, _ = made(tmp_path)
    with pytest.raises(EncryptionFault, match="patient key 4 is not in"):
        keys.get(4)
    keys.add([6])
    with pytest.raises(EncryptionFault, match="patient key 5 is not in"):
        keys.get(5)


def test_another_master_key_does_not_open_them(tmp_path: Path) -> None:
    keys, settings, recovery = made(tmp_path)
    (tmp_path / "data.master.key").write_text(os.urandom(32).hex())
    unlocked.forget()
    with pytest.raises(EncryptionFault, match="does not open with"):
        keys.get(1)
    with pytest.raises(WrongKey):
        rotation.recover(settings, RecoveryKey.new())
    rotation.recover(settings, recovery)
    assert keys.get(1) is not None


def test_a_rotation_does_again_what_changed_while_it_copied(tmp_path: Path) -> None:
    keys, settings, _ = made(tmp_path)
    before = [keys.get(number) for number in range(4)]
    rotation.rotate(settings)

    class Meanwhile(nullcontext[None]):
        def __enter__(self) -> None:
            keys.destroy(2)
            keys.add([4])

    assert keys.rewrap(Meanwhile())
    assert [keys.get(number) for number in range(4)] == [before[0], before[1], None, before[3]]
    assert keys.get(4) is not None
    ring = read_keyring(keys.folder)
    assert ring is not None and list(ring.keys) == [ring.current]
    assert not keys.rewrap(Meanwhile())


def test_a_copy_follows_and_destroys_what_is_destroyed(tmp_path: Path) -> None:
    keys, settings, _ = made(tmp_path)
    keys.copy_to(tmp_path / "copy")
    old = (tmp_path / "copy" / SLOTS).read_bytes()
    keys.destroy(1)
    keys.add([4])
    rotation.rotate(settings)
    keys.rewrap(nullcontext())
    keys.copy_to(tmp_path / "copy")
    copy = PatientKeys(tmp_path / "copy", settings)
    assert [copy.get(number) for number in range(5)] == [keys.get(number) for number in range(5)]
    data = (tmp_path / "copy" / SLOTS).read_bytes()
    assert not any(old[at : at + SLOT] in data for at in range(HEAD, len(old), SLOT))
    other = PatientKeys.make(tmp_path / "other", settings)
    with pytest.raises(EncryptionFault, match="of another store"):
        other.copy_to(tmp_path / "copy")


def test_a_body_opens_in_its_own_place_alone(tmp_path: Path) -> None:
    cipher = AESGCM(b"k" * 32)
    sealed = seal(cipher, 7, b"{}", b"default|Patient/a/1|7")
    assert sealed[0] == SEALED and number_of(sealed) == 7 and b"{}" not in sealed
    assert unseal(cipher, sealed, b"default|Patient/a/1|7") == b"{}"
    assert seal(cipher, 7, b"{}", b"default|Patient/a/1|7") != sealed
    for other in (b"other|Patient/a/1|7", b"default|Patient/b/1|7", b"default|Patient/a/2|7", b"default|Patient/a/1|8"):
        with pytest.raises(Damaged, match=r"the body of Patient/[ab]/[12] is damaged"):
            unseal(cipher, sealed, other)
    for cut in (9, 15, 21, len(sealed) - 1):
        with pytest.raises(Damaged):
            unseal(cipher, sealed[:cut], b"default|Patient/a/1|7")


def test_a_default_place_that_may_not_last_is_refused(tmp_path: Path) -> None:
    if os.stat("/dev/shm").st_dev == os.stat("/dev").st_dev:
        pytest.skip("/dev/shm is no file system of its own here")
    settings = Settings(data_dir=Path("/dev/shm"), encryption="on")
    with pytest.raises(EncryptionFault, match="set patient_keys to a folder that does"):
        PatientKeys.make(folder_of(settings, "default"), settings)
