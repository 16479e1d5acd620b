"""Fixtures of the Hub's tests: the client, a fresh repository, plain HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest
from requests_by_hand import connect

from lrat_hub.localhub import LocalHub

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

_numbers = count()


@pytest.fixture
def api(hub: LocalHub) -> HfApi:
    from huggingface_hub import HfApi

    return HfApi()


@pytest.fixture
def repo(api: HfApi) -> str:
    """A new model repository."""
    return api.create_repo(f"lrat/model-{next(_numbers)}").repo_id


@pytest.fixture
def http(hub: LocalHub) -> Iterator[httpx2.Client]:
    """Requests of the owner, as they are written: for what the clients would not send."""
    with connect(hub.endpoint, hub.token) as client:
        yield client
