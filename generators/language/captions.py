"""What a captioner is asked and what it answers. Imports no model library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fairshards.generators.language import caption_text
from fairshards.generators.language.replies import CutAnswer

CaptionReason = Literal["unreadable_image", "caption_failed", "caption_refused", "empty_caption"]


@dataclass(frozen=True)
class CaptionRequest:
    """One picture to describe: its id, its encoded bytes, and the seed of its own noise where the model samples."""

    source_id: str
    image: bytes
    seed: int = 0


@dataclass(frozen=True)
class CaptionResult:
    """One caption, or the reason why there is none.

    ``caption`` is one line of text in any script, None for a reject. ``status`` is "ok" or "reject"; a reject has a
    short ``reason`` and a sentence in ``detail``. Of a caption that was cut, ``detail`` says so and ``cut`` tells
    that it was ``max_new_tokens`` that cut it.
    """

    source_id: str
    caption: str | None
    status: Literal["ok", "reject"]
    reason: CaptionReason | None = None
    detail: str | None = None
    cut: bool = False


def captioned(source_id: str, text: str, longest: int) -> CaptionResult:
    """Return the result of what a model said: cleaned and cut, or ``empty_caption``.

    Of a ``CutAnswer`` the last, perhaps half, word is left out.
    """
    caption, note = caption_text.clean(text, longest)
    cut = isinstance(text, CutAnswer)
    if not caption:
        within = " before max_new_tokens stopped it; raise that setting" if cut else ""
        return uncaptioned(source_id, "empty_caption", f"the model said {text[:80]!r}, which holds no word{within}")
    if cut and note is None:
        caption, note = caption_text.to_its_end(caption), "cut off by max_new_tokens; raise that setting"
    return CaptionResult(source_id, caption, "ok", detail=note, cut=cut)


def uncaptioned(source_id: str, reason: CaptionReason, detail: str) -> CaptionResult:
    """Return the result of a picture without a caption."""
    return CaptionResult(source_id, None, "reject", reason, detail[:500])
