//! A part of an answer's body: bytes of its own, then pieces of the log, which
//! go to the socket from where they are.

use crate::session::Piece;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// A part of a body.
#[derive(Debug, Default)]
pub struct Part {
    own: Bytes,
    pieces: VecDeque<Piece>,
    /// How many bytes of the first piece are written.
    written: usize,
    /// How many bytes of all pieces are not written.
    left: usize,
}

impl Part {
    /// These bytes, and then these pieces.
    pub fn new(own: Vec<u8>, pieces: impl IntoIterator<Item = Piece>) -> Part {
        let pieces: VecDeque<Piece> = pieces.into_iter().collect();
        let left = pieces.iter().map(|piece| piece.bytes().len()).sum();
        Part { own: own.into(), pieces, written: 0, left }
    }

    fn rest_of_first(&self) -> &[u8] {
        let first = self.pieces.front().map(Piece::bytes).unwrap_or_default();
        first.get(self.written..).unwrap_or_default()
    }
}

impl From<Vec<u8>> for Part {
    fn from(own: Vec<u8>) -> Part {
        Part::new(own, None)
    }
}

/// Bytes that are part of the program.
impl From<&'static [u8]> for Part {
    fn from(own: &'static [u8]) -> Part {
        Part { own: Bytes::from_static(own), ..Part::default() }
    }
}

impl Buf for Part {
    fn remaining(&self) -> usize {
        self.own.len() + self.left
    }

    fn chunk(&self) -> &[u8] {
        if self.own.is_empty() { self.rest_of_first() } else { &self.own }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let own = [&self.own[..], self.rest_of_first()];
        let all = own.into_iter().chain(self.pieces.iter().skip(1).map(Piece::bytes));
        let mut filled = 0;
        for (slice, bytes) in slices.iter_mut().zip(all.filter(|bytes| !bytes.is_empty())) {
            *slice = IoSlice::new(bytes);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut written: usize) {
        let of_own = written.min(self.own.len());
        self.own.advance(of_own);
        written -= of_own;
        self.left = self.left.saturating_sub(written);
        self.written += written;
        while let Some(first) = self.pieces.front().map(|first| first.bytes().len())
            && self.written >= first
        {
            self.written -= first;
            self.pieces.pop_front();
        }
    }
}
