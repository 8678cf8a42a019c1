"""How much of a prompt a model reads: the tokens that its text encoders take, and what of a text they would cut off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairshards.generators.checkpoints.signatures import pipeline_takes
from fairshards.generators.checkpoints.weights import components, read_json

UNLIMITED = 1_000_000
"""transformers writes a huge number for a tokenizer that has no limit of its own."""


@dataclass(frozen=True)
class TextReader:
    """A tokenizer of a model, and how many tokens, its own marks included, the encoder behind it takes."""

    name: str
    tokenizer: Any
    longest: int

    def tokens(self, text: str) -> int:
        """Return how many tokens a text has, marks included."""
        return len(self._ids(text))

    def cut(self, text: str) -> str:
        """Return the end of a text that the encoder would not read; nothing where it reads all."""
        ids = self._ids(text)
        if len(ids) <= self.longest:
            return ""
        return str(self.tokenizer.decode(ids[self.longest - 1 :], skip_special_tokens=True)).strip()

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, truncation=False, verbose=False).input_ids)


def pipeline_readers(folder: Path) -> list[TextReader]:
    """Return the text encoders of a diffusers pipeline's folder whose limits can be told."""
    pipeline, found = str(read_json(folder / "model_index.json").get("_class_name")), []
    for name, kind in components(folder).items():
        if name.startswith("tokenizer"):
            tokenizer, encoder = _tokenizer(kind, folder / name), name.replace("tokenizer", "text_encoder")
            if limit := _limit(tokenizer, pipeline, folder / encoder):
                found.append(TextReader(encoder, tokenizer, limit))
    return found


def clip_readers(folder: Path) -> list[TextReader]:
    """Return the tokenizer of an open_clip folder; nothing where it is neither open_clip's nor one of transformers'."""
    import open_clip

    made = open_clip.get_tokenizer(f"local-dir:{folder}")
    if isinstance(made, open_clip.SimpleTokenizer):
        return [TextReader("the scorer", _Simple(made), made.context_length)]
    inner = getattr(made, "tokenizer", None)
    return [TextReader("the scorer", inner, made.context_length)] if callable(inner) else []


@dataclass(frozen=True)
class _Encoded:
    input_ids: list[int]


@dataclass(frozen=True)
class _Simple:
    """open_clip's own tokenizer, asked as those of transformers are."""

    inner: Any

    def __call__(self, text: str, **_: Any) -> _Encoded:
        return _Encoded([self.inner.sot_token_id, *self.inner.encode(text), self.inner.eot_token_id])

    def decode(self, ids: list[int], **_: Any) -> str:
        return str(self.inner.decode([one for one in ids if one not in self.inner.all_special_ids]))


def _tokenizer(kind: str, folder: Path) -> Any:
    import transformers

    maker = getattr(transformers, kind, None) or transformers.AutoTokenizer
    return maker.from_pretrained(str(folder), local_files_only=True)


def _limit(tokenizer: Any, pipeline: str, encoder: Path) -> int | None:
    """Return the least of what tokenizer and encoder say; of an encoder without positions, what the pipeline asks."""
    config = read_json(file) if (file := encoder / "config.json").is_file() else {}
    said = [tokenizer.model_max_length]
    if "clip" in str(config.get("model_type", "")):
        said.append(config.get("max_position_embeddings"))
    else:
        said.append(_longest_sequence(pipeline))
    known = [number for number in said if isinstance(number, int) and 0 < number < UNLIMITED]
    return min(known, default=None)


def _longest_sequence(pipeline: str) -> int | None:
    """Return how many tokens a pipeline asks an encoder such as T5 for, by default."""
    asked = pipeline_takes(pipeline).get("max_sequence_length")
    return asked if isinstance(asked, int) else None
