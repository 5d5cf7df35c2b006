'use strict'
// Mercurius with its JIT, as its documentation has it: on PostgreSQL (PEER_DSN) with named
// statements, or on SQLite (PEER_DB) with prepared ones.

const crypto = require('node:crypto')
const fs = require('node:fs')
const { createRequire } = require('node:module')

// The packages are installed in the benchmark's build folder.
const load = createRequire(process.env.PEER_MODULES + '/')
const fastify = load('fastify')
const mercurius = load('mercurius')

const COLUMNS = 'id, email, first_name, last_name, expenses, orders_count, created_at, ' +
  'updated_at, shipping_address'
const INPUT = ['email', 'phone', 'first_name', 'last_name', 'accepts_marketing', 'tags',
  'shipping_address']

function postgresql (dsn) {
  const { Pool, types } = load('pg')
  types.setTypeParser(types.builtins.INT8, Number)
  const pool = new Pool({ connectionString: dsn })
  const places = INPUT.map((_, i) => `$${i + 1}`).join(', ')
  const rows = async (name, text, values) => (await pool.query({ name, text, values })).rows
  return {
    page: (before, limit) => rows('page',
      `SELECT ${COLUMNS} FROM customers WHERE id < $1 ORDER BY id DESC LIMIT $2`, [before, limit]),
    one: async (id) => (await rows('one', `SELECT ${COLUMNS} FROM customers WHERE id = $1`, [id]))[0],
    create: async (values) => (await rows('create',
      `INSERT INTO customers (${INPUT.join(', ')}) VALUES (${places}) RETURNING ${COLUMNS}`,
      values))[0]
  }
}

function sqlite (file) {
  const db = new (load('better-sqlite3'))(file)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  const places = INPUT.map(() => '?').join(', ')
  const page = db.prepare(
    `SELECT ${COLUMNS} FROM customers WHERE id < ? ORDER BY id DESC LIMIT ?`)
  const one = db.prepare(`SELECT ${COLUMNS} FROM customers WHERE id = ?`)
  const create = db.prepare(
    `INSERT INTO customers (${INPUT.join(', ')}, created_at, updated_at) ` +
    `VALUES (${places}, ?, ?) RETURNING ${COLUMNS}`)
  const parsed = (row) => {
    if (row && row.shipping_address) row.shipping_address = JSON.parse(row.shipping_address)
    return row
  }
  return {
    page: (before, limit) => page.all(before, limit),
    one: (id) => parsed(one.get(id)),
    create: (values) => {
      const now = Date.now()
      return parsed(create.get(
        ...values.map((value) => typeof value === 'boolean' ? Number(value) : value), now, now))
    }
  }
}

const store = process.env.PEER_DB ? sqlite(process.env.PEER_DB) : postgresql(process.env.PEER_DSN)

const UNITS = [[45 * 60, 60, 'minutes'], [22 * 3600, 3600, 'hours'], [26 * 86400, 86400, 'days'],
  [320 * 86400, 30.44 * 86400, 'months']]

function fromNow (at) {
  const seconds = (Date.now() - at) / 1000
  for (const [below, unit, name] of UNITS) {
    if (seconds < below) return `${Math.round(seconds / unit)} ${name} ago`
  }
  return `${Math.round(seconds / (365.25 * 86400))} years ago`
}

const base64 = (text) => Buffer.from(text).toString('base64')
const plain = (text) => Buffer.from(text, 'base64').toString()

const resolvers = {
  Query: {
    node: (_, { id }) => store.one(Number(plain(id).split(':')[1])),
    customers: async (_, { first, after }) => {
      const size = first || 25
      const before = after ? JSON.parse(plain(after))[1] : Number.MAX_SAFE_INTEGER
      const rows = await store.page(before, size + 1)
      const edges = rows.slice(0, size).map((node) => (
        { node, cursor: base64(`[${node.id},${node.id}]`) }))
      return {
        edges,
        pageInfo: {
          endCursor: edges.length ? edges[edges.length - 1].cursor : null,
          hasNextPage: rows.length > size
        }
      }
    }
  },
  Mutation: {
    createCustomer: (_, { node }) => store.create([
      node.email, node.phone || '', node.first_name || '', node.last_name || '',
      node.accepts_marketing || false, JSON.stringify(node.tags || []),
      node.shipping_address ? JSON.stringify(node.shipping_address) : null])
  },
  Customer: {
    id: (row) => base64(`Customer:${row.id}`),
    _id: (row) => row.id,
    avatar: (row) => '//www.gravatar.com/avatar/' +
      crypto.createHash('md5').update(row.email.trim().toLowerCase()).digest('hex'),
    full_name: (row) => `${row.first_name} ${row.last_name}`.trim(),
    created_at: (row) => fromNow(row.created_at),
    updated_at: (row) => fromNow(row.updated_at)
  }
}

const app = fastify()
app.register(mercurius, {
  schema: fs.readFileSync(require('node:path').join(__dirname, '..', 'schema.graphql'), 'utf8'),
  resolvers: { ...resolvers, Node: { resolveType: () => 'Customer' } },
  jit: 1
})
app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
