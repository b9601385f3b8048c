// The tab Compress.

import {Compare} from "./compare.js";
import {$, grouped, make, saveLink, saveLinks} from "./parts.js";
import {placeholder, photo, whenPhotoChanges} from "./photo.js";
import {act, newest, run, shownAt} from "./server.js";

const tab = $("#compress");
const go = $(".go", tab), save = $(".save", tab), words = $(".result", tab), figures = $(".figures tbody", tab);
const compare = new Compare($(".compare", tab), ["original", "compressed"]);

const pack = newest(async () => {
  const before = photo.current;
  const picture = await act("compress/pack", {
    picture: before.id, quality: Number($("#quality").value), model: $(".model", tab).value || undefined,
  });
  await compare.show(before, shownAt(before), shownAt(picture));
  const rows = {
    "File": `${grouped(picture.bytes)} bytes`,
    "Original file": picture.in_bytes && `${grouped(picture.in_bytes)} bytes`,
    "Bits per pixel": picture.bpp.toFixed(3),
    "PSNR": picture.psnr ? `${picture.psnr.toFixed(2)} dB` : "lossless",
    "Compression": `${picture.ratio} : 1`,
  };
  figures.replaceChildren(...Object.entries(rows).filter(([, value]) => value).map(([name, value]) =>
    make("tr", {}, make("th", {scope: "row"}, name), make("td", {}, value))));
  words.textContent = picture.quality ? "" : "Stored losslessly, which is no larger here.";
  save.replaceChildren(saveLink("Save .vae", picture.file), ...saveLinks(picture, "PNG").slice(0, 1));
});

compare.clear(placeholder());
go.disabled = true;
go.onclick = pack;
$("#quality").onchange = () => photo.current && pack();
whenPhotoChanges("compress", (picture) => {
  go.disabled = false;
  save.replaceChildren();
  figures.replaceChildren();
  run(() => compare.show(picture, shownAt(picture), shownAt(picture))).then(pack);
});
document.addEventListener("tab", () => compare.lay());
