"""Whatever is wrong with a file, it costs the broken part, and nothing but `LratError` is raised."""

import copy
import gzip
import json
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrat_hub.errors import LratError
from lrat_hub.importers import (
    FORMATS,
    Accounts,
    Redactor,
    load_trajectories,
    read_trajectories,
    trace_text,
)
from lrat_hub.importers.sources.records import CHUNK
from lrat_hub.schema import Trajectory, trajectory_features
from lrat_hub.storage import write_trajectories
from tests.importers.fixtures import OPENAI, RECORDS
from tests.importers.fuzz import outcomes_of
from tests.importers.test_release import REAL

JUNK = st.sampled_from(
    [None, True, -1, 0, 2**70, 1.5, 1e308, float("nan"), "", " ", "\ud800", "</think>", "[", "{}", '[{"docid": {}}]',
     r'{"query": "\ud800"}', [], [None], [[]], {}, {"": None}, [[["x"]]], {"role": ["user"]},
     {"type": "session", "harness": 1}]
).map(copy.deepcopy)  # fmt: skip


def places(value, path=()):
    """Paths to every value inside a value."""
    yield path
    if isinstance(value, (list, dict)):
        for key in range(len(value)) if isinstance(value, list) else value:
            yield from places(value[key], (*path, key))


def mutated(draw, value):
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 4))):
        inner = [path for path in places(value) if path]
        if not inner:
            break
        *parents, key = draw(st.sampled_from(inner))
        holder = value
        for parent in parents:
            holder = holder[parent]
        match draw(st.sampled_from(["replace", "delete", "insert", "rename"])):
            case "delete":
                del holder[key]
            case "insert" if isinstance(holder, list):
                holder.insert(key, draw(JUNK))
            case "rename" if isinstance(holder, dict):
                holder[f"{key}_"] = holder.pop(key)
            case _:
                holder[key] = draw(JUNK)
    return value


@pytest.fixture(scope="module")
def real():
    """A real run of the release, shortened, so that mutations hit more than its longest texts."""
    if not REAL.is_dir():
        return {}
    return {f"real {path.stem}": ("lrat", json.loads(path.read_bytes())) for path in sorted(REAL.glob("*.json"))}


