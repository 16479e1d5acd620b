"""Retrievers and agents compared: what they are asked, how they are scored, and what of it people see.

`lrat eval retrieval` goes through these modules from `benchmark` (queries with judgements) by `retrieval` (all that is
asked, what the answers are worth, and which differences can be told from chance) to `cards`. `lrat eval agents` goes
by `agents` (what became of every question), `verdicts` and `systems`; reports read what both published (`published`)
and make `tables`, `figures` and a page (`report`) of it. `training` compares a model before and after training.

The names of `__init__.pyi` are imported on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
