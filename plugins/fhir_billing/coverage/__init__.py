"""Coverage: who pays first, until when, and what they would pay."""
