//! The addresses that are allowed at one port, while ports are swept from the first to the last one: ranges of addresses are
//! added and removed, and each time the question is whether what is allowed holds a wide block.

use crate::addresses::{Span, Wide};
use crate::steps::{counted, take};

/// A segment tree over the ranges between the ends of all blocks.
pub(super) struct Coverage {
    wide: Wide,
    /// The first address of each range; a range ends before the next one.
    starts: Vec<u128>,
    nodes: Vec<Node>,
}

/// Ranges of a node of the tree.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    /// Number of times that all its ranges were added, without those that a node above counts.
    added: u32,
    /// Number of allowed ranges at its beginning, and at its end.
    front: usize,
    back: usize,
    /// True if allowed ranges in it hold a wide block.
    is_wide: bool,
}

impl Coverage {
    /// No address is allowed, and the ends of all that will be are known.
    pub(super) fn new<'s>(wide: Wide, spans: impl Iterator<Item = &'s Span>) -> Self {
        let mut starts = vec![0];
        for span in counted(spans).chain(wide.family.special()) {
            starts.push(span.first);
            starts.extend(span.last.checked_add(1).filter(|next| *next <= wide.family.last()));
        }
        starts.sort_unstable();
        starts.dedup();
        let nodes = vec![Node::default(); 2 * starts.len().next_power_of_two()];
        let mut coverage = Self { wide, starts, nodes };
        wide.family.special().iter().for_each(|special| coverage.change(*special, true));
        coverage
    }

    /// True if what is allowed holds a wide block.
    pub(super) fn is_wide(&self) -> bool {
        self.node(1).is_wide
    }

    /// Adds a range of addresses, or removes one that was added.
    pub(super) fn change(&mut self, span: Span, is_added: bool) {
        let from = self.starts.partition_point(|start| *start < span.first);
        let to = self.starts.partition_point(|start| *start <= span.last);
        self.change_below(1, (0, self.starts.len()), (from, to), is_added);
    }

    fn change_below(&mut self, index: usize, (low, high): (usize, usize), (from, to): (usize, usize), is_added: bool) {
        if to <= low || high <= from || !take(1) {
            return;
        }
        let middle = low.midpoint(high);
        if from <= low && high <= to {
            if let Some(node) = self.nodes.get_mut(index) {
                node.added = if is_added { node.added.saturating_add(1) } else { node.added.saturating_sub(1) };
            }
        } else {
            self.change_below(2 * index, (low, middle), (from, to), is_added);
            self.change_below(2 * index + 1, (middle, high), (from, to), is_added);
        }
        let added = self.node(index).added;
        let sum = if added > 0 {
            Node { added, front: high - low, back: high - low, is_wide: self.is_wide_from(low, high) }
        } else if high - low == 1 {
            Node::default()
        } else {
            self.joined(self.node(2 * index), self.node(2 * index + 1), (low, middle, high))
        };
        if let Some(node) = self.nodes.get_mut(index) {
            *node = sum;
        }
    }

    fn joined(&self, left: Node, right: Node, (low, middle, high): (usize, usize, usize)) -> Node {
        let is_across = || left.back > 0 && right.front > 0;
        Node {
            added: 0,
            front: if left.front == middle - low { left.front + right.front } else { left.front },
            back: if right.back == high - middle { right.back + left.back } else { right.back },
            is_wide: left.is_wide
                || right.is_wide
                || is_across() && self.is_wide_from(middle - left.back, middle + right.front),
        }
    }

    /// True if the ranges from `low` to before `high` hold a wide block.
    fn is_wide_from(&self, low: usize, high: usize) -> bool {
        let Some(first) = self.starts.get(low).copied() else { return false };
        let last = self.starts.get(high).map_or(self.wide.family.last(), |next| next.saturating_sub(1));
        self.wide.is_in(Span { first, last })
    }

    fn node(&self, index: usize) -> Node {
        self.nodes.get(index).copied().unwrap_or_default()
    }
}
