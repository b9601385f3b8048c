// Two versions of a picture with a slider between them, and a magnifier over both.

import {fitted, make} from "./parts.js";

const LENS = {width: 220, height: 160, zoom: 4};

const loaded = (address) => new Promise((resolve, reject) => {
  const image = new Image();
  image.onload = () => resolve(image);
  image.onerror = () => reject(new Error("the picture cannot be shown"));
  image.src = address;
});

export class Compare {
  constructor(root, names) {
    this.root = root;
    this.names = names;
    this.spot = null;  // what the magnifier shows, in parts of the picture
    addEventListener("resize", () => this.lay());
  }

  async show(picture, before, after) {
    const [first, second] = await Promise.all([before, after].map(loaded));
    [this.picture, this.images] = [picture, [first, second]];
    [first.alt, second.alt] = this.names;
    [first.draggable, second.draggable] = [false, false];
    [first.className, second.className] = ["before", "after"];
    this.frame ??= this.build();
    this.frame.querySelectorAll("img").forEach((image) => image.remove());
    this.frame.prepend(first, second);
    this.root.replaceChildren(this.main, this.lenses);
    this.spot ??= {x: 0.5, y: 0.5};
    this.lay();
  }

  clear(placeholder) {
    this.picture = null;
    this.root.replaceChildren(placeholder);
  }

  build() {
    const [before, after] = this.names;
    this.range = make("input", {type: "range", min: 0, max: 100, step: 0.5, value: 50, "aria-label": `From ${before} to ${after}`});
    this.range.oninput = () => this.split();
    const frame = make(
      "div", {class: "frame", tabindex: 0, role: "group", "aria-label": "Arrow keys move the magnifier"},
      make("div", {class: "handle"}), make("span", {class: "tag before"}, before), make("span", {class: "tag after"}, after),
    );
    const place = (event) => {
      const box = frame.getBoundingClientRect();
      this.magnify((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
      if (event.buttons) { this.range.value = 100 * this.spot.x; this.split(); }
    };
    frame.onpointerdown = (event) => { frame.setPointerCapture(event.pointerId); place(event); };
    frame.onpointermove = place;
    frame.onkeydown = (event) => {
      const step = (event.shiftKey ? 0.2 : 0.02);
      const move = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step]}[event.key];
      if (!move) return;
      event.preventDefault();
      this.magnify(this.spot.x + move[0], this.spot.y + move[1]);
    };
    this.canvases = this.names.map((name) => make("canvas", {width: 2 * LENS.width, height: 2 * LENS.height, role: "img", "aria-label": `${name}, magnified`}));
    this.lenses = make("div", {class: "lenses"}, ...this.canvases.map((canvas, index) =>
      make("figure", {}, canvas, make("figcaption", {}, `${this.names[index]}, ${100 * LENS.zoom} %`))));
    this.main = make("div", {}, frame, this.range);
    return frame;
  }

  lay() {
    if (!this.picture || !this.root.clientWidth) return;
    const beside = innerWidth > 960 ? LENS.width + 20 : 0;  // as in the style
    const scale = fitted(this.picture, this.root.clientWidth - beside);
    this.frame.style.width = this.range.style.width = `${scale * this.picture.width}px`;
    this.frame.style.height = `${scale * this.picture.height}px`;
    this.split();
    this.magnify(this.spot.x, this.spot.y);
  }

  split() {
    this.frame.style.setProperty("--split", `${this.range.value}%`);
  }

  magnify(x, y) {
    this.spot = {x: Math.min(Math.max(x, 0), 1), y: Math.min(Math.max(y, 0), 1)};
    this.canvases.forEach((canvas, index) => {
      const image = this.images[index], scale = image.naturalWidth / this.picture.width;
      const [width, height] = [LENS.width, LENS.height].map((side) => (side / LENS.zoom) * scale);
      const pen = canvas.getContext("2d");
      pen.imageSmoothingEnabled = false;
      pen.clearRect(0, 0, canvas.width, canvas.height);
      const left = Math.min(Math.max(this.spot.x * image.naturalWidth - width / 2, 0), Math.max(0, image.naturalWidth - width));
      const top = Math.min(Math.max(this.spot.y * image.naturalHeight - height / 2, 0), Math.max(0, image.naturalHeight - height));
      pen.drawImage(image, left, top, width, height, 0, 0, canvas.width, canvas.height);
    });
  }
}
