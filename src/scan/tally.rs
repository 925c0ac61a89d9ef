//! Counts of a scan by policy, namespace, owner and team.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use crate::decision::{Decision, Exemption, ModedFinding};
use crate::exception::Shared;
use crate::mode::Mode;
use crate::redaction::shortened;

/// Maximum number of namespaces, and of teams, that are counted one by one.
const NAMES: usize = 20_000;
/// Maximum number of owners that are counted one by one, and of groups of findings.
const OWNERS: usize = 50_000;
/// Maximum characters of an example, without its exception.
const EXAMPLE: usize = 400;
/// Name under which everything beyond is counted.
const OTHERS: &str = "(others)";

/// The strongest effect that findings would have on an object that was created now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// There are none.
    Clean,
    /// They would be recorded.
    Recorded,
    /// They would be warned of.
    Warned,
    /// They would refuse it but for an exception.
    Exempt,
    /// They would refuse it.
    Refused,
}

impl Effect {
    /// The effect as it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Recorded => "recorded",
            Self::Warned => "warned",
            Self::Exempt => "exempt",
            Self::Refused => "refused",
        }
    }

    fn of(finding: &ModedFinding) -> Self {
        if finding.refuses() {
            Self::Refused
        } else if finding.exemption.is_some() {
            Self::Exempt
        } else if finding.mode >= Mode::Warn {
            Self::Warned
        } else {
            Self::Recorded
        }
    }
}

/// Numbers of objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Objects that were judged.
    pub objects: usize,
    /// Objects that would be refused.
    pub refused: usize,
    /// Objects that would be refused but for an exception.
    pub exempt: usize,
    /// Objects that would be admitted with a warning.
    pub warned: usize,
    /// Objects whose findings would be recorded.
    pub recorded: usize,
}

impl Count {
    fn add(&mut self, effect: Effect) {
        self.objects += 1;
        match effect {
            Effect::Clean => {}
            Effect::Recorded => self.recorded += 1,
            Effect::Warned => self.warned += 1,
            Effect::Exempt => self.exempt += 1,
            Effect::Refused => self.refused += 1,
        }
    }

    /// True if there was a finding.
    pub fn has_findings(&self) -> bool {
        self.refused + self.exempt + self.warned + self.recorded > 0
    }
}

/// Counts of one policy.
#[derive(Debug, Default)]
struct OfPolicy {
    count: Count,
    namespaces: HashSet<usize>,
}

/// Findings of one policy in the objects of one owner.
#[derive(Debug, Clone)]
pub struct Group {
    /// Objects with such findings, by effect.
    pub count: Count,
    /// The first finding of the strongest effect.
    pub example: Example,
}

/// Findings in the objects of one owner.
#[derive(Debug)]
pub struct OwnerFindings<'t> {
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: &'t str,
    /// Topmost controller.
    pub owner: &'t str,
    /// Its objects.
    pub count: Count,
    /// Policies with findings.
    pub groups: Vec<(&'static str, &'t Group)>,
}

/// Objects that an exception keeps from being refused, in part or in whole.
#[derive(Debug)]
pub struct Excepted<'t> {
    /// The exception.
    pub exception: &'t Shared,
    /// Objects with findings that it covers.
    pub objects: usize,
}

/// A finding that stands for others.
#[derive(Debug, Clone)]
pub struct Example {
    /// Its effect.
    pub effect: Effect,
    /// Object, path, message and exception, redacted.
    pub text: String,
}

/// An object that was judged.
pub struct Judged<'j> {
    /// Kind.
    pub kind: &'j str,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: &'j str,
    /// Name.
    pub name: &'j str,
    /// Topmost controller.
    pub owner: &'j Arc<str>,
    /// Team.
    pub team: Option<&'j Arc<str>>,
}

