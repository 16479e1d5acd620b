"""The service by HTTP: what it answers, what its description says of it, and requests that mean harm."""

import contextlib
import dataclasses
import json

import pytest
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from lrat_hub.errors import LratError
from lrat_hub.localhub.process import LOOPBACK
from lrat_hub.retrieval import Hit
from lrat_hub.serving.application import create_app
from lrat_hub.serving.gate import Tokens
from lrat_hub.serving.limits import Limits
from lrat_hub.serving.messages import SearchQuestion, parse_question
from lrat_hub.serving.metrics import ServiceMetrics
from lrat_hub.serving.service import Backend, Caller, SearchService, ServedAnswer, ServedFeedback, ServedFetch
from tests.serving.conftest import Heard

LONG_ID = "a" * 51
LIMITS = Limits(body=20_000, queries=4, query_length=50, k=20, documents=3)


def client_of(backend, *, observers=(), **options):
    metrics = ServiceMetrics()
    service = SearchService(backend, observers=observers, batch_observer=metrics)
    app = create_app(service, metrics=metrics, **{"hosts": LOOPBACK, "limits": LIMITS} | options)
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    # All requests on one event loop, as in a server.
    return _OPEN.enter_context(client)


_OPEN = contextlib.ExitStack()


@pytest.fixture(scope="module", autouse=True)
def _closed():
    with _OPEN:
        yield


@pytest.fixture
def client(backend):
    return client_of(backend)


def listed(backend, query, k):
    return [(hit.docid, hit.score) for hit in backend.retriever.search([query], k)[0]]


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_scores_that_no_json_has_are_an_error_of_the_retriever(score):
    class Odd:
        name, revision = "odd", None

        def search(self, queries, k):
            return [[Hit("d1", 1.0, 1), Hit("d2", score, 2)] for _ in queries]

    client = client_of(Backend(Odd(), None, dict))
    for path, question in (("/search", {"queries": ["a"], "k": 2}), ("/retrieve", {"queries": ["a"], "topk": 2})):
        answer = client.post(path, json=question)
        assert (answer.status_code, "expected finite scores" in answer.text) == (500, True)


def test_a_search_gives_lists_with_titles_and_snippets_where_they_are_asked_for(backend, heard):
    client = client_of(backend, observers=[heard])
    question = {"queries": ["kabe lodo", "mifi"], "k": 3, "session_id": "s", "reasoning": "Where is kabe?"}
    answer = client.post("/search", json=question | {"include": ["snippet", "title"]}).json()
    for query, results in zip(question["queries"], answer["results"], strict=True):
        assert [(result["docid"], result["score"]) for result in results] == listed(backend, query, 3)
        for result in results:
            document = backend.documents()[result["docid"]]
            assert (result["title"], result["snippet"]) == (document.title, document.text[:300])
    assert answer["revision"] == "a" * 40
    plain = client.post("/search", json=question).json()
    assert set(plain["results"][0][0]) == {"docid", "score"}
    (caller, first), (_, second) = heard.calls
    assert caller == Caller("s", "argument", None, "Where is kabe?")
    assert (first.search_id, second.search_id) == (answer["search_id"], plain["search_id"])
    assert first.search_id != second.search_id


def test_documents_are_opened_and_counted(backend, heard):
    client = client_of(backend, observers=[heard])
    answer = client.post("/documents", json={"docids": ["d2", "absent", "d0"], "search_id": "x"}).json()
    assert answer == {
        "documents": [dataclasses.asdict(backend.documents()[docid]) for docid in ("d2", "d0")],
        "asked": 3, "found": 2, "missing": ["absent"],
    }  # fmt: skip
    assert heard.calls == [(Caller(), ServedFetch(("d2", "absent", "d0"), (True, False, True), "x"))]


def test_feedback_is_kept_where_somebody_collects(backend, client, heard):
    note = {"search_id": "x", "docid": "d1", "used": True, "comment": "It says so."}
    assert client_of(backend, observers=[heard]).post("/feedback", json=note).json() == {"kept": True}
    assert heard.calls == [(Caller(), ServedFeedback("x", "d1", True, "It says so."))]
    assert client.post("/feedback", json=note).json() == {"kept": False}


