"""Which media type frames have in which transfer syntax: PS3.18 tables 8.7.3-2 to 8.7.3-5."""

from typing import Final

from dicomweb.ingest.syntaxes import EXPLICIT, is_native

OCTETS: Final = "application/octet-stream"
_J: Final = "1.2.840.10008.1.2.4."
MEDIA: Final = {
    **dict.fromkeys((f"{_J}50", f"{_J}51", f"{_J}57", f"{_J}70"), "image/jpeg"),
    **dict.fromkeys((f"{_J}80", f"{_J}81"), "image/jls"),
    **dict.fromkeys((f"{_J}90", f"{_J}91"), "image/jp2"),
    **dict.fromkeys((f"{_J}92", f"{_J}93"), "image/jpx"),
    **dict.fromkeys((f"{_J}201", f"{_J}202", f"{_J}203"), "image/jphc"),
    **dict.fromkeys((f"{_J}110", f"{_J}111", f"{_J}112"), "image/jxl"),
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    **dict.fromkeys((f"{_J}100", f"{_J}101"), "video/mpeg"),
    **dict.fromkeys((f"{_J}102", f"{_J}103", f"{_J}104", f"{_J}105", f"{_J}106"), "video/mp4"),
    **dict.fromkeys((f"{_J}107", f"{_J}108"), "video/h265"),
}
DEFAULTS: Final = {
    OCTETS: EXPLICIT, "image/jpeg": f"{_J}70", "image/jls": f"{_J}80", "image/jp2": f"{_J}90", "image/jpx": f"{_J}92",
    "image/jphc": f"{_J}201", "image/jxl": f"{_J}110", "image/dicom-rle": "1.2.840.10008.1.2.5",
}  # fmt: skip
"""The syntax that a media type means where none is named."""


def media_of(syntax: str) -> str:
    """Return the media type of frames in a transfer syntax."""
    return OCTETS if is_native(syntax) else MEDIA.get(syntax, OCTETS)
