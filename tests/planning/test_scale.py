"""Hours and bytes at a scale: they grow as the work does, agree with the sizes of real files, and name what breaks."""

from __future__ import annotations

import dataclasses
import shlex

import pytest
import yaml

from lrat_hub import cli
from lrat_hub.cli.parsing import packaged_recipes
from lrat_hub.errors import LratError
from lrat_hub.planning import model_size
from lrat_hub.planning.scale import RATES, Workload, costs_of, limits_of, search_seconds, table_of
from lrat_hub.planning.work import index_bytes, table_1_means
from lrat_hub.retrieval.settings import IndexSettings
from tests.documentation import ROOT, commands_of

SMALL, LARGE = "Qwen/Qwen3-Embedding-0.6B", "Qwen/Qwen3-Embedding-8B"
PAPER = Workload(11_200_000, ["bm25", SMALL, LARGE], questions=10_000)


def by_step(work):
    return {cost.step: cost for cost in costs_of(work)}


def test_every_speed_says_where_it_is_from():
    assert all(rate.value > 0 and len(rate.source.split()) > 3 for rate in RATES.values())


def test_the_paper_s_setting_has_a_line_for_each_step_and_the_sizes_of_its_files():
    costs = by_step(PAPER)
    assert list(costs) == [
        "BM25 index",
        *(f"{what} for {name}" for name in (SMALL, LARGE) for what in ("encode", "flat index")),
        "30,000 runs of agents",
        "judge opened documents",
        "import and mine",
        f"train {SMALL}",
        f"train {LARGE}",
    ]
    size = model_size(LARGE)
    assert costs[f"flat index for {LARGE}"].disk == index_bytes(11_200_000, 4_096, IndexSettings(fp16=True))
    # 2 operations a parameter and token.
    hours = 2 * size.parameters * 11_200_000 * 512 / RATES["GPU"].value / 3_600
    assert costs[f"encode for {LARGE}"].gpu_hours == pytest.approx(hours)
    assert costs[f"encode for {LARGE}"].hours == pytest.approx(hours / 8)


def test_four_times_the_documents_take_four_times_the_encoding_and_more_than_that_of_clusters():
    work = dataclasses.replace(PAPER, index=IndexSettings("ivfpq", fp16=True))
    small, large = by_step(work), by_step(dataclasses.replace(work, documents=4 * work.documents))
    for step in ("BM25 index", f"encode for {SMALL}"):
        assert large[step].hours == pytest.approx(4 * small[step].hours)
    # As many clusters as twice the root: n^1.5.
    step = f"ivfpq index for {SMALL}"
    assert large[step].core_hours == pytest.approx(8 * small[step].core_hours, rel=0.3)
    assert large[step].disk == pytest.approx(4 * small[step].disk, rel=0.01)


def test_codes_are_searched_in_less_time_and_memory_than_all_vectors():
    size = model_size(SMALL)
    flat, coded = (
        dataclasses.replace(PAPER, index=IndexSettings(kind, fp16=True), sessions=1_000, gpus=0)
        for kind in ("flat", "ivfpq")
    )
    assert search_seconds(coded, size) < search_seconds(flat, size) / 10
    (exact,), (short,) = (
        [cost for step, cost in by_step(work).items() if step.startswith(f"search with {SMALL}")]
        for work in (flat, coded)
    )
    assert short.memory < exact.memory / 10
    assert exact.core_hours == pytest.approx(1_000 * table_1_means()["searches"] * search_seconds(flat, size) / 3_600)


@pytest.mark.parametrize(
    ("changed", "first"),
    [
        ({"index": IndexSettings(fp16=True)}, f"{LARGE}: one file of the index on the Hub"),
        ({"memory": 64 * 10**9, "index": IndexSettings("ivf")}, f"ivf index for {LARGE}: memory"),
        ({"sessions": 10_000_000, "index": IndexSettings("ivfpq")}, f"search with {LARGE}"),
        ({"sessions": 1_000_000, "gpus": 0, "questions": 0}, "judge 100% of the sessions: no GPU"),
    ],
)
def test_what_breaks_is_told_worst_first(changed, first):
    limits = limits_of(dataclasses.replace(PAPER, **changed))
    assert limits[0].name.startswith(first)
    assert limits[0].share > 1
    assert [limit.share for limit in limits] == sorted((limit.share for limit in limits), reverse=True)


def test_a_model_of_unknown_size_and_impossible_numbers_are_refused_in_one_line(capsys):
    with pytest.raises(LratError, match="Retriever me/unknown: expected a model whose size is known"):
        list(costs_of(dataclasses.replace(PAPER, retrievers=["me/unknown"])))
    for option, found in (
        ("--documents=0", "documents of 1 or more, found 0"),
        ("--gpu_gb=0", "gpu_memory of 1 or more, found 0"),
        ("--sessions=-5", "sessions of 0 or more, found -5"),
        ("--judged=1.5", "a share as judged, from 0 to 1, found 1.5"),
    ):
        assert cli.main(["plan", "--documents", "1000", option]) == 1
        assert f"error: Plan: expected {found}." in capsys.readouterr().err


def test_a_recipe_is_planned_as_the_options_are(tmp_path, capsys):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"documents: 100000000\nretrievers: [bm25, {SMALL}]\nkind: ivfpq\nsessions: 1000000\n")
    assert cli.main(["plan", "--config", str(recipe), "--gpus", "16"]) == 0
    shown = capsys.readouterr().out
    assert "100,000,000 documents of 512 tokens, with 16 GPUs" in shown
    assert f"| ivfpq index for {SMALL} | once |" in shown
    assert "what breaks, worst first:\n" in shown
    assert cli.main(["plan", "--documents", "1000", "--sources"]) == 0
    shown = capsys.readouterr().out
    assert "nothing breaks; what comes nearest to it:" in shown
    assert f"agent writes: {RATES['agent writes'].value:,.6g}" in shown


