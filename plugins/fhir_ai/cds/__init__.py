"""CDS Hooks services on the scores and rules of this plugin, and what users did with their cards."""
