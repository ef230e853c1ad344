// What stops the page, in words for people.

import type { Problem } from "./contract";

/** A problem to throw. */
export function problem(expected: string, found: string, hint: string): Problem {
  return { expected, found, hint };
}

export function isProblem(thrown: unknown): thrown is Problem {
  return typeof thrown === "object" && thrown !== null && "expected" in thrown && "found" in thrown && "hint" in thrown;
}

/** Whatever was thrown, as a problem. One that nobody foresaw says in its own words what it is. */
export function asProblem(thrown: unknown, expected: string): Problem {
  if (isProblem(thrown)) return thrown;
  const said = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return problem(expected, said, "load the page again, or open it in another browser");
}
