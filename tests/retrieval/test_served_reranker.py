"""A reranker behind HTTP, asked as vLLM's `/v1/rerank` is. The server here is a stand-in, written from vLLM's
protocol: results come best first and name their documents by index, and refusals are objects with a message."""

import json
import sys
import threading
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lrat_hub import open_retriever
from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import Inputs
from lrat_hub.retrieval.opening import RetrieverName
from lrat_hub.retrieval.served_reranker import DOCUMENTS, SPARE_TOKENS, ServedReranker

TEMPLATE = 5
"""Words that the stand-in puts around a query and a document."""


class StandIn(BaseHTTPRequestHandler):
    """Scores a document by how many of its words are in the query, from 0 to 1."""

    def do_GET(self):
        entries = [{"id": name, "object": "model", **self.server.described} for name in self.server.models]
        self.answer({"object": "list", "data": entries})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, asked, self.headers.get("Authorization")))
        if self.server.answers:
            return self.send(*self.server.answers)
        if self.server.fails:
            self.server.fails -= 1
            return self.answer({"error": {"message": "overloaded", "type": "x", "code": 503}}, 503)
        if asked["model"] not in self.server.models:
            return self.answer({"error": {"message": f"The model `{asked['model']}` does not exist."}}, 404)
        words = set(asked["query"].split())
        most = asked.get("max_tokens_per_doc", sys.maxsize)
        asked["documents"] = [" ".join(text.split()[:most]) for text in asked["documents"]]
        used = [TEMPLATE + len(f"{asked['query']} {text}".split()) for text in asked["documents"]]
        if max(used) > self.server.described.get("max_model_len", sys.maxsize):
            message = f"This model's maximum context length is exceeded by {max(used)} tokens."
            return self.answer({"error": {"message": message, "code": 400}}, 400)
        scores = [
            sum(word in words for word in text.split()) / max(1, len(text.split())) for text in asked["documents"]
        ]
        order = sorted(range(len(scores)), key=lambda number: -scores[number])[: self.server.most]
        results = [{"index": number, "document": {"text": asked["documents"][number]},
                    "relevance_score": scores[number]} for number in order]  # fmt: skip
        return self.answer(
            {"id": "rerank-1", "model": asked["model"], "usage": {"prompt_tokens": sum(used)}, "results": results}
        )

    def answer(self, value, status=200):
        self.send(status, json.dumps(value).encode())

    def send(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    server.models, server.asked, server.fails, server.most = ["Qwen/Qwen3-Reranker-0.6B"], [], 0, None
    server.answers, server.described = None, {}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_scores_are_of_the_documents_in_their_order_and_a_refusal_is_tried_again(server):
    reranker = ServedReranker(server.url, pause=0.01, token="secret")
    server.fails = 2
    assert reranker.score("kabe mifi", ["rast", "kabe", "kabe rast"]).tolist() == [0.0, 1.0, 0.5]
    path, asked, key = server.asked[-1]
    assert (path, key) == ("/v1/rerank", "Bearer secret")
    assert asked == {"model": "Qwen/Qwen3-Reranker-0.6B", "query": "kabe mifi",
                     "documents": ["rast", "kabe", "kabe rast"]}  # fmt: skip
    del server.asked[:]
    assert len(reranker.score("kabe", ["kabe"] * (DOCUMENTS + 1))) == DOCUMENTS + 1
    assert [len(asked["documents"]) for _, asked, _ in server.asked] == [DOCUMENTS, 1]


def test_documents_that_are_too_long_lose_their_ends_where_the_server_says_how_much_it_reads(server):
    """As vLLM 0.32 does it (tests/vllm_stage.py)."""
    server.described = {"max_model_len": 20}
    reranker = ServedReranker(server.url)
    long = "kabe " * 3 + "rast " * 30
    room = 20 - (TEMPLATE + 1) - SPARE_TOKENS
    assert reranker.score("kabe", [long, "kabe", "rast"]).tolist() == [3 / room, 1.0, 0.0]
    # What fits is sent once, and as it is.
    del server.asked[:]
    reranker.score("kabe", ["kabe", "rast"])
    assert [asked.keys() for _, asked, _ in server.asked] == [{"model", "query", "documents"}]
    with pytest.raises(LratError, match=r"status 400\. This model's maximum context length"):
        reranker.score("kabe " * 30, ["kabe"])
    server.described = {}
    silent = ServedReranker(server.url)
    server.described = {"max_model_len": 20}
    with pytest.raises(LratError, match=r"status 400\. This model's maximum context length"):
        silent.score("kabe", [long])


def test_it_ranks_again_what_a_first_stage_finds_by_its_url(server, documents):
    from datasets import Dataset

    corpus = Documents(Dataset.from_list([asdict(one) for one in documents[:60]]))
    inputs = Inputs()
    retriever = open_retriever(f"bm25>7:{server.url}", documents=corpus, inputs=inputs)
    (first,) = open_retriever("bm25", documents=corpus).search(["kabe mifi rast"], 7)
    (hits,) = retriever.search(["kabe mifi rast"], 7)
    assert {hit.docid for hit in hits} == {hit.docid for hit in first}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len({hit.score for hit in hits}) > 1
    assert retriever.name == "bm25>7:Qwen/Qwen3-Reranker-0.6B"
    assert retriever.revision is None
    (recorded,) = [text for text in inputs.pins.values() if "Qwen3-Reranker" in str(text)]
    assert "served at" in str(recorded)
    name = RetrieverName.parse(f"bm25>20:{server.url}")
    assert [(part.kind, part.text) for part in name.leaves()] == [("bm25", "bm25"), ("served_reranker", server.url)]
    assert name.depth == 20
    with pytest.raises(LratError, match="only references at a full commit sha are allowed here, not a server"):
        open_retriever(f"bm25>{server.url}", documents=corpus, inputs=Inputs(require_pinned=True))


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b'{"results": [{"index": 0, "relevance_score": 0.1}, {"index": 0, "relevance_score": 0.9}, '
              b'{"index": 1, "relevance_score": 0.2}]}', "found 3 scores, finite ones of 2 documents"),
        (200, b'{"results": [{"index": 0, "relevance_score": NaN}, {"index": 1, "relevance_score": 1}]}',
         "found 2 scores, finite ones of 1 documents"),
        (200, b'{"results": [{"index": 0, "relevance_score": 1' + b"0" * 400 + b"}]}",
         "expected the answer of a reranker"),
        (200, b'[{"index": 0, "score": 0.1}, {"index": 1, "score": 0.2}]', "expected the answer of a reranker"),
        (200, b"<html>welcome</html>", "expected JSON of a reranker"),
        (200, b"[" * 100_000, "expected JSON of a reranker"),
        # As vLLM says it now, as it did before 0.10, and as FastAPI does.
        (400, b'{"error": {"message": "at most 512 tokens", "code": 400}}', "status 400. at most 512 tokens"),
        (400, b'{"object": "error", "message": "at most 512 tokens", "code": 400}', "status 400. at most 512 tokens"),
        (404, b'{"detail": "Not Found"}', "refused with status 404. Not Found"),
        (500, b"<html>oops</html>", "refused with status 500. Internal Server Error"),
    ],
)  # fmt: skip
def test_what_is_no_answer_ends_in_one_line(server, status, body, message):
    reranker = ServedReranker(server.url)
    server.answers = (status, body)
    with pytest.raises(LratError, match=message) as raised:
        reranker.score("kabe", ["kabe", "rast"])
    assert "\n" not in str(raised.value)


