/**
 * Keeps a growing text scrolled to its end, until the reader scrolls up. The button scrolls to the end again.
 */

const NEAR = 48; // this many pixels from the end count as the end

export class AutoScroll {
  /**
   * @param {Element} scroller  the scrolling element
   * @param {Element} content  the growing element in it
   * @param {HTMLButtonElement} button  shown when new text arrives below the visible part
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

  /** Scroll to the start of a complete text. While it is still being drawn, growth does not show the button. */
  rewind() {
    this.following = this.growthIsNews = false;
    this.scroller.scrollTop = this.top = 0;
    this.button.hidden = true;
  }

  /** Only scrolling up stops the following: growth and resizing also cause scroll events, but never upwards. */
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
    else {
      const { scrollTop, scrollHeight, clientHeight } = this.scroller;
      const hasMore = scrollHeight - scrollTop - clientHeight >= NEAR;
      if (!hasMore) this.button.hidden = true; // what was below may have been folded or removed
      else if (this.growthIsNews && scrollHeight > this.height) this.button.hidden = false;
    }
    this.height = this.scroller.scrollHeight;
  }
}
