"""DIMSE: what devices speak that know no DICOMweb. Both ways: as the one that is called, and as the one that calls."""
