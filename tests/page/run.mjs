// node run.mjs CHECK HOST:PORT: runs one check against a broker.
import * as checks from "./checks.mjs";

const [, , name, address] = process.argv;
await checks[name](address);
console.log(`${name}: passed`);
process.exit(0);
