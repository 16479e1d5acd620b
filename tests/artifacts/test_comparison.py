"""`lrat diff`: rows by key in any order, fields of the lineage, and results by paired tests."""

from __future__ import annotations

import json

import pytest
from datasets import Dataset

from lrat_hub import cli
from lrat_hub.artifacts.comparison import diff, row_changes
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import Lineage
from lrat_hub.hub.publish import publish_dataset
from lrat_hub.hub.refs import HubRef
from tests.artifacts.conftest import DOCUMENTS, write_corpus


def parquet(path, rows):
    Dataset.from_list(rows).to_parquet(path)
    return [path]


def documents(**texts):
    return [{"docid": docid, "title": "", "text": text} for docid, text in texts.items()]


def test_rows_are_matched_by_their_key_whatever_their_order(tmp_path):
    before = parquet(tmp_path / "a.parquet", documents(a="1", b="2", c="3", d="4"))
    after = parquet(tmp_path / "b.parquet", documents(d="4", b="two", a="1", e="5", f="6"))
    found = row_changes("corpus", "train", before, after)
    assert (found.same, found.added, found.removed, found.changed) == (2, 2, 1, 1)
    assert found.examples == {"added": ["e", "f"], "removed": ["c"], "changed": ["b"]}


def test_rows_without_a_key_are_counted_as_often_as_they_are_there(tmp_path):
    before = parquet(tmp_path / "a.parquet", [{"anchor": text} for text in "aab"])
    after = parquet(tmp_path / "b.parquet", [{"anchor": text} for text in "abbbc"])
    found = row_changes("triplets", "train", before, after)
    assert (found.same, found.added, found.removed, found.changed) == (2, 3, 1, 0)


def test_a_corpus_with_another_document_differs_in_it_and_in_what_was_read(family, tmp_path, capsys):
    words = write_corpus(tmp_path, DOCUMENTS | {"9": "Other text", "10": "One more"})
    other = cli.run([*words, "--to", "lrat/diff-corpus", "--license", "mit"])
    found = diff(HubRef.parse(family.corpus), other)
    (rows,) = [one for one in found.rows if one.config == "corpus"]
    assert (rows.same, rows.added, rows.removed, rows.changed) == (2, 1, 0, 1)
    assert all(one.added == one.removed == one.changed == 0 for one in found.rows if one.config != "corpus")
    changes = {(change.part, change.name): (change.first, change.second) for change in found.changes}
    assert changes["recipe", "license"] == ("", "mit")
    assert changes["counts", "documents.kept"] == (3, 4)
    assert {name for part, name in changes if part == "inputs"} == {"documents"}
    assert not found.same_content
    assert diff(other, other).same_content
    assert diff(other, other).changes == []
    capsys.readouterr()
    assert cli.main(["diff", family.corpus, str(other)]) == 0
    shown = capsys.readouterr().out
    assert "corpus, train: 2 rows are the same, 1 added, 0 removed, 1 changed" in shown
    assert "The content differs." in shown


def test_two_kinds_are_not_compared(family):
    with pytest.raises(LratError, match="expected two of a kind"):
        diff(HubRef.parse(family.corpus), HubRef.parse(family.index))


def evaluation(name, queries, **systems):
    """An evaluation of systems: a score for each query."""
    rows = [
        {
            "system": system.replace("_", "/"),
            "query_id": str(number),
            "question_id": str(number // 2),
            "recall@10": score,
        }
        for system, scores in systems.items()
        for number, score in enumerate(scores)
    ]
    tables = {"per_query": {"test": Dataset.from_list(rows)}}
    lineage = Lineage("eval retrieval", {"queries": queries}, {})
    return publish_dataset(HubRef(name, "dataset"), tables, card="---\ntags:\n- lrat\n---\n", lineage=lineage)


def test_results_on_the_same_queries_are_compared_by_paired_tests(family):
    from lrat_hub.significance import compare

    scores = [[0.0, 1.0] * 10, [1.0, 1.0] * 10]
    before = evaluation("lrat/diff-before", family.corpus, a_model=scores[0], bm25=scores[0])
    after = evaluation("lrat/diff-after", family.corpus, a_model=scores[1], bm25=scores[0])
    model, same = diff(before, after).results
    clusters = {str(number): str(number // 2) for number in range(20)}
    by_query = [dict(zip(map(str, range(20)), values, strict=True)) for values in scores]
    (expected, _) = compare([(by_query[1], by_query[0]), (by_query[0], by_query[0])], clusters)
    assert (model["system"], model["first"], model["second"]) == ("a/model", 0.5, 1.0)
    assert (model["p"], model["p (Holm)"]) == (expected.p_value, expected.corrected)
    assert same["difference"].startswith("+0.000")
    others = evaluation("lrat/diff-others", family.runs, a_model=scores[1])
    assert diff(before, others).results == []
    assert "other queries" in diff(before, others).notes[0]


def test_models_are_compared_by_the_evaluations_that_their_cards_name(family, tmp_path):
    from huggingface_hub import EvalResult

    from lrat_hub.evaluation.cards import page_of, write_results
    from lrat_hub.hub.publish import publish_folder

    models = []
    for number, scores in enumerate(([0.0, 0.0, 1.0], [1.0, 1.0, 1.0])):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "README.md").write_text("---\ntags:\n- lrat\n---\n<!-- results:start -->\n<!-- results:end -->\n")
        (folder / "model.safetensors").write_bytes(bytes([number]))
        name = f"lrat/diff-model-{number}"
        pin = publish_folder(HubRef(name), folder, Lineage("train", {}, {"seed": number}))
        made = evaluation(f"{name}-results", family.corpus, **{f"{name}@{pin.revision[:7]}": scores, "bm25": scores})
        result = EvalResult(
            "x", "y", "z", "m", 0.5, source_name="lrat eval retrieval", source_url=page_of(made)
        )  # fmt: skip
        models.append(write_results(pin, [result], section="results", text="x"))
    found = diff(*models)
    assert [(change.part, change.name) for change in found.changes] == [
        ("recipe", "seed"),
        ("files", "model.safetensors"),
    ]
    (row,) = found.results
    assert (row["first"], row["second"]) == (pytest.approx(1 / 3), 1.0)
    assert json.dumps(found.results)
