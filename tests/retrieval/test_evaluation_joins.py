"""`lrat eval retrieval` where ids don't match, come twice, hold blanks, or are those of the queries' own documents."""

import json
import re
import shutil
from itertools import count
from pathlib import Path

import pytest
from datasets import Dataset, load_dataset
from huggingface_hub import HfApi, constants

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.evaluation.run_files import NAMES_FILE, read_run
from lrat_hub.evaluation.seen import TrainingPairs
from lrat_hub.hub.lineage import Lineage, read_lineage
from lrat_hub.hub.publish import publish_dataset, publish_folder
from lrat_hub.hub.refs import HubRef
from lrat_hub.mining.tables import pair_table
from lrat_hub.schema import Pair

TOPICS = ["granite quarry", "harbour light", "violin maker", "comet tail", "vineyard slope", "glacier tongue"]
TITLES = [topic.title() for topic in TOPICS]
"""Ids with a blank, as 2WikiMultihopQA and HotpotQA have them."""

DOCUMENTS = [
    {"docid": title, "title": title, "text": f"The {topic} is old and much visited."}
    for title, topic in zip(TITLES, TOPICS, strict=True)
]
QUERIES = [
    {"query_id": f"q{n}", "query": f"how old is the {topic}", "answer": "old"} for n, topic in enumerate(TOPICS)
]
QRELS = [{"query_id": f"q{n}", "docid": title, "relevance": 1} for n, title in enumerate(TITLES)]


EVALUATIONS = count()


def publish(name, lineage=None, **tables):
    ready = {
        config: {"train": rows if isinstance(rows, Dataset) else Dataset.from_list(rows)}
        for config, rows in tables.items()
    }
    ref = HubRef(f"lrat/{name}", "dataset")
    return publish_dataset(ref, ready, card="---\n---\n", lineage=lineage or Lineage("test", {}, {}))


@pytest.fixture(scope="module")
def titled(hub):
    return publish("joins-titled", corpus=DOCUMENTS, queries=QUERIES, qrels_evidence=QRELS)


def evaluate(corpus, *words):
    # Evaluations of other systems have other configs, which one repository would refuse to lose.
    to = f"joins-results-{next(EVALUATIONS)}"
    inputs = [f"--{name}={corpus}" for name in ("corpus", "queries", "qrels")]
    return cli.run(["eval", "retrieval", *inputs, "--check_passages", "0", "--to", f"lrat/{to}", *map(str, words)])[0]


def summary(pin):
    rows = load_dataset(pin.repo_id, "summary", revision=pin.revision, split="test")
    return {row["system"]: row for row in rows}


def file_of(pin, name):
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(pin.repo_id, name, repo_type="dataset", revision=pin.revision))


def run_lines(query="q{}", docid="{}", system="theirs"):
    return "".join(
        f"{query.format(n)} Q0 {docid.format(title).replace(' ', '%20')} 1 1.0 {system}\n"
        for n, title in enumerate(TITLES)
    )


@pytest.mark.slow
def test_ids_with_blanks_are_scored_written_and_read_back(titled, tmp_path, capsys):
    pin = evaluate(titled)
    assert summary(pin)["bm25"]["recall@1"] == 1
    path = file_of(pin, "runs/bm25.trec")
    assert "q0 Q0 Granite%20Quarry 1 " in path.read_text()
    assert '{"written": "Granite%20Quarry", "id": "Granite Quarry"}' in file_of(pin, f"runs/{NAMES_FILE}").read_text()
    assert read_run(path)[1]["q0"][0].docid == "Granite Quarry"
    # A copy without the table beside it, as another system of ours: it scores as the run itself does.
    copy = tmp_path / "copy.trec"
    copy.write_text(path.read_text().replace(" bm25\n", " again\n"))
    again = summary(evaluate(titled, "--runs", copy))
    assert {**again["again"], "system": "bm25"} == again["bm25"]
    assert "again: matched 6 of 6 judged queries with queries of the run file" in capsys.readouterr().out


def test_a_run_file_with_a_byte_order_mark_scores_as_it_does_without(titled, tmp_path):
    path = tmp_path / "marked.trec"
    path.write_bytes(b"\xef\xbb\xbf" + run_lines().replace("\n", "\r\n").encode())
    scores = summary(evaluate(titled, "--runs", path, "--no_bm25"))
    assert scores["theirs"]["recall@1"] == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (run_lines(query="Q{}"), "'q0'.*'Q0'.*6 of them would match but for upper and lower case"),
        (run_lines(query="topic-{}"), "would match but for a prefix"),
        (run_lines(query="{}.0"), r"0 of 6 judged queries .*'0\.0'"),
        (run_lines(query="other-x{}y"), "don't belong together"),
        (run_lines(docid="{}-chunk"), "0 of 6 documents of the run file are among the 6 documents"),
    ],
)
def test_a_run_file_of_other_ids_is_an_error_before_anything_is_searched(titled, lines, message, tmp_path, capsys):
    path = tmp_path / "other.trec"
    path.write_text(lines)
    with pytest.raises(LratError, match=message):
        evaluate(titled, "--runs", path)
    assert "published" not in capsys.readouterr().out


