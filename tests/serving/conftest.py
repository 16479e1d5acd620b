"""Services over a small corpus of made-up words."""

import pytest

from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Document
from lrat_hub.serving.service import Backend

WORDS = ["kabe", "lodo", "mifi", "rast", "nugu", "pelo"]
CORPUS = [
    Document(f"d{number}", f"Title {number}", f"{word} {WORDS[number % 5]} {' '.join(WORDS[: number % 4])}")
    for number, word in enumerate(WORDS * 4)
]


def make_backend():
    documents = {document.docid: document for document in CORPUS}
    return Backend(BM25Retriever(CORPUS, revision="a" * 40), "datasets/me/corpus@" + "b" * 40, lambda: documents)


@pytest.fixture
def backend():
    return make_backend()


class Heard:
    """An observer that keeps what it is told."""

    def __init__(self):
        self.calls = []

    async def searched(self, caller, search):
        self.calls.append((caller, search))

    async def fetched(self, caller, fetch):
        self.calls.append((caller, fetch))

    async def feedback(self, caller, note):
        self.calls.append((caller, note))

    async def answered(self, caller, note):
        self.calls.append((caller, note))


@pytest.fixture
def heard():
    return Heard()
