"""mixprec's own door into SGLang, for releases without plugins, on a machine without a GPU: ``python -m`` this module.

Processes that the engine starts import it again, as they do mixprec's door, and so know of the CPU too.
"""

from __future__ import annotations

import sys

from tests.matrix.sglang.early import with_a_capability, with_a_config_of_vllm, without_sums_over_gpus
from tests.matrix.sglang.rotary import without_the_operator

without_the_operator()
without_sums_over_gpus()
with_a_capability()
with_a_config_of_vllm()

if __name__ == "__main__":
    from mixprec_runtime.adapters.sglang.server import main

    main(sys.argv[1:])
