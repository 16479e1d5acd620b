"""The flywheel (section 6.5 of the paper): rounds that train the next retriever, and a gate that protects this one.

`gate` decides whether a challenger becomes the champion, by figures on questions that no round ever uses. `feedback`
measures what a loop can go wrong by. `report` draws Figure 9b with intervals and decisions.

The names of `__init__.pyi` are imported on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
