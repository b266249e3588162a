// Pages are made on the server. This brings pieces of them into the page that is open: answers to forms, the
// stream of a build, and what changes by itself. What a page wants of it is said in its `data-` attributes.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function put(target, html) {
  target.innerHTML = html;
  all("[data-set]", target).forEach(one => set(one.dataset.set, one.dataset.value, one.dataset.text));
}

// Gives a value to the inputs that mirror it, and its text to what tells of it.
function set(name, value, text) {
  all(`[data-mirrors="${name}"]`).forEach(input => { input.value = value; });
  all(`[data-mirrors-text="${name}"]`).forEach(one => { one.textContent = text || one.dataset.empty; });
}

async function send(form) {
  if (form.getAttribute("aria-busy")) return;
  const target = document.querySelector(form.dataset.swap);
  const told = document.getElementById(`${form.id}-told`) || target;
  const buttons = all("button:not([type=button])", form);
  const body = form.enctype === "multipart/form-data" ? new FormData(form) : new URLSearchParams(new FormData(form));
  const leaving = new AbortController(), stops = all("[data-stops]", form);
  stops.forEach(button => { button.hidden = false; button.onclick = () => leaving.abort(); });
  buttons.forEach(button => { button.disabled = true; });
  form.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { "x-fragment": "1" }, signal: leaving.signal });
    if (answer.redirected) { location.assign(answer.url); return; }
    if (told !== target) told.innerHTML = "";
    if (answer.headers.get("content-type").startsWith("text/event-stream")) await listen(answer, form, target);
    else put(answer.ok ? target : told, await answer.text());
  } catch {
    told.innerHTML = problem("The server does not answer. Is it still running?");
  } finally {
    form.removeAttribute("aria-busy");
    buttons.forEach(button => { button.disabled = false; });
    stops.forEach(button => { button.hidden = true; });
  }
}

const problem = sentence => `<div class="problem" role="alert"><p>${sentence}</p></div>`;

// A turn of a conversation as it is made: what is shown grows text by text, what is heard comes side by side.
async function listen(answer, form, target) {
  let turn;
  const part = name => turn.querySelector(`[data-part="${name}"]`);
  const does = {
    turn({ html }) {
      target.insertAdjacentHTML("beforeend", html);
      turn = target.lastElementChild;
      const field = form.elements[`input.${form.dataset.clears}`];
      field.value = "";
      field.focus({ preventScroll: true });
      turn.scrollIntoView({ block: "nearest" });
    },
    text({ part: name, text }) { part(name)?.append(text); },
    part({ part: name, html, heard }) {
      put(part(name), html);
      part(name).removeAttribute("aria-busy");
      if (heard) say(heard);
    },
  };
  let over = false, why = "Stopped.";
  try {
    for await (const [name, data] of eventsOf(answer)) {
      if (name === "over") over = true;
      else does[name](data);
    }
    why = "The server broke off in the middle of the answer; its log says why.";
  } catch (error) {
    if (error.name !== "AbortError") why = "The connection to the server was lost in the middle of the answer.";
  }
  if (over || !turn) return;
  all("[aria-busy]", turn).forEach(side => {
    side.removeAttribute("aria-busy");
    side.querySelector(".writing").outerHTML = `<div class="told"><p>${why}</p></div>`;
  });
  say(why);
}

const say = text => {
  const line = document.createElement("p");
  line.textContent = text;
  document.getElementById("heard").append(line);
};

// Server-sent events of a POST: an EventSource can only ask by GET, and would ask again where it was cut off.
async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let held = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (held + value).split("\n\n");
    held = events.pop();
    for (const event of events) {
      const told = Object.fromEntries(event.split("\n").map(line => line.split(/: (.*)/)));
      if (told.event) yield [told.event, told.data && JSON.parse(told.data)];
    }
  }
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
  if (event.key === "Escape") all("[data-stops]:not([hidden])").forEach(button => button.click());
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && "enter" in event.target.dataset) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
});

document.addEventListener("click", event => {
  const emptied = event.target.dataset?.empties;
  if (emptied) {
    all(emptied).forEach(one => { one.innerHTML = ""; });
    event.target.form.querySelector("[data-enter]").focus();
  }
});

all("[data-stream]").forEach(follow);
all("[data-refresh]").forEach(refresh);
all(".log").forEach(log => { log.scrollTop = log.scrollHeight; });
