// What every page gains with scripts. Without them everything stays readable and every form works.
document.documentElement.classList.add("scripted");

const charts = document.querySelectorAll("[data-chart]");
if (charts.length) {
  const { draw } = await import("./chart.js");
  charts.forEach(draw);
}

// A module named by a page: <div data-module="/static/rule.js?..."> is given that element.
for (const element of document.querySelectorAll("[data-module]")) {
  const { start } = await import(element.dataset.module);
  start(element);
}

// Forms that choose something send themselves; their button is for who has no scripts.
for (const form of document.querySelectorAll("form[data-at-once]")) {
  form.addEventListener("change", () => form.requestSubmit());
}
