"""A strategy that chases what rose, run day by day on one market, and all that its folder holds."""

from toys import market

import qlstm

CUBE = market()
DAYS = CUBE.time.values[-6:]
D = [str(t)[:10] for t in DAYS]


def chase(data, state):
    """Hold what rose since yesterday, half of it yesterday's book."""
    close = data.sel(field="close", drop=True)
    rose = (close.isel(time=-1, drop=True) > close.isel(time=-2, drop=True)) * 1.0
    book = rose / max(1.0, float(rose.sum()))
    book = book if state is None else (book + state["book"]) / 2
    return book, {"book": book, "n": 1 if state is None else state["n"] + 1}


CHASE = qlstm.Strategy(predict=chase, lookback_period=20, name="chase")


def run(folder, t, strategy=CHASE, cube=CUBE, **settings):
    return qlstm.run(strategy, cube, state_dir=folder, date=t, progress=False, **settings)


def tree(folder):
    """Return everything below a folder: files with their bytes and times, and folders."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (content, path.stat().st_mtime_ns)
    return found


def kept(folder):
    """Return the generations and their bytes."""
    return {name: content for name, (content, _) in tree(folder).items() if content is not None and ".lock" not in name}


def restated(factor=0.5, asset=1, rows=slice(None, -6)):
    cube = CUBE.copy(deep=True)
    cube.values[:4, rows, asset] *= factor
    return cube
