"""HTTP to payers: through the transport that reaches no private network, with a token, and never guessing."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from fhir_billing.payers.payer import Unclear
from fhir_billing.payers.settings import PayerSettings
from fhir_server.plugin_api import OutsideOnly, decode, encode

_LARGEST = 10_000_000


class PayerClient:
    """Talks to one payer.

    Args:
        timeout: seconds for one call. transport: for tests.
    """

    def __init__(
        self, settings: PayerSettings, timeout: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(
            transport=transport or OutsideOnly(inside=settings.inside), follow_redirects=False, trust_env=False,
            timeout=timeout,
        )  # fmt: skip
        self._token, self._asking = "", asyncio.Lock()

    async def post(
        self, path: str, body: bytes, media_type: str, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST to the payer; a token that it does not take any more is renewed once.

        Raises:
            Unclear: there was no answer, half of one, or one of the 5xx and 429.
        """
        answer = await self._send(path, body, media_type, headers or {})
        if answer.status_code == 401 and self._settings.token_url:
            self._token = ""
            answer = await self._send(path, body, media_type, headers or {})
        if answer.status_code >= 500 or answer.status_code in (401, 403, 408, 425, 429):
            raise Unclear(f"the payer answered {answer.status_code}")
        if len(answer.content) > _LARGEST:
            raise Unclear("the payer's answer is too large")
        return answer

    async def resource(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """POST a resource; return the status and the resource that came. Raises Unclear."""
        answer = await self.post(path, encode(body), "application/fhir+json", headers)
        try:
            found = decode(answer.content)
        except ValueError as error:
            raise Unclear("the payer's answer is no JSON") from error
        if not isinstance(found, dict) or "resourceType" not in found:
            raise Unclear("the payer's answer is no FHIR resource")
        return answer.status_code, found

    async def _send(self, path: str, body: bytes, media_type: str, headers: Mapping[str, str]) -> httpx.Response:
        url = f"{self._settings.url.rstrip('/')}/{path}" if path else self._settings.url
        given = {"content-type": media_type, "accept": media_type, **headers, **await self._authorization()}
        try:
            return await self._client.post(url, content=body, headers=given)
        except httpx.HTTPError as error:
            raise Unclear(f"the payer cannot be reached: {type(error).__name__}") from error

    async def _authorization(self) -> dict[str, str]:
        """Return the header with a token, got by client credentials. Spec: RFC 6749, section 4.4"""
        if not self._settings.token_url:
            return {}
        async with self._asking:
            if not self._token:
                self._token = await self._fetch()
        return {"authorization": f"Bearer {self._token}"}

    async def _fetch(self) -> str:
        form = {"grant_type": "client_credentials", "scope": self._settings.scope}
        credentials = (self._settings.client_id, self._settings.client_secret.get_secret_value())
        try:
            answer = await self._client.post(self._settings.token_url, data=form, auth=credentials)
            token = answer.json().get("access_token")
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            raise Unclear(f"no token from the payer: {type(error).__name__}") from error
        if not answer.is_success or not isinstance(token, str):
            raise Unclear(f"no token from the payer: {answer.status_code}")
        return token

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


def sentences(outcome: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what an OperationOutcome says, each issue with its place."""
    found = []
    for issue in outcome.get("issue", ()):
        text = issue.get("diagnostics") or issue.get("details", {}).get("text") or issue.get("code", "")
        places = ", ".join(issue.get("expression", ()))
        found.append(f"{text} ({places})"[:500] if places else str(text)[:500])
    return tuple(found)
