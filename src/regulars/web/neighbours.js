// The customers before and after one in the list that was shown last.

import { runQuery } from "./api.js";
import { lastList, ListQuery } from "./list-query.js";

/** Whether a customer has a neighbour in the list: the next one, or with a step of -1 the previous one. */
export function hasNeighbour(number, step) {
  const index = lastList.numbers.indexOf(number);
  if (index < 0) return false;
  const { hasNextPage, hasPreviousPage } = lastList.pageInfo;
  return index + step in lastList.numbers || (step > 0 ? hasNextPage : hasPreviousPage);
}

/** Returns the number of the neighbour of a customer, or null. It may be on another page of the list. */
export async function findNeighbour(number, step) {
  if (!hasNeighbour(number, step)) return null;
  const neighbour = lastList.numbers[lastList.numbers.indexOf(number) + step];
  if (neighbour !== undefined) return neighbour;
  const { startCursor, endCursor } = lastList.pageInfo;
  const list = new ListQuery(new URL(lastList.url, location.href));
  const url = list.toUrl(step > 0 ? { after: endCursor } : { before: startCursor });
  const { customers } = await runQuery(...new ListQuery(new URL(url, location.href)).toRequest());
  const numbers = customers.edges.map(({ node }) => node._id);
  if (!numbers.length) return null;
  Object.assign(lastList, { url, numbers, pageInfo: customers.pageInfo });
  return numbers.at(step > 0 ? 0 : -1);
}
