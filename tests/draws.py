"""Random series that the tests of significance share."""

import numpy as np


def noise(seed):
    """Return a seeded generator."""
    return np.random.default_rng(seed)


def moving_average(random, rows, span):
    """Return values (row,) of which `span` neighbours overlap."""
    return np.convolve(random.standard_normal(rows + span - 1), np.ones(span), "valid")
