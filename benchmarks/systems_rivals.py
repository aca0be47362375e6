"""What Fischer and Krauss put beside their LSTM: a logistic regression, a perceptron and a forest.

They read what a stock gained over 1 to 20, 40, 60, ... and 240 days. Study periods, label, universe and portfolio are
those of strategies/fischer_krauss.py. `systems.py` trades them, `systems_fischer_krauss.py` compares their forecasts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

import qlstm
from qlstm import labels, nn, portfolio, scaling, ta
from qlstm.extras import library

LAGS = (*range(1, 21), *range(40, 241, 20))
PENALTIES = (1e-4, 1e-2, 1.0)  # sklearn's C of the logistic regression: the smaller, the simpler
TREES, DEPTH, SHARE = 100, 20, 0.1  # the source's 1000 trees of all samples take hours
SURE = 0.01  # no share of trees counts as less, nor as more than 1 - SURE: log odds stay finite

Samples = nn.Sequences
Fit = Callable[[Samples], Any]
"""Samples -> a model."""
Score = Callable[[Any, Samples], xr.DataArray]
"""A model, samples -> log odds (time, asset)."""


def cumulative(data: xr.DataArray, lags: Sequence[int]) -> xr.DataArray:
    """(field, time, asset) -> (time, asset, feature): what each stock gained over so many rows, in percent."""
    close = data.sel(field="close", drop=True).ffill("time").transpose("time", "asset")
    gains = np.stack([ta.roc(close, lag).values for lag in lags], axis=-1)
    return xr.DataArray(gains, dims=("time", "asset", "feature"), coords=close.coords | {"feature": names(lags)})


def names(lags: Sequence[int]) -> list[str]:
    return [f"gain_{lag}" for lag in lags]


@dataclass(frozen=True)
class Rival:
    """A forecaster of the label of fischer_krauss: `fit` learns it from samples, `score` gives log odds for others."""

    name: str
    study: Mapping[str, Any]  # the names of strategies/fischer_krauss.py
    fit: Fit
    score: Score
    lags: Sequence[int] = LAGS

    def train(self, data: xr.DataArray) -> dict[str, Any]:
        """Fit to the study period that ends with the data, as `train` of the strategy does."""
        study = self.study["STUDY"].training(data)
        study = study.sel(asset=self.study["liquid"](study))
        inputs = cumulative(study, self.lags)
        scaler = scaling.fit(inputs, {tuple(names(self.lags)): "standard"}, per="pooled")
        better = labels.above_median(labels.executed_return(study))
        samples = nn.Sequences(scaling.transform(scaler, inputs), better, length=1, horizon=labels.horizon())
        model = self.fit(samples)
        return {"scaler": scaler, "model": model, "members": study.asset.values.tolist()}

    def forecast(self, models: dict[str, Any], data: xr.DataArray, last: bool = False) -> xr.DataArray:
        """(field, time, asset) -> (time, asset): log odds of every row that has all inputs, or of the last alone."""
        inputs = cumulative(data.sel(asset=data.asset.isin(models["members"])), self.lags)
        inputs = inputs.isel(time=slice(-1, None)) if last else inputs
        return self.score(models["model"], nn.Sequences(scaling.transform(models["scaler"], inputs), length=1))

    def predict(self, models: dict[str, Any], data: xr.DataArray) -> xr.DataArray:
        """Hold the highest forecasts long and the lowest short, as `predict` of the strategy does."""
        scores = self.forecast(models, data, last=True)
        side = self.study["SIDE"]
        return portfolio.top_bottom(scores.isel(time=-1, drop=True), self.study["liquid"](data), top=side, bottom=side)

    def strategy(self, like: qlstm.Strategy) -> qlstm.Strategy:
        """Return the strategy that trades it, by the periods and the contest of another."""
        return dataclasses.replace(like, train=self.train, predict=self.predict, features=None, name=self.name)


def flat(samples: Samples) -> np.ndarray:
    """Return the inputs of samples, (samples, feature)."""
    return samples.inputs()[:, -1]


def fit_logistic(samples: Samples) -> Any:
    """Return a logistic regression whose penalty did best on the latest days."""
    early, late = samples.split(0.2, embargo=0)
    linear, metrics = (library(f"sklearn.{part}", "stats", "scikit-learn") for part in ("linear_model", "metrics"))
    x, y = flat(early), early.targets()
    fitted = [linear.LogisticRegression(C=penalty).fit(x, y) for penalty in PENALTIES]
    return min(fitted, key=lambda one: metrics.log_loss(late.targets(), one.predict_proba(flat(late))))


def score_logistic(model: Any, samples: Samples) -> xr.DataArray:
    return samples.table(model.decision_function(flat(samples)))


def fit_perceptron(samples: Samples) -> Any:
    """Return a perceptron of 31, 10 and 5 hidden units: one output, the log odds, does what the source's two do."""
    early, late = samples.split(0.2, embargo=0)
    network = nn.MLP(early.features, hidden=(31, 10, 5))
    return nn.fit_pooled(network, early, late, loss=nn.BCE(), batch=512, epochs=20, patience=5).network


def fit_forest(samples: Samples) -> Any:
    """Return a forest fitted to all samples, each tree to a tenth of as many drawn from them."""
    ensemble = library("sklearn.ensemble", "stats", "scikit-learn")
    forest = ensemble.RandomForestClassifier(TREES, max_depth=DEPTH, max_samples=SHARE, random_state=0)
    return forest.fit(flat(samples), samples.targets())


def score_forest(model: Any, samples: Samples) -> xr.DataArray:
    share = model.predict_proba(flat(samples))[:, 1].clip(SURE, 1.0 - SURE)
    return samples.table(np.log(share / (1.0 - share)))


def rivals(study: Mapping[str, Any], lags: Sequence[int] = LAGS) -> list[Rival]:
    """Return the three of the source, beside the strategy whose names these are."""
    return [
        Rival("LOG", study, fit_logistic, score_logistic, lags),
        Rival("DNN", study, fit_perceptron, nn.predict_pooled, lags),
        Rival("RAF", study, fit_forest, score_forest, lags),
    ]
