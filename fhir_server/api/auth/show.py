"""Pages for people, from templates; every value is escaped, and no page may be framed or run a script of others."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse, Response

_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; script-src 'self';"
    " connect-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@cache
def _templates() -> Environment:
    loader = PackageLoader("fhir_server.api.auth")
    return Environment(loader=loader, autoescape=select_autoescape(default=True), trim_blocks=True, auto_reload=False)


def page(template: str, status: int = 200, /, **values: Any) -> Response:
    """Return a page."""
    text = _templates().get_template(f"{template}.html").render(**values)
    return HTMLResponse(text, status, _HEADERS)


def message(title: str, text: str, status: int = 400) -> Response:
    """Return a page that says one thing."""
    return page("message", status, title=title, text=text)


def go_to(url: str) -> Response:
    """Send the browser elsewhere, as a GET."""
    return RedirectResponse(url, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})
