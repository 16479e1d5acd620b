"""The data of a page: what it says of each run, and that it grows with the runs and not with memory."""

from __future__ import annotations

import json
import math
import re
import resource
import signal
import tracemalloc
from dataclasses import replace

import pytest
from datasets import Dataset

from lrat_hub import load_trajectories, mine_pairs
from lrat_hub.errors import LratError
from lrat_hub.obfuscation import OBFUSCATED_WITH, deobfuscate
from lrat_hub.schema import Candidate, Document, Sampling, Step, pair_features, trajectory_features
from lrat_hub.viewer import Notes, PairsOfRuns, build_bundle
from lrat_hub.viewer.bundle import INDEX_RUNS, RUNS_BYTES, page_files
from lrat_hub.viewer.runs import TEXT_CHARS, TITLE_CHARS, run_row
from tests.viewer.pages import CANARY, hostile_run, read_data, read_index, run


def pairs_of(runs):
    pairs = mine_pairs(runs).pairs
    return pairs, PairsOfRuns(
        {"train": Dataset.from_list([pair.to_dict() for pair in pairs], features=pair_features())}
    )


def test_a_run_says_where_its_documents_were_listed_opened_and_judged():
    row = run_row(run(0), Notes(qrels={"q0": {"c": 2, "e": 1, "never": 1, "a": 0}}))
    first, browse, _, shared, last = row["steps"]
    listed = [[(hit["rank"], hit["docid"], hit.get("grade"), hit.get("opened")) for hit in one["hits"]]
              for one in first["lists"]]  # fmt: skip
    # The browse belongs to the query that ranked the document best, and to that alone.
    assert listed == [
        [(1, "a", None, None), (2, "b", None, None), (3, "c", 2, None)],
        [(1, "c", 2, [1]), (2, "d", None, None)],
    ]
    assert [one["query"] for one in first["lists"]] == ["first", "second"]
    assert browse["from"] == {"turn": 0, "query": 1, "rank": 1}
    assert (browse["title"], browse["observation"], browse["words"]) == ("Title of c", "The page of c.", 5)
    assert shared["shared"]
    assert "words" not in shared
    assert last == {"turn": 4, "action": "answer", "reasoning": "Now I know.", "words": 3}
    assert row["evidence"] == [
        {"docid": "c", "grade": 2, "listed": 0, "opened": 1},
        {"docid": "e", "grade": 1, "listed": 2, "opened": 3},
        {"docid": "never", "grade": 1},
    ]


def test_pairs_stand_at_the_browse_that_they_were_mined_from():
    runs = [run(0), run(3)]
    pairs, of_runs = pairs_of(runs)
    for mined_from in runs:
        row = run_row(mined_from, Notes(pairs=of_runs))
        shown = {
            (step["turn"], pair["search_turn"], pair["positive"], pair["weight"], pair["length"], pair["verdict"])
            for step in row["steps"]
            for pair in step.get("pairs", ())
        }
        mined = {
            (one.browse_turn, one.search_turn, one.positive_id, one.weight, one.reasoning_length, one.verdict)
            for one in pairs
            if one.trajectory_id == mined_from.trajectory_id
        }
        assert shown == mined != set()


def test_documents_give_titles_and_texts_that_a_run_lacks():
    bare = replace(run(0), steps=tuple(
        replace(step, observation="", results=tuple(replace(hit, title="", snippet="") for hit in step.results))
        for step in run(0).steps
    ))  # fmt: skip
    documents = {name: Document(name, f"Known as {name}", f"Text of {name}.") for name in "abcd"}
    first, browse, *_ = run_row(bare, Notes(documents=documents))["steps"]
    assert first["lists"][0]["hits"][0] == {
        "rank": 1, "docid": "a", "title": "Known as a", "snippet": "Text of a.", "score": 10.0
    }  # fmt: skip
    assert (browse["title"], browse["observation"]) == ("Known as c", "Text of c.")


def test_long_texts_are_cut_and_say_so_and_nothing_breaks_the_json():
    row = run_row(hostile_run(), Notes())
    text = row["steps"][1]["observation"]
    assert len(text) < TEXT_CHARS + 100
    assert text.endswith("more characters are not in this page)")
    # What a list shows is not said again as text, and JSON has no NaN.
    assert "score" not in row["steps"][0]["lists"][0]["hits"][0]
    json.dumps(row, allow_nan=False)


