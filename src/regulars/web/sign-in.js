// Sign-in: a page, or a dialog over the current page after the session has ended.

import { ApiError, hasSession, resetViewer, getViewer, sessionError, signIn } from "./api.js";
import { h, replace } from "./dom.js";
import { languageButton } from "./language.js";
import { loadDocument, navigate } from "./navigation.js";
import { hideNavigationBar, logo, showNavigationBar, shownAccount } from "./navigation-bar.js";
import { t } from "./texts.js";
import { button, copyToClipboard, errorMessage, formField, toast, withBusy } from "./ui.js";

const HOME = "/customers";
const SESSION_CHECK_MS = 3000;
const LINK = /^https?:\/\/\S+#(\S+)$/;

export async function show({ main, url, signal, setTitle, setHandlers }) {
  setTitle(t.signIn.title);
  hideNavigationBar();
  document.body.classList.add("signing-in");
  signal.addEventListener("abort", () => document.body.classList.remove("signing-in"));
  const target = history.state?.target ?? HOME;
  const enter = async () => {
    await showNavigationBar();
    await navigate(target, { replace: true });
  };
  const showForm = (problem) => {
    replace(
      main,
      h(
        "div",
        { class: "sign-in card" },
        logo(48),
        h("h1", { tabindex: "-1" }, t.signIn.title),
        problem ? h("p", { class: "notice wrong", role: "alert" }, problem) : null,
        signInForm(enter, () => main.querySelector(".notice")?.remove()),
        languageButton(),
      ),
    );
    if (!problem) main.querySelector("input").focus();
  };
  const enterAgain = async (problem) => {
    const isSignedIn = await hasSession();
    if (isSignedIn) {
      resetViewer();
      await enter();
    }
    if (isSignedIn && problem) toast(t.signIn.usedLinkSignedIn, { isError: true });
    return isSignedIn;
  };
  const openLink = async (code) => {
    // A code works once: it stays out of the history.
    history.replaceState(null, "", url.pathname);
    try {
      await signIn({ link: code });
      resetViewer();
      await enter();
    } catch (error) {
      const problem = signInError(error, t.signIn.usedLink);
      // A link that is opened again: the person is still signed in by it.
      if (!isRejected(error) || !(await enterAgain(problem))) showForm(problem);
    }
  };
  const open = async ({ hash }) => {
    if (hash) await openLink(hash.slice(1));
    else if (isSignedOut || !(await enterAgain(""))) showForm("");
    isSignedOut = false;
  };
  // The person may have signed in in another tab.
  window.addEventListener("focus", () => enterAgain(""), { signal });
  setHandlers({ update: open });
  await open(url);
}

/** Whether the server does not accept the token or the link. */
const isRejected = (error) => error instanceof ApiError && error.has("errors_unauthenticated");

/** The message of an error; `rejected` if the server does not accept the token or the link. */
const signInError = (error, rejected) => (isRejected(error) ? rejected : errorMessage(error));

/**
 * The form that takes a token or a sign-in link; `onSignedIn` is called after it was accepted, and
 * `onSubmit` before it is sent.
 */
function signInForm(onSignedIn, onSubmit = () => {}) {
  const token = h("input", {
    type: "password",
    name: "token",
    autocomplete: "current-password",
    required: true,
    spellcheck: "false",
    autofocus: true,
  });
  const field = formField(t.signIn.token, token, {
    hint: [t.signIn.hint, " ", h("code", null, "regulars token create"), "."],
  });
  const submit = h("button", { type: "submit", class: "primary wide" }, t.signIn.submit);
  return h(
    "form",
    {
      novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        field.setError("");
        onSubmit();
        const text = token.value.trim();
        if (!text) {
          field.setError(t.signIn.missing);
          token.focus();
          return;
        }
        const link = text.match(LINK)?.[1];
        try {
          await withBusy(submit, () => signIn(link ? { link } : { token: text }));
        } catch (error) {
          field.setError(signInError(error, link ? t.signIn.usedLink : t.signIn.wrongToken));
          token.select();
          return;
        }
        resetViewer();
        await onSignedIn();
      },
    },
    field,
    submit,
  );
}

let renewal = null;
let isSignedOut = false; // a request has just shown that no session exists
let isDismissed = false; // the person has closed the dialog, and is still signed out

/**
 * Resolves after the person has signed in again: in a dialog, so that unsaved input stays on the
 * page, or in another tab. Throws ApiError if the person closes the dialog; after that, requests in
 * the background (`isQuiet`) do not open it again. If no page is shown yet, goes to the sign-in page
 * instead, and throws an AbortError.
 */
export async function renewSession(isQuiet) {
  const account = shownAccount();
  if (account === null) {
    const { pathname, search } = location;
    isSignedOut = true;
    if (pathname !== "/sign-in") navigate("/sign-in", { replace: true, state: { target: pathname + search } });
    throw new DOMException(t.signIn.title, "AbortError");
  }
  if (isQuiet && isDismissed) throw sessionError();
  renewal ??= openSignInDialog(account).finally(() => {
    renewal = null;
  });
  return renewal;
}

function openSignInDialog(account) {
  return new Promise((resolve, reject) => {
    const input = typedText();
    const ending = new AbortController();
    const { signal } = ending;
    const close = (isSignedIn) => {
      if (signal.aborted) return;
      isDismissed = !isSignedIn;
      ending.abort();
      clearInterval(timer);
      dialog.close();
      dialog.remove();
      if (!isSignedIn) {
        reject(sessionError());
        return;
      }
      resetViewer();
      showNavigationBar().catch(() => {});
      resolve();
    };
    // The person may have signed in with a link, which opens in another tab.
    const check = async () => {
      if (document.hidden || !(await hasSession(signal))) return;
      resetViewer();
      if ((await getViewer()).account.name === account) close(true);
      else replace(status, t.signIn.otherAccount);
    };
    const checkQuietly = () => check().catch(() => {});
    const status = h("p", { class: "hint", role: "status" }, t.signIn.sessionEnded);
    const dialog = h(
      "dialog",
      { "aria-label": t.signIn.title },
      h("h2", null, t.signIn.again),
      status,
      signInForm(async () => {
        if ((await getViewer()).account.name === account) close(true);
        else loadDocument(HOME);
      }),
      h(
        "div",
        { class: "row end" },
        input ? button(t.signIn.copyInput, () => copyToClipboard(input)) : null,
        button(t.signIn.later, () => close(false), { class: "plain" }),
      ),
    );
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      close(false);
    });
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("input").focus();
    const timer = setInterval(checkQuietly, SESSION_CHECK_MS);
    window.addEventListener("focus", checkQuietly, { signal });
    document.addEventListener("visibilitychange", checkQuietly, { signal });
  });
}

/** The texts that the person has typed on the page, with their labels, as one text. */
function typedText() {
  const fields = document.querySelectorAll("textarea, form input:not([type=checkbox], [type=radio], [type=file])");
  return [.../** @type {NodeListOf<HTMLInputElement>} */ (fields)]
    .filter(({ value, type }) => value.trim() && type !== "hidden" && type !== "password")
    .map((field) => `${field.ariaLabel ?? field.labels[0]?.textContent ?? ""}: ${field.value}`)
    .join("\n");
}
