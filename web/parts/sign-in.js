/**
 * Sign-in. If this browser may not ask, an explanation replaces the composer, with a form if signing in would help.
 *
 * A password or key is sent only to the gateway, which sets a cookie that scripts cannot read.
 */

import { readAdmission, signIn } from "./api.js";
import { find } from "./element.js";
import { describeRetry } from "./words.js";

export class SignIn {
  /**
   * @param {object} on  `entered()`: this browser may ask now, and could not before; `told(admission)`: what the gateway says
   */
  constructor(on) {
    this.on = on;
    this.open = true; // until the gateway says otherwise; an old gateway says nothing
    this.form = find("#sign-in-form");
    this.secret = find("#secret");
    this.error = find("#secret-error");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && !this.open && this.look());
  }

  /** Ask the gateway. */
  async look() {
    const admission = await readAdmission();
    if (admission) this.#show(admission);
  }

  async #submit() {
    if (this.submitting || !this.secret.value) return this.secret.focus();
    this.submitting = true;
    this.#showError("");
    try {
      this.#show(await signIn(this.secret.value));
    } catch (error) {
      this.#showError([error.message, describeRetry(error.retryAfter)].filter(Boolean).join(" "));
      this.secret.select();
    }
    this.submitting = false;
  }

  #show(admission) {
    const { caller, may_start, sign_in, message } = admission;
    const wasOpen = this.open;
    this.open = may_start;
    document.body.classList.toggle("shut", !may_start);
    this.form.hidden = may_start;
    find("#sign-in-words").textContent = may_start ? "" : message;
    find("#sign-in").hidden = !sign_in;
    find("#admission").textContent = may_start && caller === null ? (message ?? "") : "";
    this.on.told(admission);
    if (may_start) this.secret.value = "";
    else if (sign_in && wasOpen && matchMedia("(hover: hover)").matches) this.secret.focus();
    if (may_start && !wasOpen) this.on.entered();
  }

  #showError(words) {
    this.error.textContent = words;
    this.error.hidden = words === "";
    this.secret.ariaInvalid = String(words !== "");
  }
}
