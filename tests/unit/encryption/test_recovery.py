"""The recovery key: what it opens, and what is noticed when it is mistyped."""

import pytest

from fhir_server.encryption.faults import WrongKey
from fhir_server.encryption.recovery import RecoveryKey


def test_the_private_half_opens_what_the_public_half_wrapped() -> None:
    key = RecoveryKey.new()
    assert key.unwrap(key.public.wrap(b"data key", "here"), "here") == b"data key"


@pytest.mark.parametrize("context", ["there", ""])
def test_what_was_wrapped_opens_in_its_context_alone(context: str) -> None:
    key = RecoveryKey.new()
    with pytest.raises(WrongKey):
        key.unwrap(key.public.wrap(b"data key", "here"), context)


def test_another_recovery_key_opens_nothing() -> None:
    with pytest.raises(WrongKey):
        RecoveryKey.new().unwrap(RecoveryKey.new().public.wrap(b"data key", "here"), "here")


def test_the_file_and_the_typed_line_are_read_alike() -> None:
    key = RecoveryKey.new()
    line = next(line for line in key.text().splitlines() if line.startswith("key:"))
    typed = line.removeprefix("key:").replace("-", " ").lower()
    assert RecoveryKey.read(key.text()) == RecoveryKey.read(line) == RecoveryKey.read(typed) == key


def test_any_one_misread_sign_is_noticed() -> None:
    key = RecoveryKey.new()
    text = next(line for line in key.text().splitlines() if line.startswith("key:")).removeprefix("key:").strip()
    for place, sign in enumerate(text):
        if sign == "-":
            continue
        other = "B" if sign == "A" else "A"
        with pytest.raises(WrongKey, match="misread"):
            RecoveryKey.read(text[:place] + other + text[place + 1 :])


@pytest.mark.parametrize("text", ["", "key:", "1234", "not a key at all!", "AAAA-BBBB"])
def test_what_is_no_recovery_key_is_refused(text: str) -> None:
    with pytest.raises(WrongKey):
        RecoveryKey.read(text)


def test_a_key_does_not_show_itself() -> None:
    key = RecoveryKey.new()
    assert key.data.hex() not in repr(key)
    assert repr(key.data) not in repr(key)
