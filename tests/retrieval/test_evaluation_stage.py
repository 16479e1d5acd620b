"""`lrat eval retrieval`: every kind of system and task, and figures that can be made again from what is published."""

import json
import random
import shutil
from pathlib import Path

import pytest
import pytrec_eval
from datasets import get_dataset_config_names, load_dataset

from lrat_hub import cli
from lrat_hub.encoders import ModelConfig, write_model_config
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import Lineage, read_lineage
from lrat_hub.hub.publish import publish_dataset
from lrat_hub.hub.refs import HubRef
from lrat_hub.mining import mine_pairs
from lrat_hub.mining.tables import pair_table
from lrat_hub.significance import paired_difference
from lrat_hub.storage import trajectory_table
from tests.builders import browse, search, trajectory
from tests.retrieval.conftest import WORDS

pytestmark = pytest.mark.slow

# All of it is one evaluation that encodes, fuses and replays; `tests.evaluation.test_retrieval` has the idea in small.
pytestmark = pytest.mark.slow

QUERIES = 30


def publish(name, config, rows):
    ref = HubRef(name, "dataset")
    return publish_dataset(ref, {config: {"train": rows}}, card="---\n---\n", lineage=Lineage("test", {}, {}))


@pytest.fixture(scope="module")
def world(hub, model_folder, tmp_path_factory):
    """A corpus of titled passages, questions with evidence and gold, a model with a style, trajectories and pairs."""
    from huggingface_hub import HfApi

    rng = random.Random(3)
    folder = tmp_path_factory.mktemp("world")
    names = rng.sample([f"{a}{b}" for a in WORDS for b in WORDS], 120)
    texts = {
        f"d{n}": (
            name,
            f"{name.capitalize()} is {' '.join(rng.choices(WORDS, k=6))}. It {' '.join(rng.choices(WORDS, k=8))}.",
        )
        for n, name in enumerate(names)
    }
    documents = [{"docid": docid, "title": title, "text": text} for docid, (title, text) in texts.items()]
    (folder / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    evidence = {f"q{n}": (f"d{n}", f"d{n + 40}") for n in range(QUERIES)}
    (folder / "queries.tsv").write_text("".join(
        f"{query}\t{texts[first][0]} {' '.join(texts[second][1].split()[-3:])}\tx\n"
        for query, (first, second) in evidence.items()
    ))  # fmt: skip
    (folder / "evidence.txt").write_text("".join(f"{q} 0 {d} 1\n" for q, docids in evidence.items() for d in docids))
    (folder / "gold.txt").write_text("".join(f"{q} 0 {docids[0]} 1\n" for q, docids in evidence.items()))
    corpus = cli.run(["corpus", "--documents", f"{folder}/documents.jsonl", "--queries", f"{folder}/queries.tsv",
                      "--qrels", f"{folder}/evidence.txt", "--qrels_gold", f"{folder}/gold.txt",
                      "--to", "lrat/eval-corpus"])  # fmt: skip
    HfApi().create_repo("lrat/eval-model", exist_ok=True)
    HfApi().upload_folder(repo_id="lrat/eval-model", folder_path=model_folder)
    config = tmp_path_factory.mktemp("config")
    write_model_config(config, ModelConfig("question"))
    (config / "README.md").write_text("---\ntags: [x]\n---\n<!-- results:start -->\n<!-- results:end -->\n")
    HfApi().upload_folder(repo_id="lrat/eval-model", folder_path=config)
    runs = [
        trajectory(search("x", "d5", a), browse(a), search("y", "d5", b, "d6"), browse(b), name=query)
        for query, (a, b) in list(evidence.items())[:10]
    ]
    pinned = publish("lrat/eval-trajectories", "runs", trajectory_table(runs))
    pairs = publish("lrat/eval-pairs", "pairs", pair_table(mine_pairs(runs).pairs))
    return {"corpus": str(corpus), "model": HubRef("lrat/eval-model").pin(), "trajectories": str(pinned),
            "pairs": str(pairs), "evidence": evidence, "folder": folder}  # fmt: skip


@pytest.fixture(scope="module")
def evaluated(world, tmp_path_factory):
    """Everything at once; the run of another system finds the first document of two thirds of the queries."""
    given = tmp_path_factory.mktemp("runs") / "other.trec"
    lines = [f"q{n} Q0 d{n} 1 2.5 other-system\n" for n in range(QUERIES) if n % 3] + [
        "unasked Q0 d1 1 1 other-system\n"
    ]
    given.write_text("".join(lines))
    work = tmp_path_factory.mktemp("work")
    corpus = world["corpus"]
    pin, cards = cli.run([
        "eval", "retrieval", "--corpus", corpus, "--queries", corpus, "--qrels", corpus, "--qrels_gold", corpus,
        "--models", str(world["model"]), "--runs", str(given), "--fusion", "--check_passages", "50",
        "--trajectories", world["trajectories"], "--pairs", world["pairs"], "--results_into", "lrat/eval-model",
        "--work_dir", str(work), "--to", "lrat/eval-results",
    ])  # fmt: skip
    assert not list(work.iterdir())  # vectors are gone once they have been searched
    return pin, cards


def table(pin, config):
    return list(load_dataset(pin.repo_id, config, revision=pin.revision, split="test"))


def run_of(pin, name):
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(pin.repo_id, f"runs/{name}", repo_type="dataset", revision=pin.revision)
    return Path(path).read_text()


def test_every_system_answers_every_task_it_can(world, evaluated):
    pin, _ = evaluated
    assert get_dataset_config_names(pin.repo_id, revision=pin.revision) == [
        "summary", "comparisons", "stages", "per_query", "scores", "values", "by_search", "seen"
    ]  # fmt: skip
    model = f"lrat/eval-model@{world['model'].revision[:7]}"
    whole = [model, "other-system", "bm25", f"bm25+{model}"]
    assert [row["system"] for row in table(pin, "summary")] == whole
    systems = {}
    for row in table(pin, "scores"):
        systems.setdefault(row["task"], dict.fromkeys([]))[row["system"]] = None
    asked = [name for name in whole if name != "other-system"]
    assert {task: list(names) for task, names in systems.items()} == {
        "evidence": whole, "gold": whole, "content": asked, "titles": asked, "searches": ["as logged", *asked],
        "pairs": asked,
    }  # fmt: skip
    scores = {(row["task"], row["metric"], row["system"]): row["mean"] for row in table(pin, "scores")}
    assert scores["evidence", "recall@10", "other-system"] == pytest.approx(1 / 3)
    assert scores["gold", "recall@1", "other-system"] == scores["gold", "mrr", "other-system"] == pytest.approx(2 / 3)
    assert scores["titles", "recall@10", "bm25"] == scores["content", "recall@10", "bm25"] == 1
    assert scores["searches", "novelty@10", "as logged"] == pytest.approx((1 + 2 / 3) / 2, abs=0.05)
    assert scores["searches", "evidence_share@10", "as logged"] == 1
    steps = [row["evidence_share"] for row in table(pin, "by_search") if row["system"] == "as logged"]
    assert steps == [0.5, 1]


def test_trec_eval_finds_the_published_figures_in_the_published_runs(world, evaluated):
    pin, _ = evaluated
    qrels = {query: dict.fromkeys(docids, 1) for query, docids in world["evidence"].items()}
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"recall.5,10", "ndcg_cut.10", "map", "recip_rank"})
    for row in table(pin, "summary"):
        run: dict[str, dict[str, float]] = {}
        for line in run_of(pin, row["system"].replace("/", "__") + ".trec").splitlines():
            query, _, docid, _, score, _ = line.split()
            run.setdefault(query, {})[docid] = float(score)
        found = evaluator.evaluate(run)
        for ours, theirs in (
            ("recall@5", "recall_5"),
            ("ndcg@10", "ndcg_cut_10"),
            ("map", "map"),
            ("mrr", "recip_rank"),
        ):
            mean = sum(values[theirs] for values in found.values()) / len(qrels)
            assert row[ours] == pytest.approx(mean), (row["system"], ours)