def test_an_answer_is_kept_where_somebody_collects(backend, client, heard):
    note = {"answer": "Oslo", "question": "Where is it?", "session_id": "a", "reasoning": "It says so."}
    assert client_of(backend, observers=[heard]).post("/answer", json=note).json() == {"kept": True}
    assert heard.calls == [(Caller("a", "argument", None, "It says so."), ServedAnswer("Oslo", "Where is it?"))]
    assert client.post("/answer", json={"answer": ""}).json() == {"kept": False}


def test_health_and_metrics_tell_what_has_happened(backend):
    problems = []
    client = client_of(backend, problems=lambda: problems, details={"journal": lambda: {"records": 3}})
    client.post("/search", json={"queries": ["kabe", "lodo"], "k": 2})
    client.post("/search", json={"queries": ["kabe"], "k": 0})
    client.get("/absent/9")
    health = client.get("/health").json()
    assert (health["status"], health["waiting"], health["details"]) == ("ready", 0, {"journal": {"records": 3}})
    assert health["retriever"] == client.get("/").json()
    problems.append("The champion could not be loaded.")
    assert client.get("/health").json()["status"] == "degraded"
    metrics = client.get("/metrics").text
    for line in (
        'lrat_requests_total{route="/search",status="200"} 1.0',
        'lrat_requests_total{route="/search",status="422"} 1.0',
        'lrat_requests_total{route="other",status="404"} 1.0',
        "lrat_batch_queries_sum 2.0",
        "lrat_batch_requests_sum 1.0",
        "lrat_queue_queries 0.0",
    ):
        assert line in metrics.splitlines()


def test_search_r1s_protocol(backend, client):
    """The shapes of PeterGriffinJin/Search-R1@a14dc3a4ffc6fe88c1e95038d9738e21ba3f7a06,
    search_r1/search/retrieval_server.py, and of its client in search_r1/llm_agent/generation.py."""
    queries = ["kabe lodo", "mifi"]
    scored = client.post("/retrieve", json={"queries": queries, "topk": 2, "return_scores": True}).json()
    assert set(scored) == {"result"}
    for query, results in zip(queries, scored["result"], strict=True):
        assert [(result["document"]["id"], result["score"]) for result in results] == listed(backend, query, 2)
        for result in results:
            title, _, text = result["document"]["contents"].partition("\n")
            document = backend.documents()[result["document"]["id"]]
            assert (title, text) == (f'"{document.title}"', document.text)
    plain = client.post("/retrieve", json={"queries": queries, "topk": 2}).json()
    assert plain["result"] == [[result["document"] for result in results] for results in scored["result"]]
    # Without a number, or with 0, it gives three; and it takes what pydantic can convert.
    for question in ({"queries": queries}, {"queries": queries, "topk": 0}, {"queries": queries, "topk": "3", "x": 1}):
        assert [len(results) for results in client.post("/retrieve", json=question).json()["result"]] == [3, 3]
    assert client.post("/retrieve", json={"queries": []}).json() == {"result": []}


@pytest.mark.parametrize(
    ("question", "kind", "place"),
    [({"topk": 3}, "missing", ["body", "queries"]), ({"queries": "kabe"}, "list_type", ["body", "queries"]),
     ({"queries": [1]}, "string_type", ["body", "queries", 0]),
     ({"queries": [], "topk": "many"}, "int_parsing", ["body", "topk"])],
)  # fmt: skip
def test_search_r1s_errors_are_those_of_fastapi(client, question, kind, place):
    answer = client.post("/retrieve", json=question)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert (problem["type"], problem["loc"]) == (kind, place)
    assert {"msg", "input"} <= set(problem)


