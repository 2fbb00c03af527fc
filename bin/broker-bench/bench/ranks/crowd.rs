//! The connections of all members, and what they are made to do together.

use super::hall::Hall;
use super::member::{Member, Stage};
use crate::bench::error::{Error, Result};
use crate::bench::pool::Pool;
use crate::bench::units::{SECOND, now};
use crate::bench::workload::Bench;
use std::net::SocketAddr;
use std::time::Duration;

/// Members that are about to join at the same time: fewer than any listen backlog.
const TOGETHER: usize = 128;
/// How long nothing may happen before the run is given up.
const PATIENCE_S: u64 = 60;
/// The chief's connection.
pub const CHIEF: usize = 0;

/// All members.
pub struct Crowd<'b> {
    bench: &'b Bench,
    pool: Pool<Member>,
    /// What they see.
    pub hall: Hall,
    /// Those with an open connection, in the order in which they joined.
    pub here: Vec<usize>,
}

impl<'b> Crowd<'b> {
    /// Nobody yet.
    ///
    /// # Errors
    /// The system's.
    pub fn new(bench: &'b Bench, to: SocketAddr, hall: Hall) -> Result<Self> {
        Ok(Crowd { bench, pool: Pool::new(to)?, hall, here: Vec::new() })
    }

    /// Polls once. A refusal by the broker is an error.
    ///
    /// # Errors
    /// The system's, and what the broker refuses.
    pub fn look(&mut self, timeout: Duration) -> Result<()> {
        self.pool.poll(timeout, &mut self.hall)?;
        match self.hall.complaint.take() {
            Some(complaint) => Err(Error::Refused(complaint)),
            None => Ok(()),
        }
    }

    /// Waits until `done` reaches `all`, for as long as something happens.
    ///
    /// # Errors
    /// If nothing happens any more, or the broker refuses something.
    pub fn wait(
        &mut self,
        doing: &'static str,
        all: u64,
        mut done: impl FnMut(&mut Self) -> u64,
    ) -> Result<()> {
        let mut last = (0, now());
        loop {
            let now_done = done(self);
            if now_done >= all {
                return Ok(());
            }
            self.bench.screen.show(doing, now_done, all);
            let sign = (now_done, self.hall.lines);
            if sign.0 + sign.1 != last.0 {
                last = (sign.0 + sign.1, now());
            } else if now() - last.1 > PATIENCE_S * SECOND {
                return Err(Error::Silent { doing, seconds: PATIENCE_S });
            }
            self.look(Duration::from_millis(100))?;
        }
    }

    /// Has so many join; those for whom `stays` does not hold close their connection as
    /// soon as they are in.
    ///
    /// # Errors
    /// As above.
    pub fn join(&mut self, members: u32, stays: impl Fn(u32) -> bool) -> Result<()> {
        for index in 0..members {
            self.pool.open(Member::new(index), None)?;
            // The chief comes first, alone: the channel is there then.
            let ahead = if index == 0 { 1 } else { TOGETHER };
            while self.pool.len() - self.hall.joined >= ahead {
                self.let_go(&stays)?;
                self.look(Duration::from_millis(100))?;
            }
            self.let_go(&stays)?;
            self.bench.screen.show("joining", index.into(), members.into());
        }
        self.wait("joining", members.into(), |crowd| crowd.hall.joined as u64)?;
        self.let_go(&stays)
    }

    /// Closes the connections of newcomers that do not stay.
    fn let_go(&mut self, stays: &impl Fn(u32) -> bool) -> Result<()> {
        for id in std::mem::take(&mut self.hall.newcomers) {
            let member = &mut self.pool.get(id).client;
            if stays(member.index) {
                self.here.push(id);
            } else {
                member.stage = Stage::Gone;
                self.pool.close(id, &mut self.hall)?;
            }
        }
        Ok(())
    }

    /// One of them sends these lines.
    ///
    /// # Errors
    /// The system's.
    pub fn say(&mut self, id: usize, lines: &str) -> Result<()> {
        self.pool.get(id).out.extend_from_slice(lines.as_bytes());
        self.pool.send(id, &mut self.hall)
    }

    /// A member, by its connection.
    pub fn member(&mut self, id: usize) -> &mut Member {
        &mut self.pool.get(id).client
    }

    /// Cuts a member off, as a failing machine would be.
    ///
    /// # Errors
    /// The system's.
    pub fn cut(&mut self, id: usize) -> Result<()> {
        self.member(id).stage = Stage::Gone;
        self.pool.close(id, &mut self.hall)
    }

    /// Removes those that have gone from `here`.
    pub fn count_again(&mut self) {
        let pool = &mut self.pool;
        self.here.retain(|id| pool.get(*id).client.stage == Stage::In);
    }

    /// Has the chief publish a message, and waits until everybody here has got it, and
    /// with it all that was before.
    ///
    /// # Errors
    /// As above.
    pub fn catch_up(&mut self, channel: &str) -> Result<()> {
        let before = self.hall.echo.0;
        self.say(CHIEF, &format!("pub {channel} everybody\n"))?;
        self.wait("waiting for the chief", before + 1, |crowd| crowd.hall.echo.0)?;
        let (mark, all) = (self.hall.echo.0, self.here.len() as u64);
        // Those before `reached` have got it for good: `next` never falls.
        let mut reached = 0;
        self.wait("waiting for all", all, |crowd| {
            while crowd.here.get(reached).is_some_and(|id| crowd.pool.get(*id).client.next > mark) {
                reached += 1;
            }
            reached as u64
        })
    }

    /// Compares what everybody here was told, and has worked out, with the roster.
    pub fn check(&mut self) {
        let members = self.hall.model.iter().map(|(_, member, _)| member).max().unwrap_or(0);
        let mut right = vec![None; members as usize + 1];
        for (rank, member, term) in self.hall.model.iter() {
            right[member as usize] = Some((rank, term));
        }
        for id in self.here.clone() {
            let Member { index, rank, told, .. } = *self.member(id);
            let expected = right.get(index as usize).copied().flatten();
            if expected != Some(told) {
                self.hall.wrong(|| {
                    format!("member {index} was told rank and term {told:?}; right is {expected:?}")
                });
            }
            let by_log = rank.is_none() || rank == expected.map(|(rank, _)| rank);
            if !by_log {
                self.hall.wrong(|| {
                    format!("member {index} has rank {rank:?} by the log; right is {expected:?}")
                });
            }
        }
    }

    /// Drops the channel and leaves.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(mut self, channel: &str) -> Result<()> {
        self.say(CHIEF, &format!("drop {channel}\nquit\n"))?;
        for id in self.here.clone() {
            self.member(id).stage = Stage::Gone;
        }
        let end = now() + 5 * SECOND;
        while now() < end && self.pool.get(CHIEF).is_open() {
            self.pool.poll(Duration::from_millis(100), &mut self.hall)?;
        }
        Ok(())
    }
}
