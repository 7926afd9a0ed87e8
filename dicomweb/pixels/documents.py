"""Documents as people read them: a PDF, or a page of it as a picture; a structured report as a page of text."""

import importlib
import io
from typing import Any

from pydicom import dcmread

from dicomweb.pixels.asked import Asked
from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.pictures import encoded, picture_of
from dicomweb.pixels.report import html_of, text_of

PDF = "1.2.840.10008.5.1.4.1.1.104.1"
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_POINTS = 150 / 72  # dots of a page for each of its points
_MOST_PAGE = 4_000


def document_media(sop_class: str) -> tuple[str, ...]:
    """Return the media types a document is shown in, the best first; empty for what is none."""
    if sop_class == PDF:
        return ("application/pdf", "image/jpeg", "image/png")
    return ("text/html", "text/plain") if sop_class.startswith(_REPORTS) else ()


def rendered(content: bytes, asked: Asked) -> tuple[bytes, str]:
    """Return a document in the media type that was asked for.

    Raises:
        PixelFailure: the object is none, or is shown otherwise.
    """
    dataset = dcmread(io.BytesIO(content), force=True)
    sop_class = str(dataset.get("SOPClassUID", ""))
    if asked.media not in document_media(sop_class):
        raise PixelFailure("unsupported", f"this kind of object is not shown as {asked.media[:40]}")
    if sop_class == PDF:
        return _pdf(dataset, asked), asked.media
    page = html_of(dataset) if asked.media == "text/html" else text_of(dataset)
    return page.encode(), f"{asked.media}; charset=utf-8"


def _pdf(dataset: Any, asked: Asked) -> bytes:
    data = bytes(dataset.get("EncapsulatedDocument") or b"")
    length = dataset.get("EncapsulatedDocumentLength")
    data = data[: int(length)] if length and int(length) <= len(data) else data
    if b"%PDF-" not in data[:1024]:
        raise PixelFailure("refused", "the document in the object is no PDF")
    return data if asked.media == "application/pdf" else _page(data, asked)


def _page(data: bytes, asked: Asked) -> bytes:
    try:
        reader = importlib.import_module("pypdfium2")
    except ImportError as error:
        raise PixelFailure("unsupported", "pages of a PDF as pictures need the package pypdfium2") from error
    try:
        document = reader.PdfDocument(data)
        pages = len(document)
    except reader.PdfiumError as error:
        raise PixelFailure("refused", "the PDF cannot be read") from error
    if asked.page > pages:
        raise PixelFailure("unsupported", f"the document has {pages} pages")
    page = document[asked.page - 1]
    scale = min(_POINTS, _MOST_PAGE / max(*page.get_size(), 1))
    image = page.render(scale=scale).to_numpy()[:, :, 2::-1]  # it draws blue, green, red
    return encoded([picture_of(image, asked.viewport)], asked, 0, b"")
