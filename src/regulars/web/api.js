// The API, as the pages speak to it: the same GraphQL as everybody's, with a session for a token.

import { firstViewer, VIEWER } from "./asked.js";
import { busy } from "./busy.js";
import { t } from "./texts.js";

const PATIENCE = [400, 1200, 2500];
/** What an error has for a key when the server did not answer at all. */
export const OFFLINE = "offline";

/** What went wrong: the API's own errors, each with `message`, `key` and `extensions`. */
export class Failure extends Error {
  constructor(errors) {
    super(errors.map((error) => error.message).join(" "));
    this.errors = errors;
  }

  /** Whether one of the errors has this key. */
  has(key) {
    return this.errors.some((error) => error.key === key);
  }

  /** The first error of this key. */
  of(key) {
    return this.errors.find((error) => error.key === key);
  }
}

const offline = () => new Failure([{ key: OFFLINE, message: t.errors.offline, extensions: {} }]);
let signIn = null;

/** Says what is to be done when the session has ended: `again()` resolves once there is a new one. */
export function onSignedOut(again) {
  signIn = again;
}

/** The data that a query answers; `quiet` for what nobody waits for. Raises Failure. */
export async function ask(query, variables = {}, { signal, quiet } = {}) {
  return data(await post(query, variables, {}, { signal, quiet }));
}

/**
 * The data that a mutation answers. It is sent with a key, and so is made once, although it is sent
 * again when there is no answer. Raises Failure.
 */
export async function change(query, variables = {}, { keepalive = false } = {}) {
  const headers = { "Idempotency-Key": key() };
  for (const pause of [...PATIENCE, null]) {
    try {
      return data(await post(query, variables, headers, { keepalive }));
    } catch (failure) {
      const again = failure instanceof Failure && ["errors_unavailable", "errors_idempotency_running", OFFLINE].some((one) => failure.has(one));
      if (!again || pause === null || keepalive) throw failure;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  return null;
}

// Without TLS, and but for this machine, browsers have no crypto.randomUUID.
function key() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function post(query, variables, headers, options) {
  return send("/api/v2", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify({ query, variables }),
    ...options,
  });
}

function data(answer) {
  if (answer.errors) throw new Failure(answer.errors);
  return answer.data;
}

/**
 * What an address answers, as JSON unless `as` says otherwise; `quiet` for what nobody waits for.
 * Who has been signed out signs in again, and goes on; a token that has used up its rate is waited for.
 * Raises Failure where it refuses, or does not answer.
 */
export async function send(address, { as = "json", quiet = false, ...options } = {}) {
  const stop = quiet ? () => {} : busy();
  let answer;
  let told;
  try {
    answer = await fetch(address, { credentials: "same-origin", ...options });
    told = await answer[answer.ok ? as : "json"]();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw offline();
  } finally {
    stop();
  }
  if (mayGoOn(answer.status, address)) {
    await signIn();
    return send(address, { as, quiet, ...options });
  }
  if (answer.status === 429) {
    // Nothing was done; it is said when it may be.
    await waited(Number(answer.headers.get("Retry-After")), options.signal);
    return send(address, { as, quiet, ...options });
  }
  if (!answer.ok) throw refusal(answer.status, told);
  return told;
}

/** Waits so many seconds, and shows that it does. Raises the signal's error when it is aborted. */
async function waited(seconds, signal) {
  const stop = busy();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  stop();
  signal?.throwIfAborted();
}

const mayGoOn = (status, address) => status === 401 && signIn && address !== "/session";
const refusal = (status, told) => new Failure(told?.errors ?? [{ key: String(status), message: t.errors.status(status), extensions: {} }]);

/** Sends a file, and tells how far it is. Raises Failure. */
export function upload(address, file, { progress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.responseType = "json";
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => progress(event.loaded, event.total));
    request.addEventListener("load", () => {
      const told = request.response;
      if (request.status < 300 && told) resolve(told.data);
      else if (mayGoOn(request.status, address)) signIn().then(() => upload(address, file, { progress, signal })).then(resolve, reject);
      else reject(refusal(request.status, told));
    });
    request.addEventListener("error", () => reject(offline()));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/** Signs in, with `{ token }` or `{ link }`. Raises Failure. */
export async function begin(given) {
  await send("/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given) });
}

/** Signs out. Raises Failure. */
export async function end() {
  await send("/session", { method: "DELETE" });
}

let known = null;
let fresh = false; // whether somebody else may have signed in since the pages were loaded

/** Who is signed in: the account's name, the token's, and its scopes. Asked once. */
export function viewer() {
  const anew = async () => (await ask(`{ ${VIEWER} }`)).viewer;
  known ??= fresh ? anew() : firstViewer(anew);
  known.catch(forget);
  return known;
}

/** Forgets who is signed in. */
export function forget() {
  known = null;
  fresh = true;
}

/** The global id of an object. */
export const globalId = (type, number) => btoa(`${type}:${number}`);
