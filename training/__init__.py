"""Stage programs that train models."""
