"""What the searches of a run listed, by all ids and addresses under which an agent may open it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lrat_hub.importers.listings import SearchResults
from lrat_hub.schema import Step
from lrat_hub.walk.addresses import page_of


class Listed:
    """The documents that the steps of a run listed. They are looked at only when something else is opened.

    Args:
        steps: The steps so far, to which others are added.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._num_read = 0
        self._docids: set[str] = set()
        self._unpaged: list[str] = []
        self._pages: set[str] = set()
        self._aliases: dict[str, str] = {}
        self._aliases_of_pages: dict[str, str] = {}
        self._last_number: int | None = None
        self._new_aliases: list[tuple[tuple[str, str], ...]] = []

    def add_aliases(self, aliases: tuple[tuple[str, str], ...]) -> None:
        """Other ids and addresses of what a search listed; see `SearchResults.aliases`."""
        if aliases:
            self._new_aliases.append(aliases)
            numbers = [int(alias) for alias, docid in aliases if _is_number(alias) and page_of(docid) is not None]
            self._last_number = max(numbers, default=self._last_number)

    def with_addresses(self, results: SearchResults) -> SearchResults:
        """Results with addresses as ids, where their ids go on with the numbers of rows that a search before began."""
        docids = [hit.docid for hit in results.candidates]
        first = (self._last_number or 0) + 1
        if self._last_number is None or docids != [str(first + index) for index in range(len(docids))]:
            return results
        addresses: dict[str, str] = {}
        for alias, docid in results.aliases:
            if page_of(alias) is not None:
                addresses.setdefault(docid, alias)
        if any(docid not in addresses for docid in docids):
            return results
        others = [(alias, addresses[docid]) for alias, docid in results.aliases if alias != addresses[docid]]
        return results._replace(
            candidates=tuple(replace(hit, docid=addresses[hit.docid]) for hit in results.candidates),
            aliases=(*others, *addresses.items()),
        )

    def __contains__(self, docid: str) -> bool:
        """Whether a document is listed under this id."""
        for step in self._steps[self._num_read :]:
            docids = [hit.docid for hit in step.results]
            self._docids.update(docids)
            self._unpaged += docids
        self._num_read = len(self._steps)
        return docid in self._docids

    def has_page(self, docid: str) -> bool:
        """Whether a page is listed under another way to write its address."""
        if docid in self or (page := page_of(docid)) is None:
            return False
        self._pages.update(filter(None, map(page_of, self._unpaged)))
        self._unpaged = []
        return page in self._pages

    def by_alias(self, alias: str) -> str | None:
        """The id of the document that was listed last with another id or address; None where it may be of several.

        An address with a fragment stands for the row that has the same one, and else for the only row of its page.
        """
        for aliases in self._new_aliases:
            self._read(aliases)
        self._new_aliases = []
        page = page_of(alias)
        if page is None:
            return self._aliases.get(alias)
        return self._aliases.get(_part_of(page, alias)) or self._aliases_of_pages.get(page)

    def _read(self, aliases: tuple[tuple[str, str], ...]) -> None:
        docids: dict[str, dict[str, None]] = {}
        parts: dict[str, dict[str, None]] = {}
        for alias, docid in aliases:
            if (page := page_of(alias)) is not None:
                alias = _part_of(page, alias)
                parts.setdefault(page, {})[alias] = None
            docids.setdefault(alias, {})[docid] = None
        num_docids = len({docid for _, docid in aliases})
        addresses = {part for found in parts.values() for part in found}
        for alias, found in docids.items():
            # Chunks of a page have its address, and the best of them counts. A number in two lists says nothing, nor
            # does an address that all documents have.
            is_known = len(found) == 1 or (alias in addresses and len(found) < num_docids)
            _set(self._aliases, alias, next(iter(found)) if is_known else None)
        for page, found in parts.items():
            named = {docid for part in found for docid in docids[part]}
            part = next(iter(found))
            is_known = len(named) == 1 or len(found) == 1
            _set(self._aliases_of_pages, page, self._aliases.get(part) if is_known else None)


def _is_number(alias: str) -> bool:
    return alias.isascii() and alias.isdigit() and len(alias) < 10


def _part_of(page: str, address: str) -> str:
    return f"{page}#{address.partition('#')[2].strip()}"


def _set(docids: dict[str, str], alias: str, docid: str | None) -> None:
    if docid is None:
        docids.pop(alias, None)
    else:
        docids[alias] = docid
