"""A corpus with questions on the embedded Hub."""

from __future__ import annotations

import pytest

from tests.agents.scripted import publish_things


@pytest.fixture(scope="module")
def corpus(hub, tmp_path_factory) -> str:
    return publish_things(tmp_path_factory.mktemp("corpus"), "lrat/things")
