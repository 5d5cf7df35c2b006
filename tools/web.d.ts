// Types of the pages for `tsc --checkJs`. Schema is generated from schema.graphql.

/** A customer field as the server declares it: `_serialize_fields` of http/pages.py. */
interface DeclaredField {
  name: string;
  kind: string;
  is_writable?: boolean;
  in_list?: boolean;
  in_history?: boolean;
  sort?: unknown;
  sources?: string[];
}

/** The server replaces this name when it starts. */
declare const DECLARED_FIELDS: DeclaredField[];

/** A record as the pages select it: timestamps also as ISO 8601, under `NAME_iso`. */
type WithTimestamps<Type> = Type & { [name in `${string}_iso`]: string | null };
type Customer = WithTimestamps<import("schema").Customer>;
