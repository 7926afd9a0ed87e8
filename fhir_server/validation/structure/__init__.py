"""Structure: whether JSON has the shape that R4 gives to its types (see docs/adr/0006-validation.md)."""
