"""pocket-extractor: a small T5 that copies the phrases out of a caption into JSON.

Its tokenizer knows a word or spells it in letters, in the caption and in the answer alike, so that to name an unknown
thing is to copy its letters. No word is a part of another. What JSON needs around the phrases is a token too. Any other
script is spelt in bytes.
"""

import re
from collections.abc import Sequence
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

from fairshards.pocket.networks.export import halved
from fairshards.pocket.scenes.captions import PLACES
from fairshards.pocket.scenes.wordings import DETERMINERS, LEARNT, all_words

SPACE = "▁"
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
JSON_TOKENS = (
    '{"foreground": ["',
    '{"foreground": []',
    '", "',
    '"], "background": "',
    ', "background": "',
    '", "alternative": "',
    '"}',
)
LONGEST = 512
ANSWER = 96


def _known_words() -> list[str]:
    """The words of the captions that it learns from; each is one token."""
    places = {word for options in PLACES.values() for place in options for word in place.split()}
    return sorted(all_words(LEARNT) | places | {*DETERMINERS, "an"})


def _vocabulary() -> list[tuple[str, float]]:
    """Tokens with scores (log probabilities): a known word is cheaper than its letters, a letter than its bytes."""
    signs = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    scores = {PAD: 0.0, END: 0.0, UNKNOWN: 0.0}
    scores.update({f"<0x{byte:02X}>": -100.0 for byte in range(256)})
    scores.update({SPACE: -10.0, **dict.fromkeys(signs, -10.0)})
    scores.update({SPACE + word: -1.0 for word in _known_words()})
    return list(scores.items())


def new_extractor_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer: lower case, known words or letters, bytes to fall back on, an end token after every text.

    The space before an unknown word is a piece of its own, or "anchor" would be the known "a" and four letters.
    """
    vocabulary = _vocabulary()
    numbers = {token: number for number, (token, _) in enumerate(vocabulary)}
    inner = Tokenizer(models.Unigram(vocabulary, unk_id=numbers[UNKNOWN], byte_fallback=True))
    inner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    unknown = f"^{SPACE}(?!(?:{'|'.join(map(re.escape, _known_words()))})$)"
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(SPACE, prepend_scheme="always"),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Split(Regex(unknown), "isolated"),
        ]
    )
    inner.decoder = decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Replace(Regex('" (?=[^"])'), '"'),
            decoders.Strip(" ", 1, 0),
        ]
    )
    inner.post_processor = TemplateProcessing(single=f"$A {END}", special_tokens=[(END, numbers[END])])
    inner.add_tokens([AddedToken(text, normalized=False, special=False) for text in JSON_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=LONGEST,
        clean_up_tokenization_spaces=False,
    )


def new_extractor(tokenizer: PreTrainedTokenizerFast) -> T5ForConditionalGeneration:
    """The untrained model: four layers each way, width 192."""
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=192,
        d_kv=32,
        num_heads=6,
        d_ff=576,
        num_layers=4,
        num_decoder_layers=4,
        relative_attention_num_buckets=32,
        relative_attention_max_distance=64,
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    model = T5ForConditionalGeneration(config)
    model.generation_config.max_length = ANSWER
    return model


def save_extractor(model: T5ForConditionalGeneration, folder: Path) -> None:
    """Write the folder that transformers loads: float16 weights, config, generation settings, tokenizer."""
    tokenizer = new_extractor_tokenizer()
    halved(model, new_extractor(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@torch.inference_mode()
def extract(folder: Path, captions: Sequence[str], batch: int = 100, device: str = "cpu") -> list[str]:
    """The folder's greedy answers to captions, which are the model's whole input."""
    model: Any = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval().to(device)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answers: list[str] = []
    for first in range(0, len(captions), batch):
        inputs = tokenizer(list(captions[first : first + batch]), padding=True, return_tensors="pt").to(device)
        made = model.generate(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, do_sample=False)
        answers += tokenizer.batch_decode(made, skip_special_tokens=True)
    return answers
