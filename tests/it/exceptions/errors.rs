//! Exceptions that are refused when the configuration is read, each with its place and what to write.

use portcullis::config::compile_at;

use super::{END, NOW, exception, time};
use crate::judging::HEAD;

const POLICIES: &str = "policies: {unpinned-images: {mode: enforce}}\n";

/// The lines that these lines below the head are refused with.
fn refused(lines: &str) -> Vec<String> {
    let error = compile_at("c", &format!("{HEAD}{lines}"), None, time(NOW)).err().unwrap_or_else(|| panic!("{lines}"));
    error.to_string().lines().map(|line| line.strip_prefix("c:").expect(line).to_owned()).collect()
}

/// The same for one exception, in block style from line 5 on, in which these lines replace or follow others.
fn refused_with(changes: &[(&str, &str)]) -> Vec<String> {
    let mut fields = vec![
        ("name", "old-shop-images"),
        ("policies", "[unpinned-images]"),
        ("match", "{namespace: shop}"),
        ("expires", END),
        ("reason", "moving"),
        ("owner", "team-shop"),
    ];
    for (key, value) in changes {
        match fields.iter_mut().find(|(known, _)| known == key) {
            Some(field) => field.1 = value,
            None => fields.push((key, value)),
        }
    }
    let fields = fields.iter().filter(|(_, value)| !value.is_empty());
    let lines: Vec<String> = fields.map(|(key, value)| format!("{key}: {value}")).collect();
    refused(&format!("{POLICIES}exceptions:\n- {}\n", lines.join("\n  ")))
}

#[test]
fn each_field_says_what_to_write() {
    let long = "n".repeat(64);
    let reason = "r".repeat(513);
    let owner = "o".repeat(254);
    for (key, value, error) in [
        ("name", "", "5:3: exceptions[0].name: is missing; write name: old-shop-images"),
        (
            "name",
            "Old",
            "5:9: exceptions[0].name: must be lower-case letters, digits and hyphens, at most 63, such as old-shop-images",
        ),
        (
            "name",
            &long,
            "5:9: exceptions[0].name: must be lower-case letters, digits and hyphens, at most 63, such as old-shop-images",
        ),
        ("name", "7", "5:9: exceptions[0].name: must be a string"),
        ("policies", "", "5:3: exceptions[0].policies: must name policies, such as policies: [root-users]"),
        ("policies", "[]", "5:3: exceptions[0].policies: must name policies, such as policies: [root-users]"),
        ("policies", "unpinned-images", "6:13: exceptions[0].policies: must be a list"),
        (
            "policies",
            "[unpinned-image]",
            "6:14: exceptions[0].policies: no policy has this id; did you mean unpinned-images?",
        ),
        ("policies", "[podSecurityLabels]", "6:14: exceptions[0].policies: no policy has this id"),
        ("policies", "[unreadable-fields]", "6:14: exceptions[0].policies: no policy has this id"),
        (
            "policies",
            "[default-seccomp-profile]",
            "6:14: exceptions[0].policies: default-seccomp-profile sets a default and refuses nothing; name a policy that judges",
        ),
        ("expires", "", "5:3: exceptions[0].expires: is missing; write expires: 2027-01-31T00:00:00Z"),
        (
            "expires",
            "2027-01-31",
            "8:12: exceptions[0].expires: must be a time in RFC 3339, such as 2027-01-31T00:00:00Z",
        ),
        ("expires", "never", "8:12: exceptions[0].expires: must be a time in RFC 3339, such as 2027-01-31T00:00:00Z"),
        ("reason", "", "5:3: exceptions[0].reason: is missing; write why it is needed"),
        ("reason", "\" \"", "9:11: exceptions[0].reason: must not be empty"),
        ("reason", &reason, "9:11: exceptions[0].reason: must not be longer than 512 bytes"),
        ("owner", "", "5:3: exceptions[0].owner: is missing; write who answers for it"),
        ("owner", "\"\"", "10:10: exceptions[0].owner: must not be empty"),
        ("owner", &owner, "10:10: exceptions[0].owner: must not be longer than 253 bytes"),
        ("ticket", "17", "11:11: exceptions[0].ticket: must be a string"),
        ("tickt", "SHOP-17", "11:3: exceptions[0].tickt: unknown key; did you mean ticket?"),
        (
            "requires",
            "[root-users]",
            "11:14: exceptions[0].requires: root-users is off in namespace shop, so that the exception would never count; turn it on",
        ),
        (
            "requires",
            "[unpinned-images]",
            "11:14: exceptions[0].requires: unpinned-images is what the exception is for, so that it would never count",
        ),
        ("requires", "[root-user]", "11:14: exceptions[0].requires: no policy has this id; did you mean root-users?"),
    ] {
        let lines = refused_with(&[(key, value)]);
        let [line] = lines.as_slice() else { panic!("{key}: {value}: {lines:?}") };
        assert!(line.starts_with(error), "{key}: {value}: {line}");
    }
}

