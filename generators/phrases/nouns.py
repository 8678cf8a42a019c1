"""Words brought to one form: the noun's lemma, then its Porter stem (ASPIRE step 5).

ASPIRE uses NLTK's PorterStemmer and WordNet's lemmas, which NLTK downloads. Here the stems come from
``snowballstemmer`` (its "porter", pure Python, from the Snowball project itself) and the dictionary from ``simplemma``
(both maintained, both ship their data). simplemma's own lemmas know no part of speech ("skies" -> "ski", "leaves" ->
"leave", "reed" -> "ree"), so only its list of words is used, with the detachment rules that WordNet's Morphy has for
nouns.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

_RULES = (
    ("ches", "ch"),
    ("shes", "sh"),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ves", "f"),
    ("ves", "ve"),
    ("ves", "fe"),
    ("ies", "ie"),
    ("ies", "y"),
    ("s", ""),
)
_IRREGULAR = {
    "geese": "goose",
    "teeth": "tooth",
    "feet": "foot",
    "mice": "mouse",
    "children": "child",
    "oxen": "ox",
    "people": "person",
    "lice": "louse",
    "dice": "die",
}


@lru_cache(maxsize=65536)
def normal_form(word: str) -> str:
    """Return the stem of an English word's lemma; a word with other letters than a to z is only casefolded."""
    plain = word.casefold().removesuffix("'s").removesuffix("\u2019s")
    if not (plain.isascii() and plain.isalpha()):
        return plain
    return str(_stemmer().stemWord(lemma(plain)))


def lemma(noun: str) -> str:
    """Return the singular of an English noun, given in lower case; what is no known plural stays as it is."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun.endswith("men") and _is_lemma(f"{noun[:-3]}man"):
        return f"{noun[:-3]}man"
    if not noun.endswith("s") or noun.endswith(("ss", "us", "is")) or _is_lemma(noun):
        return noun
    found = (f"{noun[: -len(ending)]}{instead}" for ending, instead in _RULES if noun.endswith(ending))
    return next((candidate for candidate in found if _is_lemma(candidate)), noun)


def _is_lemma(word: str) -> bool:
    """Tell whether simplemma's dictionary has the word as its own lemma."""
    import simplemma

    return bool(simplemma.is_known(word, lang="en")) and str(simplemma.lemmatize(word, lang="en")) == word


@cache
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("porter")
