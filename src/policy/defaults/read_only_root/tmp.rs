//! Hardening of the emptyDir on `/tmp`: its mode, and the options of its mount.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use super::paths::steps;
use crate::object::BindOptions;
use crate::policy::quoted;

/// The path that is hardened.
const PATH: &str = "/tmp";
/// The highest mode, as the API server has it: the sticky bit, and all rights for all.
const HIGHEST: u64 = 0o1777;
/// Maximum number of octal digits, the leading zero included.
const DIGITS: usize = 5;

/// Settings of the volume that is new on `/tmp`; nothing is set by default.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tmp {
    /// Permission bits of the emptyDir, in octal: `01777` keeps users from each other's files.
    mode: Option<OctalMode>,
    /// Options of the mount: `nodev`, `nosuid`, `noexec`.
    options: MountOptions,
}

/// A volume of ours and its mount, as far as settings shape them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// `emptyDir.mode`
    pub(super) mode: Option<u16>,
    /// `bindMountOptions`
    pub(super) options: BindOptions,
}

impl Tmp {
    /// The shape of a new volume that is mounted at `path`.
    pub(super) fn shape(&self, path: &str) -> Shape {
        if steps(path) != steps(PATH) {
            return Shape::default();
        }
        Shape { mode: self.mode.as_ref().map(|mode| mode.0), options: self.options.0 }
    }
}

/// A mode from an integer or a string of octal digits.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
struct OctalMode(u16);

impl TryFrom<Value> for OctalMode {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let text = value.as_str().map(|text| text.strip_prefix("0o").unwrap_or(text));
        let number = match text {
            Some(digits) if digits.len() <= DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7')) => {
                u64::from_str_radix(digits, 8).ok()
            }
            Some(_) => None,
            None => value.as_u64(),
        };
        let written = text.map_or_else(|| value.to_string(), |text| quoted(text).to_string());
        let Some(mode) = number.filter(|mode| *mode <= HIGHEST) else {
            let of_what = if value.is_number() || value.is_string() { format!("{written} ") } else { String::new() };
            return Err(format!("{of_what}must be a mode from 0700 to 01777, in octal: a leading zero, or quotes"));
        };
        // An integer without its leading zero is decimal: 777 is 01411, which nobody means. In a folder, who may read or write
        // must be let in too.
        let is_of_a_folder = [6, 3, 0].iter().all(|shift| matches!(mode >> shift & 7, 0 | 1 | 5 | 7));
        if mode & 0o700 != 0o700 || !is_of_a_folder {
            return Err(format!(
                "{written}, 0{mode:o} in octal, must give the owner 7, and group and others 0, 1, 5 or 7; 01777 and \"1777\" are \
                 octal, 1777 is decimal"
            ));
        }
        u16::try_from(mode).map(Self).map_err(|error| error.to_string())
    }
}

impl JsonSchema for OctalMode {
    fn schema_name() -> Cow<'static, str> {
        "OctalMode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [
            {"type": "integer", "minimum": 0o700, "maximum": HIGHEST},
            {"type": "string", "pattern": "^(0o?)?1?[0-7]{3}$"},
        ]})
    }
}

/// Options of a mount, each one once.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
struct MountOptions(BindOptions);

impl TryFrom<Vec<String>> for MountOptions {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, Self::Error> {
        if names.is_empty() {
            return Ok(Self::default());
        }
        let options = BindOptions::of(names.iter().map(String::as_str));
        options.map(Self).ok_or_else(|| {
            let names: Vec<_> = names.iter().map(|name| quoted(name).to_string()).collect();
            format!("{} must be nodev, nosuid or noexec, each one once", names.join(", "))
        })
    }
}

impl JsonSchema for MountOptions {
    fn schema_name() -> Cow<'static, str> {
        "MountOptions".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "uniqueItems": true, "items": {"enum": ["nodev", "nosuid", "noexec"]}})
    }
}
