"""Lists of repositories: filtered, sorted and cut as they are asked to be, by what cards say and files are."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from requests_by_hand import put

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

_names = itertools.count()


@pytest.fixture
def author() -> str:
    """A namespace of its own, so that lists of it hold what the test made."""
    return f"lister-{next(_names)}"


def made(api: HfApi, http: httpx2.Client, repo: str, card: str, *files: str, kind: str = "models") -> str:
    api.create_repo(repo, repo_type=kind[:-1])
    lines = [("header", {"summary": "x"}), put("README.md", f"---\n{card}\n---\nBy arxiv.org/abs/2604.04949".encode())]
    lines += [put(path) for path in files]
    body = "\n".join(json.dumps({"key": key, "value": value}) for key, value in lines)
    http.post(f"/api/{kind}/{repo}/commit/main", content=body).raise_for_status()
    return repo


def test_models_are_found_by_everything_that_their_cards_say(api: HfApi, http: httpx2.Client, author: str) -> None:
    card = """
license: mit
language: [en, de]
library_name: sentence-transformers
pipeline_tag: sentence-similarity
base_model: org/base
datasets: [org/pairs]
tags: [retrieval, agents]"""
    full = made(api, http, f"{author}/full", card, "modules.json")
    made(api, http, f"{author}/plain", "license: apache-2.0", "x.safetensors")

    def found(**which: Any) -> list[str]:
        return [model.id for model in api.list_models(author=author, **which)]

    assert found() == [full, f"{author}/plain"]
    for tag in (
        *("license:mit", "en", "de", "sentence-transformers", "sentence-similarity", "retrieval", "dataset:org/pairs"),
        *("base_model:org/base", "base_model:finetune:org/base"),
    ):
        assert found(filter=tag) == [full], tag
    assert found(filter=["retrieval", "license:mit"]) == [full]
    assert found(filter=["retrieval", "license:apache-2.0"]) == []
    assert found(trained_dataset="org/pairs") == found(pipeline_tag="sentence-similarity") == [full]
    assert found(filter="arxiv:2604.04949") == found(gated=False) == found()
    assert found(gated=True) == found(filter="no-such-tag") == []
    assert found(filter="safetensors") == [f"{author}/plain"]
    assert found(search="pla") == [f"{author}/plain"]
    info = api.model_info(full)
    assert (info.library_name, info.pipeline_tag) == ("sentence-transformers", "sentence-similarity")
    assert {"license:mit", "dataset:org/pairs"} <= set(info.tags or [])


def test_datasets_are_found_by_their_tags(api: HfApi, http: httpx2.Client, author: str) -> None:
    card = "license: cc-by-4.0\nlanguage: en\ntask_categories: [text-retrieval]\nsize_categories: [n<1K]"
    name = made(api, http, f"{author}/rows", card, "data/train.jsonl", kind="datasets")

    def found(**which: Any) -> list[str]:
        return [each.id for each in api.list_datasets(author=author, **which)]

    assert found(language="en") == found(task_categories="text-retrieval") == found(size_categories="n<1K") == [name]
    assert found(filter="format:json") == found(filter="license:cc-by-4.0") == [name]
    assert found(language="fr") == found(filter="format:parquet") == []


def test_the_newest_is_the_newest(api: HfApi, http: httpx2.Client, author: str) -> None:
    names = [made(api, http, f"{author}/{letter}", "license: mit") for letter in "bca"]
    created = {model.id: model.created_at for model in api.list_models(author=author, expand=["createdAt"])}
    newest = [model.id for model in api.list_models(author=author, sort="created_at")]
    assert sorted(names, key=lambda name: (-created[name].timestamp(), name)) == newest
    for sort in ("last_modified", "downloads", "likes", "trending_score"):
        assert sorted(model.id for model in api.list_models(author=author, sort=sort)) == sorted(names)
    for query in ({"sort": "name"}, {"sort": "lastModified", "direction": "up"}, {"limit": "-1"}, {"full": "maybe"}):
        assert http.get("/api/models", params=query).status_code == 400
    limited = list(api.list_models(author=author, sort="created_at", limit=1))
    assert [model.id for model in limited] == newest[:1]
    upward = http.get("/api/models", params={"author": author, "sort": "createdAt", "direction": "1"}).json()
    assert [created[model["id"]] for model in upward] == sorted(created.values())


def test_lists_and_information_have_what_expand_asks_for(api: HfApi, http: httpx2.Client, author: str) -> None:
    name = made(api, http, f"{author}/model", "license: mit\ntags: [one]", "config.json")
    for info in (
        api.model_info(name, expand=["sha", "tags"]),
        *api.list_models(author=author, expand=["sha", "tags"]),
    ):
        assert (info.id, len(info.sha or ""), "one" in (info.tags or [])) == (name, 40, True)
        assert (info.private, info.card_data, info.siblings) == (None, None, None)
    full = next(iter(api.list_models(author=author, full=True)))
    assert {file.rfilename for file in full.siblings or []} == {".gitattributes", "README.md", "config.json"}
    assert next(iter(api.list_models(author=author))).siblings is None
    used = api.model_info(name, expand=["usedStorage"]).used_storage
    assert used == sum(file.size or 0 for file in api.model_info(name, files_metadata=True).siblings or [])
    for status, asked in ((400, "nonsense"), (501, "inferenceProviderMapping"), (501, "safetensors")):
        for path in ("/api/models", f"/api/models/{name}"):
            assert http.get(path, params={"expand": asked}).status_code == status
    assert http.get("/api/models", params={"expand": "sha", "full": "true"}).status_code == 400


def test_configurations_of_models_are_listed_when_asked_for(api: HfApi, author: str) -> None:
    name = api.create_repo(f"{author}/model").repo_id
    content = b'{"model_type": "bert", "architectures": ["BertModel"], "vocab_size": 3}'
    api.upload_file(repo_id=name, path_in_repo="config.json", path_or_fileobj=content)
    listed = next(iter(api.list_models(author=author, fetch_config=True)))
    assert listed.config == {"model_type": "bert", "architectures": ["BertModel"]}


CARDS = {
    "an impossible date": "d: 2020-13-45",
    "a float that is none": "a: !!float x",
    "a time that is none": "a: !!timestamp x",
    "a list in itself": "a: &a [*a]",
    "tags that are mappings": "tags: [{a: b}]",
    "a license that is a list of lists": "license: [[mit]]",
    "aliases of aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)),
    "merges of merges": "a: &a {k: 1}\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{','.join(['*' + chr(97 + n)] * 9)}]}}\n" for n in range(9)),
    "a number beyond JSON": "a: 0x" + "f" * 900,
    "half a character": 'a: "\\ud800"',
    "an infinity": "a: .inf",
    "not YAML": "a: [",
    "a number with many digits": "a: " + "9" * 100_000,
    "many levels": "a: " + "[" * 5_000 + "]" * 5_000,
    "model-index of nothing": "model-index: [{}]\npipeline_tag: 3\nlibrary_name: [x]",
}


@pytest.mark.parametrize("card", CARDS.values(), ids=list(CARDS))
def test_a_bad_card_breaks_nothing_but_itself(api: HfApi, http: httpx2.Client, author: str, card: str) -> None:
    bad, good = made(api, http, f"{author}/bad", card), made(api, http, f"{author}/good", "license: mit")
    assert {model.id for model in api.list_models(author=author, full=True)} == {bad, good}
    assert [model.id for model in api.list_models(author=author, filter="license:mit")] == [good]
    assert api.model_info(bad).id == bad
    for page in ("/", f"/{bad}", f"/{bad}/blob/main/README.md"):
        assert http.get(page).status_code == 200
    checked = http.post("/api/validate-yaml", json={"content": f"---\n{card}\n---\n", "repoType": "model"})
    assert checked.status_code in (200, 400)


def test_metadata_are_refused_where_the_real_hub_refuses_them(api: HfApi, http: httpx2.Client) -> None:
    def errors(card: str, kind: str = "model") -> list[str]:
        answer = http.post("/api/validate-yaml", json={"content": f"---\n{card}\n---\n", "repoType": kind})
        assert answer.status_code == (400 if answer.json()["errors"] else 200)
        return [error["message"] for error in answer.json()["errors"]]

    refused = {
        "license: asdf": "license",
        "tags: {a: b}": "tags",
        "pipeline_tag: Sentence Similarity": "pipeline_tag",
        "base_model: https://huggingface.co/x": "base_model",
        "base_model_relation: copy": "base_model_relation",
        "model-index: [{name: x, results: [{}]}]": "model-index[0].results[0].task.type",
        "language: [1]": "language",
    }
    for card, named in refused.items():
        assert any(named in message for message in errors(card)), card
    assert errors("configs: [{config_name: a}, {config_name: a}]", "dataset")
    assert errors("sdk: php", "space")
    for card in ("license: mit\nlanguage: no", "license: [mit, apache-2.0]", "tags: [a]\ndatasets: a/b\nother: 1"):
        assert errors(card) == []
    warned = http.post("/api/validate-yaml", json={"content": "no metadata"}).json()
    assert (warned["errors"], len(warned["warnings"])) == ([], 1)
    assert http.post("/api/validate-yaml", json={"content": "x", "repoType": "bucket"}).status_code == 400
