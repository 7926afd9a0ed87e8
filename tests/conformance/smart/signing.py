"""Keys and assertions of clients that sign, as they make them themselves; keys are made once."""

import time
import uuid
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

TOKEN_URL = "http://ehr.example/auth/token"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-384", {"kid": "ec"})
OTHER = ECKey.generate_key("P-384", {"kid": "ec"})
"""A key of somebody else, under the same name."""


def public_keys(*keys: RSAKey | ECKey) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


def assertion(
    client: str, key: RSAKey | ECKey = EC, alg: str = "ES384", header: dict[str, Any] | None = None, **claims: Any
) -> str:
    """Sign an assertion; a claim or header that is None is left out."""
    given = {"alg": alg, "kid": key.kid, "typ": "JWT"} | (header or {})
    now = int(time.time())
    said = {
        "iss": client, "sub": client, "aud": TOKEN_URL, "exp": now + 240, "jti": str(uuid.uuid4())
    } | claims  # fmt: skip
    return jwt.encode(
        {name: value for name, value in given.items() if value is not None},
        {name: value for name, value in said.items() if value is not None},
        key, algorithms=["RS384", "ES384", "RS256", "HS256"],
    )  # fmt: skip
