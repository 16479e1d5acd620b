"""Published artifacts, looked at again: checked against their lineage, compared, and made once more from it."""
