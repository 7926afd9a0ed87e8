"""Training of the shipped models; needs the extra `training`, which no server needs."""
