"""The cookie of a signed-in browser, and the proof that a form came from our own page."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth.secrets import same
from fhir_server.auth.sessions import Session
from fhir_server.settings import Settings

_NAME = "fhir-session"


def cookie_of(request: Request) -> str | None:
    """Return the value of the cookie."""
    return request.cookies.get(_NAME)


def with_cookie(answer: Response, request: Request, value: str, settings: Settings) -> Response:
    """Return the answer with the cookie, which no script and no other site can use."""
    answer.set_cookie(
        _NAME, value, max_age=settings.session_life, path="/", httponly=True, samesite="lax",
        secure=request.url.scheme == "https" or settings.base_url.startswith("https:"),
    )  # fmt: skip
    return answer


def without_cookie(answer: Response) -> Response:
    """Return the answer that takes the cookie away."""
    answer.delete_cookie(_NAME, path="/")
    return answer


def same_form(session: Session, form: Mapping[str, str]) -> bool:
    """Tell whether a form came from a page that this session was shown."""
    return same(form.get("form", ""), session.form)
