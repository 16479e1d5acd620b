"""The parts of the `lrat` command that are not stages: they look at artifacts, serve the Hub or run the quickstart."""
