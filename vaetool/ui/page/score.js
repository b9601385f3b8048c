// The tab Score.

import {$, chooser, droppable, make, saveLink} from "./parts.js";
import {act, run, upload} from "./server.js";

const tab = $("#score");
const table = $(".verdicts", tab), save = $(".save", tab), words = $(".result", tab), go = $(".go", tab);

// A place for pictures of one role.
class Pile {
  constructor(role, name) {
    Object.assign(this, {role, name, root: $(`#${role}`), count: 0});
    this.thumbnails = make("div", {class: "thumbnails"});
    this.words = make("span", {role: "status"});
    this.input = chooser(true, (files) => this.add(files));
    this.clear = make("button", {onclick: () => run(() => this.empty()), "aria-label": `Clear ${name}`, hidden: true}, "Clear");
    const choose = make("button", {onclick: () => this.input.click(), "aria-label": `Choose ${name}`}, "Choose…");
    droppable(this.root, (files) => this.add(files));
    this.root.append(this.words, this.thumbnails, make("div", {class: "buttons"}, choose, this.clear), this.input);
    this.say();
  }

  say() {
    this.words.textContent = this.count ? `${this.count} ${this.name}` : `Drop ${this.name} here`;
    this.clear.hidden = !this.count;
    go.disabled = !piles.every(({count}) => count);
  }

  add(files) {
    return run(async () => {
      const refused = [];
      for (const file of files.sort((one, other) => one.name.localeCompare(other.name))) {
        try {
          const {count, thumbnail} = await upload(file, this.role);
          this.count = count;
          this.thumbnails.append(make("img", {src: thumbnail, alt: file.name, title: file.name}));
          this.say();
        } catch (error) {
          refused.push(error.message);
        }
      }
      if (refused.length) throw new Error(refused.length > 1 ? `${refused[0]} (and ${refused.length - 1} more)` : refused[0]);
    });
  }

  async empty() {
    await act("score/clear", {role: this.role});
    this.count = 0;
    this.thumbnails.replaceChildren();
    this.say();
  }
}

const piles = [];
piles.push(new Pile("good", "good pictures"), new Pile("new", "new pictures"));

const picture = (address, alt) => make("td", {}, make("img", {src: address, alt}));

function row({name, score, p_value: p, outlier, thumbnail, heat}) {
  return make(
    "tr", outlier ? {class: "outlier"} : {},
    picture(thumbnail, name), picture(heat, `${name}: where it is unusual`),
    ...[name, score.toPrecision(4), p.toPrecision(3), outlier ? "outlier" : "normal"].map((text) => make("td", {}, text)),
  );
}

go.disabled = true;
go.onclick = () => run(async () => {
  const alpha = $("#alpha").value;
  const {rows, model, promise, doubts} = await act("score/judge", {alpha: alpha ? Number(alpha) : null});
  $("tbody", table).replaceChildren(...rows.map(row));
  table.hidden = false;
  words.textContent = `Outliers: ${rows.filter(({outlier}) => outlier).length} of ${rows.length} pictures. ${promise}.`;
  $(".notes", tab).replaceChildren(...doubts.map((doubt) => make("li", {}, doubt)));
  save.replaceChildren(saveLink("Save model", model));
});
words.before(make("div", {class: "empty"}, make("span", {}, "Add pictures of good parts, and new ones to judge."), make("span", {}, "A table of verdicts will stand here.")));
new MutationObserver(() => { $(".empty", tab).hidden = !table.hidden; }).observe(table, {attributes: true});
