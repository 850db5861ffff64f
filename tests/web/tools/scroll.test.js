/** Following the end of a growing text, with a scroller that holds only its numbers. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { AutoScroll } from "../../../web/parts/scroll.js";

const VISIBLE = 500;

/** As a browser's: the end is the furthest it scrolls, and each change of its place is told. */
class Scroller extends EventTarget {
  clientHeight = VISIBLE;
  scrollHeight = VISIBLE;
  #top = 0;

  moveTo(top) {
    this.#top = Math.max(0, Math.min(top, this.scrollHeight - this.clientHeight));
  }

  get scrollTop() {
    return this.#top;
  }

  set scrollTop(top) {
    this.moveTo(top);
    this.dispatchEvent(new Event("scroll"));
  }
}

class Button extends EventTarget {
  hidden = true;
}

let scroller, button, scroll, grown;

function grow(by) {
  scroller.scrollHeight += by;
  grown();
}

beforeEach(() => {
  globalThis.ResizeObserver = class {
    constructor(listener) {
      grown = listener;
    }
    observe() {}
  };
  scroller = new Scroller();
  button = new Button();
  scroll = new AutoScroll(scroller, {}, button);
});

test("it stays at the end while the text grows", () => {
  grow(300);
  grow(300);
  assert.equal(scroller.scrollTop, 600);
  assert.equal(button.hidden, true);
});

test("scrolling up stops it, and new text below shows the button", () => {
  grow(600);
  scroller.scrollTop = 200;
  assert.equal(button.hidden, true);
  grow(100);
  assert.equal(scroller.scrollTop, 200);
  assert.equal(button.hidden, false);
});

test("the button goes to the end and follows it again", () => {
  grow(600);
  scroller.scrollTop = 200;
  grow(100);
  button.dispatchEvent(new Event("click"));
  grow(50);
  assert.equal(scroller.scrollTop, 750);
  assert.equal(button.hidden, true);
});

test("scrolling back to the end by hand follows it again", () => {
  grow(600);
  scroller.scrollTop = 200;
  scroller.scrollTop = 580;
  grow(100);
  assert.equal(scroller.scrollTop, 700);
});

test("a text that gets shorter and grows before the browser tells of it is followed on", () => {
  grow(600);
  scroller.scrollHeight = 800;
  scroller.moveTo(300);
  scroller.scrollHeight = 1000;
  scroller.dispatchEvent(new Event("scroll"));
  grown();
  assert.equal(scroller.scrollTop, 500);
});

test("the button goes when nothing is left below", () => {
  grow(600);
  scroller.scrollTop = 200;
  grow(100);
  scroller.scrollHeight = 720;
  grown();
  assert.equal(button.hidden, true);
});

test("a complete text is shown from its start, without the button", () => {
  grow(600);
  scroll.rewind();
  grow(300);
  assert.equal(scroller.scrollTop, 0);
  assert.equal(button.hidden, true);
});
