//! The likely resource name of a kind: its plural, by the rule of kubebuilder (`gobuffalo/flect` v1.0.3).

/// Words with irregular plurals.
pub const WORDS: [(&str, &str); 22] = [
    ("alias", "aliases"),
    ("appendix", "appendices"),
    ("axis", "axes"),
    ("basis", "bases"),
    ("child", "children"),
    ("crisis", "crises"),
    ("criterion", "criteria"),
    ("focus", "foci"),
    ("foot", "feet"),
    ("index", "indices"),
    ("locus", "loci"),
    ("man", "men"),
    ("medium", "media"),
    ("mouse", "mice"),
    ("move", "moves"),
    ("movie", "movies"),
    ("nucleus", "nuclei"),
    ("person", "people"),
    ("radius", "radii"),
    ("thesis", "theses"),
    ("vertex", "vertices"),
    ("woman", "women"),
];
/// Endings, number of letters to remove, and letters to add; the first match counts.
pub const ENDINGS: [(&str, usize, &str); 34] = [
    ("tive", 0, "s"),
    ("eaf", 1, "ves"),
    ("oaf", 1, "ves"),
    ("arf", 1, "ves"),
    ("rf", 1, "ves"),
    ("lf", 1, "ves"),
    ("fe", 2, "ves"),
    ("ay", 0, "s"),
    ("ey", 0, "s"),
    ("oy", 0, "s"),
    ("quy", 1, "ies"),
    ("uy", 0, "s"),
    ("y", 1, "ies"),
    ("ium", 2, "a"),
    ("trum", 2, "a"),
    ("atum", 2, "a"),
    ("entum", 2, "a"),
    ("trix", 1, "ces"),
    ("opsis", 2, "es"),
    ("ysis", 2, "es"),
    ("us", 0, "es"),
    ("ch", 0, "es"),
    ("io", 0, "s"),
    ("sh", 0, "es"),
    ("ss", 0, "es"),
    ("ez", 0, "zes"),
    ("iz", 0, "zes"),
    ("tz", 0, "es"),
    ("zz", 0, "es"),
    ("ano", 0, "s"),
    ("lo", 0, "s"),
    ("to", 0, "s"),
    ("oo", 0, "s"),
    ("x", 0, "es"),
];

/// The likely resource name of a kind in the API's paths.
pub(crate) fn plural(kind: &str) -> String {
    let word = kind.to_lowercase();
    if WORDS.iter().any(|(_, plural)| *plural == word) {
        return word;
    }
    if let Some((_, plural)) = WORDS.iter().find(|(single, _)| *single == word) {
        return (*plural).to_owned();
    }
    let ending = ENDINGS.iter().find(|(ending, ..)| word.ends_with(ending));
    match ending {
        Some((_, gone, more)) => format!("{}{more}", &word[..word.len() - gone]),
        None if word.ends_with('o') => word + "es",
        None if word.ends_with('s') => word,
        None => word + "s",
    }
}

#[cfg(test)]
mod tests {
    use super::plural;

    /// The results of `flect.Pluralize` (v1.0.3) for these words in lower case.
    const FLECT: &str = "Sandbox sandboxes Elasticsearch elasticsearches Proxy proxies Jenkins jenkins Policy policies \
        Rollout rollouts Gateway gateways Redis redis Kafka kafkas Field fields Build builds Index indices Mesh meshes \
        Postgres postgres Database databases Cache caches Prometheus prometheuses Canary canaries Process processes \
        Quiz quizzes Analysis analyses AnalysisRun analysisruns Medium media Repo repoes Photo photos Status statuses \
        Bus buses Release releases Kubernetes kubernetes Metrics metrics Dataset datasets Service services \
        Knife knives Shelf shelves Proof proofs Staff staffs Matrix matrices Vertex vertices Tools tools \
        Sandboxes sandboxes Rollouts rollouts Volume volumes Life lives Cron crons JobSet jobsets Batch batches \
        Success successes Datum data Quorum quorums Forum forums Hero heroes Zoo zoos Piano pianos Radio radios \
        Toy toys Key keys Query queries Soliloquy soliloquies Person people Child children Mouse mice Series series \
        Ingress ingresses Class classes Nginx nginxes Etcd etcds Buzz buzzes Fez fezzes Criterion criteria \
        Thesis theses Axis axes Address addresses Alias aliases Canvas canvas Atlas atlas Focus foci Virus viruses \
        Radius radii Consortium consortia Spectrum spectra Momentum momenta Custom customs Item items System systems \
        Schema schemas Quota quotas Leaf leaves Half halves Scarf scarves Drive drives Archive archives Move moves \
        Movie movies People people Proxies proxies Directive directives";

    #[test]
    fn a_plural_is_what_kubebuilder_would_say() {
        let words: Vec<&str> = FLECT.split_whitespace().collect();
        for pair in words.chunks_exact(2) {
            assert_eq!(plural(pair[0]), pair[1], "{}", pair[0]);
        }
        assert_eq!(words.len() % 2, 0);
    }
}
