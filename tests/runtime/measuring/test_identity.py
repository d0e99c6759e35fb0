"""What was measured of tensors is known again by their bytes, wherever they lie, and never for others."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from mixprec_runtime.checkpoint.folder import open_checkpoint
from mixprec_runtime.measuring.identity import Identities
from tests.runtime.builders import Workshop


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    made = Workshop(tmp_path)
    made.checkpoints("base", "gptq")
    return made


def identities(folder: Path, heard: list[str] | None = None) -> Identities:
    return Identities(folder, lambda _done, _total, what: heard.append(what) if heard is not None else None)


def test_a_copy_is_the_same_and_another_checkpoint_is_not(shop: Workshop, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "gptq", tmp_path / "copy")
    known = identities(tmp_path / "digests")
    gptq, copy, base = (open_checkpoint(tmp_path / name) for name in ("gptq", "copy", "base"))
    module = [next(name for name in gptq.modules if name.endswith("down_proj"))]
    assert known.of(gptq, module) == known.of(copy, module) != known.of(base, module)
    assert known.whole(base) == identities(tmp_path / "others").whole(base)


def test_a_changed_byte_changes_its_module_and_the_whole_and_nothing_else(shop: Workshop, tmp_path: Path) -> None:
    before = open_checkpoint(tmp_path / "base")
    names = [name for name in before.modules if name.endswith(("down_proj", "o_proj"))]
    known = identities(tmp_path / "digests")
    first = {name: known.of(before, [name]) for name in names}
    whole = known.whole(before)
    tensor = next(iter(before.of_module(names[0]).values()))
    file = Path(tensor.file)
    data = bytearray(file.read_bytes())
    data[tensor.begin] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(1, 1))
    after = open_checkpoint(tmp_path / "base")
    known = identities(tmp_path / "digests")
    assert known.whole(after) != whole
    assert [name for name in names if known.of(after, [name]) != first[name]] == [names[0]]


def test_files_are_read_once(shop: Workshop, tmp_path: Path) -> None:
    heard: list[str] = []
    base = open_checkpoint(tmp_path / "base")
    first = identities(tmp_path / "digests", heard).whole(base)
    assert heard
    heard.clear()
    assert identities(tmp_path / "digests", heard).whole(base) == first
    assert not heard


def test_what_is_kept_of_a_file_may_be_spoilt(shop: Workshop, tmp_path: Path) -> None:
    base = open_checkpoint(tmp_path / "base")
    first = identities(tmp_path / "digests").whole(base)
    for kept in (tmp_path / "digests").iterdir():
        kept.write_text("[1, 2")
    assert identities(tmp_path / "digests").whole(base) == first


def test_the_config_says_how_tensors_are_read_and_belongs_to_them(shop: Workshop, tmp_path: Path) -> None:
    known = identities(tmp_path / "digests")
    gptq = open_checkpoint(tmp_path / "gptq")
    module = [next(name for name in gptq.modules if name.endswith("down_proj"))]
    before = known.of(gptq, module)
    config = tmp_path / "gptq" / "config.json"
    said = json.loads(config.read_text())
    said["quantization_config"]["desc_act"] = not said["quantization_config"].get("desc_act", False)
    config.write_text(json.dumps(said))
    assert known.of(open_checkpoint(tmp_path / "gptq"), module) != before
