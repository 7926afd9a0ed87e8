"""What a token is good for, told to a resource server or client that may ask.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html and RFC 7662
"""

from typing import Any

from fhir_server.auth.desk import Desk
from fhir_server.auth.scopes import parse_scopes
from fhir_server.auth.tokens import Found, find_token


async def introspected(desk: Desk, token: str, asking: str | None) -> dict[str, Any]:
    """Return what is known of a token; of one that is not good, no more than that.

    asking: the client that may ask for its own tokens alone, for which others are not good; None may ask for any.
    """
    found = await find_token(desk, token)
    if found is None or asking not in (None, found.grant.client):
        return {"active": False}
    grant, scopes = found.grant, parse_scopes(found.scopes)
    answer = {**grant.context, **_of_token(desk, found)}
    for name in ("patient", "encounter"):
        if getattr(grant, name):
            answer[name] = getattr(grant, name)
    if grant.user:
        answer |= {"iss": desk.issuer, "sub": grant.user}
        if grant.subject and ("fhirUser" in scopes or "profile" in scopes):
            answer["fhirUser"] = f"{desk.base}/{grant.subject}"
    return answer


def _of_token(desk: Desk, found: Found) -> dict[str, Any]:
    return {
        "active": True,
        "scope": found.scopes,
        "client_id": found.grant.client,
        "exp": found.expires // 1000,
        "iat": found.issued // 1000,
        "token_type": "Bearer" if found.kind == "access" else "refresh_token",
        "aud": desk.base,
    }