def test_the_description_is_of_the_routes_and_of_their_answers(client):
    from pydantic import BaseModel

    from lrat_hub.serving import messages

    document = client.get("/openapi.json").json()
    routes = {route.path: route.methods - {"HEAD"} for route in client.app.routes}
    assert {path: {method.upper() for method in methods} for path, methods in document["paths"].items()} == routes
    questions = {
        "/search": {"queries": ["kabe"], "k": 2, "include": ["title"]},
        "/documents": {"docids": ["d1", "x"]},
        "/feedback": {"search_id": "x", "docid": "d1", "used": False},
        "/answer": {"answer": "Oslo"},
        "/retrieve": {"queries": ["kabe"], "return_scores": True},
    }
    for path, methods in document["paths"].items():
        ((method, operation),) = methods.items()
        answer = client.request(method, path, json=questions[path] if method == "post" else None)
        assert answer.status_code == 200
        ((media, content),) = operation["responses"]["200"]["content"].items()
        assert answer.headers["content-type"] == media
        if content:
            model = getattr(messages, content["schema"]["$ref"].rpartition("/")[2])
            assert issubclass(model, BaseModel)
            assert model.__name__ in document["components"]["schemas"]
            given, read = answer.json(), model.model_validate_json(answer.content)
            assert json.loads(read.model_dump_json(exclude_unset=True)) == given
            wrong = client.request(method, path, json={"no": "question"}) if method == "post" else None
            if wrong is not None:
                (error,) = operation["responses"]["422"]["content"].values()
                getattr(messages, error["schema"]["$ref"].rpartition("/")[2]).model_validate_json(wrong.content)


def search_body(**changes):
    return json.dumps({"queries": ["kabe"], "k": 3} | changes)


HOSTILE = {
    **{
        f"search {name}": ("POST", "/search", body, {}, 422)
        for name, body in {
            "nothing": "", "null": "null", "list": "[]", "text": '"kabe"', "number": "1", "half": '{"queries": ["ka',
            "not JSON": "queries=kabe", "not UTF-8": b'{"queries": ["\xff"], "k": 1}', "deep": "[" * 9_000,
            "deep query": '{"queries": ' + "[" * 5_000 + "]" * 5_000 + ', "k": 1}', "NUL": b"\0" * 100,
            "one text": search_body(queries="kabe"), "null queries": search_body(queries=None),
            "number as query": search_body(queries=[1]), "null as query": search_body(queries=["kabe", None]),
            "object as query": search_body(queries=[{"$ne": ""}]), "list as query": search_body(queries=[["kabe"]]),
            "half a surrogate": '{"queries": ["\\ud800"], "k": 1}', "too many queries": search_body(queries=["a"] * 5),
            "long query": search_body(queries=["a" * 51]), "k of 0": search_body(k=0), "negative k": search_body(k=-1),
            "large k": search_body(k=21), "enormous k": '{"queries": ["a"], "k": 1' + "0" * 4_000 + "}",
            "k as text": search_body(k="3"), "k true": search_body(k=True), "k null": search_body(k=None),
            "k fraction": search_body(k=1.5), "k NaN": '{"queries": ["a"], "k": NaN}',
            "k infinite": '{"queries": ["a"], "k": 1e999}', "no k": '{"queries": ["a"]}', "no queries": '{"k": 1}',
            "further field": search_body(admin=True), "misspelt field": search_body(sesion_id="s"),
            "session as object": search_body(session_id={"$gt": ""}),
            "long session": search_body(session_id="s" * 501),
            "long reasoning": search_body(reasoning="r" * 501), "unknown part": search_body(include=["password"]),
            "include as text": search_body(include="title"),
        }.items()
    },
    **{
        f"documents {name}": ("POST", "/documents", body, {}, 422)
        for name, body in {
            "none": "{}", "text": '{"docids": "d1"}', "numbers": '{"docids": [1]}', "null": '{"docids": [null]}',
            "too many": json.dumps({"docids": ["d1"] * 4}),
        }.items()
    },
    **{
        f"feedback {name}": ("POST", "/feedback", body, {}, 422)
        for name, body in {
            "none": "{}", "word": '{"search_id": "x", "docid": "d1", "used": "yes"}',
            "long": json.dumps({"search_id": "x", "docid": "d1", "used": True, "comment": "c" * 501}),
        }.items()
    },
    **{
        f"retrieve {name}": ("POST", "/retrieve", body, {}, 422)
        for name, body in {
            "nothing": "", "deep": "[" * 9_000, "large": '{"queries": ["a"], "topk": 21}',
            "negative": '{"queries": ["a"], "topk": -3}', "long": json.dumps({"queries": ["a" * 51]}),
        }.items()
    },
    "path upwards": ("GET", "/../../etc/passwd", "", {}, 404),
    "path encoded": ("GET", "/%2e%2e/%00", "", {}, 404),
    "long path": ("GET", "/" + "a" * 5_000, "", {}, 404),
    "GET of a search": ("GET", "/search", "", {}, 405),
    "DELETE of documents": ("DELETE", "/documents", "", {}, 405),
    "POST to metrics": ("POST", "/metrics", "", {}, 405),
    "another host": ("GET", "/", "", {"Host": "elsewhere.example"}, 400),
    "another host that ends alike": ("GET", "/", "", {"Host": "127.0.0.1.elsewhere.example"}, 400),
    "a name before the host": ("GET", "/", "", {"Host": "127.0.0.1@elsewhere.example"}, 400),
    "no host": ("POST", "/search", search_body(), {"Host": ""}, 400),
    "two hosts": ("GET", "/", "", [("Host", "127.0.0.1"), ("Host", "elsewhere.example")], 400),
    "two sessions": ("POST", "/search", search_body(), [("Mcp-Session-Id", "a"), ("Mcp-Session-Id", "b")], 400),
    "two traces": ("POST", "/search", search_body(), [("traceparent", "a"), ("traceparent", "b")], 400),
    "a number that is none": ("POST", "/retrieve", '{"queries": ["kabe"], "topk": NaN}', {}, 422),
    "infinity": ("POST", "/retrieve", '{"queries": -Infinity}', {}, 422),
    "infinity in a list": ("POST", "/retrieve", '{"queries": {"a": [1e999]}}', {}, 422),
    "long id of a search": ("POST", "/documents", json.dumps({"docids": [], "search_id": LONG_ID}), {}, 422),
    "long id rated": ("POST", "/feedback", json.dumps({"search_id": "", "docid": LONG_ID, "used": True}), {}, 422),
    "no answer": ("POST", "/answer", "{}", {}, 422),
    "a number as answer": ("POST", "/answer", '{"answer": 5}', {}, 422),
    "long answer": ("POST", "/answer", json.dumps({"answer": 10 * LONG_ID}), {}, 422),
    "long question": ("POST", "/answer", json.dumps({"answer": "", "question": 10 * LONG_ID}), {}, 422),
    "long id of a document": ("POST", "/documents", json.dumps({"docids": [LONG_ID]}), {}, 422),
    "long reasoning": ("POST", "/documents", json.dumps({"docids": [], "reasoning": 10 * LONG_ID}), {}, 422),
    "long body": ("POST", "/search", " " * 20_001, {}, 413),
    "a length that is none": ("POST", "/search", "", {"Content-Length": "-5"}, 422),
    "a length that is a lie": ("POST", "/search", search_body(), {"Content-Length": "9" * 30}, 413),
}  # fmt: skip


