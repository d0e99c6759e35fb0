"""Ranges of files on the Hub, asked for by the Hub's own library: its endpoint, token, session and errors."""

from __future__ import annotations

__all__ = ["fetch_ranges", "fetch_shards"]

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.hub.kept import Origin, RemoteShard, keep_range, keep_shard, range_of, shard_of

FIRST = 100_000  # bytes; most headers are shorter
AT_ONCE = 8
SECONDS = 30.0
MAX_HEADER = 100_000_000  # the limit of the safetensors library itself


class HubAnswer(MixprecError):
    """The Hub answered something that is no part of the file that was asked for."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, file: str, fault: str) -> None:
        super().__init__(file, fault)
        self.file = file
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.file} on the Hub: {self.fault}\n  try: fetch the repository (hf download), and name its folder"


def fetch_shards(origin: Origin, folder: Path, names: Iterable[str]) -> None:
    """Keep the headers of shards that are neither in the folder nor kept already.

    Raises HubAnswer, and what huggingface_hub raises.
    """
    missing = [name for name in names if not (folder / name).is_file() and shard_of(folder / name) is None]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, shard in zip(missing, pool.map(lambda name: _shard(origin, name), missing), strict=True):
            keep_shard(folder / name, shard)


def fetch_ranges(origin: Origin, file: Path, spans: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Bytes of a file that is not here, from what is kept or from the Hub. Raises as ``fetch_shards`` does."""
    found = {span: range_of(file, *span) for span in spans}
    missing = [span for span, data in found.items() if data is None]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for span, (data, _) in zip(
            missing, pool.map(lambda span: _ask(origin, file.name, *span), missing), strict=True
        ):
            keep_range(file, span[0], data)
            found[span] = data
    return {span: data for span, data in found.items() if data is not None}


def _shard(origin: Origin, name: str) -> RemoteShard:
    head, size = _ask(origin, name, 0, FIRST)
    length = int.from_bytes(head[:8], "little")
    if len(head) < 8 or length > MAX_HEADER:
        raise HubAnswer(name, "is no safetensors file")
    if 8 + length > len(head) and len(head) < size:
        head += _ask(origin, name, len(head), 8 + length)[0]
    return RemoteShard(head=head[: 8 + length], size=size)


def _ask(origin: Origin, name: str, begin: int, end: int) -> tuple[bytes, int]:
    """Bytes ``begin`` to ``end`` of a file, fewer where it ends before, and the size of the file."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = hf_hub_url(origin.repository, name, revision=origin.commit)
    headers = {**build_hf_headers(library_name="mixprec"), "Range": f"bytes={begin}-{end - 1}"}
    headers["Accept-Encoding"] = "identity"
    response = get_session().get(url, headers=headers, timeout=SECONDS)
    hf_raise_for_status(response)
    told = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", ""))
    if told is None:
        raise HubAnswer(name, "the server sends no ranges")
    size, data = int(told[3]), bytes(response.content)
    if int(told[1]) != begin or len(data) != min(end, size) - begin:
        raise HubAnswer(name, f"asked for bytes {begin} to {end} of {size}, and {len(data)} came")
    return data, size
