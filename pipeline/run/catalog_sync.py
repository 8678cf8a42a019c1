"""The catalog of a run that is being made: synced as the run goes on, and left for later where it can't be had.

The catalog is derived from the manifests, so nothing that happens to it may end a run, or hold it up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.markup import escape

from fairshards.catalogs.database.catalog import CATALOG, Catalog
from fairshards.catalogs.database.current import WAIT, why
from fairshards.catalogs.errors import CatalogError
from fairshards.pipeline.run.folder import RunFolder, RunFolderError
from fairshards.pipeline.run.progress import Reporter


def listed_before(folder: RunFolder, report: Reporter) -> list[str]:
    """Return the manifests of the run before; of a damaged run.json none, with a line, since a run writes it anew."""
    try:
        return folder.current()
    except RunFolderError as error:
        why = escape(str(error).partition(";")[0])
        report.say(f"{why}. The run goes on with what is committed, and writes it anew")
        return []


@dataclass
class CatalogSync:
    """Makes run.json reflect a run's manifests, and the catalog too, unless it can't be had: then it is ``behind``."""

    folder: RunFolder
    report: Reporter
    behind: bool = False

    def sync(self, current: Mapping[str, str]) -> None:
        """List these manifests, in a run that isn't finished yet; a catalog that is held is left behind.

        Raises:
            ManifestError: a manifest can't be read, or repeats an id.
        """
        self.folder.set_current(list(current), finished=False)
        if error := self._try(current, 0.0 if self.behind else WAIT):
            if not self.behind:
                self.report.say(f"{why(error)}. The run goes on; {CATALOG} is brought up to date as soon as it can be")
            self.behind = True

    def finish(self, current: Mapping[str, str]) -> None:
        """List these manifests as those of a finished run, and try once more where the catalog is behind."""
        self.folder.set_current(list(current), finished=True)
        if self.behind and (error := self._try(current, WAIT)):
            self.report.say(
                f"{why(error)}. {CATALOG} stays behind; the next `fairshards query` or `fairshards run` "
                "brings it up to date"
            )

    def _try(self, current: Mapping[str, str], wait: float) -> CatalogError | None:
        try:
            with Catalog.open(self.folder.root, "write", wait) as catalog:
                catalog.sync(current)
        except CatalogError as error:
            return error
        self.behind = False
        return None
