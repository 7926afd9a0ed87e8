"""The seam: what the parts of imaging know of each other."""
