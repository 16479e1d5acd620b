"""A Hugging Face Hub on this machine, for unmodified Hugging Face clients.

    with LocalHub("hub") as hub:
        subprocess.run(["python", "train.py"], env=os.environ | hub.env)

Clients read `HF_ENDPOINT` when they are imported, so a program that wants to use the Hub itself sets
`os.environ` from `hub.env` before its first import of a Hugging Face library; this package never does.

| module | what it knows |
| --- | --- |
| `process`, `root` | the server process; the folder it owns: lock, token |
| `app`, `access`, `routes_*` | HTTP: routes, who may do what, one module for each group of endpoints |
| `commits`, `cards`, `names` | what comes in: commit requests, README front matter, ids and paths |
| `store`, `repository`, `objects` | what is kept: bare git repositories, and large files by sha256 |
"""

from lrat_hub.hub.server.process import DEFAULT_PORT, LocalHub, hub_env, serve

__all__ = ["DEFAULT_PORT", "LocalHub", "hub_env", "serve"]
