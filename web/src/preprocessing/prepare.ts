// A picture of any size -> the network's input. What `prepare` of edgedense/images/preprocessing.py computes.
import type { Preprocessing } from "../contract";
import { placement } from "./fitting";
import { type Pixels, withChannels } from "./pixels";
import { resized } from "./resizing";
import { stepped } from "./steps";

export function prepare(picture: Pixels, p: Preprocessing): Pixels {
  const right = withChannels(picture, p.channels);
  return stepped(resized(right, placement([right.height, right.width], p), p.resize), p.steps);
}
