"""Words and sentences of English text."""

from __future__ import annotations

import re

import xxhash

# A word starts with a letter or digit; "U.S." and "1,024" stay whole, a final "'s" is no part of the word.
_WORD = re.compile(r"(?<!\w['’])[^\W_]+(?:[.,'’-](?!s\b)[^\W_]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]* +(?=[\"'“‘(\[]*[^\W_a-z])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“‘])(?:[^\W\d_]|[^\W\d_](?:\.[^\W\d_])+"  # initials: "J." and "U.S."
    r"|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Lt|Col|Gen|Capt|Sgt|Rev|Hon|Gov|Sen|Rep|No|Nos|vs|v|cf|ca|c|ed|eds|vol|pp|p|fl|approx"
    r"|e\.g|i\.e|Inc|Ltd|Co|Corp|Bros|Mt|Ft|Jan|Feb|Aug|Sept|Oct|Nov|Dec)\.$"
)


def split_words(text: str) -> list[str]:
    return _WORD.findall(text)


def split_sentences(text: str) -> list[str]:
    """Splits running English text; its sentences joined by single spaces give it back, spaces apart."""
    sentences, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        sentence = text[start : match.end()].strip()
        if _ABBREVIATION.search(sentence) is None:
            sentences.append(sentence)
            start = match.end()
    rest = text[start:].strip()
    return [*sentences, rest] if rest else sentences


def stable_hash(text: str) -> int:
    """64 bits of a text, the same in every process and on every machine."""
    return xxhash.xxh3_64_intdigest(text.encode(errors="surrogatepass"))
