"""What an interpreter says about itself: printed as JSON when run, returned when imported.

Another interpreter runs this file as a script with ``-I -S``, so it stays free of imports outside the
standard library, of syntax newer than Python 3.7, and of anything that would run a ``.pth`` file.
"""

from __future__ import annotations

__all__ = ["portray"]

import json
import os
import platform
import site  # importing it runs nothing: its main() is what -S leaves out
import sys
import sysconfig
from typing import Any


def _venv_prefix() -> str | None:
    """The folder of the virtual environment, which -S keeps some releases from finding themselves."""
    folder = os.path.dirname(os.path.abspath(sys.executable))  # noqa: PTH100, PTH120
    for candidate in (folder, os.path.dirname(folder)):  # noqa: PTH120
        if os.path.isfile(os.path.join(candidate, "pyvenv.cfg")):  # noqa: PTH113, PTH118
            return candidate
    return None


def _system_site(prefix: str) -> bool:
    """Whether a virtual environment also sees the packages of its base interpreter."""
    with open(os.path.join(prefix, "pyvenv.cfg"), encoding="utf-8", errors="replace") as stream:  # noqa: PTH118, PTH123
        for line in stream:
            key, _, value = line.partition("=")
            if key.strip().lower() == "include-system-site-packages":
                return value.strip().lower() == "true"
    return False


def portray() -> dict[str, Any]:
    """The interpreter's version, platform and folders, as plain data."""
    venv = _venv_prefix()
    prefix = venv or sys.prefix
    folders = []
    if venv:
        at = {"base": venv, "platbase": venv, "installed_base": venv, "installed_platbase": venv}
        scheme = "venv" if "venv" in sysconfig.get_scheme_names() else "posix_prefix"
        folders += [sysconfig.get_path(name, scheme, at) for name in ("purelib", "platlib")]
    if venv is None or _system_site(venv):
        folders.append(site.getusersitepackages())
        folders += site.getsitepackages([sys.base_prefix, sys.base_exec_prefix])
        if venv is None:
            folders += [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    info = sys.implementation.version
    return {
        "executable": sys.executable,
        "version": platform.python_version(),
        "implementation": sys.implementation.name,
        "platform": sysconfig.get_platform(),
        "prefix": prefix,
        "stdlib": sysconfig.get_path("stdlib"),
        "site": list(dict.fromkeys(folders)),
        "markers": {
            "implementation_name": sys.implementation.name,
            "implementation_version": f"{info.major}.{info.minor}.{info.micro}",
            "os_name": os.name,
            "platform_machine": platform.machine(),
            "platform_release": platform.release(),
            "platform_system": platform.system(),
            "platform_version": platform.version(),
            "platform_python_implementation": platform.python_implementation(),
            "python_full_version": platform.python_version(),
            "python_version": ".".join(platform.python_version_tuple()[:2]),
            "sys_platform": sys.platform,
        },
    }


if __name__ == "__main__":
    json.dump(portray(), sys.stdout)
