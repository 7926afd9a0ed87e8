"""Processes and sockets: one owner of the data folder, its workers, and the local door for commands."""
