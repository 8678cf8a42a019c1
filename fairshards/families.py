"""What a recipe may name by a word of ours, an installed package's, or a dotted path: every family on one page.

Paths are text, so that nothing is imported before it is named. ``docs/extending.md`` shows one of each.
"""

from __future__ import annotations

from typing import Any

from fairshards.plugins import Family

_SOURCES, _COHORTS = "fairshards.transforms.sources", "fairshards.catalogs.cohorts.readers"

SOURCE_READERS = Family[Any](
    "source_readers",
    f"{_SOURCES}.base.SourceReader",
    {
        "webdataset": f"{_SOURCES}.webdataset.WebDatasetReader",
        "metadata_csv": f"{_SOURCES}.metadata_csv.MetadataCsvReader",
        "image_folder": f"{_SOURCES}.image_folder.ImageFolderReader",
    },
    beside=("pocket",),
)
"""Datasets of pictures: ``source.reader``."""

COHORT_READERS = Family[Any](
    "cohort_readers",
    f"{_COHORTS}.CohortReader",
    {
        "support2": f"{_COHORTS}.Support2",
        "mimic3": f"{_COHORTS}.Mimic3",
        "adult": f"{_COHORTS}.Adult",
        "compas": f"{_COHORTS}.Compas",
        "parquet": f"{_COHORTS}.CohortFile",
    },
    beside=("table",),
)
"""Cohorts of people: ``cohort.reader``; ``table`` takes settings of its own."""