def test_tests_and_intervals_can_be_made_again_from_the_rows(evaluated):
    pin, _ = evaluated
    by_system: dict[str, dict[str, float]] = {}
    for row in table(pin, "per_query"):
        by_system.setdefault(row["system"], {})[row["query_id"]] = row["recall@10"]
    baseline, *others = by_system
    rows = {row["system"]: row for row in table(pin, "comparisons") if row["metric"] == "recall@10"}
    assert list(rows) == others
    for name in others:
        again = paired_difference(by_system[name], by_system[baseline])
        row = rows[name]
        assert (row["difference"], row["low"], row["high"], row["p_value"]) == (
            again.mean, again.low, again.high, again.p_value,
        )  # fmt: skip
        assert row["corrected"] >= row["p_value"]


def test_costs_are_known_of_what_was_searched_here_and_are_in_reports(world, evaluated, tmp_path):
    pin, _ = evaluated
    model = f"lrat/eval-model@{world['model'].revision[:7]}"
    costs = read_lineage(pin).counts["costs"]
    assert list(costs) == [model, "bm25", f"bm25+{model}"]  # a run file does not say what it cost
    assert costs[model]["tokens"] > costs["bm25"]["tokens"] == 0
    fused = costs[f"bm25+{model}"]
    assert fused["milliseconds"] == pytest.approx(costs[model]["milliseconds"] + costs["bm25"]["milliseconds"])
    assert (costs[model]["vectors"], fused["vectors"], costs[model]["queries"]) == (1, 1, QUERIES)
    assert {(row["system"], row["first_stage"]) for row in table(pin, "stages")} == {(f"bm25+{model}", model)}

    report = cli.run(["eval", "report", "--evaluations", str(pin), "--names", f"ours={model}",
                      "--folder", str(tmp_path), "--to", "lrat/eval-report"])  # fmt: skip
    text = (tmp_path / "report.md").read_text()
    assert "What a search costs" in text
    assert (tmp_path / "figures" / "cost_1.png").read_bytes().startswith(b"\x89PNG")
    kept = {row["system"]: row for row in table(report, "retrieval_costs")}
    assert kept["ours"]["milliseconds"] == costs[model]["milliseconds"]
    # A report of a report says the same.
    again = cli.run(["eval", "report", "--evaluations", str(report), "--to", "lrat/eval-report-again"])
    assert table(again, "retrieval_costs") == table(report, "retrieval_costs")


