// The tab Inpaint.

import {Painter} from "./paint.js";
import {$, make, saveLink, saveLinks} from "./parts.js";
import {photo, placeholder, use, whenPhotoChanges} from "./photo.js";
import {act, run, shownAt} from "./server.js";

const tab = $("#inpaint");
const sheet = $("#canvas"), stage = $(".stage", tab), save = $(".save", tab), words = $(".result", tab);
const [undo, redo, clear, fill, brush, grow, dilate] = ["#undo", "#redo", "#clear", "#fill", "#brush", "#grow", "#dilate"].map((id) => $(id));

const empty = placeholder();
let history = [], now = -1;  // of {picture, marks, words}

const tool = () => {
  const chosen = $("input[name=tool]:checked", tab).value;
  return {shape: chosen === "box" ? "box" : "stroke", erase: chosen === "eraser", radius: Number(brush.value) / 2};
};

const painter = new Painter(sheet, tool, (mark) => add({...history[now], marks: [...history[now].marks, mark]}));

function add(state) {
  history = [...history.slice(0, now + 1), state];
  go(history.length - 1);
}

function go(index) {
  now = Math.min(Math.max(index, -1), history.length - 1);
  const state = history[now];
  undo.disabled = now <= 0;
  redo.disabled = now >= history.length - 1;
  clear.disabled = fill.disabled = !state?.marks.length;
  if (!state) return;
  painter.show(state.picture, shownAt(state.picture), state.marks);
  words.textContent = state.words;
  const filled = state.picture !== history[0].picture;
  save.replaceChildren(
    ...(filled ? saveLinks(state.picture, "PNG") : []),
    ...(filled ? [make("button", {onclick: () => use(state.picture)}, "Use in all tabs")] : []),
    ...(state.marks.length ? [make("button", {onclick: saveMask}, "Save mask")] : []),
  );
}

const request = () => ({
  picture: history[now].picture.id, marks: history[now].marks, grow: grow.checked, dilate: Number(dilate.value), model: $(".model", tab).value || undefined,
});

async function fillNow() {
  if (fill.disabled) return;
  fill.disabled = true;
  const picture = await run(() => act("inpaint/fill", request()));
  fill.disabled = false;
  if (!picture) return;
  const share = (100 * picture.filled).toPrecision(2);
  add({picture, marks: [], words: `${picture.holes} ${picture.holes === 1 ? "hole" : "holes"} filled, ${share} % of the picture${picture.warnings.map((each) => `; ${each}`).join("")}.`});
}

const saveMask = () => run(async () => {
  const mask = await act("inpaint/mask", request());
  const link = saveLink("", mask.id, "PNG");
  link.click();
});

undo.onclick = () => go(now - 1);
redo.onclick = () => go(now + 1);
clear.onclick = () => add({...history[now], marks: []});
fill.onclick = fillNow;
brush.addEventListener("input", () => painter.picture && painter.place());
tab.addEventListener("change", () => painter.picture && painter.place());
$("#zoom").onchange = (event) => { painter.zoom = event.target.value; painter.lay(); };

document.addEventListener("keydown", (event) => {
  if (tab.hidden) return;
  const key = event.key.toLowerCase(), held = event.ctrlKey || event.metaKey;
  if (held && key === "z") go(event.shiftKey ? now + 1 : Math.max(now - 1, 0));
  else if (held && key === "y") go(now + 1);
  else if (event.key === "[" || event.key === "]") {
    const size = Number(brush.value);
    brush.value = event.key === "[" ? Math.floor(size / 1.25) : Math.ceil(size * 1.25);
    brush.dispatchEvent(new Event("input"));
  } else if (event.key === "Enter" && event.target === sheet) fillNow();
  else return;
  event.preventDefault();
});

whenPhotoChanges("inpaint", (picture) => {
  if (picture === history[now]?.picture) return;  // made here: what led to it can still be undone
  empty.remove();
  stage.hidden = false;
  brush.max = Math.max(50, Math.round(Math.max(picture.width, picture.height) / 4));
  brush.value = Math.max(4, Math.round(Math.max(picture.width, picture.height) / 40));
  brush.dispatchEvent(new Event("input"));
  [history, now] = [[], -1];
  add({picture, marks: [], words: `Paint over what is to be removed in ${picture.name}.`});
});
document.addEventListener("tab", () => painter.lay());

if (!photo.current) {
  stage.hidden = true;
  stage.before(empty);
  go(-1);
}

