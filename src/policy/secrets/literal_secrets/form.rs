//! Credentials that are known by their form: the prefixes that their issuers give them, PEM, and JSON Web Tokens.

use super::value;
use crate::policy::encoded;

/// Characters of a token behind its prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Letters and digits.
    Alnum,
    /// And underscores.
    Word,
    /// And dashes.
    Token,
    /// And dots.
    Dotted,
    /// Hexadecimal digits in small letters.
    Hex,
    /// Capital letters and digits.
    Upper,
}

/// A prefix, the characters behind it, and how many there are at the least and at the most.
struct Form(&'static str, Of, usize, usize, &'static str);

/// Bytes of a word that are looked at.
const RUN: usize = 512;
/// No limit but the end of the word.
const ANY: usize = usize::MAX;

const FORMS: &[Form] = &[
    Form("AKIA", Of::Upper, 16, 16, "an AWS access key"),
    Form("ASIA", Of::Upper, 16, 16, "an AWS access key"),
    Form("ABIA", Of::Upper, 16, 16, "an AWS access key"),
    Form("ABSK", Of::Alnum, 100, ANY, "an AWS Bedrock key"),
    Form("ghp_", Of::Alnum, 36, ANY, "a GitHub token"),
    Form("gho_", Of::Alnum, 36, ANY, "a GitHub token"),
    Form("ghu_", Of::Alnum, 36, ANY, "a GitHub token"),
    Form("ghs_", Of::Alnum, 36, ANY, "a GitHub token"),
    Form("ghr_", Of::Alnum, 36, ANY, "a GitHub token"),
    Form("github_pat_", Of::Word, 22, ANY, "a GitHub token"),
    Form("glpat-", Of::Dotted, 20, ANY, "a GitLab token"),
    Form("gldt-", Of::Token, 20, ANY, "a GitLab token"),
    Form("glrt-", Of::Dotted, 20, ANY, "a GitLab token"),
    Form("glptt-", Of::Token, 20, ANY, "a GitLab token"),
    Form("glcbt-", Of::Token, 20, ANY, "a GitLab token"),
    Form("glsoat-", Of::Token, 20, ANY, "a GitLab token"),
    Form("glft-", Of::Token, 20, ANY, "a GitLab token"),
    Form("glimt-", Of::Token, 20, ANY, "a GitLab token"),
    Form("glagent-", Of::Token, 20, ANY, "a GitLab token"),
    Form("GR1348941", Of::Token, 20, ANY, "a GitLab token"),
    Form("xoxb-", Of::Token, 20, ANY, "a Slack token"),
    Form("xoxp-", Of::Token, 20, ANY, "a Slack token"),
    Form("xoxa-", Of::Token, 20, ANY, "a Slack token"),
    Form("xoxr-", Of::Token, 20, ANY, "a Slack token"),
    Form("xoxs-", Of::Token, 20, ANY, "a Slack token"),
    Form("xoxe", Of::Dotted, 20, ANY, "a Slack token"),
    Form("xapp-", Of::Token, 20, ANY, "a Slack token"),
    Form("hooks.slack.com/services/T", Of::Upper, 6, ANY, "a Slack webhook"),
    Form("hooks.slack.com/workflows/", Of::Word, 6, ANY, "a Slack webhook"),
    Form("webhook.office.com/webhookb2/", Of::Token, 20, ANY, "a Teams webhook"),
    Form("discord.com/api/webhooks/", Of::Alnum, 16, ANY, "a Discord webhook"),
    Form("sk_live_", Of::Alnum, 16, ANY, "a Stripe key"),
    Form("rk_live_", Of::Alnum, 16, ANY, "a Stripe key"),
    Form("sk_test_", Of::Alnum, 16, ANY, "a Stripe key"),
    Form("rk_test_", Of::Alnum, 16, ANY, "a Stripe key"),
    Form("whsec_", Of::Alnum, 24, ANY, "a webhook secret"),
    Form("SG.", Of::Dotted, 40, ANY, "a SendGrid key"),
    Form("npm_", Of::Alnum, 36, ANY, "an npm token"),
    Form("pypi-AgE", Of::Token, 40, ANY, "a PyPI token"),
    Form("rubygems_", Of::Hex, 40, ANY, "a RubyGems key"),
    Form("oy2", Of::Alnum, 43, 43, "a NuGet key"),
    Form("cio", Of::Alnum, 32, 32, "a crates.io token"),
    Form("dop_v1_", Of::Hex, 40, ANY, "a DigitalOcean token"),
    Form("doo_v1_", Of::Hex, 40, ANY, "a DigitalOcean token"),
    Form("dor_v1_", Of::Hex, 40, ANY, "a DigitalOcean token"),
    Form("hvs.", Of::Token, 20, ANY, "a Vault token"),
    Form("hvb.", Of::Token, 20, ANY, "a Vault token"),
    Form("hvr.", Of::Token, 20, ANY, "a Vault token"),
    Form("sk-ant-", Of::Token, 20, ANY, "an Anthropic key"),
    Form("sk-proj-", Of::Token, 20, ANY, "an OpenAI key"),
    Form("sk-svcacct-", Of::Token, 20, ANY, "an OpenAI key"),
    Form("sk-admin-", Of::Token, 20, ANY, "an OpenAI key"),
    Form("sk-or-v1-", Of::Hex, 32, ANY, "an OpenRouter key"),
    Form("sk-", Of::Alnum, 20, ANY, "an OpenAI key"),
    Form("hf_", Of::Alnum, 30, ANY, "a Hugging Face token"),
    Form("gsk_", Of::Alnum, 40, ANY, "a Groq key"),
    Form("r8_", Of::Alnum, 37, ANY, "a Replicate token"),
    Form("xai-", Of::Alnum, 70, ANY, "an xAI key"),
    Form("pplx-", Of::Alnum, 40, ANY, "a Perplexity key"),
    Form("nvapi-", Of::Token, 40, ANY, "an NVIDIA key"),
    Form("AIza", Of::Token, 35, ANY, "a Google key"),
    Form("GOCSPX-", Of::Token, 20, ANY, "a Google client secret"),
    Form("ya29.", Of::Token, 20, ANY, "a Google token"),
    Form("shpat_", Of::Hex, 32, ANY, "a Shopify token"),
    Form("shpss_", Of::Hex, 32, ANY, "a Shopify token"),
    Form("shpca_", Of::Hex, 32, ANY, "a Shopify token"),
    Form("shppa_", Of::Hex, 32, ANY, "a Shopify token"),
    Form("sq0atp-", Of::Token, 22, ANY, "a Square token"),
    Form("sq0csp-", Of::Token, 40, ANY, "a Square token"),
    Form("dckr_pat_", Of::Token, 20, ANY, "a Docker Hub token"),
    Form("dckr_oat_", Of::Token, 20, ANY, "a Docker Hub token"),
    Form("ATATT3", Of::Token, 40, ANY, "an Atlassian token"),
    Form("ATCTT3", Of::Token, 40, ANY, "an Atlassian token"),
    Form("ATBB", Of::Alnum, 32, ANY, "a Bitbucket password"),
    Form("lin_api_", Of::Alnum, 32, ANY, "a Linear key"),
    Form("ntn_", Of::Alnum, 40, ANY, "a Notion token"),
    Form("PMAK-", Of::Token, 50, ANY, "a Postman key"),
    Form("key-", Of::Hex, 32, 32, "a Mailgun key"),
    Form("SK", Of::Hex, 32, 32, "a Twilio key"),
    Form("xkeysib-", Of::Token, 64, ANY, "a Brevo key"),
    Form("tskey-", Of::Token, 16, ANY, "a Tailscale key"),
    Form("dp.pt.", Of::Alnum, 40, ANY, "a Doppler token"),
    Form("dp.st.", Of::Dotted, 40, ANY, "a Doppler token"),
    Form("dapi", Of::Hex, 32, 34, "a Databricks token"),
    Form("NRAK-", Of::Upper, 27, ANY, "a New Relic key"),
    Form("glc_", Of::Alnum, 32, ANY, "a Grafana token"),
    Form("glsa_", Of::Word, 32, ANY, "a Grafana token"),
    Form("sntrys_", Of::Word, 40, ANY, "a Sentry token"),
    Form("sntryu_", Of::Hex, 64, ANY, "a Sentry token"),
    Form("CCIPAT_", Of::Word, 40, ANY, "a CircleCI token"),
    Form("AKCp", Of::Alnum, 60, ANY, "an Artifactory key"),
    Form("pul-", Of::Hex, 40, 40, "a Pulumi token"),
    Form("figd_", Of::Token, 40, ANY, "a Figma token"),
    Form("sbp_", Of::Hex, 40, ANY, "a Supabase token"),
    Form("sb_secret_", Of::Token, 20, ANY, "a Supabase key"),
    Form("pscale_", Of::Dotted, 32, ANY, "a PlanetScale credential"),
    Form("EZAK", Of::Alnum, 54, ANY, "an EasyPost key"),
    Form("shippo_live_", Of::Hex, 40, ANY, "a Shippo token"),
    Form("rzp_live_", Of::Alnum, 14, ANY, "a Razorpay key"),
    Form("FLWSECK", Of::Token, 32, ANY, "a Flutterwave key"),
    Form("LTAI", Of::Alnum, 16, 20, "an Alibaba Cloud key"),
    Form("nfp_", Of::Alnum, 36, ANY, "a Netlify token"),
    Form("CFPAT-", Of::Token, 43, ANY, "a Contentful token"),
    Form("dt0c01.", Of::Dotted, 80, ANY, "a Dynatrace token"),
    Form("ops_eyJ", Of::Token, 60, ANY, "a 1Password token"),
    Form("AGE-SECRET-KEY-1", Of::Upper, 58, 58, "an age key"),
    Form("apify_api_", Of::Alnum, 36, ANY, "an Apify token"),
    Form("v1.0-", Of::Token, 150, ANY, "a Cloudflare key"),
];

