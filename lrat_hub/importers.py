"""Trajectories from what people have: the files of the LRAT release, and datasets of this project.

The format is that of the authors' public trajectories: one JSON object a question, in a file, a folder or a tar.gz.
Reading is liberal, and nothing is lost silently: one bad step becomes an `invalid` step, one unreadable file is
left out, and the ledger counts both.
"""

from __future__ import annotations

import json
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Candidate, Sampling, Status, Step, Trajectory

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.hub.refs import HubRef

SEARCH_TOOLS = ("search", "local_knowledge_base_retrieval")
BROWSE_TOOLS = ("get_document", "visit")
FORMAT = "LRAT release"

# Statuses of the release; "format error: ..." and what is not listed end without an answer of the agent's own.
LIMITED = ("generate an answer as token limit reached", "exceed available llm calls")

# A query can hold quotes itself, so it ends only where the announcement goes on.
_SECTION = re.compile(r"^A search for '(?P<query>.*?)' found (?P<found>\d+) results:", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^DocID:[ \t]*(?P<docid>\S+)[ \t]*\n(?:\[(?P<title>.*)\][ \t]*\n)?", re.MULTILINE)
_DOCUMENT = re.compile(r"^Document (?P<docid>\S+?):", re.MULTILINE)
_FAILURE = re.compile(
    r"\s*(No results found for|Search error for query|\[Document not found\]|\[Error retrieving"
    r"|\[Search\] Invalid request format|Error: Tool)"
)


def new_ledgers() -> dict[str, Ledger]:
    """Empty accounts of an import: files, and the steps of the files that could be read."""
    return {"files": Ledger("files"), "steps": Ledger("steps")}


def load_trajectories(source: HubRef | Dataset | str | Path) -> Iterator[Trajectory]:
    """Trajectories from a Hub reference, a loaded dataset, or a path that `lrat import` reads.

    Args:
        source: A `HubRef` or its text ("datasets/ns/name@rev#config:split"), a `datasets.Dataset` with the columns
            of `lrat_hub.schema.trajectory_features`, or a file, folder or tar.gz (a path that exists).

    Raises:
        LratError: The source does not exist, is of another kind, or holds nothing that can be read.
    """
    if isinstance(source, (str, Path)) and Path(source).exists():
        yield from read_release(Path(source), new_ledgers())
        return
    if isinstance(source, (str, Path)) or not hasattr(source, "features"):
        from lrat_hub.hub.inputs import load_table, resolve

        source = load_table(resolve(str(source), repo_type="dataset"), "trajectories")
    for row in source:
        yield Trajectory.from_dict(row)


def read_release(path: Path, ledgers: dict[str, Ledger]) -> Iterator[Trajectory]:
    """Reads LRAT release trajectories from a file, a folder (all its .json files) or a tar.gz, one at a time.

    Args:
        ledgers: From `new_ledgers`; filled as reading goes on.

    Raises:
        LratError: The path does not exist, or holds no .json file at all.
    """
    if not path.exists():
        raise LratError(f"Import: expected a file, folder or tar.gz at {path}, found nothing. Check the path.")
    files = ledgers["files"]
    for name, content in _contents(path, files):
        try:
            trajectory = parse_release(name, json.loads(content), ledgers["steps"])
        except (ValueError, RecursionError) as error:
            files.drop(_reason(error))
        else:
            files.keep()
            yield trajectory
    if not files.read:
        raise LratError(f"Import: expected .json files in {path}, found none. Give a file, folder or tar.gz of them.")


def _contents(path: Path, files: Ledger) -> Iterator[tuple[str, bytes]]:
    """Name (without suffix) and bytes of each .json file, in a stable order."""
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield file.relative_to(path).with_suffix("").as_posix(), file.read_bytes()
    elif tarfile.is_tarfile(path):
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.isfile() and member.name.endswith(".json"):
                        extracted = archive.extractfile(member)
                        yield PurePosixPath(member.name).with_suffix("").as_posix(), extracted.read()
        except (tarfile.TarError, EOFError, OSError, zlib.error):
            # What came before the damage has been read; the rest is one loss that can't be counted in files.
            files.drop("archive is cut off or damaged")
    else:
        yield path.stem, path.read_bytes()


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, (json.JSONDecodeError, RecursionError)):
        return "not JSON"
    return str(error)


