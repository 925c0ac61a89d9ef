//! The options of a CONNECT request: what an API server sends of exec, attach, port-forward and proxy in place of an object.

use serde::{Deserialize, Deserializer};

use super::Content;
use crate::object::list::List;
use crate::object::mapping;
use crate::object::text::Text;

/// The options of every subresource that is connected to. Each has some of the fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConnectOptions<'a> {
    #[serde(borrow)]
    container: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    command: List<Text<'a>>,
    stdin: Option<bool>,
    tty: Option<bool>,
    #[serde(borrow)]
    path: Option<Text<'a>>,
    #[serde(deserialize_with = "ports")]
    ports: List<i32>,
}

/// Makes the struct of each kind of options, and the one way to all of them.
macro_rules! options {
    ($($kind:ident: $of:literal),* $(,)?) => {
        $(
            #[doc = concat!("Options of `", $of, "`.")]
            #[derive(Debug, Default, Deserialize)]
            #[serde(transparent)]
            pub struct $kind<'a>(#[serde(borrow)] ConnectOptions<'a>);
        )*

        impl<'a> ConnectOptions<'a> {
            /// The options, if the object is that.
            pub(in crate::object) fn of<'r>(content: &'r Content<'a>) -> Option<&'r Self> {
                match content {
                    $(Content::$kind(read) => Some(&read.0),)*
                    _ => None,
                }
            }
        }
    };
}

options! {
    PodExecOptions: "pods/exec",
    PodAttachOptions: "pods/attach",
    PodPortForwardOptions: "pods/portforward",
    PodProxyOptions: "pods/proxy",
    ServiceProxyOptions: "services/proxy",
    NodeProxyOptions: "nodes/proxy",
}

impl ConnectOptions<'_> {
    /// `container`; `None` for the Pod's default one, and where there is none.
    pub fn container(&self) -> Option<&str> {
        self.container.as_deref()
    }

    /// The number of words of `command`.
    pub fn words(&self) -> usize {
        self.command.len()
    }

    /// The words of `command`.
    pub fn command(&self) -> impl Iterator<Item = &str> {
        self.command.iter().map(Text::as_str)
    }

    /// True if `stdin` is set.
    pub fn stdin(&self) -> bool {
        self.stdin == Some(true)
    }

    /// True if `tty` is set.
    pub fn tty(&self) -> bool {
        self.tty == Some(true)
    }

    /// `path`, of a proxy.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// `ports`, of a port-forward. kubectl names them in the connection, and not here.
    pub fn ports(&self) -> impl Iterator<Item = i32> {
        self.ports.iter().copied()
    }
}

fn ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<List<i32>, D::Error> {
    let mut list = List::default();
    mapping::each(deserializer, |_, port| list.push(port))?;
    Ok(list)
}