def test_queries_are_rendered_as_the_model_was_trained(world, evaluated):
    """Not to the letter: then its run would be another one."""
    from lrat_hub.evaluation.benchmark import Benchmark
    from lrat_hub.hub.inputs import load_model, resolve
    from lrat_hub.retrieval.dense import DenseRetriever

    pin, _ = evaluated
    name = f"lrat/eval-model@{world['model'].revision[:7]}"
    assert read_lineage(pin).counts["query_styles"] == {name: "question", "bm25": "plain"}
    corpus = resolve(world["corpus"], repo_type="dataset")
    benchmark = Benchmark.load(corpus, corpus, corpus)
    retriever = DenseRetriever(load_model(world["model"]), benchmark.documents.in_order())
    summary = {row["system"]: row for row in table(pin, "summary")}
    assert summary[name]["ndcg@10"] == pytest.approx(benchmark.score(retriever, style="question").mean("ndcg@10"))
    assert summary[name]["ndcg@10"] != pytest.approx(benchmark.score(retriever).mean("ndcg@10"))


def test_the_leaderboard_file_and_the_models_card_have_the_figures(world, evaluated):
    from huggingface_hub import ModelCard

    pin, (card_pin,) = evaluated
    name = f"lrat/eval-model@{world['model'].revision[:7]}"
    scores = {(row["task"], row["metric"], row["system"]): row["mean"] for row in table(pin, "scores")}
    line = json.loads(run_of(pin, "other-system.leaderboard.json"))
    assert line["Retriever"] == "other-system"
    assert line["Evidence Recall@5"] == 0.3333
    assert line["Gold nDCG@10"] == 0.6667
    card = ModelCard.load(card_pin.repo_id)
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["recall@10"].metric_value == pytest.approx(scores["evidence", "recall@10", name], abs=1e-6)
    assert results["gold_recall@10"].metric_value == pytest.approx(scores["gold", "recall@10", name], abs=1e-6)
    assert "content_recall@10" in results
    assert results["recall@10"].dataset_revision == HubRef.parse(world["corpus"]).revision
    assert results["recall@10"].dataset_args["corpus"] == world["corpus"]
    assert str(pin) in card.text
    assert pin.revision in results["recall@10"].source_url


