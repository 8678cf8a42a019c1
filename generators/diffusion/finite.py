"""Which pictures of a batch were finite before the pipeline clamped them to [0, 1]."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self


class FiniteRows:
    """Looks at what a pipeline gives its image processor.

    Clamping keeps NaN but turns an infinity into a white or black pixel, so the check has to come before. In a
    pipeline without an image processor ``rows`` stays empty, and only NaN in the output can be seen.

    Attributes:
        rows: Of the last call, whether each row of the batch is finite.
    """

    def __init__(self, pipeline: Any) -> None:
        self.processor = getattr(pipeline, "image_processor", None)
        self.rows: list[bool] = []

    def __enter__(self) -> Self:
        """Hook ``postprocess``."""
        if self.processor is not None:
            self._original = self.processor.postprocess
            self.processor.postprocess = self._watch
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore ``postprocess``, whatever happened."""
        if self.processor is not None:
            del self.processor.postprocess

    def _watch(self, image: Any, *args: Any, **kwargs: Any) -> Any:
        if hasattr(image, "isfinite"):
            self.rows = image.isfinite().flatten(1).all(dim=1).tolist()
        return self._original(image, *args, **kwargs)
