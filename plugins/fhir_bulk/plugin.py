"""The hooks of bulk data."""

from dataclasses import replace
from typing import Any

from fhir_bulk.checks import check_group
from fhir_bulk.definitions import definition
from fhir_bulk.downloads import signed, with_token
from fhir_bulk.expiry import expire
from fhir_bulk.import_kickoff import LINK as IMPORT_LINK
from fhir_bulk.import_kickoff import import_files, import_upload
from fhir_bulk.kickoff import LINK, kick_off
from fhir_bulk.kinds import KINDS
from fhir_bulk.matching import LINK as MATCH_LINK
from fhir_bulk.matching import bulk_match
from fhir_bulk.records import JOBS
from fhir_bulk.status import status
from fhir_server.plugin_api import Collection, Operation, Route, Scheduled, WriteCheck, facts_of, hookimpl

GUIDE = "http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"


@hookimpl
def register_operations() -> list[Operation]:
    """Add `$export` of the system, of patients and of groups, `$import`, `$bulk-match`."""
    names = {"export": "all", "patient-export": "the records of patients", "group-export": "the records of a group"}
    return [
        Operation(
            facts_of(definition(name)),
            kick_off,
            f"Export {what} as files.",
            searches=True,
            links=frozenset((LINK,)),
            background=True,
            makes_job=True,
            any_format=True,
        )
        for name, what in names.items()
    ] + [
        Operation(
            # who may write some types may import those: each line is looked at, so no scope over all is asked for
            replace(facts_of(definition("import")), affects_state=False),
            import_files,
            "Write the resources of NDJSON files.",
            links=frozenset((IMPORT_LINK,)),
            background=True,
            makes_job=True,
            any_format=True,
            own_body=True,
        ),
        Operation(
            facts_of(definition("bulk-match")),
            bulk_match,
            "Find many patients at once.",
            links=frozenset((MATCH_LINK,)),
            background=True,
            makes_job=True,
            any_format=True,
        ),
    ]


@hookimpl
def register_routes() -> list[Route]:
    """Add the status of jobs, and the files."""
    return [
        Route("/bulk/import", import_upload, ("POST",)),
        Route("/bulk/files/{id}/{name}", with_token),
        Route("/bulk/signed/{id}/{name}", signed, public=True),
        Route("/bulk/{kind}/{id}", status, ("GET", "DELETE")),
    ]


@hookimpl
def register_collections() -> list[Collection]:
    """Keep bulk work and its jobs."""
    return [JOBS, *(kind.collection for kind in KINDS.values())]


@hookimpl
def register_write_checks() -> list[WriteCheck]:
    """Look at the criteria of groups."""
    return [WriteCheck(check_group, ("Group",))]


@hookimpl
def register_scheduled_jobs() -> list[Scheduled]:
    """Remove what has expired, every ten minutes."""
    return [Scheduled("fhir_bulk.expiry", expire, every=600, each_tenant=True, written_only=True)]


@hookimpl
def amend_capabilities(statement: dict[str, Any]) -> dict[str, Any]:
    """Name the statement of the implementation guide that this is an instance of."""
    return {**statement, "instantiates": [*statement.get("instantiates", ()), GUIDE]}
