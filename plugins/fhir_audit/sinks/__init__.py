"""Where the audit goes beside its store; each goes on after what it has sent."""