/// Namespace (by number), owner and policy of a group.
type Place = (usize, Arc<str>, &'static str);

/// The counts.
#[derive(Default)]
pub struct Tally {
    /// Every object.
    pub all: Count,
    /// Number of each namespace that has a place of its own.
    numbers: HashMap<String, usize>,
    namespaces: Vec<(String, Count)>,
    policies: BTreeMap<&'static str, OfPolicy>,
    owners: HashMap<(usize, Arc<str>), Count>,
    teams: BTreeMap<Arc<str>, Count>,
    groups: HashMap<Place, Group>,
    /// Exceptions that cover something, by name, with the number of objects.
    exceptions: BTreeMap<String, (Shared, usize)>,
    /// Findings that are in no group, because there are too many groups.
    pub ungrouped: usize,
}

impl Tally {
    /// Counts an object.
    pub fn add(&mut self, object: &Judged<'_>, decision: &Decision) {
        let mut by_policy: BTreeMap<&'static str, (Effect, &ModedFinding)> = BTreeMap::new();
        for finding in &decision.findings {
            let effect = Effect::of(finding);
            let strongest = by_policy.entry(finding.meta.id).or_insert((effect, finding));
            if effect > strongest.0 {
                *strongest = (effect, finding);
            }
        }
        let effect = by_policy.values().map(|(effect, _)| *effect).max().unwrap_or(Effect::Clean);
        self.all.add(effect);
        self.add_exceptions(decision);
        let number = self.number(object.namespace);
        if let Some((_, count)) = self.namespaces.get_mut(number) {
            count.add(effect);
        }
        let owner = (number, Arc::clone(object.owner));
        let owner = if self.owners.len() < OWNERS || self.owners.contains_key(&owner) {
            owner
        } else {
            (number, OTHERS.into())
        };
        self.owners.entry(owner).or_default().add(effect);
        if let Some(team) = object.team {
            let is_known = self.teams.len() < NAMES || self.teams.contains_key(team);
            self.teams.entry(if is_known { Arc::clone(team) } else { OTHERS.into() }).or_default().add(effect);
        }
        for (policy, (effect, finding)) in by_policy {
            let of_policy = self.policies.entry(policy).or_default();
            of_policy.count.add(effect);
            of_policy.namespaces.insert(number);
            let place = (number, Arc::clone(object.owner), policy);
            if self.groups.len() >= OWNERS && !self.groups.contains_key(&place) {
                self.ungrouped += 1;
                continue;
            }
            let example = || {
                let text = decision.text_of(finding);
                let exception =
                    finding.exemption.as_ref().and_then(Exemption::exception).map(|one| format!(" ({one})"));
                let exception = exception.unwrap_or_default();
                let text = format!("{} {}: {} {}", object.kind, object.name, text.place, text.message);
                let text = shortened(&decision.clean(&text), EXAMPLE).into_owned() + &decision.clean(&exception);
                Example { effect, text }
            };
            let group =
                self.groups.entry(place).or_insert_with(|| Group { count: Count::default(), example: example() });
            group.count.add(effect);
            if effect > group.example.effect {
                group.example = example();
            }
        }
    }

    fn add_exceptions(&mut self, decision: &Decision) {
        let exceptions = decision.findings.iter().filter_map(|finding| finding.exemption.as_ref()?.exception());
        let used: BTreeMap<&str, &Shared> = exceptions.map(|exception| (exception.name.as_str(), exception)).collect();
        for (name, exception) in used {
            match self.exceptions.get_mut(name) {
                Some((_, objects)) => *objects += 1,
                None => drop(self.exceptions.insert(name.to_owned(), (Shared::clone(exception), 1))),
            }
        }
    }

    fn number(&mut self, namespace: &str) -> usize {
        if let Some(number) = self.numbers.get(namespace) {
            return *number;
        }
        let name = if self.namespaces.len() < NAMES { namespace } else { OTHERS };
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        self.namespaces.push((name.to_owned(), Count::default()));
        self.numbers.insert(name.to_owned(), self.namespaces.len() - 1);
        self.namespaces.len() - 1
    }

    /// Policies with findings, the one that refuses most first: id, counts, and number of namespaces.
    pub fn policies(&self) -> Vec<(&'static str, Count, usize)> {
        let policies = self.policies.iter().map(|(id, of)| (*id, of.count, of.namespaces.len()));
        sorted(policies.collect(), |(id, count, _)| (*count, *id))
    }

    /// Namespaces, the one with most refused objects first.
    pub fn namespaces(&self) -> Vec<(&str, Count)> {
        sorted(self.namespaces.iter().map(|(name, count)| (name.as_str(), *count)).collect(), |(name, count)| {
            (*count, *name)
        })
    }

    /// Owners with findings, by namespace and owner; the one with most refused objects first.
    pub fn owners(&self) -> Vec<(&str, &str, Count)> {
        let owners = self.owners.iter().filter(|(_, count)| count.has_findings());
        let owners = owners.map(|((number, owner), count)| (self.name(*number), &**owner, *count));
        sorted(owners.collect(), |(namespace, owner, count)| (*count, (*namespace, *owner)))
    }

    /// Teams, the one with most refused objects first.
    pub fn teams(&self) -> Vec<(&str, Count)> {
        sorted(self.teams.iter().map(|(name, count)| (&**name, *count)).collect(), |(name, count)| (*count, *name))
    }

    /// Exceptions that cover something, in the order of their names.
    pub fn exceptions(&self) -> impl Iterator<Item = Excepted<'_>> {
        self.exceptions.values().map(|(exception, objects)| Excepted { exception, objects: *objects })
    }

    /// Findings by namespace and owner: the owner with most refused objects first, and of each the policy that refuses most.
    pub fn findings(&self) -> Vec<OwnerFindings<'_>> {
        let mut by_owner: HashMap<(usize, &str), OwnerFindings<'_>> = HashMap::new();
        for ((number, owner, policy), group) in &self.groups {
            let of_owner = by_owner.entry((*number, &**owner)).or_insert_with(|| OwnerFindings {
                namespace: self.name(*number),
                owner,
                count: self.owners.get(&(*number, Arc::clone(owner))).copied().unwrap_or_default(),
                groups: Vec::new(),
            });
            of_owner.groups.push((*policy, group));
        }
        let mut owners: Vec<OwnerFindings<'_>> = by_owner.into_values().collect();
        for owner in &mut owners {
            owner.groups = sorted(std::mem::take(&mut owner.groups), |(policy, group)| (group.count, *policy));
        }
        sorted(owners, |owner| (owner.count, (owner.namespace.to_owned(), owner.owner.to_owned())))
    }

    fn name(&self, number: usize) -> &str {
        self.namespaces.get(number).map_or("", |(name, _)| name)
    }
}

/// Sorts by counts, the largest first, and then by name.
fn sorted<T, N: Ord>(mut rows: Vec<T>, key: impl for<'r> Fn(&'r T) -> (Count, N)) -> Vec<T> {
    rows.sort_by(|one, other| {
        let ((one, name), (other, other_name)) = (key(one), key(other));
        let order = |count: Count| (count.refused, count.exempt, count.warned, count.recorded);
        order(other).cmp(&order(one)).then_with(|| name.cmp(&other_name))
    });
    rows
}
