// What the page asks of the command: actions, uploads, progress; and its errors, one line each.

const shown = document.querySelector("#error");
const work = document.querySelector("#work");
const task = document.querySelector("#task");
const bar = work.querySelector("progress");

shown.querySelector("button").onclick = () => { shown.hidden = true; };
work.querySelector("#stop").onclick = () => fetch("stop", {method: "POST"});

export function complain(message) {
  shown.querySelector("span").textContent = message;
  shown.hidden = false;
}

async function answer(response) {
  const found = await response.json();
  if (!response.ok) throw new Error(found.error ?? `the command answered ${response.status}`);
  return found;
}

async function ask(address, body) {
  let response;
  try {
    response = await fetch(address, {method: "POST", body});
  } catch {
    throw new Error("vaetool does not answer: it was stopped, or ended");
  }
  return answer(response);
}

// The answer to a request of a tab, such as "denoise/clean".
export const act = (action, request) => ask(`do/${action}`, JSON.stringify(request));

// A file as a picture that is kept; or, with a role, as one of the good or new pictures.
export const upload = (file, role) =>
  ask(`${role ? `add/${role}` : "pictures"}?name=${encodeURIComponent(file.name)}`, file);

export const models = async () => answer(await fetch("models"));

export const shownAt = (picture) => `pictures/${picture.id}`;

async function follow() {
  try {
    const {task: name, done, total} = await (await fetch("progress")).json();
    if (name) task.textContent = total ? `${name} ${done} of ${total}` : name;
    if (total > 1) { bar.max = total; bar.value = done; } else bar.removeAttribute("value");
  } catch { /* what is being asked for says it */ }
}

let running = 0;

// Does a piece of work: shows how far it is, and says what went wrong. Undefined if something did.
export async function run(piece) {
  shown.hidden = true;
  task.textContent = "working";
  bar.removeAttribute("value");
  running += 1;
  document.body.setAttribute("aria-busy", "true");
  const appear = setTimeout(() => { work.hidden = false; }, 300);
  const polling = setInterval(follow, 400);
  try {
    return await piece();
  } catch (error) {
    complain(error.message);
    return undefined;
  } finally {
    clearTimeout(appear);
    clearInterval(polling);
    running -= 1;
    if (!running) {
      work.hidden = true;
      document.body.removeAttribute("aria-busy");
    }
  }
}

// Calls a function with the newest of quickly changing values only, one call at a time.
export function newest(call) {
  let busy = false, waiting = null;
  return async (...values) => {
    if (busy) { waiting = values; return; }
    for (busy = true; values; [values, waiting] = [waiting, null]) await run(() => call(...values));
    busy = false;
  };
}
