//! Slots of connections: so many at once, so many of one address; when all are taken, an idle connection makes room.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::activity::{Activity, Due, Rank};
use super::clock::now;
use super::limits::Most;
use crate::lock::lock;

/// One part in so many of the slots, an eighth, is for known callers, and for handshakes: nobody is known before.
const RESERVE: usize = 8;
/// Connections that are looked for at a time. A look costs as much as there are connections.
const BATCH: usize = 64;
/// Time for which the result "no connection can make room" is kept.
const BARREN: Duration = Duration::from_millis(50);

/// The slots of one port.
pub(super) struct Slots {
    books: Arc<Mutex<Books>>,
    ended: Arc<Notify>,
}

/// The place of one connection; it is given back when dropped.
pub(super) struct Slot {
    books: Arc<Mutex<Books>>,
    ended: Arc<Notify>,
    number: u64,
    activity: Arc<Activity>,
}

/// Whom there was no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Its address has all it may.
    Address,
    /// All slots are taken.
    Everywhere,
}

struct Books {
    most: Most,
    /// Slots of `most.all` that unknown callers leave.
    reserve: usize,
    next: u64,
    seats: HashMap<u64, Seat>,
    everybody: Line,
    /// Connections past their handshake whose caller nobody knows.
    unknown: Line,
    addresses: HashMap<IpAddr, Line>,
    /// Connections that were asked to end, and have not.
    leaving: usize,
}

struct Seat {
    address: IpAddr,
    activity: Arc<Activity>,
    is_known: bool,
}

/// Connections of which one may have to make room for another.
#[derive(Default)]
struct Line {
    numbers: BTreeSet<u64>,
    /// Those that make room next, as they were when they were looked for.
    candidates: VecDeque<(Standing, u64)>,
    /// Until when there is none.
    barren: Option<Instant>,
}

/// Which of them makes room: the least.
type Standing = (Rank, bool, Instant);

impl Slots {
    /// The slots of a port; `has_reserve` where callers may be known by their certificates.
    pub(super) fn new(most: Most, has_reserve: bool) -> Self {
        let books = Books {
            most,
            reserve: if has_reserve { most.all.div_ceil(RESERVE) } else { 0 },
            next: 0,
            seats: HashMap::new(),
            everybody: Line::default(),
            unknown: Line::default(),
            addresses: HashMap::new(),
            leaving: 0,
        };
        Self { books: Arc::new(Mutex::new(books)), ended: Arc::default() }
    }

    /// Waits while too many of those who were asked to end have not: they still hold what a connection takes. Most of them
    /// end as soon as their task runs.
    pub(super) async fn ready(&self) {
        while !lock(&self.books).is_ready() {
            self.ended.notified().await;
        }
    }

    /// A place for one more, and whether another connection made room for it.
    pub(super) fn enter(&self, address: IpAddr) -> Result<(Slot, bool), Full> {
        let mut books = lock(&self.books);
        let made_room = books.room(address)?;
        let activity = Activity::new();
        let number = books.next;
        books.next += 1;
        books.everybody.numbers.insert(number);
        books.addresses.entry(address).or_default().numbers.insert(number);
        books.seats.insert(number, Seat { address, activity: Arc::clone(&activity), is_known: false });
        let (books, ended) = (Arc::clone(&self.books), Arc::clone(&self.ended));
        Ok((Slot { books, ended, number, activity }, made_room))
    }
}

impl Slot {
    /// Activity of the connection.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// The handshake is over. Whether the connection may stay, and whether another made room for it.
    pub(super) fn secured(&self, is_known: bool) -> Result<bool, Full> {
        let books = &mut *lock(&self.books);
        if is_known {
            if let Some(seat) = books.seats.get_mut(&self.number) {
                seat.is_known = true;
            }
            return Ok(false);
        }
        let mut made_room = false;
        if books.unknown.numbers.len() >= books.most.all - books.reserve {
            let number = victim(&mut books.unknown, &books.seats).ok_or(Full::Everywhere)?;
            books.dismiss(number);
            made_room = true;
        }
        // It may have been asked to end meanwhile.
        if books.seats.contains_key(&self.number) {
            books.unknown.numbers.insert(self.number);
        }
        Ok(made_room)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut books = lock(&self.books);
        if books.remove(self.number).is_none() {
            books.leaving -= 1;
            self.ended.notify_one();
        }
    }
}

