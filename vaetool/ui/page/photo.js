// The photo that Inpaint, Denoise and Compress work on.

import {$, $$, chooser, droppable, grouped, make} from "./parts.js";
import {run, upload} from "./server.js";

export const photo = new EventTarget();
photo.current = null;

const bar = $("#photo");

export function use(picture) {
  photo.current = picture;
  const {name, width, height, bits, notes} = picture;
  $(".facts", bar).textContent = `${name} · ${grouped(width)} × ${grouped(height)} pixels · ${bits} bits`;
  $(".notes", bar).replaceChildren(...notes.map((note) => make("li", {}, note)));
  photo.dispatchEvent(new Event("change"));
}

const open = ([file]) => run(async () => use(await upload(file)));

const input = chooser(false, open);
bar.append(input);
$(".open", bar).onclick = () => input.click();
droppable(document.body, (files) => { if (!bar.hidden) open(files); });

// What stands in a view as long as there is no photo.
export const placeholder = () => make(
  "div", {class: "empty"},
  make("span", {}, "Drop a photo here, or"),
  make("button", {onclick: () => input.click()}, "Choose a file…"),
);

// Calls a function when a tab is shown with another photo than before.
export function whenPhotoChanges(tab, call) {
  let seen = null;
  const look = () => {
    if (!$(`#${tab}`).hidden && photo.current && photo.current !== seen) call(seen = photo.current);
  };
  photo.addEventListener("change", look);
  document.addEventListener("tab", look);
}
