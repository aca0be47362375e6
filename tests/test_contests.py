"""Contest rules as data."""

import pytest

from qlstm import contests
from qlstm.errors import ContestError


def test_every_competition_type_of_the_established_toolbox_is_known():
    for name in [
        *("stocks_nasdaq100", "stocks_s&p500", "stocks", "stocks_long", "futures", "cryptofutures", "crypto_futures"),
        *("crypto", "crypto_daily", "cryptodaily", "crypto_daily_long", "crypto_daily_long_short"),
    ]:
        assert contests.get(name).points_per_year > 0


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ContestError, match="unknown contest 'stocks_nasdaq'; did you mean 'stocks_nasdaq100'"):
        contests.get("stocks_nasdaq")


def test_a_user_can_register_a_contest_and_strategies_can_name_it():
    mine = contests.Contest("house_rules", "2018-01-01", long_only=True)
    assert contests.register(mine) is mine
    assert contests.register(mine) is mine
    assert contests.get("house_rules").long_only
    with pytest.raises(ContestError, match="registered already"):
        contests.register(contests.Contest("house_rules", "2019-01-01"))


@pytest.mark.parametrize("wrong", [{"points_per_year": 0}, {"slippage": -0.1}, {"exposure_limit": 0.0}, {"name": ""}])
def test_contradicting_rules_are_refused(wrong):
    with pytest.raises(ContestError):
        contests.Contest(**{"name": "x", "start": "2018-01-01"} | wrong)
