"""Readers are code of others: what they give and raise costs a record, never the import."""

import datetime
import itertools
import json

import pytest

from lrat_hub.errors import LratError
from lrat_hub.importers import Accounts, check_import, read_trajectories
from tests.importers.fixtures import OPENAI


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no message")


class Unwritable:
    def __str__(self):
        raise RuntimeError("no text")


def mute(record):
    raise Mute


def cyclic(record):
    record["metadata"] = {}
    record["metadata"]["self"] = record["metadata"]
    return record


def late(record):
    yield record
    raise ValueError("too late")


FAILURES = {
    "an error without a text": mute,
    "an error after a record": late,
    "records without an end": lambda record: itertools.repeat(record),
    "keys of bytes": lambda record: {**record, "metadata": {b"key": 1}},
    "an object that can't be written": lambda record: {**record, "metadata": {"it": Unwritable()}},
    "a cycle": cyclic,
    "a coroutine's like": lambda record: 5,
}


def read(tmp_path, reader):
    path, accounts = tmp_path / "run.jsonl", Accounts()
    path.write_text(json.dumps(OPENAI))
    return path, list(read_trajectories(path, accounts, reader=reader)), accounts


@pytest.mark.parametrize("reader", FAILURES.values(), ids=FAILURES)
def test_a_reader_that_fails_costs_the_record(tmp_path, reader):
    path, runs, accounts = read(tmp_path, reader)
    assert runs == []
    assert (accounts.records.read, sum(accounts.records.dropped.values())) == (1, 1)
    with pytest.raises(LratError, match=r"none that can be read: 1 (the reader|nested)") as refused:
        check_import(path, accounts, strict=False)
    assert "A `reader`" not in str(refused.value)


def test_what_a_reader_gives_is_what_a_file_would_hold(tmp_path):
    given = {"day": datetime.date(2026, 1, 2), 7: "seven", "b": (1, 2), "a": {"x": None}}
    _, (run,), accounts = read(tmp_path, lambda record: {**record, "metadata": given})
    _, (plain,), _ = read(tmp_path, lambda record: record)
    assert run.steps == plain.steps
    stored = json.loads(run.metadata) if isinstance(run.metadata, str) else run.metadata
    assert stored["day"] == "2026-01-02"
    assert (stored["7"], stored["b"]) == ("seven", [1, 2])
    assert not accounts.records.dropped


def test_a_source_that_cannot_be_read_is_refused_with_a_way_in(tmp_path):
    path, accounts = tmp_path / "transcript.txt", Accounts()
    path.write_text("<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n<search> q </search>\n")
    assert list(read_trajectories(path, accounts)) == []
    with pytest.raises(LratError, match="a `reader` then makes chat records"):
        check_import(path, accounts, strict=False)
