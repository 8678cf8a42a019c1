"""Constrained decoding: a local model can only write what is JSON of the asked schema (llguidance, an optional extra).

At every step the tokens with which the answer could no longer become such JSON get a score of -inf. So an answer is
unparsable only where the limit on tokens cuts it, which ``CutAnswer`` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from fairshards.generators.checkpoints.model_files import ModelFilesError

if TYPE_CHECKING:
    import torch

PACKAGE = "llguidance"
_SPACES = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""As in the examples that the model is shown, and no others: a weak model could fill its limit with line breaks."""
_BOUNDS: dict[str, dict[str, int]] = {"string": {"maxLength": 80}, "array": {"maxItems": 10}}
"""And no text or list without an end."""


def installed_version() -> str:
    """Return the version of the library that constrains answers here, "" where it isn't installed."""
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        return ""


class Grammar:
    """A model's tokens as the library knows them, made once a model.

    Raises:
        ModelFilesError: the library isn't installed here, or can't read this tokenizer.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, ends: Sequence[int]) -> None:
        try:
            from llguidance.hf import from_tokenizer

            self._tokens = from_tokenizer(tokenizer, n_vocab=vocabulary, eos_token=list(ends))
            self._ends = list(ends)
        except ImportError:
            raise ModelFilesError(
                "answers are to be constrained, but llguidance isn't installed on this worker; "
                "pip install 'fairshards[llm]' there as well"
            ) from None
        except ValueError as error:
            raise ModelFilesError(
                f"llguidance can't read this model's tokenizer ({error}); uninstall llguidance to "
                "run the model without constrained answers"
            ) from error

    def processor(self, schemas: Sequence[Mapping[str, Any] | None], prompt: int) -> SchemaProcessor:
        """Return what holds each row of a batch to its schema; the answer begins at token ``prompt``."""
        from llguidance import LLMatcher

        matchers = [
            None
            if schema is None
            else LLMatcher(self._tokens, LLMatcher.grammar_from_json_schema(bounded(schema), overrides=_SPACES))
            for schema in schemas
        ]
        if wrong := next((one.get_error() for one in matchers if one is not None and one.is_error()), None):
            raise ValueError(f"llguidance can't use the schema: {wrong}")
        return SchemaProcessor(matchers, prompt, self._ends)


def bounded(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema in which every string and list that has no longest length gets one."""
    inner = {name: bounded(value) if isinstance(value, Mapping) else value for name, value in schema.items()}
    kind = schema.get("type")
    return {**(_BOUNDS.get(kind, {}) if isinstance(kind, str) else {}), **inner}


class SchemaProcessor:
    """A logits processor of transformers' ``generate`` with one matcher a row; None leaves a row free."""

    def __init__(self, matchers: Sequence[Any], prompt: int, ends: Sequence[int]) -> None:
        self._matchers = matchers
        self._seen = prompt
        self._ends = list(ends)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores (rows, vocabulary) with -inf for what can't stand next."""
        import torch

        for token in range(self._seen, input_ids.shape[1]):
            for matcher, row in zip(self._matchers, input_ids[:, token].tolist(), strict=True):
                if matcher is not None and not matcher.is_stopped():
                    matcher.consume_token(row)
        self._seen = input_ids.shape[1]
        allowed = np.stack([self._allowed(matcher, scores.shape[1]) for matcher in self._matchers])
        return scores.masked_fill(~torch.from_numpy(allowed).to(scores.device), float("-inf"))

    def _allowed(self, matcher: Any, vocabulary: int) -> Any:
        """Return which tokens may stand next: in a free row all, after a whole answer only its end."""
        if matcher is None or matcher.is_stopped():
            allowed = np.full(vocabulary, matcher is None)
            allowed[self._ends] = True
            return allowed
        bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")[:vocabulary]
        return np.pad(bits.astype(bool), (0, vocabulary - len(bits)))
