// What is seen, as bars: the best classes, findings above their thresholds, or values.

import type { Decision, Row } from "./decision";

interface Bar {
  item: HTMLLIElement;
  name: HTMLElement;
  share: HTMLElement;
  from: HTMLElement;
  track: HTMLElement;
  fill: HTMLElement;
  mark: HTMLElement;
}

export class Bars {
  readonly #bars: Bar[] = [];

  constructor(
    private readonly heading: HTMLElement,
    private readonly list: HTMLElement,
  ) {}

  show(decision: Decision): void {
    this.heading.textContent = decision.heading;
    const { rows } = decision;
    while (this.#bars.length < rows.length) {
      const bar = made();
      this.#bars.push(bar);
      this.list.append(bar.item);
    }
    while (this.#bars.length > rows.length) this.#bars.pop()?.item.remove();
    rows.forEach((row, i) => fill(this.#bars[i]!, row, decision));
  }

  clear(heading: string): void {
    this.show({ heading, rows: [], areValues: false, ticked: false, spoken: "" });
  }
}

function fill(bar: Bar, row: Row, decision: Decision): void {
  const percent = (100 * row.score).toFixed(1);
  bar.item.className = row.seen && !decision.areValues ? "seen" : "";
  bar.name.textContent = decision.ticked && row.seen ? `✓ ${row.label}` : row.label;
  bar.share.textContent = row.said;
  bar.from.hidden = bar.mark.hidden = row.threshold === null;
  if (row.threshold !== null) {
    bar.from.textContent = `counts as seen from ${(100 * row.threshold).toFixed(1)} %`;
    bar.mark.style.left = `${100 * row.threshold}%`;
  }
  bar.track.hidden = decision.areValues; // a value is no share of a whole
  bar.track.setAttribute("aria-label", row.label);
  bar.track.setAttribute("aria-valuenow", percent);
  bar.track.setAttribute("aria-valuetext", `${percent} percent`);
  bar.fill.style.transform = `scaleX(${Math.min(1, Math.max(0, row.score))})`;
}

function made(): Bar {
  const item = document.createElement("li");
  const piece = (kind: string, className: string) => {
    const element = document.createElement(kind);
    element.className = className;
    return element;
  };
  const [row, name, share, from] = [piece("div", "row"), piece("span", "name"), piece("span", "share"), piece("div", "from")];
  const [track, fill, mark] = [piece("div", "track"), piece("div", "fill"), piece("div", "mark")];
  track.setAttribute("role", "meter");
  track.setAttribute("aria-valuemin", "0");
  track.setAttribute("aria-valuemax", "100");
  row.append(name, share);
  track.append(fill, mark);
  item.append(row, track, from);
  return { item, name, share, from, track, fill, mark };
}
