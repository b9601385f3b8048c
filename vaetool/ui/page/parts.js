// Small parts that several tabs have.

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// An element with attributes and children; properties that begin with "on" are listeners.
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element[key] = value;
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

// Lets every slider show its value.
export function showValues(within = document) {
  for (const slider of $$(".slider", within)) {
    const input = $("input", slider), output = $("output", slider);
    const show = () => { output.textContent = input.value; };
    input.addEventListener("input", show);
    show();
  }
}

const address = (key, format) => `files/${key}${format ? `?format=${format}` : ""}`;

export const saveLink = (label, key, format) => make("a", {href: address(key, format), download: true}, label);

// Links to save a picture, in the format that comes first as a rule.
export const saveLinks = (picture, first) =>
  [...picture.formats].sort((one) => (one === first ? -1 : 0)).map((format) => saveLink(`Save ${format}`, picture.id, format));

export const chooser = (multiple, take) => {
  const input = make("input", {type: "file", accept: "image/*,.tif,.tiff,.ppm,.pgm,.jp2,.avif", multiple, hidden: true});
  input.onchange = () => { if (input.files.length) take([...input.files]); input.value = ""; };
  return input;
};

// All files of a folder that was dropped, or the file itself.
async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((found, failed) => entry.file(found, failed))];
  const reader = entry.createReader(), inside = [];
  for (let part = [null]; part.length;) {  // it gives a hundred at a time
    part = await new Promise((found, failed) => reader.readEntries(found, failed));
    inside.push(...part.filter(({name}) => !name.startsWith(".")));
  }
  return (await Promise.all(inside.map(filesIn))).flat();
}

// Lets files and folders be dropped on an element.
export function droppable(element, take) {
  element.addEventListener("dragover", (event) => { event.preventDefault(); element.classList.add("dragged"); });
  element.addEventListener("dragleave", () => element.classList.remove("dragged"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    element.classList.remove("dragged");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    Promise.all(entries.map(filesIn)).then((files) => { if (files.flat().length) take(files.flat()); });
  });
}

// Size, relative to its own, at which a picture fits a width in the window.
export function fitted(picture, width) {
  const scale = Math.min(width / picture.width, (0.7 * innerHeight) / picture.height);
  return Math.max(scale, 1 / Math.max(picture.width, picture.height));
}

export const grouped = (number) => number.toLocaleString("en");
