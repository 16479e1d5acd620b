"""Reports on evaluations: read back from what was published (`evaluations`); as tables, figures, a page; in cards."""
