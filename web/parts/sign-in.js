/**
 * Sign-in. If this browser may not ask, an explanation replaces the composer, with a form if signing in would help.
 *
 * A password or key is sent only to the gateway, which sets a cookie that scripts cannot read.
 */

import { readAdmission, signIn, signOut } from "./api.js";
import { find } from "./element.js";
import { describeCaller, describeRetry } from "./words.js";

export class SignIn {
  /**
   * @param {object} on  `entered()`: this browser may ask now, and could not before; `leave(signOut)`: the reader wants to
   *   sign out, which `signOut()` does
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
    find("#sign-out").addEventListener("click", () => this.on.leave(() => this.#signOut()));
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

  /** Returns whether it succeeded. */
  async #signOut() {
    try {
      await signOut();
    } catch (error) {
      find("#caller").textContent = error.message;
      return false;
    }
    find("#settings").close();
    await this.look();
    return true;
  }

  #show({ caller, may_start, sign_in, message }) {
    const wasOpen = this.open;
    this.open = may_start;
    document.body.classList.toggle("shut", !may_start);
    this.form.hidden = may_start;
    find("#privacy").hidden = false; // a gateway that reports callers supports private streams
    find("#sign-in-words").textContent = may_start ? "" : message;
    find("#sign-in").hidden = !sign_in;
    find("#admission").textContent = may_start && caller === null ? (message ?? "") : "";
    find("#caller").textContent = describeCaller(caller);
    find("#account").hidden = caller === null;
    find("#sign-out").hidden = caller?.startsWith("user:") ?? true; // a proxy names the user, and would name them again
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
