"""Damaged runs of frameworks cost what is damaged: no converter raises anything foreign, and no count is lost."""

import copy
import json
import random
from pathlib import Path
from zipfile import ZipFile

import pytest

from lrat_hub.importers import Accounts
from lrat_hub.importers.formats import FORMATS
from lrat_hub.importers.reading import trajectories_of
from lrat_hub.importers.sources.records import Record

RUNS = Path(__file__).parent / "runs"
NAMES = (
    "atif", "vercel", "llamaindex", "haystack", "gemini", "gemini-session", "langchain", "requests", "autogen",
    "pydantic-ai", "bedrock", "strands", "dspy", "openhands", "cohere", "microsoft",
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 2**70, 1.5, float("nan"), "", "x", "\ud800", "{}", "[]", [], {}, [1], [None], [[]],
    {"a": 1}, [{}], {"type": "text"}, [{"text": 3}], {"content": [{"type": "x"}]}, {"role": []}, [{"type": {}}],
)  # fmt: skip
MUTATIONS = 40


def values_of(path):
    if path.suffix == ".zip":
        with ZipFile(path) as files:
            return [json.loads(files.read(name)) for name in files.namelist()]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return json.loads(path.read_text())


def paths_in(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from paths_in(part, (*path, key))


def mutated(value, rng):
    """The value with a few of its parts taken out, replaced or put in."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice([1, 1, 2, 4])):
        path = rng.choice(list(paths_in(value)))
        if not path:
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        how = rng.random()
        if how < 0.3:
            del holder[path[-1]]
        elif how < 0.9 or isinstance(holder, dict):
            holder[path[-1]] = copy.deepcopy(rng.choice(VALUES))
        else:
            holder.insert(path[-1], copy.deepcopy(rng.choice(VALUES)))
    return value


@pytest.mark.parametrize("path", sorted(RUNS.iterdir()), ids=lambda path: path.name)
def test_damaged_runs_raise_nothing_and_lose_no_count(path):
    rng = random.Random(path.name)
    original = values_of(path)
    for _ in range(MUTATIONS):
        value = mutated(original, rng)
        for name in NAMES:
            known = FORMATS[name]
            reason = known.recognise(value)
            assert reason is None or isinstance(reason, str)
            if reason is None and rng.random() > 0.1:
                continue
            accounts = Accounts()
            list(trajectories_of(Record("log", None, value), known, accounts))
            assert accounts.records.read == 1
            for ledger in accounts.ledgers():
                ledger.to_dict()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_that_are_no_runs_are_drops(name, value):
    known = FORMATS[name]
    assert known.recognise(value) is None
    accounts = Accounts()
    assert list(trajectories_of(Record("log", None, value), known, accounts)) == []
    assert accounts.records.read == 1


@pytest.mark.parametrize("name", NAMES)
def test_deep_nesting_is_no_error(name):
    value = {}
    keys = ("messages", "content", "parts", "kwargs", "values", "request", "blocks", "data")
    for number in range(800):
        key = keys[number % len(keys)]
        value = {"role": "user", "type": "human", key: [value] if number % 2 else value}
    known = FORMATS[name]
    known.recognise(value)
    accounts = Accounts()
    list(trajectories_of(Record("log", None, value), known, accounts))
    assert accounts.records.read == 1
