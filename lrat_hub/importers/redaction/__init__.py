"""Taking secrets out of texts before they are published: what secrets look like, and what replaces them."""

from __future__ import annotations

from lrat_hub.importers.redaction.detection import EMAIL, SECRETS
from lrat_hub.importers.redaction.redactor import Redactor
from lrat_hub.importers.redaction.replacement import load_hook

__all__ = ["EMAIL", "SECRETS", "Redactor", "load_hook"]
