//! The ephemeral containers of a Pod, with what runs in them. Read for records alone: no policy on Pods asks for a command.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::list::List;
use super::mapping::{self, Mapping};
use super::memory::Limit;
use super::text::Text;

/// An ephemeral container.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct EphemeralContainer<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    command: List<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    args: List<Text<'a>>,
    stdin: Option<bool>,
    tty: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pod<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    spec: Option<Spec<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, deserialize_with = "mapping::list")]
    ephemeral_containers: List<EphemeralContainer<'a>>,
}

impl<'a> EphemeralContainer<'a> {
    /// The ephemeral containers of a Pod, in order; none if it cannot be read.
    pub fn of(pod: &'a RawValue) -> impl Iterator<Item = Self> {
        let _limit = Limit::of(pod.get().len());
        let pod = serde_json::from_str::<Mapping<Pod<'a>>>(pod.get()).ok();
        pod.and_then(|Mapping(pod)| pod.spec).map(|spec| spec.ephemeral_containers).into_iter().flatten()
    }

    /// The container's name; empty if it is absent.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The number of words of `command` and `args`.
    pub fn words(&self) -> usize {
        self.command.len() + self.args.len()
    }

    /// The words of `command` and `args`.
    pub fn command(&self) -> impl Iterator<Item = &str> {
        self.command.iter().chain(self.args.iter()).map(Text::as_str)
    }

    /// True if `stdin` is set.
    pub fn stdin(&self) -> bool {
        self.stdin == Some(true)
    }

    /// True if `tty` is set.
    pub fn tty(&self) -> bool {
        self.tty == Some(true)
    }
}
