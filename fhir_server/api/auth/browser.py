"""The cookie of a signed-in browser, and the proofs that a form came from our own page."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth.desk import Desk
from fhir_server.auth.secrets import same
from fhir_server.auth.sessions import Session

_PLAIN = "fhir-session"
_HOST = "__Host-fhir-session"
"""A name that no other host, and no plain HTTP, can set: nobody can plant a session in a browser."""

_TENANT = re.compile(r"/t/([a-z0-9_-]+)/fhir$")
_FOREIGN = frozenset(("cross-site", "same-site"))


def cookie_of(request: Request, desk: Desk) -> str | None:
    """Return the value of the cookie."""
    return request.cookies.get(_name(desk))


def with_cookie(answer: Response, desk: Desk, value: str) -> Response:
    """Return the answer with the cookie, which no script and no other site can use."""
    answer.set_cookie(
        _name(desk), value, max_age=desk.settings.session_life, path="/", httponly=True,
        samesite="lax", secure=_secure(desk),
    )  # fmt: skip
    return answer


def without_cookie(answer: Response, desk: Desk) -> Response:
    """Return the answer that takes the cookie away."""
    secure = _secure(desk)
    answer.delete_cookie(_name(desk), path="/", secure=secure, httponly=True, samesite="lax")
    return answer


def same_form(session: Session, form: Mapping[str, str]) -> bool:
    """Tell whether a form came from a page that this session was shown."""
    return same(form.get("form", ""), session.form)


def foreign(request: Request, desk: Desk) -> bool:
    """Tell whether a browser says that a form came from a page of others, such as one that signs its victim in as
    somebody else. Old browsers say nothing.

    Spec: https://www.w3.org/TR/fetch-metadata/
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in _FOREIGN
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != urlsplit(desk.base).netloc


def _name(desk: Desk) -> str:
    """Return what the cookie is called: a browser may be signed in at several tenants of a host."""
    tenant = _TENANT.search(desk.base)
    return f"{_HOST if _secure(desk) else _PLAIN}{f'-{tenant[1]}' if tenant else ''}"


def _secure(desk: Desk) -> bool:
    return desk.base.startswith("https:")
