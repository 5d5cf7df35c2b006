// The pages and their URLs. Nothing else lists them: the server reads the paths here.

import { show } from "./not-found.js";

/**
 * Each route has a `path` and the module that shows it. `parent` is the link that the navigation
 * bar marks; a route with an `icon` has a link there, in its `group` and for tokens with the `scope`.
 */
export const ROUTES = [
  { path: "/sign-in", load: () => import("./sign-in.js") },
  { path: "/customers", load: () => import("./customers.js"), icon: "customers", scope: "customers:read" },
  { path: "/customers/new", load: () => import("./new-customer.js"), parent: "/customers" },
  { path: "/customers/:number", load: () => import("./customer.js"), parent: "/customers" },
  { path: "/customers/:id", load: () => import("./customer.js"), parent: "/customers" },
  { path: "/segments", load: () => import("./segments.js"), icon: "segment", scope: "customers:read" },
  { path: "/tags", load: () => import("./tags.js"), icon: "tag", scope: "customers:read" },
  { path: "/overview", load: () => import("./overview.js"), icon: "overview", scope: "customers:read" },
  { path: "/imports", load: () => import("./imports.js"), icon: "upload", scope: "customers:write" },
  { path: "/trash", load: () => import("./trash.js"), icon: "trash", scope: "customers:read" },
  { path: "/people", load: () => import("./people.js"), icon: "customers", scope: "admin", group: "settings" },
  { path: "/webhooks", load: () => import("./webhooks.js"), icon: "webhook", scope: "webhooks", group: "developers" },
  { path: "/webhooks/:number", load: () => import("./webhooks.js"), parent: "/webhooks" },
  { path: "/tokens", load: () => import("./tokens.js"), icon: "key", scope: "admin", group: "developers" },
  { path: "/explorer", load: () => import("./explorer.js"), icon: "code", scope: null, group: "developers" },
];
const NOT_FOUND = { path: null, load: async () => ({ show }) };

/** Returns the route of a path and the parameters in it: numbers, and `id`, which is any text. */
export function findRoute(path) {
  for (const route of ROUTES) {
    const pattern = route.path.replace(":id", "(?<id>[^/]+)").replace(/:(\w+)/g, "(?<$1>\\d+)");
    const match = path.match(`^${pattern}$`);
    if (match) return { route, params: match.groups ?? {} };
  }
  return { route: NOT_FOUND, params: {} };
}
