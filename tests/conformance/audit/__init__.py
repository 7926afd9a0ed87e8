"""The audit of a server with authority, over HTTP."""
