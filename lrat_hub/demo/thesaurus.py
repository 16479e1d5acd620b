"""A small list of English synonyms: WordNet 3.1, cut down to the words of the quickstart's corpus.

The list is `lrat_hub/demo/synonyms.json.gz`, with WordNet's licence beside it in `WORDNET_LICENSE.txt`;
`dataset_builders/build_synonyms.py` makes it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files


class Thesaurus:
    """Synonyms of lower-case English words.

    Args:
        synonyms: For each word its synonyms, those of its commonest sense first. Inflected words may be keys;
            their synonyms are base forms.
    """

    def __init__(self, synonyms: Mapping[str, Sequence[str]]) -> None:
        self._synonyms = {word: tuple(others) for word, others in synonyms.items()}
        related: dict[str, set[str]] = {}
        for word, others in self._synonyms.items():
            for other in others:
                related.setdefault(word, {word}).add(other)
                related.setdefault(other, {other}).add(word)
        self._related = {word: frozenset(others) for word, others in related.items()}

    @classmethod
    def load(cls) -> Thesaurus:
        """The list that ships with this package."""
        data = files("lrat_hub.demo").joinpath("synonyms.json.gz").read_bytes()
        return cls(json.loads(gzip.decompress(data)))

    def synonyms(self, word: str) -> tuple[str, ...]:
        """What can be written for `word`; nothing for a word that is not in the list."""
        return self._synonyms.get(word, ())

    def related(self, word: str) -> frozenset[str]:
        """What may be meant by `word`: itself, its synonyms and the words that it is a synonym of."""
        return self._related.get(word) or frozenset((word,))
