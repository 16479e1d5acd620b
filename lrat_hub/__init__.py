"""LRAT-Hub: the logs of search agents into better retrievers, natively on the Hugging Face Hub.

The names of `__init__.pyi` are the library's public ones. They are imported on first use: `import lrat_hub` alone
loads neither torch nor faiss.
"""

import lazy_loader

__version__ = "0.2.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
