"""The operations on views."""