def test_runs_of_another_corpus_and_names_that_clash_are_refused(world, tmp_path, capsys):
    inputs = [f"--{name}={world['corpus']}" for name in ("corpus", "queries", "qrels")]
    words = ["eval", "retrieval", *inputs, "--check_passages", "0", "--to", "lrat/eval-none"]
    foreign, twin = tmp_path / "foreign.trec", tmp_path / "twin.trec"
    foreign.write_text("q1 Q0 elsewhere 1 1.0 s\n")
    twin.write_text("q1 Q0 d1 1 1.0 bm25\n")
    for path, message in (
        (foreign, "0 of 1 documents of the run file .*'elsewhere'"),
        (twin, "systems of different names, found bm25 more than once"),
        (tmp_path / "no", "found"),
    ):
        with pytest.raises(LratError, match=message):
            cli.run([*words, "--runs", str(path)])
    capsys.readouterr()
    with pytest.raises(LratError, match=r"systems of different names, found lrat/eval-model@\w{7} more than once"):
        cli.run([*words, "--models", *[str(world["model"])] * 2])
    assert "encoding" not in capsys.readouterr().out


def test_a_model_of_another_kind_is_refused_before_the_first_is_encoded(world, tmp_path, capsys):
    from tests.fitting.small import tiny_reranker

    inputs = [f"--{name}={world['corpus']}" for name in ("corpus", "queries", "qrels")]
    words = ["eval", "retrieval", *inputs, "--check_passages", "0", "--to", "lrat/eval-none"]
    reranker = tiny_reranker(tmp_path)
    with pytest.raises(LratError, match=r"found a CrossEncoder\. It ranks again"):
        cli.run([*words, "--models", str(world["model"]), str(reranker)])
    assert "encoding" not in capsys.readouterr().out


def test_systems_of_several_parts_have_names_of_their_own_and_are_made_again(world, tmp_path):
    from lrat_hub.evaluation.tables import system_name
    from lrat_hub.hub.inputs import resolve
    from tests.fitting.small import tiny_reranker

    inputs = [f"--{name}={world['corpus']}" for name in ("corpus", "queries", "qrels")]
    reranker = tiny_reranker(tmp_path)
    given = ["bm25", f"bm25>3:{reranker}", f"bm25+bm25 >3: {reranker}"]
    pin, _ = cli.run(["eval", "retrieval", *inputs, "--check_passages", "0", "--to", "lrat/eval-fused-reranked",
                      "--fusion", "--retrievers", *given, "--depth", "10"])  # fmt: skip
    # BM25 stands where it is named, once. The third is a fusion that is ranked again; the last two are fusions with
    # what was ranked again.
    ranked = f"bm25>3:{system_name(resolve(str(reranker), repo_type='model'))}"
    names = [row["system"] for row in table(pin, "summary")]
    assert names == ["bm25", ranked, f"bm25+{ranked}", f"bm25+({ranked})", f"bm25+(bm25+{ranked})"]
    assert len({row["ndcg@10"] for row in table(pin, "summary")}) > 1
    elsewhere = shutil.copytree(reranker, tmp_path / "elsewhere" / reranker.name)
    again = cli.run(["reproduce", str(pin), "--given", f"retriever_2_2={elsewhere}"])
    assert [row["system"] for row in table(again, "summary")] == names
