// The tabs, and what they have in common.

import {$, $$, make, showValues} from "./parts.js";
import {models, run} from "./server.js";
import "./photo.js";
import "./inpaint.js";
import "./denoise.js";
import "./compress.js";
import "./sample.js";
import "./morph.js";
import "./score.js";

const tabs = $$("[role=tab]");
const DEFAULTS = {inpaint: "photo-inpaint", denoise: "photo-denoise", compress: "photo-codec", sample: "faces", codes: "faces"};

function show(tab) {
  for (const each of tabs) {
    const chosen = each === tab;
    each.setAttribute("aria-selected", String(chosen));
    each.tabIndex = chosen ? 0 : -1;
    $(`#${each.getAttribute("aria-controls")}`).hidden = !chosen;
  }
  const name = tab.getAttribute("aria-controls");
  $("#photo").hidden = !["inpaint", "denoise", "compress"].includes(name);
  history.replaceState(null, "", `#${name}`);
  document.dispatchEvent(new Event("tab"));
}

tabs.forEach((tab, index) => {
  tab.onclick = () => show(tab);
  tab.onkeydown = (event) => {
    const next = {ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1}[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const chosen = tabs[(next + tabs.length) % tabs.length];
    chosen.focus();
    show(chosen);
  };
});

showValues();
await run(async () => {
  const found = await models();
  for (const select of $$("select.model")) {
    const tab = select.closest("section").id, group = found[tab] ? tab : "codes", names = found[group];
    select.replaceChildren(...names.map((name) => make("option", {selected: name === DEFAULTS[group]}, name)));
    select.closest("label").hidden = names.length < 2;
  }
});
show(tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash) ?? tabs[0]);
document.body.dataset.ready = "true";
