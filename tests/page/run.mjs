// node run.mjs CHECK HOST:PORT…: runs one check against a broker, or more of them.
import * as checks from "./checks.mjs";
import * as others from "./anew.mjs";

const [, , name, ...addresses] = process.argv;
await { ...checks, ...others }[name](...addresses);
console.log(`${name}: passed`);
process.exit(0);
