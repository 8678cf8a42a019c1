"""Captions of pictures by any transformers image-to-text model: GIT, BLIP, Qwen-VL, SmolVLM (ASPIRE step 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fairshards.generators.checkpoints.isolation import run_rows
from fairshards.generators.checkpoints.loading import resolve_device
from fairshards.generators.checkpoints.model_files import ModelFilesError, resolve_model
from fairshards.generators.checkpoints.precision import resolve_dtype
from fairshards.generators.checkpoints.transformers_model import load_preprocessing, load_weights
from fairshards.generators.checkpoints.weights import read_json
from fairshards.generators.images import BadImage, decode_image
from fairshards.generators.language.caption_text import LONGEST
from fairshards.generators.language.captions import CaptionRequest, CaptionResult, captioned, uncaptioned
from fairshards.generators.language.conversation import Message
from fairshards.generators.language.language_model import apply_template
from fairshards.generators.language.sampling import Decoding
from fairshards.generators.language.text_models import TextWriter, pad_on_the_left

if TYPE_CHECKING:
    from PIL import Image

DESCRIBE = "Describe this picture in one sentence: what is in it, and where it is."
"""What models that follow instructions are told, unless the recipe says otherwise."""
AGAIN = "Answer with a whole sentence."
"""What is added for a picture of which the model said nothing."""
TASKS = {"florence2": "<CAPTION>", "paligemma": "caption en"}
"""What models without a chat template are told that answer nothing, or anything, to a picture alone."""
DESCRIBE_ALONE = ("git", "blip", "blip-2", "vision-encoder-decoder", "pix2struct")
"""Models that were trained to describe the picture that they are given without a word."""
NEUTRAL_SIZE = (64, 64)


class Captioner(TextWriter):
    """A loaded model that describes pictures, in padded batches of one size in the order of the requests.

    Models with a chat template get the picture and ``instruction`` through it. Plain captioners (GIT, BLIP) get the
    picture alone, or, where an instruction is given, with that text to go on from. Others (Florence-2) are told their
    task, which is the instruction.

    Attributes:
        model, processor: transformers' model and processor.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        decoding: Decoding,
        *,
        instruction: str | None = None,
        longest: int = LONGEST,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        super().__init__(model, decoding, device, dtype)
        self.processor = processor
        self.longest = longest
        self.tokenizer = getattr(processor, "tokenizer", processor)
        self.templated = next((one for one in (processor, self.tokenizer) if getattr(one, "chat_template", None)), None)
        self.instruction = instruction or (DESCRIBE if self.templated else _task(model.config.model_type))
        if self.templated:
            pad_on_the_left(self.tokenizer)

    @classmethod
    def load(
        cls,
        model: str | Path,
        decoding: Decoding,
        *,
        instruction: str | None = None,
        longest: int = LONGEST,
        device: str = "auto",
        dtype: str = "auto",
        allow_pickle: bool = False,
    ) -> Self:
        """Load a folder or hub id.

        Raises:
            ModelFilesError: no such model, weights missing, only pickled ones without ``allow_pickle``, or a model
                that AutoModelForImageTextToText and AutoProcessor can't read, or that isn't told what to do.
            ValueError: a device or dtype that can't be had here.
        """
        folder = resolve_model(model, allow_pickle=allow_pickle)
        where = resolve_device(device)
        kind = resolve_dtype(dtype, where, folder)
        processor = load_preprocessing("AutoProcessor", folder)
        loaded = load_weights("AutoModelForImageTextToText", folder, where, kind, allow_pickle)
        return cls(loaded, processor, decoding, instruction=instruction, longest=longest, device=where, dtype=kind)

    def caption(self, requests: Sequence[CaptionRequest], batch_size: int) -> Iterator[CaptionResult]:
        """Yield one result a request, in order.

        A picture that has no caption is a reject: ``unreadable_image``, ``empty_caption``, or ``caption_failed``
        for one that the model can't take.

        Raises:
            ValueError: ``batch_size`` below 1.
            RuntimeError, OSError, MemoryError: machine or model failed (out of memory, CUDA, disk).
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        for start in range(0, len(requests), batch_size):
            yield from self._batch(requests[start : start + batch_size], batch_size)

    def _batch(self, batch: Sequence[CaptionRequest], size: int) -> list[CaptionResult]:
        """Describe one batch; a picture that can't be decoded is replaced by a grey one, so that the shape stays."""
        pictures = [_decoded(request.image) for request in batch]
        seeds = [request.seed for request in batch]
        if all(isinstance(picture, BadImage) for picture in pictures):
            return [_unreadable(request, picture) for request, picture in zip(batch, pictures, strict=True)]
        texts = run_rows(lambda shown: self._run(pictures, seeds, shown, size), len(batch))
        found = [
            _unreadable(request, picture) if isinstance(picture, BadImage) else self._result(request, text)
            for request, picture, text in zip(batch, pictures, texts, strict=True)
        ]
        silent = frozenset(row for row, result in enumerate(found) if result.reason == "empty_caption")
        if self.templated and silent:
            texts = run_rows(lambda shown: self._run(pictures, seeds, shown & silent, size, AGAIN), len(batch))
            found = [
                self._result(batch[row], texts[row]) if row in silent else result for row, result in enumerate(found)
            ]
        return found

    def _result(self, request: CaptionRequest, text: str | Exception) -> CaptionResult:
        if isinstance(text, Exception):
            return uncaptioned(request.source_id, "caption_failed", f"{type(text).__name__}: {text}")
        return captioned(request.source_id, text, self.longest)

    def _run(
        self,
        pictures: Sequence[Image.Image | BadImage],
        seeds: Sequence[int],
        shown: frozenset[int],
        size: int,
        further: str = "",
    ) -> list[str]:
        """Run the model with the pictures of ``shown``, grey ones in the other rows, and the last row repeated."""
        rows = [
            _grey() if row not in shown or isinstance(picture, BadImage) else picture
            for row, picture in enumerate(pictures)
        ]
        rows += [rows[-1]] * (size - len(rows))
        inputs = self._inputs(rows, further)
        tokens = self.write(inputs, [*seeds, *[seeds[-1]] * (size - len(seeds))])
        prompt = self._prompt(inputs)
        if self.templated and not self.model.config.is_encoder_decoder:
            tokens, prompt = tokens[:, prompt:], 0
        texts = self.processor.batch_decode(tokens, skip_special_tokens=True)
        plain = [self._without_prompt(text) for text in texts[: len(pictures)]]
        return self.marked(plain, tokens[: len(pictures), prompt:], self.tokenizer)

    def _prompt(self, inputs: Any) -> int:
        """Return with how many tokens an answer begins that the model didn't write: its first, or what it was told."""
        if "input_ids" not in inputs or self.model.config.is_encoder_decoder:
            return 1
        told = int(inputs["input_ids"].shape[1])
        return told - 1 if self.model.config.model_type == "blip" else told  # BLIP takes the end off itself

    def _inputs(self, pictures: Sequence[Image.Image], further: str = "") -> Any:
        if self.templated:
            return self._chat_inputs(pictures, f"{self.instruction} {further}".rstrip())
        if not self.instruction:
            return self.processor(images=list(pictures), return_tensors="pt")
        text = [self.instruction] * len(pictures)
        inputs = self.processor(images=list(pictures), text=text, padding=True, return_tensors="pt")
        ends = (self.tokenizer.sep_token_id, self.tokenizer.eos_token_id)
        goes_on = self.model.config.model_type != "blip" and not self.model.config.is_encoder_decoder
        if goes_on and int(inputs["input_ids"][0, -1]) in ends:
            # a text that goes on has no end yet; BLIP takes it off itself, and an encoder reads it to its end
            for name in ("input_ids", "attention_mask"):
                inputs[name] = inputs[name][:, :-1]
        return inputs

    def _chat_inputs(self, pictures: Sequence[Image.Image], instruction: str) -> Any:
        """Return the inputs of a model with a chat template; special tokens come from it, or else the tokenizer."""
        asked = Message("user", ({"type": "image"}, {"type": "text", "text": instruction}))
        text = apply_template(self.templated, [asked])
        begins = self.tokenizer.bos_token
        return self.processor(
            images=[[picture] for picture in pictures],
            text=[text] * len(pictures),
            padding=True,
            return_tensors="pt",
            add_special_tokens=not (begins and text.startswith(begins)),
        )

    def _without_prompt(self, text: str) -> str:
        """Return a plain captioner's text without the instruction that it went on from."""
        said = text.strip()
        repeated = not self.templated and self.instruction and said.lower().startswith(self.instruction.lower())
        return said[len(self.instruction) :] if repeated else said


