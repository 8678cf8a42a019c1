"""The README's picture: four steps of a run on Pocket Waterbirds, with pictures and numbers from two run folders.

    fairshards run pocket-waterbirds
    fairshards discover pocket-aspire
    python -m benchmarks.overview runs/pocket-waterbirds runs/pocket-aspire --out docs/figures/overview.svg

Everything shown is read from the runs' catalogs and shards; the SVG holds its pictures.
"""

from __future__ import annotations

import argparse
import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import duckdb

WIDTH, HEIGHT, STEP, LEFT = 980, 268, 245, 16
"""Of the picture, of a panel, and from a panel's edge to what it shows, in SVG's units."""
TOP, ROW, SIDE = 66, 47, 40
"""Where the first row begins, from row to row, and a picture's side."""
INK, QUIET, RARE, EVEN = "#1f2937", "#6b7280", "#c0392b", "#2c5f8a"
METHODS = ("erm", "usb", "asb", "ffr")

GROUPS = """
SELECT group_name, count(*) AS samples,
    arg_min({place: [shard, manifest], begin_at: "offset", size: size}, sample_id) AS first
FROM shard_index WHERE g = $g AND split = $split GROUP BY group_name ORDER BY group_name
"""
WORST = "SELECT method, name, 100 * accuracy FROM worst_group WHERE split = 'test' AND stage = 'final'"
EDITS = """
WITH shown AS (SELECT * EXCLUDE (examples), examples[1] AS best FROM spurious_ranking WHERE spurious)
SELECT shown.class_name, phrase, hits, successes,
    {place: [i.shard, i.manifest], begin_at: i."offset", size: i.size} AS before,
    {place: [best.shard, e.manifest], begin_at: best."offset", size: best.size} AS after
FROM shown JOIN edits e ON e.edit_id = best.edit_id JOIN shard_index i ON i.sample_id = best.source_id AND i.g = 0
ORDER BY shown.y, rank
"""


class Run:
    """A finished run, by its catalog and its shards alone."""

    def __init__(self, root: Path) -> None:
        self.root, self.catalog = root, duckdb.connect(str(root / "catalog.duckdb"), read_only=True)

    def rows(self, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self.catalog.execute(sql, parameters or None).fetchall()

    def picture(self, slice_of: dict[str, Any]) -> str:
        """Return a PNG that lies in a tar as a data URI."""
        shard, manifest = slice_of["place"]
        with open(self.root / Path(manifest).parent / shard, "rb") as tar:
            tar.seek(slice_of["begin_at"])
            return "data:image/png;base64," + base64.b64encode(tar.read(slice_of["size"])).decode()


def groups(run: Run, g: int, split: str, colour: str) -> Iterator[str]:
    """Yield a row a group: a picture, the group's name, a bar and how many samples it has."""
    found = run.rows(GROUPS, g=g, split=split)
    most = max(samples for _, samples, _ in found)
    for number, (name, samples, first) in enumerate(found):
        y = TOP + number * ROW
        yield image(run.picture(first), LEFT, y)
        yield text(name.replace("|", " on "), LEFT + SIDE + 10, y + 15, 12)
        yield bar(LEFT + SIDE + 10, y + 23, 110 * samples / most, RARE if samples < most / 2 else colour)
        yield text(f"{samples}", LEFT + SIDE + 16 + 110 * samples / most, y + 33, 12, QUIET)


def edits(run: Run) -> Iterator[str]:
    """Yield a row a reported phrase: the picture before and after its edit, and how often that changed the answer."""
    for number, (name, phrase, hits, successes, before, after) in enumerate(run.rows(EDITS)):
        y = TOP + number * 2 * ROW
        yield image(run.picture(before), LEFT, y)
        yield text("→", LEFT + SIDE + 5, y + 26, 18, QUIET)
        yield image(run.picture(after), LEFT + SIDE + 28, y)
        yield text(f"without “{phrase}” {hits} of {successes}", LEFT, y + SIDE + 18, 12)
        yield text(f"are no longer called {name}", LEFT, y + SIDE + 34, 12)


def accuracies(run: Run) -> Iterator[str]:
    """Yield a row a method: its name, a bar and its worst group's accuracy."""
    found = {method: (name, value) for method, name, value in run.rows(WORST)}
    for number, method in enumerate(METHODS):
        name, value = found[method]
        y = TOP + number * ROW
        label = f"{name}, real pictures only" if method == "erm" else name
        yield text(label, LEFT, y + 15, 12)
        yield bar(LEFT, y + 23, 1.6 * value, RARE if method == "erm" else EVEN)
        yield text(f"{value:.1f}", LEFT + 6 + 1.6 * value, y + 33, 12, QUIET)


def text(words: str, x: float, y: float, size: int, colour: str = INK, weight: int = 400) -> str:
    """Return words whose baseline begins at (x, y)."""
    style = f'font-size="{size}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'


def bar(x: float, y: float, length: float, colour: str) -> str:
    """Return a bar of 12 units' height; the shortest is still seen."""
    return f'<rect x="{x}" y="{y}" width="{max(length, 1.5):.1f}" height="12" rx="2" fill="{colour}"/>'


def image(uri: str, x: float, y: float) -> str:
    """Return a square picture."""
    return f'<image x="{x}" y="{y}" width="{SIDE}" height="{SIDE}" href="{uri}"/>'


def drawing(panels: Sequence[tuple[str, str, Iterator[str]]]) -> str:
    """Return the SVG: panels side by side, each with a title, a line below it and its rows."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="-apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>',
    ]
    for number, (title, below, rows) in enumerate(panels):
        parts.append(f'<g transform="translate({number * STEP} 0)">')
        parts += [text(f"{number + 1}. {title}", LEFT, 28, 15, weight=600), text(below, LEFT, 48, 12, QUIET), *rows]
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Write the picture."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("run", type=Path, help="a finished run of pocket-waterbirds")
    options.add_argument("discovered", type=Path, help="a run of pocket-aspire, at least up to discovery")
    options.add_argument("--out", type=Path, default=Path("docs/figures/overview.svg"))
    arguments = options.parse_args()
    run, discovered = Run(arguments.run), Run(arguments.discovered)
    arguments.out.write_text(drawing((
        ("A biased dataset", "97% on their usual background", groups(run, 0, "train", QUIET)),
        ("What a model leans on", "found without bias labels", edits(discovered)),
        ("Balanced shards", "generated, and filtered", groups(run, 1, "balanced", EVEN)),
        ("What they are worth", "worst group on test, in percent", accuracies(run)),
    )))  # fmt: skip


if __name__ == "__main__":
    main()
