//! Callbacks: HTTP requests tell a member without a connection what other members
//! hear on their connections.
//!
//! Each such member has a `courier` of its own, a task that takes one thing after
//! the other from the member's `desk`, makes a `delivery` of it, calls, and hands
//! in the `verdict`: the answer to a command is the member's result.
//!
//! [`crate::outbound`] decides which addresses it may call.

mod callback;
mod courier;
mod delivery;
mod desk;
mod pause;
mod signature;
mod verdict;

pub use callback::Callback;

use crate::broker::{Broker, CallbackRecord, Identity};
use crate::error::{Code, Fault};
use crate::outbound::{ErrorKind, Limits, Outbound, Policy};
use crate::permits::{Permit, Permits};
use crate::resident::{Resident, Residents, Token, Wants};
use crate::runtime;
use courier::Courier;
use delivery::Addressee;
use desk::Desk;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The couriers of a broker.
pub struct Couriers {
    broker: Arc<Broker>,
    outbound: Arc<Outbound>,
    working: Permits,
}

impl fmt::Debug for Couriers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Couriers").field("working", &self.working).finish_non_exhaustive()
    }
}

/// A callback that may be served.
#[derive(Debug)]
pub struct Admitted {
    callback: Callback,
    permit: Permit,
}

impl Admitted {
    /// What its member is to be sent.
    pub fn wants(&self) -> Wants {
        self.callback.wants
    }

    /// What the store keeps of it for a restart of the broker; `addr` is where its
    /// member asked from.
    pub fn record(&self, addr: SocketAddr) -> CallbackRecord {
        self.callback.record(addr)
    }
}

impl Couriers {
    /// Couriers for this broker, none at work yet.
    pub fn new(broker: Arc<Broker>) -> Couriers {
        let allow = broker.config.allow_callback.clone();
        let policy = Policy { allow, setting: "--allow-callback" };
        let outbound = Arc::new(Outbound::new(policy));
        Couriers { broker, outbound, working: Permits::default() }
    }

    /// Checks that a callback may be served: that there is room, and that its host
    /// may be called now.
    ///
    /// # Errors
    /// [`Code::Full`]; [`Code::Denied`] for an address that is not called,
    /// [`Code::BadRequest`] for a name without an address, [`Code::Busy`] if that
    /// cannot be determined now.
    pub async fn admit(&self, callback: Callback) -> Result<Admitted, Fault> {
        let most = self.broker.config.max_callbacks;
        let Some(permit) = self.working.take(most) else {
            let text = format!("there are {most} members with a call-back already");
            return Err(Fault::new(Code::Full, text));
        };
        let looked = self.outbound.check(&callback.url, &Limits::default()).await;
        looked.map_err(|error| {
            let code = match error.kind {
                ErrorKind::Refused => Code::Denied,
                ErrorKind::Busy | ErrorKind::Timeout => Code::Busy,
                _ => Code::BadRequest,
            };
            Fault::new(code, format!("the callback: {error}"))
        })?;
        Ok(Admitted { callback, permit })
    }

    /// Serves the callbacks from before a restart of the broker, for all members
    /// whose seats are still kept.
    pub fn resume(&self, residents: &Arc<Residents>) {
        let of_before = self.broker.callbacks_of_before().unwrap_or_else(|reason| {
            log::error!("event=callbacks-unreadable reason={reason:?}");
            Vec::new()
        });
        for (Identity { session, secret, .. }, record) in of_before {
            let token = Token { session, secret };
            let callback = Callback::recorded(&record);
            let resident =
                callback.as_ref().and_then(|c| residents.revive(&token, c.wants, record.addr));
            if let (Some(callback), Some(resident)) = (callback, resident) {
                // Callbacks that were admitted before the restart still are.
                let Some(permit) = self.working.take(usize::MAX) else { continue };
                self.serve(Admitted { callback, permit }, residents.clone(), resident);
            }
        }
    }

    /// Serves a callback for a resident from now on, until it leaves.
    pub fn serve(&self, admitted: Admitted, residents: Arc<Residents>, resident: Arc<Resident>) {
        let Admitted { callback, permit } = admitted;
        let to = Addressee {
            url: callback.url,
            channel: resident.channel.clone(),
            member: resident.name.clone(),
            secret: resident.token.to_string().into(),
        };
        let lease = Duration::from_millis(self.broker.lease_ms());
        let desk = Desk::new(self.broker.clone(), residents, resident);
        let courier = Courier::new(self.outbound.clone(), desk, to, lease);
        runtime::spawn(async move {
            courier.run().await;
            drop(permit);
        });
    }
}
