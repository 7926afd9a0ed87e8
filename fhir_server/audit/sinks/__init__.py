"""Where the audit goes beside its store: a folder that is written once, a SIEM. Each goes on after what it has sent."""
