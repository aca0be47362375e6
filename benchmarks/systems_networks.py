"""What the networks of docs/systems.md find that takes a memory: right signs in P3, and in N0, where nothing is.

python benchmarks/systems_networks.py SEEDS [NAME ...]    (the page has 5 seeds, which take about half an hour)

Medians over seeds, in brackets the least and the most; the tests' own networks, learning rates and windows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import test_system_parts as parts


def told(hits: list[float]) -> str:
    """Return the median of shares, the least and the most, in percent."""
    return f"{100 * np.median(hits):.1f} % ({100 * min(hits):.1f} to {100 * max(hits):.1f})"


def shares(model: Callable, rate: float, market: str, epochs: int, seeds: int) -> list[float]:
    """Return a network's share of right signs in so many markets."""
    return [parts.hits(market, model, epochs=epochs, lr=rate, seed=seed)[0] for seed in range(seeds)]


def main(seeds: int, names: list[str]) -> None:
    """Print a row for each network, or for those named."""
    blind = {f"{name} without positions": (model, 0.002) for name, model in parts.BLIND.items()}
    alone = {name: (model, 0.01) for name, model in parts.WITHOUT_MEMORY.items()}
    print("| network | P3 | N0 |\n|---|---|---|")
    for name, (model, rate) in (parts.FINDERS | blind | alone).items():
        if not names or name in names:
            print(f"| {name} |", told(shares(model, rate, "P3", 40, seeds)), end=" | ", flush=True)
            print(told(shares(model, rate, "N0", 10, seeds)), "|", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:  # too long for `make bench`
        sys.exit("left out: it takes five minutes a seed; python benchmarks/systems_networks.py SEEDS")
    main(int(sys.argv[1]), sys.argv[2:])
