"""Clicks from log files: a parser for each format, and the import command's work."""
