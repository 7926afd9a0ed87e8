"""The response entry of one write of a transaction."""

from collections.abc import Sequence

from fhir_server.errors import Issue
from fhir_server.interactions.entry_responses import describe, full_url
from fhir_server.interactions.outcome import success
from fhir_server.interactions.write import said
from fhir_server.model.version import Version
from fhir_server.storage.base import Written


def written_entry(
    base: str, version: Version, written: Written | None, preferred: str, issues: Sequence[Issue] = ()
) -> bytes:
    """Write what a create, update or patch came to; the resource only where the client prefers it.

    issues: findings about it, for who prefers an outcome.
    written: None where a conditional create found `version`.

    Spec: https://hl7.org/fhir/R4/http.html#transaction-response
    """
    status = b"201 Created" if written is not None and written.created else b"200 OK"
    before = after = b""
    if preferred == "representation":
        before = full_url(base, version) + b'"resource":' + version.stamped() + b","
    elif preferred == "OperationOutcome":
        after = b',"outcome":' + success(said(written, version), issues)
    return b'{%b"response":{"status":"%b"%b%b}}' % (before, status, describe(version), after)
