"""The Hub: references and pins, reading inputs, publishing artifacts with their lineage and cards."""
