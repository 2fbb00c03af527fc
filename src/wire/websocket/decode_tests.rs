//! What a client may send, and what it may not.

use super::*;
use proptest::prelude::*;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;

const MAX: usize = 300;
const TEXT: OpCode = OpCode::Data(Data::Text);
const MORE: OpCode = OpCode::Data(Data::Continue);
const PING: OpCode = OpCode::Control(Control::Ping);
const PONG: OpCode = OpCode::Control(Control::Pong);

/// A frame as a client sends it.
fn sent(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let mask = Some([0x5a, 0, 0xff, 0x81]);
    of(FrameHeader { opcode, is_final, mask, ..FrameHeader::default() }, payload)
}

fn of(header: FrameHeader, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame::from_payload(header, payload.to_vec().into()).format(&mut bytes).unwrap();
    bytes
}

fn closed(code: u16) -> Vec<u8> {
    let code = CloseCode::from(code);
    let frame = Frame::close(Some(CloseFrame { code, reason: "so".into() }));
    sent(OpCode::Control(Control::Close), true, frame.payload())
}

/// The lines in these pieces, what is answered, a close last, and how it ends.
fn taken<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (String, Vec<u8>, Option<End>) {
    let mut decoder = Decoder::new(MAX);
    let (mut lines, mut answers) = (Vec::new(), Vec::new());
    for piece in pieces {
        decoder.take(piece, &mut lines, &mut answers);
        assert!(decoder.begun.len() < MAX + 14, "no more than a frame is kept");
    }
    decoder.answer_close(&mut answers);
    (String::from_utf8(lines).unwrap(), answers, decoder.end())
}

fn refused(frames: &[Vec<u8>]) -> Option<Close> {
    let all = frames.concat();
    let whole = taken([&all[..]]);
    assert_eq!(taken(all.chunks(1)), whole, "whether it comes at once or byte by byte");
    match whole.2 {
        Some(End::Refused(reason)) => Some(reason),
        _ => None,
    }
}

#[test]
fn a_message_is_a_line_and_a_ping_is_answered_at_once() {
    let frames = [
        sent(TEXT, true, b"{\"op\":\"ping\"}"),
        sent(TEXT, false, b"{\"op\":"),
        sent(PING, true, b"still there?"),
        sent(MORE, false, "\"grün €".as_bytes()),
        sent(PONG, true, b"7"),
        sent(MORE, false, b""),
        sent(MORE, true, b"\"}\n{}"),
        sent(TEXT, true, b""),
        sent(PING, true, b""),
    ]
    .concat();
    let lines = "{\"op\":\"ping\"}\n{\"op\":\"grün €\"}\n{}\n\n";
    let pongs = [&[0x8a, 12][..], b"still there?", &[0x8a, 0]].concat();
    let all = (lines.to_string(), pongs, None);
    assert_eq!(taken([&frames[..]]), all);
    assert_eq!(taken(frames.chunks(1)), all);
}

#[test]
fn what_is_idle_holds_nothing() {
    let mut decoder = Decoder::new(MAX);
    let (mut lines, mut answers) = (Vec::new(), Vec::new());
    let message = sent(TEXT, true, &[b'x'; MAX]);
    let (begin, end) = message.split_at(MAX / 2);
    decoder.take(begin, &mut lines, &mut answers);
    assert!(decoder.begun.capacity() > 0);
    decoder.take(end, &mut lines, &mut answers);
    decoder.take(&sent(TEXT, false, b"x"), &mut lines, &mut answers);
    assert!(decoder.open.is_some());
    decoder.take(&sent(PING, true, b""), &mut lines, &mut answers);
    assert!(decoder.open.is_some());
    decoder.take(&sent(MORE, true, b""), &mut lines, &mut answers);
    assert_eq!((decoder.begun.capacity(), decoder.open.is_some()), (0, false));
    assert_eq!(lines.len(), MAX + 1 + 2);
}

