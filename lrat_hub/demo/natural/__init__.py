"""An offline agent for natural questions over several passages: rules and relation words in the place of a model."""

from lrat_hub.demo.natural.reader import NaturalReader

__all__ = ["NaturalReader"]
