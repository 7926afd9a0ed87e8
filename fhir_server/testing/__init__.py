"""For the tests of plugins: a server in memory, resources to fill it with, a clock that stands still (docs/plugins.md).

pytest finds the fixtures of `fixtures.py` by itself; pytest is not needed by the server.
"""
