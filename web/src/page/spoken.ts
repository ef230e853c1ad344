// What a screen reader says of the camera's picture: not every frame, and a class only once it has stayed.

const STAYS = 2000; // milliseconds

export class Spoken {
  #candidate = "";
  #since = 0;

  constructor(private readonly element: HTMLElement) {}

  /** A frame of the camera has this answer at `now`, in milliseconds. */
  frame(answer: string, now: number): void {
    if (answer !== this.#candidate) [this.#candidate, this.#since] = [answer, now];
    if (now - this.#since >= STAYS) this.say(answer);
  }

  /** Say it at once, as of a picture that a person has chosen. */
  say(answer: string): void {
    if (this.element.textContent !== answer) this.element.textContent = answer;
  }
}
