"""Fitting a retriever to mined pairs with sentence-transformers' trainer (sections 5.2.2 and 6.1.4).

The names of `__init__.pyi` are imported on first use, since the trainer brings torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
