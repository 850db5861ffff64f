/**
 * Following a growing text: stays at its end until the reader scrolls up, and comes back when asked.
 */

const NEAR = 48; // pixels from the end that still count as being there

export class Follower {
  /**
   * @param {Element} scroller  what scrolls
   * @param {Element} content  what grows in it
   * @param {HTMLButtonElement} button  shown while new text comes below what is read
   */
  constructor(scroller, content, button) {
    this.scroller = scroller;
    this.button = button;
    this.following = true;
    this.growthIsNews = true;
    this.height = 0;
    this.top = 0;
    scroller.addEventListener("scroll", () => this.#notice(), { passive: true });
    new ResizeObserver(() => this.#grow()).observe(content);
    button.addEventListener("click", () => this.follow());
  }

  follow() {
    this.following = this.growthIsNews = true;
    this.button.hidden = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** Go to the beginning of a text that is complete: what is still being drawn of it is no news. */
  rewind() {
    this.following = this.growthIsNews = false;
    this.scroller.scrollTop = this.top = 0;
    this.button.hidden = true;
  }

  /** Only a scroll upwards lets go: growth and resizing scroll too, but never up by themselves. */
  #notice() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    if (atEnd) this.following = true;
    else if (scrollTop < this.top && scrollHeight >= this.height) this.following = false;
    if (atEnd) this.button.hidden = true;
    this.top = scrollTop;
    this.height = scrollHeight;
  }

  #grow() {
    if (this.following) this.follow();
    else if (this.growthIsNews && this.scroller.scrollHeight > this.height) this.button.hidden = false;
    this.height = this.scroller.scrollHeight;
  }
}
