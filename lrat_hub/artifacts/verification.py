"""Checks an artifact and everything it was made from against their lineages, without running anything.

Of each artifact: its pin exists; its files are those that its lineage lists, byte by byte; its accounts add up, and
its tables have as many rows as they say; an index has a vector for each document of its corpus; the card says what the
lineage says. A changed recipe or count shows in the card, which has the sha256 of both. A changed card or file shows
in the lineage, which has theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lrat_hub.errors import LratError
from lrat_hub.hub.cards import lineage_section
from lrat_hub.hub.inputs import LocalSource, fetch_file, fetch_folder
from lrat_hub.hub.integrity import require_intact, sha256_of
from lrat_hub.hub.lineage import LINEAGE_FILE, Ancestor, Lineage, package_versions, trace
from lrat_hub.hub.outputs import CARD_FILE, INDEX_STAMP, published_digest
from lrat_hub.hub.refs import HubRef
from lrat_hub.hub.retries import read

Outcome = Literal["ok", "note", "failed"]
Verdict = tuple[Outcome, str]

ACCOUNTS: Mapping[str, Mapping[str, str]] = {
    "corpus": {"queries": "queries", "qrels": "qrels_evidence", "qrels_gold": "qrels_gold"},
    "mine": {"triplets_account": "triplets"},
}
"""For a stage, the accounts of which everything that was kept is a row of a config."""

GIT_FILES = {".gitattributes"}
"""Files that a Hub makes by itself."""


@dataclass(frozen=True)
class Check:
    """One check of one artifact.

    Args:
        artifact: Its pin, or the text recorded for what is not on the Hub.
        name: What was checked.
        outcome: "note" for what can't be checked, which is no failure.
        found: What was found, in a line.
    """

    artifact: str
    name: str
    outcome: Outcome
    found: str


class _Folders:
    """Folders with the files of artifacts, each fetched once: a Hub that has lost a file is not asked for it again."""

    def __init__(self) -> None:
        self._fetched: dict[HubRef, Path | LratError] = {}

    def of(self, source: HubRef) -> Path:
        key = HubRef(source.repo_id, source.repo_type, source.revision)
        if key not in self._fetched:
            try:
                self._fetched[key] = fetch_folder(key)
            except LratError as error:
                self._fetched[key] = error
        found = self._fetched[key]
        if isinstance(found, LratError):
            raise found
        return found


def verify(ref: HubRef, *, fetch: bool = True) -> Iterator[Check]:
    """Checks an artifact and its ancestors, each once, in the order of `trace`.

    Args:
        fetch: Whether to download the files of the ancestors and hash them. If not, what the Hub says of its large
            files is compared; the artifact itself is downloaded in any case.

    Raises:
        LratError: The artifact itself can't be read, or its lineage can't.
    """
    seen: set[str] = set()
    folders = _Folders()
    for ancestor in trace(ref):
        name = _name(ancestor)
        if ancestor.seen or name in seen:
            continue
        seen.add(name)
        for what, outcome, found in _checks(ancestor, folders, fetch=fetch or not ancestor.path):
            yield Check(name, what, outcome, found)


def _name(ancestor: Ancestor) -> str:
    source = ancestor.source
    return str(HubRef(source.repo_id, source.repo_type, source.revision)) if isinstance(source, HubRef) else source


def _checks(ancestor: Ancestor, folders: _Folders, *, fetch: bool) -> Iterator[tuple[str, Outcome, str]]:
    source, lineage = ancestor.source, ancestor.lineage
    if isinstance(source, str):
        yield "pin", "note", f"{ancestor.path[-1]} is not pinned on the Hub, so nobody else can check it"
        return
    if ancestor.problem:
        yield "pin", "failed", ancestor.problem
        return
    outcome, found = _guarded(lambda: ("ok", f"exists{'' if lineage else ', and comes from outside'}"), source.pin)
    yield "pin", outcome, found
    if outcome == "failed":
        return
    if lineage is None:
        if not ancestor.path:
            yield "lineage", "failed", f"expected {LINEAGE_FILE}, found none: LRAT-Hub did not publish this"
        else:
            yield "files", *_guarded(lambda: ("ok", "those that were downloaded here are intact"),
                                     lambda: require_intact(source))  # fmt: skip
        return
    made = lineage
    yield "files", *_guarded(lambda: check_files(source, made, folders.of(source) if fetch else None))
    yield "accounts", *check_accounts(made)
    yield "card", *_guarded(lambda: check_card(source, made))
    if not fetch:
        yield "tables", "note", "not downloaded, so their rows are not counted"
    elif source.repo_type == "dataset":
        yield "tables", *_guarded(lambda: check_tables(folders.of(source), made))
    elif fetch_file(source, INDEX_STAMP) is not None:
        yield "index", *_guarded(lambda: check_index(folders.of(source), made, folders.of))


def _guarded(check: Callable[[], Verdict], before: Callable[[], object] = lambda: None) -> Verdict:
    """What a check says, or the error that it ended with."""
    try:
        before()
        return check()
    except (LratError, OSError, ValueError, KeyError, TypeError) as error:
        return "failed", " ".join(str(error).split()) or type(error).__name__


def _verdict(problems: list[str], found: str) -> Verdict:
    return ("failed", "; ".join(problems)) if problems else ("ok", found)


def check_files(ref: HubRef, lineage: Lineage, folder: Path | None) -> Verdict:
    """The files are those that the lineage lists, with the bytes that it and the Hub say.

    Args:
        folder: Where they were downloaded; None to compare what the Hub says of them.
    """
    from huggingface_hub.utils.sha import git_hash

    listed = listed_files(ref)
    problems: list[str] = []
    if folder is not None:
        for name, file in listed.items():
            path = folder / name
            if not path.is_file():
                problems.append(f"{name}: expected it among the files that were downloaded, found none")
            elif (digest := sha256_of(path) if file.is_large else git_hash(path.read_bytes())) != file.digest:
                problems.append(f"{name}: the Hub says {file.digest}, its bytes have {digest}")
    if not lineage.files:
        return _verdict(problems, f"{len(listed)} files are what the Hub says; the lineage is older and lists none")
    there, wanted = set(listed) - GIT_FILES - {LINEAGE_FILE}, set(lineage.files)
    problems += [f"{name}: expected by the lineage, found none" for name in sorted(wanted - there)]
    problems += [
        f"{name}: expected nothing, found a file that the lineage doesn't list" for name in sorted(there - wanted)
    ]
    for name in sorted(wanted & there):
        file = listed[name]
        found = published_digest(folder / name) if folder is not None else file.digest if file.is_large else None
        if found is not None and found != lineage.files[name]:
            problems.append(f"{name}: the lineage says {lineage.files[name]}, its bytes have {found}")
    where = "hashed" if folder is not None else "not downloaded; those in large storage compared by what the Hub says"
    return _verdict(problems, f"{len(there)} files as in the lineage ({where})")


class ListedFile(NamedTuple):
    """What the Hub says of a file: the sha256 of a large one, git's hash of another."""

    digest: str
    is_large: bool


