// The picture and its answer: from the camera, frame after frame, or of pictures that a person brought.

import type { Answer, Engine, Problem, Site } from "../contract";
import { asProblem } from "../problems";
import { Bars } from "./bars";
import { Camera } from "./camera";
import { described } from "./decision";
import { button, clearProblem, element, showProblem } from "./elements";
import { listen } from "./pictures";
import { Rate } from "./rate";
import { Spoken } from "./spoken";
import { type Held, Stage } from "./stage";
import { milliseconds } from "./words";

const TOP = 5; // classes that are listed where there are so many

interface Shown {
  picture: Held | null;
  answer: Answer | null;
  explained: boolean; // whether heatmaps were asked for
}

type Source = { kind: "none" } | { kind: "camera" } | { kind: "pictures"; files: File[]; at: number };

export class Viewer {
  readonly #camera = new Camera(element<HTMLVideoElement>("video"), (why) => this.#lost(why));
  readonly #bars = new Bars(element("seen"), element("bars"));
  readonly #spoken = new Spoken(element("spoken"));
  readonly #stage: Stage;
  #engine: Engine | null = null;
  #source: Source = { kind: "none" };
  /** Counts what the person has asked for. An answer to something earlier is not shown. */
  #turn = 0;
  #frozen = false;
  #explains = false;
  #heatmap = 0; // which of the answer's
  #shown: Shown = { picture: null, answer: null, explained: false };
  #answered = () => {};

