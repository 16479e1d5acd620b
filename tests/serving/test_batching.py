"""Concurrent searches share batches, and nothing else: neither their answers nor their failures."""

import asyncio
import threading

import pytest

from lrat_hub.errors import LratError, Unavailable
from lrat_hub.serving.batching import Batcher, BatchSettings, Overloaded, SearchFailed


class Recorder:
    """A search that keeps what it was asked, and can be held."""

    def __init__(self):
        self.batches = []
        self.free = threading.Event()
        self.free.set()
        self.started = threading.Event()

    def __call__(self, queries, k):
        self.batches.append((list(queries), k))
        self.started.set()
        assert self.free.wait(30)
        if "bad" in queries:
            raise ValueError("bad query")
        if "refused" in queries:
            raise LratError("Query: expected a good one.")
        if "elsewhere" in queries:
            raise Unavailable("Search: expected a server, found none.")
        return "source", [[(query, rank) for rank in range(k)] for query in queries]


def run(scenario, **settings):
    search = Recorder()

    async def main():
        batcher = Batcher(search, BatchSettings(**settings))
        try:
            return await scenario(batcher, search)
        finally:
            search.free.set()
            batcher.close()

    return asyncio.run(main()), search.batches


async def held(batcher, search, *requests):
    """Sends requests while the search of a first one is held, so that they wait together."""
    search.free.clear()
    first = asyncio.create_task(batcher.search(["first"], 1))
    await asyncio.to_thread(search.started.wait)
    tasks = [asyncio.create_task(batcher.search(queries, k)) for queries, k in requests]
    await asyncio.sleep(0)
    search.free.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_requests_that_wait_share_a_batch_and_each_gets_its_own_lists():
    async def scenario(batcher, search):
        return await held(batcher, search, (["a"], 2), (["b", "c"], 2), (["d"], 3), (["e"], 2))

    answers, batches = run(scenario)
    # A request of another k waits for a batch of its own: fused lists of a larger k may start differently.
    assert batches == [(["first"], 1), (["a", "b", "c", "e"], 2), (["d"], 3)]
    assert [[hits[0][0] for hits in lists] for _, lists in answers] == [["a"], ["b", "c"], ["d"], ["e"]]
    assert [len(lists[0]) for _, lists in answers] == [2, 2, 3, 2]


def test_batches_are_no_larger_than_allowed_and_no_request_is_split_or_overtaken():
    async def scenario(batcher, search):
        return await held(batcher, search, (["a"], 1), (["b", "c", "d", "e"], 1), (["f"], 1), (["g"], 1))

    answers, batches = run(scenario, max_batch=3)
    assert [queries for queries, _ in batches] == [["first"], ["a"], ["b", "c", "d", "e"], ["f", "g"]]
    assert [len(lists) for _, lists in answers] == [1, 4, 1, 1]


@pytest.mark.parametrize(("bad", "kind"), [("bad", SearchFailed), ("refused", LratError)])
def test_a_bad_query_costs_only_its_own_request(bad, kind):
    async def scenario(batcher, search):
        answers = await held(batcher, search, (["a"], 1), ([bad, "b"], 1), (["c"], 1))
        return answers, await batcher.search(["later"], 1)

    (answers, later), _ = run(scenario)
    assert [type(answer) for answer in answers] == [tuple, kind, tuple]
    assert later[1] == [[("later", 0)]]


def test_what_does_not_answer_now_is_asked_once_for_all_who_wait():
    async def scenario(batcher, search):
        answers = await held(batcher, search, (["a"], 1), (["elsewhere"], 1), (["c"], 1))
        return answers, await batcher.search(["later"], 1)

    (answers, later), batches = run(scenario)
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert [queries for queries, _ in batches] == [["first"], ["a", "elsewhere", "c"], ["later"]]
    assert later[1] == [[("later", 0)]]


def test_a_batch_that_is_full_does_not_wait_for_more():
    async def scenario(batcher, search):
        tasks = [asyncio.create_task(batcher.search([str(number)], 1)) for number in range(4)]
        await asyncio.gather(*tasks[:3])
        fifth = [asyncio.create_task(batcher.search([name], 1)) for name in ("x", "y")]
        return await asyncio.gather(tasks[3], *fifth)

    # Whoever waited for as long as may be would not be done within this test's time.
    _, batches = run(scenario, max_batch=3, max_wait=60)
    assert [queries for queries, _ in batches] == [["0", "1", "2"], ["3", "x", "y"]]


def test_a_full_queue_refuses_and_takes_requests_again_when_it_is_shorter():
    async def scenario(batcher, search):
        answers = await held(batcher, search, (["a", "b"], 1), (["c", "d"], 1), (["e"], 1))
        return answers, await batcher.search(["x"] * 9, 1), batcher.waiting

    (answers, large, waiting), _ = run(scenario, max_queue=3)
    assert [type(answer) for answer in answers] == [tuple, Overloaded, tuple]
    assert answers[1].retry_after >= 1
    assert "at most 3 queries to wait, found 2 waiting and 2 more" in str(answers[1])
    # Larger than the queue, but nobody was waiting.
    assert len(large[1]) == 9
    assert waiting == 0


def test_whoever_has_gone_is_not_searched_for():
    async def scenario(batcher, search):
        search.free.clear()
        first = asyncio.create_task(batcher.search(["first"], 1))
        await asyncio.to_thread(search.started.wait)
        gone, stays = (asyncio.create_task(batcher.search([name], 1)) for name in ("gone", "stays"))
        await asyncio.sleep(0)
        gone.cancel()
        search.free.set()
        await asyncio.gather(first, stays)
        return batcher.waiting

    waiting, batches = run(scenario)
    assert [queries for queries, _ in batches] == [["first"], ["stays"]]
    assert waiting == 0


def test_a_retriever_that_gives_too_few_lists_fails():
    async def main():
        batcher = Batcher(lambda queries, k: ("source", []), BatchSettings())
        try:
            with pytest.raises(SearchFailed, match="expected 1 lists of the retriever, found 0"):
                await batcher.search(["a"], 1)
        finally:
            batcher.close()

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [{"max_batch": 0}, {"max_queue": 0}, {"max_wait": -1}, {"max_wait": float("nan")}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(LratError, match="Batches: expected"):
        BatchSettings(**wrong)
