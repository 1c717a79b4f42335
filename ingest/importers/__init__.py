"""Clicks out of log files: each format turns the lines of a file into clicks, or says what is wrong with them."""
