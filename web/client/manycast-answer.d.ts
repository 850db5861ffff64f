/** `<manycast-answer src="https://chat.example.com/watch#ID" label="…">`: an answer inside any page. */
export class ManycastAnswer extends HTMLElement {
  /** Sends the CSS variables to the frame. Call it after they have changed in a way that the element cannot notice. */
  restyle(): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "manycast-answer": ManycastAnswer;
  }
}
