"""Retrievers and agents compared: what they are asked, how they are scored, and what of it people see.

`lrat eval retrieval` goes through these modules from `benchmark` (queries with judgements) by `exam` (all that is
asked) and `comparison` (what the answers are worth, and which differences can be told from chance) to `results`.
`lrat eval agents` goes by `agents` (what became of every question), `verdicts` and `cells`; reports read what both
published (`published`) and make `tables`, `figures` and a `page` of it.

The names of `__init__.pyi` are imported on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
