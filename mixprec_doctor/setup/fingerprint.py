"""Fingerprints: taken with everything at hand, and taken again quickly from what an older one names.

A distribution is known by the hash of its RECORD, which holds the hash of each of its files. A checkpoint file is known
by the hash of its head (safetensors: a length of 8 bytes and that much JSON) and its size.
"""

from __future__ import annotations

__all__ = ["checkpoint_files", "refresh", "take_fingerprint"]

import hashlib
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from mixprec_doctor.records.environment import Distribution, Environment
from mixprec_doctor.records.setup import Fingerprint, Installed
from mixprec_doctor.version import __version__

_HEAD = 8
_LARGEST_HEAD = 100 * 2**20  # as safetensors itself allows
_READ_BY_ENGINES = (
    "VLLM_", "SGLANG_", "SGL_", "TORCH_", "PYTORCH_", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "LD_PRELOAD",
    "PYTHONPATH", "TRITON_", "FLASHINFER_",
)  # fmt: skip
_SAYS_WHERE_OR_HOW_MUCH = re.compile(r"LOG|KEY|TOKEN|PORT|HOST|CACHE|KVCACHE|STATS|TIMEOUT|THREAD|TRACE|PLUGINS")
_CHECKPOINT_FILES = ("config.json", "quantize_config.json", "quant_config.json", "model.safetensors.index.json")


def take_fingerprint(environment: Environment, *, engine: str | None, files: Iterable[str]) -> Fingerprint:
    """What is there now. ``engine`` is the distribution whose requirements say which distributions count.

    Without one, all count. ``files`` are the mix file and those of checkpoints.
    """
    counting = _closure(environment, engine)
    return Fingerprint(
        interpreter=_interpreter(environment),
        distributions=tuple(
            _installed(each, counts=counting is None or each.key in counting)
            for each in sorted(environment.distributions, key=lambda each: (each.key, each.metadata))
        ),
        machine=machine_facts(),
        variables=_variables(os.environ),
        files={name: digest for name in files if (digest := _digest_file(name)) is not None},
        optional=_optional(environment, engine),
    )


def refresh(before: Fingerprint, environment: Environment | None = None) -> Fingerprint:
    """The same fingerprint as things are now, without reading metadata again.

    Folders of metadata are looked for where the old ones lie, so that a release that replaced another is seen.
    """
    known = {each.metadata: each for each in before.distributions}
    places = dict.fromkeys(os.path.dirname(each) for each in known)  # noqa: PTH120
    distributions = []
    for place in places:
        for metadata in _metadata_folders(place):
            if (was := known.get(metadata)) is not None:
                distributions.append(
                    Installed(
                        name=was.name,
                        version=was.version,
                        metadata=metadata,
                        digest=_digest_metadata(metadata),
                        counts=was.counts,
                    )
                )
            else:
                distributions.append(_newly_found(metadata, before))
    return Fingerprint(
        interpreter=_interpreter(environment) if environment is not None else _own_interpreter(),
        distributions=tuple(sorted(distributions, key=lambda each: (each.name, each.metadata))),
        machine=machine_facts(),
        variables=_variables(os.environ),
        files={name: digest for name in before.files if (digest := _digest_file(name)) is not None},
        optional=before.optional,
    )


def checkpoint_files(folder: str, tensors: Iterable[str]) -> tuple[str, ...]:
    """The files of a checkpoint that say how its tensors are read: configs, index, and those that hold tensors."""
    said = [os.path.join(folder, name) for name in _CHECKPOINT_FILES]  # noqa: PTH118
    return tuple(dict.fromkeys([*(name for name in said if os.path.isfile(name)), *tensors]))  # noqa: PTH113


