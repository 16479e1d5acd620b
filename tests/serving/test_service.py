"""The service that all protocols share: what it answers, and what observers are told before it does."""

import asyncio
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lrat_hub.errors import LratError
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Document
from lrat_hub.serving.service import Backend, Caller, SearchService, ServedFeedback, ServedFetch
from tests.serving.conftest import Heard
from tests.waiting import HANGS_AFTER_SECONDS

CALLER = Caller("session-1", "argument", "somebody", "I wonder.")


def with_service(backend, scenario, **options):
    async def main():
        service = SearchService(backend, **options)
        try:
            return await scenario(service)
        finally:
            service.close()

    return asyncio.run(main())


def test_a_search_is_answered_as_by_the_retriever_itself_and_observed_before(backend, heard):

    async def scenario(service):
        return await service.search(["kabe lodo", "mifi"], 5, CALLER)

    search = with_service(backend, scenario, observers=[heard])
    assert [list(hits) for hits in search.lists] == backend.retriever.search(["kabe lodo", "mifi"], 5)
    assert (search.retriever, search.revision, search.role, search.k) == ("bm25", "a" * 40, "champion", 5)
    assert heard.calls == [(CALLER, search)]


def test_a_search_for_nothing_is_answered_with_nothing_and_not_collected(backend, heard):

    async def scenario(service):
        return await service.search([], 5, CALLER)

    assert with_service(backend, scenario, observers=[heard]).lists == ()
    assert heard.calls == []


def test_documents_are_opened_as_many_as_there_are(backend, heard):

    async def scenario(service):
        return await service.documents(["d3", "absent", "d0"], CALLER, search_id="s1")

    found = with_service(backend, scenario, observers=[heard])
    assert [document and document.docid for document in found] == ["d3", None, "d0"]
    assert heard.calls == [(CALLER, ServedFetch(("d3", "absent", "d0"), (True, False, True), "s1"))]


def test_titles_that_are_looked_up_for_a_list_are_no_fetch(backend, heard):

    async def scenario(service):
        return await service.look_up(["d1"])

    (document,) = with_service(backend, scenario, observers=[heard])
    assert (document.title, heard.calls) == ("Title 1", [])


def test_a_service_without_documents_says_so(backend):
    async def scenario(service):
        with pytest.raises(LratError, match="found one that only searches"):
            await service.documents(["d1"])

    with_service(Backend(backend.retriever), scenario)


def test_what_an_observer_can_not_keep_is_not_answered(backend):
    class Full(Heard):
        async def searched(self, caller, search):
            raise OSError("disk full")

        feedback = searched

    async def scenario(service):
        with pytest.raises(OSError, match="disk full"):
            await service.search(["kabe"], 1)
        with pytest.raises(OSError, match="disk full"):
            await service.feedback(ServedFeedback("s1", "d1", True))

    with_service(backend, scenario, observers=[Full()])


def test_a_replaced_retriever_answers_from_the_next_batch_on_and_no_answer_is_of_both(backend):
    other = Backend(BM25Retriever([Document("other", "", "kabe lodo")], revision="c" * 40))

    async def scenario(service):
        before = asyncio.gather(*(service.search(["kabe"] * 3, 2) for _ in range(20)))
        await asyncio.sleep(0)
        service.replace(other)
        answers = [*await before, await service.search(["kabe"], 2)]
        return answers

    for search in (answers := with_service(backend, scenario)):
        only_other = {hit.docid for hits in search.lists for hit in hits} == {"other"}
        assert only_other == (search.revision == "c" * 40)
    assert answers[-1].revision == "c" * 40


def test_no_queries_are_no_batch(backend):
    async def scenario(service):
        return await service.search([], 3)

    assert with_service(backend, scenario).lists == ()


def test_event_loops_may_use_a_service_one_after_the_other_and_not_at_once(backend):
    held, free = threading.Event(), threading.Event()

    class Held:
        name, revision = "held", None

        def search(self, queries, k):
            held.set()
            assert free.wait(HANGS_AFTER_SECONDS)
            return backend.retriever.search(queries, k)

    service = SearchService(dataclasses.replace(backend, retriever=Held()))

    async def several():
        calls = [service.search(["kabe"], 1), service.search(["lodo"], 1), service.documents(["d1"])]
        return await asyncio.wait_for(asyncio.gather(*calls), HANGS_AFTER_SECONDS)

    def lists(answers):
        return [search.lists for search in answers[:2]]

    with ThreadPoolExecutor(1) as threads:
        elsewhere = threads.submit(lambda: asyncio.run(several()))
        assert held.wait(HANGS_AFTER_SECONDS)
        try:
            with pytest.raises(LratError, match="expected one event loop"):
                asyncio.run(several())
        finally:
            free.set()
        assert lists(elsewhere.result()) == lists(asyncio.run(several()))
    service.close()
