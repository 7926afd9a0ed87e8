"""The tenants of an installation: who they are, what they may have, where they are served."""
