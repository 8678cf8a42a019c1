"""Captions by a vision model behind an OpenAI-compatible endpoint; a picture travels as a data URL."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

import numpy as np

from fairshards.generators.images import BadImage, decode_image, encode_png, plain_format
from fairshards.generators.language.answer_cache import AnswerCache
from fairshards.generators.language.caption_text import LONGEST
from fairshards.generators.language.captioner import AGAIN, DESCRIBE
from fairshards.generators.language.captions import CaptionRequest, CaptionResult, captioned, uncaptioned
from fairshards.generators.language.conversation import Conversation, Message, ask
from fairshards.generators.language.endpoint import Endpoint
from fairshards.generators.language.replies import RefusedRequest

MIME = {"PNG": "image/png", "JPEG": "image/jpeg"}
"""Formats that every server reads; others are sent as PNG."""
GREY = encode_png(np.full((64, 64, 3), 128, np.uint8))


class VisionEndpoint:
    """Describes pictures by asking an endpoint; answers are kept in ``cache``, where there is one."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        instruction: str | None = None,
        longest: int = LONGEST,
        cache: AnswerCache | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.instruction = instruction or DESCRIBE
        self.longest = longest
        self.cache = cache

    def caption(self, requests: Sequence[CaptionRequest], batch_size: int) -> Iterator[CaptionResult]:
        """Yield one result a request, in order; ``batch_size`` pictures are in memory as text at once.

        A picture that has no caption is a reject: ``unreadable_image``, ``empty_caption``, or ``caption_refused``.

        Raises:
            ValueError: ``batch_size`` below 1.
            EndpointError: the endpoint can't be used, or gives no answer after all retries.
            RuntimeError: it refuses every picture of a batch, and a grey one too.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        for start in range(0, len(requests), batch_size):
            yield from self._batch(requests[start : start + batch_size])

    def _batch(self, batch: Sequence[CaptionRequest]) -> list[CaptionResult]:
        urls = [_data_url(request.image) for request in batch]
        good = [index for index, url in enumerate(urls) if isinstance(url, str)]
        found = {
            index: uncaptioned(request.source_id, "unreadable_image", str(urls[index]))
            for index, request in enumerate(batch)
            if index not in good
        }
        grey = self._conversation(str(_data_url(GREY)), 0)
        for further, neutral in (("", grey), (AGAIN, None)):
            rows = [index for index in good if index not in found or found[index].reason == "empty_caption"]
            asked = [self._conversation(str(urls[index]), batch[index].seed, further) for index in rows]
            answers = ask(self.endpoint, asked, self.cache, neutral)
            found |= {index: self._result(batch[index], answer) for index, answer in zip(rows, answers, strict=True)}
        return [found[index] for index in range(len(batch))]

    def _conversation(self, url: str, seed: int, further: str = "") -> Conversation:
        text = f"{self.instruction} {further}".rstrip()
        parts = ({"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}})
        return Conversation((Message("user", parts),), "a grey picture", seed)

    def _result(self, request: CaptionRequest, answer: str | Exception) -> CaptionResult:
        if isinstance(answer, RefusedRequest) and answer.reason == "empty_answer":
            return uncaptioned(request.source_id, "empty_caption", answer.detail)
        if isinstance(answer, Exception):
            return uncaptioned(request.source_id, "caption_refused", str(answer))
        return captioned(request.source_id, answer, self.longest)


def _data_url(image: bytes) -> str | BadImage:
    """Return a picture as a data URL, or what is wrong with it; what not every server reads is encoded anew."""
    try:
        picture = decode_image(image)
    except BadImage as error:
        return error
    kind = plain_format(image)
    data, mime = (image, MIME[kind]) if kind in MIME else (encode_png(np.asarray(picture)), "image/png")
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
