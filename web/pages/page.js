/**
 * The chat page: conversations of questions and answers. The composition root of index.html.
 */

import { isPrivate, startStream } from "./api.js";
import { Composer } from "./composer.js";
import { addAnswer, addQuestion, addressOf, Conversations, keepDraft, newConversation, openStorage, randomId, readDraft, removeLast, toMessages } from "./conversations.js";
import { copyButton, find, iconButton, make } from "./element.js";
import { SignIn } from "./sign-in.js";
import { drawIcons, icon } from "./icons.js";
import { loadMarkdown } from "./markdown.js";
import { Question } from "./question.js";
import { Reply } from "./reply.js";
import { AutoScroll } from "./scroll.js";
import { fillPage, loadWords, say } from "./say.js";
import { Settings } from "./settings.js";
import { deleteConversation, explainElsewhere, exportAll, openSettings, shareTurn } from "./lazy.js";
import { closeSidebar, showConversations } from "./sidebar.js";
import { describeEnvironment } from "./environment.js";
import { describeState, describeViewers } from "./words.js";

const TITLE_LENGTH = 60;
const SEARCHED_FROM = 8; // conversations; fewer are seen at a glance
const NOT_LET_IN = new Set(["missing_api_key", "invalid_api_key", "not_this_machine"]);

class Chat {
  /** @param {Promise} ready  resolves when answers can be shown */
  constructor(storage, ready) {
    this.ready = ready;
    this.conversations = new Conversations(storage);
    this.drafts = openStorage("sessionStorage");
    this.settings = new Settings(storage);
    this.turns = find("#turns");
    this.autoScroll = new AutoScroll(find("main"), this.turns, find("#below"));
    this.composer = new Composer({
      ask: (text) => this.ask(text),
      stop: () => this.stop(),
      editLast: () => this.question?.edit(),
      changed: (text) => keepDraft(this.drafts, this.#draftKey, text),
    });
    this.signIn = new SignIn({
      entered: () => this.#enter(),
      told: (admission) => this.settings.admit(admission),
    });
    this.look = () => {}; // checks which models are available
    this.reply = null; // the last answer
    this.question = null; // the last question
    this.unanswered = null; // the turn that was refused because nobody was signed in
  }

  /** Show the conversation of the URL, or an empty one. */
  open() {
    this.reply?.leave();
    this.reply = this.question = null;
    const [id, stream] = location.hash.slice(1).split(".");
    this.conversation = this.conversations.load(id) ?? newConversation();
    if (this.conversation.turns.length) history.replaceState(null, "", addressOf(this.conversation));
    find("#elsewhere")?.remove();
    if (id && id !== this.conversation.id) explainElsewhere(location.href, stream);
    this.turns.replaceChildren();
    for (const turn of this.conversation.turns) {
      if (turn.role === "user") this.#showQuestion(turn.content);
      else this.#showReply(turn);
    }
    this.composer.fill(readDraft(this.drafts, this.#draftKey));
    this.refresh();
    this.autoScroll.follow();
    closeSidebar();
    this.#focus();
  }

  /** A new conversation gets another id after a reload. */
  get #draftKey() {
    return this.conversation?.turns.length ? this.conversation.id : "new";
  }

  /** Another tab has stored something. */
  adopt(event) {
    const { conversation } = this;
    if (Conversations.isAbout(event, conversation) && conversation.turns.length) {
      const ids = (turns) => turns.map(({ id }) => id).join();
      const stored = this.conversations.load(conversation.id);
      if (!stored) location.hash = ""; // it was deleted there
      else if (ids(stored.turns) !== ids(conversation.turns) && !this.composer.busy) return this.open();
    }
    this.refresh();
  }

  #store(conversation) {
    find("#full").hidden = this.conversations.save(conversation);
  }

  #focus() {
    if (!matchMedia("(hover: hover)").matches) return; // on a phone, focus opens the keyboard
    find(this.signIn.open ? "#question" : "#secret")?.focus();
  }

  async ask(text) {
    this.composer.setBusy(true);
    await this.ready; // a fast typist can ask before everything is loaded
    const { conversation } = this;
    conversation.title ||= text.replace(/\s+/g, " ").slice(0, TITLE_LENGTH);
    keepDraft(this.drafts, this.#draftKey, "");
    addQuestion(conversation, text);
    this.#showQuestion(text);
    return this.#answer();
  }

  /** Stop the answer. A run that is still being submitted is stopped as soon as it has an id. */
  stop() {
    if (this.reply && !this.reply.over) this.reply.stop();
    else this.stopAsked = true;
  }

  /** Request an answer to the current conversation. */
  async #answer() {
    const { conversation } = this;
    this.stopAsked = false;
    const sending = make("p", { class: "state" }, make("span", { class: "dots", "aria-hidden": "true" }), describeState("sending"));
    this.turns.append(sending);
    const messages = toMessages(conversation, this.settings.values.system);
    this.composer.setBusy(true);
    const fields = { stream: null, cancel: null, done: null };
    try {
      const { id, urls } = await startStream({ ...this.settings.request, messages }, randomId());
      Object.assign(fields, { stream: id, cancel: urls?.cancel });
    } catch ({ status, message, code, retryAfter }) {
      fields.done = { status: "failed", error: { message, code, http_status: status, retry_after_s: retryAfter, refused: true } };
    }
    sending.remove();
    const turn = addAnswer(conversation, fields);
    this.#store(conversation);
    if (this.conversation !== conversation) return; // the reader opened another conversation; the answer is stored
    history.replaceState(null, "", addressOf(conversation));
    this.#showReply(turn);
    if (this.stopAsked) this.stop();
    this.refresh();
    this.autoScroll.follow();
    if (turn.done && NOT_LET_IN.has(turn.done.error.code)) this.#wait(turn);
  }

