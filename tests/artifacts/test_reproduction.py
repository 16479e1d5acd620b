"""`lrat reproduce`: a lineage is enough to make an artifact again; what differs or can't be repeated is said."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from lrat_hub import cli
from lrat_hub.artifacts.reproduction import TOLERANCE, plan_again, weight_distance
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import resolve
from lrat_hub.hub.lineage import Lineage, read_lineage
from lrat_hub.hub.refs import HubRef
from tests.artifacts.test_verification import in_lineage, tampered

PIN = "a" * 40


def test_pairs_and_indexes_are_the_same_when_they_are_made_again(family):
    for text in (family.pairs, family.index):
        ref = HubRef.parse(text)
        again = cli.run(["reproduce", text])
        assert again.repo_id == f"{ref.repo_id}-reproduced"
        before, after = read_lineage(ref), read_lineage(again)
        assert replace(after, files={}) == replace(before, files={})


def test_an_evaluation_is_the_same_whatever_time_its_searches_take(family, capsys):
    words = ["eval", "retrieval", "--corpus", family.corpus, "--queries", family.corpus, "--qrels", family.corpus]
    evaluation, _ = cli.run([*words, "--check_passages", "0", "--to", "lrat/family-evaluation"])

    def slower(fields):
        fields["counts"]["costs"]["bm25"].update(milliseconds=1e9, device="another machine")

    assert cli.run(["reproduce", str(tampered(evaluation, in_lineage(slower)))])
    larger = tampered(evaluation, in_lineage(lambda fields: fields["counts"]["costs"]["bm25"].update(results=7)))
    capsys.readouterr()
    assert cli.main(["reproduce", str(larger)]) == 1
    assert "counts, costs.bm25.results: expected 7" in capsys.readouterr().out


def test_what_came_from_files_needs_them_and_they_have_to_be_the_same(family, tmp_path):
    files = {"documents": "documents.jsonl", "queries": "queries.tsv", "qrels": "qrels.txt"}
    with pytest.raises(LratError, match=r"read from someone's machine: give it as documents=PATH in --given"):
        cli.run(["reproduce", family.corpus])
    given = [f"{name}={family.folder / file}" for name, file in files.items()]
    again = cli.run(["reproduce", family.corpus, "--to", "lrat/family-corpus-again", "--given", *given])
    assert read_lineage(again).files == read_lineage(HubRef.parse(family.corpus)).files | {
        "README.md": read_lineage(again).files["README.md"]
    }
    changed = tmp_path / "documents.jsonl"
    changed.write_bytes((family.folder / "documents.jsonl").read_bytes().replace(b"bridges", b"bridgez"))
    with pytest.raises(LratError, match=r"documents=.*expected documents.jsonl \(unpinned, sha256:"):
        cli.run(["reproduce", family.corpus, "--given", f"documents={changed}", *given[1:]])
    assert cli.run(["reproduce", family.runs, "--given", f"source={family.folder / 'logs'}"])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda fields: fields["recipe"].update(triplet_negatives=0), "expected"),
        (lambda fields: fields["counts"]["pairs"].update(read=7, kept=7), "counts, pairs.read: expected 7"),
    ],
)
def test_a_changed_recipe_or_count_makes_something_else(family, capsys, change, found):
    ref = tampered(HubRef.parse(family.pairs), in_lineage(change))
    assert cli.main(["reproduce", str(ref), "--to", f"lrat/changed-{ref.revision[:7]}"]) == 1
    ended = capsys.readouterr()
    assert found in ended.out
    assert "what was made again differs in" in ended.err


def test_what_a_language_model_said_is_not_made_again_and_verdicts_come_from_the_cache():
    runs = Lineage("rollout", {"agent": f"org/agent@{PIN}", "corpus": f"datasets/a/b@{PIN}"}, {"k": 5})
    assert plan_again(runs, {}).obstacles == [f"the answers of the agent org/agent@{PIN} are sampled"]
    mined = plan_again(Lineage("mine", {"judge": f"org/judge@{PIN}", "trajectories": f"datasets/a/b@{PIN}"}, {}), {})
    assert mined.options == {
        "judge": "llm",
        "judge_model": f"org/judge@{PIN}",
        "trajectories": [f"datasets/a/b@{PIN}"],
    }
    assert mined.obstacles == []
    assert "cache" in mined.notes[0]
    served = Lineage("rollout", {"retriever": "bm25@x (served at http://127.0.0.1:1)"}, {})
    assert "may answer differently" in plan_again(served, {}).obstacles[0]


def test_code_is_found_by_its_name_and_no_path_of_it_is_taken():
    lineage = Lineage("import", {"reader": f"my_readers:trail (plug-in, unpinned, sha256:{'b' * 64})"}, {})
    assert plan_again(lineage, {}).options == {"reader": "my_readers:trail"}
    with pytest.raises(LratError, match=r"reader: expected none, found my_readers\.py.*my_readers:trail from"):
        plan_again(lineage, {"reader": "my_readers.py"})


def test_numbered_inputs_become_lists_and_parts_of_fusions_become_pins():
    inputs = {f"model_{number}": f"a/m{number}@{PIN}" for number in (1, 2)}
    assert plan_again(Lineage("eval retrieval", inputs, {"results_into": ["a/m1"]}), {}).options == {
        "models": [f"a/m1@{PIN}", f"a/m2@{PIN}"]
    }
    recipe = {"retrievers": ["a/m1@main", "bm25+a/m1", "a/m11", "bm25>20:a/m2"]}
    inputs = {"retriever_1": f"a/m1@{PIN}", "retriever_4_2": f"a/m2@{PIN}"}
    options = plan_again(Lineage("eval agents", inputs, recipe), {}).options
    assert options == {"retrievers": [f"a/m1@{PIN}", f"bm25+a/m1@{PIN}", "a/m11", f"bm25>20:a/m2@{PIN}"]}


def test_a_folder_among_the_parts_of_a_retriever_becomes_the_one_that_is_given(tmp_path):
    folder = tmp_path / "rank"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    recorded = str(resolve(str(folder), repo_type="model"))
    for text in ("bm25>20:/then/rank", "bm25+~/models/rank/>a/m1", "./rank"):
        made = Lineage("eval retrieval", {"retriever_1_2": recorded}, {"retrievers": [text, "a/rank", "./rank2"]})
        assert "retriever_1_2=PATH in `given`" in plan_again(made, {}).obstacles[0]
        found = plan_again(made, {"retriever_1_2": str(folder)}).options
        again = re.sub(r"[^>:+]*/rank/?", str(folder), text)
        assert found == {"retrievers": [again, "a/rank", "./rank2"]}


def test_versions_that_differ_are_told():
    notes = plan_again(Lineage("mine", {}, {}, versions={"datasets": "1.0"}), {}).notes
    assert "datasets" in notes[0]
    assert "1.0" in notes[0]


def test_the_distance_of_weights_tells_rounding_from_another_training(tmp_path):
    import torch
    from safetensors.torch import save_file

    weights = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3)}
    changed = {"same": weights, "rounded": {**weights, "b": torch.ones(3) * (1 + 1e-6)},
               "other": {**weights, "b": torch.ones(3) * 1.1}, "shape": {**weights, "b": torch.ones(4)}}  # fmt: skip
    for name, tensors in changed.items():
        save_file(tensors, tmp_path / name)
    distances = {name: weight_distance(tmp_path / "same", tmp_path / name) for name in changed}
    assert distances["same"] == 0
    assert 0 < distances["rounded"] < TOLERANCE < distances["other"] < distances["shape"]
    assert distances["shape"] == float("inf")