def test_numbers_that_json_does_not_have_are_left_out_wherever_they_stand(tmp_path):
    _, pairs = pairs_of([run(0)])
    odd = [replace(pair, weight=math.nan) for _, pair in pairs.of("run-0")]
    rows = Dataset.from_list([pair.to_dict() for pair in odd], features=pair_features())
    sampled = replace(run(0), sampling=Sampling(temperature=math.inf, top_p=0.9))
    build_bundle([sampled], tmp_path / "page", title="runs", notes=Notes(pairs=PairsOfRuns({"train": rows})))
    (page,) = read_data(tmp_path / "page", "runs/0")
    assert page["sampling"] == {"top_p": 0.9}
    assert [pair["weight"] for step in page["steps"] for pair in step.get("pairs", ())] == [None] * len(odd) != []


def test_lists_go_by_their_numbers_and_titles_have_an_end():
    """A log may number a list as no query is: a page of a million empty lists helps nobody."""
    results = (Candidate(10**6, 1, "far", "long " * 1_000), Candidate(0, 1, "near"))
    row = run_row(run(0, steps=(Step(0, "", "search", queries=("one", "two"), results=results),)), Notes())
    lists = row["steps"][0]["lists"]
    assert [(one["query"], [hit["docid"] for hit in one["hits"]]) for one in lists] == [
        ("one", ["near"]), ("two", []), ("", ["far"])
    ]  # fmt: skip
    assert len(lists[2]["hits"][0]["title"]) < TITLE_CHARS + 100


@pytest.mark.parametrize("name", [*trajectory_features(), "fields of steps"])
def test_a_value_that_is_missing_in_a_file_is_no_obstacle(name, tmp_path):
    row = run(0).to_dict()
    if name in row:
        row[name] = None
    else:
        row["steps"] = [
            {key: step[key] if key in ("turn", "action") else None for key in step} for step in row["steps"]
        ]
    table = Dataset.from_list([run(1).to_dict(), row], features=trajectory_features())
    build_bundle(load_trajectories(table), tmp_path / "page", title="runs")
    assert len(read_index(tmp_path / "page")) == 2


def test_an_index_in_parts_leads_to_every_run(tmp_path):
    count = 2 * INDEX_RUNS + 7
    padded = "p" * 3_000
    runs = [run(number, metadata="{}", final_answer=padded) for number in range(count)] + [hostile_run()]
    bundle = build_bundle(runs, tmp_path / "page", title="some runs", inputs={"trajectories": "pin"})
    meta, rows = read_data(tmp_path / "page", "meta"), read_index(tmp_path / "page")
    assert (bundle.runs, meta["runs"], len(rows)) == (count + 1,) * 3
    assert meta["inputs"] == {"trajectories": "pin"}
    assert {one["file"] for one in rows} == set(range(len(list((tmp_path / "page/data/runs").iterdir()))))
    files = {number: read_data(tmp_path / "page", f"runs/{number}") for number in {one["file"] for one in rows}}
    assert len(files) > 2
    for one, made in zip(rows, runs, strict=True):
        assert files[one["file"]][one["place"]]["id"] == one["id"] == made.trajectory_id
        facets = {name: meta["facets"][name][one[name]][0] for name in meta["facets"]}
        assert facets == {name: getattr(made, name) for name in facets}
    assert sum(count for _, count in meta["facets"]["outcome"]) == bundle.runs
    sizes = [path.stat().st_size for path in (tmp_path / "page/data/runs").iterdir()]
    assert max(sizes) < 1.1 * RUNS_BYTES
    for name, content in page_files().items():
        assert (tmp_path / "page" / name).read_bytes() == content


def test_the_builder_holds_a_part_and_not_the_runs(tmp_path):
    def peak(count):
        tracemalloc.start()
        build_bundle((run(number) for number in range(count)), tmp_path / str(count), title="runs")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    # A part is what both hold at most: INDEX_RUNS of the index, RUNS_BYTES of runs.
    assert peak(6 * INDEX_RUNS) < 1.5 * peak(2 * INDEX_RUNS)


