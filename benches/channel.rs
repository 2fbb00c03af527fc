//! A message's way without sockets: append, and what each member then has to write.
//! Figures are for a batch of messages that were found in one read.
#![allow(clippy::unwrap_used)] // a benchmark that cannot begin has to end

use divan::Bencher;
use divan::counter::ItemsCount;
use ranked_broker::broker::Broker;
use ranked_broker::config::Config;
use ranked_broker::payload::Payload;
use ranked_broker::request::Format;
use ranked_broker::session::{Batch, Session};
use ranked_broker::wire::spoken::form;
use ranked_broker::wire::text::{TextEncoder, decode};
use std::sync::Arc;

const PAYLOAD: [u8; 128] = [b'x'; 128];
/// Messages of one read.
const BATCH: usize = 64;

fn main() {
    divan::main();
}

fn broker() -> Arc<Broker> {
    Broker::open(Config::default(), Box::new(TextEncoder)).unwrap()
}

/// A client that has sent these lines.
fn client(broker: &Arc<Broker>, lines: &[&str]) -> Session {
    let addr = "127.0.0.1:1".parse().unwrap();
    let mut session = Session::new(broker.clone(), broker.enter(addr, "text"));
    for line in lines {
        session.handle(decode(line.as_bytes()).unwrap().unwrap(), 0).unwrap();
    }
    session.flush();
    session
}

fn publish(publisher: &mut Session, messages: usize) {
    let payloads = vec![Payload::Plain(&PAYLOAD); messages];
    publisher.publish("news", None, &payloads, 0).unwrap();
    publisher.flush();
}

/// Writes all that a member has to write; returns how many bytes.
fn drain(member: &mut Session, batch: &mut Batch, format: Format) -> usize {
    let mut all = 0;
    member.take_mail(&mut batch.frames, true);
    while member.has_news() {
        member.gather(batch);
        if let Some(maker) = form(format) {
            member.transform(batch, maker);
        }
        let bytes = batch.pieces.iter().map(|piece| piece.bytes().len()).sum();
        member.settle(batch, bytes, true, 0);
        batch.frames.clear();
        all += bytes;
    }
    all
}

/// One publisher to so many members, who all read.
fn deliver(bencher: Bencher<'_, '_>, members: usize, format: Format) {
    let broker = broker();
    let mut publisher = client(&broker, &["create news"]);
    let mut members: Vec<Session> = (0..members).map(|_| client(&broker, &["sub news"])).collect();
    let mut batch = Batch::default();
    // The joining is over when the time begins, and messages do arrive.
    for member in &mut members {
        drain(member, &mut batch, format);
    }
    publish(&mut publisher, 1);
    let first: Vec<usize> =
        members.iter_mut().map(|member| drain(member, &mut batch, format)).collect();
    assert!(first.iter().all(|bytes| *bytes > PAYLOAD.len()), "{first:?}");
    bencher.counter(ItemsCount::new(BATCH * members.len())).bench_local(|| {
        publish(&mut publisher, BATCH);
        members.iter_mut().map(|member| drain(member, &mut batch, format)).sum::<usize>()
    });
}

/// Nobody reads: what seq, place and encoding cost.
#[divan::bench(args = [1, 8, 64, 512])]
fn append(bencher: Bencher<'_, '_>, messages: usize) {
    let broker = broker();
    let mut publisher = client(&broker, &["create news"]);
    bencher.counter(ItemsCount::new(messages)).bench_local(|| publish(&mut publisher, messages));
}

/// Append, gather and settle.
#[divan::bench(args = [1, 10, 100, 1_000])]
fn text_to_members(bencher: Bencher<'_, '_>, members: usize) {
    deliver(bencher, members, Format::Text);
}

/// The same with the JSON form, which is made once for all.
#[divan::bench(args = [1, 10, 100])]
fn json_to_members(bencher: Bencher<'_, '_>, members: usize) {
    deliver(bencher, members, Format::Json);
}

/// One message to one of so many channels; one client is a member of all.
#[divan::bench(args = [1, 1_000])]
fn one_of_many_channels(bencher: Bencher<'_, '_>, channels: usize) {
    let broker = broker();
    let names: Vec<String> = (0..channels).map(|number| format!("c{number}")).collect();
    let lines: Vec<String> = names.iter().map(|name| format!("sub {name} --create")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (mut publisher, mut member) = (client(&broker, &[]), client(&broker, &lines));
    let (mut batch, mut turn) = (Batch::default(), 0);
    drain(&mut member, &mut batch, Format::Text);
    bencher.bench_local(|| {
        turn = (turn + 7) % channels;
        publisher.publish(&names[turn], None, &[Payload::Plain(&PAYLOAD)], 0).unwrap();
        publisher.flush();
        drain(&mut member, &mut batch, Format::Text)
    });
}
