"""Reports on evaluations: read back from what was published (`evaluations`), as tables, figures and a page."""
