"""What plugins decide within requests: checks of writes, and changes to what is shown."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from msgspec import structs

from fhir_server.context import Checked, Context
from fhir_server.errors import FhirError, InvalidResource, Issue
from fhir_server.interactions.prepare import prepare_now
from fhir_server.interactions.stored_body import stored_body
from fhir_server.model.exchange import FhirResponse
from fhir_server.model.json import JsonError, decode, decode_stored, encode
from fhir_server.model.version import Version
from fhir_server.plugin_host.context import Host
from fhir_server.plugin_host.faults import Faults
from fhir_server.plugins import Loaded
from fhir_server.plugins.registrations import Finding, Interceptor, Verdict, Write, WriteCheck
from fhir_server.storage.base import Change

logger = logging.getLogger(__name__)
Parsed = Callable[[], dict[str, Any]]
_REFUSING = frozenset(("error", "fatal"))


class CheckFailed(FhirError):
    """A check of a plugin did not come to a verdict: nothing is written."""

    status = 500
    code = "exception"


@dataclass(frozen=True, slots=True, eq=False)
class PluginDeciders:
    """The deciders of all plugins, in their order."""

    write_checks: Sequence[tuple[Host, WriteCheck]]
    interceptors: Sequence[tuple[Host, Interceptor]]
    faults: Faults
    amending: Sequence[Loaded] = ()

    @property
    def checks(self) -> bool:
        """Tell whether there is anything that looks at writes."""
        return bool(self.write_checks)

    @property
    def shows(self) -> bool:
        """Tell whether there is anything that changes what is shown."""
        return bool(self.interceptors)

    async def check(self, ctx: Context, changes: Sequence[Change]) -> Sequence[Checked]:
        """Return the changes as they shall be written, in their order, with what was found that does not refuse them.

        Raises:
            InvalidResource: one is refused; all findings on it at once.
            CheckFailed: a check threw. A record that nobody looked at is not written.
        """
        return [await self._checked(ctx, change) for change in changes]

    async def _checked(self, ctx: Context, change: Change) -> Checked:
        looking = [
            (host, each.check)
            for host, each in self.write_checks
            if (not each.types or change.key.type in each.types) and not self.faults.is_off(host.plugin.name)
        ]
        if not looking:
            return Checked(change)
        noticed: list[Issue] = []
        before, after = await _before(ctx, change), _after(change)
        for host, check in looking:
            verdict = await self._verdict(host, check, ctx, Write(change.key, change.method, after, before))
            issues = [_issue(found, change.key.type) for found in verdict.findings]
            refusing = [issue for issue in issues if issue.severity in _REFUSING]
            if refusing:
                raise InvalidResource(refusing[0].diagnostics, issues=refusing)
            noticed += issues
            if verdict.resource is not None and change.method != "DELETE":
                prepared = prepare_now(ctx, encode(dict(verdict.resource)), change.key, same_id=True)
                change = replace(change, body=prepared.body, entries=prepared.entries, requires=prepared.requires)
                after = _after(change)
        return Checked(change, tuple(noticed))

    async def _verdict(self, host: Host, check: Any, ctx: Context, write: Write) -> Verdict:
        try:
            found = await check(host.within(ctx), write)
        except FhirError:
            raise
        except Exception as error:
            self.faults.note(host.plugin.name, "write check", error)
            raise CheckFailed(f"the plugin {host.plugin.name} failed to check this {write.type}") from error
        return found or Verdict()

    async def show(self, ctx: Context, response: FhirResponse) -> FhirResponse:
        """Return the answer as the caller may see it. Raises CheckFailed: what nobody masked is not shown."""
        if not response.body or response.media_type is not None:
            return response
        try:
            resource = decode(b"".join(response.body))
        except JsonError:
            return response
        shown = await self._shown(ctx, resource)
        return response if shown is resource else _with(response, encode(shown))

    async def _shown(self, ctx: Context, resource: Any) -> Any:
        """Return a resource, or a Bundle or Parameters of them, changed; the same object where nothing was."""
        if not isinstance(resource, dict):
            return resource
        if resource.get("resourceType") in ("Bundle", "Parameters"):
            name = "entry" if resource["resourceType"] == "Bundle" else "parameter"
            rows = resource.get(name) or []
            inner = [await self._shown(ctx, row.get("resource")) for row in rows]
            if all(new is row.get("resource") for new, row in zip(inner, rows, strict=True)):
                return resource
            return {**resource, name: [_row(row, new) for row, new in zip(rows, inner, strict=True)]}
        return await self.shown(ctx, resource)

    async def version(self, ctx: Context, version: Version) -> Version:
        """Return one version as the caller may see it."""
        if not self.interceptors or version.deleted:
            return version
        resource = decode(version.body.data)
        shown = await self.shown(ctx, resource)
        if shown is resource:
            return version
        return structs.replace(version, body=stored_body(encode(shown), shown, version.key))

    def amend(self, statement: dict[str, Any]) -> dict[str, Any]:
        """Return the CapabilityStatement with what plugins add to it."""
        for plugin in self.amending:
            statement = plugin.register("amend_capabilities", statement, plugin.settings)
        return statement

    async def shown(self, ctx: Context, resource: dict[str, Any]) -> dict[str, Any]:
        """Return one resource as the caller may see it."""
        for host, each in self.interceptors:
            if each.types and resource.get("resourceType") not in each.types:
                continue
            if self.faults.is_off(host.plugin.name):
                continue
            try:
                resource = await each.show(host.within(ctx), resource)
            except FhirError:
                raise
            except Exception as error:
                self.faults.note(host.plugin.name, "interceptor", error)
                raise CheckFailed(f"the plugin {host.plugin.name} failed to prepare what is shown") from error
        return resource


async def _before(ctx: Context, change: Change) -> Parsed | None:
    """Return what gives the current version; none is looked for where the commit will only write a new resource."""
    if change.method == "POST" and change.expected == 0:
        return None
    current = await ctx.store.read(change.key)
    return cache(partial(_as_sent, current.body.data)) if current is not None and not current.deleted else None


def _after(change: Change) -> Parsed | None:
    return cache(partial(_as_sent, change.body.data)) if change.method != "DELETE" else None


def _as_sent(data: bytes) -> dict[str, Any]:
    """Return a stored body without the empty `meta` that makes room for what the server owns of it."""
    resource: dict[str, Any] = decode_stored(data)
    if not resource.get("meta"):
        resource.pop("meta", None)
    return resource


def _row(row: dict[str, Any], resource: Any) -> dict[str, Any]:
    return row if resource is None else {**row, "resource": resource}


def _issue(found: Finding, type_: str) -> Issue:
    return Issue(found.text, found.code, found.severity, (found.expression or type_,))


def _with(response: FhirResponse, body: bytes) -> FhirResponse:
    return FhirResponse(response.status, (body,), response.version, response.headers, response.media_type)
