// Sign-in: a page, or a dialog over the current page after the session has ended.

import { ApiError, resetViewer, getViewer, signIn } from "./api.js";
import { h, replace } from "./dom.js";
import { loadDocument, navigate } from "./navigation.js";
import { hideNavigationBar, logo, showNavigationBar, shownAccount } from "./navigation-bar.js";
import { t } from "./texts.js";
import { errorMessage, formField, withBusy } from "./ui.js";

const HOME = "/customers";

export async function show({ main, url, signal, setTitle }) {
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
        signInForm(enter),
      ),
    );
    if (!problem) main.querySelector("input").focus();
  };
  const openLink = async (code) => {
    // A code works once: it stays out of the history.
    history.replaceState(null, "", url.pathname);
    try {
      await signIn({ link: code });
      resetViewer();
      await enter();
    } catch (error) {
      showForm(signInError(error, t.signIn.usedLink));
    }
  };
  const open = ({ hash }) => (hash ? openLink(hash.slice(1)) : showForm(""));
  await open(url);
  return { update: open };
}

/** The message of an error; `rejected` if the server does not accept the token or the link. */
const signInError = (error, rejected) =>
  error instanceof ApiError && error.has("errors_unauthenticated") ? rejected : errorMessage(error);

/** The form that takes a token; `onSignedIn` is called after it was accepted. */
function signInForm(onSignedIn) {
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
        if (!token.value.trim()) {
          field.setError(t.signIn.missing);
          token.focus();
          return;
        }
        try {
          await withBusy(submit, () => signIn({ token: token.value.trim() }));
        } catch (error) {
          field.setError(signInError(error, t.signIn.wrongToken));
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

/**
 * Resolves after the person has signed in again in a dialog, so that unsaved input stays on the page. If no
 * page is shown yet, goes to the sign-in page instead, and throws an AbortError.
 */
export async function renewSession() {
  const account = shownAccount();
  if (account === null) {
    const { pathname, search } = location;
    if (pathname !== "/sign-in") navigate("/sign-in", { replace: true, state: { target: pathname + search } });
    throw new DOMException(t.signIn.title, "AbortError");
  }
  renewal ??= openSignInDialog(account);
  return renewal;
}

function openSignInDialog(account) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-label": t.signIn.title, oncancel: (event) => event.preventDefault() },
      h("h2", null, t.signIn.again),
      h("p", null, t.signIn.sessionEnded),
      signInForm(async () => {
        if ((await getViewer()).account.name !== account) {
          loadDocument(HOME);
          return;
        }
        dialog.close();
        dialog.remove();
        renewal = null;
        resolve();
      }),
    );
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("input").focus();
  });
}
