// The timeline of a customer: the form for a comment, pinned comments, and below them the history
// with the other comments, newest first.

import { runQuery } from "./api.js";
import { CommentView, Composer } from "./comments.js";
import { changeView } from "./customer-changes.js";
import { h, keepingFocus, replace, setAttribute } from "./dom.js";
import { selectTimes } from "./fields.js";
import { t } from "./texts.js";
import { button, runAction } from "./ui.js";

const SHOWN_CHANGES = 15;
const MAX_CHANGES = 250;
const MAX_COMMENTS = 100;
const READ = `query($id: ID!, $first: Int!, $after: String, $comments: Int!, $afterComment: String) { node(id: $id) {
  ... on Customer { comments(first: $comments, after: $afterComment) { pageInfo { hasNextPage endCursor } edges { node {
    id text pinned private edited author { kind name } ${selectTimes("created_at", "updated_at")} } } }
  changes(first: $first, after: $after) { pageInfo { hasNextPage endCursor } edges { node {
    sequence kind ${selectTimes("at")} silent actor { kind name } order { name total currency } segment { _id }
    fields { name before after } } } } } } }`;
// The comments themselves are in the timeline.
const HIDDEN_KINDS = new Set(["commented", "comment_updated"]);
const LISTS = ["changes", "comments"];
const FIRST_PAGE = { hasNextPage: true, endCursor: null };
const NOTHING = { changes: [], comments: [], pages: { changes: FIRST_PAGE, comments: FIRST_PAGE } };

export class Timeline {
  /**
   * `getLeads()` returns the messages of the customer; `viewer` is the person who is signed in. `readAgain()` shows
   * the customer after a value was restored.
   */
  constructor(id, { canWrite, viewer, getLeads, readAgain }) {
    this.id = id;
    this.getLeads = getLeads;
    this.readAgain = readAgain;
    this.canWrite = canWrite;
    this.viewer = viewer;
    /** What was read: the `changes` and the `comments`, and the `pages` at which they continue. */
    this.loaded = NOTHING;
    /** The view of each comment, by its id. */
    this.views = new Map();
    this.composer = canWrite ? new Composer(id, () => this.read()) : null;
    this.pinned = h("ol", { class: "timeline pinned", "aria-label": t.comments.pinnedList, hidden: true });
    this.list = h("ol", { class: "timeline" });
    this.foot = h("div");
    this.element = h(
      "section",
      { class: "card", "aria-labelledby": "timeline" },
      h("h2", { id: "timeline" }, t.timeline.title),
      this.composer?.element,
      this.pinned,
      this.list,
      this.foot,
    );
  }

  get hasUnsavedInput() {
    return (this.composer?.hasUnsavedInput ?? false) || [...this.views.values()].some((view) => view.hasUnsavedInput);
  }

  /** Discards the input. */
  discard() {
    this.composer?.clear();
    for (const view of this.views.values()) view.editor = null;
  }

  /** The number of the last change that is shown. */
  get sequence() {
    return this.loaded.changes[0]?.sequence;
  }

  /** Reads as many changes and comments as are shown again. */
  async read() {
    const count = this.loaded.changes.length;
    this.loaded = await this.readAfter(NOTHING, Math.max(SHOWN_CHANGES, Math.min(count, MAX_CHANGES)));
    this.render();
  }

  /** Returns what was read, with the next changes and comments. */
  async readAfter(loaded, first) {
    const { changes, comments } = loaded.pages;
    const { node } = await runQuery(READ, {
      id: this.id,
      first: changes.hasNextPage ? first : 0,
      after: changes.endCursor,
      comments: comments.hasNextPage ? MAX_COMMENTS : 0,
      afterComment: comments.endCursor,
    });
    if (!node) return loaded;
    const result = { pages: { ...loaded.pages } };
    for (const name of LISTS) {
      const hadNext = loaded.pages[name].hasNextPage;
      result[name] = hadNext ? [...loaded[name], ...node[name].edges.map((edge) => edge.node)] : loaded[name];
      if (hadNext) result.pages[name] = node[name].pageInfo;
    }
    return result;
  }

  render() {
    const { changes, comments, pages } = this.loaded;
    const isPinned = ({ pinned }) => pinned;
    const pinned = comments.filter(isPinned);
    const oldest = pages.changes.hasNextPage ? (changes.at(-1)?.at_iso ?? "") : "";
    const leads = this.getLeads();
    const onRestored = async () => {
      await this.readAgain();
      // The button that had the focus was replaced. The change is the newest entry.
      /** @type {HTMLElement} */ (this.list.querySelector("p"))?.focus();
    };
    const entries = [
      ...changes
        .filter(({ kind }) => !HIDDEN_KINDS.has(kind))
        .map((change) => ({ at: change.at_iso, view: () => changeView(change, leads, onRestored) })),
      ...comments
        .filter((comment) => !isPinned(comment) && comment.created_at_iso >= oldest)
        .map((comment) => ({ at: comment.created_at_iso, view: () => this.viewOf(comment) })),
    ].toSorted((left, right) => (left.at < right.at ? 1 : left.at > right.at ? -1 : 0));
    const ids = new Set(comments.map(({ id }) => id));
    for (const [id, view] of this.views) if (!ids.has(id) && !view.hasUnsavedInput) this.views.delete(id);
    keepingFocus(this.element, () => {
      replace(
        this.pinned,
        pinned.map((comment) => this.viewOf(comment)),
      );
      setAttribute(this.pinned, "hidden", !pinned.length);
      replace(
        this.list,
        entries.map(({ view }) => view()),
      );
    });
    const hasMore = LISTS.some((name) => pages[name].hasNextPage);
    replace(
      this.foot,
      hasMore ? button(t.timeline.more, (event) => this.showMore(event.currentTarget), { class: "plain" }) : [],
    );
  }

  viewOf(comment) {
    let view = this.views.get(comment.id);
    if (!view) {
      view = new CommentView({
        canWrite: this.canWrite,
        canEdit: (shown) => this.canEdit(shown),
        onChanged: () => this.read(),
        onDeleted: () => this.composer?.input.focus(),
      });
      this.views.set(comment.id, view);
    }
    view.render(comment);
    return view.element;
  }

  /** Whether the person wrote a comment, or may change those of others. The server has the last word. */
  canEdit({ author }) {
    const { scopes, token, person } = this.viewer;
    if (!this.canWrite) return false;
    const kind = person ? "person" : "token";
    return scopes.includes("admin") || (author.kind === kind && author.name === token.name);
  }

  showMore(control) {
    return runAction(control, async () => {
      const count = this.list.children.length;
      const before = this.loaded;
      const loaded = await this.readAfter(before, SHOWN_CHANGES);
      if (this.loaded !== before) return; // it was read again meanwhile
      this.loaded = loaded;
      this.render();
      /** @type {HTMLElement} */ (this.list.children[count]?.querySelector("p"))?.focus();
    });
  }
}
