"""`lrat eval grid`: all cells of a table by one command, which may be killed anywhere."""

import sys

import pytest

from lrat_hub import cli, load_trajectories
from lrat_hub.errors import LratError
from lrat_hub.evaluation.grid import (
    LONGEST_NAME,
    fitting_name,
    grid_cells,
    of_benchmarks,
    repository_name,
    retrievers_of,
    share_of,
)
from lrat_hub.hub.inputs import load_split
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.hub.refs import HubRef

from .grid_benchmark import COUNT, commits_of, killed_until_done, publish_benchmark, scripted_agents


def test_cells_come_agent_by_agent_and_shares_are_neighbours():
    retrievers = retrievers_of(["Base=me/base", "One/Base=index:me/one", "BM25=bm25"], ["One", "Two"])
    assert retrievers == {"One": {"Base": "index:me/one", "BM25": "bm25"}, "Two": {"Base": "me/base", "BM25": "bm25"}}
    cells = grid_cells(["a/rollout_x.yaml", "reader"], retrievers, {"One": [10], "Two": [5, 10]})
    assert len(cells) == len({cell.name for cell in cells}) == 12
    assert str(cells[0]) == "x with Base on One, k = 10"
    shares = [share_of(cells, number, 5) for number in range(1, 6)]
    assert [cell for share in shares for cell in share] == cells
    assert len({cell.agent for cell in share_of(cells, 1, 2)}) == 1


def test_names_of_repositories_are_those_the_hub_takes():
    from huggingface_hub.utils import validate_repo_id

    name = repository_name("glm_4_7_paper", "BrowseComp-Plus", "Qwen3-Emb + LRAT", "k10")
    assert name == "glm_4_7_paper-BrowseComp-Plus-Qwen3-Emb-LRAT-k10"
    long, other = (fitting_name("me/table", repository_name("+ many", "words-.. " * 20, end)) for end in "ab")
    for repository in (f"me/{name}", long, other):
        validate_repo_id(repository)
        assert len(repository) <= LONGEST_NAME + len("me/")
    assert long != other


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: retrievers_of(["bm25"], ["One"]), "expected NAME=RETRIEVER"),
        (lambda: retrievers_of(["A=bm25", "A=me/model"], ["One"]), "found it twice"),
        (lambda: of_benchmarks("corpus", ["Won=me/wiki"], ["One", "Two"]), "expected BENCHMARK=REF once for each"),
        (
            lambda: grid_cells(["reader"], {"One": {"+ a": "bm25", "- a": "me/model"}}, {"One": [10]}),
            "would have one name, reader-One-a-k10",
        ),
    ],
)
def test_what_is_not_clear_is_refused(make, message):
    with pytest.raises(LratError, match=message):
        make()


def test_one_benchmark_needs_no_name():
    assert of_benchmarks("corpus", ["me/wiki"], ["One"]) == {"One": "me/wiki"}
    assert of_benchmarks("corpus", ["One=me/wiki"], ["One"]) == {"One": "me/wiki"}


@pytest.fixture(scope="module")
def table(hub, tmp_path_factory):
    """The words of a small Table 2: two served agents, two indexes, a benchmark."""
    folder = tmp_path_factory.mktemp("grid")
    corpus = publish_benchmark(folder, "lrat/grid-benchmark")
    indexes = [
        cli.run(["index", "--bm25", "--b", str(b), "--corpus", corpus, "--to", f"lrat/grid-b{number}"])
        for number, b in enumerate((0.75, 0.1))
    ]
    agents = scripted_agents(folder, ["json", "tongyi"])
    recipe = folder / "small.yaml"
    lines = ["benchmark: Small", "answer_judge: containment", 'baselines: ["Other=Base"]', "k: [10]", "rollouts:"]
    recipe.write_text("\n".join([*lines, *(f"  - {agent}" for agent in agents), ""]))
    words = ["eval", "grid", "--benchmarks", str(recipe), "--corpus", corpus, "--queries", corpus, "--retrievers",
             f"Base={indexes[0]}", f"Other={indexes[1]}", "--retriever_devices", "cpu"]  # fmt: skip
    return [*words, "--to"], folder / "served.log"


def rows(pin, config):
    return list(load_split(HubRef.parse(f"{pin}#{config}")))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends servers of killed stages, which only Linux does")
def test_table_2_in_small_is_one_command_that_may_be_killed_anywhere(table, tmp_path):
    words, log = table
    marks = [
        lambda lines, runs: runs >= 7,
        lambda lines, runs: runs > COUNT,
        lambda lines, runs: any("eval agents: will publish" in line for line in lines),
    ]
    lines = killed_until_done([*words, "lrat/grid-killed"], marks, tmp_path)
    # However many cells an agent has, its server is started once in each run of the command.
    served = log.read_text().splitlines()
    starts = [served.count(f"serves lrat/scripted-{protocol}") for protocol in ("json", "tongyi")]
    assert 1 <= min(starts) <= max(starts) <= len(marks) + 1
    report = HubRef.parse(next(line for line in reversed(lines) if "published: " in line).partition("published: ")[2])
    summary = rows(report, "summary")
    assert {(row["agent"], row["retriever"], row["questions"]) for row in summary} == {
        (f"lrat/scripted-{protocol}", retriever, COUNT)
        for protocol in ("json", "tongyi")
        for retriever in ("Base", "Other")
    }
    evaluation = HubRef.parse(read_lineage(report).inputs["evaluation_1"])
    cells = [HubRef.parse(text) for name, text in read_lineage(evaluation).inputs.items() if "trajectories" in name]
    assert [commits_of(pin) for pin in [*cells, evaluation, report]] == [1] * 6
    for cell in cells:
        runs = list(load_trajectories(cell))
        assert len({run.query_id for run in runs}) == len(runs) == COUNT

    # On another machine, all is there: nothing is served, run or published.
    again = killed_until_done([*words, "lrat/grid-killed"], [], tmp_path / "elsewhere")
    assert log.read_text().splitlines() == served
    assert not [line for line in again if "published: " in line]
    assert [commits_of(pin) for pin in [*cells, evaluation, report]] == [1] * 6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends servers of killed stages, which only Linux does")