def test_a_graph_is_built_on_one_thread_as_slowly_as_was_measured():
    """22.7 s for 40,000 vectors of 384 numbers, and 0.4 to 0.5 ms a search (docs/scale.md)."""
    size = dataclasses.replace(model_size(SMALL), dimension=384)
    work = Workload(40_000, [], index=IndexSettings("hnsw"))
    assert 1e3 * search_seconds(work, size) == pytest.approx(0.45, rel=0.3)
    many = dataclasses.replace(work, documents=100_000_000, retrievers=[SMALL])
    (built,) = [cost for step, cost in by_step(many).items() if step.startswith("hnsw")]
    assert built.hours == built.core_hours > 48
    assert f"{built.step}: longer than two days" in [limit.name for limit in limits_of(many) if limit.share > 1]


def test_the_tables_of_the_documentation_are_what_its_commands_print(capsys):
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    commands = [command.text for command in commands_of(ROOT / "docs" / "scale.md") if "lrat plan" in command.text]
    assert len(commands) == 3
    for command in commands:
        assert cli.main(shlex.split(command)[1:]) == 0
        table = "".join(line for line in capsys.readouterr().out.splitlines(keepends=True) if line.startswith("|"))
        assert table in page


def test_late_interaction_has_a_vector_for_each_token_and_compares_all_of_them():
    late = "lightonai/GTE-ModernColBERT-v1"
    work = Workload(1_000_000, [late], tokens=300, index=IndexSettings(fp16=True), sessions=1_000, gpus=0)
    costs = by_step(work)
    # 128 numbers of 2 bytes for each of 300 tokens, as `lrat index --dry_run` has it.
    assert costs[f"flat index for {late}"].disk == costs[f"encode for {late}"].disk == 1_000_000 * 300 * 128 * 2
    assert costs[f"flat index for {late}"].disk == index_bytes(300_000_000, 128, work.index)
    assert search_seconds(work, model_size(late)) > 300 * search_seconds(work, model_size("BAAI/bge-m3"))
    remedies = {limit.name: limit.remedy for limit in limits_of(work) if limit.share > 1}
    assert all("behind another retriever" in remedy for name, remedy in remedies.items() if "search" in name)
    assert any("one file of the index" in name for name in remedies)
    with pytest.raises(LratError, match="expected kind flat, found ivfpq"):
        limits_of(dataclasses.replace(work, index=IndexSettings("ivfpq")))


def test_what_lrat_index_refuses_is_not_planned():
    with pytest.raises(LratError, match="expected 9,984 documents or more"):
        limits_of(Workload(1_000, [SMALL], index=IndexSettings("ivfpq")))


def test_what_needs_a_gpu_says_so_where_there_is_none(capsys):
    assert cli.main(["plan", "--documents", "1000", "--questions", "10", "--gpus", "0"]) == 0
    assert "  10 runs of agents: no GPU: a GPU, or a server elsewhere\n" in capsys.readouterr().out
    rows = table_of(dataclasses.replace(PAPER, gpus=0, sessions=10))
    needed = [row["step"] for row in rows if row["hours"] == "needs a GPU"]
    assert needed == ["30,000 runs of agents", "judge opened documents", "judge 100% of the sessions"]


def test_the_models_of_all_recipes_are_known_without_a_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    recipes = {name: yaml.safe_load(file.read_text()) for name, file in packaged_recipes().items()}
    models = {name: text for name, recipe in recipes.items() for key, text in recipe.items() if key.endswith("model")}
    assert len(models) > 40
    assert [name for name, text in models.items() if model_size(text) is None] == []


@pytest.mark.parametrize(
    ("name", "parameters", "vector"),
    [("BAAI/bge-m3", 568e6, 1_024), ("intfloat/e5-base-v2", 109e6, 768), ("BAAI/bge-base-en-v1.5", 109e6, 768),
     ("sentence-transformers/all-MiniLM-L6-v2", 22.7e6, 384), (SMALL, 600e6, 1_024),
     ("Qwen/Qwen3-Reranker-0.6B", 596e6, 1_024), ("BAAI/bge-reranker-v2-m3", 568e6, 1_024),
     ("HuggingFaceTB/SmolLM2-135M-Instruct", 134.5e6, 576)],
)  # fmt: skip
def test_models_are_known_by_the_names_that_people_write_and_what_is_assumed_is_said(
    monkeypatch, capsys, name, parameters, vector
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    size = model_size(name)
    assert size is not None
    assert size.parameters == pytest.approx(parameters, rel=0.02)
    assert size.vector == vector
    cli.run(["plan", "--documents", "1000", "--retrievers", "bm25", name])
    assert f"  {name}: {size.parameters / 1e6:,.0f} million parameters, vectors of {vector:,} numbers, by " in (
        capsys.readouterr().out
    )


def test_what_is_not_known_is_refused_with_the_reason_and_what_to_give(tmp_path):
    def refused(name):
        with pytest.raises(LratError) as error:
            list(costs_of(Workload(1_000, [name])))
        return str(error.value)

    assert "expected a folder or file there, found nothing" in refused("./no-such-model")
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    assert "has no config.json with layers, heads and a hidden size, beside weights" in refused(str(tmp_path))
    assert "did you mean BAAI/bge-m3?" in refused("baai/BGE-M3")
    assert "Give its parts, which are counted one by one: bm25 me/a me/b." in refused("bm25+(bm25>20:me/a)+me/b")
