"""Tables out of files: what is read is what lies there now, to the letter."""

import json
import os

import pytest

from lrat_hub.corpora.rows import ColumnMap, read_rows
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import load_split, resolve
from lrat_hub.ledger import Ledger


# huggingface/datasets#730: a cached table of another content was loaded, without any message.
def test_a_file_with_other_content_of_the_same_size_and_time_is_read_again(tmp_path):
    file = tmp_path / "rows.jsonl"

    def read(name):
        file.write_text(json.dumps({"id": name}) + "\n")
        os.utime(file, (1e9, 1e9))
        return load_split(resolve(str(tmp_path), repo_type="dataset"))["id"][0]

    assert [read("a"), read("b"), read("a")] == ["a", "b", "a"]


# huggingface/datasets#7059: nulls within lists were left out, and what followed moved forward.
def test_nulls_within_lists_keep_their_places(tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"id": "a", "lists": [None, ["x"], None, ["y"]]}) + "\n")
    assert load_split(resolve(str(tmp_path), repo_type="dataset"))["lists"][0] == [None, ["x"], None, ["y"]]


# huggingface/datasets#4467: the text "null" was read as no text.
def test_words_that_parsers_take_for_nothing_are_texts_and_ids_like_any_other(tmp_path):
    words = ["null", "NA", "NaN", "None", "N/A", "true", "1e3", "007"]
    table = tmp_path / "corpus.tsv"
    table.write_text("docid\ttitle\ttext\n" + "".join(f"{word}\t{word}\t{word}\n" for word in words))
    rows = read_rows(resolve(str(table), repo_type="dataset"), ColumnMap.of("documents"), Ledger("rows"))
    assert [(row["docid"], row["title"], row["text"]) for row in rows] == [(word, word, word) for word in words]


def test_a_repository_of_the_other_kind_is_named(hub):
    from huggingface_hub import HfApi

    HfApi().create_repo("lrat/only-a-model", repo_type="model", exist_ok=True)
    with pytest.raises(LratError, match=r"no such dataset repository at .* There is a model of that name"):
        resolve("lrat/only-a-model", repo_type="dataset")


@pytest.mark.parametrize("path", ["runs.jsonl", "logs/runs.jsonl", "logs/runs.parquet#pairs"])
def test_a_path_that_was_mistyped_is_no_missing_repository(hub, path):
    with pytest.raises(LratError, match=f"^{path}: expected a file there, found nothing"):
        resolve(path, repo_type="dataset")
