"""Weights from data that end earlier must not differ."""

import numpy as np
import pytest
from toys import market, momentum

from qlstm import forward_looking
from qlstm.errors import WeightsError

CUBE = market(days=400)


def peeking(data):
    close = data.sel(field="close", drop=True)
    return (close.shift(time=-1) > close).astype(float) / 5


def test_causal_weights_are_fine_and_peeking_ones_are_found(caplog):
    weights, looks_ahead = forward_looking.calc_output_and_check_forward_looking(CUBE, momentum)
    assert not looks_ahead
    assert weights.sizes["time"] == 400
    assert caplog.text == ""
    assert forward_looking.calc_output_and_check_forward_looking(CUBE, peeking)[1]
    assert "the weights look ahead: on " in caplog.text


def test_the_first_difference_is_named(caplog):
    weights = momentum(CUBE)
    other = weights.copy()
    other[{"time": 50, "asset": 2}] = 0.9
    assert forward_looking.check_forward_looking(weights.isel(time=slice(0, 100)), other)
    date = str(CUBE.time.values[50])[:10]
    assert f"on {date} asset TOY:00" in caplog.text


def test_only_common_dates_count_and_missing_assets_are_nothing():
    weights = momentum(CUBE)
    assert not forward_looking.check_forward_looking(weights.isel(time=slice(0, 100)), weights)
    nothing = weights.copy()
    nothing[{"asset": 0}] = 0.0
    assert not forward_looking.check_forward_looking(nothing.isel(asset=slice(1, None)), nothing)


def test_the_later_part_of_either_one_does_not_count():
    weights = momentum(CUBE)
    other = weights.copy()
    other[100:] = 0.0
    assert not forward_looking.check_forward_looking(other[:100], weights)
    assert not forward_looking.check_forward_looking(weights, other[:100])
    assert forward_looking.check_forward_looking(other[:106], weights)
    assert forward_looking.check_forward_looking(weights, other[:106])


def test_the_second_run_lacks_half_a_year():
    ends = []

    def strategy(data):
        ends.append(data.time.values[-1])
        return momentum(data)

    forward_looking.calc_output_and_check_forward_looking(CUBE, strategy)
    assert sorted(ends) == [CUBE.time.values[-1] - np.timedelta64(182, "D"), CUBE.time.values[-1]]


def test_rounding_is_not_looking_ahead():
    weights = momentum(CUBE) / 2
    for difference, looks_ahead in ((0.9e-7, False), (-0.9e-7, False), (1.1e-7, True), (-1.1e-7, True)):
        other = weights.copy()
        other[50, 2] += difference
        assert forward_looking.check_forward_looking(weights, other) is looks_ahead


def test_weights_without_dates_are_refused():
    with pytest.raises(WeightsError, match="needs weights with a time dim"):
        forward_looking.check_forward_looking(momentum(CUBE).isel(time=0), momentum(CUBE))
    assert np.isfinite(momentum(CUBE).values).all()
