// The captured output of a run: its end first, more as it is written, earlier parts when they are asked for.
import { paint, plainStyle } from "./ansi.js";
import { database } from "./database.js";
import { count, element } from "../text.js";

const MOST = 3_000_000; // characters that the page holds
const LONGEST_LINE = 20_000;

export class Output {
  // isLive says whether more can come.
  constructor(section, id, { text, start, end, total }, isLive) {
    const find = (what) => section.querySelector(`[data-output-${what}]`);
    Object.assign(this, { id, isLive, place: find("text"), words: find("words"), earlier: find("earlier"), start, end: start, total, parts: [] });
    this.open = { text: "", node: element("span", { class: "out-open" }) };
    this.style = plainStyle;
    this.place.append(this.open.node);
    this.add({ text, start, end });
    this.earlier.addEventListener("click", () => this.more());
    requestAnimationFrame(() => { this.place.scrollTop = this.place.scrollHeight; });
  }

  // What follows *end*, or stands in place of everything: when there was too much between, or what was written has changed.
  add({ text, start, end, anew = false }) {
    const { place } = this;
    const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
    if (anew || start !== this.end || this.parts.length + this.open.text.length === 0) this.clear(start);
    this.end = end;
    this.total = Math.max(end, this.total);
    const whole = this.open.text + text;
    const cut = whole.length - whole.lastIndexOf("\n") - 1 > LONGEST_LINE ? whole.length : whole.lastIndexOf("\n") + 1;
    if (cut) this.put(whole.slice(0, cut), this.end - [...whole.slice(cut)].length);
    this.open.text = whole.slice(cut);
    this.open.node.replaceChildren(...paint(this.open.text, this.style).nodes);
    this.tell();
    if (atEnd) place.scrollTop = place.scrollHeight;
  }

  put(text, upto) {
    const painted = paint(text, this.style);
    this.style = painted.style;
    const node = element("span", {}, ...painted.nodes);
    this.open.node.before(node);
    this.parts.push({ node, upto, length: text.length });
    while (this.parts.length > 1 && this.parts.reduce((sum, part) => sum + part.length, 0) > MOST) {
      const gone = this.parts.shift();
      gone.node.remove();
      this.start = gone.upto;
    }
  }

  clear(start) {
    for (const part of this.parts) part.node.remove();
    Object.assign(this, { parts: [], start, style: plainStyle });
    this.open.text = "";
  }

  tell() {
    const shown = this.parts.length > 0 || this.open.text.length > 0;
    this.place.hidden = !shown;
    this.earlier.hidden = this.start === 0;
    this.words.textContent = !shown ? (this.isLive() ? "Nothing was written yet." : "No output was recorded.") : this.start > 0 ? `The last ${count(this.end - this.start)} of ${count(this.total)} characters.` : "";
  }

  async more() {
    this.earlier.disabled = true;
    const before = this.start;
    try {
      const answer = await fetch(`/history/run/output.json?${new URLSearchParams({ id: this.id, before, ...database })}`);
      if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
      const { text, start } = await answer.json();
      if (before !== this.start) return;
      const { place } = this;
      const below = place.scrollHeight - place.scrollTop;
      const node = element("span", {}, ...paint(text).nodes);
      place.prepend(node);
      this.parts.unshift({ node, upto: before, length: 0 });
      this.start = start;
      this.tell();
      place.scrollTop = place.scrollHeight - below;
    } catch (error) {
      this.words.textContent = `Earlier output did not come: ${error.message}`;
    } finally {
      this.earlier.disabled = false;
    }
  }
}
