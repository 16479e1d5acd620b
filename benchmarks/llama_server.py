"""llama.cpp's server for small_agents.py, and fine-tuned weights as a file that it reads.

Runs with an interpreter that has `xllamacpp`, `gguf` and `safetensors`, and needs nothing else::

    python -m llama_server serve MODEL.gguf --name NAME --port 8080 --context 4096
    python -m llama_server convert BASE.gguf FOLDER/model.safetensors OUT.gguf
"""

from __future__ import annotations

import argparse
import threading
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    serving = commands.add_parser("serve")
    serving.set_defaults(run=serve)
    serving.add_argument("model", type=Path)
    serving.add_argument("--name", required=True)
    serving.add_argument("--port", type=int, required=True)
    serving.add_argument("--context", type=int, default=4096)
    converting = commands.add_parser("convert")
    converting.set_defaults(run=convert)
    converting.add_argument("base", type=Path)
    converting.add_argument("weights", type=Path)
    converting.add_argument("out", type=Path)
    args = parser.parse_args()
    args.run(args)


def serve(args: argparse.Namespace) -> None:
    """Serves until it is killed: one thread, one conversation at a time, so that each goes on from its last reply."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = str(args.model), {args.name}
    params.hostnames, params.port = ["127.0.0.1"], args.port
    params.n_ctx, params.n_parallel = args.context, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.use_jinja = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


def convert(args: argparse.Namespace) -> None:
    """The weights of a fine-tuned Llama in place of those of its base: matrices in 8 bits, the rest in 32.

    What else the base's file says, its tokenizer above all, stays as it is.
    """
    import gguf
    from safetensors.numpy import load_file

    base, weights = gguf.GGUFReader(args.base), load_file(args.weights)
    arch = base.fields["general.architecture"].contents()
    numbers = {name: int(base.fields[f"{arch}.{name}"].contents()) for name in (
        "block_count", "attention.head_count", "attention.head_count_kv",
    )}  # fmt: skip
    writer = gguf.GGUFWriter(args.out, arch)
    for name, field in base.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        writer.add_key_value(name, field.contents(), field.types[0], field.types[-1])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, numbers["block_count"])
    shapes = {tensor.name: tuple(int(size) for size in reversed(tensor.shape)) for tensor in base.tensors}
    for name, values in weights.items():
        to = names.get_name(name, try_suffixes=(".weight",))
        if to not in shapes and name == "lm_head.weight":
            continue  # tied to the embeddings
        if to is None or shapes.pop(to) != values.shape:
            raise SystemExit(f"{args.weights}: {name} has no place in {args.base}")
        for kind, heads in (("attn_q", "attention.head_count"), ("attn_k", "attention.head_count_kv")):
            if f".{kind}." in to:
                # llama.cpp rotates neighbouring dimensions, and transformers one half with the other.
                pairs = values.reshape(numbers[heads], 2, values.shape[0] // numbers[heads] // 2, values.shape[1])
                values = pairs.swapaxes(1, 2).reshape(values.shape)
        kind = gguf.GGMLQuantizationType.Q8_0 if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        data = gguf.quantize(values.astype("float32"), kind) if values.ndim == 2 else values.astype("float32")
        writer.add_tensor(to, data, raw_dtype=kind)
    if shapes:
        raise SystemExit(f"{args.weights}: {', '.join(sorted(shapes))} are missing")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
