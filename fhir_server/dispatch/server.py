"""Server: the long-lived parts of one process; and what it notes beside requests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fhir_server.audit.events import Agent, Event, agent_text, row_of
from fhir_server.audit.recorder import Recorder
from fhir_server.auth.gate import Gate
from fhir_server.context import ApplyPatch, Context, Deciders, Jobs, Operations, Restriction, Router
from fhir_server.definitions import Definitions
from fhir_server.interactions.tenants import Tenants
from fhir_server.plugins import PluginGrant
from fhir_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Server:
    """The long-lived parts of one process; app.py makes it. Without a gate everybody is let in;
    without a recorder nothing is audited. plugin_grants: what each plugin may do by itself."""

    settings: Settings
    definitions: Definitions
    tenants: Tenants
    router: Router
    operations: Operations
    apply_patch: ApplyPatch
    now: Callable[[], int]
    new_id: Callable[[], str]
    jobs: Jobs | None = None
    gate: Gate | None = None
    recorder: Recorder | None = None
    deciders: Deciders | None = None
    plugin_grants: Mapping[str, PluginGrant] = field(default_factory=dict)
    contexts: dict[tuple[str, str, int], Context] = field(init=False, default_factory=dict, repr=False, compare=False)
    """Contexts made lately, by tenant, base URL and the identity of their restriction, which they keep alive."""
    unasked: dict[str, Restriction] = field(init=False, default_factory=dict, repr=False, compare=False)
    """The restriction of each plugin where nobody is asked for a token: its own, so that it is told from others."""


async def record(server: Server, tenant: str, agent: Agent, event: Event) -> None:
    """Record what is no FHIR request: what the authorization server does."""
    recorder = server.recorder
    if recorder is None:
        return
    found = await server.tenants.of(tenant)
    book = recorder.book(found.name, found.store.audit)
    if event.status >= 400:
        recorder.refused(book, agent, event.status, event.code)
    else:
        recorder.add(book, row_of(server.now(), agent_text(agent), event))
