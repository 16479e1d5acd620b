"""The demonstration: the quickstart's corpus, questions and recorded runs, the reader without a model, its report.

Real Wikipedia text, natural questions with known evidence, a language model's runs, real models out of packages; no
download.
"""
