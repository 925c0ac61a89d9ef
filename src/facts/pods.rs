//! Running Pods, reduced to their labels.

use std::sync::Arc;

/// The labels of a Pod, sorted by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PodLabels(Box<[(Box<str>, Box<str>)]>);

impl PodLabels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        let place = self.0.binary_search_by(|(one, _)| (**one).cmp(key)).ok()?;
        self.0.get(place).map(|(_, value)| &**value)
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for PodLabels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(labels: I) -> Self {
        let mut labels: Box<[(Box<str>, Box<str>)]> =
            labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        labels.sort_unstable();
        Self(labels)
    }
}

/// Pods with the same labels. What selects one of them by its labels selects all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodGroup {
    /// Their labels.
    pub labels: Arc<PodLabels>,
    /// The name of one of them.
    pub example: String,
    /// Number of Pods, at least one.
    pub count: usize,
}

/// The running Pods of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunningPods(pub Vec<PodGroup>);

#[cfg(test)]
mod tests {
    use super::PodLabels;

    #[test]
    fn labels_are_found_by_their_key() {
        let labels: PodLabels = [("b", "2"), ("a", "1"), ("c", "")].into_iter().collect();
        assert_eq!(["a", "b", "c", "d"].map(|key| labels.get(key)), [Some("1"), Some("2"), Some(""), None]);
        assert_eq!(PodLabels::default().get("a"), None);
    }
}
