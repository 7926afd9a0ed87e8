"""The hooks of bulk data."""

from typing import Any

from fhir_bulk.definitions import definition
from fhir_bulk.downloads import signed, with_token
from fhir_bulk.expiry import expire
from fhir_bulk.exports import EXPORTS, JOBS
from fhir_bulk.import_kickoff import LINK as IMPORT_LINK
from fhir_bulk.import_kickoff import import_files, import_upload
from fhir_bulk.imports import IMPORTS
from fhir_bulk.kickoff import LINK, kick_off
from fhir_bulk.status import export_status, import_status
from fhir_server.plugin_api import Collection, Operation, Route, Scheduled, facts_of, hookimpl

GUIDE = "http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"


@hookimpl
def register_operations() -> list[Operation]:
    """Add `$export` of the system, of patients and of groups, and `$import`."""
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
        )
        for name, what in names.items()
    ] + [
        Operation(
            facts_of(definition("import")),
            import_files,
            "Write the resources of NDJSON files.",
            links=frozenset((IMPORT_LINK,)),
            background=True,
            makes_job=True,
            own_body=True,
        )
    ]


@hookimpl
def register_routes() -> list[Route]:
    """Add the status of jobs, and the files."""
    return [
        Route("/bulk/exports/{id}", export_status, ("GET", "DELETE")),
        Route("/bulk/import", import_upload, ("POST",)),
        Route("/bulk/imports/{id}", import_status, ("GET", "DELETE")),
        Route("/bulk/files/{id}/{name}", with_token),
        Route("/bulk/signed/{id}/{name}", signed, public=True),
    ]


@hookimpl
def register_collections() -> list[Collection]:
    """Keep exports, imports and their jobs."""
    return [EXPORTS, IMPORTS, JOBS]


@hookimpl
def register_scheduled_jobs() -> list[Scheduled]:
    """Remove what has expired, every ten minutes."""
    return [Scheduled("fhir_bulk.expiry", expire, every=600, each_tenant=True, written_only=True)]


@hookimpl
def amend_capabilities(statement: dict[str, Any]) -> dict[str, Any]:
    """Name the statement of the implementation guide that this is an instance of."""
    return {**statement, "instantiates": [*statement.get("instantiates", ()), GUIDE]}
