//! A list of any length whose memory is proportional to its items.

use super::memory::{self, Full};

/// Maximum number of items of a chunk.
const PIECE: usize = 256;

/// A list in chunks: a vector would take three times its memory while it is copied to grow. An empty list takes the size of
/// a pointer, because most lists of most containers are empty.
#[derive(Debug)]
pub(crate) struct List<T>(Option<Box<Pieces<T>>>);

/// The items of a list, in order.
#[derive(Debug, Clone)]
pub(crate) struct Iter<'l, T> {
    /// Chunks not yet entered from either end.
    full: std::slice::Iter<'l, Vec<T>>,
    front: std::slice::Iter<'l, T>,
    back: std::slice::Iter<'l, T>,
}

impl<'l, T> Iterator for Iter<'l, T> {
    type Item = &'l T;

    fn next(&mut self) -> Option<&'l T> {
        loop {
            if let Some(item) = self.front.next() {
                return Some(item);
            }
            match self.full.next() {
                Some(piece) => self.front = piece.iter(),
                None => return self.back.next(),
            }
        }
    }
}

impl<T> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.back.next_back() {
                return Some(item);
            }
            match self.full.next_back() {
                Some(piece) => self.back = piece.iter(),
                None => return self.front.next_back(),
            }
        }
    }
}

impl<T> Default for Iter<'_, T> {
    fn default() -> Self {
        Self { full: [].iter(), front: [].iter(), back: [].iter() }
    }
}

impl<'l, T> IntoIterator for &'l List<T> {
    type Item = &'l T;
    type IntoIter = Iter<'l, T>;

    fn into_iter(self) -> Iter<'l, T> {
        self.iter()
    }
}

#[derive(Debug)]
struct Pieces<T> {
    /// Full, all of them.
    full: Vec<Vec<T>>,
    last: Vec<T>,
}

impl<T> List<T> {
    /// Adds an item.
    ///
    /// # Errors
    /// If it takes more memory than is left.
    pub(super) fn push(&mut self, item: T) -> Result<(), Full> {
        let pieces = match &mut self.0 {
            Some(pieces) => pieces,
            none => none.insert(memory::boxed(Pieces { full: Vec::new(), last: Vec::new() })?),
        };
        let length = pieces.last.len();
        if length == pieces.last.capacity() {
            let more = if pieces.full.is_empty() { length.clamp(1, PIECE - length.min(PIECE - 1)) } else { PIECE };
            memory::take(more * size_of::<T>())?;
            pieces.last.reserve_exact(more);
        }
        pieces.last.push(item);
        if pieces.last.len() == PIECE {
            memory::take(2 * size_of::<Vec<T>>())?;
            pieces.full.push(std::mem::take(&mut pieces.last));
        }
        Ok(())
    }

    /// The number of items.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |pieces| pieces.full.len() * PIECE + pieces.last.len())
    }

    /// True if there are no items.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items, in order.
    pub(crate) fn iter(&self) -> Iter<'_, T> {
        let (full, last): (&[Vec<T>], &[T]) = match &self.0 {
            Some(pieces) => (&pieces.full, &pieces.last),
            None => (&[], &[]),
        };
        Iter { full: full.iter(), front: [].iter(), back: last.iter() }
    }

    /// The last item of those at the front for which `is_before` holds, in a list that it parts in two.
    pub(super) fn last_before(&self, is_before: impl Fn(&T) -> bool) -> Option<&T> {
        let pieces = self.0.as_ref()?;
        let begins_before = |piece: &[T]| piece.first().is_some_and(&is_before);
        let piece = if begins_before(&pieces.last) {
            &pieces.last
        } else {
            &pieces.full[pieces.full.partition_point(|piece| begins_before(piece)).checked_sub(1)?]
        };
        piece[..piece.partition_point(&is_before)].last()
    }
}

impl<T: PartialEq> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::iter::Flatten<std::vec::IntoIter<Vec<T>>>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let (full, last) = self.0.map_or_else(Default::default, |pieces| (pieces.full, pieces.last));
        full.into_iter().flatten().chain(last)
    }
}

#[cfg(test)]
mod tests {
    use super::{List, PIECE};

    fn list(length: usize) -> List<usize> {
        let mut list = List::default();
        (0..length).for_each(|item| list.push(item).expect("room"));
        list
    }

    #[test]
    fn a_list_in_pieces_is_one_list() {
        for length in [0, 1, 2, 3, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5] {
            let list = list(length);
            assert_eq!((list.len(), list.is_empty()), (length, length == 0));
            assert!(list.iter().copied().eq(0..length) && list.iter().rev().copied().eq((0..length).rev()));
            for end in [0, 1, length / 2, length.saturating_sub(1), length, length + 1] {
                let last = end.min(length).checked_sub(1);
                assert_eq!(list.last_before(|item| *item < end).copied(), last, "{end} of {length}");
            }
            assert!(list.into_iter().eq(0..length));
        }
    }

    #[test]
    fn memory_is_bounded_by_what_came() {
        let _limit = super::memory::Limit::of(0);
        let mut list = List::default();
        let fitted = (0..1_000_000_u64).take_while(|item| list.push(*item).is_ok()).count();
        assert!((31_000..=32_768).contains(&fitted), "256 KiB of eight bytes each: {fitted}");
    }
}
