"""The server of the environment, over what the variables of the Space name (README.md)."""

from __future__ import annotations

import os

from lrat_hub.agent_training.openenv_app import app_of

app = app_of(os.environ)


def main() -> None:
    import uvicorn

    uvicorn.run(app, host="0.0.0.0", port=8000)


if __name__ == "__main__":
    main()
