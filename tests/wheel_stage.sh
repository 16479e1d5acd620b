#!/usr/bin/env bash
# Runs the installed `lrat` command outside a checkout: help, an embedded Hub, one stage, and its lineage.
set -euo pipefail

[[ $(lrat --help) == *"eval retrieval"* ]]
[[ $(lrat train --help) == *learning_rate* ]]
printf '%s\n' '{"docid": "1", "title": "Sea", "text": "Water with salt."}' \
    '{"docid": "2", "title": "Sky", "text": "Air with clouds."}' >documents.jsonl
printf 'q1\twhat has salt\tthe sea\n' >queries.tsv
printf 'q1 0 1 1\n' >qrels.txt

python - <<'PYTHON'
import os, subprocess
from lrat_hub import LocalHub

with LocalHub("hub") as hub:
    environment = os.environ | hub.env | {"HF_HOME": os.path.abspath("cache")}

    def lrat(*words):
        return subprocess.run(["lrat", *words], env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    lrat("corpus", "--documents", "documents.jsonl", "--queries", "queries.tsv", "--qrels", "qrels.txt", "--to", "me/c")
    scores = lrat("eval", "retrieval", "--corpus", "me/c", "--queries", "me/c", "--qrels", "me/c", "--to", "me/e")
    assert "| recall@1 | 1.000 |" in scores, scores
    shown = lrat("lineage", "datasets/me/e")
    assert "lrat corpus" in shown, shown
print("the installed wheel runs its stages")
PYTHON