/// Marks of credentials that are not one word.
const MARKS: [&str; 10] = [
    "eyJ",
    "Bearer ",
    "bearer ",
    "Basic ",
    "basic ",
    "LS0tLS1CRUdJTi",
    "PuTTY-User-Key-File-",
    "requirepass ",
    "masterauth ",
    "machine ",
];

/// Bytes that a form or a mark begins with.
pub(super) const FIRST: [bool; 256] = {
    let mut first = [false; 256];
    let mut at = 0;
    while at < FORMS.len() {
        first[FORMS[at].0.as_bytes()[0] as usize] = true;
        at += 1;
    }
    at = 0;
    while at < MARKS.len() {
        first[MARKS[at].as_bytes()[0] as usize] = true;
        at += 1;
    }
    first
};

/// For each byte the last form that begins with it, and for each form the one before it with the same first byte; both
/// counted from one.
const CHAINS: ([usize; 256], [usize; FORMS.len() + 1]) = {
    let mut last = [0; 256];
    let mut before = [0; FORMS.len() + 1];
    let mut at = 0;
    while at < FORMS.len() {
        let first = FORMS[at].0.as_bytes()[0] as usize;
        before[at + 1] = last[first];
        last[first] = at + 1;
        at += 1;
    }
    (last, before)
};
static LAST: [usize; 256] = CHAINS.0;
static BEFORE: [usize; FORMS.len() + 1] = CHAINS.1;

