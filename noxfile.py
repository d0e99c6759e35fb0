"""Sessions of mixprec; each theme has its module in ``noxfiles/``.

``python3 -m nox`` runs the tests, ``python3 -m nox -s demo`` the main job, ``python3 -m nox -l`` lists the rest.
"""

import nox

from noxfiles.bench import bench, bench_embedded, bench_fitting, bench_kernels, bench_loading, bench_serving
from noxfiles.demo import demo
from noxfiles.doctor import doctor
from noxfiles.engines import engine, engine_heavy, inspect, releases, sglang
from noxfiles.quality import lint, network, typecheck, unit
from noxfiles.third_party import third_party

__all__ = [
    "bench",
    "bench_embedded",
    "bench_fitting",
    "bench_kernels",
    "bench_loading",
    "bench_serving",
    "demo",
    "doctor",
    "engine",
    "engine_heavy",
    "inspect",
    "lint",
    "network",
    "releases",
    "sglang",
    "third_party",
    "typecheck",
    "unit",
]

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "typecheck", "unit"]
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False
