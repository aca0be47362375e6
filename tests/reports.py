"""Pages of the report for the tests: the market and the backtest they show, and a page taken apart."""

import functools
import json
import re
from html.parser import HTMLParser

import numpy as np
from toys import equal_weights, market, predict_below_mean

from qlstm import backtester, report, stats
from qlstm.multipass import Result
from qlstm.strategy import Memory, Strategy

START = "2015-06-01"
TRAINED = []  # the days on which the result's models were trained


@functools.cache
def spotty():
    """Return a market with gaps, not always liquid, one asset that comes late, one that is gone, labels out of order."""
    data = market(days=420, assets=8, gaps=0.01)
    random = np.random.default_rng(5)
    data.loc["is_liquid"] = np.where(random.random(data.shape[1:]) < 0.2, 0.0, data.sel(field="is_liquid"))
    data[:, :200, 3] = np.nan
    data[:, 60:, 1] = np.nan
    return data.isel(asset=[4, 2, 0, 7, 6, 5, 1, 3])


def run(strategy, data, **options):
    return backtester.backtest(strategy=strategy, data=data, build_plots=False, progress=False, **options)


def train(data):
    TRAINED.append(data["time"].values[-1])
    return {"mean": data.sel(field="close", drop=True).mean("time"), "rows": data.sizes["time"]}


@functools.cache
def result():
    """Return a backtest in the spotty market of a strategy that trains."""
    strategy = Strategy(
        train=train, predict=predict_below_mean, train_period=80, lookback_period=30, retrain_interval=60, name="toy"
    )
    return run(strategy, spotty(), start_date=START)


@functools.cache
def page():
    """Return the page of the result, with its data."""
    return report.render(result(), spotty(), "prices are made up")


def made(weights, data):
    """Return the result of a backtest that decided `weights`."""
    strategy = Strategy(predict=equal_weights, name="made")
    table = stats.calc_stat(data.rename(strategy.rules.name), weights)
    return Result(weights, weights, Memory(), [], table, strategy, [])


class Page(HTMLParser):
    """What a page holds, as far as the tests ask: tags with attributes, tables as rows of texts, texts of classes.

    Numbers are such that `float` reads them: the page's own minus sign is replaced.
    """

    def __init__(self, text):
        super().__init__()
        self.tags, self.tables, self.cards, self._inside = [], [], {}, []
        self._label = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside.append((tag, dict(attributes)))
        if tag == "table":
            self.tables.append({"caption": "", "rows": []})
        if tag == "tr":
            self.tables[-1]["rows"].append([])
        if tag in ("td", "th"):
            self.tables[-1]["rows"][-1].append("")
        if tag in ("meta", "br", "img"):
            self._inside.pop()

    def handle_endtag(self, tag):
        assert self._inside.pop()[0] == tag, f"{tag} closed out of order"

    def handle_data(self, text):
        text = re.sub(r"−(?=\d)", "-", text)
        tag, attributes = self._inside[-1] if self._inside else ("", {})
        if tag in ("td", "th"):
            self.tables[-1]["rows"][-1][-1] += text
        if self._inside and "caption" in [name for name, _ in self._inside]:
            self.tables[-1]["caption"] += text
        if tag == "dt":
            self._label = text
        if tag == "dd" and "value" in attributes.get("class", ""):
            self.cards[self._label] = text

    def rows(self, caption):
        """Return the rows of the first table whose caption begins so, by their first cell."""
        table = next(one for one in self.tables if one["caption"].strip().startswith(caption))
        return {row[0]: row[1:] for row in table["rows"][1:]}


def charts(text):
    """Return the charts of a page, by name, and the days they share."""
    content = json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])
    return content["charts"], content["shared"]["days"]


def trace(chart, name):
    return next(one for one in chart["data"] if one["name"] == name)


def last(result, field):
    return float(result.stats.sel(field=field)[-1])
