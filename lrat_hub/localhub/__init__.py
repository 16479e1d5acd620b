"""A Hugging Face Hub on this machine, for unmodified Hugging Face clients.

    with LocalHub("hub") as hub:
        subprocess.run(["python", "train.py"], env=os.environ | hub.env)

Clients read `HF_ENDPOINT` when they are imported, so a program that wants to use the Hub itself sets
`os.environ` from `hub.env` before its first import of a Hugging Face library; this package never does.

| module | what it knows |
| --- | --- |
| `process`, `root` | the server process; the folder that it alone owns, with the tokens of its users |
| `protocol` | names that things may have, and errors, as clients and all modules below understand them |
| `app`, `missing`, `connections`, `wire`, `access` | routes; what they are asked; who asks, and what they may do |
| `routes_repos`, `routes_git`, `routes_commit`, `routes_files`, `routes_discussions` | the endpoints |
| `summaries`, `metadata`, `cards` | what lists say of a repository; what metadata mean; cards as HTML |
| `upload_pack` | git's own program that serves clones |
| `routes_pages`, `routes_rows`, `views`, `pages/` | the pages for people, and their templates |
| `parquet` | rows of Parquet files, read by a process of its own |
| `store`, `repository`, `libgit`, `trees`, `patches`, `rules` | repositories of git, and what is in them |
| `changes`, `loose` | what commits write, and objects of git on the disk |
| `discussions` | discussions and pull requests |
| `objects`, `links` | large files by sha256; signed links to them |
| `maintenance` | `lrat hub verify` and `gc` |

It imports nothing else of this library but `lrat_hub.errors`.
"""

from lrat_hub.localhub.process import DEFAULT_PORT, LocalHub, hub_env, serve, without_proxy
from lrat_hub.localhub.root import served_port

__all__ = ["DEFAULT_PORT", "LocalHub", "hub_env", "serve", "served_port", "without_proxy"]
