"""Launcher: runs one command and tells what it took. ``python -I -S launcher.py ANSWER WORD...``.

A process counts the memory of the one that it was forked from as its own, up to its exec: the launcher is small and
imports next to nothing, so that the peak it tells is the command's.
"""

import json
import os
import sys
import time

if __name__ == "__main__":
    began = time.perf_counter()
    child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
    _, status, used = os.wait4(child, 0)  # of this child and of those that it waited for
    seconds = time.perf_counter() - began
    with open(sys.argv[1], "w", encoding="utf-8") as answer:  # noqa: PTH123  pathlib would be a tenth of the peak
        json.dump(
            {
                "code": os.waitstatus_to_exitcode(status),
                "seconds": seconds,
                "cpu_seconds": used.ru_utime + used.ru_stime,
                "peak_bytes": used.ru_maxrss * 1024,
            },
            answer,
        )
