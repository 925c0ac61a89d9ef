//! Reads a review's body within its bounds, and keeps its answer within the same.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::addresses::{Addresses, Share};

/// The largest review that is read, in bytes. An object may have 1.5 MiB in etcd; a review carries it twice, and JSON
/// may be several times the size of the protobuf that is stored.
const LIMIT: usize = 8 << 20;
/// Bytes of all bodies together, and of the answers that are not sent.
const BUDGET: usize = 80 << 20;
/// The same of all callers that nobody knows: a fifth is left to those who are known.
const UNKNOWN: usize = BUDGET / 5 * 4;
/// The same of one address whose caller nobody knows: a tenth, which is the largest review.
const SHARE: usize = BUDGET / 10;
/// Bytes of one permit.
const UNIT: usize = 1 << 10;
/// Bytes kept of a body that is too much: the uid stands at the front.
pub(super) const HEAD: usize = 64 << 10;
/// Bytes that are read and thrown away, so that the caller gets to read the answer.
const DRAINED: usize = 64 << 20;

/// The room that all bodies share.
pub(super) struct Budget {
    all: Arc<Semaphore>,
    /// Bytes held by unknown callers.
    unknown: Addresses,
}

/// Result of reading a body.
pub(super) enum Read {
    /// All of it.
    Whole {
        /// The body.
        bytes: Bytes,
        /// Gives its room back when dropped.
        room: Room,
    },
    /// Not all of it; the front of it, and why.
    Part(Bytes, Cut),
}

/// The room that a body takes, and its answer after it.
pub(super) struct Room {
    budget: Arc<Semaphore>,
    all: Option<OwnedSemaphorePermit>,
    /// Share of an unknown caller that this body holds.
    share: Option<Share>,
}

/// Reason why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It is more than the limit.
    TooLarge,
    /// There was no room for it.
    NoRoom,
    /// It did not come in time.
    Late,
    /// It broke off, or its framing is not HTTP's.
    Broken,
}

impl fmt::Display for Cut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(out, "the review is larger than {LIMIT} bytes, the most that is read"),
            Self::NoRoom => out.write_str("the server has more to do than it takes on; try again"),
            Self::Late | Self::Broken => out.write_str("the review did not come whole, or not in time"),
        }
    }
}

impl Budget {
    /// The room of one server.
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(BUDGET / UNIT)), unknown: Addresses::new(SHARE, UNKNOWN) }
    }

    /// Room that holds nothing yet. `unknown` is the address of a caller that nobody knows.
    pub(super) fn room(&self, unknown: Option<IpAddr>) -> Room {
        let share = unknown.map(|address| self.unknown.place(address));
        Room { budget: Arc::clone(&self.all), all: None, share }
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        BUDGET - self.all.available_permits() * UNIT
    }

    /// Reads a body until `deadline`. `unknown` is the address of a caller that nobody knows.
    pub(super) async fn read(&self, mut body: Body, unknown: Option<IpAddr>, deadline: Instant) -> Read {
        let deadline = deadline.into();
        let mut bytes = BytesMut::new();
        let mut held = self.room(unknown);
        let cut = loop {
            let data = match tokio::time::timeout_at(deadline, next(&mut body)).await {
                Ok(Ok(Some(data))) => data,
                Ok(Ok(None)) => return Read::Whole { bytes: bytes.freeze(), room: held },
                Ok(Err(())) => break Cut::Broken,
                Err(_) => break Cut::Late,
            };
            let length = bytes.len() + data.len();
            let has_room = length <= LIMIT && held.grow(length);
            // Without room, only what the uid may stand in is kept.
            let kept = if has_room { data.len() } else { data.len().min(HEAD.saturating_sub(bytes.len())) };
            bytes.extend_from_slice(&data[..kept]);
            if !has_room {
                break if length > LIMIT { Cut::TooLarge } else { Cut::NoRoom };
            }
        };
        bytes.truncate(HEAD);
        let head = Bytes::copy_from_slice(&bytes);
        drop((bytes, held));
        if matches!(cut, Cut::TooLarge | Cut::NoRoom) {
            // A caller that sends its body to the end before it reads would never see the answer.
            let _ = tokio::time::timeout_at(deadline, drain(&mut body)).await;
        }
        Read::Part(head, cut)
    }
}

impl Room {
    /// Takes what is missing of the room for `length` bytes; false when there is none.
    pub(super) fn grow(&mut self, length: usize) -> bool {
        let held = self.all.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = length.div_ceil(UNIT).saturating_sub(held);
        if missing == 0 {
            return true;
        }
        if self.share.as_mut().is_some_and(|share| !share.grow(length)) {
            return false;
        }
        let missing = missing.try_into().unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.budget).try_acquire_many_owned(missing) else {
            if let Some(share) = &mut self.share {
                share.shrink(held * UNIT);
            }
            return false;
        };
        match &mut self.all {
            Some(all) => all.merge(permit),
            none => *none = Some(permit),
        }
        true
    }

    /// The bytes of an answer, which hold as much of this room as they need until they are sent.
    pub(super) fn hold(mut self, answer: Vec<u8>) -> Bytes {
        let needed = answer.len().div_ceil(UNIT);
        if let Some(all) = &mut self.all {
            drop(all.split(all.num_permits().saturating_sub(needed)));
        }
        if let Some(share) = &mut self.share {
            share.shrink(answer.len());
        }
        Bytes::from_owner(Held { answer, _room: self })
    }
}

