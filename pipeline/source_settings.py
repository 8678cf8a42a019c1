"""The recipe's ``source``: the dataset, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from pipeline.strict import Strict


class _Source(Strict):
    bias_ratio: float | None = Field(
        None,
        ge=0.5,
        lt=1.0,
        description="r. Pocket world: how biased it is drawn. Other sources: train and val minority groups are "
        "sub-sampled to n_maj (1-r)/r (FFR's rule).",
    )
    aligned: Mapping[str, str] = Field(
        default_factory=dict,
        description="For each class, the bias value that its majority has at bias_ratio. Default: as in "
        "published_counts, else the one with the most training images.",
    )
    val_min_group: int = Field(10, ge=1, description="No val group is sub-sampled below this.")
    published_counts: Mapping[str, tuple[int, ...]] = Field(
        default_factory=dict,
        description="Training counts per group (class-major order) by bias ratio, for `plan` without the dataset.",
    )


class PocketSource(_Source):
    """Pocket Waterbirds, rendered into the run folder."""

    reader: Literal["pocket"]
    n_train: int = Field(1000, ge=8)
    val_min_group: int = Field(100, ge=1)
    test_per_group: int = Field(250, ge=1)
    seed: int | None = Field(None, description="The world's seed. Default: the recipe's.")
    objects: Mapping[str, Mapping[str, float]] = Field(
        default_factory=dict,
        description="Planted cues: for each class, how often a reed, branch, buoy or rock stands beside the bird.",
    )

    @model_validator(mode="after")
    def _rates_can_be_drawn(self) -> PocketSource:
        if self.objects:
            from pocket.scene import check_rates

            check_rates(self.objects)
        return self


class WebDatasetSource(_Source):
    """WebDataset tars in a folder."""

    reader: Literal["webdataset"]
    path: str
    splits: Mapping[str, str] = Field(
        default_factory=lambda: {"train": "train-*.tar", "val": "val-*.tar", "test": "test-*.tar"}
    )
    class_field: str = "class"
    bias_field: str = "background"


class MetadataCsvSource(_Source):
    """A folder with metadata.csv, as the official Waterbirds release."""

    reader: Literal["metadata_csv"]
    path: str
    file_field: str = "img_filename"
    class_field: str = "y"
    split_field: str = "split"
    bias_field: str = "place"


class ImageFolderSource(_Source):
    """A tree <split>/<class>/<bias>/*.jpg, or <split>/<class>/*.jpg where no bias label is known."""

    reader: Literal["image_folder"]
    path: str
    layout: str | None = Field(
        None, description="The levels in their order. Default: split/class/bias; split/class without bias."
    )


Source = Annotated[
    PocketSource | WebDatasetSource | MetadataCsvSource | ImageFolderSource, Field(discriminator="reader")
]
SOURCES: Mapping[str, Any] = {
    get_args(kind.model_fields["reader"].annotation)[0]: kind for kind in get_args(get_args(Source)[0])
}
