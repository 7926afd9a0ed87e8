"""Who may see which study."""
