"""A Hugging Face Hub on this machine, for unmodified Hugging Face clients.

    with LocalHub("hub") as hub:
        subprocess.run(["python", "train.py"], env=os.environ | hub.env)

Clients read `HF_ENDPOINT` when they are imported, so a program that wants to use the Hub itself sets
`os.environ` from `hub.env` before its first import of a Hugging Face library; this package never does.

| module | what it knows |
| --- | --- |
| `process`, `root` | the server process; the folder that it alone owns, with the tokens of its users |
| `protocol` | names that things may have, and errors, as clients and all modules below understand them |
| `app`, `wire`, `access` | routes; bodies, pages and ranges of HTTP; who calls, and what they may do |
| `routes_repos`, `routes_git`, `routes_commit`, `routes_files`, `routes_pages` | the endpoints, group by group |
| `cards`, `pages/` | cards: their metadata and their text as HTML; the templates of the pages for people |
| `store`, `repository`, `trees`, `objects` | what is kept: bare git repositories, and large files by sha256 |
| `maintenance` | `lrat hub verify` and `gc` |

It imports nothing else of this library but `lrat_hub.errors`.
"""

from lrat_hub.localhub.process import DEFAULT_PORT, LocalHub, hub_env, serve

__all__ = ["DEFAULT_PORT", "LocalHub", "hub_env", "serve"]
