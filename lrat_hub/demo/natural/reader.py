"""The natural-question reader: finds the passages a question needs by following names from passage to passage.

It gets the question string only. It searches with the question, opens what its result list has on the names in the
question, and reads there where the question's relations lead: to the director of a film, or to the mother of the
father of a king. For each name so found it searches again. It stops when every name's chain has been followed and
what is asked has been read, when it has no query left, or after a number of searches. It knows English by lists of
words, checks nothing by a model, and its reasoning is made from templates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any, Literal

from lrat_hub.agents.environment import Observation
from lrat_hub.agents.runner import Answer, Browse, Call, Search
from lrat_hub.demo.natural.language import SAME_BUT_BRACKETS, Relation, english, fold, title_match
from lrat_hub.demo.natural.questions import Finding, ParsedQuestion, Thread, listing, parse_question, quoted
from lrat_hub.demo.natural.reading import find_answer, read_attributes, read_hop, read_inverse, read_topic
from lrat_hub.schema import Candidate, Document, Sampling

MAX_MENTIONS = 4
"""Names of a question that are followed."""

MAX_BROWSES = 2
"""Passages opened for one name after one search."""

Opener = Literal["title", "snippet"]


class NaturalReader:
    """Follows the names of natural questions over several passages.

    Args:
        max_searches: Searches for one question.
        queries_per_name: Searches for one name, each in other words.
        follows: Whether it follows relations to other names; without, it only reads about the question's own.
        opener: How it chooses passages: by titles that fit the name, or, which is weaker, by snippets that have the
            words of the name and of what is asked.
    """

    name = "reader"
    revision: str | None = None
    sampling = Sampling()

    def __init__(
        self,
        *,
        max_searches: int = 8,
        queries_per_name: int = 2,
        follows: bool = True,
        opener: Opener = "title",
    ) -> None:
        self.max_searches, self.queries_per_name, self.follows = max_searches, queries_per_name, follows
        self.opener: Opener = opener

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "max_searches": self.max_searches,
            "queries_per_name": self.queries_per_name,
            "follows": self.follows,
            "opener": self.opener,
            "max_browses": MAX_BROWSES,
        }

    def start(self, question: str) -> _Episode:
        return _Episode(self, question)


class _Episode:
    """The reader at work. Its course is a generator: it yields calls, and an observation is what a call comes to."""

    def __init__(self, reader: NaturalReader, question: str) -> None:
        self._reader = reader
        self._language = english()
        self._question = parse_question(question, self._language)
        self._thoughts: list[str] = []
        self._listed: dict[str, Candidate] = {}
        self._opened: dict[str, Document] = {}
        self._issued: set[str] = set()
        self._must_answer = False
        self._course = self._work(question)
        self.notes: dict[str, Any] = {}

    async def act(self, observation: Observation | None) -> Call:
        # The first send starts the course and has to be None, as the first observation is.
        return self._course.send(observation)  # type: ignore[arg-type]

    def _work(self, question: str) -> Generator[Call, Observation, None]:
        asked = self._question
        threads = [self._thread(mention) for mention in asked.mentions[:MAX_MENTIONS]]
        self._thoughts.append(
            f"The question names {quoted(thread.mention for thread in threads)}. I search with the question as it is."
            if threads
            else "The question names nothing that I could look for, so I search with it as it is."
        )
        candidates = yield from self._search(question)
        if not threads:
            yield from self._read_first(candidates, asked)
        while threads and not self._must_answer:
            for thread in threads:
                yield from self._advance(thread)
            waiting = next((thread for thread in threads if thread.queries and not thread.is_done), None)
            if waiting is None or len(self._issued) >= self._reader.max_searches or self._must_answer:
                break
            self._thoughts.append(f"Next I look for {waiting.aim}.")
            candidates = yield from self._search(waiting.queries.popleft())
            waiting.found_by_name.update(candidate.docid for candidate in candidates)
            if not self._must_answer and not self._fitting(waiting):
                yield from self._look_elsewhere(waiting, candidates)
        self.notes["resolved"] = bool(threads) and all(thread.is_done for thread in threads)
        self._thoughts.append(
            "I have followed every name of the question." if self.notes["resolved"] else "I can't find more."
        )
        findings = [thread.finding for thread in threads if thread.finding is not None]
        answer = find_answer(question, asked, findings, self._language)
        self._thoughts.append("I don't know the answer." if answer is None else f"I take “{answer}” for it.")
        yield Answer(self._reasoning(), answer or "unknown")

    def _thread(self, mention: str) -> Thread:
        meanings: list[tuple[Relation, ...]] = list(self._question.chains) if self._reader.follows else [()]
        for chain in tuple(meanings):
            for index, hop in enumerate(chain):
                if (detour := self._language.detours.get(hop.name)) is not None:
                    meanings.append((*chain[:index], *detour, *chain[index + 1 :]))
        thread = Thread(mention, self._question, self._language, deque(dict.fromkeys(meanings)))
        self._try_next(thread)
        return thread

    # Following a thread, as far as it goes without another search.

    def _advance(self, thread: Thread) -> Generator[Call, Observation, None]:
        """Reads what is listed about a thread's name, and goes on to the names found there.

        Afterwards the thread is done, has a query that has to be searched, or has led nowhere.
        """
        browses = 0
        while not thread.is_done and not self._must_answer:
            candidate = next(iter(self._fitting(thread)), None)
            if candidate is None or (candidate.docid not in self._opened and browses == MAX_BROWSES):
                if thread.queries or not self._try_next(thread):
                    return
                continue
            is_new = candidate.docid not in self._opened
            if is_new:
                browses += 1
                self._thoughts.append(f"I open “{candidate.title}”, DocID {candidate.docid}, for “{thread.name}”.")
            document = yield from self._open(candidate.docid)
            if document is None:
                thread.rejected.add(candidate.docid)
            elif thread.hops:
                self._follow(thread, document, is_new=is_new)
            else:
                self._conclude(thread, document, is_new=is_new)

    def _try_next(self, thread: Thread) -> bool:
        """Turns a thread to the next name that may be meant, or to its next meaning; False if there is none."""
        if thread.others:
            self._look_for(thread, thread.others.popleft(), wordings=1)
            return True
        if thread.meanings:
            thread.relation, thread.hops = None, thread.meanings.popleft()
            self._look_for(thread, thread.mention)
            return True
        return False

    def _look_for(self, thread: Thread, name: str, *, wordings: int | None = None) -> None:
        thread.name = name
        thread.found_by_name, thread.rejected = set(), set()
        queries = thread.wordings()[: self._reader.queries_per_name]
        thread.queries = deque([query for query in queries if query not in self._issued][:wordings])

    def _fitting(self, thread: Thread) -> list[Candidate]:
        """The listed passages that seem to be about a thread's name, best first."""
        by_snippet = self._reader.opener == "snippet"
        scored = []
        for index, candidate in enumerate(self._listed.values()):
            # What was opened before fits its own name; that its snippet has the words of another means little.
            if candidate.docid in thread.rejected or (by_snippet and candidate.docid in self._opened):
                continue
            fit = thread.snippet_fit(candidate) if by_snippet else thread.title_fit(candidate)
            if fit:
                scored.append((-fit, index, candidate))
        return [candidate for _, _, candidate in sorted(scored, key=lambda entry: entry[:2])]

    def _follow(self, thread: Thread, document: Document, *, is_new: bool) -> None:
        """Reads the passage about a thread's name for its next hop."""
        hop, subject = thread.hops[0], document.title
        reading = read_hop(document.text, (thread.name, subject), hop, self._language)
        if not reading.names:
            self._reject(thread, document, f"it has no sentence on the {hop.say} of “{subject}”", is_new=is_new)
            return
        likely, *others = reading.names
        also = f" Other names near by are {quoted(others)}." if others else ""
        self._argue(
            document,
            f"supports the search for the {hop.say} of “{subject}”, since it says: {quoted(reading.sentences)} "
            f"So the {hop.say} is probably “{likely}”.{also}",
            is_new=is_new,
        )
        self._go_on(thread, reading.names)

    def _go_on(self, thread: Thread, names: Sequence[str]) -> None:
        """Takes a thread over its next hop, to the names this leads to."""
        thread.relation, *rest = thread.hops
        thread.hops = tuple(rest)
        likely, *others = names
        thread.others = deque(others)
        if not thread.hops and not self._question.attributes:
            thread.finding = Finding(thread.mention, names=tuple(names))
        else:
            self._look_for(thread, likely)

    def _conclude(self, thread: Thread, document: Document, *, is_new: bool) -> None:
        """Reads the passage about the last name of a thread for what is asked of it."""
        asked, subject = self._question.attributes, document.title
        if asked:
            reading, aim = read_attributes(document.text, asked), f"{listing(asked)} of “{subject}”"
        else:
            reading, aim = read_topic(document.text, self._question.topic), f"what is asked of “{subject}”"
        if not reading.sentences:
            self._reject(thread, document, f"it has no sentence on {aim}", is_new=is_new)
            return
        missing = f" What I miss is {listing(reading.missing)}." if reading.missing else ""
        self._argue(document, f"states {aim}: {quoted(reading.sentences)}{missing}", is_new=is_new)
        thread.finding = Finding(thread.mention, text=document.text)

    # Passages whose titles don't say that they are about the name.

    def _look_elsewhere(self, thread: Thread, candidates: Sequence[Candidate]) -> Generator[Call, Observation, None]:
        """Opens passages that mention a thread's name, or else the first one of the list."""
        wanted = f" {fold(thread.name)} "
        unopened = [candidate for candidate in candidates if candidate.docid not in self._opened]
        mentioning = [candidate for candidate in unopened if wanted in f" {fold(candidate.snippet)} "]
        for candidate in mentioning[:MAX_BROWSES] or unopened[:1]:
            if self._must_answer:
                return
            why = "it mentions it" if candidate in mentioning else "it comes first"
            self._thoughts.append(
                f"No title fits “{thread.name}”. I open “{candidate.title}”, DocID {candidate.docid}: {why}."
            )
            document = yield from self._open(candidate.docid)
            if document is None:
                continue
            if thread.hops and (reading := read_inverse(document.text, thread.name, thread.hops[0])).sentences:
                hop = thread.hops[0].say
                self._argue(
                    document,
                    f"supports the search for the {hop} of “{thread.name}”, since it says: "
                    f"{quoted(reading.sentences)} So the {hop} may be “{document.title}”.",
                )
                self._go_on(thread, [document.title])
                return
            self._reject(thread, document, f"it is not about “{thread.name}”")

    def _read_first(
        self, candidates: Sequence[Candidate], asked: ParsedQuestion
    ) -> Generator[Call, Observation, None]:
        """Reads the first passages of a list for a question without names."""
        words = [*asked.topic, *(relation.query for relation in (*asked.chains[0], *asked.attributes))]
        for candidate in candidates[:MAX_BROWSES]:
            if self._must_answer:
                return
            self._thoughts.append(f"I open “{candidate.title}”, DocID {candidate.docid}: it stands high in the list.")
            document = yield from self._open(candidate.docid)
            if document is None:
                continue
            reading = read_topic(document.text, words)
            if words and reading.sentences:
                self._argue(document, f"supports what is asked, since it says: {quoted(reading.sentences)}")
            else:
                self._argue(document, "does not help: it has none of the question's words.")

    def _search(self, query: str) -> Generator[Call, Observation, Sequence[Candidate]]:
        self._issued.add(query)
        observation = yield Search(self._reasoning(), (query,))
        self._must_answer = self._must_answer or observation.is_last
        for candidate in observation.results:
            known = self._listed.setdefault(candidate.docid, candidate)
            if not known.snippet:
                self._listed[candidate.docid] = candidate
        return observation.results

    def _open(self, docid: str) -> Generator[Call, Observation, Document | None]:
        """Opens a document, or remembers it."""
        if docid not in self._opened:
            observation = yield Browse(self._reasoning(), docid)
            self._must_answer = self._must_answer or observation.is_last
            if observation.document is None:
                return None
            self._opened[docid] = observation.document
        return self._opened[docid]

    # What is said. Words of passages stand in “ ”, so that a judge can tell them from the reader's own.

    def _argue(self, document: Document, verdict: str, *, is_new: bool = True) -> None:
        """Says what a passage is good for, unless it was opened earlier: what it is good for has been said then."""
        if is_new:
            self._thoughts.append(f"I have read “{document.title}”, DocID {document.docid}. It {verdict}")

    def _reject(self, thread: Thread, document: Document, why: str, *, is_new: bool = True) -> None:
        thread.rejected.add(document.docid)
        self._argue(document, f"does not help: {why}.", is_new=is_new)
        if title_match(thread.name, document.title, self._language) >= SAME_BUT_BRACKETS:
            # It was the right passage, so that more words for the same are hardly worth it, nor are other names.
            thread.others.clear()
            while len(thread.queries) > (0 if thread.meanings else 1):
                thread.queries.pop()

    def _reasoning(self) -> str:
        """What was thought since the last call, as one text."""
        text = " ".join(self._thoughts)
        self._thoughts.clear()
        return text
