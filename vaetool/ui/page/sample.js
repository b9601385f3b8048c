// The tab Sample.

import {Sliders} from "./codes.js";
import {$, make, saveLink} from "./parts.js";
import {act, run} from "./server.js";

const tab = $("#sample");
const grid = $(".grid", tab), save = $(".save", tab), words = $(".result", tab), model = $(".model", tab), seed = $("#seed");
const sliders = new Sliders($(".sliders", tab), "Change its code");
let drawn = false;

async function draw() {
  drawn = true;
  const found = await run(() => act("sample/samples", {
    model: model.value, count: Number($("#count").value), temperature: Number($("#temperature").value), seed: Number(seed.value),
  }));
  if (!found) return;
  words.textContent = `P${found.words.slice(1)}.`;
  save.replaceChildren(saveLink("Save all as PNG", found.id, "PNG"));
  const buttons = found.pictures.map((address, index) => make(
    "button", {"aria-label": `Sample ${index + 1}`, "aria-pressed": "false", onclick: () => choose(index)}, make("img", {src: address, alt: ""}),
  ));
  grid.replaceChildren(...buttons);
  function choose(index) {
    buttons.forEach((button, place) => button.setAttribute("aria-pressed", String(place === index)));
    return run(() => sliders.show(model.value, found.codes[index]));
  }
  choose(0);
}

$(".go", tab).onclick = () => { seed.value = Number(seed.value) + 1; draw(); };
for (const input of [model, seed, $("#count"), $("#temperature")]) input.addEventListener("change", draw);
document.addEventListener("tab", () => { if (!tab.hidden && !drawn) draw(); });
