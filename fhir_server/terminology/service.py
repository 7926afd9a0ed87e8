"""The terminology service of one tenant: value sets and hierarchies as lists of codes, for search."""
