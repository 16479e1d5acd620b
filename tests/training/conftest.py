"""A tiny model for the stages."""

import pytest


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """The folder of a tiny model."""
    # Hugging Face libraries read the Hub's address when they are imported, and this file is read before it is set.
    from tests.fitting.small import tiny_bert

    return tiny_bert(tmp_path_factory.mktemp("base"))
