"""Sources in the exact shape in which others publish them, made small and put on the embedded Hub."""

import base64
import hashlib
import io
from itertools import cycle

import pyarrow as pa
from huggingface_hub import CommitOperationAdd, HfApi
from pyarrow import parquet

from lrat_hub import cli
from lrat_hub.hub.inputs import load_table


def parquet_bytes(**columns):
    stream = io.BytesIO()
    parquet.write_table(pa.table(columns), stream)
    return stream.getvalue()


def on_the_hub(repo_id, files, *, private=False):
    """Publishes files, by path, as a dataset repository, and gives its pin."""
    api = HfApi()
    api.create_repo(repo_id, repo_type="dataset", private=private)
    operations = [
        CommitOperationAdd(path, content if isinstance(content, bytes) else content.encode())
        for path, content in files.items()
    ]
    commit = api.create_commit(repo_id, operations, repo_type="dataset", commit_message="data")
    return f"datasets/{repo_id}@{commit.oid}"


def corpus(*words):
    """Runs `lrat corpus` and gives the pin of what it published."""
    return cli.run(["corpus", *map(str, words)])


def rows(pin, config, split="train"):
    from datasets import load_dataset

    return load_dataset(pin.repo_id, config, split=split, revision=pin.revision).to_list()


def documents(pin):
    return [tuple(row.values()) for row in load_table(pin, "corpus", config="corpus")]


def obfuscate(text, canary):
    """As BrowseComp's authors do it; written out here, so that a mistake of ours can't undo itself."""
    pad = cycle(hashlib.sha256(canary.encode()).digest())
    return base64.b64encode(bytes(byte ^ key for byte, key in zip(text.encode(), pad, strict=False))).decode()
