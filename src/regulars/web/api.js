// The API client of the pages: the public GraphQL API, with a session cookie instead of a token.

import { takeFirstViewer, VIEWER } from "./list-query.js";
import { startProgress } from "./progress.js";
import { loadMessages, readableMessage } from "./server-messages.js";
import { t } from "./texts.js";

const RETRY_DELAYS_MS = [400, 1200, 2500];
/** The key of the error for a server that does not respond. */
export const OFFLINE = "offline";
const RETRYABLE_KEYS = ["errors_unavailable", "errors_idempotency_running", OFFLINE];

/** The message of an error. One about a scope says it in words, not by the names of the API. */
function messageOf({ key, message }) {
  const scope = key === "errors_scope" && message.match(/`(\S+)`/)?.[1];
  return scope ? t.errors.scope(scope) : readableMessage(message);
}

/** The errors of a response, each with `message`, `key` and `extensions`. */
export class ApiError extends Error {
  constructor(errors) {
    const readable = errors.map((error) => ({ ...error, message: messageOf(error) }));
    super(readable.map((error) => error.message).join(" "));
    this.errors = readable;
  }

  /** Whether one of the errors has this key. */
  has(key) {
    return this.find(key) !== undefined;
  }

  /** The first error with this key. */
  find(key) {
    return this.errors.find((error) => error.key === key);
  }
}

/** The error for a person who is signed out. */
export const sessionError = () =>
  new ApiError([{ key: "errors_unauthenticated", message: t.signIn.signedOut, extensions: {} }]);
/** The error for a server that does not respond. */
export const offlineError = () => new ApiError([{ key: OFFLINE, message: t.errors.offline, extensions: {} }]);
/** Whether the same request can succeed in a moment: the server, or a proxy before it, does not respond. */
export const isTemporary = (error) =>
  error instanceof ApiError && error.errors.some(({ key }) => RETRYABLE_KEYS.includes(key) || /^50[234]$/.test(key));
let renewSession = null;

/**
 * Sets the function that is called when the session has ended, with whether the request is `quiet`. It
 * resolves after the person has signed in.
 */
export function onSignedOut(handler) {
  renewSession = handler;
}

/**
 * Returns the data of a query. A `quiet` one shows no progress bar. Throws ApiError.
 * @param {string} query
 * @param {object} [variables]
 * @param {{ signal?: AbortSignal, quiet?: boolean }} [options]
 */
export async function runQuery(query, variables = {}, { signal, quiet } = {}) {
  return dataOf(await post(query, variables, {}, { signal, quiet }));
}

/**
 * Returns the data of a mutation. It has an idempotency key, and is repeated while the server does
 * not respond. Throws ApiError.
 */
export async function runMutation(query, variables = {}, { keepalive = false } = {}) {
  const headers = { "Idempotency-Key": randomKey() };
  for (const delay of [...RETRY_DELAYS_MS, null]) {
    try {
      return dataOf(await post(query, variables, headers, { keepalive }));
    } catch (error) {
      if (!isTemporary(error) || delay === null || keepalive) throw error;
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }
  return null;
}

// Browsers offer crypto.randomUUID only over TLS and on localhost.
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const post = (query, variables, headers, options) =>
  request("/api/v2", { ...postOptions({ query, variables }, headers), ...options });

/** The options of a request that posts JSON. */
export const postOptions = (payload, headers) => ({
  method: "POST",
  headers: { "Content-Type": "application/json", ...headers },
  body: JSON.stringify(payload),
});

function dataOf({ data, errors }) {
  if (errors) throw new ApiError(errors);
  return data;
}

/**
 * Returns the body of a response, as JSON unless `as` names another format. A `quiet` request shows
 * no progress bar. It is repeated after the person has signed in again, and after the delay that a
 * rate limit asks for. Throws ApiError.
 * @param {string} url
 * @param {RequestInit & { as?: "json" | "text" | "blob", quiet?: boolean }} [options]
 */
export async function request(url, { as = "json", quiet = false, ...options } = {}) {
  const stopProgress = quiet ? () => {} : startProgress();
  let response;
  let body;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
    body = await response[response.ok ? as : "json"]();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw offlineError();
  } finally {
    stopProgress();
  }
  if (body?.errors) await loadMessages();
  if (needsSession(response.status, url)) {
    await renewSession(quiet);
    return request(url, { as, quiet, ...options });
  }
  if (response.status === 429) {
    await sleep(Number(response.headers.get("Retry-After")), options.signal);
    return request(url, { as, quiet, ...options });
  }
  if (!response.ok) throw errorOf(response.status, body);
  return body;
}

/** Waits, with the progress bar. Throws the signal's error if it is aborted. */
async function sleep(seconds, signal) {
  const stopProgress = startProgress();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  stopProgress();
  signal?.throwIfAborted();
}

const needsSession = (status, url) => status === 401 && renewSession && url !== "/session";
const errorOf = (status, body) =>
  new ApiError(body?.errors ?? [{ key: String(status), message: t.errors.status(status), extensions: {} }]);

/** Uploads a file; `onProgress(sent, total)` is called with bytes. Throws ApiError. */
export function uploadFile(url, file, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const upload = new XMLHttpRequest();
    upload.open("POST", url);
    upload.responseType = "json";
    upload.setRequestHeader("Content-Type", "application/octet-stream");
    upload.upload.addEventListener("progress", (event) => onProgress(event.loaded, event.total));
    upload.addEventListener("load", () => {
      const { status, response } = upload;
      if (status < 300 && response) resolve(response.data);
      else if (needsSession(status, url))
        renewSession(false)
          .then(() => uploadFile(url, file, { onProgress, signal }))
          .then(resolve, reject);
      else reject(errorOf(status, response));
    });
    upload.addEventListener("error", () => reject(offlineError()));
    upload.addEventListener("abort", () => reject(new DOMException(t.cancel, "AbortError")));
    signal?.addEventListener("abort", () => upload.abort());
    upload.send(file);
  });
}

/** Signs in with `{ token }` or `{ link }`. Throws ApiError. */
export async function signIn(credentials) {
  await request("/session", postOptions(credentials));
}

/** Returns whether a session exists. Nobody is asked to sign in. */
export async function hasSession(signal = null) {
  const body = { query: "{ viewer { scopes } }" };
  try {
    const response = await fetch("/api/v2", { ...postOptions(body), credentials: "same-origin", signal });
    return Boolean((await response.json()).data?.viewer);
  } catch {
    return false;
  }
}

/** Signs out. Throws ApiError. */
export async function signOut() {
  await request("/session", { method: "DELETE" });
}

let viewer = null;
let isFirstViewer = true; // whether the viewer of the first request still counts

/** Returns the account's name, the token and its scopes. They are read once. */
export function getViewer() {
  const read = async () => (await runQuery(`{ ${VIEWER} }`)).viewer;
  viewer ??= isFirstViewer ? takeFirstViewer(read) : read();
  viewer.catch(resetViewer);
  return viewer;
}

/** Discards the cached viewer: another person may have signed in. */
export function resetViewer() {
  viewer = null;
  isFirstViewer = false;
}

/** The global id of an object. */
export const globalId = (type, number) => btoa(`${type}:${number}`);
