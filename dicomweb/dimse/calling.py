"""Calling AEs of the table."""

from collections.abc import Sequence

from dicomweb.dimse.table import Ae
from dicomweb.dimse.tls import client_tls
from dicomweb.dimse.wire.accepting import Call, connect
from dicomweb.dimse.wire.association import Association, Patience
from dicomweb.dimse.wire.negotiation import Role
from dicomweb.settings import DicomSettings
from fhir_server.plugin_api import Host


async def call_ae(
    host: Host, ae: Ae, proposed: Sequence[tuple[str, Sequence[str]]], roles: Sequence[Role] = ()
) -> Association:
    """Open an association to an AE. Raises Refused, Aborted."""
    settings: DicomSettings = host.settings
    return await connect(call_of(settings, ae), proposed, roles)


def call_of(settings: DicomSettings, ae: Ae) -> Call:
    """Return how an AE is called. Raises NoTls."""
    return Call(
        ae.host,
        ae.port,
        ae.title,
        settings.dimse_title,
        client_tls(settings) if ae.tls else None,
        settings.dimse_max_pdu,
        settings.dimse_connecting,
        Patience(settings.dimse_idle, settings.dimse_stalled),
    )
