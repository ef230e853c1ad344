// Grad-CAM out of the last feature map and the few layers behind it: what edgedense/deployed/gradcam.py computes.
// Gradients are those of one class at a time.
import { real, type Values, valuesOf } from "./arrays";
import type { Heatmap, Heatmaps, HeadStep, Site, StoredArray } from "./contract";
import { seen } from "./prediction";

/** A layer for one picture: its output, and from the gradient in its output the one in its input `x`. Arrays have the
 * shape that the layer before it left. */
interface Layer {
  forward(x: Float32Array): Float32Array;
  backward(x: Float32Array, gradient: Float32Array): Float32Array;
}

interface Shape {
  height: number;
  width: number;
  channels: number;
}

/** A heatmap for the class that is the answer, or for each finding, or for each value. */
export function heatmaps(site: Site, features: Values, scores: Float32Array, part: Heatmap["window"]): Heatmap[] {
  const { heatmaps: stored, rule } = site;
  if (!stored) return [];
  const { height, width } = stored;
  const values = real(features, stored.output);
  const of = (i: number) => relative(gradcam(stored, values, rule.labels.length === 1 ? 1 : i));
  const answer = seen(scores, rule);
  return (rule.kind === "best" ? answer.slice(0, 1) : answer).map((i) => ({
    label: rule.labels[i]!,
    score: scores[i]!,
    height,
    width,
    values: of(i),
    window: part,
  }));
}

/** max(0, sum over channels of a channel's mean gradient times the channel), [height, width]. */
export function gradcam(stored: Heatmaps, features: Float32Array, label: number): Float32Array {
  const { layers, outputs } = network(stored);
  const inputs = [features];
  for (const layer of layers.slice(0, -1)) inputs.push(layer.forward(inputs[inputs.length - 1]!));
  let gradient = seed(outputs, label);
  for (let i = layers.length - 1; i >= 0; i--) gradient = layers[i]!.backward(inputs[i]!, gradient);
  const { channels } = stored;
  const positions = features.length / channels;
  const weights = new Float64Array(channels);
  gradient.forEach((value, i) => (weights[i % channels]! += value / positions));
  return Float32Array.from({ length: positions }, (_, at) => {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += weights[c]! * features[at * channels + c]!;
    return Math.max(sum, 0);
  });
}

/** Shares of the largest; zeros where all are zero. */
function relative(values: Float32Array): Float32Array {
  const largest = values.reduce((most, value) => Math.max(most, value), 0);
  return largest > 0 ? values.map((value) => value / largest) : values;
}

/** Which sum of logits belongs to a class: of one logit it is the second class's. */
function seed(outputs: number, label: number): Float32Array {
  const found = new Float32Array(outputs);
  if (outputs === 1) found[0] = label === 1 ? 1 : -1;
  else found[label] = 1;
  return found;
}

function network(stored: Heatmaps): { layers: Layer[]; outputs: number } {
  let shape: Shape = stored;
  let outputs = 0;
  const layers = stored.steps.map((step) => {
    const layer = layerOf(step, shape);
    if (step.kind === "window") shape = behindWindow(step, shape);
    if (step.kind === "dense") outputs = step.bias.shape[0]!;
    return layer;
  });
  return { layers, outputs };
}

function layerOf(step: HeadStep, shape: Shape): Layer {
  if (step.kind === "pool") return pooled([[0, shape.height]], [[0, shape.width]], shape, step.pool === "max");
  if (step.kind === "window") return windows(step, shape);
  if (step.kind === "dense") return dense(step.kernel, step.bias, step.scale);
  if (step.kind === "affine") return affine(arrayOf(step.scale), arrayOf(step.shift));
  if (step.kind === "nonlinear") return nonlinear(step.function, step.alpha);
  return { forward: (x) => x, backward: (_, gradient) => gradient }; // flatten: the values stand as they stood
}

type Spans = [start: number, stop: number][];

function behindWindow(step: HeadStep & { kind: "window" }, shape: Shape): Shape {
  const [height, width] = [shape.height, shape.width].map(
    (length, i) => Math.floor((length - step.size[i]!) / step.stride[i]!) + 1,
  );
  return { height: height!, width: width!, channels: shape.channels };
}

