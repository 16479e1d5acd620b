"""Controls: the forgetting check, and how much a retriever goes by titles alone.

Questions of agents name titles, and training on them can teach a model to match titles and little else. No metric on
such questions shows what that costs: a model can gain on all of them and lose half of what it knew of texts. Two
controls do, and cost a minute:

- `content_check`: finds a passage by a sentence of it, without the words of its title. Compare before and after.
- `title_check`: the same judgements with the titles as queries. What these reach as well owes nothing to the agent's
  queries.
"""

from __future__ import annotations

import random
import unicodedata
from dataclasses import replace

from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.schema import Document
from lrat_hub.text import split_sentences, split_words

CHECK_METRIC = "recall@10"
CHECKED_PASSAGES = 500
MIN_WORDS = 5
"""Words that must be left of a sentence for it to be a query."""

CHECK_CORPUS = 2_000
"""Passages in which those of a bounded check are searched for, at most."""

LOOKS = 1_000
"""Passages read at once while those for the check are drawn."""


def content_check(documents: Documents, *, passages: int = CHECKED_PASSAGES, seed: int = 0) -> Benchmark:
    """Queries that only a passage's text answers: its last sentence, without the words of its title.

    Score it as any benchmark, before and after training, and look at `CHECK_METRIC`; a retriever that is there already
    serves here too, so that nothing is encoded twice::

        check = content_check(documents)
        before = check.score_model(base)
        after = check.score_model(trained)
        forgotten = check.difference(after, before, CHECK_METRIC)

    Args:
        documents: The corpus, or as little as the documents of mined pairs.
        passages: How many are drawn, seeded; all that serve where there are fewer. A passage serves when it has two
            sentences or more and five words are left of the last.

    Raises:
        LratError: No passage serves.
    """
    rows = random.Random(seed).sample(range(len(documents)), len(documents))
    queries: dict[str, str] = {}
    for start in range(0, len(rows), LOOKS):
        for document in documents.at(rows[start : start + LOOKS]):
            if len(queries) < passages and (query := sentence_query(document)):
                queries[document.docid] = query
        if len(queries) >= passages:
            break
    if not queries:
        raise LratError(
            f"Content check: expected passages of two sentences or more, with {MIN_WORDS} words or more in the last "
            f"that the title lacks, found none among {len(documents)}. There is nothing to check."
        )
    return Benchmark(documents, queries, {docid: {docid: 1} for docid in queries}, {docid: docid for docid in queries})


def bounded_check(
    documents: Documents, *, passages: int = CHECKED_PASSAGES, corpus: int = CHECK_CORPUS, seed: int = 0
) -> Benchmark:
    """`content_check` in a part of a corpus: the passages that are looked for, and others, drawn with a seed.

    Its cost has a bound, whatever the size of the corpus. In another part of it the values are others: compare models
    on the same.

    Args:
        corpus: Passages in all; as many as are looked for, where that is more.

    Raises:
        LratError: No passage serves.
    """
    check = content_check(documents, passages=passages, seed=seed)
    wanted = {documents.row(docid) for docid in check.queries}
    drawn = random.Random(f"{seed}/others").sample(range(len(documents)), len(documents))
    others = [row for row in drawn if row not in wanted][: max(0, corpus - len(wanted))]
    return replace(check, documents=documents.part(sorted({*wanted, *others})))


def sentence_query(document: Document) -> str | None:
    """The last sentence without the words of the title, whatever their case and accents; None where little is left."""
    sentences = split_sentences(document.text)
    if len(sentences) < 2:
        return None
    title = set(map(_plain, split_words(document.title)))
    words = [word for word in split_words(sentences[-1]) if _plain(word) not in title]
    return " ".join(words) if len(words) >= MIN_WORDS else None


def _plain(word: str) -> str:
    return "".join(
        character
        for character in unicodedata.normalize("NFKD", word.casefold())
        if not unicodedata.combining(character)
    )


def title_check(benchmark: Benchmark) -> Benchmark:
    """The benchmark with the titles of its relevant documents as queries: what looking up names alone would reach.

    A query a relevant document, of which that document is the answer; those of one question stay one cluster.
    Documents without a title, or not in the corpus, are left out.

    Raises:
        LratError: None is left.
    """
    queries, qrels, clusters = {}, {}, {}
    for query_id, grades in benchmark.qrels.items():
        for docid, grade in grades.items():
            if grade > 0 and docid in benchmark.documents and (title := benchmark.documents[docid].title):
                name = f"{query_id}/{docid}"
                queries[name], qrels[name], clusters[name] = title, {docid: grade}, benchmark.clusters[query_id]
    if not queries:
        raise LratError(
            "Title check: expected relevant documents with a title, found none. There is nothing to check."
        )
    return Benchmark(benchmark.documents, queries, qrels, clusters)
