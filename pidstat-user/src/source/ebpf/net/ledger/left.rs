//! Connections that ended without an owner: whose they are is found out afterwards.
//!
//! Somebody who only looked at a socket may be who closed it; then the record says whose credentials accepted the connection.
//! What nobody accepted belongs to whoever listens there.

use super::live::Live;
use super::{Account, Ledger, NS_PER_TICK, OwnerKey, account, close, credit, identity, inet, named, traffic};
use crate::sample::{
    Comm, TaskKey,
    socket::{ConnectionKey, MPTCP, User, address},
};
use pidstat_common::net::{Credentials, OWNER_ACCEPTED, Owner, SockName, UPPER_MPTCP};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

/// Everything that no process took and nobody listened for.
const NOBODY: OwnerKey = (0, 2 * NS_PER_TICK);
const NOBODY_NAME: &[u8] = b"[unaccepted]";
/// Credentials that no walk found for so many samples are forgotten.
const KEPT_SAMPLES: u64 = 64;

/// What is still to be told whose it is.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Connections that ended since the last sample, by cookie.
    ended: Vec<(u64, Live)>,
    /// Cookies of those among them that a sample more is waited for.
    waited: HashSet<u64>,
    /// Cookies of those that were closed and did not end yet.
    open: Vec<u64>,
    /// Sockets that listened, and ended since the last sample.
    listened: Vec<(SockName, OwnerKey)>,
    /// Who has which credentials, and the last sample that saw them.
    credentials: HashMap<u64, (Owner, u64)>,
}

/// Who listens: by network namespace and port, and there by address.
#[derive(Debug, Default)]
pub(super) struct Listeners(HashMap<(u32, u16), Vec<(IpAddr, OwnerKey)>>);

impl Listeners {
    /// Who listens for a connection of this name.
    pub(super) fn of(&self, name: &SockName) -> Option<OwnerKey> {
        let there = self.0.get(&(name.netns, name.local_port))?;
        let local = address(name.family, name.local);
        let by =
            |wanted: &dyn Fn(&IpAddr) -> bool| there.iter().find(|(at, _)| wanted(at)).map(|(_, who)| *who);
        by(&|at| *at == local).or_else(|| by(&IpAddr::is_unspecified))
    }
}

fn accepted_by(owner: &Owner) -> Option<u64> {
    (owner.flags & OWNER_ACCEPTED != 0).then_some(owner.start_ns)
}

impl Ledger {
    /// A socket without an owner was seen.
    pub(super) fn ownerless(&mut self, cookie: u64, owner: &Owner) {
        if accepted_by(owner).is_some() {
            self.left.open.push(cookie);
        }
    }

    /// A connection ended without an owner.
    pub(super) fn leave(&mut self, cookie: u64, live: Live) {
        self.left.ended.push((cookie, live));
    }

    /// A socket that listened ended.
    pub(super) fn listened(&mut self, name: SockName, owner: OwnerKey) {
        self.left.listened.push((name, owner));
    }

    /// Whether it must be known whose credentials are whose.
    pub fn wants_credentials(&self) -> bool {
        !self.left.open.is_empty()
            || self.left.ended.iter().any(|(_, live)| accepted_by(&live.record.owner).is_some())
    }

    /// Whose credentials these are.
    pub fn credentials(&mut self, found: &Credentials) {
        self.left.credentials.insert(found.address, (found.owner, self.sample));
    }