  constructor(private readonly site: Site) {
    this.#stage = new Stage(element<HTMLCanvasElement>("picture"), site.preprocessing);
    const pressed = (id: string, act: () => void) => button(id).addEventListener("click", act);
    pressed("camera", () => (this.#source.kind === "camera" ? this.#stop() : void this.#startCamera()));
    pressed("turn", () => void this.#restart(() => this.#camera.turn()));
    pressed("freeze", () => this.#freeze(!this.#frozen));
    pressed("previous", () => this.#leaf(-1));
    pressed("next", () => this.#leaf(1));
    pressed("heatmap", () => this.#explain(!this.#explains));
    pressed("heatmap-next", () => this.#nextHeatmap());
    listen(button("choose"), element<HTMLInputElement>("files"), (files) => this.#open({ kind: "pictures", files, at: 0 }));
    document.addEventListener("visibilitychange", () => this.#visible(!document.hidden));
    this.#arrange();
  }

  /** From now on pictures are classified. Resolves once one has been, where one waits; else at once. */
  async use(engine: Engine): Promise<void> {
    this.#engine = engine;
    this.#arrange();
    if (this.#source.kind === "none") return;
    const first = new Promise<void>((resolve) => (this.#answered = resolve));
    if (this.#source.kind === "pictures") void this.#classify(++this.#turn);
    await first;
  }

  /** There will be no engine. */
  end(): void {
    this.#stop();
  }

  /** What the person looks at from now on. */
  #open(source: Source): void {
    clearProblem();
    if (source.kind !== "camera") this.#camera.stop();
    this.#source = source;
    this.#frozen = false;
    this.#empty(this.#engine && source.kind !== "none" ? "Looking at the picture" : "What is seen");
    this.#arrange();
    if (source.kind === "pictures") void this.#classify(++this.#turn);
  }

  #stop(): void {
    this.#turn++;
    this.#open({ kind: "none" });
    this.#answered();
  }

  async #startCamera(): Promise<void> {
    this.#open({ kind: "camera" });
    await this.#restart(() => this.#camera.start());
  }

  /** Start the camera by `start`, and follow it. */
  async #restart(start: () => Promise<void>): Promise<void> {
    const turn = ++this.#turn;
    this.#frozen = false;
    this.#arrange();
    try {
      await start();
    } catch (thrown) {
      if (turn === this.#turn) this.#lost(asProblem(thrown, "a camera that starts"));
      return;
    }
    if (turn !== this.#turn) return;
    this.#arrange();
    await this.#follow(turn);
  }

  #lost(why: Problem): void {
    this.#stop();
    showProblem("The camera cannot be used", why);
  }

  /** Classify the camera's newest frame, and again, until something else is asked for. */
  async #follow(turn: number): Promise<void> {
    const rate = new Rate();
    try {
      for (;;) {
        const frame = await this.#camera.frame();
        if (!frame || turn !== this.#turn) return frame?.close();
        const picture = this.#stage.hold(frame);
        const explained = this.#explains;
        const answer = await this.#engine?.classify(frame, wanted(explained));
        if (turn !== this.#turn) return;
        this.#show({ picture, answer: answer ?? null, explained });
        if (!answer) frame.close();
        else element("rate").textContent = rate.tick(performance.now());
      }
    } catch (thrown) {
      if (turn !== this.#turn) return;
      this.#stop();
      showProblem("The camera's picture cannot be classified", asProblem(thrown, "an answer of the model"));
    }
  }

  /** Classify the picture that is chosen, and show it meanwhile. */
  async #classify(turn: number): Promise<void> {
    if (this.#source.kind !== "pictures") return;
    const { files, at } = this.#source;
    const file = files[at]!;
    const explained = this.#explains;
    const [shown, answer] = await Promise.allSettled([
      this.#stage.decode(file),
      this.#engine?.classify(file, wanted(explained)),
    ]);
    if (turn !== this.#turn) return;
    const picture = shown.status === "fulfilled" ? shown.value : null;
    if (answer.status === "rejected") {
      this.#show({ picture, answer: null, explained });
      this.#bars.clear("Nothing is known of this picture");
      showProblem(`${file.name || "The picture"} cannot be classified`, asProblem(answer.reason, "a picture that the browser can read"));
      this.#answered();
      return;
    }
    this.#show({ picture, answer: answer.value ?? null, explained });
  }

  /** The frozen frame once more, since something else is wanted of it. */
  async #again(): Promise<void> {
    const { picture } = this.#shown;
    if (!picture || !this.#engine) return;
    const turn = ++this.#turn;
    const explained = this.#explains;
    const answer = await this.#engine.classify(await createImageBitmap(picture), wanted(explained));
    if (turn === this.#turn) this.#show({ picture, answer, explained });
  }

  #freeze(frozen: boolean): void {
    this.#frozen = frozen;
    const turn = ++this.#turn;
    this.#draw();
    this.#arrange();
    if (!frozen) void this.#follow(turn);
  }

  #leaf(by: number): void {
    if (this.#source.kind !== "pictures") return;
    const { files, at } = this.#source;
    this.#open({ kind: "pictures", files, at: (at + by + files.length) % files.length });
  }

  #explain(explains: boolean): void {
    this.#explains = explains;
    this.#heatmap = 0;
    this.#arrange();
    if (this.#source.kind === "pictures") void this.#classify(++this.#turn);
    else if (this.#frozen) void this.#again();
  }

  #nextHeatmap(): void {
    this.#heatmap++;
    this.#draw();
  }

  /** The camera belongs to whoever looks: while nobody sees the page, it is off. */
  #visible(is: boolean): void {
    if (this.#source.kind !== "camera") return;
    if (!is) {
      if (!this.#frozen) this.#turn++;
      this.#camera.stop();
    } else if (this.#frozen) {
      this.#camera.start().catch((thrown: unknown) => this.#lost(asProblem(thrown, "a camera that starts")));
    } else {
      void this.#restart(() => this.#camera.start());
    }
  }

  #empty(heading: string): void {
    this.#shown = { picture: null, answer: null, explained: false };
    this.#bars.clear(heading);
    this.#spoken.say("");
    element("picture").hidden = true;
  }

  #show(shown: Shown): void {
    this.#shown = shown;
    const { answer } = shown;
    if (answer) {
      const decision = described(answer.scores, this.site.rule, TOP);
      this.#bars.show(decision);
      if (this.#source.kind === "camera" && !this.#frozen) this.#spoken.frame(decision.spoken, performance.now());
      else this.#spoken.say(decision.spoken);
      element("running").textContent = milliseconds(answer.running);
      element("preparing").textContent = milliseconds(answer.preparing);
      this.#answered();
    }
    this.#draw();
    this.#arrange();
  }

  #draw(): void {
    const { picture, answer } = this.#shown;
    const heatmaps = (this.#explains && answer?.heatmaps) || [];
    const heatmap = heatmaps[this.#heatmap % Math.max(1, heatmaps.length)] ?? null;
    if (picture) this.#stage.show(picture, heatmap);
    element("picture").hidden = !picture;
    button("heatmap-next").hidden = heatmaps.length < 2;
    element("caption").textContent = this.#caption(heatmap?.label ?? null);
    element("caption").hidden = element("caption").textContent === "";
  }

  #caption(heatmap: string | null): string {
    const said: string[] = [];
    if (this.#source.kind === "pictures") {
      const { files, at } = this.#source;
      said.push(files.length > 1 ? `${files[at]?.name}, ${at + 1} of ${files.length}.` : `${files[at]?.name}.`);
      if (!this.#shown.picture && this.#shown.answer) said.push("The browser cannot show it, but it was classified.");
    }
    if (this.#frozen) said.push("Frozen.");
    if (this.#shown.picture && this.#stage.cuts) said.push("The model sees what is inside the frame.");
    const shows = this.site.rule.kind === "values" ? `what raises ${heatmap}` : `where ${heatmap} is seen`;
    if (heatmap !== null) said.push(`The heatmap shows ${shows}: the more yellow, the more.`);
    else if (this.#explains && this.#shown.explained && this.#shown.answer) said.push("No class is seen, so that there is no heatmap.");
    return said.join(" ");
  }

  /** Which controls are there, and what they say. */
  #arrange(): void {
    const { kind } = this.#source;
    const several = this.#source.kind === "pictures" && this.#source.files.length > 1;
    element("welcome").hidden = this.#shown.picture !== null;
    button("camera").textContent = kind === "camera" ? "Stop the camera" : "Start the camera";
    button("camera").classList.toggle("first", kind === "none");
    button("choose").hidden = kind === "camera"; // room for the answer, on a telephone
    button("choose").classList.toggle("first", kind === "none");
    button("freeze").hidden = kind !== "camera" || !this.#shown.answer;
    button("freeze").setAttribute("aria-pressed", String(this.#frozen));
    button("turn").hidden = kind !== "camera" || !this.#camera.canTurn;
    button("previous").hidden = button("next").hidden = !several;
    button("heatmap").hidden = kind === "none" || this.site.heatmaps === null;
    button("heatmap").setAttribute("aria-pressed", String(this.#explains));
    if (kind === "none") button("heatmap-next").hidden = element("caption").hidden = true;
    element("figures").hidden = this.#shown.answer === null;
    element("rate-entry").hidden = kind !== "camera";
    element("empty").hidden = this.#engine === null || kind !== "none";
  }
}

function wanted(explained: boolean): "none" | "seen" {
  return explained ? "seen" : "none";
}
