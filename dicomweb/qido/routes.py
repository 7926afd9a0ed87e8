"""QIDO-RS: https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_10.6.html"""

from dataclasses import replace

from dicomweb.model.values import DicomJson, Found, Level, Query
from dicomweb.qido.asking import asked as query_of
from dicomweb.web import Asked, data_sets
from fhir_server.plugin_api import RouteResponse

_NAMES: dict[str, Level] = {"studies": "study", "series": "series", "instances": "instance"}


async def search(asked: Asked, level: Level) -> RouteResponse:
    """Answer `GET studies?PatientID=1` and the like."""
    query = query_of(level, asked.within, asked.request.query)
    found = await asked.archive.find(asked.ctx, query)
    rows = [_with_url(asked, row, level) for row in found.rows]
    return data_sets(asked, rows, _headers(query, found))


async def counted(asked: Asked, level: Level) -> RouteResponse:
    """Answer `GET studies/count?...`, an extension: how many would be found."""
    query = query_of(level, asked.within, asked.request.query)
    number = await asked.archive.count(asked.ctx, replace(query, limit=None, offset=0))
    return RouteResponse(200, b'{"count":%d}' % number, "application/json")


def _headers(query: Query, found: Found) -> dict[str, str]:
    said = [f'299 - "{each}"' for each in found.remarks]
    if found.more:
        said.append('299 - "there are more matches; go on with offset"')
    headers = {"cache-control": "no-cache"}
    if said:
        headers["warning"] = ", ".join(said)
    if not found.more and (found.rows or not query.offset):
        headers["x-total-count"] = str(query.offset + len(found.rows))
    return headers


def _with_url(asked: Asked, row: DicomJson, level: Level) -> DicomJson:
    """Add where it can be retrieved from."""
    url = f"{asked.root}/studies/{row['0020000D']['Value'][0]}"
    if level != "study":
        url += f"/series/{row['0020000E']['Value'][0]}"
    if level == "instance":
        url += f"/instances/{row['00080018']['Value'][0]}"
    return {**row, "00081190": {"vr": "UR", "Value": [url]}}