def own_instruction(folder: Path, instruction: str | None) -> str | None:
    """Return the instruction, or the task that a model is told in its place, by its folder's files; nothing is loaded.

    Raises:
        ModelFilesError: see ``Captioner.load``.
    """
    config = folder / "config.json"
    if instruction or not config.is_file() or any(folder.glob("chat_template*")):
        return instruction
    others = [folder / name for name in ("processor_config.json", "tokenizer_config.json")]
    if any("chat_template" in read_json(file) for file in others if file.is_file()):
        return instruction
    return _task(str(read_json(config).get("model_type"))) or instruction


def _task(kind: str) -> str:
    """Return what a model of that kind without a chat template is told; "" for one that needs nothing.

    Raises:
        ModelFilesError: nothing says what would make it describe a picture.
    """
    if kind in TASKS or kind in DESCRIBE_ALONE:
        return TASKS.get(kind, "")
    raise ModelFilesError(
        f"a {kind} without a chat template doesn't describe a picture unless it is told to: set the "
        "captioner's instruction to the words that it was trained with"
    )


def _decoded(image: bytes) -> Image.Image | BadImage:
    try:
        return decode_image(image)
    except BadImage as error:
        return error


def _unreadable(request: CaptionRequest, error: Any) -> CaptionResult:
    return uncaptioned(request.source_id, "unreadable_image", str(error))


def _grey() -> Image.Image:
    from PIL import Image as pillow

    return pillow.new("RGB", NEUTRAL_SIZE, (128, 128, 128))
