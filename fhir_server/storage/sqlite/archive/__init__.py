"""The archive: base backups of a tenant, and after each everything that was committed, for restores to an instant."""
