"""The gate itself: hide, record, send, wait no longer than the time, and hand back words that decide nothing."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from fhir_ai.gate.adapters import ADAPTERS
from fhir_ai.gate.hiding import Hidden, StillNamed, hidden
from fhir_ai.gate.settings import Remote
from fhir_server.plugin_api import AuditFacts, OutsideOnly, PluginContext

_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a model elsewhere said. removed: places of the text that were taken out before it was asked."""

    text: str
    remote: str
    host: str
    removed: int


@dataclass(frozen=True, slots=True)
class NoOpinion:
    """Why there is none; the record, the scores and the models of this server are as they were."""

    because: str


async def ask(
    ctx: PluginContext, name: str, patient: Mapping[str, Any], values: Mapping[str, Any], text: str = ""
) -> Opinion | NoOpinion:
    """Ask a model elsewhere about a patient; never raises for what is the other side's fault."""
    settings = ctx.settings
    remote: Remote | None = settings.remote_models.get(name)
    if remote is None or not settings.models:
        return NoOpinion(
            f"no remote model {name[:60]!r} is set up; remote models are off unless an operator names them"
        )
    if text and not remote.text:
        return NoOpinion("this remote model is given no free text")
    try:
        said = hidden(patient, values, text)
    except StillNamed:
        _note(ctx, remote, patient, "withheld: it still named the patient", 0)
        return NoOpinion("nothing was sent: what was to go out still named the patient")
    return await _sent(ctx, name, remote, patient, said)


async def _sent(
    ctx: PluginContext, name: str, remote: Remote, patient: Mapping[str, Any], said: Hidden
) -> Opinion | NoOpinion:
    body = json.dumps(ADAPTERS[remote.adapter].asks(remote, said)).encode()
    host = urlsplit(remote.url).hostname or ""
    # recorded before it goes: what cannot be recorded is not sent
    digest = hashlib.sha256(body).hexdigest()[:16]
    _note(ctx, remote, patient, f"sent {len(body)} bytes without names to {host}, sha256 {digest}", _OK)
    try:
        answer = await asyncio.wait_for(_post(remote, body), remote.timeout)
        words = ADAPTERS[remote.adapter].reads(json.loads(answer))
    except TimeoutError:
        return NoOpinion(f"{host} gave no answer within {remote.timeout:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return NoOpinion(f"{host} cannot be asked: {error or type(error).__name__}")
    except (ValueError, KeyError, TypeError, IndexError):
        return NoOpinion(f"{host} answered what its adapter does not understand")
    return Opinion(words, name, host, said.removed)


async def _post(remote: Remote, body: bytes) -> bytes:
    token = remote.token.get_secret_value()
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    async with (
        httpx.AsyncClient(
            transport=OutsideOnly(inside=remote.inside), timeout=remote.timeout, trust_env=False, follow_redirects=False
        ) as client,
        client.stream("POST", remote.url, content=body, headers=headers) as answer,
    ):
        if answer.status_code != _OK:
            raise httpx.HTTPError(f"it answered {answer.status_code}")
        found = bytearray()
        async for chunk in answer.aiter_bytes():
            found += chunk
            if len(found) > remote.most:
                raise httpx.HTTPError(f"its answer is over {remote.most} bytes")
        return bytes(found)


def _note(ctx: PluginContext, remote: Remote, patient: Mapping[str, Any], said: str, status: int) -> None:
    """Record that something went out, or did not; Busy: nothing can be recorded, so nothing goes."""
    id_ = str(patient.get("id", ""))
    patients = (id_,) if id_ else ()
    entity = f"Patient/{id_}" if id_ else "Patient"
    ctx.note(AuditFacts("sent", status or _OK, entity=entity, patients=patients, note=f"remote model: {said}"))
