"""Templates of the cards of everything that is published."""
