"""Alternatives that a user might build: the same events from the same log into the same rollups, each in its own file.

Each is written from the documentation of its library, with nothing tuned but the size of its batches, and runs as a
process of its own: `python -m bench.peers.NAME BOOTSTRAP EVENTS DIRECTORY GROUP`. It ends with a line of JSON.
"""
