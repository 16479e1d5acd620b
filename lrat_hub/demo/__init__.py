"""The demonstration: the quickstart's corpus and questions, the readers that answer without a model, its report.

Real Wikipedia text, questions with known evidence, real models out of packages, no download.
"""
