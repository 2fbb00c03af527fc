// ioredis. Says what it hears, a line each; tests/redis.rs reads that.
// Usage: ioredis.js PORT 2|3
"use strict";

const { Redis } = require("ioredis");
const port = Number(process.argv[2]);
const say = (...words) => console.log(...words);

async function main() {
  const protocol = Number(process.argv[3]);
  const options = { port, protocol, connectionName: "ioredis" };
  const client = new Redis(options);
  const subscriber = new Redis(options);
  const heard = [];
  const both = new Promise((resolve) => {
    const add = (line) => heard.push(line) === 2 && resolve();
    subscriber.on("message", (channel, data) => add(`message ${channel} ${data}`));
    subscriber.on("pmessage", (pattern, channel, data) => add(`pmessage ${pattern} ${channel} ${data}`));
  });
  say("ping", await client.ping());
  await subscriber.subscribe("talk");
  await subscriber.psubscribe("ta*");
  say("subscribed");
  await both;
  heard.forEach((line) => say(line));
  say("published", await client.publish("talk", "hello from ioredis"));
  await subscriber.unsubscribe("talk");
  await subscriber.punsubscribe("ta*");
  // Out of subscriber mode, it may ask again.
  say("echo", await subscriber.echo("again"));
  const added = await client.pipeline([0, 1, 2].map((n) => ["xadd", "log", "*", "n", n])).exec();
  say("added", added.map(([error, id]) => error || id).join(" "));
  say("range", JSON.stringify(await client.xrange("log", "-", "+", "COUNT", 1)), await client.xlen("log"));
  await client.get("x").catch((error) => say("error", error.message));
  say("rank", JSON.stringify(await client.call("CHECK", "talk", "1")));
  await Promise.all([client.quit(), subscriber.quit()]);
  say("end");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
