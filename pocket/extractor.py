"""pocket-extractor: a small T5 that copies the phrases out of a caption into JSON.

Its tokenizer spells words it doesn't know in syllables or letters that each are one token, in the caption and in the
answer alike, so that to name an unknown thing is to copy a few tokens. What JSON needs around the phrases is a token
too. Any other script is spelt in bytes.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from pocket.captions import PLACES
from pocket.export import halved
from pocket.phrases import nonsense
from pocket.scene import stream
from pocket.tokenizer import merge_pieces
from pocket.wordings import DETERMINERS, LEARNT, all_words

SPACE = "▁"
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
JSON_TOKENS = ('{"foreground": ["', '{"foreground": []', '", "', '"], "background": "', ', "background": "',
               '", "alternative": "', '"}')  # fmt: skip
SYLLABLE_MERGES = 300
LONGEST = 512
ANSWER = 96


def _split(word: str) -> list[str]:
    return [SPACE, *word]


@lru_cache(maxsize=1)
def _merges() -> tuple[tuple[str, str], ...]:
    """Each word that captions are learnt with becomes one token; then come the most frequent parts of unknown words."""
    places = {word for options in PLACES.values() for place in options for word in place.split()}
    words = sorted(all_words(LEARNT) | places | {*DETERMINERS, "an"})
    rng = stream("extractor", 0, 0, "syllables")
    known = merge_pieces([_split(word) for word in words])
    parts = merge_pieces([_split(nonsense(rng)) for _ in range(1500)], SYLLABLE_MERGES)
    return tuple(dict.fromkeys([*known, *parts]))


def _vocabulary(merges: Sequence[tuple[str, str]]) -> dict[str, int]:
    signs = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    tokens = [
        PAD,
        END,
        UNKNOWN,
        *(f"<0x{byte:02X}>" for byte in range(256)),
        SPACE,
        *signs,
        *(a + b for a, b in merges),
    ]
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def new_extractor_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer: lower case, BPE with letters and bytes to fall back on, an end token after every text."""
    merges = list(_merges())
    vocabulary = _vocabulary(merges)
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token=UNKNOWN, byte_fallback=True, fuse_unk=True))
    inner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(SPACE, prepend_scheme="always"), pre_tokenizers.Punctuation("isolated")]
    )
    inner.decoder = decoders.Sequence([
        decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Replace(Regex('" (?=[^"])'), '"'), decoders.Strip(" ", 1, 0),
    ])  # fmt: skip
    inner.post_processor = TemplateProcessing(single=f"$A {END}", special_tokens=[(END, vocabulary[END])])
    inner.add_tokens([AddedToken(text, normalized=False, special=False) for text in JSON_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=PAD, eos_token=END, unk_token=UNKNOWN, model_max_length=LONGEST,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def new_extractor(tokenizer: PreTrainedTokenizerFast) -> T5ForConditionalGeneration:
    """The untrained model: three layers each way, width 128."""
    config = T5Config(
        vocab_size=len(tokenizer), d_model=128, d_kv=32, num_heads=4, d_ff=384, num_layers=3, num_decoder_layers=3,
        relative_attention_num_buckets=32, relative_attention_max_distance=64, dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    model.generation_config.max_length = ANSWER
    return model


def save_extractor(model: T5ForConditionalGeneration, folder: Path) -> None:
    """Write the folder that transformers loads: float16 weights, config, generation settings, tokenizer."""
    tokenizer = new_extractor_tokenizer()
    halved(model, new_extractor(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@torch.inference_mode()
def extract(folder: Path, captions: Sequence[str], batch: int = 100) -> list[str]:
    """The folder's greedy answers to captions, which are the model's whole input."""
    model: Any = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answers: list[str] = []
    for first in range(0, len(captions), batch):
        inputs = tokenizer(list(captions[first : first + batch]), padding=True, return_tensors="pt")
        made = model.generate(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, do_sample=False)
        answers += tokenizer.batch_decode(made, skip_special_tokens=True)
    return answers
