/**
 * Who may ask here. Where this browser may not, words and, if that would help, a form take the composer's place.
 *
 * A password or key goes to the gateway and nowhere else: what remains is a cookie that no script can read.
 */

import { readAdmission, signIn, signOut } from "./api.js";
import { find } from "./element.js";
import { describeCaller, describeRetry } from "./words.js";

export class SignIn {
  /** @param {object} on  `entered()`: may ask now, and could not before */
  constructor(on) {
    this.on = on;
    this.open = true; // until the gateway says otherwise: an older one says nothing
    this.form = find("#sign-in-form");
    this.secret = find("#secret");
    this.error = find("#secret-error");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#knock();
    });
    find("#sign-out").addEventListener("click", () => this.#leave());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && !this.open && this.look());
  }

  /** Ask the gateway. */
  async look() {
    const admission = await readAdmission();
    if (admission) this.#show(admission);
  }

  async #knock() {
    if (this.knocking || !this.secret.value) return this.secret.focus();
    this.knocking = true;
    this.#complain("");
    try {
      this.#show(await signIn(this.secret.value));
    } catch (refusal) {
      this.#complain([refusal.message, describeRetry(refusal.retryAfter)].filter(Boolean).join(" "));
      this.secret.select();
    }
    this.knocking = false;
  }

  async #leave() {
    const refusal = await signOut().then(() => null, (error) => error);
    if (refusal) return void (find("#caller").textContent = refusal.message);
    find("#settings").close();
    await this.look();
  }

  #show({ caller, may_start, sign_in, message }) {
    const wasOpen = this.open;
    this.open = may_start;
    document.body.classList.toggle("shut", !may_start);
    this.form.hidden = may_start;
    find("#privacy").hidden = false; // a gateway that knows callers knows private streams
    find("#sign-in-words").textContent = may_start ? "" : message;
    find("#sign-in").hidden = !sign_in;
    find("#admission").textContent = may_start && caller === null ? (message ?? "") : "";
    find("#caller").textContent = describeCaller(caller);
    find("#account").hidden = caller === null;
    find("#sign-out").hidden = caller?.startsWith("user:") ?? true; // a proxy says who that is, and will again
    if (may_start) this.secret.value = "";
    else if (sign_in && wasOpen && matchMedia("(hover: hover)").matches) this.secret.focus();
    if (may_start && !wasOpen) this.on.entered();
  }

  #complain(words) {
    this.error.textContent = words;
    this.error.hidden = words === "";
    this.secret.ariaInvalid = String(words !== "");
  }
}