/// The kind of the credential of a known form that begins here.
pub(super) fn at(text: &str, at: usize) -> Option<&'static str> {
    let rest = text.get(at..)?;
    let first = *rest.as_bytes().first()?;
    let mut number = LAST.get(usize::from(first)).copied().unwrap_or_default();
    while let Some(form) = number.checked_sub(1).and_then(|number| FORMS.get(number)) {
        if rest.strip_prefix(form.0).is_some_and(|body| fits(form, body)) {
            return Some(form.4);
        }
        number = BEFORE.get(number).copied().unwrap_or_default();
    }
    marked(rest, first)
}

fn fits(form: &Form, body: &str) -> bool {
    let length = run(body, form.1);
    let Some(word) = body.get(..length) else { return false };
    let next = body.as_bytes().get(length).copied().unwrap_or(b' ');
    let is_whole = !next.is_ascii_alphanumeric() || length == RUN;
    // Words in a name are not mixed: `npm_config_registry`, `sk-learn`.
    let is_mixed = matches!(form.1, Of::Upper) || {
        let has = |of: fn(&u8) -> bool| word.as_bytes().iter().any(of);
        has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
            || has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
    };
    (form.2..=form.3).contains(&length) && is_whole && is_mixed
}

/// Bytes of the alphabet at the beginning of a text.
fn run(text: &str, of: Of) -> usize {
    let is_in = |byte: &u8| match of {
        Of::Alnum => byte.is_ascii_alphanumeric(),
        Of::Word => byte.is_ascii_alphanumeric() || *byte == b'_',
        Of::Token => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
        Of::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
        Of::Hex => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
        Of::Upper => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
    };
    text.as_bytes().iter().take(RUN).take_while(|byte| is_in(byte)).count()
}