def check(content, suffix, format):
    """Reads a file, and puts what comes out through all that is done with it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"run{suffix}"
        path.write_bytes(content)
        accounts = Accounts()
        try:
            runs = list(read_trajectories(path, accounts, format=format))
        except LratError:
            return
        for ledger in accounts.ledgers():
            ledger.to_dict()
        assert accounts.records.kept == len(runs)
        assert runs or accounts.records.dropped
        for run in runs:
            store(run)
            assert [step.turn for step in run.steps] == list(range(len(run.steps)))
            assert all((step.error is not None) or step.action != "invalid" for step in run.steps)
            redacted = Redactor().redact(run, accounts.texts)
            trace = Path(folder) / "trace.jsonl"
            trace.write_text(trace_text(redacted), encoding="utf-8")
            (again,) = read_trajectories(trace, Accounts(), format="traces")
            assert json.dumps(again.to_dict()) == json.dumps(redacted.to_dict())  # NaN is not equal to itself


def store(run):
    import pyarrow

    table = pyarrow.Table.from_pylist([run.to_dict()], schema=trajectory_features().arrow_schema)
    assert json.dumps(Trajectory.from_dict(table.to_pylist()[0]).to_dict()) == json.dumps(run.to_dict())


@pytest.mark.parametrize("name", RECORDS)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_runs_of_every_format_raise_nothing_else(name, data):
    format, run = RECORDS[name]
    content = json.dumps(mutated(data.draw, run), allow_nan=True).encode()
    format = data.draw(st.sampled_from([format, format, None, *FORMATS]))
    check(content, data.draw(st.sampled_from([".json", ".jsonl"])), format)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_real_runs_raise_nothing_else(real, data):
    if not real:
        pytest.skip("the real trajectories are not beside this checkout")
    run = data.draw(st.sampled_from(sorted(real.values(), key=str)))[1]
    run = {**run, "result": run["result"][: data.draw(st.integers(1, 12))]}
    check(json.dumps(mutated(data.draw, run)).encode(), ".json", data.draw(st.sampled_from(["lrat", None])))


@pytest.mark.parametrize("name", RECORDS)
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_files_that_are_cut_or_garbled_raise_nothing_else(name, data):
    format, run = RECORDS[name]
    content = json.dumps(run).encode()
    suffix = data.draw(st.sampled_from([".json", ".jsonl", ".json.gz", ".jsonl.gz", ".parquet"]))
    content = gzip.compress(content, mtime=0) if suffix.endswith(".gz") else content
    place = data.draw(st.integers(0, len(content)))
    match data.draw(st.sampled_from(["cut", "garble", "double"])):
        case "cut":
            content = content[:place]
        case "garble":
            content = content[:place] + data.draw(st.binary(min_size=1, max_size=4)) + content[place + 1 :]
        case "double":
            content += content[place:]
    check(content, suffix, data.draw(st.sampled_from([format, None])))


@pytest.mark.parametrize("name", RECORDS)
def test_an_unknown_key_and_an_unreadable_neighbour_change_nothing(name, tmp_path):
    format, run = RECORDS[name]
    if isinstance(run, dict):
        run = {**run, "unheard_of": {"of": [1]}}
    path = tmp_path / "runs.jsonl"
    good = json.dumps(run) if format != "traces" else "\n".join(map(json.dumps, run))
    path.write_bytes(f'{good}\n\n{{"cut": \nnull\n{good}\n'.encode() + b"\xff\n" + good.encode()[: len(good) // 2])
    accounts = Accounts()
    runs = list(read_trajectories(path, accounts))
    assert len(runs) == (3 if format == "traces" else 2)  # a session that is cut has its first steps
    assert runs[0].steps == runs[1].steps
    assert accounts.records.dropped["not UTF-8"] == 1
    assert accounts.records.dropped["not JSON"] == 2


def test_an_array_gives_its_runs_up_to_the_damage_and_is_read_piece_by_piece(tmp_path):
    long = json.dumps(OPENAI)
    padded = json.dumps({"pad": "x" * CHUNK, **OPENAI})
    path = tmp_path / "runs.json"
    path.write_text(f"[{long}, {padded}, {long}, 1234567, {long[:-1]}, {long}]")
    accounts = Accounts()
    assert [run.trajectory_id for run in read_trajectories(path, accounts)] == ["runs/1", "runs/2", "runs/3"]
    assert accounts.records.dropped == {"not a trajectory: no messages": 1, "not JSON": 1}


def test_lines_in_a_file_called_json_are_read_as_lines(tmp_path):
    path = tmp_path / "runs.json"
    path.write_text(f"{json.dumps(OPENAI)}\n{json.dumps(OPENAI)}\n")
    assert len(list(load_trajectories(path))) == 2


def test_parquet_rows_with_tool_calls_are_read(tmp_path):
    from datasets import Dataset

    messages = [
        {key: message.get(key) for key in ("role", "content", "reasoning_content", "tool_calls", "tool_call_id")}
        for message in OPENAI["messages"]
    ]
    Dataset.from_list([{"messages": messages}] * 2).to_parquet(tmp_path / "train.parquet")
    runs = list(load_trajectories(tmp_path))
    assert [[step.action for step in run.steps] for run in runs] == [["search", "browse", "answer"]] * 2


@pytest.mark.slow
def test_an_import_holds_a_few_runs_in_memory_and_not_the_file(tmp_path):
    lines = 800
    padded = json.dumps({**OPENAI, "question": "x" * 20_000})
    (tmp_path / "runs.jsonl").write_text(f"{padded}\n" * lines)
    table = write_trajectories([], tmp_path / "none.arrow")  # what is loaded on first use is not to be counted
    tracemalloc.start()
    try:
        table = write_trajectories(read_trajectories(tmp_path / "runs.jsonl", Accounts()), tmp_path / "runs.arrow")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(table) == lines
    assert peak < lines * len(padded) / 3


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".json.gz", ".parquet"])
def test_an_empty_file_is_counted_and_holds_nothing(suffix, tmp_path):
    path = tmp_path / f"runs{suffix}"
    path.write_bytes(gzip.compress(b"") if suffix.endswith(".gz") else b"")
    with pytest.raises(LratError, match="found none that can be read: 1 "):
        list(load_trajectories(path))


@pytest.mark.slow
def test_mutations_of_every_log_keep_all_counts():
    outcomes = outcomes_of(1_500, seed=0)
    assert outcomes["runs"] > outcomes["refused"] > 0
