"""Rows of others: the released sample, and a round trip through each format."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lrat_hub.errors import LratError
from lrat_hub.mining.formats import FORMATS, export_pairs, import_pairs, read_row
from lrat_hub.mining.tables import Splits
from lrat_hub.mining.weights import WeightFit, Weighting
from lrat_hub.schema import Document, Pair
from tests.mining.constants import recover_constants

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "lrat_release" / "training_pairs_sample.jsonl"

DOCUMENTS = {
    docid: Document(docid, title, f"text of {docid}") for docid, title in zip("abc", ["A", "B", ""], strict=True)
}


def pair(**fields):
    kept = Pair(
        "id", "t", "q1", 0, 1, "Question?", "query", "a", ("b", "c"), ("list", "list"), "reasoning", 90,
        weight=0.5, verdict="relevant",
    )  # fmt: skip
    return replace(kept, **fields)


@pytest.mark.skipif(not SAMPLE.is_file(), reason="the released sample is not beside this checkout")
def test_the_released_sample_imports_and_its_weights_follow_from_its_lengths(tmp_path):
    mined, documents = import_pairs([SAMPLE], tmp_path, splits=Splits())
    pairs = list(mined.pairs())
    assert [len(pair.negative_ids) for pair in pairs] == [9, 47, 9, 9, 17, 68]
    assert mined.ledger["rows"].to_dict()["kept"] == mined.ledger["pairs"].kept == 6
    first = json.loads(SAMPLE.read_text(encoding="utf-8").partition("\n")[0])
    assert documents["5947718"].content == first["pos"][0]
    lengths, weights = [pair.reasoning_length for pair in pairs], [pair.weight for pair in pairs]
    groups = recover_constants(lengths, weights)
    assert [(beta, places.tolist()) for beta, _, places in groups] == [(138.0, [0, 1]), (139.0, [2, 3])]
    assert groups[0][1] == pytest.approx(0.4972264, abs=5e-8)  # as published
    for beta, mean_raw, places in groups:
        found = WeightFit(None, beta, mean_raw).weigh([lengths[place] for place in places])
        assert found == pytest.approx([weights[place] for place in places], abs=1e-9)


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_exported_is_imported_again(tmp_path, format):
    path = tmp_path / "rows.jsonl"
    ledger = export_pairs([pair(), pair(weight=None)], DOCUMENTS, path, format)
    assert ledger.to_dict()["dropped"] == {"without a weight: not trained on": 1}
    mined, documents = import_pairs([path], tmp_path, splits=Splits())
    (back,) = mined.pairs()
    assert (back.query, back.positive_id, back.negative_ids) == ("query", "a", ("b", "c"))
    assert {docid: documents[docid] for docid in documents} == DOCUMENTS
    if format == "released":
        assert (back.reasoning_length, back.weight, back.verdict) == (90, 0.5, "relevant")
    else:
        assert back.weight == 1.0


def test_an_export_can_render_the_query_for_trainers_that_see_nothing_else(tmp_path):
    path = tmp_path / "rows.jsonl"
    export_pairs([pair()], DOCUMENTS, path, "tevatron", style="question")
    assert json.loads(path.read_text())["query"] == "Query: query\nQuestion: Question?"


def test_rows_of_flagembedding_have_no_ids_and_may_have_several_positives():
    row = {"query": "q", "pos": ["one", "T\ntwo"], "neg": ["three", "one"]}
    (first, documents), (second, _) = read_row(row, "x")
    assert first.positive_id == documents[0].docid != second.positive_id
    # The first positive is also listed as a negative; it is none of its own.
    assert (len(first.negative_ids), len(second.negative_ids)) == (1, 2)
    assert first.pair_id != second.pair_id


def test_unsatisfied_rows_are_kept_and_not_trained_on_and_weights_can_be_made_anew(tmp_path):
    row = {"query": "q", "pos": ["a"], "neg": ["b"], "pos_id": [1], "neg_id": [2], "reweight_rate": 9.0}
    rows = [row | {"satisfied": length > 1, "reasoning_len": length} for length in (1, 10, 30)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    mined, _ = import_pairs([path], tmp_path, splits=Splits(), weighting=Weighting())
    assert [pair.weight is None for pair in mined.pairs()] == [True, False, False]
    assert sum(pair.weight for pair in mined.pairs(trained=True)) / 2 == pytest.approx(1.0)
    assert mined.fits["all"].half_life == 20
    assert mined.ledger["pairs"].dropped == {"verdict irrelevant": 1}


def test_files_of_other_rows_are_refused_and_say_what_they_hold(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"query": "q"}\n[]\n{"query": "q", "pos": []}\nnot json\n')
    with pytest.raises(LratError, match="1 neither `pos` nor `positive_passages`, 1 not an object, 1 no positive"):
        import_pairs([path], tmp_path, splits=Splits())


def test_a_missing_document_is_one_line(tmp_path):
    with pytest.raises(LratError, match="found none with id 'z'"):
        export_pairs([pair(positive_id="z")], DOCUMENTS, tmp_path / "rows.jsonl", "released")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"reweight_rate": "much"}, "`reweight_rate`"),
        ({"reasoning_len": -1}, "`reasoning_len`"),
        ({"query": 3}, "no query"),
    ],
)
def test_a_row_that_is_damaged_costs_that_row(tmp_path, fields, reason):
    row = {"query": "q", "pos": ["a"], "neg": ["b"], "pos_id": [1], "neg_id": [2]}
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, [row | fields, row])))
    mined, _ = import_pairs([path], tmp_path, splits=Splits())
    assert mined.num_pairs == 1
    (dropped,) = mined.ledger["rows"].dropped
    assert dropped.startswith(reason)


def test_a_file_that_ends_too_early_is_one_line(tmp_path):
    import gzip

    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"query": "q", "pos": ["a"], "neg": []}\n' * 50)[:40])
    with pytest.raises(LratError, match=r"rows.jsonl.gz can't be read to its end"):
        import_pairs([path], tmp_path, splits=Splits())
