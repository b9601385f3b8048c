// Painting on a picture, with a pointer or with keys. Marks are in pixels of the picture: the command draws the mask.

import {fitted, make} from "./parts.js";

const MAX_CANVAS = 4096;  // pixels a side; marks themselves are exact

const FINE = 0.1;  // of the radius: points that are nearer to each other look the same

export class Painter {
  // tool() gives {shape, erase, radius}; done(mark) takes each finished mark.
  constructor(sheet, tool, done) {
    Object.assign(this, {sheet, tool, done, zoom: "fit", drawn: null, at: null, picture: null, marks: []});
    this.image = make("img", {alt: "", draggable: "false"});
    this.canvas = make("canvas");
    this.brush = make("div", {class: "brush"});
    sheet.onpointerdown = (event) => this.begin(event);
    sheet.onpointermove = (event) => this.move(event);
    sheet.onpointerup = () => this.end();
    sheet.onpointercancel = () => { this.drawn = null; this.draw(); };
    sheet.onkeydown = (event) => this.key(event);
    addEventListener("resize", () => this.lay());
  }

  show(picture, address, marks) {
    if (this.picture?.id !== picture.id) {
      this.image.src = address;
      this.image.alt = picture.name;
    }
    if (!this.picture || this.picture.width !== picture.width || this.picture.height !== picture.height) {
      this.at = [picture.width / 2, picture.height / 2];
    }
    [this.picture, this.marks, this.drawn] = [picture, marks, null];
    this.sheet.replaceChildren(this.image, this.canvas, this.brush);
    this.lay();
  }

  lay() {
    const place = this.sheet.parentElement;
    if (!this.picture || !place.clientWidth) return;
    const {width, height} = this.picture;
    this.scale = this.zoom === "fit" ? fitted(this.picture, place.clientWidth) : Number(this.zoom) / devicePixelRatio;
    this.sheet.style.width = `${this.scale * width}px`;
    this.sheet.style.height = `${this.scale * height}px`;
    this.sheet.classList.toggle("sharp", this.scale >= 2);
    this.canvasScale = Math.min(this.scale * devicePixelRatio, MAX_CANVAS / Math.max(width, height));
    this.canvas.width = Math.ceil(this.canvasScale * width);
    this.canvas.height = Math.ceil(this.canvasScale * height);
    this.draw();
  }

  draw() {
    if (!this.picture) return;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.scale(this.canvasScale, this.canvasScale);
    pen.lineCap = pen.lineJoin = "round";
    pen.strokeStyle = pen.fillStyle = "#ff3b30";
    for (const mark of this.drawn ? [...this.marks, this.drawn] : this.marks) drawMark(pen, mark);
    this.place();
  }

  place() {
    const {shape, radius} = this.tool();
    const side = shape === "box" ? 10 : 2 * radius * this.scale;
    this.brush.classList.toggle("square", shape === "box");
    this.brush.classList.toggle("down", Boolean(this.drawn));
    Object.assign(this.brush.style, {
      left: `${this.at[0] * this.scale}px`, top: `${this.at[1] * this.scale}px`, width: `${side}px`, height: `${side}px`,
    });
  }

  pointOf(event) {
    const box = this.sheet.getBoundingClientRect();
    return [(event.clientX - box.left) / this.scale, (event.clientY - box.top) / this.scale];
  }

  begin(event) {
    if (!this.picture || event.button) return;
    this.sheet.setPointerCapture(event.pointerId);
    this.at = this.pointOf(event);
    this.drawn = {...this.tool(), points: [this.at]};
    this.draw();
  }

  move(event) {
    if (!this.picture || (this.drawn && !event.buttons)) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) this.go(this.pointOf(each));
    this.go(this.pointOf(event));
    this.draw();
  }

  go(point) {
    this.at = point;
    if (!this.drawn) return;
    const {points, shape, radius} = this.drawn, [x, y] = points.at(-1);
    if (shape === "box") points[1] = point;
    else if (Math.hypot(point[0] - x, point[1] - y) >= FINE * radius) points.push(point);
  }

  end() {
    const mark = this.drawn;
    this.drawn = null;
    if (mark?.shape === "stroke") mark.points.push(this.at);
    if (mark && (mark.shape !== "box" || mark.points.length > 1)) this.done(mark);
    else this.draw();
  }

  key(event) {
    if (!this.picture || event.ctrlKey || event.metaKey) return;
    const step = Math.max(1, this.tool().radius / 2) * (event.shiftKey ? 8 : 1);
    const way = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step]}[event.key];
    if (way) {
      const {width, height} = this.picture;
      this.go([Math.min(Math.max(this.at[0] + way[0], 0), width), Math.min(Math.max(this.at[1] + way[1], 0), height)]);
      this.draw();
      this.brush.scrollIntoView({block: "nearest", inline: "nearest"});
    } else if (event.key === " ") {
      if (this.drawn) this.end();
      else { this.drawn = {...this.tool(), points: [this.at]}; this.draw(); }
    } else if (event.key === "Escape" && this.drawn) {
      this.drawn = null;
      this.draw();
    } else return;
    event.preventDefault();
  }
}

function drawMark(pen, {shape, points, radius, erase}) {
  pen.globalCompositeOperation = erase ? "destination-out" : "source-over";
  const [[left, top], [right, bottom] = [left, top]] = [points[0], points.at(-1)];
  if (shape === "box") {
    pen.fillRect(left, top, right - left, bottom - top);
    return;
  }
  pen.lineWidth = 2 * radius;
  pen.beginPath();
  pen.moveTo(left, top);
  for (const point of points.length > 1 ? points.slice(1) : points) pen.lineTo(...point);
  pen.stroke();
}
