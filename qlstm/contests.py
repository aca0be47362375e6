"""Contest rules as data: one frozen record per competition type, and a registry that users can add to.

No other module branches on the name of a contest; it asks the record. The figures are the established toolbox's own:
in-sample starts, points per year, slippage as a share of the average true range, which rules `output.clean` applies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .errors import ContestError, near

__all__ = ["Contest", "find", "get", "names", "register"]


@dataclass(frozen=True)
class Contest:
    """The rules of one competition type.

    Parameters
    ----------
    name : str
        The competition type, as users write it (``"stocks_nasdaq100"``).
    start : str
        First day of the in-sample period, an ISO date.
    points_per_year : int
        Rows of data in a year, used when the data are too few to count (below 251 rows).
    slippage : float
        Cost of trading one share, as a share of the 14-day average true range.
    in_sample_points : int
        Rows of the default in-sample period.
    liquid_only : bool
        Positions are allowed only where ``is_liquid`` is not 0.
    hold_gaps : bool
        Weights removed on days without a price are carried forward over the gap when weights are cleaned.
    long_only : bool
        Negative weights become 0.
    exposure_limit : float or None
        Largest share of one asset in the book; where `exposure_bounds` are broken, `output.clean` cuts positions to
        it, then drops days.
    allowed_assets : tuple of str or None
        The only assets that may be traded; None allows all.
    min_sharpe : float
        In-sample Sharpe ratio a submission needs.
    time_limit_s : float or None
        Seconds that one daily run may take; None where the contest publishes no such limit.
    """

    name: str
    start: str
    points_per_year: int = 251
    slippage: float = 0.05
    in_sample_points: int = 1512
    liquid_only: bool = False
    hold_gaps: bool = True
    long_only: bool = False
    exposure_limit: float | None = None
    allowed_assets: tuple[str, ...] | None = None
    min_sharpe: float = 0.7
    time_limit_s: float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ContestError("a contest needs a name")
        if self.points_per_year <= 0:
            raise ContestError(f"contest {self.name!r}: points_per_year must be positive, got {self.points_per_year}")
        if self.slippage < 0:
            raise ContestError(f"contest {self.name!r}: slippage must not be negative, got {self.slippage}")
        if self.exposure_limit is not None and not 0 < self.exposure_limit <= 1:
            raise ContestError(
                f"contest {self.name!r}: exposure_limit must be above 0 and at most 1, got {self.exposure_limit}"
            )

    @property
    def exposure_bounds(self) -> tuple[float, float] | None:
        """The soft and the hard limit that `exposure_limit` keeps clear of: 2 % above it, and twice that.

        For the stocks contests' 0.049 they are 0.05 and 0.1.
        """
        if self.exposure_limit is None:
            return None
        soft = round(self.exposure_limit / 0.98, 12)
        return soft, 2 * soft


_INDEX_STOCKS = Contest("stocks_nasdaq100", "2006-01-01", in_sample_points=3528, liquid_only=True, hold_gaps=False)
_STOCKS = Contest("stocks", "2015-01-01", liquid_only=True, exposure_limit=0.049)
_FUTURES = Contest("futures", "2006-01-01", slippage=0.04, in_sample_points=3528)
_DAILY = Contest("crypto_daily", "2014-01-01", 365, 0.04, 1764, liquid_only=True)

_REGISTRY: dict[str, Contest] = {
    contest.name: contest
    for contest in (
        _INDEX_STOCKS,
        replace(_INDEX_STOCKS, name="stocks_s&p500", in_sample_points=4536),
        _STOCKS,
        replace(_STOCKS, name="stocks_long", long_only=True),
        _FUTURES,
        replace(_DAILY, name="cryptofutures", liquid_only=False),
        Contest("crypto", "2014-01-01", 8766, 0.05, 60000, allowed_assets=("BTC",)),
        _DAILY,
        replace(_DAILY, name="crypto_daily_long", long_only=True),
        replace(_DAILY, name="crypto_daily_long_short"),
    )
}
_ALIASES = {"crypto_futures": "cryptofutures", "cryptodaily": "crypto_daily"}


def names() -> list[str]:
    """Return the names of all registered contests, aliases included, sorted."""
    return sorted([*_REGISTRY, *_ALIASES])


def find(name: str | None) -> Contest | None:
    """Return the contest registered under `name` or an alias of it, or None."""
    return _REGISTRY.get(_ALIASES.get(name or "", name or ""))


def get(name: str | Contest) -> Contest:
    """Return the contest registered under `name` (or `name` itself when it is one).

    Raises
    ------
    ContestError
        When there is none; the message offers the nearest name.
    """
    if isinstance(name, Contest):
        return name
    contest = find(name)
    if contest is None:
        raise ContestError(f"unknown contest {name!r}{near(str(name), names())}")
    return contest


def register(contest: Contest) -> Contest:
    """Add `contest` to the registry and return it.

    Raises
    ------
    ContestError
        When the name is taken by a contest with other rules.
    """
    if contest.name in _ALIASES or _REGISTRY.get(contest.name, contest) != contest:
        raise ContestError(f"contest {contest.name!r} is registered already, with other rules; choose another name")
    _REGISTRY[contest.name] = contest
    return contest
