"""`lrat verify`: what is sound passes, and one changed byte of an input, recipe, count, table or card is found."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelCard

from lrat_hub import cli
from lrat_hub.artifacts.verification import verify
from lrat_hub.errors import LratError
from lrat_hub.hub.cards import card_digest
from lrat_hub.hub.inputs import fetch_file, fetch_folder
from lrat_hub.hub.integrity import snapshot_folder
from lrat_hub.hub.lineage import LINEAGE_FILE, read_lineage
from lrat_hub.hub.refs import HubRef
from lrat_hub.hub.retries import retried


def failures(ref, **options):
    return [(check.artifact, check.name, check.found) for check in verify(ref, **options) if check.outcome == "failed"]


def pinned(text, **kind):
    return HubRef.parse(text, **kind)


def tampered(ref, change, *, name=LINEAGE_FILE):
    """A commit on top of an artifact in which one file has other content."""
    content = fetch_file(ref, name).read_bytes()
    operations = [CommitOperationAdd(name, change(content))]
    api = HfApi()
    made = api.create_commit(
        ref.repo_id, operations, repo_type=ref.repo_type, commit_message="tamper", parent_commit=ref.revision,
        revision="main", create_pr=True,
    )  # fmt: skip
    return replace(ref, revision=made.oid)


def in_lineage(change):
    """A change of `lineage.json` that leaves it well-formed."""

    def changed(content):
        fields = json.loads(content)
        change(fields)
        return (json.dumps(fields, indent=2) + "\n").encode()

    return changed


def test_what_the_stages_published_passes_up_to_the_corpus_and_unpinned_inputs_are_named(family):
    checks = list(verify(pinned(family.pairs)))
    assert [check for check in checks if check.outcome == "failed"] == []
    assert {check.artifact for check in checks if check.name == "tables"} == {family.pairs, family.runs, family.corpus}
    notes = [check.found for check in checks if check.outcome == "note"]
    assert {note.partition(" is not pinned")[0] for note in notes} == {"source", "documents", "queries", "qrels"}
    assert {check.name for check in verify(pinned(family.index)) if check.artifact == family.index} == {
        "pin", "files", "accounts", "card", "index",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda fields: fields["recipe"].update(seed=1), "card"),
        (lambda fields: fields["recipe"].update(negatives="unbrowsed "), "card"),
        (lambda fields: fields["counts"].update(weights={}), "card"),
        (lambda fields: fields["counts"]["pairs"].update(read=2), "accounts"),
        (lambda fields: fields["counts"]["published_rows"]["pairs"].update(train=2), "tables"),
        (lambda fields: fields["counts"]["splits"].update(train=2), "tables"),
        (lambda fields: fields["counts"]["triplets_account"].update(read=2, kept=2), "tables"),
        (lambda fields: fields["versions"].update(python="3.99.0"), "card"),
        (lambda fields: fields.update(stage="import"), "card"),
        (lambda fields: fields["files"].update({"README.md": "0" * 64}), "files"),
        (lambda fields: fields["files"].update({"more.txt": "0" * 64}), "files"),
    ],
)
def test_a_changed_value_of_the_lineage_is_found(family, change, check):
    ref = tampered(pinned(family.pairs), in_lineage(change))
    found = failures(ref)
    assert check in {name for _, name, _ in found}
    assert {artifact for artifact, _, _ in found} == {str(ref)}


def test_another_input_than_the_one_that_was_read_is_found(family):
    other = str(HubRef.parse(family.index.partition("@")[0]).pin())
    change = in_lineage(lambda fields: fields["inputs"].update(corpus=other))
    assert "card" in {name for _, name, _ in failures(tampered(pinned(family.pairs), change))}


@pytest.mark.parametrize("text", ["1 kept", "judged by", "- corpus: `"])
def test_one_changed_byte_of_a_card_is_found(family, text):
    def change(content):
        place = content.index(text.encode())
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

    assert "files" in {name for _, name, _ in failures(tampered(pinned(family.pairs), change, name="README.md"))}


def test_a_table_with_fewer_rows_is_found_by_its_bytes_and_by_its_count(family, tmp_path):
    import io

    import pyarrow.parquet as pq

    def change(content):
        out = io.BytesIO()
        pq.write_table(pq.read_table(io.BytesIO(content)).slice(1), out)
        return out.getvalue()

    ref = tampered(pinned(family.corpus), change, name="corpus/train-00000-of-00001.parquet")
    assert {name for _, name, _ in failures(ref)} == {"files", "tables"}


def test_a_file_that_the_lineage_does_not_list_is_found(family):
    ref = pinned(family.pairs)
    for operations in (
        [CommitOperationAdd("more.parquet", b"x")],
        [CommitOperationDelete("documents/train-00000-of-00001.parquet")],
    ):
        made = HfApi().create_commit(
            ref.repo_id,
            operations,
            repo_type="dataset",
            commit_message="x",
            parent_commit=ref.revision,
            create_pr=True,
        )
        assert "files" in {name for _, name, _ in failures(replace(ref, revision=made.oid))}


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def test_one_changed_byte_of_an_input_that_the_hub_stores_is_found(hub, tmp_path, monkeypatch):
    from tests.artifacts.conftest import write_corpus

    corpus = cli.run([*write_corpus(tmp_path, {"7": "one", "8": "a text of its own"}), "--to", "lrat/verify-flipped"])
    index = cli.run(["index", "--bm25", "--corpus", str(corpus), "--to", "lrat/verify-flipped-index"])
    assert failures(index) == []
    name = "corpus/train-00000-of-00001.parquet"
    (entry,) = HfApi().get_paths_info(corpus.repo_id, [name], revision=corpus.revision, repo_type="dataset")
    names = {entry.lfs.sha256, entry.lfs.sha256[4:]}
    (stored,) = [path for path in Path(hub.root, "objects").rglob("*") if path.is_file() and path.name in names]
    flip(stored)
    shutil.rmtree(snapshot_folder(corpus).parents[1])
    # A Hub that answers with an error is asked again for a while; here it is known that it won't get better.
    monkeypatch.setitem(retried.__kwdefaults__, "patience", 0.0)
    assert (str(corpus), "files") in {(artifact, name) for artifact, name, _ in failures(index)}


@pytest.mark.parametrize("name", ["README.md", "qrels_evidence/test-00000-of-00001.parquet"])
def test_one_changed_byte_of_an_input_on_the_way_or_in_the_cache_is_found(family, name):
    corpus = pinned(family.corpus)
    path = fetch_folder(corpus) / name
    sound = path.read_bytes()
    flip(path.resolve())
    try:
        found = failures(pinned(family.index))
    finally:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sound)
    assert {(artifact, check) for artifact, check, _ in found} >= {(family.corpus, "files")}
    assert any(name in text for _, _, text in found)


def test_an_input_that_is_gone_is_found_and_the_others_are_still_checked(hub, tmp_path):
    from tests.artifacts.conftest import write_corpus

    corpus = cli.run([*write_corpus(tmp_path, {"7": "one two three"}), "--to", "lrat/verify-gone"])
    index = cli.run(["index", "--bm25", "--corpus", str(corpus), "--to", "lrat/verify-gone-index"])
    HfApi().delete_repo(corpus.repo_id, repo_type="dataset")
    found = failures(index, fetch=False)
    assert [(artifact, name) for artifact, name, _ in found if artifact == str(corpus)] == [(str(corpus), "pin")]
    assert "no such dataset repository" in found[0][2]


def test_an_index_of_fewer_documents_than_its_corpus_is_found(family, tmp_path):
    """Its files, stamp and lineage agree with one another; only the corpus tells."""
    from lrat_hub.documents import Documents
    from lrat_hub.hub.cards import render_card
    from lrat_hub.hub.inputs import load_table, resolve
    from lrat_hub.hub.publish import publish_folder
    from lrat_hub.retrieval.bm25 import BM25Retriever
    from lrat_hub.retrieval.indexes import IndexManifest, write_bm25_index

    made = read_lineage(pinned(family.index))
    table = load_table(resolve(family.corpus, repo_type="dataset"), "corpus", config="corpus").select([0, 1])
    stamp = replace(IndexManifest.of(pinned(family.index)), documents=2)
    documents = Documents(table)
    write_bm25_index(tmp_path, BM25Retriever(documents.in_order()), documents, stamp)
    lineage = replace(made, counts={"documents": 2, "dimension": None}, files={})
    (tmp_path / "README.md").write_text(f"---\ntags:\n- lrat\n---\n\n{render_card('_lineage', lineage)}")
    ref = publish_folder(HubRef("lrat/verify-short-index"), tmp_path, lineage)
    ((_, name, text),) = failures(ref)
    assert name == "index"
    assert "its corpus: 3" in text
    assert "postings and ids: 2" in text


def test_results_in_a_card_are_no_change_of_it_and_any_other_word_is(hub, tmp_path):
    from huggingface_hub import EvalResult

    from lrat_hub.evaluation.cards import write_results
    from lrat_hub.hub.cards import render_card
    from lrat_hub.hub.lineage import Lineage
    from lrat_hub.hub.publish import publish_folder

    lineage = Lineage("train", {}, {"seed": 3}, {"pairs": 4})
    section = render_card("_lineage", lineage)
    metadata = "library_name: sentence-transformers\ntags:\n- 'yes'\n- lrat\n"
    text = f"---\n{metadata}---\n\n# Model\n\n<!-- results:start -->\nNone yet.\n<!-- results:end -->\n\n{section}"
    (tmp_path / "README.md").write_text(text)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    pin = publish_folder(HubRef("lrat/verify-results"), tmp_path, lineage)
    result = EvalResult("retrieval", "x", "name", "ndcg@10", 0.5, source_name="lrat eval retrieval", source_url="x")
    evaluated = write_results(pin, [result], section="results", text="| a | b |")
    card = ModelCard.load(Path(fetch_folder(evaluated)) / "README.md")
    assert card.data.eval_results
    assert "| a | b |" in card.text
    assert failures(evaluated) == []
    assert card_digest(str(card)) == card_digest(text) != card_digest(text.replace("# Model", "# model"))
    assert card_digest(text.replace("- lrat", "- lrat2")) != card_digest(text)


def test_the_command_has_a_line_for_each_check_a_table_of_failures_and_an_exit_code(family, capsys):
    assert cli.main(["verify", family.pairs]) == 0
    lines = capsys.readouterr().out.splitlines()
    (last,) = [line for line in lines if " checks passed" in line]
    assert sum(line.startswith("ok ") for line in lines) == int(last.partition(" ")[0])
    assert last.endswith("4 could not be made.")
    ref = tampered(pinned(family.pairs), in_lineage(lambda fields: fields["recipe"].update(seed=1)))
    assert cli.main(["verify", str(ref)]) == 1
    ended = capsys.readouterr()
    assert f"| {ref} | card |" in ended.out
    assert "1 of" in ended.err


def test_what_this_project_did_not_publish_fails(hub):
    HfApi().create_repo("lrat/verify-foreign", exist_ok=True)
    ref = HubRef("lrat/verify-foreign").pin()
    assert [name for _, name, _ in failures(ref)] == ["lineage"]
    with pytest.raises(LratError, match="no such model"):
        list(verify(HubRef("lrat/verify-nowhere")))
