"""Load a run folder in a process of its own, and print as JSON how much memory of its own it held at most meanwhile."""

from __future__ import annotations

import json
import sys
import threading

import torch

import mixprec_runtime.torch as mixprec
from mixprec_runtime.adapters.bookkeeping import memory_in_use


class Watch(threading.Thread):
    """Looks every millisecond."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.001):
            self.most = max(self.most, memory_in_use())


def main() -> None:
    mixprec.load(sys.argv[2], progress=False)  # whatever is imported and allocated once, by a small model
    torch.set_num_threads(1)
    before, watch = memory_in_use(), Watch()
    watch.start()
    loaded = mixprec.load(sys.argv[1], progress=False)
    watch.done.set()
    watch.join()
    print(json.dumps({
        "peak": watch.most - before, "left": memory_in_use() - before, "held": loaded.account.held_bytes,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
