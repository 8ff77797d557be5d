"""A chain of populations from the senses to the outcome."""
