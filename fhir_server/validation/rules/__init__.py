"""The rules of R4 beyond structure: invariants, bindings and codes, at the elements that carry them."""
