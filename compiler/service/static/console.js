// Pages are made on the server. This brings pieces of them into the page that is open: answers to forms, the
// stream of a build, and what changes by itself. What a page wants of it is said in its `data-` attributes.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function put(target, html, append) {
  if (append) target.insertAdjacentHTML("beforeend", html);
  else target.innerHTML = html;
  all("[data-set]", target).forEach(one => set(one.dataset.set, one.dataset.value, one.dataset.text));
}

// Gives a value to the inputs that mirror it, and its text to what tells of it.
function set(name, value, text) {
  all(`[data-mirrors="${name}"]`).forEach(input => { input.value = value; });
  all(`[data-mirrors-text="${name}"]`).forEach(one => { one.textContent = text || one.dataset.empty; });
}

async function send(form) {
  const target = document.querySelector(form.dataset.swap);
  const told = document.getElementById(`${form.id}-told`) || target;
  const buttons = all("button:not([type=button])", form);
  const append = "append" in form.dataset;
  const body = form.enctype === "multipart/form-data" ? new FormData(form) : new URLSearchParams(new FormData(form));
  buttons.forEach(button => { button.disabled = true; });
  form.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { "x-fragment": "1" } });
    if (answer.redirected) { location.assign(answer.url); return; }
    const html = await answer.text();
    if (told !== target) told.innerHTML = "";
    put(answer.ok ? target : told, html, answer.ok && append);
    if (answer.ok && append) finishTurn(form, target);
  } catch {
    told.innerHTML = '<div class="problem" role="alert"><p>The server does not answer. Is it still running?</p></div>';
  } finally {
    form.removeAttribute("aria-busy");
    buttons.forEach(button => { button.disabled = false; });
  }
}

function finishTurn(form, target) {
  const field = form.elements[`input.${form.dataset.clears}`];
  if (field) { field.value = ""; field.focus({ preventScroll: true }); }
  target.lastElementChild?.scrollIntoView({ block: "nearest" });
}

// A log stays at its end, unless somebody scrolled up to read.
function refreshed(element, html) {
  const atEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 8;
  put(element, html);
  if (atEnd) element.scrollTop = element.scrollHeight;
}

function follow(root) {
  const source = new EventSource(root.dataset.stream);
  for (const name of ["standing", "chart", "log"])
    source.addEventListener(name, event => refreshed(document.getElementById(`stream-${name}`), JSON.parse(event.data)));
  source.addEventListener("over", () => { source.close(); location.reload(); });
}

function refresh(root) {
  const again = () => setTimeout(async () => {
    // Not under the hands of somebody who reads a table by keyboard.
    if (!document.hidden && !root.contains(document.activeElement)) {
      try {
        const answer = await fetch(root.dataset.refresh, { headers: { "x-fragment": "1" } });
        if (answer.ok) put(root, await answer.text());
      } catch { /* the next look may find it again */ }
    }
    again();
  }, Number(root.dataset.every));
  again();
}

document.addEventListener("submit", event => {
  const form = event.target;
  if (form.dataset.confirm && !confirm(form.dataset.confirm)) { event.preventDefault(); return; }
  if (form.dataset.swap) { event.preventDefault(); send(form); }
});

document.addEventListener("change", event => {
  const { target } = event, form = target.form;
  if ("mirror" in target.dataset) set(target.dataset.mirror, target.value);
  if ("submit" in target.dataset) form.requestSubmit();
  if (form && "onChange" in form.dataset && all("input[type=file]", form).some(input => input.files.length))
    form.requestSubmit();
});

document.addEventListener("keydown", event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && "enter" in event.target.dataset) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
});

document.addEventListener("click", event => {
  const emptied = event.target.dataset?.empties;
  if (emptied) document.querySelector(emptied).innerHTML = "";
});

all("[data-stream]").forEach(follow);
all("[data-refresh]").forEach(refresh);
all(".log").forEach(log => { log.scrollTop = log.scrollHeight; });
