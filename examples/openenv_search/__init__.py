"""A corpus to search and read, as an environment of OpenEnv."""

from .client import SearchEnvClient

__all__ = ["SearchEnvClient"]
