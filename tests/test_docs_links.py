"""Every link between the pages leads somewhere: to a file that is there, and to a heading that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")


def links(text: str) -> Iterator[str]:
    """The targets of links to other pages, not those that stand in code or lead to the network."""
    prose = _CODE.sub("code", _FENCE.sub("", text))
    yield from (link for link in _LINK.findall(prose) if "://" not in link and not link.startswith("mailto:"))


def anchors(text: str) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?) *$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    dead = []
    for link in links(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        is_there = target.is_file() and (not anchor or anchor in anchors(target.read_text(encoding="utf-8")))
        dead += [] if is_there else [link]
    return dead


def test_a_link_to_a_lost_page_or_heading_is_dead(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# MP101: No `engine` found\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#mp101-no-engine-found) [c](lost.md) [d](there.md#lost) [e](https://x.invalid)\n"
        "`[f](code.md)`\n```\n[g](fence.md)\n```\n",
        encoding="utf-8",
    )
    assert dead_links(page) == ["lost.md", "there.md#lost"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_resolves(page: Path) -> None:
    assert dead_links(page) == []


@pytest.mark.parametrize("folder", ["howto", "reference", "explanation"])
def test_every_page_is_reached_from_the_index(folder: str) -> None:
    linked = {link.partition("#")[0] for link in links((DOCS / "index.md").read_text(encoding="utf-8"))}
    pages = {page.relative_to(DOCS).as_posix() for page in (DOCS / folder).glob("*.md")}
    assert pages and not pages - linked
