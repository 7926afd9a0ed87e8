"""Transfer syntaxes: how the pixels of each are coded, and what the web calls them.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part05/chapter_10.html,
https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_8.7.3.html
"""

from dataclasses import dataclass
from typing import Literal

Codec = Literal["native", "rle", "jpeg", "jpeg-lossless", "jpeg-ls", "jpeg-2000", "htj2k", "video"]

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL = "1.2.840.10008.1.2.4.202"
HTJ2K = "1.2.840.10008.1.2.4.203"
_MPEG2 = ("1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101")
_MPEG4 = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(102, 109))


@dataclass(frozen=True, slots=True)
class Syntax:
    """One transfer syntax.

    media: type of a single frame. method: Lossy Image Compression Method where it loses. written: whether we write it.
    """

    uid: str
    codec: Codec
    media: str
    lossless: bool = True
    method: str = ""
    written: bool = True

    @property
    def native(self) -> bool:
        """Whether pixels lie there uncompressed."""
        return self.codec == "native"


_OCTETS = "application/octet-stream"
_ALL = (
    Syntax(IMPLICIT, "native", _OCTETS),
    Syntax(EXPLICIT, "native", _OCTETS),
    Syntax(DEFLATED, "native", _OCTETS),
    Syntax(BIG_ENDIAN, "native", _OCTETS, written=False),
    Syntax(RLE, "rle", "image/dicom-rle"),
    Syntax(JPEG, "jpeg", "image/jpeg", lossless=False, method="ISO_10918_1"),
    Syntax(JPEG_EXTENDED, "jpeg", "image/jpeg", lossless=False, method="ISO_10918_1"),
    Syntax(JPEG_LOSSLESS, "jpeg-lossless", "image/jpeg"),
    Syntax(JPEG_LOSSLESS_SV1, "jpeg-lossless", "image/jpeg"),
    Syntax(JPEG_LS, "jpeg-ls", "image/jls"),
    Syntax(JPEG_LS_NEAR, "jpeg-ls", "image/jls", lossless=False, method="ISO_14495_1"),
    Syntax(JPEG_2000_LOSSLESS, "jpeg-2000", "image/jp2"),
    Syntax(JPEG_2000, "jpeg-2000", "image/jp2", lossless=False, method="ISO_15444_1"),
    Syntax(HTJ2K_LOSSLESS, "htj2k", "image/jphc"),
    Syntax(HTJ2K_LOSSLESS_RPCL, "htj2k", "image/jphc"),
    Syntax(HTJ2K, "htj2k", "image/jphc", lossless=False, method="ISO_15444_15"),
    *(Syntax(uid, "video", "video/mpeg", lossless=False, method="ISO_13818_2", written=False) for uid in _MPEG2),
    *(Syntax(uid, "video", "video/mp4", lossless=False, method="ISO_14496_10", written=False) for uid in _MPEG4),
)
SYNTAXES = {syntax.uid: syntax for syntax in _ALL}
