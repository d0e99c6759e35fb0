"""The peer: griffe loads a package statically, in this process. ``python -m benchmarks.peer FOLDER PACKAGE FILES``.

It ends with 1 when it has loaded fewer modules, so that it is never quick by having left some out.
"""

from __future__ import annotations

import sys

import griffe  # type: ignore[import-not-found]  # only in the session's environment

if __name__ == "__main__":
    folder, package, files = sys.argv[1:]
    loader = griffe.GriffeLoader(search_paths=[folder], allow_inspection=False, store_source=False)
    waiting, count = [loader.load(package)], 0
    while waiting:
        module = waiting.pop()
        count += 1
        waiting += [each for each in module.members.values() if not each.is_alias and each.is_module]
    sys.exit(count < int(files))
