"""Records that say which objects there are."""