def test_a_run_file_of_half_of_the_queries_says_so_in_output_lineage_and_card(titled, tmp_path, capsys):
    path = tmp_path / "half.trec"
    path.write_text("".join(run_lines().splitlines(keepends=True)[:3]) + "extra Q0 Comet%20Tail 1 1 theirs\n")
    pin = evaluate(titled, "--runs", path, "--no_bm25")
    assert summary(pin)["theirs"]["recall@1"] == 0.5
    said_so = "theirs: matched 3 of 6 judged queries with queries of the run file"
    assert said_so in capsys.readouterr().out
    assert said_so in file_of(pin, "README.md").read_text()
    join = next(row for row in read_lineage(pin).counts["joins"] if row.get("system") == "theirs")
    assert (join["matched"], join["of"], join["wanted_strays"]) == (3, 6, ["q3", "q4", "q5"])
    assert join["given_strays"] == ["extra"]


def test_judgements_and_queries_that_meet_in_part_say_so(hub, capsys):
    qrels = [*QRELS, {"query_id": "q9", "docid": "Comet Tail", "relevance": 1},
             {"query_id": "q1", "docid": "Elsewhere", "relevance": 1}]  # fmt: skip
    pin = publish("joins-partial", corpus=DOCUMENTS, queries=QUERIES, qrels_evidence=qrels)
    card = file_of(evaluate(pin), "README.md").read_text()
    for text in (capsys.readouterr().out, card):
        assert "matched 6 of 7 judged queries with queries; judged queries without a match: 1 (such as 'q9')" in text
        assert "matched 6 of 7 relevant documents with documents of the corpus" in text
        assert "'Elsewhere'" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qrels_evidence": [row | {"query_id": row["query_id"].upper()} for row in QRELS]}, "upper and lower case"),
        ({"qrels_evidence": [row | {"docid": row["docid"].replace(" ", "_")} for row in QRELS]}, "blanks"),
        ({"queries": [*QUERIES, QUERIES[0] | {"query": "another text"}]}, "query id once, found 1 repeated: 'q0'"),
        ({"queries": [*QUERIES, QUERIES[0]]}, "query id once, found 1 repeated: 'q0'"),
        ({"corpus": [*DOCUMENTS, DOCUMENTS[0]]}, "docid once, found 1 repeated: 'Granite Quarry'"),
        ({"qrels_evidence": [*QRELS, QRELS[0] | {"relevance": 0}]}, "one grade for each document"),
    ],
)  # fmt: skip
def test_tables_that_do_not_meet_and_ids_that_repeat_are_refused(hub, change, message):
    tables = {"corpus": DOCUMENTS, "queries": QUERIES, "qrels_evidence": QRELS} | change
    pin = publish("joins-refused", **tables)
    with pytest.raises(LratError, match=message):
        evaluate(pin)


@pytest.fixture(scope="module")
def quora(hub):
    """Queries that are documents, by their ids or by their texts, and have a duplicate that they should find."""
    twins = [
        {"docid": f"{n}b", "title": "", "text": f"Is the {topic} something worth a visit?"}
        for n, topic in enumerate(TOPICS)
    ]
    own = [{"docid": f"{n}", "title": "", "text": f"is the  {topic} worth a visit"} for n, topic in enumerate(TOPICS)]
    queries = [
        # The first three have their document's id, the others its text alone.
        {"query_id": str(n) if n < 3 else f"q{n}", "query": f"Is the {topic} worth a visit", "answer": ""}
        for n, topic in enumerate(TOPICS)
    ]
    qrels = [
        {"query_id": row["query_id"], "docid": f"{n}b", "relevance": 1} for n, row in enumerate(queries)
    ]  # fmt: skip
    return publish("joins-quora", corpus=own + twins, queries=queries, qrels_evidence=qrels)


