// How many pictures a second are classified.

const REMEMBERED = 10; // pictures

export class Rate {
  readonly #times: number[] = [];

  /** One more picture at `now`, in milliseconds. What is said then. */
  tick(now: number): string {
    this.#times.push(now);
    if (this.#times.length > REMEMBERED) this.#times.shift();
    const first = this.#times[0] ?? now;
    return now > first ? ((1000 * (this.#times.length - 1)) / (now - first)).toFixed(1) : "–";
  }
}
