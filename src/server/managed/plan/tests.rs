//! Tests of the plan: a table of states, and random histories of clocks, lost keys and configurations that trust or do not.

use proptest::prelude::*;

use super::{AUTHORITIES, BACKDATE, Leaf, Lifetimes, Period, Step, View, next};

/// Lifetimes of the tests, in seconds: a CA is due at 800, a certificate at 200.
const LIFETIMES: Lifetimes = Lifetimes { authority: 1_200, leaf: 300 };
const START: i64 = 1_000_000;

fn made(at: i64, lifetime: i64) -> Period {
    Period::from(START + at, lifetime)
}

fn leaf(at: i64, signer: usize) -> Leaf {
    Leaf { period: made(at, 300), signer }
}

/// CAs made at those times, and the certificate.
fn view(authorities: &[i64], leaf: impl Into<Option<Leaf>>) -> View {
    let authorities = authorities.iter().map(|at| made(*at, 1_200)).collect();
    View { authorities, leaf: leaf.into(), has_key: true, is_trusted: false, missing: None }
}

fn at(view: &View, now: i64) -> Step {
    next(view, START + now, LIFETIMES)
}

#[test]
fn nothing_is_due_until_two_thirds_are_over() {
    let fresh = view(&[0], leaf(0, 0));
    assert_eq!(at(&fresh, 0), Step::Wait(START + 200));
    assert_eq!(at(&fresh, 199), Step::Wait(START + 200));
    assert_eq!(at(&fresh, 200), Step::Sign);
    // The CA comes first: what it signs must not end with it.
    assert_eq!(at(&view(&[0], leaf(600, 0)), 800), Step::Introduce(vec![0]));
}

#[test]
fn a_new_ca_signs_once_it_is_trusted_and_the_old_one_stays_until_its_last_certificate_has_ended() {
    let mut introduced = view(&[800, 0], leaf(700, 1));
    assert_eq!(at(&introduced, 801), Step::AwaitTrust);
    // Due, and it cannot be signed by the old one, whose key is gone.
    assert_eq!(at(&introduced, 950), Step::AwaitTrust);
    introduced.is_trusted = true;
    assert_eq!(at(&introduced, 801), Step::Sign);
    let signed = view(&[800, 0], leaf(801, 0));
    assert_eq!(at(&signed, 801), Step::Wait(START + 1_001));
    // The last certificate of the old CA was made before the new CA.
    let renewed = view(&[800, 0], leaf(1_001, 0));
    assert_eq!(at(&renewed, 1_099), Step::Wait(START + 1_100));
    assert_eq!(at(&renewed, 1_100), Step::Retire(vec![0]));
}

#[test]
fn what_is_not_accepted_anyway_waits_for_nothing() {
    let ended = view(&[0], leaf(0, 0));
    assert_eq!(at(&ended, 301), Step::Sign, "the CA is trusted already");
    assert_eq!(at(&view(&[100, 0], leaf(0, 1)), 301), Step::Sign, "nobody accepts the certificate of the old one");
    assert_eq!(at(&ended, 1_201), Step::Begin, "both have ended");
    assert_eq!(at(&ended, 1_000_000_000), Step::Begin, "a jump of the clock");
    assert_eq!(at(&view(&[0], None), 1), Step::Sign, "half written: no certificate that one of the CAs signed");
    let lost = View { has_key: false, ..view(&[0], None) };
    assert_eq!(at(&lost, 1), Step::Begin);
    assert_eq!(at(&View { has_key: true, ..view(&[], None) }, 1), Step::Begin);
}

#[test]
fn a_clock_that_was_set_back_makes_what_is_valid_by_it() {
    let fresh = view(&[0], leaf(0, 0));
    assert_eq!(at(&fresh, -BACKDATE), Step::Wait(START + 200), "valid a little earlier");
    assert_eq!(at(&fresh, -BACKDATE - 1), Step::Begin);
}

#[test]
fn a_certificate_of_ten_years_is_replaced_and_its_ca_stays_while_it_may_be_served() {
    let ten_years = Period { begins: START - 30_000_000, ends: START + 300_000_000 };
    let old = Leaf { period: ten_years, signer: 0 };
    let legacy =
        View { authorities: vec![ten_years], leaf: Some(old), has_key: false, is_trusted: true, missing: None };
    assert_eq!(at(&legacy, 0), Step::Introduce(vec![0]));
    let old = Leaf { period: ten_years, signer: 1 };
    let mut introduced = View {
        authorities: vec![made(0, 1_200), ten_years],
        leaf: Some(old),
        has_key: true,
        is_trusted: false,
        missing: None,
    };
    assert_eq!(at(&introduced, 1), Step::AwaitTrust);
    introduced.is_trusted = true;
    assert_eq!(at(&introduced, 1), Step::Sign);
    introduced.leaf = Some(leaf(200, 0));
    assert_eq!(at(&introduced, 299), Step::Wait(START + 300));
    assert_eq!(at(&introduced, 300), Step::Retire(vec![0]), "its own end is not waited for");
}

#[test]
fn a_ca_that_the_secret_lost_is_put_back_while_it_is_served() {
    let other = View { missing: Some(made(-100, 1_200)), ..view(&[0], leaf(0, 0)) };
    assert_eq!(at(&other, 1), Step::Adopt);
    assert_eq!(at(&other, 300), Step::Sign, "whatever it signed has ended");
    let ended = View { missing: Some(made(-2_000, 1_200)), ..view(&[0], leaf(0, 0)) };
    assert_eq!(at(&ended, 1), Step::Wait(START + 200));
    let full = View { missing: Some(made(-100, 1_200)), ..view(&[0, -1, -2, -3], leaf(0, 0)) };
    assert_eq!(at(&full, 1), Step::Wait(START + 200));
}

