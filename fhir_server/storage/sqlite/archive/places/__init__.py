"""Where archives of backups are kept: one interface, a folder and a bucket."""
