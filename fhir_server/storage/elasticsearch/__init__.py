"""Elasticsearch as a search index beside any engine, fed from the log of changes. See docs/search_index.md."""