    /// Gives what ended without an owner to whom it belongs; after the walks of a sample.
    pub fn adopt(&mut self) {
        let sample = self.sample;
        for cookie in std::mem::take(&mut self.left.open) {
            let Some(live) = self.sockets.get_mut(&cookie).filter(|live| live.owner.is_none()) else {
                continue;
            };
            if let Some(owner) = acceptor(&self.left, live) {
                let key = account(&mut self.owners, owner, sample);
                live.owner = Some(key);
                credit(&mut self.owners, key, inet, traffic(&live.moved), sample);
            }
        }
        let ended = std::mem::take(&mut self.left.ended);
        if !ended.is_empty() {
            let (listeners, parents) = (self.listeners(), self.parents(&ended));
            for (cookie, live) in ended {
                let name = &live.record.name;
                let parent = parents.get(&ends(name)).copied();
                // The use of its MPTCP socket may be younger than the flows of this sample; the next has it.
                if parent.is_none() && live.record.upper == UPPER_MPTCP && self.left.waited.insert(cookie) {
                    self.left.ended.push((cookie, live));
                    continue;
                }
                self.left.waited.remove(&cookie);
                let known = parent.or_else(|| listeners.of(name));
                let key = match (acceptor(&self.left, &live), known) {
                    (Some(owner), _) => account(&mut self.owners, owner, sample),
                    (None, Some(known)) => again(&mut self.owners, known),
                    (None, None) => named(&mut self.owners, NOBODY, NOBODY_NAME, sample),
                };
                credit(&mut self.owners, key, inet, traffic(&live.moved), sample);
                if self.keep_closed
                    && let Some((of, user)) = identity(&self.owners, cookie, key)
                {
                    self.bury(live.connection(of, user, true));
                }
                close(&mut self.owners, key, sample);
            }
        }
        self.left.listened.clear();
        self.left.credentials.retain(|_, (_, seen)| *seen + KEPT_SAMPLES > sample);
    }

    /// Packets that reached sockets nobody used.
    pub(super) fn credit_nobody(&mut self, gain: crate::sample::Traffic) {
        let key = named(&mut self.owners, NOBODY, NOBODY_NAME, self.sample);
        credit(&mut self.owners, key, inet, gain, self.sample);
        close(&mut self.owners, key, self.sample);
    }

    /// Who uses the MPTCP sockets that the first subflows among these are named like.
    fn parents(&self, ended: &[(u64, Live)]) -> HashMap<Ends, OwnerKey> {
        if !ended.iter().any(|(_, live)| live.record.upper == UPPER_MPTCP) {
            return HashMap::new();
        }
        let flows = self.flows.values().filter(|flow| flow.last.name.protocol == MPTCP);
        flows.map(|flow| (ends(&flow.last.name), flow.owner)).collect()
    }

    /// Everybody who listens, and who did until this sample.
    pub(super) fn listeners(&self) -> Listeners {
        let mut found = Listeners::default();
        let living = self.sockets.values().filter(|live| live.listens());
        let living = living.filter_map(|live| Some((&live.record.name, live.owner?)));
        for (name, owner) in living.chain(self.left.listened.iter().map(|(name, owner)| (name, *owner))) {
            let place = found.0.entry((name.netns, name.local_port)).or_default();
            place.push((address(name.family, name.local), owner));
        }
        found
    }
}

/// What a connection is called by both its ends.
type Ends = (u32, IpAddr, u16, IpAddr, u16);

fn ends(name: &SockName) -> Ends {
    let [local, remote] = [name.local, name.remote].map(|words| address(name.family, words));
    (name.netns, local, name.local_port, remote, name.remote_port)
}

/// One more of an owner's.
fn again(owners: &mut HashMap<OwnerKey, Account>, key: OwnerKey) -> OwnerKey {
    if let Some(account) = owners.get_mut(&key) {
        account.open += 1;
    }
    key
}

/// Who accepted it, if that is known. Who began after the connection did only has what another process left behind.
fn acceptor<'a>(left: &'a Left, live: &Live) -> Option<&'a Owner> {
    let (owner, _) = left.credentials.get(&accepted_by(&live.record.owner)?)?;
    let opened_ns = live.record.name.opened_ns;
    (opened_ns == 0 || owner.start_ns <= opened_ns).then_some(owner)
}

/// What a connection is called that nobody accepted yet, and whose it is.
pub(super) fn unaccepted(cookie: u64) -> (ConnectionKey, User) {
    let owner = TaskKey { start_ticks: NOBODY.1 / NS_PER_TICK, ..TaskKey::default() };
    (ConnectionKey { cookie, owner }, User { comm: Comm::new(NOBODY_NAME), uid: 0 })
}
