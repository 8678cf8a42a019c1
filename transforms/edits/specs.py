"""What travels to the workers that edit and test. Plain values; imports no model library."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from fairshards.catalogs.manifests.identity import digest
from fairshards.transforms.pictures.specs import HasHints, SegmenterSpec

EDIT_VERSION = "edit/2"
EDIT_TEST_VERSION = "edit_test/2"


@dataclass(frozen=True)
class EditorSpec:
    """What a worker needs to load an editor. ``fingerprint`` is the model's (weights, scheduler, dtype).

    ``kind`` "inpaint" takes ``strength``, "instruct" ``image_guidance_scale``. ``height`` and ``width`` are the
    size that the model works in, None: its own.
    """

    kind: Literal["inpaint", "instruct"]
    model: str
    fingerprint: str
    dtype: str = "float32"
    scheduler: str | None = None
    height: int | None = None
    width: int | None = None
    feather: float = 0.0
    strength: float = 1.0
    image_guidance_scale: float = 1.5
    batch_size: int = 8
    allow_pickle: bool = False

    @property
    def identity(self) -> dict[str, Any]:
        """What decides an edit beside its request; the folder is told by its fingerprint."""
        return {name: value for name, value in asdict(self).items() if name not in ("model", "allow_pickle")}


@dataclass(frozen=True)
class EditSpec(HasHints):
    """What a worker of the edit stage needs. Without a segmenter the editor changes what it likes of a picture.

    Raises:
        ValueError: an inpainting editor without a segmenter.
    """

    editor: EditorSpec
    segmenter: SegmenterSpec | None
    device: str = "auto"
    accelerator: str | None = None
    min_ram: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.editor.kind == "inpaint" and self.segmenter is None:
            raise ValueError("an inpainting editor fills masks, but no segmenter is named; name one, or use 'instruct'")

    @property
    def stage_fingerprint(self) -> str:
        """What decides a task's bytes: the stage's version, the models, their settings and batch shapes."""
        segmenter = self.segmenter.identity if self.segmenter else None
        return digest({"version": EDIT_VERSION, "editor": self.editor.identity, "segmenter": segmenter})


@dataclass(frozen=True)
class EditTestSpec(HasHints):
    """What a worker of the edit test needs: the reference training's folder, and a CLIP model.

    ``wording`` is what CLIP reads of a phrase, with the field {phrase}.

    Raises:
        ValueError: a wording without that field.
    """

    training: str
    training_fingerprint: str
    clip: str
    clip_fingerprint: str
    device: str = "auto"
    batch_size: int = 32
    wording: str = "{phrase}"
    accelerator: str | None = None
    min_ram: str | None = None
    threads: int | None = None
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        if "{phrase}" not in self.wording:
            raise ValueError(f"wording {self.wording!r} has no {{phrase}}; write, for example, 'a photo of {{phrase}}'")

    @property
    def stage_fingerprint(self) -> str:
        """What decides a task's scores: the stage's version, the models, the wording, the batch shape."""
        return digest(
            {
                "version": EDIT_TEST_VERSION,
                "training": self.training_fingerprint,
                "clip": self.clip_fingerprint,
                "wording": self.wording,
                "batch": self.batch_size,
            }
        )
