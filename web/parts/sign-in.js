/**
 * Whether this browser may ask. If not, an explanation replaces the composer, with a form if signing in would help.
 */

import { readAdmission } from "./api.js";
import { find } from "./element.js";
import { loadMoreWords, say } from "./say.js";

export class SignIn {
  /**
   * @param {object} on  `entered()`: this browser may ask now, and could not before; `told(admission)`: what the gateway says
   */
  constructor(on) {
    this.on = on;
    this.open = true; // until the gateway says otherwise; an old gateway says nothing
    this.form = null;
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && !this.open && this.look());
  }

  /** Ask the gateway. */
  async look() {
    const admission = await readAdmission();
    if (admission) await this.#show(admission);
  }

  async #show(admission) {
    const { caller, may_start, message } = admission;
    const wasOpen = this.open;
    this.open = may_start;
    document.body.classList.toggle("shut", !may_start);
    // To those whom it admits without a name, the gateway says only this.
    find("#admission").textContent = may_start && caller === null && message ? say("server.local_only") : "";
    this.on.told(admission);
    if (!may_start && !this.form) this.form = await this.#makeForm(message);
    this.form?.show(admission, wasOpen);
    if (may_start && !wasOpen) this.on.entered();
  }

  /** Returns null if it cannot be loaded; the explanation is then all that is shown. */
  async #makeForm(message) {
    const [module] = await Promise.all([import("./sign-in-form.js"), loadMoreWords()]).catch(() => []);
    if (module) return module.makeForm((admission) => this.#show(admission));
    find("#admission").textContent = message;
    return null;
  }
}
