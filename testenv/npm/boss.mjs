// Speaks to pg-boss through its own client, in any of the versions side by side.
//
//   node boss.mjs VERSION install                  create or migrate the schema
//   node boss.mjs VERSION send QUEUE COUNT [JSON]  send COUNT messages with the options JSON (pg-boss' own)
//   node boss.mjs VERSION fetch QUEUE COUNT        fetch up to COUNT messages and leave them active
//   node boss.mjs VERSION queue QUEUE [JSON]       create a queue (10 and later) with the options JSON
//   node boss.mjs VERSION schema NUMBER            migrate the schema (12) to that version of it, forth or back
//   node boss.mjs VERSION play                     one order a line, as JSON; one answer a line
//
// The database comes from DATABASE_URL, the schema from DB_SCHEMA (default pgboss).
import { createInterface } from 'node:readline';

const [version, action, queue, third, fourth] = process.argv.slice(2);
const connectionString = process.env.DATABASE_URL;
const schema = process.env.DB_SCHEMA ?? 'pgboss';
if (!version || !action || !connectionString) {
  console.error('usage: DATABASE_URL=… node boss.mjs VERSION install|send|fetch|queue|schema|play …');
  process.exit(2);
}
if (action === 'schema') {
  await migrate(Number(queue));
  process.exit(0);
}
const module = await import(`pg-boss-${version}`);
const PgBoss = module.PgBoss ?? module.default;
const boss = new PgBoss({ connectionString, schema, supervise: false, schedule: false, noSupervisor: true, noScheduling: true });
boss.on('error', (error) => console.error(String(error)));
await boss.start();
const ensure = async (name, options = {}) => {
  if (boss.createQueue && !(boss.getQueue && (await boss.getQueue(name)))) {
    await boss.createQueue(name, version === '10' ? { name, ...options } : options);
  }
};
const named = Number(version) >= 10;
const take = async (name, count) => {
  const fetched = named ? await boss.fetch(name, { batchSize: count }) : await boss.fetch(name, count);
  return (Array.isArray(fetched) ? fetched : [fetched]).filter(Boolean).map((message) => message.id);
};
const orders = {
  create: ({ create, options }) => ensure(create, options),
  send: ({ send, options }) => boss.send(send, {}, options),
  fetch: ({ fetch, count }) => take(fetch, count),
  complete: ({ complete, id }) => (named ? boss.complete(complete, id) : boss.complete(id)),
  fail: ({ fail, id }) => (named ? boss.fail(fail, id) : boss.fail(id)),
  flow: ({ flow }) => boss.flow(flow),
};
if (action === 'queue') {
  await ensure(queue, third ? JSON.parse(third) : {});
} else if (action === 'send') {
  await ensure(queue);
  const options = fourth ? JSON.parse(fourth) : {};
  for (let number = 1; number <= Number(third); number++) {
    const id = await boss.send(queue, { number }, options);
    if (!id) console.error(`message ${number} was not taken by the queue`);
  }
} else if (action === 'fetch') {
  console.log(JSON.stringify(await take(queue, Number(third))));
} else if (action === 'play') {
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    const kind = Object.keys(order).find((key) => key in orders);
    try {
      console.log(JSON.stringify((await orders[kind](order)) ?? null));
    } catch (error) {
      console.log(JSON.stringify({ error: String(error) }));
    }
  }
} else if (action !== 'install') {
  console.error(`unknown action ${action}`);
  process.exit(2);
}
await boss.stop({ graceful: false, wait: false, destroy: true, close: true, timeout: 1000 }).catch(() => {});
process.exit(0);

// What pg-boss itself does where another version of it starts, but to a version of ours: one transaction, then the
// indexes. It has a way back, too, a version at a time.
async function migrate(wanted) {
  const { Client } = await import('pg');
  const { migrateCommands, rollback, getAll } = await import(`./node_modules/pg-boss-${version}/dist/migrationStore.js`);
  const client = new Client({ connectionString });
  await client.connect();
  const current = async () => (await client.query(`select version from ${schema}.version`)).rows[0].version;
  if ((await current()) < wanted) {
    const steps = getAll(schema).filter((step) => step.version <= wanted);
    const { sql, concurrent } = migrateCommands(schema, await current(), steps, false, { inlineAsync: true });
    for (const statement of [sql, ...concurrent]) await client.query(statement);
  }
  while ((await current()) > wanted) await client.query(rollback(schema, await current()));
  await client.end();
}
