"""The picture of a lineage beside every artifact: its boxes, its lines, and where they stand."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from lrat_hub.hub.inputs import fetch_file
from lrat_hub.hub.lineage import Lineage
from lrat_hub.hub.outputs import CARD_FILE
from lrat_hub.hub.picture import HEIGHT, PICTURE_FILE, WIDTH, draw_lineage
from lrat_hub.hub.refs import HubRef

SVG = "{http://www.w3.org/2000/svg}"


def boxes(svg: str) -> dict[str, tuple[float, float]]:
    """The name of each box, complete, and its left upper corner."""
    groups = ElementTree.fromstring(svg).findall(f"{SVG}g")
    corners = [group.find(f"{SVG}rect").attrib for group in groups]
    names = [group.findtext(f"{SVG}title") for group in groups]
    assert len(set(names)) == len(names)
    return {name: (float(at["x"]), float(at["y"])) for name, at in zip(names, corners, strict=True)}


def test_every_artifact_has_a_picture_of_all_that_it_was_made_from(family):
    path = fetch_file(HubRef.parse(family.pairs), PICTURE_FILE)
    found = boxes(path.read_text())
    names = {"this dataset", *(HubRef.parse(ref).repo_id for ref in (family.corpus, family.runs))}
    assert names < found.keys()
    assert {name.rpartition("/")[2] for name in found.keys() - names} == {
        "documents.jsonl", "queries.tsv", "qrels.txt", "logs",
    }  # fmt: skip
    heights = {name: y for name, (_, y) in found.items()}
    assert heights["this dataset"] > heights["lrat/family-runs"] > min(heights.values())
    assert len(set(found.values())) == len(found), "no box stands on another"
    card = fetch_file(HubRef.parse(family.pairs), CARD_FILE).read_text()
    assert f"]({PICTURE_FILE})" in card


def test_what_is_used_twice_has_one_box_and_a_line_to_each_use(family):
    lineage = Lineage("eval retrieval", {"corpus": family.corpus, "index_1": family.index, "again": family.corpus}, {})
    svg = draw_lineage(lineage, "dataset")
    found = boxes(svg)
    corpus = found["lrat/family-corpus"]
    starts = re.findall(r'd="M([\d.]+) ([\d.]+)C', svg)
    assert starts.count((f"{corpus[0] + WIDTH / 2:g}", f"{corpus[1] + HEIGHT:g}")) == 2
    assert corpus[1] < found["lrat/family-index"][1] < found["this dataset"][1]


@pytest.mark.parametrize("name", ['a<b>&"c".jsonl', "x" * 300, "ä 日本.jsonl"])
def test_any_name_makes_a_picture_that_can_be_read(hub, name):
    lineage = Lineage("corpus", {"documents": f"{name} (unpinned, sha256:{'0' * 64})"}, {})
    svg = draw_lineage(lineage, "dataset")
    assert name in boxes(svg)
    assert svg == draw_lineage(lineage, "dataset")
    assert all(len(text.text) < 40 for text in ElementTree.fromstring(svg).iter(f"{SVG}text"))
