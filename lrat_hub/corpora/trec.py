"""TREC's files of relevance judgements and topics."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

from lrat_hub.corpora.rows import Row
from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger

_TOPIC = re.compile(r"<(top|topic)\b([^>]*)>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_FIELD = re.compile(r"<(\w+)[^>]*>([^<]*)")
_NUMBER = re.compile(r"""(?:number|id)\s*=\s*["']([^"']+)["']""", re.IGNORECASE)
_LABELS = re.compile(r"^\s*(?:Number|Topic|Description|Narrative)\s*:", re.IGNORECASE)


def read_qrel_lines(lines: Iterable[str], ledger: Ledger) -> Iterator[Row]:
    """Rows `query_id, docid, relevance` of lines `query_id iteration docid relevance`."""
    for line in lines:
        fields = line.split()
        if len(fields) == 4:
            yield {"query_id": fields[0], "docid": fields[2], "relevance": fields[3]}
        elif fields:
            ledger.drop("not four fields")


def read_topics(lines: Iterable[str], ledger: Ledger, field: str, where: object) -> Iterator[Row]:
    """Rows `query_id, query, answer` of topics in both of TREC's forms.

    Either `<top>` with fields that are not closed (`<num> Number: 301`, `<title>`, `<desc> Description:`), or
    `<topic number="1">` with fields that are (`<query>`, `<question>`, `<description>`).

    Args:
        field: The field that is the question; "title" also finds `<query>`, which newer tracks call it.

    Raises:
        LratError: There are no topics.
    """
    topics = _TOPIC.findall("".join(lines))
    if not topics:
        raise LratError(f"{where}: expected TREC topics (<top> or <topic number=...>), found none.")
    for _, attributes, body in topics:
        fields = {
            name.lower(): " ".join(html.unescape(_LABELS.sub("", text)).split()) for name, text in _FIELD.findall(body)
        }
        number = _NUMBER.search(attributes)
        query = fields.get(field) or (fields.get("query") if field == "title" else None)
        query_id = number[1] if number else fields.get("num")
        if query_id and query:
            yield {"query_id": query_id, "query": query, "answer": None}
        else:
            ledger.drop(f"a topic without a number or <{field}>")