def parse_release(name: str, run: Any, steps: Ledger) -> Trajectory:
    """One release file as a trajectory.

    Args:
        name: The file's name in its folder or archive; it becomes the trajectory's id. Archives keep correct and
            wrong runs in folders `<retriever>_true` and `<retriever>_false`, which is where `correct` comes from.
        steps: The account of steps: those that could be read are kept, others become `invalid` and are dropped.

    Raises:
        ValueError: The file is not a trajectory of the release.
    """
    if not isinstance(run, dict) or not isinstance(run.get("result"), list):
        raise ValueError("not a trajectory: no `result` list")
    meta = run["metadata"] if isinstance(run.get("metadata"), dict) else {}
    parsed, answer = _steps(run["result"], steps)
    known = {"metadata", "query_id", "query", "answer", "result"}
    extra = {key: value for key, value in run.items() if key not in known and key != "raw_messages"}
    return Trajectory(
        trajectory_id=name,
        query_id=_identifier(run.get("query_id", name)),
        question=_text(run.get("query")),
        steps=parsed,
        gold_answer=_text(run["answer"]) if run.get("answer") is not None else None,
        final_answer=answer,
        status=_status(run.get("status"), answer),
        correct={"true": True, "false": False}.get(PurePosixPath(name).parent.name.rpartition("_")[2]),
        # Often a path of the machine it ran on, which stays in the metadata.
        agent=PurePosixPath(_text(meta.get("model"))).name,
        retriever=_text(meta.get("searcher_type")),
        sampling=Sampling(
            **{key: _number(meta.get(key)) for key in ("temperature", "top_p", "presence_penalty")},
        ),
        metadata=json.dumps({"format": FORMAT, "source_metadata": meta, **extra}, ensure_ascii=False, sort_keys=True),
    )


def _status(status: Any, answer: str | None) -> Status:
    if status == "completed" or (status is None and answer):
        return "completed"
    return "limited" if status in LIMITED else "failed"


def _steps(result: list[Any], ledger: Ledger) -> tuple[tuple[Step, ...], str | None]:
    steps: list[Step] = []
    reasoning: list[str] = []
    answer = None
    for item in result:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "reasoning":
            reasoning.append(_text(item.get("output")))
            continue
        thought, turn = "\n".join(reasoning), len(steps)
        reasoning = []
        if kind == "tool_call":
            new = _call(item, thought, turn)
        elif kind == "output_text":
            answer, thought = _answer(_text(item.get("output")), thought)
            new = [Step(turn, thought, "answer")]
        else:
            new = [Step(turn, thought, "invalid", error=f"unknown kind of item: {kind!r}")]
        for step in new:
            if step.action == "invalid":
                ledger.drop(step.error.partition(":")[0])
            else:
                ledger.keep()
            announced = sum(int(match["found"]) for match in _SECTION.finditer(step.observation))
            if step.action == "search" and announced > len(step.results):
                ledger.note("candidates announced that could not be read", announced - len(step.results))
        steps.extend(new)
    if reasoning:
        # The run ended in the middle: what it reasoned last still belongs to the browse before it.
        steps.append(Step(len(steps), "\n".join(reasoning), "invalid", error="no action follows"))
        ledger.drop("no action follows")
    return tuple(steps), answer