function windows(step: HeadStep & { kind: "window" }, shape: Shape): Layer {
  const after = behindWindow(step, shape);
  const [rows, columns] = [after.height, after.width].map((count, i) =>
    Array.from({ length: count }, (_, k): [number, number] => [k * step.stride[i]!, k * step.stride[i]! + step.size[i]!]),
  );
  return pooled(rows!, columns!, shape, step.pool === "max");
}

/** The mean or the maximum of the positions where `rows` and `columns` cross. Where several hold the maximum they share
 * its gradient. */
function pooled(rows: Spans, columns: Spans, shape: Shape, isMax: boolean): Layer {
  const { width, channels } = shape;
  const cells = rows.flatMap(([top, bottom]) => columns.map(([left, right]) => ({ top, bottom, left, right })));
  const places = cells.map(({ top, bottom, left, right }) => {
    const found = [];
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) found.push((y * width + x) * channels);
    return found;
  });
  const value = (x: Float32Array, cell: number[], c: number) =>
    isMax
      ? Math.max(...cell.map((at) => x[at + c]!))
      : cell.reduce((sum, at) => sum + x[at + c]!, 0) / cell.length;
  return {
    forward: (x) => Float32Array.from({ length: places.length * channels }, (_, i) => value(x, places[Math.floor(i / channels)]!, i % channels)),
    backward: (x, gradient) => {
      const found = new Float32Array(x.length);
      places.forEach((cell, i) => {
        for (let c = 0; c < channels; c++) {
          const highest = isMax ? value(x, cell, c) : 0;
          const holders = isMax ? cell.filter((at) => x[at + c] === highest) : cell;
          for (const at of holders) found[at + c]! += gradient[i * channels + c]! / holders.length;
        }
      });
      return found;
    },
  };
}

function dense(kernel: StoredArray, bias: StoredArray, scale: StoredArray | null): Layer {
  const [length, count] = [kernel.shape[0]!, kernel.shape[1]!];
  const scales = scale && arrayOf(scale);
  const weights = arrayOf(kernel).map((value, i) => (scales ? value * scales[i % count]! : value));
  const shifts = arrayOf(bias);
  return {
    forward: (x) =>
      Float32Array.from({ length: count }, (_, k) => {
        let sum = shifts[k]!;
        for (let i = 0; i < length; i++) sum += x[i]! * weights[i * count + k]!;
        return sum;
      }),
    backward: (_, gradient) =>
      Float32Array.from({ length }, (_, i) => {
        let sum = 0;
        for (let k = 0; k < count; k++) sum += gradient[k]! * weights[i * count + k]!;
        return sum;
      }),
  };
}

function affine(scale: Float32Array, shift: Float32Array): Layer {
  const count = scale.length;
  return {
    forward: (x) => x.map((value, i) => value * scale[i % count]! + shift[i % count]!),
    backward: (_, gradient) => gradient.map((value, i) => value * scale[i % count]!),
  };
}

function sigmoid(x: number): number {
  return 0.5 * (1 + Math.tanh(0.5 * x));
}

/** Elementwise: the function, and its slope. `alpha` is the slope of leaky_relu below zero. */
function nonlinear(name: string, alpha: number): Layer {
  const functions: Record<string, [(x: number) => number, (x: number) => number]> = {
    relu: [(x) => Math.max(x, 0), (x) => Number(x > 0)],
    relu6: [(x) => Math.min(Math.max(x, 0), 6), (x) => Number(x > 0 && x < 6)],
    leaky_relu: [(x) => (x > 0 ? x : alpha * x), (x) => (x > 0 ? 1 : alpha)],
    elu: [(x) => (x > 0 ? x : Math.expm1(x)), (x) => (x > 0 ? 1 : Math.exp(x))],
    tanh: [Math.tanh, (x) => 1 - Math.tanh(x) ** 2],
    swish: [(x) => x * sigmoid(x), (x) => sigmoid(x) + x * sigmoid(x) * (1 - sigmoid(x))],
    sigmoid: [sigmoid, (x) => sigmoid(x) * (1 - sigmoid(x))],
  };
  const [value, slope] = functions[name]!;
  return {
    forward: (x) => x.map((one) => value(one)),
    backward: (x, gradient) => gradient.map((one, i) => one * slope(x[i]!)),
  };
}

function arrayOf(stored: StoredArray): Float32Array {
  return Float32Array.from(valuesOf(stored.data, stored.dtype));
}
