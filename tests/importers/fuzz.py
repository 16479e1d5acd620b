"""Mutates logs of every known kind and checks what reading them gives: no foreign error, and no count that is lost.

    python -m tests.importers.fuzz --mutations 100000 --seed 0

Three in four mutations change values inside of a record (replaced by junk, deleted, inserted, renamed, doubled, or
taken from another log), and one in four changes the bytes of a file. Prints how many came to runs, drops and errors.
"""

import argparse
import copy
import gzip
import json
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from lrat_hub.errors import LratError
from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.formats import FORMATS
from tests.importers.fixtures import RECORDS

LOGS = Path(__file__).parent / "logs"
TRACES = Path(__file__).parent / "converters" / "traces"
DESCRIPTIONS = {"expected.json", "source.md", "mapping.yaml"}
JUNK = (
    None, True, False, -1, 0, 2**70, 1.5, 1e308, float("nan"), float("inf"), "", " ", "\ud800", "\0", "</think>",
    "<think>", "<tool_call>", "[", "{}", "[]", '[{"docid": {}}]', r'{"query": "\ud800"}', "=======", "x" * 5000,
    "A search for 'q' found 3 results:", "Error: 403", [], [None], [[]], {}, {"": None}, [[["x"]]], {"role": ["user"]},
    {"type": "session", "harness": 1}, {"type": {"type": []}}, {"content": {"content": []}}, ["a", "b"],
    [{"docid": 1}, {"docid": 1}],
    {"messages": [None]},
)  # fmt: skip


def texts_of_files():
    """The content of every log: name of the file, and its bytes."""
    for path in sorted(LOGS.glob("*/*")):
        if path.name not in DESCRIPTIONS:
            yield path.name, path.read_bytes()
    for path in sorted(TRACES.glob("*.gz")):
        yield path.name.removesuffix(".gz"), gzip.decompress(path.read_bytes())
    for name, (_, value) in RECORDS.items():
        yield f"{name.replace(' ', '-').replace(',', '')}.json", json.dumps(value).encode()


def values_of(files):
    """The files that are JSON, or lines of it, as lists of values."""
    for name, content in files:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        try:
            yield name, [json.loads(text)], ".json"
        except ValueError:
            try:
                yield name, [json.loads(line) for line in text.splitlines() if line.strip()], ".jsonl"
            except ValueError:
                continue


def paths_in(value, path=()):
    yield path
    if isinstance(value, (list, dict)):
        for key in range(len(value)) if isinstance(value, list) else value:
            yield from paths_in(value[key], (*path, key))


def mutated(value, others, rng):
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 4)):
        inner = [path for path in paths_in(value) if path]
        if not inner:
            return value
        *parents, key = rng.choice(inner)
        holder = value
        for parent in parents:
            holder = holder[parent]
        match rng.choice(["junk", "delete", "insert", "rename", "double", "graft", "text"]):
            case "delete":
                del holder[key]
            case "insert" if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(rng.choice(JUNK)))
            case "rename" if isinstance(holder, dict):
                holder[f"{key}_"] = holder.pop(key)
            case "double" if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case "graft":
                other = rng.choice(others)
                at = rng.choice(list(paths_in(other)))
                for step in at:
                    other = other[step]
                holder[key] = copy.deepcopy(other)
            case "text" if isinstance(holder[key], str) and holder[key]:
                text, cut = holder[key], rng.randrange(len(holder[key]))
                holder[key] = rng.choice(
                    [text[:cut], text[cut:], text[:cut] + rng.choice("\"'{}[]<>\n\\=") + text[cut:]]
                )
            case _:
                holder[key] = copy.deepcopy(rng.choice(JUNK))
    return value


def garbled(content, rng):
    content = bytearray(content)
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(content) + 1)
        match rng.choice(["cut", "byte", "insert", "double"]):
            case "cut":
                del content[at:]
            case "byte" if at < len(content):
                content[at] = rng.randrange(256)
            case "insert":
                content[at:at] = rng.randbytes(rng.randint(1, 4))
            case _:
                content += content[at : at + 2000]
    return bytes(content)


def check(runs, accounts):
    """What holds of every import."""
    for ledger in accounts.ledgers():
        ledger.to_dict()
        assert ledger.read == ledger.kept + ledger.num_dropped, ledger
    steps = [step for run in runs for step in run.steps]
    assert accounts.steps.read == len(steps), accounts.steps
    assert sum(step.action == "browse" for step in steps) <= accounts.browses.kept, accounts.browses
    assert sum(step.action == "search" for step in steps) <= accounts.calls.kept, accounts.calls
    for run in runs:
        assert [step.turn for step in run.steps] == list(range(len(run.steps)))
        json.dumps(run.to_dict(), allow_nan=False).encode()
        for step in run.steps:
            assert step.action != "invalid" or step.error is not None
            assert all(0 <= hit.query_index < len(step.queries) for hit in step.results)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutations", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(f"{args.mutations} mutations, seed {args.seed}: {dict(outcomes_of(args.mutations, args.seed))}")


def outcomes_of(mutations, seed):
    """What the mutations come to: how often to runs, to drops alone, and to an error of the project."""
    rng, outcomes = random.Random(seed), Counter()
    files = list(texts_of_files())
    values = list(values_of(files))
    everything = [value for _, records, _ in values for value in records]
    folder = Path(tempfile.mkdtemp())
    number, path = 0, folder
    try:
        for number in range(mutations):
            if number % 4:
                name, records, suffix = rng.choice(values)
                made = [mutated(record, everything, rng) for record in records]
                text = "\n".join(json.dumps(record) for record in made) if suffix == ".jsonl" else json.dumps(made[0])
                path, content = folder / f"{name.partition('.')[0]}{suffix}", text.encode("utf-8", "surrogatepass")
            else:
                name, content = rng.choice(files)
                path, content = folder / name, garbled(content, rng)
            path.write_bytes(content)
            outcomes[read(path, rng.choice([None, None, None, rng.choice(list(FORMATS))]))] += 1
            path.unlink()
    except BaseException:
        print(f"mutation {number} of seed {seed}, kept at {path}")
        raise
    shutil.rmtree(folder)
    return outcomes


def read(path, format):
    accounts = Accounts()
    try:
        runs = list(read_trajectories(path, accounts, format=format))
    except LratError:
        return "refused"
    check(runs, accounts)
    return "runs" if runs else "drops"


if __name__ == "__main__":
    main()
