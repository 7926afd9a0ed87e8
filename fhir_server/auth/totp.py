"""One-time codes of authenticator apps, and codes for the day the phone is lost.

Spec: https://www.rfc-editor.org/rfc/rfc6238
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

import pyotp
import segno

from fhir_server.auth.desk import Desk
from fhir_server.auth.records import ONCE
from fhir_server.auth.secrets import digest
from fhir_server.auth.users import User, failed, succeeded, update_user

_PERIOD = 30
_CODES = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def new_secret() -> str:
    """Return a secret for an authenticator app."""
    return pyotp.random_base32(32)


def address(secret: str, name: str, issuer: str) -> str:
    """Return the URL that an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def picture(url: str) -> str:
    """Return a QR code as SVG to stand in a page."""
    target, code = BytesIO(), segno.make(url, error="m")
    code.save(target, kind="svg", scale=5, border=4, xmldecl=False, svgns=False, dark="#000", light="#fff")
    return target.getvalue().decode()


def matches(desk: Desk, secret: str, code: str) -> bool:
    """Tell whether a code belongs to a secret now, one period early or late."""
    return pyotp.TOTP(secret).verify(code.replace(" ", ""), for_time=desk.now() // 1000, valid_window=1)


def recovery_codes() -> tuple[Sequence[str], tuple[str, ...]]:
    """Return fresh recovery codes, to be shown once, and their digests. Each has 49 random bits."""
    codes = ["-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(2)) for _ in range(_CODES)]
    return codes, tuple(_digest(code) for code in codes)


async def code_holds(desk: Desk, user: User, code: str) -> bool:
    """Tell whether a code is right, or none is needed. Each is good once; a wrong one counts as a failed sign-in."""
    if not user.totp:
        return True
    if await _is_right(desk, user, code):
        await succeeded(desk, user)
        return True
    if not await _recovers(desk, user, code):
        await failed(desk, user)
        return False
    return True


async def _is_right(desk: Desk, user: User, code: str) -> bool:
    given = code.replace(" ", "")
    if not given.isdecimal() or not matches(desk, user.totp, given):
        return False
    return await desk.first(ONCE.name, digest(f"totp {user.id} {given}"), 3 * _PERIOD)


async def _recovers(desk: Desk, user: User, code: str) -> bool:
    """Take a recovery code, which is used up by that."""
    kept = _digest(code)
    if kept not in user.recovery or not await desk.first(ONCE.name, digest(f"recovery {user.id} {kept}"), 86_400):
        return False

    def without(now: User) -> User:
        return replace(now, recovery=tuple(each for each in now.recovery if each != kept), failures=0, locked=0)

    return await update_user(desk, user.id, without) is not None


def _digest(code: str) -> str:
    return digest("".join(code.lower().split()).replace("-", ""))
