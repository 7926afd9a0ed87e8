"""Identity: UIDs of outputs that are the same each time an image is looked at by the same version of a model."""

import hashlib
import uuid


def uid_of(*parts: str) -> str:
    """Return a UID for what it is made of: https://dicom.nema.org/medical/dicom/current/output/chtml/part05/sect_B.2.html"""
    digest = hashlib.sha256("\0".join(("fhir-server imaging ai", *parts)).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"
