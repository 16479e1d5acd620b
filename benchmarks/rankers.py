"""One set of pairs, three kinds of rankers: what each is worth on natural questions, and what it costs.

Needs the folder `twowiki` (corpus.jsonl, queries.tsv, qrels_evidence.txt). The reader works on the first 300 questions
with BM25, its runs are mined, and from the same pairs are trained: a bi-encoder, late interaction (token vectors), a
reranker (a CrossEncoder whose head knows nothing yet), and a bi-encoder with the reranker's scores as soft targets.
All of them start from MiniLM, or MiniLM in two layers (`small_minilm.py`). Every one is evaluated on the other 100
questions, by one search and inside the reader at k = 3::

    python benchmarks/rankers.py --data twowiki --work work --passages 1200
    python benchmarks/rankers.py --data twowiki --work work --passages 1200 --report

Everything is made by commands of `lrat` on a Hub of its own in the work folder, each artifact once: the same command
goes on where it was stopped, and `--report` prints the tables of the seeds that are whole.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankers_report import QUESTIONS, Result, read_results, tables_of

from lrat_hub.localhub import LocalHub

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer

TRAINED_ON = 300
DEPTH = 10
"""Results of a first stage that rerankers rank again."""

TOKEN_DIMENSION = 64
"""Numbers of a token's vector in late interaction."""


@dataclass(frozen=True)
class Size:
    """What all systems start from, and how much of a machine they take.

    Args:
        length: Tokens of a passage, in training and in search, and of a query of late interaction.
        pair_length: Tokens of a query and a passage that the reranker reads in search; None for the model's own limit.
        bi_encoder, late, reranker: Options of `lrat train`.
    """

    length: int
    pair_length: int | None
    bi_encoder: Sequence[object]
    late: Sequence[object]
    reranker: Sequence[object]


_SHORT = ["--max_steps", 40, "--query_length", 32, "--document_length", 32]
_LATE = ["--config", "training/late_minilm", "--batch_size", 16, "--num_negatives", 1, "--document_length", 64]
_RERANKER = [
    "--config",
    "training/reranker_minilm",
    "--max_steps",
    40,
    "--learning_rate",
    1e-4,
    "--document_length",
    64,
]
SIZES = {
    "small": Size(
        32,
        64,
        ["--config", "training/tiny_cpu", *_SHORT, "--frozen_layers", 1],
        [*_LATE, *_SHORT, "--frozen_layers", 1],
        [*_RERANKER, *_SHORT, "--max_steps", 100, "--learning_rate", 5e-4],
    ),
    "minilm": Size(
        64,
        None,
        ["--config", "training/tiny_cpu"],
        [*_LATE, "--max_steps", 60, "--frozen_layers", 3],
        _RERANKER,
    ),
}
"""`small` is MiniLM in two layers, with the first sentence or two of each passage; `minilm` has all six layers. At the
learning rate of the others, the small reranker's loss does not fall."""

