"""Part of a fault: a global that is imported by its name."""

CALLS = []
