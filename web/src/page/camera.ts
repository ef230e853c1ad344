// The camera of the device: its newest frame, front or back, and what keeps it from starting.

import type { Problem } from "../contract";
import { asProblem, problem } from "../problems";

const WITHOUT = "or choose pictures: that works without a camera";
const IDEAL: MediaTrackConstraints = { width: { ideal: 1280 }, height: { ideal: 720 } };

export class Camera {
  /** Whether there is another camera to turn to. Known once one has been started. */
  canTurn = false;
  #stream: MediaStream | null = null;
  #wanted: MediaTrackConstraints = { facingMode: { ideal: "environment" } };
  #ended = () => {};
  #end: Promise<null> = Promise.resolve(null);
  #starts = 0;

  /** `video` plays the camera, unseen; `lost` hears that the camera went away by itself. */
  constructor(
    private readonly video: HTMLVideoElement,
    private readonly lost: (why: Problem) => void,
  ) {}

  get runs(): boolean {
    return this.#stream !== null;
  }

  /** Start the camera, that of the back where there are two. Rejects with a Problem. */
  async start(): Promise<void> {
    this.stop();
    const start = this.#starts;
    if (navigator.mediaDevices?.getUserMedia === undefined) throw unreachable();
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { ...IDEAL, ...this.#wanted } });
    } catch (thrown) {
      throw refused(thrown);
    }
    if (start !== this.#starts) return stopAll(stream); // it was stopped, or started again, while the person was asked
    this.#stream = stream;
    this.#end = new Promise((resolve) => (this.#ended = () => resolve(null)));
    stream.getVideoTracks()[0]?.addEventListener("ended", () => {
      this.stop();
      this.lost(problem("frames from the camera", "its end: it was unplugged, or another program has taken it", `start the camera again, ${WITHOUT}`));
    });
    this.video.srcObject = stream;
    await this.video.play().catch(() => {}); // interrupted by a stop, which is no fault
    this.canTurn = (await others(stream)).length > 0;
  }

  /** Let go of the camera; its light goes out. */
  stop(): void {
    this.#starts++;
    this.#ended();
    if (this.#stream) stopAll(this.#stream);
    this.#stream = null;
    this.video.srcObject = null;
  }

  /** Start the other camera: of a phone that of the other side, elsewhere the next one. Rejects with a Problem. */
  async turn(): Promise<void> {
    if (!this.#stream) return;
    const side = this.#stream.getVideoTracks()[0]?.getSettings().facingMode;
    const next = (await others(this.#stream))[0];
    if (side === "user" || side === "environment") {
      this.#wanted = { facingMode: { ideal: side === "user" ? "environment" : "user" } };
    } else if (next) {
      this.#wanted = { deviceId: { exact: next } };
    }
    await this.start();
  }

  /** The next frame that the camera gives: never one that has waited. Null once the camera is stopped. */
  async frame(): Promise<ImageBitmap | null> {
    if (!this.#stream || !(await Promise.race([nextFrame(this.video).then(() => true), this.#end]))) return null;
    try {
      return await createImageBitmap(this.video);
    } catch (thrown) {
      if (!this.#stream) return null;
      throw asProblem(thrown, "a frame of the camera");
    }
  }
}

function nextFrame(video: HTMLVideoElement): Promise<unknown> {
  return new Promise((resolve) => {
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(resolve);
    else requestAnimationFrame(() => ((video as HTMLVideoElement).readyState >= 2 ? resolve(0) : resolve(nextFrame(video))));
  });
}

function stopAll(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

/** The cameras behind the one of `stream`, in a circle. */
async function others(stream: MediaStream): Promise<string[]> {
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  const ids = cameras.map((camera) => camera.deviceId);
  const at = ids.indexOf(stream.getVideoTracks()[0]?.getSettings().deviceId ?? "");
  return [...ids.slice(at + 1), ...ids.slice(0, Math.max(0, at))];
}

function unreachable(): Problem {
  return isSecureContext
    ? problem("a browser that gives pages a camera", "one that does not", `open the page in another browser, ${WITHOUT}`)
    : problem(
        "a page that came by HTTPS, since browsers give only those a camera",
        `one that came by ${location.protocol.replace(":", "").toUpperCase()} from ${location.host}`,
        `open it by https://, as \`edgedense web --serve\` shows it, ${WITHOUT}`,
      );
}

/** What getUserMedia threw, in words: its names stand in the W3C's "Media Capture and Streams". */
function refused(thrown: unknown): Problem {
  const name = thrown instanceof DOMException ? thrown.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") {
    return problem(
      "permission to use the camera",
      "it is denied for this page, or for the browser as a whole",
      `allow the camera for this page in the browser's settings beside the address, and start the camera again; ${WITHOUT}`,
    );
  }
  if (name === "NotFoundError" || name === "OverconstrainedError") {
    return problem("a camera", "none on this device", `plug one in and start the camera again, ${WITHOUT}`);
  }
  if (name === "NotReadableError" || name === "AbortError") {
    return problem("a camera that gives pictures", "one that does not: another program may use it", `close that program and start the camera again, ${WITHOUT}`);
  }
  return asProblem(thrown, "a camera that starts");
}