  async #wait(turn) {
    this.unanswered = turn;
    await this.signIn.look();
    this.#focus();
  }

  #enter() {
    this.look();
    this.#focus();
    if (this.unanswered && this.unanswered === this.conversation.turns.at(-1)) this.#again();
    this.unanswered = null;
  }

  /** Remove the last answer, and with `text` also its question, and ask again. */
  #again(text) {
    const { conversation } = this;
    while (conversation.turns.length && conversation.turns.at(-1).role !== "user") removeLast(conversation);
    if (this.reply && !this.reply.over) this.reply.stop(); // the page no longer shows it
    this.reply?.leave();
    this.reply?.element.remove();
    this.reply = null;
    if (text === undefined) return this.#answer();
    removeLast(conversation);
    this.question.element.remove();
    return this.ask(text);
  }

  #showQuestion(text) {
    this.question = new Question(text, { edited: (words) => this.#again(words) });
    this.turns.append(this.question.element);
    this.refresh();
    this.autoScroll.follow();
  }

  #showReply(turn) {
    const { conversation } = this;
    const viewers = make("span", { class: "viewers" });
    const reply = new Reply({ id: turn.stream, cancel: turn.cancel }, {
      viewers: (count) => (viewers.textContent = describeViewers(count)),
      retry: () => this.#again(),
      settled: (state) => {
        // The gateway may admit a refused viewer later.
        const end = reply.done ?? (state === "refused" ? null : { status: state });
        Object.assign(turn, { choices: reply.answer.choices, model: reply.answer.model, done: end });
        this.#store(conversation);
        this.refresh();
      },
    });
    reply.foot.append(
      copyButton(say("answer.copy"), () => reply.answer.text),
      iconButton("again", say("answer.again"), () => this.#again()),
    );
    if (turn.stream) reply.foot.append(this.#shareButton(turn, reply), viewers);
    this.reply = reply;
    this.turns.append(reply.element);
    if (turn.done) reply.recall(turn);
    else reply.follow();
  }

  #shareButton(turn, reply) {
    const { conversation } = this;
    const hidden = isPrivate(turn.stream);
    const open = () => shareTurn(turn, reply, () => this.#store(conversation));
    const title = say(hidden ? "answer.private_link" : "answer.link");
    return make("button", { type: "button", class: "quiet share-button", title, onclick: open }, icon("share"), say(hidden ? "answer.share_private" : "answer.share"));
  }

  /** Update everything around the turns. */
  refresh() {
    const { conversation, reply } = this;
    this.composer.setBusy(Boolean(reply && !reply.over));
    document.body.classList.toggle("empty", conversation.turns.length === 0);
    find("#heading").textContent = conversation.title;
    document.title = conversation.title ? `${conversation.title} · Manycast` : "Manycast";
    showConversations(this.conversations.search(find("#search").value), conversation.id, {
      removed: (id) => deleteConversation(this.conversations, id, (ids) => this.#leave(ids)),
      renamed: (id, title) => this.#rename(id, title),
    });
    find("#search").hidden = find("#search").value === "" && this.conversations.list().length < SEARCHED_FROM;
  }

  /** Some conversations were removed from this browser. */
  #leave(ids) {
    if (ids.includes(this.conversation.id) && location.hash) location.hash = "";
    else this.refresh();
  }

  #rename(id, title) {
    const conversation = id === this.conversation.id ? this.conversation : this.conversations.load(id);
    this.#store(Object.assign(conversation, { title, titled: Date.now() }));
    this.refresh();
  }

  openSettings() {
    openSettings(this.settings, this.conversations, {
      removed: (ids) => this.#leave(ids),
      imported: () => this.refresh(),
      left: () => this.signIn.look(),
    });
  }
}

function offerModels(settings, ids) {
  const select = find("#model");
  select.replaceChildren(...ids.map((id) => new Option(id, id)));
  select.hidden = ids.length === 0;
  select.value = ids.includes(settings.values.model) ? settings.values.model : (ids[0] ?? "");
  settings.values.model = select.value;
}

async function main() {
  const ready = loadMarkdown();
  await loadWords();
  fillPage();
  drawIcons();
  const chat = new Chat(openStorage(), ready);
  chat.signIn.look();
  find("#new").addEventListener("click", () => (location.hash ? (location.hash = "") : chat.open()));
  for (const button of ["#open-settings", "#private-mode", "#system-mode"]) {
    find(button).addEventListener("click", () => chat.openSettings());
  }
  find("#export").addEventListener("click", () => exportAll(chat.conversations, "json"));
  find("#model").addEventListener("change", (event) => chat.settings.keep({ model: event.target.value }));
  for (const suggestion of document.querySelectorAll(".suggestion")) {
    suggestion.addEventListener("click", () => chat.ask(suggestion.textContent));
  }
  const plain = !(await ready);
  chat.open();
  addEventListener("hashchange", () => chat.open());
  addEventListener("storage", (event) => chat.adopt(event));
  find("#search").addEventListener("input", () => chat.refresh());
  chat.look = describeEnvironment({ plain, models: (ids) => offerModels(chat.settings, ids) });
  document.documentElement.dataset.ready = "";
}

main();