#[test]
fn messages_at_the_limit_and_one_past_it() {
    let (fits, past) = ([b'x'; MAX], [b'x'; MAX + 1]);
    assert_eq!(refused(&[sent(TEXT, true, &fits)]), None);
    assert_eq!(refused(&[sent(TEXT, true, &past)]), Some(Close::TooLong));
    let parts = |last: &[u8]| [sent(TEXT, false, &fits[1..]), sent(MORE, true, last)];
    assert_eq!(refused(&parts(b"x")), None);
    assert_eq!(refused(&parts(b"xx")), Some(Close::TooLong));
    // The header is enough: no memory is allocated for the length in it.
    let header = [0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    assert_eq!(refused(&[header.to_vec()]), Some(Close::TooLong));
}

#[test]
fn what_must_not_come_is_refused() {
    let masked = FrameHeader { mask: Some([1; 4]), opcode: TEXT, ..FrameHeader::default() };
    let bare = FrameHeader { mask: None, ..masked.clone() };
    let extended = FrameHeader { rsv1: true, ..masked.clone() };
    let binary = OpCode::Data(Data::Binary);
    for (frames, reason) in [
        (vec![of(bare, b"{}")], Close::Malformed),
        (vec![of(extended, b"{}")], Close::Malformed),
        (vec![vec![0x83, 0x80, 0, 0, 0, 0]], Close::Malformed),
        (vec![vec![0x8b, 0x80, 0, 0, 0, 0]], Close::Malformed),
        (vec![sent(MORE, true, b"{}")], Close::Malformed),
        (vec![sent(TEXT, false, b"{"), sent(TEXT, true, b"}")], Close::Malformed),
        (vec![sent(PING, true, &[b'x'; 126])], Close::Malformed),
        (vec![sent(PING, false, b"x")], Close::Malformed),
        (vec![sent(OpCode::Control(Control::Close), true, b"x")], Close::Malformed),
        (vec![closed(0)], Close::Malformed),
        (vec![closed(999)], Close::Malformed),
        (vec![closed(1004)], Close::Malformed),
        (vec![closed(1005)], Close::Malformed),
        (vec![closed(1015)], Close::Malformed),
        (vec![closed(2999)], Close::Malformed),
        (vec![closed(5000)], Close::Malformed),
        (vec![sent(binary, true, b"")], Close::Binary),
        (vec![sent(binary, false, b"x"), sent(MORE, true, b"x")], Close::Binary),
        (vec![sent(TEXT, true, b"\xff")], Close::NotUtf8),
        (vec![sent(TEXT, true, b"\xe2\x82")], Close::NotUtf8),
        (vec![sent(TEXT, false, b"\xe2\x82"), sent(MORE, true, b"x")], Close::NotUtf8),
    ] {
        assert_eq!(refused(&frames), Some(reason), "{frames:?}");
        // What came before it is heard, and what comes after it is not.
        let ok = sent(TEXT, true, b"ok");
        let all = [ok.clone(), frames.concat(), ok].concat();
        let (lines, _, end) = taken([&all[..]]);
        assert_eq!((&*lines, end), ("ok\n", Some(End::Refused(reason))), "{frames:?}");
    }
}

#[test]
fn a_close_is_answered_in_kind_and_is_the_end() {
    for code in [1000_u16, 1001, 1013, 3000, 4711] {
        let all = [sent(TEXT, true, b"last"), closed(code), sent(TEXT, true, b"no")].concat();
        let (lines, answers, end) = taken([&all[..]]);
        assert_eq!((&*lines, end), ("last\n", Some(End::Closed)));
        assert_eq!(answers[0], 0x88);
        assert_eq!(answers[2..4], code.to_be_bytes());
        assert_eq!(taken(all.chunks(1)), (lines, answers, end));
    }
    // The close is answered once, after everything that came before it.
    let (mut decoder, mut lines, mut answers) = (Decoder::new(MAX), Vec::new(), Vec::new());
    let both = [sent(PING, true, b"x"), closed(1000)].concat();
    decoder.take(&both, &mut lines, &mut answers);
    assert_eq!(answers, [0x8a, 1, b'x']);
    decoder.answer_close(&mut answers);
    let len = answers.len();
    assert!(len > 3);
    decoder.answer_close(&mut answers);
    assert_eq!(answers.len(), len);
    let without = sent(OpCode::Control(Control::Close), true, b"");
    assert_eq!(taken([&without[..]]), (String::new(), vec![0x88, 0], Some(End::Closed)));
}

proptest! {
    /// However the bytes are cut, and whatever they are.
    #[test]
    fn cuts_change_nothing(
        frames in prop::collection::vec(
            (0..16_u8, any::<bool>(), prop::collection::vec(any::<u8>(), 0..20), 0..20_u8),
            0..8,
        ),
        cuts in prop::collection::vec(0..200_usize, 0..6),
    ) {
        let mut bytes = Vec::new();
        for (opcode, is_final, payload, luck) in frames {
            // Most frames are in order, or nothing would ever be read.
            let payload = if luck < 18 { vec![b'a'; payload.len()] } else { payload };
            let opcode = if luck < 16 { [0, 1, 9, 10][usize::from(luck) % 4] } else { opcode };
            bytes.extend(sent(OpCode::from(opcode), is_final, &payload));
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let whole = taken([&bytes[..]]);
        prop_assert_eq!(&taken(cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]])), &whole);
        prop_assert_eq!(&taken(bytes.chunks(1)), &whole);
    }
}
