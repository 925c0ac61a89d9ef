//! Decision to set aside records that a sink refuses.

use crate::trail::sink::Refused;

/// Number of times that a sink must refuse a record before it is set aside.
const TRIES: u32 = 3;
/// Records in a row that are set aside where it is not certain that it is they that are refused. Beyond them it is the
/// other end that refuses whatever comes.
const DOUBTFUL: usize = 8;
/// Number of times that a sink may ask to go on at once with smaller pieces.
const PIECES: u32 = 64;

/// Records of a stream that a sink has refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The records that were refused last, and how often.
    records: Vec<u64>,
    tries: u32,
    /// Number of times that smaller pieces were tried.
    pieces: u32,
    /// Records that were set aside in a row without certainty, and the record after them.
    doubtful: usize,
    due: u64,
}

/// Next step after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The sink goes on at once, with smaller pieces.
    Narrow,
    /// The batch comes again after a pause.
    Again,
    /// The refused records are set aside.
    SetAside,
}

impl Refusals {
    /// Takes note of a failure.
    pub(super) fn failed(&mut self, refused: Option<&Refused>) -> Step {
        let Some(refused) = refused else {
            (self.tries, self.pieces) = (0, 0);
            return Step::Again;
        };
        let Some(first) = refused.records.first() else {
            self.pieces += 1;
            return if self.pieces <= PIECES { Step::Narrow } else { Step::Again };
        };
        self.pieces = 0;
        if refused.records != self.records {
            (self.records, self.tries) = (refused.records.clone(), 0);
        }
        self.tries += 1;
        if self.tries < TRIES {
            return Step::Again;
        }
        if !refused.is_certain {
            let before = if *first == self.due { self.doubtful } else { 0 };
            if before + refused.records.len() > DOUBTFUL {
                return Step::Again;
            }
            self.doubtful = before + refused.records.len();
        }
        (self.due, self.tries) = (refused.next, 0);
        Step::SetAside
    }
}

#[cfg(test)]
mod tests {
    use super::{DOUBTFUL, PIECES, Refusals, Step, TRIES};
    use crate::trail::sink::Refused;

    fn refused(records: &[u64], is_certain: bool) -> Refused {
        Refused { records: records.to_vec(), next: records.last().map_or(0, |last| last + 1), is_certain }
    }

    fn until_set_aside(refusals: &mut Refusals, refused: &Refused) -> bool {
        (0..100).any(|_| refusals.failed(Some(refused)) == Step::SetAside)
    }

    #[test]
    fn what_is_refused_again_and_again_is_set_aside_and_an_outage_begins_anew() {
        let mut refusals = Refusals::default();
        let one = refused(&[7], true);
        for _ in 1..TRIES {
            assert_eq!(refusals.failed(Some(&one)), Step::Again);
        }
        assert_eq!(refusals.failed(None), Step::Again);
        for _ in 1..TRIES {
            assert_eq!(refusals.failed(Some(&one)), Step::Again);
        }
        assert_eq!(refusals.failed(Some(&one)), Step::SetAside);
        // Any number of them, where it is certain.
        assert!((8..100).all(|seq| until_set_aside(&mut refusals, &refused(&[seq], true))));
    }

    #[test]
    fn where_it_is_not_certain_a_few_in_a_row_are_and_no_more_before_one_is_taken() {
        let mut refusals = Refusals::default();
        let last = DOUBTFUL as u64;
        assert!((0..last).all(|seq| until_set_aside(&mut refusals, &refused(&[seq], false))));
        assert!(!until_set_aside(&mut refusals, &refused(&[last], false)));
        // It took that one: the next is on its own.
        assert!(until_set_aside(&mut refusals, &refused(&[last + 1], false)));
    }

    #[test]
    fn smaller_pieces_are_tried_at_once_and_not_for_ever() {
        let mut refusals = Refusals::default();
        let looking = Refused::default();
        assert!((0..PIECES).all(|_| refusals.failed(Some(&looking)) == Step::Narrow));
        assert_eq!(refusals.failed(Some(&looking)), Step::Again);
    }
}