fn marked(rest: &str, first: u8) -> Option<&'static str> {
    match first {
        b'e' => is_web_token(rest).then_some("a JSON Web Token"),
        b'B' | b'b' => scheme(rest),
        b'L' => encoded::is_private_key(rest.get(..run_of_base64(rest))?).then_some("a private key"),
        b'P' => rest.starts_with("PuTTY-User-Key-File-").then_some("a private key"),
        b'r' | b'm' => directive(rest),
        _ => None,
    }
}

fn run_of_base64(text: &str) -> usize {
    text.bytes().take(64).take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')).count()
}

/// A signed or encrypted JSON Web Token (RFC 7519): three or five parts in base64, the first of which is an object.
fn is_web_token(rest: &str) -> bool {
    if !rest.starts_with("eyJ") {
        return false;
    }
    let Some((header, rest)) = part(rest, RUN) else { return false };
    let Some((claims, rest)) = part(rest, 4096) else { return false };
    let signature = run(rest, Of::Token);
    // The second part of an encrypted token may be empty, which has five. With three, it is a signature of something else (RFC 7797),
    // as in the ConfigMap `cluster-info` of kubeadm.
    let has_five = || rest.bytes().take(4096).filter(|byte| *byte == b'.').count() >= 2;
    header >= 12 && signature >= 16 && (claims >= 8 || claims == 0 && has_five())
}

/// The length of a part of a token before a dot, and the text behind it.
fn part(text: &str, most: usize) -> Option<(usize, &str)> {
    let is_in = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let length = text.as_bytes().iter().take(most).take_while(|byte| is_in(byte)).count();
    Some((length, text.get(length..)?.strip_prefix('.')?))
}

/// `Bearer` and `Basic`, of an `Authorization` header.
fn scheme(rest: &str) -> Option<&'static str> {
    let begins = |scheme: &str| rest.get(..scheme.len()).is_some_and(|word| word.eq_ignore_ascii_case(scheme));
    let is_bearer = begins("bearer ");
    if !is_bearer && !begins("basic ") {
        return None;
    }
    let word = rest.split_at_checked(if is_bearer { 7 } else { 6 })?.1.trim_start();
    let end = word.bytes().take(4096).position(|byte| !(byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte)));
    let word = word.get(..end.unwrap_or(word.len().min(4096)))?;
    if is_bearer {
        return (word.len() >= 16 && is_key(word)).then_some("a token for HTTP");
    }
    encoded::is_user_and_password(word).then_some("a user and a password")
}

/// True for a word that no author would write: random, or with many digits among letters.
fn is_key(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    value::is_random(word) || word.len() >= 20 && digits >= 4 && digits < word.len()
}

/// Lines of configuration files that separate the name by a space: Redis, and `.netrc`.
fn directive(rest: &str) -> Option<&'static str> {
    if !["requirepass ", "masterauth ", "machine "].iter().any(|word| rest.starts_with(word)) {
        return None;
    }
    let mut words = rest.split([' ', '\t', '\n']).filter(|word| !word.is_empty()).take(8);
    let first = words.next()?;
    if matches!(first, "requirepass" | "masterauth") {
        return value::is_written(words.next()?).then_some("a password");
    }
    if first != "machine" {
        return None;
    }
    words.find(|word| *word == "password")?;
    value::is_written(words.next()?).then_some("a password")
}

/// True if the colon at this position is in the token of a bot: eight to ten digits before it, 35 characters behind it.
pub(super) fn is_telegram(text: &str, at: usize) -> bool {
    let Some((before, rest)) = text.split_at_checked(at) else { return false };
    let digits = before.bytes().rev().take(11).take_while(u8::is_ascii_digit).count();
    (8..=10).contains(&digits) && rest.get(1..).is_some_and(|body| run(body, Of::Token) == 35)
}

/// True if a PEM block that begins here is a private key with something in it.
pub(super) fn is_private_key(rest: &str) -> bool {
    let Some((head, body)) = rest.get("-----BEGIN ".len()..).and_then(|rest| rest.split_once("-----")) else {
        return false;
    };
    let is_private = head.len() <= 40 && head.ends_with("PRIVATE KEY") || head == "PGP PRIVATE KEY BLOCK";
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let content = body.bytes().take(160).filter(is_base64).count();
    let ends = body.trim_start().starts_with("-----END");
    is_private && !ends && content >= 16
}
