// The rule editor: shows who is meant as one types, and completes columns and values.
const WORDS = ["and", "or", "not", "in", "is None", "is not None", "days_ago(90)", "days_ahead(14)"];
const MOST = 8;
const PAUSE = 350; // milliseconds without a key before anything is asked

export function start(form) {
  const rule = form.querySelector("#rule");
  const list = form.querySelector("#suggestions");
  const columns = JSON.parse(form.querySelector("#vocabulary").textContent);
  previewing(form);
  completing(rule, list, columns);
}

function previewing(form) {
  const place = form.querySelector("#preview");
  let pause;
  let asked;
  const ask = async () => {
    asked?.abort();
    asked = new AbortController();
    place.setAttribute("aria-busy", "true");
    try {
      const reply = await fetch("/audiences/preview", { method: "POST", body: new FormData(form), signal: asked.signal });
      if (reply.status === 401) location.reload();
      else if (reply.ok) place.innerHTML = await reply.text();
      place.removeAttribute("aria-busy");
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  };
  form.addEventListener("input", (event) => {
    if (["name", "description"].includes(event.target.name)) return;
    clearTimeout(pause);
    pause = setTimeout(ask, PAUSE);
  });
}

// What stands before the caret: a text begun beside a column, or the beginning of a word.
function begun(before) {
  const text = /(\w+)\s*(?:==|!=|(?:not\s+)?in\s*\[(?:\s*(?:'[^']*'|"[^"]*")\s*,)*)\s*(['"])([^'"]*)$/.exec(before);
  if (text) return { column: text[1], quote: text[2], part: text[3] };
  const word = /[A-Za-z_]\w*$/.exec(before);
  const quoted = (before.match(/'/g) ?? []).length % 2 === 1;
  return word && !quoted ? { part: word[0] } : null;
}

function completing(rule, list, columns) {
  const held = new Map(); // column → its values, once asked for
  let chosen = -1;
  let at = null;

  rule.setAttribute("role", "combobox");
  rule.setAttribute("aria-autocomplete", "list");
  rule.setAttribute("aria-controls", list.id);
  const close = () => {
    list.hidden = true;
    list.replaceChildren();
    chosen = -1;
    rule.setAttribute("aria-expanded", "false");
    rule.removeAttribute("aria-activedescendant");
  };
  close();

  const known = (column) => {
    if (!held.has(column)) {
      const told = columns.some((one) => one.name === column && one.kind === "text");
      const asked = told ? fetch(`/audiences/values?column=${encodeURIComponent(column)}`).then((r) => (r.ok ? r.json() : [])) : [];
      held.set(column, Promise.resolve(asked));
    }
    return held.get(column);
  };

  const offers = async (found) => {
    const part = found.part.toLowerCase();
    const near = (name) => name.toLowerCase().startsWith(part) || (part.length > 2 && name.toLowerCase().includes(part));
    const first = (a, b) => b.name.toLowerCase().startsWith(part) - a.name.toLowerCase().startsWith(part);
    if (found.column) return (await known(found.column)).filter(near).slice(0, MOST).map((name) => ({ name, kind: "" }));
    const words = WORDS.map((name) => ({ name, kind: "" }));
    return [...columns, ...words].filter((one) => near(one.name) && one.name !== found.part).sort(first).slice(0, MOST);
  };

  const show = async () => {
    const found = rule.selectionStart === rule.selectionEnd ? begun(rule.value.slice(0, rule.selectionStart)) : null;
    at = found;
    if (!found || (!found.part && !found.column)) return close();
    const told = await offers(found);
    if (at !== found) return undefined; // something else was typed meanwhile
    if (!told.length) return close();
    list.replaceChildren(...told.map(option));
    list.hidden = false;
    rule.setAttribute("aria-expanded", "true");
    return choose(0);
  };

  const option = (one, index) => {
    const item = document.createElement("li");
    item.id = `suggestion-${index}`;
    item.setAttribute("role", "option");
    item.append(one.name);
    if (one.kind) {
      const kind = document.createElement("small");
      kind.append(one.kind);
      item.append(" ", kind);
    }
    item.dataset.text = one.name;
    item.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      take(item);
    });
    return item;
  };

  const choose = (index) => {
    const items = list.children;
    chosen = (index + items.length) % items.length;
    [...items].forEach((item, n) => item.setAttribute("aria-selected", String(n === chosen)));
    items[chosen].scrollIntoView({ block: "nearest" });
    rule.setAttribute("aria-activedescendant", items[chosen].id);
  };

  const take = (item) => {
    const end = rule.selectionStart;
    const closing = at.quote && rule.value[end] !== at.quote ? at.quote : "";
    rule.setRangeText(item.dataset.text + closing, end - at.part.length, end, "end");
    close();
    rule.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertReplacementText" }));
  };

  rule.addEventListener("input", (event) => (event.inputType === "insertReplacementText" ? close() : show()));
  rule.addEventListener("blur", close);
  rule.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter" || event.key === "Tab") take(list.children[chosen]);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  });
}
