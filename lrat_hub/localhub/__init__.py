"""A Hugging Face Hub on this machine, for unmodified Hugging Face clients.

    with LocalHub("hub") as hub:
        subprocess.run(["python", "train.py"], env=os.environ | hub.env)

Clients read `HF_ENDPOINT` when they are imported, so a program that wants to use the Hub itself sets
`os.environ` from `hub.env` before its first import of a Hugging Face library; this package never does.

| module | what it knows |
| --- | --- |
| `process`, `root` | the server process; the folder that it alone owns |
| `app`, `routes_*`, `wire` | HTTP: routes, one module for each group of endpoints, and what is the same for all |
| `access`, `accounts`, `links` | who may do what: tokens and their roles, links to large files |
| `pages/`, `rendering` | the pages for people, and cards on them |
| `commits`, `cards`, `names` | what comes in: commit requests, README front matter, ids and paths |
| `store`, `repository`, `trees`, `edits`, `objects` | what is kept: bare git repositories, and large files by sha256 |
| `maintenance` | `lrat hub verify` and `gc` |
"""

from lrat_hub.localhub.process import DEFAULT_PORT, LocalHub, hub_env, serve

__all__ = ["DEFAULT_PORT", "LocalHub", "hub_env", "serve"]
