"""The program that `RayDataClient` runs: requests go through engines of vLLM in Ray Data, and replies come back.

The interpreter that has vLLM and Ray runs it as a text, so that it imports nothing of this library. The first line of
its input has the settings, each further one a request, and an empty one ends them. The input then stays open as long
as replies are wanted. Each line of its output has a reply, or why there is none.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

BATCH_ROWS = 16
"""Requests of a block and of a batch of Ray Data, whose replies come together."""


def main() -> None:
    # What libraries print is no reply.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    settings = json.loads(sys.stdin.readline())

    import pyarrow as pa
    import ray
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig
    from transformers import AutoTokenizer
    from vllm import AsyncEngineArgs
    from vllm.platforms import current_platform

    options = engine_options(settings["vllm_options"])
    if settings["tensor_parallel"] > 1:
        options["tensor_parallel_size"] = settings["tensor_parallel"]
    model = AsyncEngineArgs(model=settings["model"], **options).create_model_config()
    tokenizer = AutoTokenizer.from_pretrained(model.tokenizer, trust_remote_code=model.trust_remote_code)
    ray.init()
    blocks, rows, refused = [], list[dict[str, Any]](), list[dict[str, Any]]()
    for request in requests():
        row = row_of(request, tokenizer, model)
        (refused if "error" in row else rows).append(row)
        if len(rows) == BATCH_ROWS:
            blocks.append(ray.put(pa.Table.from_pylist(rows)))
            rows = []
    blocks += [ray.put(pa.Table.from_pylist(rows))] if rows else []
    # Nobody reads them before all requests are written.
    for row in refused:
        output.write(f"{json.dumps(row)}\n")
    if not blocks:
        return
    threading.Thread(target=end_with_input, daemon=True).start()
    where = {}
    if current_platform.is_cpu():
        # Ray Data counts GPUs unless it is told what an engine needs, and vLLM has no executor by Ray on CPUs.
        where["placement_group_config"] = {"bundles": [{"CPU": 1}] * options.get("tensor_parallel_size", 1)}
        options.setdefault("distributed_executor_backend", "mp")
    processor = build_processor(
        vLLMEngineProcessorConfig(
            model_source=settings["model"],
            engine_kwargs=options,
            concurrency=settings["copies"],
            batch_size=BATCH_ROWS,
            max_concurrent_batches=-(-settings["concurrency"] // BATCH_ROWS),
            should_continue_on_error=True,
            log_engine_metrics=False,
            # Prompts come as tokens, and vLLM makes texts of replies.
            chat_template_stage=False,
            tokenize_stage=False,
            detokenize_stage=False,
            **where,
        ),
        preprocess=lambda row: {
            "key": row["key"],
            "tokenized_prompt": row["tokens"],
            "sampling_params": json.loads(row["sampling"]),
            "max_tokens": row["max_tokens"],
        },
    )
    ends = ends_of(model, tokenizer)
    for row in processor(ray.data.from_arrow_refs(blocks)).iter_rows():
        output.write(f"{json.dumps(reply_of(row, ends))}\n")


def engine_options(words: list[str]) -> dict[str, Any]:
    """Options of vLLM's command line as arguments of its engine, without defaults."""
    from vllm import AsyncEngineArgs

    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:  # before vLLM 0.12
        from vllm.utils import FlexibleArgumentParser

    parser = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser())
    defaults = vars(parser.parse_args([]))
    return {name: value for name, value in vars(parser.parse_args(words)).items() if value != defaults[name]}


def requests() -> Iterator[dict[str, Any]]:
    """The requests of the input, up to its empty line."""
    for line in sys.stdin:
        if not line.strip():
            return
        yield json.loads(line)
    # Whoever wrote them is gone.
    os._exit(1)


def end_with_input() -> None:
    """Ends this process, and Ray with it, once nobody wants replies any longer."""
    # Not by `sys.stdin`, whose lock is wanted when the program ends by itself.
    os.read(0, 1)
    os._exit(1)


def row_of(request: dict[str, Any], tokenizer: Any, model: Any) -> dict[str, Any]:
    """A request as a row for Ray Data: its prompt and sampling are those of vLLM's server for the same request."""
    body = request["body"]
    asked = {name: value for name, value in body.items() if name not in ("model", "messages")}
    template = asked.pop("chat_template_kwargs", {})
    try:
        tokens = tokenizer.apply_chat_template(
            body["messages"], add_generation_prompt=True, return_dict=False, **template
        )
    except Exception as error:  # a template refuses messages by exceptions of any kind
        return {"key": request["key"], "error": f"{type(error).__name__}: {error}"}
    room = model.max_model_len - len(tokens)
    if room < 1:
        return {
            "key": request["key"],
            "error": f"expected a prompt of less than {model.max_model_len} tokens, found {len(tokens)}",
        }
    if response_format := asked.pop("response_format", None):
        # As a text, since a table would give all objects in it the same fields.
        asked["structured_outputs"] = {"json": json.dumps(response_format["json_schema"]["schema"])}
    sampling = {**model.get_diff_sampling_param(), **asked}
    sampling["max_tokens"] = min(sampling.get("max_tokens", room), room)
    return {
        "key": request["key"],
        "tokens": tokens,
        "sampling": json.dumps(sampling),
        "max_tokens": sampling["max_tokens"],
    }


def ends_of(model: Any, tokenizer: Any) -> set[int]:
    """Tokens that end a reply."""
    ends = model.try_get_generation_config().get("eos_token_id")
    return {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}


def reply_of(row: dict[str, Any], ends: set[int]) -> dict[str, Any]:
    """A reply, or why there is none. Ray Data does not tell how it ended."""
    if row["__inference_error__"]:
        return {"key": row["key"], "error": row["__inference_error__"]}
    was_cut = len(row["generated_tokens"]) >= row["max_tokens"] and row["generated_tokens"][-1] not in ends
    return {
        "key": row["key"],
        "content": row["generated_text"],
        "finish_reason": "length" if was_cut else "stop",
        "prompt_tokens": int(row["num_input_tokens"]),
        "completion_tokens": int(row["num_generated_tokens"]),
    }


if __name__ == "__main__":
    main()