#[test]
fn a_match_says_what_to_write() {
    let message = "match: {namespace: NAME, kind: Deployment, name: NAME}";
    let long = format!("[{}]", "x/".repeat(600));
    for (matching, error) in [
        ("", format!("5:3: exceptions[0].match: is missing; write {message}")),
        ("{}", format!("7:10: exceptions[0].match: matches everything; write {message}")),
        ("{users: [jane]}", "7:10: exceptions[0].match.namespace: is missing; write namespace: NAME, or the kind of an object that lives in no namespace".to_owned()),
        ("{kind: Deployment}", "7:10: exceptions[0].match.namespace: is missing: every Deployment lives in a namespace; write namespace: NAME".to_owned()),
        ("{kind: Role.rbac.authorization.k8s.io}", "7:10: exceptions[0].match.namespace: is missing: every Role lives in a namespace; write namespace: NAME".to_owned()),
        ("{namespace: shop, kind: ClusterRole}", "7:22: exceptions[0].match.namespace: must be left out: a ClusterRole lives in no namespace".to_owned()),
        ("{namespace: \"shop-*\"}", "7:22: exceptions[0].match.namespace: must be the name of a namespace, in full".to_owned()),
        ("{namespace: shop, kind: deployments}", "7:34: exceptions[0].match.kind: must be the kind, as in `kind:` of a manifest, such as Deployment, or with its group, Deployment.apps".to_owned()),
        ("{namespace: shop, kind: Deployment.apps/v1}", "7:34: exceptions[0].match.kind: must be the kind,".to_owned()),
        ("{namespace: shop, name: \"\"}", "7:34: exceptions[0].match.name: must not be empty".to_owned()),
        ("{namespace: shop, namePrefix: ci-}", "7:40: exceptions[0].match.namePrefix: needs images beside it: anybody can give an object a name that begins so; write the images that it may run, or the whole name as name".to_owned()),
        ("{namespace: shop, name: ci, namePrefix: ci-, images: [nginx]}", "7:50: exceptions[0].match.namePrefix: cannot be combined with name; keep one".to_owned()),
        ("{namespace: shop, containers: []}", "7:40: exceptions[0].match.containers: must not be empty; leave it out where all match".to_owned()),
        ("{namespace: shop, users: [7]}", "7:36: exceptions[0].match.users: must be a string; put it in quotation marks".to_owned()),
        ("{namespace: shop, images: [\"registry.example.com*\"]}", "7:37: exceptions[0].match.images: must be an image pattern, such as registry.example.com/** or shop/web:1.2; * must stand for a whole component of the path, as in registry.example.com/*/web".to_owned()),
        ("{namespace: shop, images: [\"https://registry.example.com/web\"]}", "7:37: exceptions[0].match.images: must be an image pattern, such as registry.example.com/** or shop/web:1.2; is not an image reference: it must not have a scheme such as https://".to_owned()),
        ("{namespace: shop, images: [nginx, \"**\"]}", "7:44: exceptions[0].match.images: must be an image pattern, such as registry.example.com/** or shop/web:1.2; ** needs a registry or a path before it, as in registry.example.com/**".to_owned()),
        (&format!("{{namespace: shop, images: {long}}}"), "7:37: exceptions[0].match.images: must be an image pattern".to_owned()),
        ("{namespce: shop}", "7:11: exceptions[0].match.namespce: unknown key; did you mean namespace?".to_owned()),
    ] {
        let lines = refused_with(&[("match", matching)]);
        assert!(lines.iter().any(|line| line.starts_with(&error)), "{matching}: {lines:?}");
    }
}

#[test]
fn two_of_one_name_are_refused_and_so_are_too_many() {
    let one = exception("one", "unpinned-images", "namespace: shop");
    assert_eq!(
        refused(&format!("{POLICIES}exceptions:\n- {one}\n- {}\n- {one}\n", one.replace("name: one", "name: two"))),
        ["7:10: exceptions[2].name: is the name of the exception at line 5 already; choose another"]
    );
    let many: String =
        (0..=4_096).map(|number| format!("- {}\n", one.replace("name: one", &format!("name: n{number}")))).collect();
    assert_eq!(
        refused(&format!("{POLICIES}exceptions:\n{many}")),
        ["4101:3: exceptions: must be at most 4096 exceptions"]
    );
    let users = format!("users: [{}]", vec!["u"; 257].join(", "));
    let lines = refused(&format!(
        "{POLICIES}exceptions:\n- {}\n",
        exception("one", "unpinned-images", &format!("namespace: shop, {users}"))
    ));
    assert!(lines[0].ends_with("exceptions[0].match.users: must be at most 256 items"), "{lines:?}");
}

