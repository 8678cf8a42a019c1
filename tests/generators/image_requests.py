"""Requests for the tiny models."""

from __future__ import annotations

from typing import Any

from fairshards.generators.diffusion.text_to_image import ImageRequest


def requests(count: int, **changes: Any) -> list[ImageRequest]:
    """Return ``count`` requests with their own prompts and seeds."""
    settings: dict[str, Any] = {
        "negative_prompt": "",
        "guidance_scale": 3.0,
        "steps": 4,
        "height": 32,
        "width": 32,
        "window": 2,
        **changes,
    }
    return [
        ImageRequest(f"{index:032x}", 1000 + index, f"a photo of bird {index}", **settings) for index in range(count)
    ]
