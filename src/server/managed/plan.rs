//! The next step of the renewal: a pure function of what the Secret holds, the time, and the lifetimes.
//!
//! A new CA comes in three steps, each one write. It is added to the Secret, and with it to both `caBundle`s; once they have
//! held it for a while, a certificate that it signed replaces the old one; when the last certificate of the old CA has ended,
//! the old CA is removed. At no time does anybody serve a certificate whose CA is not trusted.

use std::time::Duration;

/// Most CAs in the Secret: the new one, that of the certificate, and those of certificates that some replica may still serve.
pub(super) const AUTHORITIES: usize = 4;
/// Seconds by which a certificate is valid before it is made: the clocks of API servers may differ.
pub(super) const BACKDATE: i64 = 3_600;
/// Maximum time for which both configurations must have trusted a CA.
const SETTLING: Duration = Duration::from_mins(10);

/// Lifetimes of what is made, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    pub(super) authority: i64,
    pub(super) leaf: i64,
}

impl Lifetimes {
    /// Lifetimes in seconds. A CA lives at least as long as the certificates that it signs.
    pub fn new(authority: u32, leaf: u32) -> Self {
        Self { authority: authority.max(leaf).into(), leaf: leaf.max(1).into() }
    }

    /// Time for which both configurations must have trusted a CA before a certificate of it is served: every API server has
    /// seen the change by then. A tenth of the certificate's lifetime, at most ten minutes.
    pub(super) fn settling(&self) -> Duration {
        (Duration::from_secs(self.leaf.unsigned_abs()) / 10).min(SETTLING)
    }

    /// The time by which a certificate with that end should have been renewed: when three quarters of its lifetime are over.
    pub(super) fn renewed_by(&self, end: i64) -> i64 {
        end.saturating_sub(self.leaf / 4)
    }
}

/// When a certificate is valid, in seconds since 1970. Both ends are part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) begins: i64,
    pub(super) ends: i64,
}

impl Period {
    /// A period of that length which begins now, and is valid a little earlier.
    pub(super) fn from(now: i64, lifetime: i64) -> Self {
        Self { begins: now.saturating_sub(BACKDATE), ends: now.saturating_add(lifetime) }
    }

    pub(super) fn holds(&self, now: i64) -> bool {
        self.begins <= now && now <= self.ends
    }

    /// The time at which two thirds of the lifetime are over.
    fn due(&self, lifetime: i64) -> i64 {
        self.ends.saturating_sub(lifetime / 3)
    }
}

/// The certificate in the Secret, which one of its CAs signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) period: Period,
    /// Position of the CA.
    pub(super) signer: usize,
}

/// Everything that the next step depends on, besides time and lifetimes.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The CAs, the newest first.
    pub(super) authorities: Vec<Period>,
    /// `None` where no CA of the Secret signed it, or its key is another.
    pub(super) leaf: Option<Leaf>,
    /// Set when the Secret holds the key of the newest CA.
    pub(super) has_key: bool,
    /// Set when both webhook configurations have trusted the newest CA for [`Lifetimes::settling`].
    pub(super) is_trusted: bool,
    /// The CA of the certificate that this replica serves, where the Secret lacks it.
    pub(super) missing: Option<Period>,
}

/// One write, or none for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Make a CA and a certificate: nothing that is there can be used.
    Begin,
    /// Put a new CA before these.
    Introduce(Vec<usize>),
    /// Have the newest CA sign a certificate.
    Sign,
    /// Put the CA of the certificate that this replica serves back.
    Adopt,
    /// Keep these CAs alone.
    Retire(Vec<usize>),
    /// Nothing is due before that time.
    Wait(i64),
    /// Both webhook configurations must trust the newest CA first.
    AwaitTrust,
}

/// The next step.
pub(super) fn next(view: &View, now: i64, lifetimes: Lifetimes) -> Step {
    let usable = |position: &usize| view.authorities.get(*position).is_some_and(|period| period.holds(now));
    let newest = view.authorities.first().filter(|newest| view.has_key && newest.holds(now));
    let leaf = view.leaf.filter(|leaf| leaf.period.holds(now) && usable(&leaf.signer));
    let (newest, leaf) = match (newest, leaf) {
        (None, None) => return Step::Begin,
        // Whatever is served now is not accepted: there is nothing to wait for.
        (Some(_), None) => return Step::Sign,
        (None, Some(leaf)) => return Step::Introduce(kept(view, leaf.signer, now)),
        (Some(newest), Some(leaf)) => (newest, leaf),
    };
    // By then the last certificate of any older CA has ended.
    let outlived = newest.begins.saturating_add(BACKDATE).saturating_add(lifetimes.leaf);
    let is_over = |period: &Period| period.ends < now || outlived <= now;
    if view.missing.is_some_and(|missing| !is_over(&missing)) && view.authorities.len() < AUTHORITIES {
        return Step::Adopt;
    }
    if leaf.signer != 0 {
        return if view.is_trusted { Step::Sign } else { Step::AwaitTrust };
    }
    let (authority_due, leaf_due) = (newest.due(lifetimes.authority), leaf.period.due(lifetimes.leaf));
    if authority_due <= now {
        return Step::Introduce(kept(view, leaf.signer, now));
    }
    if leaf_due <= now {
        return Step::Sign;
    }
    let older = view.authorities.iter().enumerate().skip(1);
    let left: Vec<usize> = older.clone().filter(|(_, period)| !is_over(period)).map(|(position, _)| position).collect();
    if left.len() + 1 < view.authorities.len() {
        return Step::Retire(std::iter::once(0).chain(left).collect());
    }
    let ends = older.map(|(_, period)| outlived.min(period.ends.saturating_add(1)));
    Step::Wait(ends.chain([authority_due, leaf_due]).min().unwrap_or(leaf_due))
}

/// The CAs that stay behind a new one: that of the certificate, and others that are valid, as far as there is room.
fn kept(view: &View, signer: usize, now: i64) -> Vec<usize> {
    let others = view.authorities.iter().enumerate();
    let others = others.filter(|(position, period)| *position != signer && period.holds(now));
    std::iter::once(signer).chain(others.map(|(position, _)| position)).take(AUTHORITIES - 1).collect()
}

#[cfg(test)]
mod tests;
