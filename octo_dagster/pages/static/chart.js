// Draws the charts of a page from the figures beside them, in the page's colours.
await new Promise((loaded, failed) => {
  const script = document.createElement("script");
  script.src = new URL("./vendor/chart-4.6.1.min.js", import.meta.url);
  script.onload = loaded;
  script.onerror = failed;
  document.head.append(script);
});

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const drawn = new Set();

export function draw(figure) {
  const told = JSON.parse(document.getElementById(figure.dataset.chart).textContent);
  const canvas = figure.querySelector("canvas");
  const made = new Chart(canvas, settings(told));
  drawn.add([made, told]);
  figure.dataset.drawn = "yes";
}

function settings(told) {
  const palette = [1, 2, 3, 4, 5, 6].map((n) => colour(`--s${n}`));
  const round = ["doughnut", "pie", "polarArea"].includes(told.kind);
  const axis = (stacked) => ({ stacked, ticks: { color: colour("--soft") }, grid: { color: colour("--line") } });
  const ours = {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    indexAxis: told.horizontal ? "y" : "x",
    locale: document.documentElement.lang,
    color: colour("--ink"),
    plugins: { legend: { display: round || told.series.length > 1, labels: { color: colour("--ink") } } },
    scales: round ? {} : { x: axis(told.stacked), y: { ...axis(told.stacked), beginAtZero: true } },
  };
  const datasets = told.series.map((series, at) => ({
    backgroundColor: round ? told.labels.map((_, n) => palette[n % 6]) : palette[at % 6],
    borderColor: told.kind === "line" ? palette[at % 6] : undefined,
    ...series,
  }));
  return { type: told.kind, data: { labels: told.labels, datasets }, options: merged(ours, told.options) };
}

function merged(into, more) {
  for (const [name, value] of Object.entries(more)) {
    const deep = value && typeof value === "object" && !Array.isArray(value);
    into[name] = deep ? merged({ ...(into[name] ?? {}) }, value) : value;
  }
  return into;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const [made, told] of drawn) {
    const now = settings(told);
    made.options = now.options;
    made.data.datasets.forEach((dataset, at) => Object.assign(dataset, now.data.datasets[at]));
    made.update();
  }
});
