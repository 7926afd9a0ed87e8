"""The rights of those whom the data are about: erasure, access, de-identification, retention."""
