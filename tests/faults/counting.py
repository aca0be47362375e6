"""Part of a fault: counts, in a global of its own."""

CALLS = []


def one_more():
    """Return how often it was called."""
    CALLS.append(1)
    return len(CALLS)
