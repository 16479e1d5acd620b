"""What the metadata of a card mean: what may be in them, and the tags that they make, as on huggingface.co."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.localhub.protocol import RepoId

# The keywords of https://huggingface.co/docs/hub/repositories-licenses.
_LICENSES = """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
    afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
    cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
    cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
    cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0
    lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
    openmdw-1.0 openmdw-1.1 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
    fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown
    other
"""
LICENSES = frozenset(_LICENSES.split())
SDKS = frozenset({"gradio", "docker", "static", "streamlit"})

_PIPELINE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ID = re.compile(r"[A-Za-z0-9._-]{1,96}(/[A-Za-z0-9._-]{1,96})?")
_ARXIV = re.compile(r"arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})|huggingface\.co/papers/(\d{4}\.\d{4,5})", re.IGNORECASE)
_RELATIONS = ("finetune", "quantized", "adapter", "merge")
# Of datasets, in the order in which their tags come.
_DATASET_KEYS = """
    task_categories task_ids annotations_creators language_creators multilinguality source_datasets language license
    size_categories
"""
_TAGS_MAX = 1000


def problems(card: Mapping[str, Any], kind: str) -> list[str]:
    """Why huggingface.co would refuse the metadata of a card; empty if it would not."""
    found = []
    for name in _texts(card.get("license")):
        if name not in LICENSES:
            found.append(f'"license" must be one of the keywords that the Hub knows, found {name!r}')
    for key in ("license", "language", "tags", "datasets", "base_model"):
        value = card.get(key)
        # The language no, Norwegian, is false in YAML.
        items = value if isinstance(value, list) else [] if value is None else [value]
        wrong = next(
            (item for item in items if not isinstance(item, str) and (key, item) != ("language", False)), None
        )
        if wrong is not None:
            found.append(f'"{key}" must be a string, or a list of strings, found {str(wrong)[:100]!r}')
    if kind == "models":
        found += _model_problems(card)
    if kind == "spaces" and (sdk := card.get("sdk")) is not None and sdk not in SDKS:
        found.append(f'"sdk" must be one of {", ".join(sorted(SDKS))}, found {str(sdk)[:100]!r}')
    if kind == "datasets" and "configs" in card:
        found += _config_problems(card["configs"])
    return found


def _model_problems(card: Mapping[str, Any]) -> Iterator[str]:
    task = card.get("pipeline_tag")
    if task is not None and not (isinstance(task, str) and _PIPELINE.fullmatch(task)):
        yield f'"pipeline_tag" must be the name of a task, such as sentence-similarity, found {str(task)[:100]!r}'
    library = card.get("library_name")
    if library is not None and not isinstance(library, str):
        yield f'"library_name" must be a string, found {str(library)[:100]!r}'
    for key in ("base_model", "datasets"):
        for name in _texts(card.get(key)):
            if not _ID.fullmatch(name):
                yield f'"{key}" must be ids of the Hub, found {name[:100]!r}'
    relation = card.get("base_model_relation")
    if relation is not None and relation not in _RELATIONS:
        yield f'"base_model_relation" must be one of {", ".join(_RELATIONS)}, found {str(relation)[:100]!r}'
    index = card.get("model-index")
    if index is None:
        return
    if not isinstance(index, list):
        yield '"model-index" must be an array'
        return
    for number, model in enumerate(index):
        if not isinstance(model, dict) or not isinstance(model.get("name"), str):
            yield f'"model-index[{number}].name" is required'
            continue
        results = model.get("results")
        if not isinstance(results, list):
            yield f'"model-index[{number}].results" is required'
            continue
        for place, result in enumerate(results):
            yield from _result_problems(f"model-index[{number}].results[{place}]", result)


def _result_problems(where: str, result: object) -> Iterator[str]:
    fields = result if isinstance(result, dict) else {}
    for key, needed in (("task", "type"), ("dataset", "name"), ("dataset", "type")):
        part = fields.get(key)
        if not isinstance(part, dict) or not isinstance(part.get(needed), str):
            yield f'"{where}.{key}.{needed}" is required'
    metrics = fields.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield f'"{where}.metrics" is required'
        return
    for place, metric in enumerate(metrics):
        if not isinstance(metric, dict) or not isinstance(metric.get("type"), str) or metric.get("value") is None:
            yield f'"{where}.metrics[{place}]" must have a type and a value'


def _config_problems(configs: object) -> Iterator[str]:
    if not isinstance(configs, list):
        yield '"configs" must be an array'
        return
    names = [config.get("config_name") if isinstance(config, dict) else None for config in configs]
    for number, name in enumerate(names):
        if not isinstance(name, str):
            yield f'"configs[{number}].config_name" must be a string'
    texts = [name for name in names if isinstance(name, str)]
    if len(set(texts)) < len(texts):
        yield '"configs" must have different names'


def tags_of(repo: RepoId, card: Mapping[str, Any], readme: str, files: frozenset[str], sdk: str | None) -> list[str]:
    """The tags of a repository: those of its card, and those that its other metadata and its files make.

    Args:
        files: The paths of its files, or of the first of them.
        sdk: That of a Space.
    """
    papers = [f"arxiv:{match[1] or match[2]}" for match in _ARXIV.finditer(readme)]
    own = _texts(card.get("tags"))
    match repo.kind:
        case "models":
            found = [*library_of(card, files), *_texts(card.get("pipeline_tag")), *own]
            found += [f"dataset:{name}" for name in _texts(card.get("datasets"))]
            found += [*_texts(card.get("language")), *papers, *_base_models(card)]
            found += [f"license:{name}" for name in _texts(card.get("license"))]
        case "datasets":
            found = [f"{key}:{value}" for key in _DATASET_KEYS.split() for value in _texts(card.get(key))]
            found += [*_formats(files), "library:datasets", *papers, *own]
        case _:
            found = [*([sdk] if sdk else []), *own, *papers]
            found += [f"license:{name}" for name in _texts(card.get("license"))]
    return list(dict.fromkeys(found))[:_TAGS_MAX]


def library_of(card: Mapping[str, Any], files: frozenset[str]) -> list[str]:
    """The libraries that load a model, the one of its card first."""
    named = _texts(card.get("library_name"))
    found = {"sentence-transformers": "modules.json" in files}
    found["safetensors"] = any(path.endswith(".safetensors") for path in files)
    return list(dict.fromkeys([*named, *(name for name, there in found.items() if there)]))


def _base_models(card: Mapping[str, Any]) -> list[str]:
    names, relation = _texts(card.get("base_model")), card.get("base_model_relation")
    if relation not in _RELATIONS:
        relation = "merge" if len(names) > 1 else "finetune"
    return [f"base_model:{name}" for name in names] + [f"base_model:{relation}:{name}" for name in names]


def _formats(files: frozenset[str]) -> list[str]:
    kinds = {"parquet": "parquet", "jsonl": "json", "json": "json", "csv": "csv", "txt": "text", "arrow": "arrow"}
    suffixes = {path.rpartition(".")[2] for path in files}
    return [f"format:{name}" for name in dict.fromkeys(kinds[suffix] for suffix in kinds if suffix in suffixes)]


def _texts(value: object) -> list[str]:
    """The texts of a value that may be one, or a list of them; what is no text is left out."""
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str) and item]
