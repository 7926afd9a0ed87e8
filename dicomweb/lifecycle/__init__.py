"""What becomes of objects with time."""
