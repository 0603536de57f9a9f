// Speaks to pg-boss through its own client, in any of the versions side by side.
//
//   node boss.mjs VERSION install                  create or migrate the schema
//   node boss.mjs VERSION send QUEUE COUNT [JSON]  send COUNT messages with the options JSON (pg-boss' own)
//   node boss.mjs VERSION fetch QUEUE COUNT        fetch up to COUNT messages and leave them active
//   node boss.mjs VERSION queue QUEUE [JSON]       create a queue (10 and later) with the options JSON
//
// The database comes from DATABASE_URL, the schema from DB_SCHEMA (default pgboss).
const [version, action, queue, third, fourth] = process.argv.slice(2);
const connectionString = process.env.DATABASE_URL;
const schema = process.env.DB_SCHEMA ?? 'pgboss';
if (!version || !action || !connectionString) {
  console.error('usage: DATABASE_URL=… node boss.mjs VERSION install|send|fetch|queue …');
  process.exit(2);
}
const module = await import(`pg-boss-${version}`);
const PgBoss = module.PgBoss ?? module.default;
const boss = new PgBoss({ connectionString, schema, supervise: false, schedule: false, noSupervisor: true, noScheduling: true });
boss.on('error', (error) => console.error(String(error)));
await boss.start();
const ensure = async (options = {}) => {
  if (boss.createQueue && !(boss.getQueue && (await boss.getQueue(queue)))) {
    await boss.createQueue(queue, version === '10' ? { name: queue, ...options } : options);
  }
};
if (action === 'queue') {
  await ensure(third ? JSON.parse(third) : {});
} else if (action === 'send') {
  await ensure();
  const options = fourth ? JSON.parse(fourth) : {};
  for (let number = 1; number <= Number(third); number++) {
    const id = await boss.send(queue, { number }, options);
    if (!id) console.error(`message ${number} was not taken by the queue`);
  }
} else if (action === 'fetch') {
  const fetched = Number(version) >= 10 ? await boss.fetch(queue, { batchSize: Number(third) }) : await boss.fetch(queue, Number(third));
  console.log(JSON.stringify((Array.isArray(fetched) ? fetched : [fetched]).filter(Boolean).map((message) => message.id)));
} else if (action !== 'install') {
  console.error(`unknown action ${action}`);
  process.exit(2);
}
await boss.stop({ graceful: false, wait: false, destroy: true, close: true, timeout: 1000 }).catch(() => {});
process.exit(0);
