// Draws the charts one after the other, in the page's colours, and again when those change or the page is printed.
(() => {
  "use strict";
  const page = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const elements = [...document.querySelectorAll("[data-chart]")];
  const PRINTED = 680; // pixels between the margins of a sheet
  const isTouch = matchMedia("(pointer: coarse)").matches;
  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const scales = {
    sequential: () => [[0, colour("low")], [1, colour("high")]],
    diverging: () => [[0, colour("loss")], [0.5, colour("low")], [1, colour("high")]],
  };

  // "@name" is a shared array, a colour scale, or a colour of the style sheet.
  function resolve(value) {
    if (typeof value === "string" && value.startsWith("@")) {
      const name = value.slice(1);
      return page.shared[name] ?? scales[name]?.() ?? colour(name);
    }
    if (Array.isArray(value)) {
      return typeof value[0] === "number" ? value : value.map(resolve);
    }
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolve(inner)]));
    }
    return value;
  }

  function layoutOf(figure, width) {
    const narrow = (width ?? root.clientWidth) < 640;
    const own = resolve(figure.layout);
    const axis = { gridcolor: colour("line"), zerolinecolor: colour("muted"), linecolor: colour("line"), automargin: true };
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow ? 11 : 12, color: colour("ink") },
      margin: { l: narrow ? 40 : 56, r: 14, t: 8, b: 30 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
      dragmode: isTouch ? false : "zoom",
      ...own,
    };
    for (const key of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) {
      layout[key] = { ...axis, ...layout[key] };
    }
    return width ? { ...layout, width } : layout;
  }

  function draw(element, width) {
    const figure = page.charts[element.dataset.chart];
    const config = { responsive: !width, displaylogo: false, displayModeBar: false };
    return Plotly.react(element, resolve(figure.data), layoutOf(figure, width), config);
  }

  const overTime = (element) => page.charts[element.dataset.chart].layout.xaxis?.type === "date";
  let following = false;

  // A stretch chosen in one chart over time is shown in all of them.
  function follow(element) {
    element.on("plotly_relayout", (change) => {
      const range = change["xaxis.range"] ?? [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      const update = change["xaxis.autorange"] ? { "xaxis.autorange": true } : range[0] && { "xaxis.range": [...range] };
      if (following || !update) return;
      following = true;
      const others = elements.filter((other) => other !== element && overTime(other));
      Promise.all(others.map((other) => Plotly.relayout(other, update))).finally(() => { following = false; });
    });
  }

  function next(place) {
    if (place === elements.length) {
      root.dataset.drawn = String(place);
      return;
    }
    const element = elements[place];
    draw(element).then(() => {
      if (overTime(element)) follow(element);
      setTimeout(next, 0, place + 1);
    });
  }

  const redraw = (width) => elements.forEach((element) => draw(element, width));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
  addEventListener("beforeprint", () => { root.dataset.print = ""; redraw(PRINTED); });
  addEventListener("afterprint", () => { delete root.dataset.print; redraw(); });
  next(0);
})();