def listed_files(ref: HubRef) -> dict[str, ListedFile]:
    """The files of an artifact by their names, without downloading any."""
    from huggingface_hub import HfApi

    api = HfApi()
    info = read(ref, lambda: api.repo_info(
        ref.repo_id, repo_type=ref.repo_type, revision=ref.revision, files_metadata=True))  # fmt: skip
    return {
        item.rfilename: ListedFile(str(item.lfs.sha256 if item.lfs else item.blob_id), item.lfs is not None)
        for item in getattr(info, "siblings", None) or ()
    }


def check_accounts(lineage: Lineage) -> Verdict:
    """In every account of the counts, what was read was kept or dropped; no join matched more than there was."""
    problems: list[str] = []
    accounts = 0
    for name, counts in _accounts(lineage.counts, ""):
        accounts += 1
        if "kept" in counts:
            dropped = sum(counts["dropped"].values())
            if counts["read"] != counts["kept"] + dropped:
                problems.append(f"{name}: {counts['read']} read, but {counts['kept']} kept and {dropped} dropped")
        elif counts["matched"] > min(counts["of"], counts["given_count"]):
            problems.append(f"{name}: {counts['matched']} matched of {counts['of']} and {counts['given_count']}")
    return _verdict(problems, f"{accounts} add up")


