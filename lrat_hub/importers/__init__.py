"""Trajectories from what people have: logs of search agents in the formats of `formats.FORMATS`.

Reading is liberal, streamed, and loses nothing silently: one bad step becomes an `invalid` step, one unreadable record
is left out, and the ledgers count both with their reasons. `docs/importing.md` describes each format.
"""

from __future__ import annotations

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.formats import FORMATS, FormatName, Reader
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.importers.mapping_files import load_mapping
from lrat_hub.importers.reading import check_import, load_trajectories, read_trajectories
from lrat_hub.importers.recognition import Recognised, recognise_format
from lrat_hub.importers.redaction.detection import EMAIL, SECRETS
from lrat_hub.importers.redaction.redactor import Redactor
from lrat_hub.importers.redaction.replacement import load_hook
from lrat_hub.importers.traces import trace_files, trace_text

__all__ = [
    "EMAIL",
    "FORMATS",
    "SECRETS",
    "Accounts",
    "FormatName",
    "LogMapping",
    "Reader",
    "Recognised",
    "Redactor",
    "check_import",
    "load_hook",
    "load_mapping",
    "load_trajectories",
    "read_trajectories",
    "recognise_format",
    "trace_files",
    "trace_text",
]