def test_figure_7_in_small_is_a_sweep_and_a_grid_that_may_be_killed_anywhere(hub, tmp_path_factory, tmp_path):
    pytest.importorskip("torch")
    from huggingface_hub import HfApi

    from tests.fitting.small import tiny_bert
    from tests.training.published import publish_benchmark as publish_task
    from tests.training.published import publish_pairs

    folder = tmp_path_factory.mktemp("figure-7")
    HfApi().create_repo("lrat/figure-base")
    HfApi().upload_folder(repo_id="lrat/figure-base", folder_path=tiny_bert(folder / "base"))
    task = str(publish_task("lrat/figure-task"))
    words = ["sweep", "--pairs", str(publish_pairs("lrat/figure-pairs", refused=6)), "--model", "lrat/figure-base",
             "--corpus", task, "--queries", task, "--qrels", task, "--seeds", "1", "--check_passages", "0",
             "--batch_size", "8", "--num_negatives", "1", "--learning_rate", "1e-3", "--epochs", "1", "--to",
             "lrat/figure-sweep"]  # fmt: skip
    killed_until_done(words, [lambda lines, runs: any(line.startswith("naive, seed 0: ") for line in lines)], tmp_path)
    assert commits_of(HubRef.parse("lrat/figure-sweep-models")) == 3

    corpus = publish_benchmark(folder, "lrat/figure-benchmark")
    recipe = folder / "small.yaml"
    recipe.write_text("benchmark: Small\nanswer_judge: containment\n")
    words = ["eval", "grid", "--benchmarks", str(recipe), "--corpus", corpus, "--queries", corpus, "--sweep",
             "lrat/figure-sweep", "--figures", "7", "--to", "lrat/figure-7", "--agents",
             *map(str, scripted_agents(folder, ["json", "tongyi"]))]  # fmt: skip
    marks = [lambda lines, runs: runs > 5 * COUNT]
    lines = killed_until_done(words, marks, tmp_path)
    report = HubRef.parse(next(line for line in reversed(lines) if "published: " in line).partition("published: ")[2])
    drawn = rows(report, "as_paper")
    assert {(row["agent"], row["variant"]) for row in drawn} == {
        (f"lrat/scripted-{protocol}", variant)
        for protocol in ("json", "tongyi")
        for variant in ("Base", "+Naive", "+Filter", "+Reweight")
    }
    evaluation = HubRef.parse(read_lineage(report).inputs["evaluation_1"])
    cells = [HubRef.parse(text) for name, text in read_lineage(evaluation).inputs.items() if "trajectories" in name]
    assert [commits_of(pin) for pin in [*cells, evaluation, report]] == [1] * 10


@pytest.mark.slow
def test_models_get_an_index_of_each_corpus_once_which_is_served(table, tmp_path_factory, capsys):
    pytest.importorskip("torch")
    from huggingface_hub import HfApi

    from tests.fitting.small import tiny_bert

    HfApi().create_repo("lrat/grid-model")
    folder = tiny_bert(tmp_path_factory.mktemp("grid-model") / "base")
    HfApi().upload_folder(repo_id="lrat/grid-model", folder_path=folder)
    words, _ = table
    words = [*words[: words.index("--retrievers")], "--retrievers", "Model=lrat/grid-model", "BM25=bm25",
             "--index_recipe", "dataset_builders/index_exact", "--retriever_devices", "cpu", "--agents", "reader",
             "--to", "lrat/grid-indexed"]  # fmt: skip
    report = cli.run(words)
    assert {row["retriever"] for row in rows(report, "summary")} == {"Model", "BM25"}
    evaluation = HubRef.parse(read_lineage(report).inputs["evaluation_1"])
    of_cell = [read_lineage(HubRef.parse(read_lineage(evaluation).inputs[f"trajectories_{n}"])).inputs for n in (1, 2)]
    index = HubRef.parse(of_cell[0]["index"])
    assert index.repo_id == "lrat/grid-indexed-index-Small-Model"
    assert "index" not in of_cell[1]
    capsys.readouterr()
    assert cli.run(words) == report
    assert "published: " not in capsys.readouterr().out
    assert commits_of(index) == 1


@pytest.mark.slow
def test_whichever_shard_finds_all_cells_publishes_the_table(table, monkeypatch, tmp_path, capsys):
    words, _ = table
    words = [*words, "lrat/grid-shards", "--agents", "reader"]
    assert cli.run([*words, "--shard", "2/2"]) is None
    assert "1 cells of other shards are missing, such as reader with Base on Small, k = 10" in capsys.readouterr().out
    report = cli.run([*words, "--shard", "1/2"])
    assert len(rows(report, "summary")) == 2
