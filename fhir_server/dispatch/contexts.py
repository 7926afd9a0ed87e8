"""Contexts: what interactions of one caller are given, kept for the next request of theirs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from fhir_server.audit.auditor import Auditor
from fhir_server.auth.unrestricted import Open
from fhir_server.context import Caller, Checked, Commit, Context, Deciders, Restriction
from fhir_server.dispatch.running import run
from fhir_server.dispatch.server import Server
from fhir_server.interactions.admission import admit
from fhir_server.interactions.masking import store_of, written
from fhir_server.interactions.packages import TenantPackages
from fhir_server.interactions.tenant import Tenant
from fhir_server.storage.base import BlobChange, Change, CommitResult, ConditionChanged, RecordChange, VersionChanged

MOST_CONTEXTS: Final = 1_000
OPEN: Final = Open()
"""The restriction of those who may see and do all."""


def kept(server: Server, tenant: Tenant, base: str, restriction: Restriction, caller: Callable[[], Caller]) -> Context:
    """Return the context of a restriction, which belongs to one caller. It is kept as long as definitions and
    terminology stay; not too many are, for a client may name any host in its base."""
    key = tenant.name, base, id(restriction)
    ctx = server.contexts.get(key)
    if (
        ctx is None
        or ctx.extractor is not tenant.extractor
        or ctx.terminology is not tenant.terminology
        or ctx.settings is not tenant.settings
    ):
        if len(server.contexts) >= MOST_CONTEXTS:
            server.contexts.clear()
        ctx = server.contexts[key] = _context(server, tenant, base, caller(), restriction)
    return ctx


def _context(server: Server, tenant: Tenant, base: str, caller: Caller, restriction: Restriction) -> Context:
    commit, auditor = _audited(server, tenant, caller)
    deciders = server.deciders if server.deciders is not None and server.deciders.checks else None
    if restriction is not OPEN or deciders is not None:
        commit = _decided(commit, deciders, lambda: ctx)
    ctx = Context(
        store=store_of(tenant.store, restriction.mask),
        settings=tenant.settings,
        definitions=server.definitions,
        parameters=tenant.parameters,
        extractor=tenant.extractor,
        library=tenant.library,
        validator=tenant.validator,
        terminology=tenant.terminology,
        packages=TenantPackages(server.tenants, tenant),
        operations=server.operations,
        router=server.router,
        apply_patch=server.apply_patch,
        caller=caller,
        restriction=restriction,
        now=server.now,
        new_id=server.new_id,
        execute=lambda inner: run(ctx, inner),
        commit=commit,
        base=base,
        link_secret=tenant.link_secret,
        jobs=server.jobs,
        auditor=auditor,
        tenant=tenant.name,
        deciders=server.deciders,
    )
    return ctx


def _audited(server: Server, tenant: Tenant, caller: Caller) -> tuple[Commit, Auditor | None]:
    """Return the way to write into a tenant, and what takes down what is written, where there is something."""
    commit = partial(server.tenants.commit, tenant)
    if server.recorder is None:
        return commit, None
    book = server.recorder.book(tenant.name, tenant.store.audit)
    auditor = Auditor(server.recorder, book, server.definitions, caller)
    return auditor.around(tenant.store, commit), auditor


def _decided(commit: Commit, deciders: Deciders | None, context: Callable[[], Context]) -> Commit:
    """Return a way to write on which plugins have their say, and only what the caller may write gets through."""

    async def decided(
        changes: Sequence[Change], records: Sequence[RecordChange] = (), blobs: Sequence[BlobChange] = (), /
    ) -> CommitResult:
        ctx = context()
        looked_at = () if deciders is None else await deciders.check(ctx, changes)
        checked = changes if deciders is None else [each.change for each in looked_at]
        if ctx.restriction is OPEN:
            return _with_issues(await commit(checked, records, blobs), looked_at)
        try:
            result = written(ctx.restriction.mask, await commit(await admit(ctx, checked), records, blobs))
            return _with_issues(result, looked_at)
        except VersionChanged as error:
            if any(change.key == error.key and change.expected is None for change in changes):
                raise ConditionChanged(f"{error.key} was changed after it was looked at") from error
            raise

    return decided


def _with_issues(result: CommitResult, checked: Sequence[Checked]) -> CommitResult:
    """Return what a commit wrote with what was found about each change."""
    if not any(each.issues for each in checked) or len(result.written) != len(checked):
        return result
    rows = zip(result.written, checked, strict=True)
    return replace(result, written=tuple(replace(row, issues=each.issues) for row, each in rows))
