"""Looks at an installation and its surroundings: what is wrong, and how to fix it.

Nothing heavy or foreign is imported here, so that an installation with missing packages can be looked at, too.
"""

from lrat_hub.checkup.findings import Finding, Outcome, check

__all__ = ["Finding", "Outcome", "check"]
