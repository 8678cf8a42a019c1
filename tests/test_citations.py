"""Comments, docstrings and pages cite what a reader can open: a heading in docs, a paper, a name that is there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUFFIXES = (".py", ".sql", ".md", ".yaml", ".yml", ".toml", ".jinja", ".css")
MADE = ("runs", "build", "dist")
"""Folders at the root that aren't ours to read."""
CITED = re.compile(r"\bdocs/([\w-]+\.md)(?:#([\w-]+))?")
NUMBERED = re.compile(r"\bmethods,? (?:section )?(?:§ ?)?\d", re.IGNORECASE)
"""A section of a page that isn't part of the project."""


def texts() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of every file of ours that people write, this one apart."""
    for top in sorted(ROOT.iterdir()):
        if not top.name.startswith(".") and top.name not in MADE:
            for file in [top] if top.is_file() else sorted(top.rglob("*")):
                if (file.suffix in SUFFIXES or file.name == "Makefile") and file != Path(__file__):
                    yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")


def anchors(markdown: str) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    titles = re.findall(r"^#{1,6} (.+)$", re.sub(r"^```.*?^```", "", markdown, flags=re.S | re.M), re.M)
    seen: Counter[str] = Counter()
    found = set()
    for title in titles:
        plain = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        found.add(f"{plain}-{seen[plain]}" if seen[plain] else plain)
        seen[plain] += 1
    return found


def problems(name: str, text: str) -> Iterator[str]:
    """Yield what a text cites that a reader can't open."""
    for number, line in enumerate(text.splitlines(), 1):
        if NUMBERED.search(line):
            yield f"{name}:{number} cites a numbered section: name a heading of docs/methods.md, or the paper"
        for page, anchor in CITED.findall(line):
            file = ROOT / "docs" / page
            if not file.is_file():
                yield f"{name}:{number} cites docs/{page}, which isn't there"
            elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
                yield f"{name}:{number} cites docs/{page}#{anchor}, and that page has no such heading"


def test_every_citation_can_be_opened() -> None:
    found = dict(texts())
    assert {"README.md", "docs/methods.md"} <= found.keys() and len(found) > 500
    assert [line for name, text in found.items() for line in problems(name, text)] == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("the count (docs/methods.md#bias-ratio)", None),
        ("what a run tells (docs/limits.md)", None),
        ("several methods; 3 of them", None),
        ("the count (docs/methods.md#no-such-heading)", "no such heading"),
        ("the count (docs/no-such-page.md)", "isn't there"),
        ("the count (methods 1.4)", "numbered section"),
        ("the count (methods section 3)", "numbered section"),
        ("the count (Methods, §1.4)", "numbered section"),
    ],
)
def test_what_a_citation_lacks_is_said(line: str, wrong: str | None) -> None:
    found = list(problems("a.py", line))
    assert [wrong in one for one in found] == ([True] if wrong else [])


def test_anchors_are_githubs() -> None:
    page = "# One `b`: c\n```\n# no heading\n```\n## ASPIRE-ERM and more\n## Twice\n## Twice\n"
    assert anchors(page) == {"one-b-c", "aspire-erm-and-more", "twice", "twice-1"}


ROOMS = sorted(
    file.parent.relative_to(ROOT).as_posix()
    for top in ("fairshards", "benchmarks", "catalogs", "filters", "generators", "pipeline", "pocket", "recipes",
                "trainers", "transforms")
    for file in (ROOT / top).rglob("__init__.py")
)  # fmt: skip


def defined(file: Path) -> set[str]:
    """Return the names that a module has at its top, imported ones too."""
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {name.asname or name.name for name in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def resolves(room: Path, name: str) -> bool:
    """Tell whether ``module``, ``module.name``, a room inside, or a name of the room's own file is there."""
    first, _, rest = name.partition(".")
    if (room / first).is_dir():
        return not rest
    if (room / f"{first}.py").is_file():
        return not rest or rest in defined(room / f"{first}.py")
    return not rest and first in defined(room / "__init__.py")


@pytest.mark.parametrize("room", ROOMS)
def test_a_rooms_docstring_names_what_is_there(room: str) -> None:
    said = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")))
    assert said, f"{room}/__init__.py doesn't say what the room is for"
    assert [name for name in re.findall(r"``([^`]+)``", said) if not resolves(ROOT / room, name)] == []


def test_what_a_room_lacks_is_noticed() -> None:
    filters = ROOT / "filters"
    assert all(resolves(filters, name) for name in ("base", "base.Filter", "pictures"))
    assert not any(resolves(filters, name) for name in ("basis", "base.Sieve", "pictures.base", "Filter"))