impl Books {
    /// Sees to it that there is a place for `address`; whether another connection had to make room.
    fn room(&mut self, address: IpAddr) -> Result<bool, Full> {
        let (line, full) = match self.addresses.get_mut(&address) {
            Some(line) if line.numbers.len() >= self.most.address => (line, Full::Address),
            _ if self.seats.len() >= self.most.all => (&mut self.everybody, Full::Everywhere),
            _ => return Ok(false),
        };
        let number = victim(line, &self.seats).ok_or(full)?;
        self.dismiss(number);
        Ok(true)
    }

    /// Connections that are told goodbye at once.
    fn spare(&self) -> usize {
        self.most.all.div_ceil(16)
    }

    fn is_ready(&self) -> bool {
        self.leaving <= 2 * self.spare()
    }

    /// Takes a connection's place, and asks it to end.
    fn dismiss(&mut self, number: u64) {
        let Some(seat) = self.remove(number) else { return };
        self.leaving += 1;
        // A goodbye takes time: there is none for a request that is slow, nor for very many at once.
        let may_finish = seat.activity.is_idle() && self.leaving <= self.spare();
        seat.activity.dismiss(if may_finish { Due::Leave } else { Due::Cut });
    }

    fn remove(&mut self, number: u64) -> Option<Seat> {
        let seat = self.seats.remove(&number)?;
        self.everybody.numbers.remove(&number);
        self.unknown.numbers.remove(&number);
        if let Some(line) = self.addresses.get_mut(&seat.address) {
            line.numbers.remove(&number);
            if line.numbers.is_empty() {
                self.addresses.remove(&seat.address);
            }
        }
        Some(seat)
    }
}

/// The connection of a line that makes room.
fn victim(line: &mut Line, seats: &HashMap<u64, Seat>) -> Option<u64> {
    let now = now();
    while let Some((standing, number)) = line.candidates.pop_front() {
        if seats.get(&number).and_then(|seat| seat.standing(now)) == Some(standing) {
            return Some(number);
        }
    }
    if line.barren.is_some_and(|until| now < until) {
        return None;
    }
    let standings = line.numbers.iter().filter_map(|number| Some((seats.get(number)?.standing(now)?, *number)));
    let mut found: Vec<(Standing, u64)> = standings.collect();
    found.sort_unstable();
    // Only of the first are several kept, which are unused and unknown: while one of those is left, no other makes room.
    let is_first = |((rank, is_known, _), _): &&(Standing, u64)| *rank == Rank::Unused && !is_known;
    let kept = found.iter().take(BATCH).take_while(is_first).count().max(1);
    found.truncate(kept);
    line.candidates = found.into();
    line.barren = line.candidates.is_empty().then(|| now + BARREN);
    line.candidates.pop_front().map(|(_, number)| number)
}

impl Seat {
    fn standing(&self, now: Instant) -> Option<Standing> {
        let (rank, since) = self.activity.standing(now)?;
        Some((rank, self.is_known, since))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Due, Full, Most, Slot, Slots};
    use crate::server::activity::{Activity, VOUCHED};
    use crate::server::clock::advance;

    const MOMENT: Duration = Duration::from_millis(100);

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn slots(all: usize, address: usize) -> Slots {
        Slots::new(Most { all, address }, false)
    }

    /// A connection that was accepted a moment after the one before.
    fn enter(slots: &Slots, last: u8) -> Slot {
        enter_as(slots, last, false)
    }

    fn enter_as(slots: &Slots, last: u8, is_known: bool) -> Slot {
        advance(MOMENT);
        let (slot, _) = slots.enter(address(last)).expect("a slot");
        slot.secured(is_known).expect("a slot");
        slot
    }

    fn review(place: &Slot) {
        let ticket = place.activity().begin(None);
        ticket.answered(true);
    }

    async fn dismissed(activity: &Arc<Activity>) -> Option<Due> {
        tokio::time::timeout(Duration::ZERO, activity.due()).await.ok()
    }

    /// Connections that were asked to end.
    async fn gone(held: &[Slot]) -> Vec<usize> {
        let mut gone = Vec::new();
        for (number, place) in held.iter().enumerate() {
            if dismissed(place.activity()).await.is_some() {
                gone.push(number);
            }
        }
        gone
    }

    #[tokio::test]
    async fn the_longest_idle_connection_without_a_review_makes_room() {
        let slots = slots(4, 4);
        let mut held = Vec::new();
        for last in 0..4 {
            held.push(enter(&slots, last));
        }
        review(&held[0]);
        let working = held[1].activity().begin(None);
        let newcomer = enter(&slots, 9);
        assert_eq!(gone(&held).await, [2], "not the one that was answered, nor the one at work");
        drop((newcomer, working));
        drop(held);
        let (_, made_room) = slots.enter(address(1)).expect("a place");
        assert!(!made_room, "slots come back");
    }

