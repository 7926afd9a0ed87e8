"""What DICOMweb can do, as PS3.18 8.9 has it: a WADL document, or JSON."""

from typing import Final
from xml.sax.saxutils import quoteattr

import msgspec

from dicomweb.web import Asked
from fhir_server.plugin_api import RouteResponse

WADL: Final = "application/vnd.sun.wadl+xml"
_BELOW: Final = ("", "/series/{series}", "/series/{series}/instances/{instance}")
_OBJECTS: Final = ('multipart/related; type="application/dicom"', "application/zip", "application/dicom")
_DATA: Final = ("application/dicom+json", 'multipart/related; type="application/dicom+xml"')
_SEEN: Final = ("image/jpeg", "image/png", "image/gif")


def resources() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Return each path below the root: what it is called, its method, its path, the media types of its answer."""
    found: list[tuple[str, str, str, tuple[str, ...]]] = [
        ("SearchForStudies", "GET", "studies", _DATA), ("SearchForSeries", "GET", "series", _DATA),
        ("SearchForInstances", "GET", "instances", _DATA),
        ("SearchForSeriesOfStudy", "GET", "studies/{study}/series", _DATA),
        ("SearchForInstancesOfStudy", "GET", "studies/{study}/instances", _DATA),
        ("SearchForInstancesOfSeries", "GET", "studies/{study}/series/{series}/instances", _DATA),
        ("StoreInstances", "POST", "studies", _DATA[:1]),
        ("StoreInstancesOfStudy", "POST", "studies/{study}", _DATA[:1]),
    ]  # fmt: skip
    for below in _BELOW:
        path = f"studies/{{study}}{below}"
        found += [
            ("Retrieve", "GET", path, _OBJECTS), ("RetrieveMetadata", "GET", f"{path}/metadata", _DATA),
            ("RetrieveRendered", "GET", f"{path}/rendered", _SEEN), ("Thumbnail", "GET", f"{path}/thumbnail", _SEEN),
            ("Delete", "DELETE", path, ()),
        ]  # fmt: skip
    one = "studies/{study}/series/{series}/instances/{instance}"
    frames = ('multipart/related; type="application/octet-stream"', "application/octet-stream")
    return [
        *found,
        ("RetrieveFrames", "GET", f"{one}/frames/{{frames}}", frames),
        ("RetrieveRenderedFrames", "GET", f"{one}/frames/{{frames}}/rendered", _SEEN),
        ("RetrieveBulkData", "GET", f"{one}/bulkdata/{{path}}", frames),
    ]


def capabilities(asked: Asked) -> RouteResponse:
    """Answer `OPTIONS /dicomweb`."""
    headers = {"allow": "GET, HEAD, POST, DELETE, OPTIONS"}
    for each in asked.accepts(WADL):
        if each.type in ("application/json", "application/dicom+json"):
            rows = [
                {"id": name, "method": method, "path": path, "types": types}
                for name, method, path, types in resources()
            ]
            return RouteResponse(200, msgspec.json.encode({"base": asked.root, "resources": rows}), each.type, headers)
    inner = "".join(_resource(*each) for each in resources())
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><application xmlns="http://wadl.dev.java.net/2009/02">'
        f"<resources base={quoteattr(asked.root)}>{inner}</resources></application>"
    )
    return RouteResponse(200, text.encode(), WADL, headers)


def _resource(name: str, method: str, path: str, types: tuple[str, ...]) -> str:
    made = "".join(f"<representation mediaType={quoteattr(each)}/>" for each in types)
    response = f'<response status="200">{made}</response>' if types else '<response status="204"/>'
    return f'<resource path={quoteattr(path)}><method name="{method}" id="{name}">{response}</method></resource>'
