// Lists and creates a customer with each public HTTP client, as its own documentation shows it.
// Reads from standard input in a folder with node_modules; arguments: the server's address, a token.
import { createHash } from "node:crypto";
import apolloCore from "@apollo/client/core/core.cjs";
import persistedQueries from "@apollo/client/link/persisted-queries/persisted-queries.cjs";
import { Client, fetchExchange } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";
import axios from "axios";
import got from "got";
import { GraphQLClient } from "graphql-request";
import ky from "ky";

const { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } = apolloCore;
const { createPersistedQueryLink } = persistedQueries;
const [server, token] = process.argv.slice(2);
const url = `${server}/api/v2`;
const headers = { authorization: `Bearer ${token}` };
const LIST = `query List($first: Int, $query: String!) {
  customers(first: $first, query: $query) { edges { node { id email } } pageInfo { hasNextPage } }
}`;
const CREATE = "mutation Create($node: InputCustomer!) { createCustomer(node: $node) { id email } }";
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

const apollo = () => {
  const link = ApolloLink.from([
    createPersistedQueryLink({ sha256 }),
    new HttpLink({ uri: url, headers }),
  ]);
  const client = new ApolloClient({
    link,
    cache: new InMemoryCache(),
    clientAwareness: { name: "shop", version: "1" },
  });
  return (query, variables) =>
    query === CREATE
      ? client.mutate({ mutation: gql(query), variables })
      : client.query({ query: gql(query), variables });
};

const urql = () => {
  const client = new Client({
    url,
    exchanges: [
      persistedExchange({ preferGetForPersistedQueries: true, enableForMutation: true }),
      fetchExchange,
    ],
    fetchOptions: { headers },
    preferGetMethod: false,
  });
  return async (query, variables) => {
    const method = query === CREATE ? "mutation" : "query";
    const result = await client[method](query, variables).toPromise();
    if (result.error) throw result.error;
    return result;
  };
};

const graphqlRequest = () => {
  const client = new GraphQLClient(url, { headers });
  return async (query, variables) => ({ data: await client.request(query, variables) });
};

const posting = (post) => async (query, variables) => {
  const answer = await post({ query, variables });
  if (answer.errors) throw new Error(JSON.stringify(answer.errors));
  return answer;
};

const CLIENTS = {
  "Apollo Client": apollo(),
  urql: urql(),
  "graphql-request": graphqlRequest(),
  ky: posting((json) => ky.post("", { prefixUrl: url, headers, json }).json()),
  got: posting((json) => got.post("", { prefixUrl: url, headers, json }).json()),
  axios: posting(async (json) => {
    const client = axios.create({ baseURL: url, headers, maxRedirects: 0 });
    return (await client.post("/", json)).data;
  }),
};

let number = 0;
for (const [name, run] of Object.entries(CLIENTS)) {
  number += 1;
  const email = `client-${number}@example.com`;
  const created = await run(CREATE, { node: { email } });
  const query = "order_by:id order_dir:desc";
  const listed = await run(LIST, { first: 1, query });
  const found = listed.data.customers.edges[0].node.email;
  const isOk = created.data.createCustomer.email === email && found === email;
  console.log(isOk ? "ok" : "failed", name);
}
