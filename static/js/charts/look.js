// What all charts look like: the colours of the page, and what every option begins with.

// Its names in single quotes: they come into attributes of an SVG file as they are.
const FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', 'Noto Sans', 'Liberation Sans', Arial, sans-serif";
// Cividis, which reads alike with and without colour blindness, without its palest end.
const RAMP = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55"];

// The colours of the page as it is now; `ramp` goes from the best loss, which stands out, to the worst.
export function look() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const dark = document.documentElement.dataset.bsTheme === "dark";
  return {
    dark,
    ink: of("--ink"),
    soft: of("--ink-soft"),
    line: of("--line"),
    strong: of("--line-strong"),
    card: of("--card"),
    gold: of("--gold-bright"),
    red: of("--red"),
    violet: of("--violet"),
    blue: of("--blue"),
    palette: [0, 1, 2, 3, 4, 5].map((index) => of(`--c${index}`)),
    ramp: dark ? RAMP.slice(1).toReversed() : RAMP.slice(0, -1),
  };
}

// Nothing moves by itself. Tooltips are drawn in the chart: as HTML they would need inline styles.
export function base(colours) {
  return {
    animation: false,
    color: colours.palette,
    textStyle: { fontFamily: FONT, color: colours.ink },
    tooltip: {
      renderMode: "richText",
      confine: true,
      transitionDuration: 0,
      backgroundColor: colours.card,
      borderColor: colours.strong,
      borderWidth: 1,
      padding: [7, 10],
      textStyle: { color: colours.ink, fontSize: 12, lineHeight: 17, fontFamily: FONT },
      axisPointer: { lineStyle: { color: colours.strong }, crossStyle: { color: colours.strong }, label: { show: false } },
    },
  };
}

// An axis of a grid in these colours; *given* wins.
export function axisLook(colours, given = {}) {
  return {
    nameLocation: "middle",
    nameTextStyle: { color: colours.soft, fontSize: 12 },
    ...given,
    axisLine: { show: true, onZero: false, lineStyle: { color: colours.strong } },
    axisTick: { show: true, lineStyle: { color: colours.strong }, ...given.axisTick },
    splitLine: { show: true, lineStyle: { color: colours.line }, ...given.splitLine },
    axisLabel: { color: colours.soft, fontSize: 11, hideOverlap: true, ...given.axisLabel },
  };
}

export function legendLook(colours, given = {}) {
  return { top: 0, left: 0, itemWidth: 18, itemHeight: 9, itemGap: 14, textStyle: { color: colours.soft, fontSize: 12 }, inactiveColor: colours.strong, ...given };
}

// Zooming: pinch, or the wheel with Ctrl, so that a page still scrolls; a zoomed chart is dragged by the mouse.
export function zoomLook(given = {}) {
  const fine = matchMedia("(pointer: fine)").matches;
  return [{ type: "inside", zoomOnMouseWheel: "ctrl", moveOnMouseMove: fine, preventDefaultMouseMove: false, filterMode: "none", ...given }];
}
