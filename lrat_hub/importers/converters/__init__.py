"""Converters: formats of other tools, each turned into chat records, which `lrat_hub.importers.chat` reads.

A converter takes one record of a source and gives its runs. Beside it stands the function that recognises such
records. `lrat_hub.importers.formats` lists both.
"""
