"""A search tool as verl, SkyRL, slime and Search-R1 itself call it: Search-R1's protocol, which `lrat serve` speaks.

    lrat serve --index me/wiki-index --corpus datasets/me/wiki
    python examples/search_r1_tool.py "Who wrote the first computer program?" --server http://127.0.0.1:8971

With verl, only the address in the configuration of its tool changes: `retrieval_service_url: http://HOST:8971/retrieve`
(volcengine/verl@409d5ed: verl/tools/utils/search_r1_like_utils.py).
"""

from __future__ import annotations

import argparse
import json
import urllib.request


def search(url: str, queries: list[str], topk: int = 3) -> list[str]:
    """What a model is shown for each query: the documents with their titles, best first.

    Args:
        url: Of the server, with `/retrieve`.
    """
    body = json.dumps({"queries": queries, "topk": topk, "return_scores": True}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        results = json.loads(response.read())["result"]
    return [
        "\n\n".join(shown(rank, hit["document"]["contents"]) for rank, hit in enumerate(hits, start=1))
        for hits in results
    ]


def shown(rank: int, contents: str) -> str:
    """A document, whose first line is its title in quotation marks."""
    title, _, text = contents.partition("\n")
    return f"Doc {rank} (Title: {title})\n{text}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("queries", nargs="+", help="What is searched for.")
    parser.add_argument("--server", default="http://127.0.0.1:8971", help="Address of lrat serve.")
    parser.add_argument("--topk", type=int, default=3, help="Documents of each query.")
    args = parser.parse_args()
    for query, text in zip(args.queries, search(f"{args.server}/retrieve", args.queries, args.topk), strict=True):
        # As Search-R1 gives it to its model.
        print(f"<search>{query}</search>\n<information>{text}</information>\n")


if __name__ == "__main__":
    main()
