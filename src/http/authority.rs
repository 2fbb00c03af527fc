//! Authentication: the token of a resident lets its holder act for it.

use super::exchange::Exchange;
use super::problem::Problem;
use crate::error::{Close, Code, Fault};
use crate::resident::{Absent, Resident};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use std::sync::Arc;

impl Exchange {
    /// Renews the lease of the resident whose token the request has, if it has one,
    /// whatever it asks.
    pub fn renew(&self) {
        if self.head.headers.contains_key(AUTHORIZATION) {
            // A wrong token is reported by those requests that need one.
            let _ = self.resident();
        }
    }

    /// The token after `Authorization: Bearer`, if the request has one.
    ///
    /// # Errors
    /// 401 for another kind of authorization.
    pub fn bearer(&self) -> Result<Option<&str>, Problem> {
        let Some(header) = self.header(&AUTHORIZATION)? else { return Ok(None) };
        let token = header.split_once(' ').filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        token.map(|(_, token)| Some(token.trim())).ok_or_else(no_token)
    }

    /// The resident whose token the request has, if it has one; renews the
    /// resident's lease.
    ///
    /// # Errors
    /// 401 for what is no token, 410 for a resident that has gone.
    pub fn resident(&self) -> Result<Option<Arc<Resident>>, Problem> {
        let Some(token) = self.bearer()? else { return Ok(None) };
        let token = token.parse().map_err(|()| no_token())?;
        let addr = self.caller.session().client().origin().addr;
        Ok(Some(self.http.residents.find(&token, addr)?))
    }

    /// The resident whose token the request has, for what only a member of this
    /// channel may do.
    ///
    /// # Errors
    /// As for `resident`; 401 without a token, 403 for a member of another channel.
    pub fn member(&self) -> Result<Arc<Resident>, Problem> {
        let text = "this needs the token of a member without a connection, as Authorization: \
                    Bearer TOKEN; POST to …/members gives one";
        let resident = self.resident()?.ok_or_else(|| unknown(text))?;
        let channel = self.part("channel");
        if *resident.channel == *channel {
            return Ok(resident);
        }
        // If the channel does not exist, that says more.
        self.http.broker.channel(channel)?;
        let text =
            format!("{} is a member of {}, not of {channel}", resident.name, resident.channel);
        Err(Fault::new(Code::NotMember, text).into())
    }

    /// The resident whose token the request has, for what a member may do only for
    /// itself.
    ///
    /// # Errors
    /// As for `member`; 403 for the token of somebody else.
    pub fn own(&self) -> Result<Arc<Resident>, Problem> {
        let resident = self.member()?;
        let wanted = self.part("member");
        if *resident.name == *wanted {
            return Ok(resident);
        }
        let shown = crate::error::quoted(wanted);
        let text = format!("this is the token of {}, not of {shown}", resident.name);
        Err(Fault::new(Code::Denied, text).into())
    }
}

/// 401, and what to do about it.
pub(super) fn unknown(text: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, Code::Denied, text)
        .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn no_token() -> Problem {
    unknown("Authorization must be Bearer and a token")
}

impl From<Absent> for Problem {
    fn from(absent: Absent) -> Self {
        match absent {
            Absent::Unknown => unknown("nobody has this token"),
            Absent::Gone { reason, .. } if reason == Close::Shutdown.as_str() => {
                Fault::new(Code::Unavailable, "this broker is stopping").into()
            }
            // It still has its seat.
            Absent::Gone { name, reason, .. } if reason == Close::TakenOver.as_str() => {
                let text = format!("{name} went on from a connection, with this token's session");
                Problem::from(Fault::new(Code::Gone, text)).saying("reason", reason)
            }
            Absent::Gone { channel, name, reason } => {
                let text = format!("{name} is no member of {channel} any more: {reason}");
                Problem::from(Fault::new(Code::Gone, text)).saying("reason", reason)
            }
        }
    }
}
