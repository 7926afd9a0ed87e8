"""One-time codes of authenticator apps. Spec: https://www.rfc-editor.org/rfc/rfc6238"""

import pyotp

from fhir_server.auth.desk import Desk
from fhir_server.auth.records import ONCE
from fhir_server.auth.secrets import digest
from fhir_server.auth.users import User

_PERIOD = 30


def new_secret() -> str:
    """Return a secret for an authenticator app."""
    return pyotp.random_base32(32)


def address(secret: str, name: str, issuer: str) -> str:
    """Return the URL that an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


async def code_holds(desk: Desk, user: User, code: str) -> bool:
    """Tell whether a code is right, or none is needed. Each code is good once, one period early or late."""
    if not user.totp:
        return True
    given = code.replace(" ", "")
    if not pyotp.TOTP(user.totp).verify(given, for_time=desk.now() // 1000, valid_window=1):
        return False
    return await desk.first(ONCE.name, digest(f"totp {user.id} {given}"), 3 * _PERIOD)