def test_runs_on_obfuscated_questions_stay_obfuscated(tmp_path):
    # Without an id of the question, too: its text must not take the id's place.
    secret = run(0, question="Which secret question is it?", metadata=json.dumps({OBFUSCATED_WITH: CANARY}))
    secret = replace(secret, query_id="")
    bundle = build_bundle([secret, run(1)], tmp_path / "page", title="runs")
    assert bundle.obfuscated == 1
    for path in (tmp_path / "page" / "data").rglob("*.js"):
        assert "secret question" not in path.read_text()
        # The other run says it once, the obfuscated one does not.
        assert path.read_text().count("I look for it.") == (path.parent.name == "runs")
    stored = read_data(tmp_path / "page", "runs/0")[0]
    assert json.loads(deobfuscate(stored["text"], CANARY)) == run_row(secret, Notes())


def test_a_folder_with_something_else_is_left_alone_and_an_earlier_page_is_replaced(tmp_path):
    folder = tmp_path / "page"
    folder.mkdir()
    build_bundle([run(0)], folder, title="one")
    build_bundle([run(1), run(2)], folder, title="two")
    assert read_data(folder, "meta")["title"] == "two"

    def failing():
        yield run(0)
        raise LratError("the source ended")

    with pytest.raises(LratError, match="the source ended"):
        build_bundle(failing(), folder, title="three")
    assert read_data(folder, "meta")["title"] == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["page"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(LratError, match="expected a new folder, or one with an earlier page"):
        build_bundle([run(0)], other, title="four")
    assert (other / "thesis.txt").read_text() == "mine"
    # A link leads to the folder that is meant, and stays.
    (tmp_path / "link").symlink_to(folder)
    build_bundle([run(1)], tmp_path / "link", title="five")
    assert read_data(folder, "meta")["title"] == "five"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("name", ["thesis.txt", ".git/config", "data/mine.csv", "data/runs/notes.js", "empty/"])
def test_a_page_among_files_of_others_is_not_replaced(name, tmp_path):
    folder = tmp_path / "page"
    build_bundle([run(0)], folder, title="one")
    path = folder / name
    if name.endswith("/"):
        path.mkdir()
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    with pytest.raises(LratError, match=f"and nothing else, found {re.escape(name.rstrip('/'))} too"):
        build_bundle([run(1)], folder, title="two")
    assert path.exists()
    assert read_data(folder, "meta")["title"] == "one"


def test_a_site_of_others_with_a_file_of_that_name_is_no_page(tmp_path):
    (tmp_path / "site" / "data").mkdir(parents=True)
    (tmp_path / "site" / "data" / "meta.js").write_text("theirs")
    with pytest.raises(LratError, match="found something else"):
        build_bundle([run(0)], tmp_path / "site", title="runs")
    assert (tmp_path / "site" / "data" / "meta.js").read_text() == "theirs"


def test_a_disk_that_is_full_leaves_the_earlier_page(tmp_path):
    folder = tmp_path / "page"
    build_bundle([run(0)], folder, title="one")

    def filling():
        yield run(1)
        # The kernel refuses what is written behind this size, as it does on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        yield run(2)

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError, match="File too large"):
            build_bundle(filling(), folder, title="two")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert read_data(folder, "meta")["title"] == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_judgements_and_pairs_of_other_runs_are_refused(tmp_path):
    with pytest.raises(LratError, match="0 of 1 questions of the runs are among the 1 questions with evidence"):
        build_bundle([run(0)], tmp_path / "page", title="runs", notes=Notes(qrels={"7": {"a": 1}}))
    _, others = pairs_of([run(3)])
    with pytest.raises(LratError, match="0 of 1 runs are among the 1 runs that pairs were mined from"):
        build_bundle([run(0)], tmp_path / "page", title="runs", notes=Notes(pairs=others))
    with pytest.raises(LratError, match="expected runs to show, found none"):
        build_bundle([], tmp_path / "page", title="runs")
    assert not (tmp_path / "page").exists()


def test_what_was_written_of_a_run_is_what_its_source_says(tmp_path):
    """A page of a dataset on a Hub has the same runs as one of the records in memory."""
    runs = [run(number) for number in range(4)]
    table = Dataset.from_list([one.to_dict() for one in runs], features=trajectory_features())
    build_bundle(load_trajectories(table), tmp_path / "table", title="runs")
    build_bundle(runs, tmp_path / "records", title="runs")
    for name in ("meta", "index/0", "runs/0"):
        assert read_data(tmp_path / "table", name) == read_data(tmp_path / "records", name)
