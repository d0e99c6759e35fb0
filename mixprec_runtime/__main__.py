"""``python -m mixprec_runtime``: the whole ``mixprec`` command."""

import sys

from mixprec_runtime.cli.main import main

sys.exit(main())