#[test]
fn the_list_may_stand_below_entries_with_another_lifetime() {
    for (exceptions, error) in [
        ("7", "4:13: exceptions: must be a list"),
        ("{maxLifetme: 30d}", "4:14: exceptions.maxLifetme: unknown key; did you mean maxLifetime?"),
        ("{maxLifetime: long}", "4:27: exceptions.maxLifetime: must be a time such as 12h or 90d"),
        ("{maxLifetime: 30d, entries: 7}", "4:41: exceptions.entries: must be a list"),
        ("{entries: [7]}", "4:24: exceptions.entries[0]: must be a mapping"),
    ] {
        assert_eq!(refused(&format!("{POLICIES}exceptions: {exceptions}\n")), [error], "{exceptions}");
    }
    for exceptions in ["", "[]", "{}", "{maxLifetime: 30d}", "{entries: []}"] {
        assert!(compile_at("c", &format!("{HEAD}exceptions: {exceptions}\n"), None, time(NOW)).is_ok(), "{exceptions}");
    }
}

#[test]
fn a_required_policy_is_on_where_the_exception_is() {
    let requiring =
        exception("one", "unpinned-images", "namespace: shop").replace("expires", "requires: [root-users], expires");
    let reads = |policies: &str, of_shop: &str| {
        let lines = format!(
            "policies: {{unpinned-images: {{mode: enforce}}, root-users: {{mode: {policies}}}}}\nexceptions: [{requiring}]\n\
             namespaces: [{{match: {{names: [shop]}}, relax: true, policies: {{root-users: {{mode: {of_shop}}}}}}}]\n"
        );
        compile_at("c", &format!("{HEAD}{lines}"), None, time(NOW)).is_ok()
    };
    assert!(reads("off", "audit") && reads("warn", "warn"));
    assert!(!reads("enforce", "off"));
}

#[test]
fn a_policy_that_does_not_run_where_the_exception_counts_is_a_warning() {
    let warned = |policies: &str, named: &str| -> Vec<String> {
        let exception = exception("one", named, "namespace: shop");
        let text = format!("{HEAD}{policies}exceptions:\n- {exception}\n");
        let warnings = compile_at("c", &text, None, time(NOW)).expect(policies).warnings;
        warnings.iter().map(ToString::to_string).collect()
    };
    let hardened = "profile: hardened\n";
    assert_eq!(warned(hardened, "undropped-capabilities, unpinned-images"), [""; 0]);
    assert_eq!(
        warned(hardened, "unpinned-images, added-capabilities"),
        ["c:5:43: warning: exceptions[0].policies: added-capabilities does not run in namespace shop, because \
          undropped-capabilities finds all that it finds: the exception covers nothing of it; name undropped-capabilities"]
    );
    let off = "profile: hardened\npolicies: {unpinned-images: {mode: off}}\n";
    let expected =
        "exceptions[0].policies: unpinned-images is off in namespace shop: the exception covers nothing of it";
    let [warning] = warned(off, "unpinned-images").try_into().expect("one");
    assert!(warning.ends_with(expected), "{warning}");
    // Labels of the namespace may turn it on.
    assert_eq!(warned("podSecurityLabels: tighten\n", "host-ports"), [""; 0]);
}

#[test]
fn the_lists_of_all_exceptions_together_are_bounded() {
    let images: Vec<String> = (0..256).map(|number| format!("i{number}")).collect();
    let entries = |count: usize| -> String {
        let of = |number| {
            exception(
                &format!("e{number}"),
                "unpinned-images",
                &format!("namespace: shop, images: [{}]", images.join(", ")),
            )
        };
        format!("{POLICIES}exceptions: [{}]\n", (0..count).map(of).collect::<Vec<_>>().join(", "))
    };
    compile_at("c", &format!("{HEAD}{}", entries(64)), None, time(NOW)).expect("64 times 256");
    let [error] = refused(&entries(65)).try_into().expect("one error");
    assert!(
        error.ends_with(
            "exceptions[64]: has more containers, images and users than all exceptions together may list (16384); use patterns, or \
             fewer exceptions"
        ),
        "{error}"
    );
}
