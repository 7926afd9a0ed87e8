"""File-sets of DICOM media: the DICOMDIR that viewers look for in a ZIP."""
