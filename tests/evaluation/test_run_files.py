"""Run files of others are read whatever wrote them, and ids with blanks come back from ours as they were."""

import bz2
import gzip
import json

import pytest

from lrat_hub.errors import LratError
from lrat_hub.evaluation.run_files import (
    NAMES_FILE,
    escaped_id,
    escaped_names,
    read_run,
    trec_run,
    unescaped_id,
    with_known_ids,
)
from lrat_hub.retrieval import Hit

LINES = "q1 Q0 d2 1 2.5 theirs\nq1 Q0 d1 2 1.5 theirs\nq2 Q0 d1 1 3 theirs\n"

HOSTILE = [
    "New York", "a\tb", "line\nbreak", "no\xa0break", "\u2028", "\ufeffmark", " ", "%", "%20", "100 %25", "%2%20",
    "% 41", "%A%41", "%C2%A0", "a%2520b", "日本 語", "%E6%97", "50%-60%", "\x00", "plain-id_1.0:x/y",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bom.trec", b"\xef\xbb\xbf" + LINES.encode()),
        ("crlf.trec", LINES.replace("\n", "\r\n").encode()),
        ("bom-crlf.trec", b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode()),
        ("tabs.trec", LINES.replace(" ", "\t").encode()),
        ("packed.trec.gz", gzip.compress(b"\xef\xbb\xbf" + LINES.encode(), mtime=0)),
        ("packed.trec.bz2", bz2.compress(LINES.encode())),
        ("open-end.trec", LINES.rstrip("\n").encode()),
    ],
)
def test_marks_line_ends_and_compression_make_no_difference(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    system, run = read_run(tmp_path / name)
    assert (system, {query: [hit.docid for hit in hits] for query, hits in run.items()}) == (
        "theirs",
        {"q1": ["d2", "d1"], "q2": ["d1"]},
    )


def test_lines_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "run.trec").write_bytes(LINES.encode() + b"q3 Q0 d\xff 1 1 theirs\n")
    with pytest.raises(LratError, match="bad UTF-8"):
        read_run(tmp_path / "run.trec")
    (tmp_path / "cut.trec.gz").write_bytes(gzip.compress(LINES.encode())[:-9])
    with pytest.raises(LratError, match="Is it complete"):
        read_run(tmp_path / "cut.trec.gz")


def test_an_id_is_split_at_ascii_blanks_alone_as_trec_eval_splits_it(tmp_path):
    (tmp_path / "run.trec").write_text("q\xa01 Q0 d\u2028x 1 2.5 s\n", encoding="utf-8")
    _, run = read_run(tmp_path / "run.trec")
    assert {query: hits[0].docid for query, hits in run.items()} == {"q\xa01": "d\u2028x"}


@pytest.mark.parametrize("identifier", HOSTILE)
def test_escaping_leaves_no_blanks_and_is_undone_exactly(identifier):
    written = escaped_id(identifier)
    assert not any(character.isspace() for character in written)
    assert unescaped_id(written) == identifier


def test_ids_without_blanks_are_written_as_they_are():
    for identifier in ("plain-id_1.0:x/y", "50%-60%", "100%", "日本"):
        assert escaped_id(identifier) == identifier
    assert escaped_id("New York") == "New%20York"
    assert escaped_id("A%20B") == "A%2520B"


def test_a_run_with_hostile_ids_comes_back_by_the_table_of_names_and_without_it(tmp_path):
    run = {query: [Hit(docid, -float(rank), rank) for rank, docid in enumerate(HOSTILE, start=1)] for query in HOSTILE}
    (tmp_path / "run.trec").write_text(trec_run(run, "my system"), encoding="utf-8")
    system, alone = read_run(tmp_path / "run.trec")
    assert system == "my_system"
    assert alone != run
    assert with_known_ids(alone, set(HOSTILE), set(HOSTILE)) == run
    (tmp_path / NAMES_FILE).write_text(escaped_names(HOSTILE), encoding="utf-8")
    assert read_run(tmp_path / "run.trec")[1] == run
    names = [json.loads(line) for line in escaped_names(HOSTILE).splitlines()]
    assert {"written": "New%20York", "id": "New York"} in names
    assert all(row["written"] != row["id"] for row in names)


def test_ids_of_others_that_look_escaped_stay_as_they_are():
    run = {"q1": [Hit("A%20B", 1.0, 1)]}
    assert with_known_ids(run, {"q1"}, {"A%20B"}) == run
    assert with_known_ids(run, {"q1"}, {"A B"}) == {"q1": [Hit("A B", 1.0, 1)]}


def test_lines_of_several_systems_are_no_run(tmp_path):
    # Files that were put one behind the other would be scored as one system, by the name of the last.
    (tmp_path / "run.trec").write_text("q0 Q0 d0 1 2.0 first\nq1 Q0 d0 1 2.0 second\n")
    with pytest.raises(LratError, match=r"run.trec:2: expected lines of one system, found second after first"):
        read_run(tmp_path / "run.trec")


@pytest.mark.parametrize(
    ("hits", "contradictions"),
    [
        ([(1, 0.9), (2, 0.5), (3, 0.5)], []),
        ([(1, 0.1), (2, 0.5), (3, 0.9)], [1]),  # distances
        ([(1, 0.9), (2, 0.5), (3, 0.7)], [1]),
        ([(0, 0.1), (0, 0.5), (0, 0.9)], []),  # ranks that say nothing
        ([(3, 0.1), (1, 0.9), (2, 0.5)], []),
    ],
)
def test_ranks_that_contradict_scores_are_told_and_scores_decide(tmp_path, hits, contradictions):
    lines = [f"q Q0 d{number} {rank} {score} s\n" for number, (rank, score) in enumerate(hits)]
    (tmp_path / "run.trec").write_text("".join(lines))
    told = []
    _, run = read_run(tmp_path / "run.trec", on_contradiction=told.append)
    assert told == contradictions
    assert [hit.score for hit in run["q"]] == pytest.approx(sorted((score for _, score in hits), reverse=True))
