// What the page says of an answer: a heading, and a row for each class or value.

import type { Rule } from "../contract";
import { type Named, decide, limit } from "../prediction";

export interface Row extends Named {
  said: string; // the score for people
  seen: boolean;
  threshold: number | null; // from which score on the class counts as seen, where that is not always or never
}

export interface Decision {
  heading: string;
  rows: Row[];
  areValues: boolean;
  ticked: boolean; // what is seen gets a tick, since it may be any number of classes
  spoken: string; // what a screen reader says
}

/** What is said of `scores`, one a label. At least `top` classes are listed where the model has so many. */
export function described(scores: Float32Array, rule: Rule, top: number): Decision {
  const found = decide(scores, rule, top);
  const rows = (named: Named[], seen: number) => named.map((one, i) => row(one, rule, i < seen));
  if (rule.kind === "values") {
    const values = rows(found.top, found.top.length);
    const spoken = values.map(({ label, said }) => `${label} ${said}`).join(", ");
    return { heading: "Values", rows: values, areValues: true, ticked: false, spoken };
  }
  if (rule.kind === "each") {
    const seen = found.top.length;
    const heading = seen === 0 ? "No finding; the nearest classes are" : seen === 1 ? "1 finding" : `${seen} findings`;
    const spoken = found.top.map(({ label }) => label).sort().join(", ") || "no finding";
    return { heading, rows: rows([...found.top, ...found.below], seen), areValues: false, ticked: true, spoken };
  }
  const best = found.top[0];
  if (best) return { heading: "Best classes", rows: rows(found.top, 1), areValues: false, ticked: false, spoken: best.label };
  const nearest = decide(scores, { ...rule, thresholds: rule.thresholds.map(() => null) }, top).top;
  const heading = "No class is sure enough; the nearest are";
  return { heading, rows: rows(nearest, 0), areValues: false, ticked: false, spoken: "no class is sure enough" };
}

function row(one: Named, rule: Rule, seen: boolean): Row {
  const place = rule.labels.indexOf(one.label);
  const from = rule.kind === "pair" && place === 0 ? Infinity : limit(rule, place);
  const said = rule.kind === "values" ? value(one.score, rule.unit) : `${(100 * one.score).toFixed(1)} %`;
  return { ...one, said, seen, threshold: Number.isFinite(from) ? from : null };
}

/** A value with four digits, and its unit. */
function value(score: number, unit: string): string {
  const digits = String(Number(score.toPrecision(4)));
  return unit ? `${digits} ${unit}` : digits;
}
