"""What a commit takes and gives: changes of resources with the facts that they rely on, and what each came to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fhir_server.errors import Issue
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import Search, Visibility
from fhir_server.storage.audit import AuditRow

Method = Literal["POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A fact that `plan` relied on: the search finds exactly these resources (in any order).

    The engine evaluates it inside the write transaction; if it no longer holds, the commit raises
    `ConditionChanged` and the caller plans again.
    """

    search: Search
    found: frozenset[ResourceKey]


@dataclass(frozen=True, slots=True)
class Change:
    """One resource to write, as a new version.

    expected: the current version number that the client named by If-Match (0: the resource must never have existed
        or be deleted, None: any). If it does not hold the commit raises `VersionChanged`.
    requires: resources that must exist when the commit is done (referential integrity), else `MissingTargets`.
    keep_referenced: for DELETE: raise `StillReferenced` if a current resource that is not itself deleted in
        this commit refers to it.
    heeding: whose references count for that: what the caller cannot know of must not stand in their way.
    force: write a new version even if the content is the same as the current one.
    unlabels: security labels that the new version lacks are meant to go, by somebody who may; else they stay.
    Deleting what does not exist, or is deleted already, is no change.
    """

    key: ResourceKey
    method: Method
    body: Body = field(default_factory=lambda: Body(b"", 0))
    entries: IndexEntries = field(default_factory=IndexEntries)
    expected: int | None = None
    conditions: tuple[Condition, ...] = ()
    requires: tuple[ResourceKey, ...] = ()
    keep_referenced: bool = False
    heeding: Visibility = field(default_factory=Visibility)
    force: bool = False
    unlabels: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What one Change came to: `changed` is False where the content was the same, and for a delete of nothing
    (then `version` is the current version, or None).

    issues: what was found about it on the way that does not stand in its way; no engine makes any.
    """

    version: Version | None
    changed: bool
    created: bool
    issues: tuple[Issue, ...] = ()


Audit = Callable[[Sequence[Written]], Sequence[AuditRow]]
"""Makes the audit rows of a write from what it came to; called within its transaction, on any thread."""


@dataclass(frozen=True, slots=True)
class CommitResult:
    """txid 0 when nothing had to be written."""

    txid: int
    last_updated: int
    written: tuple[Written, ...]
