"""The report in a real browser: it loads without a word on the console, asks for nothing, and every chart has marks."""

import html
import json
import re
import shutil
import subprocess

import pytest
from toys import market, predict_below_mean, train_mean

from qlstm import backtester, report
from qlstm.strategy import Strategy

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # nothing leaves the machine, whatever the browser itself would ask for
    "--virtual-time-budget=20000",
    "--enable-logging=stderr",
]
SCHEMES = {"dark": 0, "light": 1}
WIDTHS = (360, 1280)

# Put at the end of the page under test: waits for the charts, then tells the page around it what it has become.
PROBE = """<script>
addEventListener("error", (event) => parent.postMessage({error: event.message}, "*"));
const wait = setInterval(() => {
  const root = document.documentElement, charts = [...document.querySelectorAll("[data-chart]")];
  if (Number(root.dataset.drawn) !== charts.length) return;
  clearInterval(wait);
  parent.postMessage({
    width: innerWidth,
    overflow: root.scrollWidth - root.clientWidth,
    page: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.querySelector(".xtick text")).fill,
    marks: Object.fromEntries(charts.map((chart) => [chart.dataset.chart,
      chart.querySelectorAll(".js-line, .js-fill, .point, .hm image").length])),
    wide: charts.filter((chart) => chart.querySelector(".main-svg").clientWidth > chart.clientWidth + 1).length,
  }, "*");
}, 50);
</script>"""
AROUND = """<body><script>
const told = [];
addEventListener("message", (event) => { told.push(event.data); document.body.dataset.told = JSON.stringify(told); });
</script>%s</body>"""

pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine (apt-get install chromium)")


@pytest.fixture(scope="module")
def page():
    """A report with every panel: trained models, a forecast, baselines."""
    data = market(days=420, assets=6, gaps=0.01)
    strategy = Strategy(train=train_mean, predict=predict_below_mean, train_period=80, retrain_interval=90, name="toy")
    result = backtester.backtest(
        strategy=strategy, data=data, start_date="2015-06-01", build_plots=False, progress=False
    )
    close = data.sel(field="close", drop=True)
    return report.render(result, data, forecast=(close / close.shift(time=3) - 1).sel(time=result.weights.time))


def browse(folder, page, scheme):
    """Open the page at all widths; return what each told, the console, and the addresses that were asked for."""
    return browse_all(folder, dict.fromkeys(WIDTHS, page), scheme)


def browse_all(folder, pages, scheme):
    """Open pages, each at its width, beside each other; see `browse`."""
    for width, page in pages.items():
        (folder / f"{width}.html").write_text(page.replace("</body>", PROBE + "</body>"))
    frames = "".join(f'<iframe src="{width}.html" width="{width}" height="900"></iframe>' for width in pages)
    (folder / "around.html").write_text(AROUND % frames)
    options = [f"--user-data-dir={folder / 'profile'}", f"--log-net-log={folder / 'net.json'}", "--dump-dom"]
    options += [f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", "--window-size=1400,1000"]
    done = subprocess.run(
        [BROWSER, *FLAGS, *options, f"file://{folder / 'around.html'}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told = re.search(r'data-told="(.*?)"', done.stdout)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(told[1])) if told else [], console, asked_for(folder / "net.json")


def asked_for(log):
    """Return the addresses that pages, not the browser itself, asked the network for."""
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    started = [one for one in events if one.get("initiator", "not an origin") != "not an origin"]
    return {one["url"] for one in started if one["url"].startswith("http")}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_opens_in_silence_offline_and_fits(page, tmp_path, scheme):
    told, console, asked = browse(tmp_path, page, scheme)
    assert console == []
    assert asked == set()
    assert sorted(one["width"] for one in told) == list(WIDTHS)
    for one in told:
        assert len(one["marks"]) == 10
        assert all(one["marks"].values()), one["marks"]
        assert (one["overflow"], one["wide"]) == (0, 0)
        dark = [sum(map(int, re.findall(r"\d+", one[what])[:3])) < 384 for what in ("page", "ink")]
        assert dark == [scheme == "dark", scheme != "dark"]


def test_a_page_with_faults_would_be_caught(page, tmp_path):
    image = '<img src="https://example.org/%s.png"></main>'
    broken = re.sub("<meta http-equiv.*?>", "", page).replace("</main>", image % "asked")
    broken = re.sub(r'"z":\[\[.*?\]\]', '"z":[]', broken)
    blocked = page.replace("</main>", "<script>oops()</script>" + image % "blocked")
    told, console, asked = browse_all(tmp_path, {1000: broken, 400: blocked}, "light")
    assert asked == {"https://example.org/asked.png"}
    assert {one["width"]: one["marks"]["heat-map"] > 0 for one in told if "width" in one} == {1000: False, 400: True}
    assert any("Content Security Policy" in line for line in console)
    assert any("oops is not defined" in line for line in console)