    #[tokio::test]
    async fn a_recent_review_vouches_for_its_connection_while_another_can_go() {
        let slots = slots(3, 3);
        let mut held = vec![enter(&slots, 1), enter(&slots, 2), enter(&slots, 3)];
        review(&held[1]);
        advance(VOUCHED);
        review(&held[2]);
        review(&held[0]);
        held.push(enter(&slots, 4));
        assert_eq!(gone(&held).await, [1], "its review is too long ago");
        review(&held[3]);
        held.push(enter(&slots, 5));
        assert_eq!(gone(&held).await, [2], "all have one: the one that is idle for the longest");
    }

    #[tokio::test]
    async fn an_unused_connection_of_an_unknown_caller_makes_room_however_late_it_came() {
        let known = |slots: &Slots, last| enter_as(slots, last, true);
        let reviewed = |slots: &Slots, last| {
            let place = enter(slots, last);
            review(&place);
            place
        };
        for other in [known, reviewed] {
            let slots = slots(4, 4);
            let mut held = vec![enter(&slots, 1)];
            held.extend([2, 3, 4].map(|last| other(&slots, last)));
            for last in 5..8 {
                held.push(enter(&slots, last));
            }
            assert_eq!(gone(&held).await, [0, 4, 5], "each made room for the next, and the others stay");
        }
    }

    #[tokio::test]
    async fn a_full_address_makes_room_among_its_own() {
        let slots = slots(9, 2);
        let held = [enter(&slots, 7), enter(&slots, 1), enter(&slots, 1)];
        let newcomer = enter(&slots, 1);
        assert_eq!(gone(&held).await, [1]);
        let working = [held[2].activity().begin(None), newcomer.activity().begin(None)];
        assert_eq!(slots.enter(address(1)).err(), Some(Full::Address), "all are at work");
        drop(working);
    }

    #[tokio::test]
    async fn requests_that_do_not_end_are_cut_where_nobody_is_idle() {
        let slots = slots(2, 2);
        let held = [enter(&slots, 1), enter(&slots, 2)];
        let _slow = [held[0].activity().begin(None), held[1].activity().begin(None)];
        assert_eq!(slots.enter(address(3)).err(), Some(Full::Everywhere));
        advance(Duration::from_secs(1));
        let _newcomer = enter(&slots, 3);
        assert_eq!(dismissed(held[0].activity()).await, Some(Due::Cut));
    }

    #[tokio::test]
    async fn unknown_callers_leave_places_to_those_who_are_known() {
        let slots = Slots::new(Most { all: 16, address: 16 }, true);
        let mut held = Vec::new();
        for _ in 0..14 {
            held.push(enter(&slots, 1));
        }
        let mut working: Vec<_> = held.iter().map(|place| place.activity().begin(None)).collect();
        let (late, made_room) = slots.enter(address(2)).expect("a place for a handshake");
        assert!(!made_room);
        assert_eq!(late.secured(false).err(), Some(Full::Everywhere), "nobody is idle");
        drop(late);
        let (known, _) = slots.enter(address(3)).expect("a place for a handshake");
        known.secured(true).expect("its place");
        let (handshake, _) = slots.enter(address(4)).expect("the last place");
        advance(MOMENT);
        let (_, made_room) = slots.enter(address(5)).expect("room");
        assert!(made_room);
        assert_eq!(dismissed(handshake.activity()).await, Some(Due::Leave), "not the known one, which came before");
        drop(working.pop());
        let (late, _) = slots.enter(address(2)).expect("a place");
        assert_eq!(late.secured(false), Ok(true), "one of the unknown is idle now");
        assert_eq!(gone(&held).await, [13]);
    }

    #[tokio::test]
    async fn those_who_are_asked_to_end_and_do_not_are_bounded() {
        let slots = slots(32, 32);
        let mut held = Vec::new();
        let is_ready = async || tokio::time::timeout(Duration::ZERO, slots.ready()).await.is_ok();
        for _ in 0..32 + 5 {
            assert!(is_ready().await);
            held.push(enter(&slots, 1));
        }
        assert!(!is_ready().await, "five have not ended");
        let mut said = Vec::new();
        for place in &held[..5] {
            said.push(dismissed(place.activity()).await);
        }
        assert_eq!(said[..3], [Some(Due::Leave), Some(Due::Leave), Some(Due::Cut)]);
        held.remove(0);
        assert!(is_ready().await);
    }
}
