"""Random numbers that a network carries with it, as code for Brian2.

A compiled program that drew Brian2's own would draw others each time it runs. Each cell has a sequence of its own
instead, begun from a whole number between 1 and `MODULUS` - 1.

Source: the minimal standard generator, Park and Miller (1988), doi:10.1145/63039.63042.
"""

MODULUS = 2147483647


def draw(state: str) -> str:
    """Return the statement that draws the next number into the variable called `state`."""
    return f"{state} = (16807*{state}) % {MODULUS}"


def uniform(state: str) -> str:
    """Return the expression for what was drawn, between 0 and 1, both excluded."""
    return f"({state}/{MODULUS})"
