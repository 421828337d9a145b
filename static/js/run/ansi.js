// Text with the escapes of a terminal as nodes: colours and styles become classes, everything else of the escapes goes.
const ESCAPES = /\x1b(?:\[([0-9;:]*)([ -/]*[@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g;
const FLAGS = { 1: "bold", 2: "faint", 3: "italic", 4: "underline", 7: "inverse", 9: "struck" };
const ENDS = { 22: ["bold", "faint"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["struck"] };

export const plainStyle = Object.freeze({ fg: null, bg: null, flags: [] });

// One of 16 colours that is near one of 256, or of all.
function near(red, green, blue) {
  const most = Math.max(red, green, blue);
  if (most - Math.min(red, green, blue) < 40) return most < 64 ? 0 : most < 150 ? 8 : most < 220 ? 7 : 15;
  const bits = (red > most / 2 ? 1 : 0) | (green > most / 2 ? 2 : 0) | (blue > most / 2 ? 4 : 0);
  return most > 200 ? bits + 8 : bits;
}

function indexed(index) {
  if (index < 16) return index;
  if (index >= 232) return near(...[0, 1, 2].map(() => 8 + 10 * (index - 232)));
  const level = (at) => [0, 95, 135, 175, 215, 255][at];
  const cube = index - 16;
  return near(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

// The style after the parameters of an escape that ends in m.
function styled(style, given) {
  let next = { ...style, flags: [...style.flags] };
  const codes = given.split(/[;:]/).map((code) => Number(code || 0));
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at];
    if (code === 0) next = { ...plainStyle, flags: [] };
    else if (FLAGS[code]) next.flags = [...new Set([...next.flags, FLAGS[code]])];
    else if (ENDS[code]) next.flags = next.flags.filter((flag) => !ENDS[code].includes(flag));
    else if (code >= 30 && code <= 37) next.fg = code - 30;
    else if (code >= 90 && code <= 97) next.fg = code - 82;
    else if (code >= 40 && code <= 47) next.bg = code - 40;
    else if (code >= 100 && code <= 107) next.bg = code - 92;
    else if (code === 39) next.fg = null;
    else if (code === 49) next.bg = null;
    else if (code === 38 || code === 48) {
      const key = code === 38 ? "fg" : "bg";
      if (codes[at + 1] === 5) { next[key] = indexed(codes[at + 2] ?? 0); at += 2; }
      else if (codes[at + 1] === 2) { next[key] = near(...[2, 3, 4].map((place) => codes[at + place] ?? 0)); at += 4; }
    }
  }
  return next;
}

function node(text, style) {
  const classes = [...style.flags.map((flag) => `ansi-${flag}`), ...(style.fg === null ? [] : [`ansi-fg-${style.fg}`]), ...(style.bg === null ? [] : [`ansi-bg-${style.bg}`])];
  if (!classes.length) return document.createTextNode(text);
  const made = document.createElement("span");
  made.className = classes.join(" ");
  made.textContent = text;
  return made;
}

// A line as a terminal leaves it: what a carriage return begins anew is gone, a backspace takes the sign before it.
function settled(line) {
  let text = line.endsWith("\r") ? line.slice(0, -1) : line;
  text = text.slice(text.lastIndexOf("\r") + 1);
  while (text.includes("\b")) {
    const shorter = text.replace(/[^\b]?\x08/, "");
    if (shorter === text) break;
    text = shorter;
  }
  return text;
}

// *text* as {nodes, style}: the style is the one that what follows begins with.
export function paint(text, style = plainStyle) {
  const nodes = [];
  const shown = text.split("\n").map(settled).join("\n");
  let from = 0;
  let now = style;
  const put = (to) => { if (to > from) nodes.push(node(shown.slice(from, to), now)); };
  for (const found of shown.matchAll(ESCAPES)) {
    put(found.index);
    from = found.index + found[0].length;
    if (found[2] === "m") now = styled(now, found[1]);
  }
  put(shown.length);
  return { nodes, style: now };
}
