//! The names of the policies of workloads: `NAME-allow-ingress`, and for the second workload of a name, its kind too.

use std::collections::{BTreeMap, BTreeSet};

use super::ALLOW_INGRESS;
use super::plan::{Held, Workload};
use crate::digest::sha256;

/// Maximum length of a name, in bytes.
const LONGEST: usize = 253;
/// Digits of the digest that ends a name that was cut.
const DIGITS: usize = 8;

/// The name of each workload's policy, by the workload's position; `None` where both of its names are taken by other workloads.
///
/// A workload keeps a policy that it owns. The others have the short name if nobody has it, in the order of their kinds.
pub(super) fn assigned(workloads: &[&Workload], held: &BTreeMap<&str, Held<'_>>) -> Vec<Option<String>> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut names: Vec<Option<String>> = vec![None; workloads.len()];
    let owns = |workload: &Workload, name: &str| held.get(name).is_some_and(|policy| policy.is_owned_by(&workload.uid));
    for (workload, slot) in workloads.iter().zip(&mut names) {
        let kept = [short(workload), long(workload)].into_iter().find(|name| owns(workload, name));
        *slot = kept.filter(|name| taken.insert(name.clone()));
    }
    for name_of in [short, long] {
        for (workload, slot) in workloads.iter().zip(&mut names).filter(|(_, slot)| slot.is_none()) {
            *slot = Some(name_of(workload)).filter(|name| taken.insert(name.clone()));
        }
    }
    names
}

/// `NAME-allow-ingress`.
fn short(workload: &Workload) -> String {
    bounded(&workload.name, ALLOW_INGRESS)
}

/// `NAME-KIND-allow-ingress`.
fn long(workload: &Workload) -> String {
    bounded(&workload.name, &format!("-{}{ALLOW_INGRESS}", workload.kind.as_str().to_lowercase()))
}

/// A name with that end. One that would be too long is cut, and has digits of its digest.
fn bounded(name: &str, end: &str) -> String {
    if name.len() + end.len() <= LONGEST {
        return format!("{name}{end}");
    }
    let room = LONGEST.saturating_sub(end.len() + 1 + DIGITS);
    // Names are ASCII; a part of a name must end with a letter or digit.
    let kept: String = name.chars().take_while(char::is_ascii).take(room).collect();
    let kept = kept.trim_end_matches(|last: char| !last.is_ascii_alphanumeric());
    let digest = sha256(name.as_bytes());
    format!("{kept}-{}{end}", digest.get(..DIGITS).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, bounded};

    #[test]
    fn a_name_that_is_too_long_is_cut_and_stays_different_from_others() {
        let long = "a".repeat(228) + "." + &"b".repeat(24);
        assert_eq!(long.len(), LONGEST);
        let (one, other) = (bounded(&long, "-allow-ingress"), bounded(&(long.clone() + "c"), "-allow-ingress"));
        assert!(one.len() <= LONGEST && other.len() <= LONGEST && one != other, "{one} {other}");
        // What is left of the dot ends with a letter.
        let cut = bounded(&("a".repeat(229) + "." + &"b".repeat(23)), "-allow-ingress");
        assert!(cut.starts_with(&("a".repeat(229) + "-")), "{cut}");
        assert_eq!(bounded(&"a".repeat(239), "-allow-ingress").len(), LONGEST);
    }
}