/// An answer on its way.
struct Held {
    answer: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

async fn drain(body: &mut Body) {
    let mut drained = 0;
    while let Ok(Some(data)) = next(body).await {
        drained += data.len();
        if drained > DRAINED {
            break;
        }
    }
}

/// The next bytes; trailers are passed over.
async fn next(body: &mut Body) -> Result<Option<Bytes>, ()> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| ())?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use axum::body::Body;
    use bytes::Bytes;
    use futures::stream;

    use super::{BUDGET, Budget, Cut, HEAD, LIMIT, Read, SHARE, UNIT};

    fn body(piece: Bytes, count: usize) -> Body {
        Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, Infallible>(piece.clone()))))
    }

    async fn read(budget: &Budget, body: Body) -> Read {
        budget.read(body, None, Instant::now() + Duration::from_mins(1)).await
    }

    #[tokio::test]
    async fn small_pieces_take_no_more_room_than_their_bytes() {
        let budget = Budget::new();
        let held = read(&budget, body(Bytes::from_static(b"x"), 5 * UNIT)).await;
        assert!(matches!(&held, Read::Whole { bytes, .. } if bytes.len() == 5 * UNIT));
        assert_eq!(budget.all.available_permits(), BUDGET / UNIT - 5);
        drop(held);
        assert_eq!(budget.all.available_permits(), BUDGET / UNIT);
    }

    #[tokio::test]
    async fn all_bodies_together_stay_within_the_budget() {
        let budget = Budget::new();
        let mut held = Vec::new();
        for _ in 0..BUDGET / LIMIT {
            held.push(read(&budget, body(Bytes::from_static(&[0; UNIT]), LIMIT / UNIT)).await);
            assert!(matches!(held.last(), Some(Read::Whole { .. })));
        }
        let next = read(&budget, body(Bytes::from_static(b"{\"uid\":1}"), 1)).await;
        assert!(matches!(next, Read::Part(head, Cut::NoRoom) if head == b"{\"uid\":1}"[..]));
        held.pop();
        assert!(matches!(read(&budget, body(Bytes::from_static(b"{}"), 1)).await, Read::Whole { .. }));
    }

    #[tokio::test]
    async fn the_front_of_a_body_too_large_is_kept_and_no_more() {
        let budget = Budget::new();
        let cut = read(&budget, body(Bytes::from_static(&[b'a'; 1000]), LIMIT / 1000 + 2)).await;
        assert!(matches!(cut, Read::Part(head, Cut::TooLarge) if head == vec![b'a'; HEAD]));
        let one = Bytes::from(vec![b'b'; LIMIT + 1]);
        let cut = read(&budget, body(one, 1)).await;
        assert!(matches!(cut, Read::Part(head, Cut::TooLarge) if head == vec![b'b'; HEAD]));
        assert_eq!(budget.all.available_permits(), BUDGET / UNIT);
    }

    #[tokio::test]
    async fn one_unknown_address_takes_a_tenth_and_leaves_the_rest() {
        let budget = Budget::new();
        let (one, other) = (Some(IpAddr::from([10, 0, 0, 1])), Some(IpAddr::from([10, 0, 0, 2])));
        let half = || body(Bytes::from_static(&[0; UNIT]), SHARE / UNIT / 2);
        let later = || Instant::now() + Duration::from_mins(1);
        let first = budget.read(half(), one, later()).await;
        let second = budget.read(half(), one, later()).await;
        assert!(matches!(budget.read(half(), one, later()).await, Read::Part(_, Cut::NoRoom)));
        assert!(matches!(budget.read(half(), other, later()).await, Read::Whole { .. }));
        assert!(matches!(budget.read(half(), None, later()).await, Read::Whole { .. }));
        drop(first);
        assert!(matches!(budget.read(half(), one, later()).await, Read::Whole { .. }));
        drop(second);
        assert!(budget.unknown.is_empty());
    }

    #[tokio::test]
    async fn an_answer_holds_its_room_until_it_is_sent() {
        let budget = Budget::new();
        let address = Some(IpAddr::from([10, 0, 0, 1]));
        let later = Instant::now() + Duration::from_mins(1);
        let Read::Whole { mut room, .. } = budget.read(body(Bytes::from_static(&[0; UNIT]), 4), address, later).await
        else {
            panic!("no room");
        };
        assert!(room.grow(3 * UNIT) && budget.all.available_permits() == BUDGET / UNIT - 4, "it has that already");
        assert!(room.grow(SHARE) && !room.grow(SHARE + UNIT), "no more than its share");
        let answer = room.hold(vec![b'a'; 2 * UNIT]);
        assert_eq!(budget.all.available_permits(), BUDGET / UNIT - 2);
        let part = answer.slice(..10);
        drop(answer);
        assert_eq!(budget.all.available_permits(), BUDGET / UNIT - 2, "a part of it is on its way");
        let mut others: Vec<_> = std::iter::repeat_with(|| budget.room(None)).take(9).collect();
        assert!(others.iter_mut().all(|room| room.grow(SHARE)));
        assert!(!budget.room(address).grow(SHARE - 2 * UNIT + 1), "its share is no more");
        let mut late = budget.room(address);
        assert!(others[0].grow(SHARE + UNIT) && !late.grow(SHARE - 2 * UNIT), "there is no more");
        others.clear();
        assert!(budget.room(address).grow(SHARE - 2 * UNIT), "what is neither used nor given is free for its address");
        drop((part, late));
        assert_eq!(budget.all.available_permits(), BUDGET / UNIT);
        assert!(budget.unknown.is_empty());
    }
}
