"""The pocket models' tokenizer: CLIP's byte-level BPE with merges learnt from our captions.

All 256 bytes are in the vocabulary, alone and ending a word, so that it encodes any text.
"""

from itertools import pairwise

from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

from fairshards.pocket.networks.models import TEXT_LENGTH
from fairshards.pocket.scenes.captions import full_caption, partial_caption
from fairshards.pocket.scenes.pictures import training_scenes
from fairshards.pocket.scenes.scene import stream

BEGIN, END, SUFFIX = "<|startoftext|>", "<|endoftext|>", "</w>"
WORDS = ("background", "without", "bird", "birds", "no", "two", "one", "beak", "neck", "legs", "sky", "tree", "trees")


def caption_words(count: int = 4000) -> list[str]:
    """The words of the generator's first captions and a few that prompts may want, sorted."""
    words = set(WORDS)
    for scene in training_scenes("generator", count):
        rng = stream(scene.domain, scene.seed, scene.index, "vocabulary")
        words.update(full_caption(scene, rng).split(), partial_caption(scene, rng).split())
    return sorted(words)


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """BPE merges until each word is one token: the most frequent pair first, ties in alphabetical order."""
    return merge_pieces([[*word[:-1], word[-1] + SUFFIX] for word in words])


def merge_pieces(pieces: list[list[str]], limit: int | None = None) -> list[tuple[str, str]]:
    """The merges that make one piece of each list, or the first ``limit`` of them."""
    merges: list[tuple[str, str]] = []
    while any(len(parts) > 1 for parts in pieces) and len(merges) != limit:
        counts: dict[tuple[str, str], int] = {}
        for parts in pieces:
            for pair in pairwise(parts):
                counts[pair] = counts.get(pair, 0) + 1
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        pieces = [join_pair(parts, best) for parts in pieces]
    return merges


def join_pair(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """Replace every neighbouring occurrence of the pair by its concatenation."""
    joined: list[str] = []
    for part in parts:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def new_tokenizer() -> CLIPTokenizer:
    """The tokenizer, at most 24 tokens a text with begin and end; end has the highest id (open_clip pools there)."""
    merges = learn_merges(caption_words())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(sign + SUFFIX for sign in alphabet), *dict.fromkeys(a + b for a, b in merges), BEGIN, END]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=TEXT_LENGTH)
