"""Tiny but real text models in transformers' own format, untrained and seeded: what they say means nothing.

``write_tiny_git`` and ``write_tiny_blip`` are plain captioners, ``write_tiny_llava`` one with a chat template,
``write_tiny_instruct`` a Llama with one, ``write_tiny_t5`` sequence to sequence. Each takes about a second and 1 MB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tiny_models import _byte_symbols

IMAGE_SIZE = 16
PAD, BOS, EOS, IMAGE = 256, 257, 258, 259
VOCABULARY = 260
CHAT = (
    "{% for message in messages %}<s>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}</s>\n"
    "{% endfor %}{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
NO_SYSTEM_TURN = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + CHAT


def byte_tokenizer(template: str | None = None) -> Any:
    """Return a tokenizer of single bytes: any text in any script goes in and out unchanged."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*_byte_symbols(), "<pad>", "<s>", "</s>", "<image>"]
    inner = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=4096,
    )
    tokenizer.chat_template = template
    return tokenizer


def write_tiny_git(folder: Path, *, seed: int = 0) -> Path:
    """Write a ``GitForCausalLM`` folder and return it."""
    from transformers import GitConfig, GitForCausalLM, GitProcessor

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    vision = {**sizes, "image_size": IMAGE_SIZE, "patch_size": 8}
    config = GitConfig(
        vision_config=vision,
        vocab_size=VOCABULARY,
        max_position_embeddings=160,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        **sizes,
    )
    return _save(folder, seed, lambda: GitForCausalLM(config), GitProcessor(_clip_images(), byte_tokenizer()))


def write_tiny_blip(folder: Path, *, seed: int = 0) -> Path:
    """Write a ``BlipForConditionalGeneration`` folder and return it."""
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    text = {
        **sizes,
        "encoder_hidden_size": 16,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 160,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "sep_token_id": EOS,
    }
    vision = {**sizes, "image_size": IMAGE_SIZE, "patch_size": 8}
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=16)
    images = BlipImageProcessor(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
    return _save(folder, seed, lambda: BlipForConditionalGeneration(config), BlipProcessor(images, byte_tokenizer()))


def write_tiny_florence2(folder: Path, *, seed: int = 0) -> Path:
    """Write a ``Florence2ForConditionalGeneration`` folder, which is told its task, and return it."""
    from transformers import BartConfig, Florence2Config, Florence2ForConditionalGeneration, Florence2Processor

    text = BartConfig(
        vocab_size=VOCABULARY,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=160,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        decoder_start_token_id=EOS,
        forced_eos_token_id=EOS,
    )
    vision = {
        "embed_dim": [16],
        "depths": [1],
        "num_heads": [2],
        "num_groups": [2],
        "patch_size": [7],
        "patch_stride": [4],
        "patch_padding": [3],
        "patch_prenorm": [False],
        "window_size": 2,
        "projection_dim": 16,
    }
    config = Florence2Config(text_config=text.to_dict(), vision_config=vision, image_token_id=IMAGE)
    images = _clip_images()
    images.image_seq_length = 17  # 4x4 patches and their mean
    return _save(
        folder, seed, lambda: Florence2ForConditionalGeneration(config), Florence2Processor(images, byte_tokenizer())
    )


def write_tiny_llava(folder: Path, *, seed: int = 0) -> Path:
    """Write a ``LlavaForConditionalGeneration`` folder, whose processor has a chat template, and return it."""
    from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=IMAGE_SIZE,
        patch_size=8,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=_llama(),
        image_token_index=IMAGE,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )
    processor = LlavaProcessor(
        _clip_images(),
        byte_tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=CHAT,
        num_additional_image_tokens=1,
    )
    return _save(folder, seed, lambda: LlavaForConditionalGeneration(config), processor)


def write_tiny_instruct(folder: Path, *, seed: int = 0, template: str | None = CHAT) -> Path:
    """Write a ``LlamaForCausalLM`` folder and return it; without a template it can't be asked."""
    from transformers import LlamaForCausalLM

    return _save(folder, seed, lambda: LlamaForCausalLM(_llama()), byte_tokenizer(template))


def write_tiny_t5(folder: Path, *, seed: int = 0) -> Path:
    """Write a ``T5ForConditionalGeneration`` folder and return it."""
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        pad_token_id=PAD,
        eos_token_id=EOS,
        decoder_start_token_id=PAD,
    )
    return _save(folder, seed, lambda: T5ForConditionalGeneration(config), byte_tokenizer())


def _llama() -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )


def _clip_images() -> Any:
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})


def write_tiny_bert(folder: Path, *, seed: int = 0) -> Path:
    """Write a ``BertModel`` folder, an encoder of sentences, and return it."""
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=VOCABULARY, max_position_embeddings=64, **sizes)
    return _save(folder, seed, lambda: BertModel(config), byte_tokenizer())


def _save(folder: Path, seed: int, model: Any, preprocessing: Any) -> Path:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = model()
        for weight in made.parameters():  # larger than the usual start, so that pictures and texts change the answer
            torch.nn.init.normal_(weight, std=0.6)
    made.save_pretrained(str(folder), safe_serialization=True)
    preprocessing.save_pretrained(str(folder))
    return folder
