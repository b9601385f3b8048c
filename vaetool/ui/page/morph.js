// The tab Morph.

import {Sliders} from "./codes.js";
import {$, chooser, droppable, make, saveLink} from "./parts.js";
import {act, run, upload} from "./server.js";

const tab = $("#morph");
const film = $(".film", tab), save = $(".save", tab), words = $(".result", tab), model = $(".model", tab), go = $(".go", tab);
const sliders = new Sliders($(".sliders", tab), "Change the first picture");

// A place for one picture.
class Place {
  constructor(root, name) {
    Object.assign(this, {root, name, picture: null});
    this.input = chooser(false, (files) => this.open(files));
    droppable(root, (files) => this.open(files));
    root.replaceChildren(make("span", {}, name), this.button("Choose…"), this.input);
  }

  button(label) {
    return make("button", {onclick: () => this.input.click(), "aria-label": `${label} ${this.name}`}, label);
  }

  open([file]) {
    return run(async () => { await this.take(await upload(file)); await refresh(); });
  }

  async take(picture) {
    this.picture = picture;
    const {code, seen} = await act("morph/encode", {picture: picture.id, model: model.value});
    this.code = code;
    this.root.replaceChildren(make("img", {src: seen, alt: `${this.name}: ${picture.name}`}), this.button("Change…"), this.input);
  }
}

const first = new Place($("#first"), "First picture"), second = new Place($("#second"), "Second picture");
const both = [first, second];

async function refresh() {
  go.disabled = !(first.picture && second.picture);
  if (first.picture) await sliders.show(model.value, first.code);
  if (!go.disabled) await morph();
}

async function morph() {
  const {frames, gif, webp, id} = await act("morph/frames", {
    pictures: both.map(({picture}) => picture.id), frames: Number($("#frames").value), path: $("#path").value, model: model.value,
  });
  const image = make("img", {alt: "Frame of the morph"});
  const range = make("input", {type: "range", min: 0, max: frames.length - 1, value: Math.round((frames.length - 1) / 2), "aria-label": "From the first picture to the second"});
  range.oninput = () => { image.src = frames[range.value]; words.textContent = `Frame ${Number(range.value) + 1} of ${frames.length}`; };
  film.replaceChildren(image, range);
  range.oninput();
  save.replaceChildren(saveLink("Save GIF", gif), saveLink("Save WebP", webp), saveLink("Save strip", id, "PNG"));
}

const invent = () => run(async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const {codes} = await act("sample/samples", {model: model.value, count: 2, seed});
  for (const [index, place] of both.entries()) {
    await place.take(await act("sample/decode", {model: model.value, codes: [codes[index]]}));
  }
  await refresh();
});

const again = () => run(async () => {
  for (const place of both) if (place.picture) await place.take(place.picture);
  await refresh();
});

go.disabled = true;
go.onclick = () => run(morph);
$("#invent").onclick = invent;
model.addEventListener("change", again);
for (const id of ["#frames", "#path"]) $(id).onchange = () => { if (!go.disabled) run(morph); };
film.append(make("div", {class: "empty"}, make("span", {}, "Choose two pictures, or take two samples of the model.")));
