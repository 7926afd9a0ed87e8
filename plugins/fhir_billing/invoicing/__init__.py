"""Invoices: of one party, or of several who share an episode; each derived from charges, in the commit of its entry."""