def _accounts(counts: Any, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every ledger and join among nested counts, by where it is."""
    if isinstance(counts, Mapping):
        if {"read", "kept", "dropped"} <= counts.keys() or {"matched", "of", "given_count"} <= counts.keys():
            yield name, counts
        for key, inner in counts.items():
            yield from _accounts(inner, f"{name}.{key}".lstrip("."))
    elif isinstance(counts, list):
        for number, inner in enumerate(counts):
            yield from _accounts(inner, f"{name}.{number}")


def check_card(ref: HubRef, lineage: Lineage) -> Verdict:
    """The card says of the lineage what is rendered of it again: stage, inputs, the sha256 of recipe and counts."""
    if (path := fetch_file(ref, CARD_FILE)) is None:
        return "failed", f"expected {CARD_FILE}, found none"
    card = path.read_text(encoding="utf-8")
    facts = [f"Made by `lrat {lineage.stage}`", *(f"- {name}: `{text}`" for name, text in lineage.inputs.items())]
    if not lineage.files:
        problems = [f"expected {fact!r} in it, found none" for fact in facts if fact not in card]
        return _verdict(problems, "names the stage and the inputs of the lineage, which is older and has no hash")
    problems = [f"expected {fact!r} in it, found none" for fact in [*facts, lineage.digest] if fact not in card]
    # Of another version, the words around the facts may be others.
    same = lineage.versions.get("lrat-hub") == package_versions().get("lrat-hub")
    if same and not problems and lineage_section(lineage) not in card:
        problems.append("its section on the lineage is not the one that the lineage gives")
    return _verdict(problems, "says what the lineage says")


def table_files(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """The Parquet files of each config and split in a dataset's folder, by what its card says of them."""
    from huggingface_hub import RepoCard

    data = RepoCard.load(folder / CARD_FILE, ignore_metadata_errors=True).data
    return {
        (config["config_name"], split["split"]): sorted(folder.glob(split["path"]))
        for config in data.get("configs") or ()
        for split in config["data_files"]
    }


def table_rows(folder: Path) -> dict[str, dict[str, int]]:
    """Rows of each split of each config in a dataset's folder."""
    import pyarrow.parquet as pq

    rows: dict[str, dict[str, int]] = {}
    for (config, split), files in table_files(folder).items():
        rows.setdefault(config, {})[split] = sum(pq.read_metadata(file).num_rows for file in files)
    return rows


def check_tables(folder: Path, lineage: Lineage) -> Verdict:
    """Each table has as many rows as the counts say, and as its account has kept."""
    rows = table_rows(folder)
    problems: list[str] = []
    recorded = lineage.counts.get("published_rows")
    if recorded is not None and recorded != rows:
        problems.append(f"expected {recorded} rows by the counts, found {rows}")
    for account, config in ACCOUNTS.get(lineage.stage, {}).items():
        kept = lineage.counts.get(account, {}).get("kept")
        found = sum(rows.get(config, {}).values())
        if kept is not None and kept != found:
            problems.append(f"{config}: the account of {account} has kept {kept}, found {found} rows")
    for config, counted in (("pairs", "splits"), ("triplets", "triplets")) if lineage.stage == "mine" else ():
        if lineage.counts.get(counted, {}) != rows.get(config, {}):
            problems.append(
                f"{config}: expected {lineage.counts.get(counted)} rows by the counts, found {rows.get(config)}"
            )
    total = sum(sum(splits.values()) for splits in rows.values())
    counted = "as counted" if recorded is not None else "; the lineage is older and has no count of them"
    return _verdict(problems, f"{total} rows in {len(rows)} configs {counted}")


def check_index(folder: Path, lineage: Lineage, fetch: Callable[[HubRef], Path]) -> Verdict:
    """An index has a vector, or a bag of words, and an id for each document of the corpus that it names.

    Args:
        fetch: Gives the folder with the files of the corpus.
    """
    from lrat_hub.retrieval.bm25 import BM25Retriever
    from lrat_hub.retrieval.indexes import DOCIDS_FILE, INDEX_FILE, DocidFile, IndexManifest
    from lrat_hub.retrieval.late import TokenVectors
    from lrat_hub.retrieval.vectors import VectorIndex

    stamp = IndexManifest.of(LocalSource(folder, ""))
    docids = DocidFile(folder / DOCIDS_FILE)
    # Both refuse another number of documents than there are ids.
    if stamp.kind == "bm25":
        BM25Retriever.load(folder, docids)
    elif stamp.kind == "late":
        TokenVectors.load(folder, docids)
    else:
        VectorIndex.load(folder / INDEX_FILE, docids, stamp.kind)
    corpus = HubRef.parse(stamp.corpus) if " (" not in stamp.corpus else None
    numbers = {
        "its stamp": stamp.documents,
        "its lineage": lineage.counts.get("documents"),
        f"its {'vectors' if stamp.model else 'postings'} and ids": len(docids),
    }
    if corpus is not None:
        rows = table_rows(fetch(corpus)).get(corpus.config or "", {})
        if rows:
            numbers["its corpus"] = rows.get(corpus.split or "")
    problems = []
    if len(set(numbers.values())) > 1:
        problems.append("documents by " + ", ".join(f"{name}: {number}" for name, number in numbers.items()))
    given = lineage.inputs.get("corpus", "").partition("#")[0]
    if corpus is not None and given != stamp.corpus.partition("#")[0]:
        problems.append(f"its stamp names the corpus {stamp.corpus}, its lineage {given}")
    if stamp.model and stamp.model != lineage.inputs.get("model"):
        problems.append(f"its stamp names the model {stamp.model}, its lineage {lineage.inputs.get('model')}")
    return _verdict(problems, f"{stamp.documents} documents by {', '.join(numbers)}")
