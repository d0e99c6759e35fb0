"""The Python API on a really installed engine: every config that it has is loaded and constructed."""

from __future__ import annotations

import inspect

import pytest

import mixprec_doctor
from mixprec_doctor.api import NoEngine, SeveralEngines
from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.records.role import CONFIG_ROLES, Role
from mixprec_doctor.specimens import SPECIMENS

pytestmark = pytest.mark.engine


def found_here(role: Role) -> Resolution:
    """The role in this environment's engine; skips where there is none."""
    try:
        resolution = mixprec_doctor.resolve(role)
    except (NoEngine, SeveralEngines) as fault:
        pytest.skip(str(fault))
    if resolution.status is not Status.FOUND:
        pytest.skip(f"this release has no {role.value}")
    return resolution


@pytest.mark.parametrize("role", sorted(CONFIG_ROLES, key=lambda role: role.value))
def test_a_config_is_loaded_and_constructed_from_what_a_checkpoint_says(role: Role) -> None:
    resolution = found_here(role)
    found = mixprec_doctor.load(role)
    assert (found.__module__, found.__name__) == (resolution.module, resolution.name)
    checkpoint = SPECIMENS[role]
    made = mixprec_doctor.construct(role, **{key: value for key, value in checkpoint.items() if key != "quant_method"})
    assert type(made) is found
    assert vars(made).keys() == vars(found.from_config(dict(checkpoint))).keys()


@pytest.mark.parametrize("role", sorted(CONFIG_ROLES, key=lambda role: role.value))
def test_what_was_read_of_a_from_config_is_what_it_does(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    binding = found_here(role).binding
    assert binding is not None
    found = mixprec_doctor.load(role)
    passed: dict[str, object] = {}
    signature, build = inspect.signature(found), found.__init__

    def note(self: object, *arguments: object, **keywords: object) -> None:
        passed.update(signature.bind(*arguments, **keywords).arguments)
        build(self, *arguments, **keywords)

    monkeypatch.setattr(found, "__init__", note)
    checkpoint = SPECIMENS[role]
    found.from_config(dict(checkpoint))
    assert binding.readings.keys() == passed.keys()
    exact = {name: each for name, each in binding.readings.items() if each.exact and each.keys}
    for name, reading in exact.items():
        there = [checkpoint[key] for key in reading.keys if key in checkpoint]
        assert passed[name] == there[0] if there else repr(passed[name]) == reading.default, name
    whole = [name for name, each in binding.readings.items() if each.meaning == "config" and each.exact]
    assert all(passed[name] == dict(checkpoint) for name in whole)
    with_keys = {name for name, each in binding.readings.items() if each.required}
    for name in with_keys:
        lacking = {key: value for key, value in checkpoint.items() if key not in binding.readings[name].keys}
        with pytest.raises((KeyError, ValueError)):
            found.from_config(lacking)
