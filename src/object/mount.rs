//! The options of a volume mount.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The values of `bindMountOptions` (`supportedBindMountOptions` in `K/pkg/apis/core/validation/validation.go`).
const OPTIONS: [&str; 3] = ["noexec", "nodev", "nosuid"];
/// Bits of one option: its position in [`OPTIONS`], counted from 1.
const BITS: u8 = 2;
/// A value that is not a list of such options, or one of none.
const OTHER: u8 = u8::MAX;
/// Longest JSON of a list of them, in bytes, spaces included.
const LIST: usize = 128;

/// `bindMountOptions` of a mount, in the order written. One byte: memory is bounded by the size of a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BindOptions(u8);

impl BindOptions {
    /// The options with these names; `None` if there are none, if one is unknown, or if one is there twice.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<Self> {
        let mut packed = 0;
        for (position, name) in names.into_iter().enumerate() {
            let number = u8::try_from(OPTIONS.iter().position(|known| *known == name)?).ok()? + 1;
            if Self(packed).names().any(|before| before == name) {
                return None;
            }
            packed |= number << (BITS * u8::try_from(position).ok()?);
        }
        (packed != 0).then_some(Self(packed))
    }

    /// The names, in the order written; none if the field is absent or holds something else.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let numbers = (0..OPTIONS.len()).map(move |position| usize::from(self.0 >> (usize::from(BITS) * position) & 3));
        numbers
            .take_while(move |number| self.0 != OTHER && *number > 0)
            .filter_map(|number| OPTIONS.get(number - 1).copied())
    }

    /// True if the field is absent, or a list of options that Kubernetes knows.
    pub fn is_known(self) -> bool {
        self.0 != OTHER
    }
}

impl<'de> Deserialize<'de> for BindOptions {
    /// Takes any value: what no API server accepts is read as other options.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(raw) = Option::<&RawValue>::deserialize(deserializer)? else { return Ok(Self::default()) };
        let names = Some(raw.get())
            .filter(|raw| raw.len() <= LIST)
            .and_then(|raw| serde_json::from_str::<Vec<String>>(raw).ok());
        Ok(names.and_then(|names| Self::of(names.iter().map(String::as_str))).unwrap_or(Self(OTHER)))
    }
}

#[cfg(test)]
mod tests {
    use super::BindOptions;

    #[test]
    fn options_are_read_in_their_order() {
        let read = |text: &str| serde_json::from_str::<BindOptions>(text).expect("any value");
        let names = |text: &str| read(text).names().collect::<Vec<_>>();
        assert_eq!(names(r#"["nosuid", "noexec", "nodev"]"#), ["nosuid", "noexec", "nodev"]);
        assert_eq!(names(r#"["nodev"]"#), ["nodev"]);
        assert_eq!(Some(read(r#"["nodev","nosuid"]"#)), BindOptions::of(["nodev", "nosuid"]));
        assert_ne!(Some(read(r#"["nosuid","nodev"]"#)), BindOptions::of(["nodev", "nosuid"]), "the order counts");
        assert!(read("null").is_known() && read("null").names().next().is_none());
        let long = format!("[{}]", vec!["\"nodev\""; 100].join(","));
        for other in ["[]", "7", "{}", r#""nodev""#, r#"["ro"]"#, r#"["nodev", "nodev"]"#, r#"["nodev", 1]"#, &long] {
            assert!(!read(other).is_known() && read(other).names().next().is_none(), "{other}");
        }
    }
}
