/**
 * The form that replaces the composer where this browser may not ask. Loaded when it is used.
 *
 * A password or key is sent only to the gateway, which sets a cookie that scripts cannot read.
 */

import { signIn } from "./api.js";
import { find, make } from "./element.js";
import { say, sayCode } from "./say.js";
import { loadStyle } from "./style.js";
import { describeRetry } from "./words.js";

/** @param {(admission: object) => void} admitted  gets what the gateway answers to the right secret */
export async function makeForm(admitted) {
  await loadStyle("dialog.css");
  return new SignInForm(admitted);
}

class SignInForm {
  constructor(admitted) {
    this.admitted = admitted;
    this.words = make("p", { id: "sign-in-words", role: "status" });
    this.secret = make("input", {
      id: "secret", type: "password", autocomplete: "current-password", autocapitalize: "off", spellcheck: "false",
      "aria-describedby": "secret-error",
    });
    this.error = make("p", { id: "secret-error", role: "alert", hidden: true });
    this.fields = make(
      "div",
      { id: "sign-in" },
      make("label", { for: "secret" }, say("sign_in.secret")),
      make("input", { type: "text", autocomplete: "username", value: "manycast", hidden: true }),
      make("div", { class: "knock" }, this.secret, make("button", { class: "primary" }, say("sign_in.button"))),
      this.error,
    );
    this.form = make("form", { id: "sign-in-form", hidden: true }, this.words, this.fields);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    find("#modes").before(this.form);
  }

  /**
   * @param {object} admission  what the gateway says
   * @param {boolean} isNews  whether this browser could ask until now
   */
  show({ may_start, sign_in, message }, isNews) {
    this.form.hidden = may_start;
    this.words.textContent = may_start ? "" : sign_in ? say("sign_in.why") : message;
    this.fields.hidden = !sign_in;
    if (may_start) this.secret.value = "";
    else if (sign_in && isNews && matchMedia("(hover: hover)").matches) this.secret.focus();
  }

  async #submit() {
    if (this.submitting || !this.secret.value) return this.secret.focus();
    this.submitting = true;
    this.#showError("");
    try {
      this.admitted(await signIn(this.secret.value));
    } catch (error) {
      this.#showError([sayCode("sign_in", error.code) || error.message, describeRetry(error.retryAfter)].filter(Boolean).join(" "));
      this.secret.select();
    }
    this.submitting = false;
  }

  #showError(words) {
    this.error.textContent = words;
    this.error.hidden = words === "";
    this.secret.ariaInvalid = String(words !== "");
  }
}
