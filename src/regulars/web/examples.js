// Example operations for the explorer.

export const EXAMPLES = [
  [
    "list",
    `query Customers($query: String!, $first: Int) {
  customers(query: $query, first: $first) {
    totalCount
    edges {
      cursor
      node {
        id
        full_name
        email
        location
        created_at
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}`,
    { query: "order_by:id order_dir:desc", first: 10 },
  ],
  [
    "search",
    `query Search($query: String!) {
  customers(query: $query, first: 10) {
    totalCount
    edges {
      node {
        full_name
        tags
        orders_count
        expenses
      }
    }
  }
}`,
    { query: "orders_count:>=2 accepts_marketing:true order_by:expenses" },
  ],
  [
    "get",
    `query Customer($id: ID!) {
  node(id: $id) {
    ... on Customer {
      id
      full_name
      avatar
      notes
      shipping_address {
        toString
      }
      summary {
        visits
        orders {
          expenses
          count
          list {
            order {
              name
              total
              created_at(format: "YYYY-MM-DD")
            }
          }
        }
      }
    }
  }
}`,
    { id: "Q3VzdG9tZXI6MQ==" },
  ],
  [
    "create",
    `mutation Create($node: InputCustomer!) {
  createCustomer(node: $node) {
    id
    full_name
    created_at
  }
}`,
    { node: { email: "ana@example.com", first_name: "Ana", tags: ["vip"], custom: { loyalty: "gold" } } },
  ],
  [
    "update",
    `mutation Update($id: ID!, $node: InputUpdateCustomer!) {
  updateCustomer(id: $id, node: $node) {
    id
    phone
    version
    updated_at
  }
}`,
    { id: "Q3VzdG9tZXI6MQ==", node: { phone: "+212 612 345678" } },
  ],
  [
    "remove",
    `mutation Delete($items: [ID!]!) {
  deleteCustomers(items: $items)
}`,
    { items: ["Q3VzdG9tZXI6MQ=="] },
  ],
  [
    "changes",
    `query Changes($after: String) {
  customerChanges(first: 20, after: $after) {
    edges {
      node {
        sequence
        kind
        at
        actor {
          name
        }
        customer_id
        fields {
          name
          before
          after
        }
      }
    }
    pageInfo {
      endCursor
    }
  }
}`,
    { after: null },
  ],
  [
    "statistics",
    `query Statistics {
  statistics {
    customers
    accepts_marketing
    expenses
    countries {
      country
      customers
    }
  }
}`,
    {},
  ],
];
