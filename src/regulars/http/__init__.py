"""Requests in, answers out: GraphQL over HTTP."""
