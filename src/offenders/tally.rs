//! Counts of the Pods that would be refused, and the warnings that they become.

use std::collections::HashMap;
use std::fmt;

use crate::bound::{Limit, cut};

/// Findings that are told apart; others are only counted.
const GROUPS: usize = 256;
/// Characters that are kept of a finding. A warning has 256.
const TEXT: usize = 256;
/// Characters of a Pod's name in a warning, so that two names leave room for what they break.
const NAME: usize = 48;
/// Names of Pods in a warning.
const NAMES: usize = 2;

/// What a Pod would be refused for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offence {
    pub(super) policy: &'static str,
    /// Path of the field.
    pub(super) place: String,
    /// Requirement that is not met.
    pub(super) message: String,
}

/// Pods that are counted.
#[derive(Default)]
pub(super) struct Tally {
    /// Pods that were judged.
    pub(super) checked: usize,
    /// Pods of the namespace, as far as the list tells.
    pub(super) total: usize,
    /// Pods that would be refused.
    refused: usize,
    groups: Vec<Group>,
    /// Index of the group, by policy and text without positions in lists.
    places: HashMap<(&'static str, String), usize>,
    /// Findings that are in no group.
    others: usize,
}

/// Pods that would be refused for the same.
struct Group {
    policy: &'static str,
    /// Path in the first of them, and the requirement.
    text: String,
    names: Vec<String>,
    count: usize,
}

impl Tally {
    /// Counts a Pod that was judged.
    pub(super) fn add(&mut self, name: &str, offences: &[Offence]) {
        self.checked += 1;
        self.refused += usize::from(!offences.is_empty());
        let mut counted: Vec<usize> = Vec::new();
        for Offence { policy, place, message } in offences {
            let text = cut(format!("{place} {message}").into(), Limit::Characters(TEXT)).into_owned();
            let key = (*policy, without_positions(&text));
            let position = match self.places.get(&key) {
                Some(position) => *position,
                None if self.groups.len() == GROUPS => {
                    self.others += 1;
                    continue;
                }
                None => {
                    self.groups.push(Group { policy, text, names: Vec::new(), count: 0 });
                    self.places.insert(key, self.groups.len() - 1);
                    self.groups.len() - 1
                }
            };
            // Containers of one Pod may break the same.
            if counted.contains(&position) {
                continue;
            }
            counted.push(position);
            if let Some(group) = self.groups.get_mut(position) {
                group.count += 1;
                if group.names.len() < NAMES {
                    group.names.push(cut(name.into(), Limit::Characters(NAME)).into_owned());
                }
            }
        }
    }

    /// At most `most` warnings: how many Pods would be refused, for what, and how many were checked if `cut` says why not all.
    pub(super) fn warnings(mut self, namespace: &str, most: usize, cut: Option<&dyn fmt::Display>) -> Vec<String> {
        let mut lines = Vec::new();
        if self.refused > 0 {
            lines.push(format!(
                "{} of {} in namespace {namespace} would be refused with the new labels if created again",
                self.refused,
                pods(self.total.max(self.checked))
            ));
        }
        // Stable: groups of the same size stay in the order in which they were found.
        self.groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        let room = most.saturating_sub(lines.len() + usize::from(cut.is_some()));
        let is_all = self.groups.len() <= room && self.others == 0;
        let shown = if is_all { room } else { room.saturating_sub(1) }.min(self.groups.len());
        let (told, untold) = self.groups.split_at(shown);
        lines.extend(told.iter().map(Group::warning));
        let more = untold.iter().map(|group| group.count).sum::<usize>() + self.others;
        if more > 0 {
            lines.push(format!("and {more} more findings in these Pods"));
        }
        match cut {
            Some(why) if self.checked == 0 => lines.push(unchecked(namespace, why)),
            Some(why) => lines.push(format!("checked {} of {}: {why}", self.checked, pods(self.total))),
            None => {}
        }
        lines
    }
}

impl Group {
    fn warning(&self) -> String {
        let names = self.names.join(", ");
        let who = match self.count - self.names.len().min(self.count) {
            0 if self.count == 1 => format!("Pod {names}"),
            0 => format!("{} ({names})", pods(self.count)),
            more => format!("{} ({names}, and {more} more)", pods(self.count)),
        };
        format!("{who}: {}: {}", self.policy, self.text)
    }
}

/// The warning that no Pod of a namespace was checked.
pub fn unchecked(namespace: &str, why: &dyn fmt::Display) -> String {
    format!("Pods in namespace {namespace} were not checked with the new labels: {why}")
}

/// The text without what stands between square brackets: the same flaw of two containers is one.
fn without_positions(text: &str) -> String {
    let mut is_within = false;
    let is_kept = |one: &char| {
        match one {
            '[' => is_within = true,
            ']' => is_within = false,
            _ => return !is_within,
        }
        true
    };
    text.chars().filter(is_kept).collect()
}

fn pods(count: usize) -> String {
    if count == 1 { "1 Pod".to_owned() } else { format!("{count} Pods") }
}

#[cfg(test)]
mod tests;
