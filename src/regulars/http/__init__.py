"""The HTTP layer: GraphQL over HTTP, imports, exports, sessions, pages, health and metrics."""
