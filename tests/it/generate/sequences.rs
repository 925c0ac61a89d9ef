//! Properties of plans, over sequences of what happens to a namespace.

use portcullis::generate::{Cause, DEFAULT_DENY, Kind};
use proptest::prelude::*;

use super::model::{Model, workload};

/// Something that happens.
#[derive(Debug, Clone)]
enum Event {
    Label(Option<&'static str>),
    Named(bool),
    Source(bool),
    Created(Kind, usize),
    Deleted(usize),
    Ending(usize),
    Foreign(usize),
    Edited(usize),
    Removed(usize),
}

/// Names that lead to each other's policies, and names of any length.
fn names() -> Vec<String> {
    let long = "a".repeat(238);
    let mut names: Vec<String> =
        ["web", "web-statefulset", "web-deployment", "web-statefulset-deployment", "default"].map(str::to_owned).into();
    names.extend([format!("{long}b"), format!("{long}bc"), format!("{long}.b.c"), "a".repeat(253)]);
    names
}

fn event() -> impl Strategy<Value = Event> {
    let labels = prop_oneof![
        Just(None),
        Just(Some("allow-ingress")),
        Just(Some("default-deny")),
        Just(Some("all")),
        Just(Some("some"))
    ];
    prop_oneof![
        2 => labels.prop_map(Event::Label),
        1 => any::<bool>().prop_map(Event::Named),
        1 => any::<bool>().prop_map(Event::Source),
        6 => (prop::sample::select(Kind::ALL.to_vec()), 0..names().len()).prop_map(|(kind, name)| Event::Created(kind, name)),
        2 => any::<prop::sample::Index>().prop_map(|index| Event::Deleted(index.index(1_000))),
        1 => any::<prop::sample::Index>().prop_map(|index| Event::Ending(index.index(1_000))),
        2 => (0..2 * names().len()).prop_map(Event::Foreign),
        2 => any::<prop::sample::Index>().prop_map(|index| Event::Edited(index.index(1_000))),
        2 => any::<prop::sample::Index>().prop_map(|index| Event::Removed(index.index(1_000))),
    ]
}

fn happen(model: &mut Model, event: &Event, number: usize) {
    let nth = |length: usize, index: usize| (length > 0).then(|| index % length);
    let policy = |model: &Model, index: usize| {
        let position = nth(model.policies.len(), index)?;
        model.policies.keys().nth(position).cloned()
    };
    let toggle = |set: &mut std::collections::BTreeSet<String>, name: &str, on: bool| {
        set.remove(name);
        set.extend(on.then(|| name.to_owned()));
    };
    match event {
        Event::Label(label) => model.namespace.label = label.map(str::to_owned),
        Event::Named(on) => toggle(&mut model.settings.allow_ingress, "shop", *on),
        Event::Source(on) => toggle(&mut model.settings.from, "monitoring", *on),
        Event::Created(kind, name) => {
            let name = &names()[*name];
            if !model.workloads.iter().any(|one| one.kind == *kind && one.name == *name) {
                let mut created = workload(*kind, name);
                created.uid = format!("{}-{number}", created.uid);
                model.workloads.push(created);
            }
        }
        Event::Deleted(index) => {
            if let Some(position) = nth(model.workloads.len(), *index) {
                model.delete(position);
            }
        }
        Event::Ending(index) => {
            if let Some(position) = nth(model.workloads.len(), *index) {
                model.workloads[position].is_ending = true;
            }
        }
        Event::Foreign(index) => {
            let names: Vec<String> = names().iter().map(|name| format!("{name}-allow-ingress")).collect();
            let name = names.get(*index).map_or(DEFAULT_DENY, String::as_str);
            // An API server takes no longer one.
            if name.len() <= 253 && !model.policies.contains_key(name) {
                model.foreign(name);
            }
        }
        Event::Edited(index) => {
            if let Some(name) = policy(model, *index) {
                model.edit(&name);
            }
        }
        Event::Removed(index) => {
            if let Some(name) = policy(model, *index) {
                model.policies.remove(&name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_plan_is_done_once_and_touches_nothing_of_others(events in prop::collection::vec(event(), 1..40)) {
        let mut model = Model::labelled(Some("all"));
        for (number, event) in events.iter().enumerate() {
            happen(&mut model, event, number);
            let before = model.clone();
            let plan = model.follow();

            // Done once.
            let again = model.plan();
            prop_assert_eq!(&again.actions, &vec![], "after {:?}", event);
            // What others made or edited is as it was.
            for (name, policy) in &before.policies {
                let is_others = policy.metadata.managed_fields.iter().flatten().any(|entry| entry.manager.as_deref() != Some("portcullis-generate"));
                if is_others {
                    prop_assert_eq!(model.policies.get(name), Some(policy));
                }
            }
            for name in model.policies.keys() {
                prop_assert!(name.len() <= 253, "{}", name);
            }
            let is_named = model.settings.allow_ingress.contains("shop");
            match model.namespace.label.as_deref() {
                None if !is_named => prop_assert_eq!(again.owned, 0),
                Some("all" | "allow-ingress") => {
                    for workload in model.workloads.iter().filter(|workload| !workload.is_ending) {
                        let told = plan.remarks.iter().any(|remark| {
                            [Cause::Foreign, Cause::Edited, Cause::Clash].contains(&remark.cause)
                        });
                        prop_assert!(told || model.policy_of(workload).is_some(), "{:?} has none", workload);
                    }
                }
                Some("some") if !is_named => prop_assert_eq!(&model.policies, &before.policies),
                _ => {}
            }
        }
    }
}
