// One code of a model: its picture, and sliders that move it along directions.

import {make, saveLink, showValues} from "./parts.js";
import {act, newest} from "./server.js";

const known = new Map();  // the sliders of each model

async function axesOf(model) {
  if (!known.has(model)) known.set(model, (await act("sample/axes", {model})).axes);
  return known.get(model);
}

export class Sliders {
  constructor(root, heading) {
    Object.assign(this, {root, heading});
    this.draw = newest(async () => {
      const code = [...this.code];
      this.axes.forEach(({vector}, index) => {
        const step = Number(this.inputs[index].value);
        if (step) vector.forEach((value, place) => { code[place] += step * value; });
      });
      const {pictures: [address], id} = await act("sample/decode", {model: this.model, codes: [code]});
      this.image.src = address;
      this.save.replaceChildren(saveLink("Save PNG", id), this.reset);
    });
  }

  async show(model, code) {
    const axes = await axesOf(model);
    if (model !== this.model || !this.inputs) this.build(axes);
    Object.assign(this, {model, code, axes});
    this.toZero();
  }

  hide() {
    this.inputs = null;
    this.root.replaceChildren();
  }

  build(axes) {
    this.image = make("img", {class: "chosen", alt: "The picture of the code"});
    this.inputs = axes.map(({name, reach}) => make("input", {type: "range", min: -reach, max: reach, step: 0.05, value: 0, oninput: () => this.draw()}));
    this.reset = make("button", {onclick: () => this.toZero()}, "Reset");
    this.save = make("div", {class: "buttons"}, this.reset);
    this.root.replaceChildren(
      make("h2", {}, this.heading), this.image,
      ...axes.map(({name}, index) => make("label", {class: "slider"}, name, this.inputs[index], make("output"))),
      this.save,
    );
    showValues(this.root);
  }

  toZero() {
    for (const input of this.inputs) {
      input.value = 0;
      input.nextElementSibling.textContent = "0";
    }
    this.draw();
  }
}