VARIANTS = {"queries": ("", []), "questions": ("-questions", ["--question_share", 0.5])}
"""What is learned from: the agents' queries; in half of the rows, the run's question in the place of the query. The
end of the names of artifacts, and options."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="keeps the Hub and what was made")
    parser.add_argument("--size", choices=SIZES, default="small", help="MiniLM in two layers, or all of it")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--passages", type=int, default=0, metavar="N", help="a part of the corpus: all evidence, others drawn"
    )
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--report", action="store_true", help="only print the tables of what is there")
    args = parser.parse_args()
    work = args.work.resolve() / args.size
    work.mkdir(parents=True, exist_ok=True)
    with LocalHub(work / "hub") as hub:
        # Before any Hugging Face library is imported: they read their environment then.
        os.environ |= hub.env | {"HF_HOME": str(work / "cache")}
        rankers = Rankers(args.data, work, args.passages, SIZES[args.size])
        if args.report:
            print("\n\n".join(rankers.tables(args.seeds, args.variants)))
        else:
            rankers.run(args.seeds, args.variants)


class Rankers:
    """Artifacts by name, each made once: their pins are kept in the work folder."""

    def __init__(self, data: Path, work: Path, passages: int, size: Size) -> None:
        self.data, self.work, self.size = data, work, size
        self.pins_file = work / "pins.json"
        self.pins: dict[str, str] = json.loads(self.pins_file.read_text()) if self.pins_file.exists() else {}
        lines = (data / "queries.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
        for split, part in {"train": lines[:TRAINED_ON], "test": lines[TRAINED_ON:]}.items():
            (work / f"{split}.tsv").write_text("".join(part), encoding="utf-8")
        self.write_corpus(passages)

    def write_corpus(self, passages: int) -> None:
        """The corpus, or a part of it that has the evidence of all questions."""
        lines = (self.data / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        qrels = (self.data / "qrels_evidence.txt").read_text(encoding="utf-8").splitlines()
        evidence = {line.split()[2] for line in qrels}
        others = [place for place, line in enumerate(lines) if json.loads(line)["docid"] not in evidence]
        left_out = set(random.Random(0).sample(others, max(0, len(lines) - passages))) if passages else set()
        kept = [line for place, line in enumerate(lines) if place not in left_out]
        (self.work / "corpus.jsonl").write_text("".join(kept), encoding="utf-8")

    def run(self, seeds: int, variants: list[str]) -> None:
        self.evaluate("-base", self.untrained)
        for variant in variants:
            for seed in range(seeds):
                end = self.train(variant, seed)
                self.evaluate(end, self.trained(end))

    def made(self, name: str, *words: object) -> str:
        """The pin of what a command of `lrat` makes, made now if it isn't there."""
        if name not in self.pins:
            from lrat_hub import cli

            started = time.monotonic()
            made = cli.run([*map(str, words), "--to", f"lrat/{name}"])
            self.keep(name, made[0] if isinstance(made, tuple) else made)
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
        return self.pins[name]

    def keep(self, name: str, pin: object) -> str:
        self.pins[name] = str(pin)
        self.pins_file.write_text(json.dumps(self.pins, indent=1))
        return self.pins[name]

    # What is learned from

    @property
    def corpus(self) -> str:
        documents = ["--documents", self.work / "corpus.jsonl", "--queries", self.work / "train.tsv"]
        return self.made("twowiki", "corpus", *documents, *self.judged, "--split", "train")

    @property
    def asked(self) -> list[str]:
        """The questions that everything is evaluated on, and their evidence."""
        test = self.made("twowiki-test", "corpus", "--queries", self.work / "test.tsv", *self.judged)
        return ["--queries", f"{test}#queries:test", "--qrels", f"{test}#qrels_evidence:test"]

    @property
    def judged(self) -> list[object]:
        return ["--qrels", self.data / "qrels_evidence.txt"]

    @property
    def pairs(self) -> str:
        runs = self.made("runs", "rollout", "--agent", "reader", "--corpus", self.corpus,
                         "--queries", f"{self.corpus}#queries:train")  # fmt: skip
        return self.made("pairs", "mine", "--trajectories", runs, "--corpus", self.corpus, "--judge", "rule")

    @property
    def base(self) -> str:
        def build(folder: str) -> SentenceTransformer:
            from sentence_transformers import SentenceTransformer

            return SentenceTransformer(folder, device="cpu")

        return self.built("minilm", build)

    @property
    def base_reranker(self) -> str:
        """A CrossEncoder with MiniLM's layers, and a head that knows nothing yet."""

        def build(folder: str) -> CrossEncoder:
            from sentence_transformers import CrossEncoder

            return CrossEncoder(folder, num_labels=1, max_length=self.size.pair_length, device="cpu")

        return self.built("minilm-cross", build)

    @property
    def base_late(self) -> str:
        """MiniLM's token vectors one by one, in place of their mean, on their principal axes."""

        def build(folder: str) -> MultiVectorEncoder:
            from sentence_transformers import MultiVectorEncoder
            from sentence_transformers.base.modules import Dense, Transformer
            from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
            from sentence_transformers.sentence_transformer.modules import Normalize

            transformer = Transformer(folder, query_length=self.size.length, document_length=self.size.length)
            normalize = Normalize(module_input_name="token_embeddings")
            whole = MultiVectorEncoder(modules=[transformer, MultiVectorMask(), normalize], device="cpu")
            tokens = torch.cat(whole.encode_document(self.passages[:500], show_progress_bar=False))
            _, _, axes = torch.linalg.svd(tokens.float(), full_matrices=False)
            project = Dense(
                tokens.shape[1],
                TOKEN_DIMENSION,
                bias=False,
                activation_function=torch.nn.Identity(),
                init_weight=axes[:TOKEN_DIMENSION].contiguous(),
                module_input_name="token_embeddings",
            )
            return MultiVectorEncoder(modules=[transformer, project, MultiVectorMask(), normalize], device="cpu")

        import torch

        return self.built("minilm-late", build)

    @property
    def passages(self) -> list[str]:
        lines = (self.data / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
        return [f"{row['title']}\n{row['text']}" for row in map(json.loads, lines)]

    @property
    def texts(self) -> list[str]:
        """What MiniLM in two layers learns from: passages, their titles, and the questions that runs are made of."""
        questions = [
            line.split("\t")[1] for line in (self.work / "train.tsv").read_text(encoding="utf-8").splitlines()
        ]
        return self.passages + [passage.partition("\n")[0] for passage in self.passages] + 6 * questions

    def built(self, name: str, build: Callable[[str], Any]) -> str:
        """The pin of a model that is made of the files of MiniLM, published as it is."""
        if name not in self.pins:
            import torch
            from huggingface_hub import HfApi

            if self.size is SIZES["small"]:
                from small_minilm import small_minilm

                minilm = small_minilm(self.texts, self.work / "minilm-in-two-layers")
            else:
                from lrat_hub.demo.bases import minilm_folder

                minilm = minilm_folder()
            torch.manual_seed(0)
            with tempfile.TemporaryDirectory() as folder:
                build(str(minilm)).save_pretrained(folder)
                HfApi().create_repo(f"lrat/{name}", exist_ok=True)
                commit = HfApi().upload_folder(repo_id=f"lrat/{name}", folder_path=folder)
            self.keep(name, f"lrat/{name}@{commit.oid}")
        return self.pins[name]

    # What is trained, and what it is worth

    def train(self, variant: str, seed: int) -> str:
        """Trains one of each kind; gives the end of their names."""
        of_variant, options = VARIANTS[variant]
        end = f"{of_variant}-s{seed}"
        shared = ["train", "--pairs", self.pairs, "--seed", seed, "--check_passages", 0, *options]
        self.made(f"bi{end}", *shared, "--model", self.base, *self.size.bi_encoder)
        self.made(f"late{end}", *shared, "--model", self.base_late, *self.size.late)
        teacher = self.made(f"cross{end}", *shared, "--model", self.base_reranker, *self.size.reranker)
        self.made(
            f"kl{end}", *shared, "--model", self.base, *self.size.bi_encoder, "--loss", "kl", "--teacher", teacher
        )
        return end

    def index(self, name: str, model: str) -> str:
        """The pin of the index of a model, by the model's name."""
        words = ["index", "--corpus", self.corpus, "--model", model, "--fp16", "true"]
        # Late interaction has its own lengths.
        return self.made(f"index-{name}", *words, *([] if "late" in name else ["--max_length", self.size.length]))

    @property
    def untrained(self) -> dict[str, str]:
        return {
            "BM25": "bm25",
            "MiniLM": self.index("minilm", self.base),
            "MiniLM, late interaction": self.index("minilm-late", self.base_late),
        }

    def trained(self, end: str) -> dict[str, str]:
        """Systems by their names in tables, and what they are for `lrat eval`."""
        bi, late, distilled = (self.index(f"{kind}{end}", self.pins[f"{kind}{end}"]) for kind in ("bi", "late", "kl"))
        firsts = {"BM25": "bm25", "bi-encoder": bi, "late interaction": late}
        reranker = self.pins[f"cross{end}"]
        return {
            "bi-encoder": bi,
            "distilled bi-encoder": distilled,
            "late interaction": late,
            **{f"{name} > reranker": f"{first}>{DEPTH}:{reranker}" for name, first in firsts.items()},
        }

    def evaluate(self, end: str, systems: dict[str, str]) -> None:
        """One search with each question, and the reader at k = 3."""
        asked = ["--corpus", self.corpus, *self.asked, "--retrievers", *systems.values()]
        self.made(f"search{end}", "eval", "retrieval", *asked, "--depth", 100, "--no_bm25", "--check_passages", 0)
        reader = ["--agents", "reader", "--k", 3, "--benchmark", "2Wiki", "--names", *systems]
        self.made(f"agents{end}", "eval", "agents", *asked, *reader)

    # What came of it

    def tables(self, seeds: int, variants: list[str]) -> list[str]:
        """One search, the reader, and what a search costs, of the seeds that are whole."""
        systems = {name: [found] for name, found in self.results("-base", list(self.untrained)).items()}
        for variant in variants:
            for seed in range(seeds):
                end = f"{VARIANTS[variant][0]}-s{seed}"
                if f"agents{end}" not in self.pins:
                    continue
                for name, found in self.results(end, list(self.trained(end))).items():
                    systems.setdefault(name if variant == "queries" else f"{name}{QUESTIONS}", []).append(found)
        return tables_of(systems)

    def results(self, end: str, names: list[str]) -> dict[str, Result]:
        return read_results([self.pins[f"{kind}{end}"] for kind in ("search", "agents")], names)


if __name__ == "__main__":
    main()
