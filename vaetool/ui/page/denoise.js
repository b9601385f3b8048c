// The tab Denoise.

import {Compare} from "./compare.js";
import {$, make, saveLinks} from "./parts.js";
import {placeholder, photo, use, whenPhotoChanges} from "./photo.js";
import {act, newest, run, shownAt} from "./server.js";

const tab = $("#denoise");
const go = $(".go", tab), save = $(".save", tab), words = $(".result", tab);
const compare = new Compare($(".compare", tab), ["before", "after"]);

const clean = newest(async () => {
  const before = photo.current;
  const picture = await act("denoise/clean", {
    picture: before.id,
    strength: Number($("#strength").value),
    grain: Number($("#grain").value),
    model: $(".model", tab).value || undefined,
  });
  await compare.show(before, shownAt(before), shownAt(picture));
  const [low, high] = picture.sigma_range;
  words.textContent = picture.changed
    ? `Noise of sigma ${picture.sigma} (of 255), from ${low} to ${high} in nine of ten places.`
    : `Unchanged: ${picture.reason}.`;
  save.replaceChildren(...saveLinks(picture), make("button", {onclick: () => use(picture)}, "Use in all tabs"));
});

compare.clear(placeholder());
go.disabled = true;
go.onclick = clean;
for (const id of ["#strength", "#grain"]) $(id).onchange = () => photo.current && save.children.length && clean();
whenPhotoChanges("denoise", (picture) => {
  go.disabled = false;
  save.replaceChildren();
  words.textContent = "";
  run(() => compare.show(picture, shownAt(picture), shownAt(picture))).then(clean);
});
document.addEventListener("tab", () => compare.lay());
