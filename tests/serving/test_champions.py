"""A champion that moves while it is searched, and a challenger that nobody waits for."""

import asyncio
import threading

import pytest

from lrat_hub.errors import LratError
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Document
from lrat_hub.serving.champions import SHADOW_QUEUE, ChampionFollower, Shadow
from lrat_hub.serving.journal import NotWritten
from lrat_hub.serving.metrics import ServiceMetrics
from lrat_hub.serving.service import Backend, SearchService
from tests.serving.conftest import Heard
from tests.serving.test_service import CALLER


def generation(number):
    """A retriever whose documents say which one it is."""
    documents = [Document(f"g{number}-{docid}", "", "kabe lodo") for docid in range(3)]
    return Backend(BM25Retriever(documents, revision=str(number) * 40), pin=f"me/index@{number}")


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels) or 0.0


def test_a_champion_is_swapped_under_load_and_every_request_is_answered_by_one_of_them():
    metrics, tag = ServiceMetrics(), ["me/index@0"]

    async def main():
        service = SearchService(generation(0), batch_observer=metrics)
        follower = ChampionFollower(
            service, lambda: tag[0], lambda pin: generation(int(pin[-1])), pinned=tag[0], seconds=0.001,
            metrics=metrics,
        )  # fmt: skip
        answers, enough = [], asyncio.Event()

        async def client():
            while not enough.is_set():
                answers.append(await service.search(["kabe", "lodo"], 2))

        async with follower.following():
            clients = [asyncio.create_task(client()) for _ in range(8)]
            for number in range(4):
                tag[0] = f"me/index@{number}"
                while not any(search.pin == tag[0] for search in answers):
                    await asyncio.sleep(0.001)
            enough.set()
            await asyncio.gather(*clients)
        service.close()
        return answers

    answers = asyncio.run(main())
    assert {search.pin for search in answers} == {f"me/index@{number}" for number in range(4)}
    for search in answers:
        number = search.pin[-1]
        assert search.revision == number * 40
        assert [[hit.docid for hit in hits] for hits in search.lists] == [[f"g{number}-0", f"g{number}-1"]] * 2
    assert value(metrics, "lrat_swaps_total", outcome="swapped") == 3
    assert value(metrics, "lrat_swaps_total", outcome="failed") == 0


def test_what_can_not_be_loaded_leaves_the_old_one_until_it_can():
    metrics, tag, broken = ServiceMetrics(), ["me/index@0"], []

    def pin():
        if "hub" in broken:
            raise OSError("no route to host")
        return tag[0]

    def load(pin):
        if "index" in broken:
            raise LratError("me/index: expected an index, found none.")
        return generation(int(pin[-1]))

    async def main():
        service = SearchService(generation(0))
        follower = ChampionFollower(service, pin, load, pinned="me/index@0", seconds=60, metrics=metrics)
        hub, index = "its tag could not be asked for; no route", "me/index@1 could not be loaded; me/index: exp"
        for what, said in (("hub", hub), ("index", index)):
            tag[0] = "me/index@1"
            broken[:] = [what]
            assert not await follower.look()
            assert said in follower.problem
            assert (await service.search(["kabe"], 1)).pin == "me/index@0"
        broken.clear()
        assert await follower.look()
        assert follower.problem is None
        assert (await service.search(["kabe"], 1)).pin == "me/index@1"
        assert not await follower.look()
        service.close()

    asyncio.run(main())
    assert value(metrics, "lrat_swaps_total", outcome="failed") == 2


def with_shadow(retriever, scenario, observers=()):
    metrics = ServiceMetrics()

    async def main():
        service = SearchService(generation(0), observers=observers)
        service.shadow = Shadow(Backend(retriever), service, metrics)
        try:
            return await scenario(service)
        finally:
            service.close()

    return asyncio.run(main()), metrics


def test_a_shadow_is_compared_and_observed_after_the_answer(heard):
    challenger = BM25Retriever(
        [Document("g0-0", "", "kabe lodo"), Document("other", "", "kabe lodo")], revision="f" * 40
    )

    async def scenario(service):
        search = await service.search(["kabe", "absent"], 2, CALLER)
        told_before = len(heard.calls)
        await service.shadow.settle()
        return search, told_before

    (search, told_before), metrics = with_shadow(challenger, scenario, [heard])
    (_, first), (caller, shadow) = heard.calls
    assert (first, told_before, caller) == (search, 1, CALLER)
    assert (shadow.search_id, shadow.role, shadow.revision) == (search.search_id, "shadow", "f" * 40)
    assert [[hit.docid for hit in hits] for hits in shadow.lists] == [["g0-0", "other"], []]
    # Of the two queries one finds nothing, which nothing can be compared with.
    assert value(metrics, "lrat_shadow_overlap_count") == 1
    assert value(metrics, "lrat_shadow_overlap_sum") == 0.5
    assert value(metrics, "lrat_shadow_queries_total", outcome="compared") == 2


def test_a_shadow_that_fails_or_hangs_costs_no_answer():
    release = threading.Event()

    class Challenger:
        name, revision = "challenger", None

        def search(self, queries, k):
            if "lodo" in queries:
                raise RuntimeError("out of order")
            assert release.wait(30)
            return [[] for _ in queries]

    async def scenario(service):
        await service.search(["lodo"], 2)
        await service.shadow.settle()
        assert service.shadow.problem.startswith("Shadow: challenger could not be compared; Search: the retriever fai")
        # It hangs with the first of these, and the others wait for it, as many as may.
        searches = [await service.search(["kabe"] * 64, 2) for _ in range(SHADOW_QUEUE // 64 + 2)]
        release.set()
        await service.shadow.settle()
        assert service.shadow.problem is None
        return searches

    searches, metrics = with_shadow(Challenger(), scenario)
    assert all(len(search.lists) == 64 for search in searches)
    assert value(metrics, "lrat_shadow_queries_total", outcome="failed") == 1
    assert value(metrics, "lrat_shadow_queries_total", outcome="left out") == 128
    assert value(metrics, "lrat_shadow_queries_total", outcome="compared") == SHADOW_QUEUE


def test_what_can_not_be_collected_of_a_shadow_has_failed_and_was_not_left_out():
    class Full(Heard):
        async def searched(self, caller, search):
            if search.role == "shadow":
                raise NotWritten("Journal: expected space, found none.")

    async def scenario(service):
        await service.search(["kabe"], 2)
        await service.shadow.settle()
        return service.shadow.problem

    problem, metrics = with_shadow(generation(1).retriever, scenario, [Full()])
    assert "expected space, found none" in problem
    assert value(metrics, "lrat_shadow_queries_total", outcome="failed") == 1


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_pause_that_is_none_is_refused(seconds):
    with pytest.raises(LratError, match="a pause of more than 0 seconds"):
        ChampionFollower(None, None, None, pinned="", seconds=seconds, metrics=None)