def test_what_a_server_reads_is_not_counted_here(server, documents):
    from datasets import Dataset

    from lrat_hub.evaluation.costs import MeasuredRetriever

    corpus = Documents(Dataset.from_list([asdict(one) for one in documents[:60]]))
    for name, tokens in (("bm25", 0), (f"bm25>7:{server.url}", None), (f"bm25+bm25>7:{server.url}", None)):
        measured = MeasuredRetriever(open_retriever(name, documents=corpus), documents=60)
        measured.search(["kabe mifi rast"], 7)
        assert (measured.cost.tokens, measured.cost.vectors) == (tokens, 0)


def test_other_servers_and_answers_are_refused_in_one_line(server):
    with pytest.raises(LratError, match=r"expected a server of me/other, found one of Qwen/Qwen3-Reranker-0\.6B"):
        ServedReranker(server.url, "me/other")
    reranker = ServedReranker(server.url)
    server.most = 1
    with pytest.raises(LratError, match="found 1 scores, finite ones of 1 documents"):
        reranker.score("kabe", ["kabe", "rast"])
    server.models = ["a", "b"]
    with pytest.raises(LratError, match="refused with status 404"):
        reranker.score("kabe", ["kabe", "rast"])
    with pytest.raises(LratError, match="expected a server of one model, found one of a, b"):
        ServedReranker(server.url)
    with pytest.raises(LratError, match="Is vLLM serving a reranker there"):
        ServedReranker("http://127.0.0.1:9/v1", attempts=1)
