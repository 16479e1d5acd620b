"""Corpus, queries and judgements that come as one: a BEIR folder, or an MTEB dataset with a config for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lrat_hub.corpora.rows import Kind
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource, Source
from lrat_hub.hub.refs import HubRef, hub_errors

_FILES: Mapping[Kind, str] = {"documents": "corpus.jsonl", "queries": "queries.jsonl"}
_CONFIGS: Mapping[Kind, tuple[str, ...]] = {
    "documents": ("corpus",),
    "queries": ("queries",),
    # MTEB keeps the judgements in the default config; BEIR's own datasets in a repository of their own.
    "qrels": ("qrels", "default"),
}


def beir_sources(source: Source, split: str) -> dict[Kind, Source]:
    """Where each of the three tables lies; what is missing is left out, and can be given by its own option.

    Args:
        source: A Hub dataset with configs `corpus`, `queries` and `qrels` or `default`; or a folder with
            `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`.
        split: Of the judgements.

    Raises:
        LratError: None of them is there.
    """
    found = _hub_sources(source, split) if isinstance(source, HubRef) else _folder_sources(source, split)
    if not found:
        raise LratError(
            f"{source}: expected a BEIR folder or an MTEB dataset with configs corpus, queries and default, "
            "found neither. Give its parts with --documents, --queries and --qrels."
        )
    return found


def _hub_sources(source: HubRef, split: str) -> dict[Kind, Source]:
    import datasets

    with hub_errors(source):
        configs = datasets.get_dataset_config_names(source.repo_id, revision=source.revision)
    found: dict[Kind, Source] = {}
    for kind, names in _CONFIGS.items():
        if config := next((name for name in names if name in configs), None):
            found[kind] = replace(source, config=config, split=split if kind == "qrels" else None)
    # A default config alone is just any dataset.
    return found if "documents" in found or "queries" in found else {}


def _folder_sources(source: LocalSource, split: str) -> dict[Kind, Source]:
    paths = {kind: source.path / name for kind, name in {**_FILES, "qrels": f"qrels/{split}.tsv"}.items()}
    return {kind: replace(source, path=path) for kind, path in paths.items() if path.is_file()}
