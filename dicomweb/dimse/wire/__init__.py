"""The upper layer of DICOM on asyncio: PDUs, negotiation, messages (PS3.7, PS3.8)."""
