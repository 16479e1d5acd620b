"""Training agents on their own trajectories with TRL: runs are chosen, told as conversations, and learned from.

The names of `__init__.pyi` are imported on first use, since the trainer brings torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
