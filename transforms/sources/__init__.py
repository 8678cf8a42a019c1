"""Readers of real datasets, and the stage that copies one into source shards.

Others use what is exported here, the contract of ``base``; a further reader is one small file, which a recipe finds
through SOURCE_READERS (fairshards/families.py). ``stage.IngestSource`` runs a reader, ``labels`` says which number a
class or a bias value has.
"""

from __future__ import annotations

from fairshards.transforms.sources.base import (
    Entry,
    Ignored,
    Listing,
    SourceError,
    SourceItem,
    SourceProblem,
    SourceReader,
    SourceUnit,
    unreadable,
)
from fairshards.transforms.sources.image_folder import ImageFolderReader
from fairshards.transforms.sources.metadata_csv import MetadataCsvReader
from fairshards.transforms.sources.webdataset import WebDatasetReader

__all__ = [
    "Entry",
    "Ignored",
    "ImageFolderReader",
    "Listing",
    "MetadataCsvReader",
    "SourceError",
    "SourceItem",
    "SourceProblem",
    "SourceReader",
    "SourceUnit",
    "WebDatasetReader",
    "unreadable",
]
