"""Runs a program of ClickHouse out of chDB's library: `program.py LIBRARY Server|Client|Local ARGUMENT…`.

The library exports the main function of each program under its C++ name. Nothing but Python is needed, so that an image
can hold this file alone.
"""

import ctypes
import os
import sys

library, program, *arguments = sys.argv[1:]
name = f"mainEntryClickHouse{program}"
words = [f"clickhouse-{program.lower()}", *arguments]
argv = (ctypes.c_char_p * (len(words) + 1))(*map(os.fsencode, words), None)
os.environ["CLICKHOUSE_WATCHDOG_ENABLE"] = "0"  # it would fork an interpreter with threads
main = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)[f"_Z{len(name)}{name}iPPc"]
sys.exit(main(len(words), argv))