def test_hostile_requests_are_many():
    assert len(HOSTILE) >= 60


@pytest.fixture(scope="module")
def lasting():
    """A service that has to stand all of them, one after the other."""
    from tests.serving.conftest import make_backend

    heard, backend = Heard(), make_backend()
    return client_of(backend, observers=[heard]), heard, backend


@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_request_changes_nothing_and_the_next_good_one_is_answered(
    lasting, method, path, body, headers, status
):
    client, heard, backend = lasting
    heard.calls.clear()
    answer = client.request(method, path, content=body, headers=headers)
    assert (answer.status_code, heard.calls) == (status, [])
    said = answer.json()
    error = said.get("error") or said["detail"]
    assert isinstance(error, list) or "expected" in error
    assert len(answer.content) < 3_000
    good = client.post("/search", json={"queries": ["kabe lodo"], "k": 3})
    assert [(hit["docid"], hit["score"]) for hit in good.json()["results"][0]] == listed(backend, "kabe lodo", 3)
    assert len(heard.calls) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"query": "x"}', "Search: expected `queries`, found none. Also wrong: `k`, `query`."),
        (b'{"queries": ["x"], "k": 1, "a": 1, "b": 1, "c": 1, "d": 1, "e": 1}',
         "Search: expected no further fields, found `a`. Also wrong: `b`, `c`, `d` and more."),
        (b'{"queries": ["x"], "k": 1, "a": 1}', "Search: expected no further fields, found `a`."),
    ],
)  # fmt: skip
def test_all_that_is_wrong_with_a_request_is_named(body, message):
    with pytest.raises(LratError) as raised:
        parse_question(SearchQuestion, body, "Search")
    assert str(raised.value) == message


