#!/usr/bin/env bash
# Stages by Ray on three nodes in this machine: tests/retrieval/test_index_ray.py and tests/scaling/test_stages_ray.py.
# Ray is large, so it gets an environment of its own, which is kept (.venv-ray, or $RAY_ENV) and has the packages of
# .venv as well. Ray listens at the machine's outer address, whatever it is told: a network of its own has none.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! unshare --net --map-root-user true 2>/dev/null; then
    echo "No network of its own may be made here: the tests of Ray are skipped"
    exit
fi
env=${RAY_ENV:-.venv-ray}
if [[ ! -e $env/installed ]]; then
    .venv/bin/python -m venv "$env"
    "$env/bin/python" - <<'PYTHON'
import site, sysconfig
from pathlib import Path

packages = Path(sysconfig.get_path("purelib"))
base = Path(".venv").resolve() / packages.relative_to(Path(packages).parents[2])
(packages / "base.pth").write_text(f"import site; site.addsitedir({str(base)!r})\n")
PYTHON
    "$env/bin/pip" install --quiet "ray[default]>=2.50"
    touch "$env/installed"
fi
# Ray's workers have one thread, and sums of several threads differ in their last digits from what one process makes.
export OMP_NUM_THREADS=1
unshare --net --map-root-user bash -c 'ip link set lo up && exec "$@"' _ \
    "$env/bin/python" -m pytest -q -n 0 -o filterwarnings=default tests/retrieval/test_index_ray.py tests/scaling/test_stages_ray.py