def machine_facts(*, proc: Path = Path("/proc")) -> dict[str, str]:
    """What of a machine decides which kernels run, from files alone; the driver's own tool takes too long here."""
    facts = {"system": platform.system(), "architecture": platform.machine()}
    cpu = _text(proc / "cpuinfo").partition("\n\n")[0]
    for line in cpu.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "flags", "Features"):
            key = "cpu" if name.strip() == "model name" else "cpu flags"
            facts[key] = value.strip() if key == "cpu" else " ".join(sorted(value.split()))
    driver = _text(proc / "driver" / "nvidia" / "version").partition("\n")[0]
    if driver:
        facts["driver"] = " ".join(driver.split())
    try:
        gpus = sorted((proc / "driver" / "nvidia" / "gpus").iterdir())
    except OSError:
        gpus = []
    models = [line.partition(":")[2].strip() for gpu in gpus for line in _text(gpu / "information").splitlines()[:1]]
    if models:
        facts["accelerators"] = ", ".join(models)
    return facts


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _interpreter(environment: Environment) -> dict[str, str]:
    facts = {"prefix": environment.prefix, "version": environment.interpreter.version, "mixprec": __version__}
    return {name: value for name, value in facts.items() if value is not None}


def _own_interpreter() -> dict[str, str]:
    return {"prefix": sys.prefix, "version": platform.python_version(), "mixprec": __version__}


def _variables(variables: Mapping[str, str]) -> dict[str, str]:
    return {
        name: hashlib.sha256(os.fsencode(value)).hexdigest()
        for name, value in sorted(variables.items())
        if name.startswith(_READ_BY_ENGINES) and not _SAYS_WHERE_OR_HOW_MUCH.search(name)
    }


def _closure(environment: Environment, engine: str | None) -> set[str] | None:
    """The engine's distribution and all that its requirements lead to; None where there is none to begin with."""
    from mixprec_doctor.checks.requirements import needed  # brings all checks, which a launch has no use for

    first = environment.find(engine) if engine is not None else None
    if first is None:
        return None
    reached: set[str] = set()
    left = [first]
    while left:
        distribution = left.pop()
        if distribution.key in reached:
            continue
        reached.add(distribution.key)
        found = (environment.find(requirement.name) for requirement in needed(distribution, environment))
        left += [each for each in found if each is not None]
    return reached


def _optional(environment: Environment, engine: str | None) -> tuple[str, ...]:
    """What the engine names among its requirements, for extras or other machines too, and what is not there."""
    from mixprec_doctor.environment.requirement import parse_requirement

    first = environment.find(engine) if engine is not None else None
    parsed = [parse_requirement(text) for text in first.requires] if first is not None else []
    names = {canonicalize_name(each.name) for each in parsed if each is not None}
    return tuple(sorted(name for name in names if environment.find(name) is None))


def _installed(distribution: Distribution, *, counts: bool) -> Installed:
    return Installed(
        name=distribution.key,
        version=distribution.version,
        metadata=distribution.metadata,
        digest=_digest_metadata(distribution.metadata),
        counts=counts,
    )


def _newly_found(metadata: str, before: Fingerprint) -> Installed:
    name, _, rest = os.path.basename(metadata).partition("-")  # noqa: PTH119
    key = canonicalize_name(name)
    counts = next((each.counts for each in before.distributions if each.name == key), key in before.optional)
    return Installed(
        name=key,
        version=rest.removesuffix(".dist-info").removesuffix(".egg-info").partition("-")[0] or None,
        metadata=metadata,
        digest=_digest_metadata(metadata),
        counts=counts,
    )


def _metadata_folders(place: str) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return [each.path for each in entries if each.name.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return []


def _digest_metadata(metadata: str) -> str | None:
    for name in ("RECORD", "METADATA", "PKG-INFO", ""):
        file = os.path.join(metadata, name) if name else metadata  # noqa: PTH118
        try:
            with open(file, "rb") as stream:  # noqa: PTH123
                return hashlib.sha256(stream.read()).hexdigest()
        except OSError:
            continue
    return None


def _digest_file(name: str) -> str | None:
    try:
        with open(name, "rb") as stream:  # noqa: PTH123
            if not name.endswith(".safetensors"):
                return hashlib.sha256(stream.read()).hexdigest()
            head = stream.read(_HEAD)
            length = min(int.from_bytes(head, "little"), _LARGEST_HEAD)
            digest = hashlib.sha256(head + stream.read(length))
            digest.update(str(os.fstat(stream.fileno()).st_size).encode())
            return digest.hexdigest()
    except OSError:
        return None
