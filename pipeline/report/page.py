"""The report of a run: report.html, one file that stands alone, from the catalog and the shards.

No network, no scripts, no time stamps: the same run, reported from the same working folder, gives the same bytes.
Prompts, class names and captions are others' words, so the template escapes everything, and the page's own policy
forbids scripts and requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from fairshards.catalogs.manifests.manifest import write_local
from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.report.pages import TEMPLATES, Pages, RunView, Section, new_environment
from fairshards.pipeline.report.reader import open_reader
from fairshards.pipeline.report.scores import significant
from fairshards.pipeline.report.summary import versions
from fairshards.pipeline.run.folder import RunFolder, shell_path

REPORT = "report.html"


def write_report(folder: RunFolder, recipe: RecipeBase, pages: Pages[Any, Any]) -> Path:
    """Write ``report.html`` into the run folder and return its path. Works at any stage of a run.

    Raises:
        CatalogError, ManifestError: the catalog can't be opened, nor made from the manifests.
    """
    with open_reader(folder.root) as reader:
        page = _page(RunView(reader, folder, recipe), pages)
    path = folder.root / REPORT
    write_local(path, page.encode(), pages.mode)
    return path


def _page(view: RunView[Any], pages: Pages[Any, Any]) -> str:
    (headline,) = _shown(view, [pages.headline], pages.templates)
    return (
        environment(pages.templates)
        .get_template("page.html.jinja")
        .render(
            recipe=view.recipe,
            headline=headline["html"],
            sections=list(_shown(view, pages.sections, pages.templates)),
            versions=versions(view.reader),
            footer=pages.footer,
        )
    )


def _shown(view: RunView[Any], sections: Sequence[Section[Any]], templates: Path) -> Iterator[dict[str, Any]]:
    """Yield the id, title and HTML of the sections that have something to say."""
    common = {"recipe": view.recipe, "curation": view.reader.curation, "path": shell_path(view.folder.root)}
    for section in sections:
        facts = section.facts(view)
        if facts is not None:
            html = environment(templates).get_template(section.template).render({**common, **facts})
            yield {"id": section.id, "title": section.title, "html": Markup(html.strip())}


@cache
def environment(templates: Path = TEMPLATES) -> Environment:
    """Return the templates' environment: everything is escaped, and a name that isn't known is an error."""
    environment = new_environment(templates, escaped=True)
    environment.filters |= {
        "percent": _percent,
        "count": _count,
        "significant": significant,
        "share": _share,
        "group": _group,
        "points": _points,
    }
    return environment


def _percent(value: float | None, decimals: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{decimals}f}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _group(name: str) -> Markup:
    """Return a group's name that may be broken after its bar."""
    return escape(name).replace("|", Markup("|<wbr>"))


def _share(value: float, whole: float) -> str:
    """Return value / whole as a CSS percentage; an empty whole gives none."""
    return f"{100 * value / whole if whole else 0:.2f}%"
