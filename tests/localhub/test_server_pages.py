"""The pages for people: what is on them, and that they hold nothing that a card could abuse."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from requests_by_hand import commit, connect, put

from lrat_hub.localhub import LocalHub
from lrat_hub.localhub.cards import render_card

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__()
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def links(self) -> list[str]:
        return [attrs["href"] or "" for tag, attrs in self.tags if tag == "a"]


CARD = b"""---
tags: [lrat]
---
# A card
<script>alert(1)</script> <img src=x onerror=alert(1)> <!-- a remark -->

| a | b |
| - | -: |
| 1 | 2 |

[script](javascript:alert(1)) [file](data/x.txt) ![picture](plots/a%20b.png) ![tracker](https://example.com/t.png)

<details><summary>More</summary>

hidden

</details>
"""


def test_every_link_of_every_page_leads_somewhere_and_nothing_comes_from_elsewhere(
    http: httpx2.Client, repo: str
) -> None:
    commit(http, repo, put("README.md", CARD), put("data/x.txt", b"text"), put("plots/a b.png", b"\x89PNG"))
    commit(
        http,
        repo,
        put("data/ünï #?.bin", b"\0"),
        ("deletedFile", {"path": "plots/a b.png"}),
        put("plots/a b.png", b"2"),
    )
    http.post(f"/api/models/{repo}/branch/dev%2Fx")
    seen: set[str] = set()
    waiting = ["/", f"/{repo}"]
    while waiting:
        path = waiting.pop()
        seen.add(path)
        page = Page(http.get(path))
        assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "object", "style")]
        for tag, attrs in page.tags:
            assert not [name for name in attrs if name.startswith("on") or name == "style"]
            if tag in ("img", "link"):
                assert re.match(r"/[^/]|data:,$", attrs.get("src") or attrs.get("href") or ""), attrs
            if tag == "img":
                assert http.get(attrs["src"]).headers["Content-Type"] == "image/png"
        for link in page.links:
            path = link.partition("#")[0]
            if "/resolve/" in path:
                assert http.get(path).status_code == 200, path
            # The pages of other repositories have their own tests.
            elif path.startswith(f"/{repo}") and path not in seen | set(waiting):
                waiting.append(path)
    assert {f"/{repo}/tree/dev%2Fx", f"/{repo}/blob/main/data/%C3%BCn%C3%AF%20%23%3F.bin"} <= seen
    assert len(seen) > 12


def test_cards_are_rendered_and_harmless(http: httpx2.Client, repo: str) -> None:
    commit(http, repo, put("README.md", CARD), put("data/x.txt"))
    page = Page(http.get(f"/{repo}"))
    sha = http.get(f"/api/models/{repo}").json()["sha"]
    assert "<script>alert(1)</script> <img src=x onerror=alert(1)>" in page.text
    assert "tags: [lrat]" not in page.text
    assert "remark" not in page.text
    assert ("h1", {}) in page.tags
    assert ("details", {}) in page.tags
    assert ("td", {"class": "right"}) in page.tags
    assert f"/{repo}/blob/{sha}/data/x.txt" in page.links
    assert not [link for link in page.links if "javascript" in link]
    assert [attrs["src"] for tag, attrs in page.tags if tag == "img"] == [f"/{repo}/resolve/{sha}/plots/a%20b.png"]
    # A picture from elsewhere would tell its server who reads the card: it is a link.
    assert "https://example.com/t.png" in page.links


@pytest.mark.parametrize(
    "text",
    [
        "<svg onload=alert(1)>",
        "<a href='javascript:alert(1)'>x</a>",
        "<details open ontoggle=alert(1)>",
        "<b onclick=x>",
        '<details\n\nclass="x" onclick="y">',
        "<!--><script>x</script>",
        "<!-- --><img src=x>",
        "<scr<!-- -->ipt>alert(1)</script>",
        "`<script>`",
        "[x](javascript&colon;alert(1))",
        "[x](data:text/html,<script>)",
        "![x](javascript:alert(1))",
        "[a]: javascript:x\n[a]",
        "<javascript:alert(1)>",
        '[x](https://a "onmouseover=alert(1)")',
        '![" onerror="x](a.png)',
    ],
)
def test_no_card_gets_a_tag_or_an_address_through_that_could_run(text: str) -> None:
    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            allowed = {"a": {"href", "rel", "title"}, "img": {"src", "alt"}}.get(tag, set())
            assert tag in ("a", "img", "p", "b", "br", "code", "details", "summary"), tag
            assert {name for name, _ in attrs} <= allowed
            for name, value in attrs:
                if name in ("href", "src"):
                    assert not re.match(r"\s*(javascript|data|vbscript):", value or "", re.IGNORECASE)

    Tags().feed(render_card(text, "/lrat/m", "0" * 40))


def test_the_lineage_of_an_artifact_links_to_its_pinned_inputs(hub: LocalHub, api: HfApi) -> None:
    from datasets import Dataset

    from lrat_hub import HubRef
    from lrat_hub.hub.lineage import Lineage
    from lrat_hub.hub.publish import publish_dataset

    rows = {"train": Dataset.from_dict({"docid": ["a"], "title": [""], "text": ["a"]})}
    card = "---\npretty_name: Test\n---\n# Test\n"
    documents = "docs.jsonl (unpinned, sha256:0)"
    elsewhere = f"other/model@{'0' * 40}"

    def publish(name: str, inputs: dict[str, str]) -> HubRef:
        lineage = Lineage("rollout", inputs, {})
        return publish_dataset(HubRef(name, "dataset"), {"rows": rows}, card=card, lineage=lineage)

    corpus = publish("lrat/page-corpus", {"documents": documents})
    runs = publish("lrat/page-runs", {"corpus": str(corpus), "model": elsewhere})
    with connect(hub.endpoint) as http:
        page = Page(http.get(f"/{runs.repo_type}s/{runs.repo_id}"))
        there = f"/datasets/lrat/page-corpus/tree/{corpus.revision}"
        assert there in page.links
        assert "lrat rollout" in page.text
        assert f"{elsewhere} (not on this Hub)" in page.text
        assert documents in Page(http.get(there)).text
        # An input that became private is not given away by a link.
        api.update_repo_settings(corpus.repo_id, repo_type="dataset", private=True)
        assert there not in Page(http.get(f"/datasets/{runs.repo_id}")).links


def test_private_repositories_are_shown_to_those_who_may_read_them(hub: LocalHub, api: HfApi) -> None:
    repo = api.create_repo("lrat/page-private", private=True).repo_id
    with connect(hub.endpoint, headers={"Accept": "text/html"}) as stranger:
        assert repo not in stranger.get("/").text
        refused = stranger.get(f"/{repo}")
        assert (refused.status_code, refused.text) == (404, stranger.get("/no/where").text.replace("no/where", repo))
        asked = stranger.get("/login")
        assert (asked.status_code, asked.headers["WWW-Authenticate"].partition(" ")[0]) == (401, "Basic")
    with connect(hub.endpoint, auth=("anybody", hub.token)) as owner:
        assert f"/{repo}" in Page(owner.get("/login", follow_redirects=True)).links
        assert "private" in Page(owner.get(f"/{repo}")).text
        assert f"/{repo}" in Page(owner.get("/", params={"search": "PAGE-priv"})).links
        assert f"/{repo}" not in Page(owner.get("/", params={"search": "something else"})).links


def test_a_commit_shows_what_it_changed_line_by_line(http: httpx2.Client, repo: str) -> None:
    commit(http, repo, put("a.txt", b"one\ntwo\n"), put("b.bin", b"\0" * 10))
    sha = commit(http, repo, put("a.txt", b"one\n<b>three\n"), put("b.bin", b"\0" * 20)).json()["commitOid"]
    page = Page(http.get(f"/{repo}/commit/{sha}"))
    assert ("span", {"class": "D"}) in page.tags
    assert ("span", {"class": "A"}) in page.tags
    assert "-two" in page.text
    assert "+<b>three" in page.text
    assert "This file is large, no text, or damaged." in page.text


def test_a_discussion_has_a_page(api: HfApi, http: httpx2.Client, repo: str) -> None:
    content = b"proposed <script>"
    pull = api.upload_file(
        repo_id=repo, path_in_repo="a", path_or_fileobj=content, create_pr=True, commit_message="<b>Idea"
    )
    api.comment_discussion(repo, pull.pr_num, comment="<i>why</i>")
    page = Page(http.get(f"/{repo}/discussions/{pull.pr_num}"))
    for text in ("<b>Idea", "<i>why</i>", "+proposed <script>", "open"):
        assert text in page.text
    # Who made it, who commented, each with the time as the commit has it.
    assert len(re.findall(r"lrat, \d{4}-\d\d-\d\d \d\d:\d\d UTC", page.text)) == 2
    assert f"/{repo}/discussions/{pull.pr_num}" in Page(http.get(f"/{repo}/discussions")).links
    assert http.get(f"/{repo}/discussions/7", headers={"Accept": "text/html"}).status_code == 404


def test_lists_are_searched_by_names_and_tags_and_cards_stand_above_files(
    api: HfApi, http: httpx2.Client, repo: str
) -> None:
    commit(http, repo, put("README.md", b"---\ntags: [a-tag-of-its-own]\n---\n# The card"), put("modules.json", b"[]"))
    assert f"/{repo}" in Page(http.get("/", params={"search": "A-tag-OF"})).links
    assert f"/{repo}" not in Page(http.get("/", params={"search": "a-tag-of nothing"})).links
    page = Page(http.get(f"/{repo}"))
    assert page.text.index("The card") < page.text.index("modules.json")
    sha = api.model_info(repo).sha
    assert f'SentenceTransformer("{repo}", revision="{sha}")' in page.text


def test_what_the_browser_draws_itself_has_the_colours_of_the_page(http: httpx2.Client) -> None:
    """Scroll bars and fields are the browser's: they are dark in dark mode only if a page says that it is."""
    style = http.get("/api/style.css").text
    assert "@media (prefers-color-scheme: dark)" in style
    assert re.match(r":root \{ color-scheme: light dark;", style)
