"""The part of customers in the API."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from regulars.api.guards import (
    WRITE_COST,
    needs,
    needs_to_write,
    price_of_page,
    price_of_write,
)
from regulars.api.part import ApiPart, Node, Scalar
from regulars.api.related import node_loader
from regulars.core.scopes import READ, WRITE
from regulars.customers.graphql import (
    address_book,
    address_rules,
    bulk,
    history,
    identifiers,
    search,
    search_values,
    statistics,
    suggestions,
    tag_renaming,
    tags,
    types,
)
from regulars.customers.graphql.bulk import WRITTEN
from regulars.customers.graphql.custom_fields import custom_fields, custom_fields_literal
from regulars.customers.graphql.roots import (
    add_external_ids,
    address,
    contact_mutations,
    create_customer,
    customers,
    delete_customers,
    price_of_deletes,
    remove_external_ids,
    update_customer,
)
from regulars.directory.directory import Directory
from regulars.graphql import Root

_LOAD = node_loader(Directory.customer)


def _roots(page_size: int) -> Mapping[str, Root]:
    price = partial(price_of_page, page_size)
    return {
        # What the history numbers may be read from a replica that has come far enough.
        "customers": Root(customers, needs(READ), price, is_replica_safe=True),
        "customer": Root(identifiers.customer(_LOAD), needs(READ), is_replica_safe=True),
        "customersCount": Root(
            identifiers.customers_count,
            needs(READ),
            identifiers.price_of_count,
            is_replica_safe=True,
        ),
        "searchSuggestions": Root(
            suggestions.search_suggestions, needs(READ), suggestions.price, is_replica_safe=True
        ),
        "customerChanges": Root(history.customer_changes, needs(READ), price, is_replica_safe=True),
        "statistics": Root(
            statistics.statistics,
            needs(READ),
            statistics.price,
            is_replica_safe=True,
            measure_cost=statistics.measure,
        ),
        "tags": Root(tags.tags, needs(READ), partial(tags.price, page_size), is_replica_safe=True),
        "searchLanguage": Root(search.search_language, is_replica_safe=True),
        "searchTerms": Root(
            search_values.search_terms,
            compute_cost=search_values.price_of_terms,
            is_replica_safe=True,
        ),
        "searchValues": Root(
            search_values.search_values,
            needs(READ),
            partial(search_values.price_of_values, page_size),
            is_replica_safe=True,
        ),
        "addressRules": Root(address_rules.address_rules, is_replica_safe=True),
        "createCustomer": Root(create_customer, needs(WRITE), price_of_write),
        "updateCustomer": Root(update_customer, needs_to_write(WRITE, *WRITTEN), price_of_write),
        **{
            name: Root(change, needs_to_write(WRITE, *WRITTEN), price_of_write)
            for name, change in (
                ("addExternalIds", add_external_ids),
                ("removeExternalIds", remove_external_ids),
                *contact_mutations.items(),
            )
        },
        **{
            # Even the id shows whether the customer has had the address.
            name: Root(change, needs(WRITE, READ), price_of_write)
            for name, change in (
                ("createAddress", address_book.create_address),
                ("updateAddress", address_book.update_address),
            )
        },
        "deleteAddresses": Root(address_book.delete_addresses, needs(WRITE), price_of_deletes),
        # Its result shows which customers have the tag.
        "renameTag": Root(
            tag_renaming.rename_tag, needs(WRITE, READ), tag_renaming.price_of_renaming
        ),
        "deleteCustomers": Root(delete_customers, needs(WRITE), price_of_deletes),
        "setCustomers": Root(
            bulk.set_customers,
            needs_to_write(
                WRITE,
                *WRITTEN,
                response_layout=bulk.customer_layout,
                selects_outcome=bulk.selects_outcomes,
            ),
            partial(bulk.price_of_nodes, WRITE_COST),
        ),
        **{
            name: Root(
                change,
                needs_to_write(WRITE, *WRITTEN),
                partial(bulk.price_of_items, WRITE_COST),
            )
            for name, change in (("addTags", bulk.add_tags), ("removeTags", bulk.remove_tags))
        },
    }


API = ApiPart(
    {
        **types.TYPES,
        **bulk.TYPES,
        **history.TYPES,
        **statistics.TYPES,
        **search.TYPES,
        **suggestions.TYPES,
        **search_values.TYPES,
        **tags.TYPES,
        **tag_renaming.TYPES,
        **identifiers.TYPES,
        **address_rules.TYPES,
    },
    _roots,
    {"Customer": Node(READ, _LOAD), "Address": Node(READ, address)},
    {"CustomFields": Scalar(custom_fields, custom_fields_literal)},
)
