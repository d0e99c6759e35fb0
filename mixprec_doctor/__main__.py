"""``python -m mixprec_doctor``."""

import sys

from mixprec_doctor.cli.main import main

sys.exit(main())
