#!/usr/bin/env bash
# A client of OpenEnv plays episodes of the served search environment: tests/agent_training/test_openenv.py.
# OpenEnv pins the first version of MCP, so it gets an environment of its own, which is kept (.venv-openenv, or
# $OPENENV_ENV), without torch: nothing is trained there.
set -euo pipefail
cd "$(dirname "$0")/.."

env=${OPENENV_ENV:-.venv-openenv}
if [[ ! -e $env/installed ]]; then
    python3 -m venv "$env"
    .venv/bin/python - >"$env/needs.txt" <<'PYTHON'
import re, tomllib

with open("pyproject.toml", "rb") as stream:
    project = tomllib.load(stream)["project"]
needs = [*project["dependencies"], *project["optional-dependencies"]["openenv"], "pytest", "setuptools>=77"]
for need in needs:
    if not re.match(r"(torch|sentence-transformers|accelerate|trl|transformers|faiss-cpu|scipy|matplotlib|mw|pytrec)\b", need):
        print(need)
PYTHON
    "$env/bin/pip" install --quiet --requirement "$env/needs.txt" hypothesis
    touch "$env/installed"
fi
"$env/bin/pip" install --quiet --no-deps --no-build-isolation --editable .
"$env/bin/python" -m pytest -q -o filterwarnings=default tests/agent_training/test_openenv.py
