// What a web page does, by a runtime that has a browser's WebSocket and fetch:
// a member by WebSocket, and an observer by Server-Sent Events. Says what it
// sees, a line each. tests/node.rs runs it.
const [addr] = process.argv.slice(2);
const events = await fetch(`http://${addr}/v1/channels/ops/events`);
console.log(`events ${events.status} ${events.headers.get('content-type')}`);

const broker = new WebSocket(`ws://${addr}/v1/ws`);
const say = (request) => broker.send(JSON.stringify(request));
broker.onopen = () => {
  say({op: 'hello', name: 'page'});
  say({op: 'sub', channel: 'ops'});
  say({op: 'pub', channel: 'ops', data: {greeting: 'grün'}, id: 1});
};
broker.onmessage = ({data}) => {
  const {frame, reply, ok, channel, seq, data: payload} = JSON.parse(data);
  console.log(`socket ${frame ?? `${reply} ok=${ok}`} ${seq ?? '-'} ${JSON.stringify(payload)}`);
  if (frame === 'cmd') say({op: 'ack', channel, seq, code: 0, text: 'done'});
};
broker.onclose = ({code, reason, wasClean}) => {
  console.log(`closed ${code} ${wasClean} ${reason}`);
};

let text = '';
for await (const bytes of events.body) {
  text += new TextDecoder().decode(bytes);
  for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
    const fields = text.slice(0, end).split('\n').map((line) => line.split(': '));
    const {id, event} = Object.fromEntries(fields);
    if (event) console.log(`event ${event} ${id ?? '-'}`);
  }
}
console.log('events end');