@pytest.mark.slow
def test_a_querys_own_document_is_noted_and_left_out_on_request(quora, tmp_path, capsys):
    pin = evaluate(quora)
    assert summary(pin)["bm25"]["recall@1"] == 0
    assert "note: bm25 ranks a query's own document first for 6 of 6 queries. --ignore_identical" in (
        capsys.readouterr().out
    )
    assert read_lineage(pin).counts["own_documents"] == {
        "queries": 6, "left_out": False, "ranked_first": {"bm25": 6},
    }  # fmt: skip
    assert "bm25 for 6" in file_of(pin, "README.md").read_text()
    given = tmp_path / "theirs.trec"
    given.write_text("0 Q0 0 1 9.0 theirs\n0 Q0 0b 2 8.0 theirs\n")
    left_out = evaluate(quora, "--ignore_identical", "--runs", given, "--depth", "3")
    scores = summary(left_out)
    assert scores["bm25"]["recall@1"] == 1
    assert scores["theirs"]["recall@1"] == pytest.approx(1 / 6)
    assert "note:" not in capsys.readouterr().out
    run = read_run(file_of(left_out, "runs/bm25.trec"))[1]
    assert run["0"][0].docid == "0b"
    assert {len(hits) for hits in run.values()} == {3}
    assert not any(hit.docid == query.removeprefix("q") for query, hits in run.items() for hit in hits)


def test_a_document_that_is_judged_relevant_is_never_left_out(hub):
    queries = [{"query_id": "0", "query": DOCUMENTS[0]["text"], "answer": ""}]
    documents = [row | {"docid": str(n)} for n, row in enumerate(DOCUMENTS)]
    qrels = [{"query_id": "0", "docid": "0", "relevance": 1}]
    pin = publish("joins-known-item", corpus=documents, queries=queries, qrels_evidence=qrels)
    results = evaluate(pin, "--ignore_identical")
    assert summary(results)["bm25"]["recall@1"] == 1
    assert read_lineage(results).counts["own_documents"]["queries"] == 0


def mined(number, *, weight=1.0, question=True):
    return Pair(
        pair_id=f"p{number}", trajectory_id=f"t{number}", query_id=f"other-{number}", search_turn=0, browse_turn=1,
        question=QUERIES[number]["query"].upper() if question else "", query=TOPICS[number],
        positive_id=TITLES[number], negative_ids=(TITLES[number - 1],), negative_kinds=("list",), reasoning="",
        reasoning_length=0, weight=weight,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(titled, model_folder):
    """A model trained on four pairs, one of which has no weight, after a round on a pair of another question."""
    documents = [{"docid": row["docid"], "title": row["title"], "text": row["text"]} for row in DOCUMENTS]
    first = publish("joins-pairs-1", pairs=pair_table([mined(3)]), documents=documents)
    pairs = [mined(0), mined(1), mined(2, weight=None)]
    second = publish("joins-pairs-2", pairs=pair_table(pairs), documents=documents)
    base = publish_folder(HubRef("lrat/joins-model-1"), model_folder, Lineage("train", {"pairs": str(first)}, {}))
    lineage = Lineage("train", {"pairs": f"{second}#pairs:train", "model": str(base)}, {})
    return publish_folder(HubRef("lrat/joins-model-2"), model_folder, lineage)


@pytest.mark.slow
def test_what_a_model_was_mined_from_is_told_and_can_be_left_out(titled, trained, capsys):
    pin = evaluate(titled, "--models", trained)
    name = f"lrat/joins-model-2@{trained.revision[:7]}"
    # Each pair's negative is the positive of the pair before; the pair without a weight was not trained on.
    told = (
        f"{name}: 3 of 6 queries were mined from, 3 of 6 relevant documents are positives of training pairs and 3 are "
        "negatives (for 3 of 6 queries)"
    )
    out = capsys.readouterr().out
    assert told in out
    assert f"Keep them out of the pairs: lrat mine --held_out {titled}#qrels_evidence" in out
    assert f"| difference from {name} | bm25 |" in out
    assert "  warning: 6 questions are few" in out or "  warning: 6 questions can't show any difference" in out
    assert f"the card, {constants.ENDPOINT}/datasets/{pin.repo_id}/tree/{pin.revision}" in out
    assert told in file_of(pin, "README.md").read_text()
    (row,) = load_dataset(pin.repo_id, "seen", revision=pin.revision, split="test")
    assert (row["query_ids"], row["docids"]) == (["q0", "q1", "q3"], sorted([TITLES[0], TITLES[1], TITLES[3]]))
    assert row["negative_docids"] == sorted([TITLES[-1], TITLES[0], TITLES[2]])
    counts = read_lineage(pin).counts["seen"][0]
    assert (counts["seen_queries"], counts["negative_documents"], counts["negative_queries"]) == (3, 3, 3)
    held_out = evaluate(titled, "--models", trained, "--held_out_only")
    assert "3 queries are left out for all systems, 3 are held out" in capsys.readouterr().out
    rows = load_dataset(held_out.repo_id, "per_query", revision=held_out.revision, split="test")
    assert {(row["system"], row["query_id"]) for row in rows} == {
        (system, query) for system in (name, "bm25") for query in ("q2", "q4", "q5")
    }


def test_what_a_model_from_outside_has_seen_is_unknown(hub):
    api = HfApi()
    api.create_repo("lrat/from-outside", exist_ok=True)
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="lrat/from-outside")
    pairs = TrainingPairs.of(HubRef("lrat/from-outside").pin())
    assert re.fullmatch(r"what it has seen is unknown: lrat/from-outside@[0-9a-f]{40} has no lineage", pairs.problem)


