// Scores -> what is said about them. What device/prediction.py decides, class by class.
import type { Rule } from "./contract";

export interface Named {
  label: string;
  score: number;
}

/** The classes that are seen, best first: `top`, empty where none is. `below`: further ones that do not reach their
 * thresholds, best first, where each class is scored alone. Of values `top` has all of them, in the model's order. */
export interface Prediction {
  top: Named[];
  below: Named[];
}

/** The numbers of the classes that are seen, best first. Of equal scores the class with the lower number comes first. */
export function seen(scores: Float32Array, rule: Rule): number[] {
  if (rule.kind === "values") return rule.labels.map((_, i) => i);
  if (rule.kind === "pair") return [scores[1]! >= limit(rule, 1) ? 1 : 0];
  return ranked(scores).filter((i) => scores[i]! >= limit(rule, i));
}

/** Of classes that exclude each other the `top` best are listed; of a pair the answer comes first. Of classes that are
 * scored alone each finding is listed, and the next best ones until there are `top`. */
export function decide(scores: Float32Array, rule: Rule, top = 1): Prediction {
  const listed = (numbers: number[]) => numbers.map((i) => ({ label: rule.labels[i]!, score: scores[i]! }));
  const found = seen(scores, rule);
  if (rule.kind === "values") return { top: listed(found), below: [] };
  const others = ranked(scores).filter((i) => !found.includes(i) && limit(rule, i) !== Infinity);
  if (rule.kind === "each")
    return { top: listed(found), below: listed(others.slice(0, Math.max(0, top - found.length))) };
  return { top: listed((rule.kind === "pair" ? [...found, ...others] : found).slice(0, top)), below: [] };
}

/** From which score on a class counts as seen. With no threshold it always does, and where each class is scored alone,
 * never: the model was not trained for it. */
export function limit(rule: Rule, i: number): number {
  return rule.thresholds[i] ?? (rule.kind === "each" ? Infinity : -Infinity);
}

function ranked(scores: Float32Array): number[] {
  return Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]! || a - b);
}
