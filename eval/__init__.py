"""Stage programs that evaluate retrievers."""