def _call(item: Mapping[str, Any], reasoning: str, turn: int) -> list[Step]:
    tool, observation = item.get("tool_name"), _text(item.get("output"))

    def invalid(error: str) -> list[Step]:
        return [Step(turn, reasoning, "invalid", observation=observation, error=error)]

    arguments = item.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return invalid("arguments are not JSON")
    if not isinstance(arguments, dict):
        return invalid("arguments are not an object")
    if tool in SEARCH_TOOLS:
        return _search(arguments, observation, reasoning, turn) or invalid("search without a query")
    if tool in BROWSE_TOOLS:
        return _browses(arguments, observation, reasoning, turn) or invalid("browse without a docid")
    return invalid(f"unknown tool: {tool!r}")


def _search(arguments: Mapping[str, Any], observation: str, reasoning: str, turn: int) -> list[Step]:
    sections = list(_SECTION.finditer(observation))
    if sections:
        # The headers say which queries were run; the call often asks for more than the tool ran.
        queries = [match["query"] for match in sections]
        ends = [match.start() for match in sections[1:]] + [len(observation)]
        results = [
            candidate
            for index, (match, end) in enumerate(zip(sections, ends, strict=True))
            for candidate in _blocks(observation[match.end() : end], index)
        ]
    else:
        asked = arguments.get("user_query", arguments.get("query"))
        queries = [_text(query) for query in (asked if isinstance(asked, list) else [asked])[:1] if query]
        results = _json_results(observation)
    if not queries:
        return []
    return [Step(turn, reasoning, "search", tuple(queries), tuple(results), None, observation, _failure(observation))]


def _blocks(section: str, query_index: int) -> Iterator[Candidate]:
    blocks = list(_BLOCK.finditer(section))
    ends = [match.start() for match in blocks[1:]] + [len(section)]
    for rank, (match, end) in enumerate(zip(blocks, ends, strict=True), start=1):
        yield Candidate(query_index, rank, match["docid"], match["title"] or "", section[match.end() : end].strip())


def _json_results(observation: str) -> list[Candidate]:
    try:
        rows = json.loads(observation)
    except (ValueError, RecursionError):
        return []
    rows = [row for row in rows if isinstance(row, dict) and "docid" in row] if isinstance(rows, list) else []
    return [
        Candidate(
            0,
            rank,
            _docid(row["docid"]),
            _text(row.get("title")),
            _text(row.get("snippet")),
            _number(row.get("score")),
        )
        for rank, row in enumerate(rows, start=1)
    ]


def _browses(arguments: Mapping[str, Any], observation: str, reasoning: str, turn: int) -> list[Step]:
    asked = arguments.get("docid")
    docids = [_docid(docid) for docid in (asked if isinstance(asked, list) else [asked]) if docid not in (None, "")]
    shown = {_docid(match["docid"]) for match in _DOCUMENT.finditer(observation)}
    if len(docids) > 1:
        # Several documents in one call: those that were shown are browses of one message.
        docids = [docid for docid in docids if docid in shown] or docids[:1]
    return [
        Step(
            turn + place,
            reasoning if place == 0 else None,
            "browse",
            docid=docid,
            observation=observation if place == 0 else "",
            error=_failure(observation),
        )
        for place, docid in enumerate(docids)
    ]


def _failure(observation: str) -> str | None:
    return observation.strip().partition("\n")[0] if _FAILURE.match(observation) else None


def _answer(output: str, reasoning: str) -> tuple[str, str]:
    """The answer and the reasoning before it, out of a last message that may carry both in tags."""
    thought, closed, rest = output.rpartition("</think>")
    if closed:
        reasoning = "\n".join(part for part in (reasoning, thought.replace("<think>", "").strip()) if part)
    tagged = re.search(r"<answer>(.*?)(</answer>|$)", rest, re.DOTALL)
    return (tagged[1] if tagged else rest).strip(), reasoning


def _docid(value: Any) -> str:
    return re.sub(r"^DocID:\s*", "", _identifier(value).strip())


def _identifier(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable) and not isinstance(value, (dict, bytes)):
        return "\n".join(_text(part) for part in value)
    return "" if value is None else str(value)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