def chunks(count):
    yield from (b" " * 1_000 for _ in range(count))


def test_a_body_without_a_length_is_read_no_further_than_it_may_be(client):
    answer = client.post("/search", content=chunks(21))
    assert (answer.status_code, answer.json()["error"][:35]) == (413, "Body: expected at most 20000 bytes,")


def test_a_body_that_another_protocol_refuses_is_not_read_to_its_end(backend):
    async def refuse(request):
        return Response(status_code=413)

    client = client_of(backend, routes=[Route("/other", refuse, methods=["POST"])])
    assert client.post("/other", content=chunks(3)).headers["connection"] == "close"


def test_a_retriever_that_breaks_costs_only_the_request(backend):
    class Breaks:
        name, revision = "breaks", None

        def search(self, queries, k):
            if "break" in queries:
                raise RuntimeError("out of order")
            return backend.retriever.search(queries, k)

    client = client_of(dataclasses.replace(backend, retriever=Breaks()))
    answer = client.post("/search", json={"queries": ["break"], "k": 1})
    assert (answer.status_code, "out of order" in answer.json()["error"]) == (500, True)
    assert client.post("/search", json={"queries": ["kabe"], "k": 1}).status_code == 200


@pytest.fixture
def tokens(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("# ours\nanna:secret-of-anna\n\nbert: secret-of-bert \nanna:next-of-anna\n")
    return Tokens.read(file)


def test_a_token_tells_its_subject(backend, tokens, heard):
    client = client_of(backend, observers=[heard], tokens=tokens)
    question = {"queries": ["kabe"], "k": 1}
    for token, subject in (("secret-of-anna", "anna"), ("secret-of-bert", "bert"), ("next-of-anna", "anna")):
        answer = client.post("/search", json=question, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        assert heard.calls[-1][0].subject == subject
    for wrong in ("", "Bearer", "Bearer ", "Basic secret-of-anna", "Bearer secret-of-ann", "Bearer anna"):
        for method, path in (("POST", "/search"), ("POST", "/retrieve"), ("GET", "/"), ("GET", "/metrics")):
            answer = client.request(method, path, headers={"Authorization": wrong} if wrong else {})
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.json()["error"].startswith("Token: expected")
    several = [("Authorization", f"Bearer {token}") for token in ("secret-of-anna", "secret-of-bert")]
    answer = client.post("/search", json=question, headers=several)
    assert (answer.status_code, answer.json()["error"][:35]) == (400, "Headers: expected one `authorizatio")
    assert client.get("/health").status_code == 200
    assert len(heard.calls) == 3


@pytest.mark.parametrize(
    "text", ["", "# nobody\n", "anna\n", "anna:\n", ":secret-of-nobody\n", "anna:short\n", "anna:schlüssel-der-anna\n"]
)
def test_files_that_hold_no_tokens_are_refused_and_not_quoted(tmp_path, text):
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(Exception, match="Tokens: expected") as caught:
        Tokens.read(file)
    assert "secret" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_each_subject_has_a_rate_of_its_own(backend, tokens):
    client = client_of(backend, tokens=tokens, limits=dataclasses.replace(LIMITS, rate=0.5))

    def ask(token, path="/"):
        return client.get(path, headers={"Authorization": f"Bearer {token}"})

    # Ten seconds' worth may come at once; the sixth would have to wait longer than this test can take.
    assert [ask("secret-of-anna").status_code for _ in range(5)] == [200] * 5
    refused = ask("next-of-anna")
    assert (refused.status_code, "requests a second of anna" in refused.json()["error"]) == (429, True)
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    assert ask("secret-of-bert").status_code == 200
    assert ask("secret-of-anna", "/health").status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost", "LOCALHOST:80"])
def test_a_server_answers_to_its_own_names(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(("host", "name"), [("[::1]:8971", "::1"), ("[::1]", "::1"), ("::1", "::1"), ("A.b:1", "a.b")])
def test_the_port_is_no_part_of_a_host(backend, host, name):
    client = client_of(backend, hosts=[name])
    assert client.get("/", headers={"Host": host}).status_code == 200
