"""LRAT-Hub: the logs of search agents into better retrievers, natively on the Hugging Face Hub.

The names of `__init__.pyi` are the library's public ones. They are imported on first use: `import lrat_hub` alone
loads neither torch nor faiss.
"""

from typing import Any

import lazy_loader

__version__ = "0.2.0.dev0"

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

_RENAMED: dict[str, str] = {"DocumentJudge": "LLMJudge"}
"""Former public names to those of now. They go with the next minor release."""


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        import warnings

        warnings.warn(
            f"lrat_hub.{name} is now lrat_hub.{_RENAMED[name]}; the old name goes with the next minor release.",
            DeprecationWarning,
            stacklevel=2,
        )
    return _public(_RENAMED.get(name, name))