#[test]
fn lifetimes_are_bounded() {
    let lifetimes = Lifetimes::new(10, 30);
    assert_eq!((lifetimes.authority, lifetimes.leaf), (30, 30), "a CA lives as long as what it signs");
    assert_eq!(lifetimes.settling().as_secs(), 3);
    assert_eq!(Lifetimes::new(31_536_000, 7_776_000).settling().as_secs(), 600);
    assert_eq!(Lifetimes::new(0, 0).leaf, 1);
}

/// The Secret, as the steps change it. CAs are told apart by when they were made.
#[derive(Debug, Clone)]
struct Model {
    authorities: Vec<Period>,
    leaf: Option<Leaf>,
    has_key: bool,
}

impl Model {
    fn view(&self, is_trusted: bool) -> View {
        let (authorities, leaf, has_key) = (self.authorities.clone(), self.leaf, self.has_key);
        View { authorities, leaf, has_key, is_trusted, missing: None }
    }

    fn is_usable(&self, now: i64) -> bool {
        let ca = |leaf: Leaf| self.authorities[leaf.signer].holds(now) && leaf.period.holds(now);
        self.leaf.is_some_and(ca)
    }

    fn sign(&mut self, now: i64) {
        let mut period = Period::from(now, LIFETIMES.leaf);
        period.ends = period.ends.min(self.authorities[0].ends);
        self.leaf = Some(Leaf { period, signer: 0 });
    }

    fn take(&mut self, step: &Step, now: i64) {
        let kept = |kept: &[usize]| kept.iter().map(|at| self.authorities[*at]).collect::<Vec<_>>();
        let moved = |kept: &[usize], by: usize| {
            let moved = |leaf: Leaf| {
                let signer = kept.iter().position(|at| *at == leaf.signer).expect("its CA is kept");
                Leaf { signer: signer + by, ..leaf }
            };
            self.leaf.map(moved)
        };
        match step {
            Step::Begin => {
                *self = Self { authorities: vec![Period::from(now, LIFETIMES.authority)], leaf: None, has_key: true };
                self.sign(now);
            }
            Step::Introduce(chosen) => {
                let (mut authorities, leaf) = (vec![Period::from(now, LIFETIMES.authority)], moved(chosen, 1));
                authorities.extend(kept(chosen));
                *self = Self { authorities, leaf, has_key: true };
            }
            Step::Sign => self.sign(now),
            Step::Retire(chosen) => {
                (self.leaf, self.authorities) = (moved(chosen, 0), kept(chosen));
            }
            Step::Adopt | Step::Wait(_) | Step::AwaitTrust => {}
        }
    }
}

#[derive(Debug, Clone)]
enum Happens {
    Later(i64),
    Earlier(i64),
    Trusted(bool),
    KeyLost,
    LeafLost,
}

fn history() -> impl Strategy<Value = Vec<Happens>> {
    let one = prop_oneof![
        8 => (1_i64..400).prop_map(Happens::Later),
        1 => (1_i64..10_000).prop_map(Happens::Later),
        1 => (1_i64..10_000).prop_map(Happens::Earlier),
        4 => any::<bool>().prop_map(Happens::Trusted),
        1 => Just(Happens::KeyLost),
        1 => Just(Happens::LeafLost),
    ];
    proptest::collection::vec(one, 1..60)
}

proptest! {
    #[test]
    fn whatever_happens_nobody_serves_what_is_not_trusted(history in history()) {
        let mut model = Model { authorities: Vec::new(), leaf: None, has_key: false };
        let (mut now, mut is_trusted) = (START, false);
        for happens in history {
            match happens {
                Happens::Later(by) => now += by,
                Happens::Earlier(by) => now -= by,
                Happens::Trusted(is) => is_trusted = is,
                Happens::KeyLost => model.has_key = false,
                Happens::LeafLost => model.leaf = None,
            }
            let mut steps = 0;
            loop {
                let step = next(&model.view(is_trusted), now, LIFETIMES);
                let before = model.clone();
                model.take(&step, now);
                prop_assert!(model.authorities.len() <= AUTHORITIES);
                if before.is_usable(now) {
                    let leaf = |model: &Model| model.leaf.map(|leaf| (leaf.period, model.authorities[leaf.signer]));
                    prop_assert!(model.is_usable(now), "{step:?} took a certificate away");
                    let ca = |model: &Model| leaf(model).map(|(_, ca)| ca);
                    let is_new_ca = ca(&before) != ca(&model);
                    prop_assert!(!is_new_ca || is_trusted, "{step:?} served a CA that is not trusted");
                    if leaf(&before) != leaf(&model) {
                        prop_assert_eq!(&step, &Step::Sign);
                    }
                }
                if matches!(step, Step::Introduce(_)) {
                    // It was trusted a moment ago; the new one is not yet.
                    is_trusted = false;
                }
                match step {
                    Step::Wait(until) => {
                        prop_assert!(until > now, "nothing is due, and it waits for {until}");
                        prop_assert!(model.is_usable(now));
                        break;
                    }
                    Step::AwaitTrust => {
                        prop_assert!(!is_trusted && model.is_usable(now));
                        break;
                    }
                    _ => {}
                }
                steps += 1;
                prop_assert!(steps <= 4, "it writes again and again");
            }
        }
    }
}
