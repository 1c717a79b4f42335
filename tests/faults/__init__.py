"""Faults: crashes, zombies, full disks and broken protections, and the counts after each."""
