// The elements of index.html by their ids, and the box that says what is wrong.

import type { Problem } from "../contract";

/** The element of index.html with this id, which is there. */
export function element<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  return document.getElementById(id) as Kind;
}

export function button(id: string): HTMLButtonElement {
  return element<HTMLButtonElement>(id);
}

/** Say what is wrong, above all else. */
export function showProblem(title: string, { expected, found, hint }: Problem): void {
  element("problem-title").textContent = title;
  element("problem-expected").textContent = expected;
  element("problem-found").textContent = found;
  element("problem-hint").textContent = hint;
  element("problem").hidden = false;
  element("problem").scrollIntoView({ block: "nearest" });
}

export function clearProblem(): void {
  element("problem").hidden = true;
}
