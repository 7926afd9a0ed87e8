"""The archive, the authority and the codec of this process, made when they are first asked for."""

from typing import TYPE_CHECKING, cast

from dicomweb.model.archive import Archive
from dicomweb.model.authority import Authority
from dicomweb.model.codec import Codec
from fhir_server.plugin_api import Host, PluginContext

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings


def archive(place: Host | PluginContext) -> Archive:
    """Return the archive."""
    host = _host(place)
    if "archive" not in host.shared:
        from dicomweb.store.archive import StoredArchive  # heavy, and not needed where nothing is asked

        host.shared["archive"] = StoredArchive(host.settings, authority(host))
    return cast("Archive", host.shared["archive"])


def authority(place: Host | PluginContext) -> Authority:
    """Return the authority."""
    host = _host(place)
    if "authority" not in host.shared:
        from dicomweb.authority.studies import StudyAuthority  # as above

        host.shared["authority"] = StudyAuthority(host.settings)
    return cast("Authority", host.shared["authority"])


def codec(place: Host | PluginContext) -> Codec:
    """Return the codec."""
    host = _host(place)
    if "codec" not in host.shared:
        from dicomweb.pixels.codec import make_codec  # as above

        host.shared["codec"] = make_codec(settings_of(host))
    return cast("Codec", host.shared["codec"])


def settings_of(place: Host | PluginContext) -> "DicomSettings":
    """Return the settings."""
    return cast("DicomSettings", place.settings)


def _host(place: Host | PluginContext) -> Host:
    return place.host if isinstance(place, PluginContext) else place
