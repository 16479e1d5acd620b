#!/usr/bin/env bash
# What a clean install of the extra `gpu` imports; needs no GPU. Run it with the `python` of that environment, outside a checkout.
set -euo pipefail

python - <<'PYTHON'
import faiss
import numpy as np

from lrat_hub.checkup.installation import _check_faiss

assert hasattr(faiss, "StandardGpuResources"), f"expected the FAISS for GPUs, found {faiss.__file__}"
found = _check_faiss()
assert found.found.startswith("faiss-gpu ") and found.outcome in ("ok", "note"), found

from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.vectors import VectorIndex, build_index

vectors = np.random.default_rng(0).standard_normal((2_000, 32)).astype(np.float32)
index = VectorIndex(build_index([vectors], IndexSettings()), [str(row) for row in range(2_000)])
best = np.argsort(-(vectors[:5] @ vectors.T), axis=1)[:, :3]
assert [[int(hit.docid) for hit in hits] for hits in index.search(vectors[:5], 3)] == best.tolist()
print(f"a clean install of lrat-hub[gpu] imports {found.found}, and searches with it")
PYTHON
