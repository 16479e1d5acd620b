"""Records of one run are put together per file, whatever stands between them, and in bounded memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.concerns import concerns
from lrat_hub.importers.source_records import DIVIDED_RUNS
from lrat_hub.importers.sources.grouping import Oversized, by_key, parts_of
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.summary import Summary
from lrat_hub.importers.values import UnreadableRecord


def run_of(value: Any) -> str | None:
    return value.get("run")


def records(source: str, *runs: str | None) -> list[Record]:
    return [Record(source, line, {"run": run, "line": line}) for line, run in enumerate(runs, start=1)]


def test_records_with_the_same_key_become_one_in_file_order_under_the_name_of_the_first() -> None:
    grouped = list(by_key(run_of)(iter(records("log", "a", "b", "a", "b", "a"))))
    assert [record.name for record in grouped] == ["log/1", "log/2"]
    assert [[part["line"] for part in record.value] for record in grouped] == [[1, 3, 5], [2, 4]]


def test_files_are_kept_apart() -> None:
    grouped = list(by_key(run_of)(iter(records("one", "a") + records("two", "a", "a"))))
    assert [(record.name, len(record.value)) for record in grouped] == [("one/1", 1), ("two/1", 2)]


def test_records_without_a_key_pass_as_they_are() -> None:
    alone = records("log", None)[0]
    grouped = list(by_key(run_of)(iter([*records("log", "a"), alone])))
    assert alone in grouped
    assert len(grouped) == 2
    assert parts_of(alone.value) == [alone.value]


def test_nothing_is_read_ahead_where_records_stand_alone() -> None:
    def endless() -> Iterator[Record]:
        while True:
            yield Record("log", None, {})

    assert next(by_key(run_of)(endless())).value == {}


@pytest.mark.parametrize("limits", [{"max_records": 2}, {"max_bytes": 100}])
def test_a_run_beyond_a_limit_is_dropped_with_the_reason_and_costs_no_other(limits: dict[str, int]) -> None:
    grouped = list(by_key(run_of, **limits)(iter(records("log", "a", "b", "a", "a", "a", "a", "a"))))
    assert isinstance(grouped[0].value, Oversized)
    assert len(grouped[1].value) == 1
    with pytest.raises(UnreadableRecord, match="run of more than"):
        parts_of(grouped[0].value)


def test_values_that_json_does_not_have_and_odd_keys_are_kept() -> None:
    value = {"run": "\ud800", "bytes": b"\0", "large": 10**400, "nan": float("nan")}
    (record,) = by_key(run_of)(iter([Record("log", 1, value)]))
    assert record.value[0]["large"] == 10**400


def test_a_value_that_is_nested_too_deeply_costs_itself() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    grouped = list(by_key(run_of)(iter([Record("log", 1, {"run": "a", "deep": deep}), *records("log", "a")])))
    assert [record.name for record in grouped] == ["log/1", "log/1"]
    assert len(grouped[1].value) == 1
    while deep:  # taken apart here: the interpreter frees it by recursion otherwise
        deep = deep.pop()


def test_memory_is_flat_in_the_number_of_records() -> None:
    def many(count: int) -> Iterator[Record]:
        return (Record("log", line, {"run": str(line % (count // 4)), "text": "word " * 200}) for line in range(count))

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            assert sum(len(record.value) for record in by_key(run_of)(many(count))) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # Python's own memory; what SQLite keeps is bounded by its cache.
    assert peak(4_000) < 2 * peak(400)


def test_runs_that_go_on_in_another_file_are_a_loss_with_a_warning(tmp_path) -> None:
    def line(run: str, role: str, content: str) -> str:
        return json.dumps({"trace": run, "role": role, "content": content}) + "\n"

    (tmp_path / "one.jsonl").write_text(
        line("a", "user", "Who?") + line("b", "user", "When?") + line("a", "assistant", "L.")
    )
    (tmp_path / "two.jsonl").write_text(
        line("b", "assistant", "Now.") + line("c", "user", "Why?") + line("c", "assistant", "So.")
    )
    accounts = Accounts()
    runs = list(read_trajectories(tmp_path, accounts, group_by="trace"))
    assert len(runs) == 4
    assert accounts.records.lost[DIVIDED_RUNS] == 1
    assert "b in one and two" in accounts.records.examples[DIVIDED_RUNS]
    summary = Summary()
    for run in runs:
        summary.count(run)
    assert any(text.startswith(f"1 {DIVIDED_RUNS}") for text in concerns(summary, accounts))


def test_runs_of_the_same_name_in_several_files_are_told_from_parts_of_one(tmp_path) -> None:
    lines = [{"run": 1, "role": "user", "content": "Who?"}, {"run": 1, "role": "assistant", "content": "L."}]
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    accounts = Accounts()
    assert len(list(read_trajectories(tmp_path, accounts, group_by="run"))) == 2
    assert DIVIDED_RUNS not in accounts.records.lost