@pytest.mark.slow
def test_a_model_without_pairs_has_seen_nothing_and_one_that_saw_all_leaves_nothing(titled, trained, model_folder):
    plain = publish_folder(HubRef("lrat/joins-model-0"), model_folder, Lineage("adopt", {}, {}))
    pin = evaluate(titled, "--models", plain, "--held_out_only")
    (row,) = load_dataset(pin.repo_id, "seen", revision=pin.revision, split="test")
    assert (row["seen_queries"], row["query_ids"], row["pairs"]) == (0, [], [])
    assert "its lineage has no mined pairs" in file_of(pin, "README.md").read_text()
    everything = publish("joins-pairs-all", pairs=pair_table(map(mined, range(6))))
    lineage = Lineage("train", {"pairs": str(everything)}, {})
    memory = publish_folder(HubRef("lrat/joins-model-3"), model_folder, lineage)
    with pytest.raises(LratError, match=r"that no model was trained on \(`held_out_only`\), found none"):
        evaluate(titled, "--models", memory, "--held_out_only")


@pytest.mark.slow
def test_pairs_without_questions_are_known_by_ids_of_the_same_queries_alone(titled, model_folder):
    from lrat_hub.evaluation.seen import TrainingPairs

    pairs = pair_table([mined(0, question=False)])
    for inputs, ids in (({"queries": str(titled)}, {"other-0"}), ({}, set())):
        runs = publish("joins-runs", Lineage("rollout", inputs, {}), runs=[{"x": 1}])
        pin = publish("joins-pairs-ids", Lineage("mine", {"trajectories": str(runs)}, {}), pairs=pairs)
        lineage = Lineage("train", {"pairs": str(pin)}, {})
        model = publish_folder(HubRef("lrat/joins-model-4"), model_folder, lineage)
        relevant = dict.fromkeys(TITLES[:3], "the key of a text")
        trained = TrainingPairs.of(model, queries=titled, corpus=titled, relevant=relevant)
        assert (trained.query_ids, trained.positives) == (ids, {TITLES[0]} if ids else set())
        assert trained.negatives == set()
        relevant = dict.fromkeys(TITLES, "the key of a text")
        trained = TrainingPairs.of(model, queries=titled, corpus=titled, relevant=relevant)
        assert trained.negatives == ({TITLES[-1]} if ids else set())


@pytest.mark.slow
def test_what_can_not_be_compared_is_refused_before_a_model_encodes(titled, model_folder, tmp_path, capsys):
    by_distance = tmp_path / "by_distance"
    shutil.copytree(model_folder, by_distance)
    config = by_distance / "config_sentence_transformers.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"similarity_fn_name": "euclidean"}))
    with pytest.raises(LratError, match="compares by cosine or dot product, found euclidean"):
        evaluate(titled, "--models", model_folder, by_distance)
    other = publish("joins-other", corpus=DOCUMENTS[1:])
    index = cli.run(["index", "--bm25", "--corpus", str(other), "--to", "lrat/joins-other-bm25"])
    with pytest.raises(LratError, match="joins-other"):
        evaluate(titled, "--models", model_folder, "--index", index)
    assert "encoding" not in capsys.readouterr().out


@pytest.mark.slow
def test_scores_that_are_distances_are_warned_of(titled, tmp_path, capsys):
    lines = [f"q0 Q0 {title.replace(' ', '%20')} {rank} {rank / 10} theirs\n" for rank, title in enumerate(TITLES, 1)]
    (tmp_path / "run.trec").write_text("".join(lines))
    evaluate(titled, "--runs", tmp_path / "run.trec", "--no_bm25")
    assert "ranks and scores contradict each other for 1 of 1 queries" in capsys.readouterr().out
