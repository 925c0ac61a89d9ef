//! Credentials of many formats, under names that say nothing of them where the format alone tells. None of them is real: they
//! are put together here, so that no scanner of repositories takes them for one.

/// Characters that look random, from a fixed seed.
fn random(seed: u64, alphabet: &str, length: usize) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        alphabet[usize::try_from(state % alphabet.len() as u64).expect("small")]
    };
    (0..length).map(|_| next()).collect()
}

const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &str = "0123456789abcdef";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Name and value.
pub(super) fn credentials() -> Vec<(&'static str, String)> {
    let tail = |seed, length| random(seed, ALNUM, length);
    let pem =
        |label: &str| format!("-----BEGIN {label}-----\n{}\n{}\n-----END {label}-----\n", tail(90, 64), tail(91, 64));
    vec![
        ("SETTING", format!("AKIA{}", random(1, UPPER, 16))),
        ("AWS_SECRET_ACCESS_KEY", format!("{}/{}+{}", tail(2, 18), tail(3, 10), tail(4, 10))),
        (
            "SETTING",
            format!(r#"{{"type": "service_account", "private_key": "{}"}}"#, pem("PRIVATE KEY").replace('\n', "\\n")),
        ),
        ("SETTING", format!("ghp_{}", tail(5, 36))),
        ("SETTING", format!("github_pat_{}_{}", tail(6, 22), tail(7, 59))),
        ("SETTING", format!("glpat-{}", tail(8, 20))),
        ("SETTING", format!("xoxb-{}-{}-{}", random(9, "0123456789", 12), random(10, "0123456789", 12), tail(11, 24))),
        ("SETTING", format!("sk_live_{}", tail(12, 24))),
        ("SETTING", pem("RSA PRIVATE KEY")),
        ("SETTING", pem("OPENSSH PRIVATE KEY")),
        ("SETTING", format!("eyJ{}.eyJ{}.{}", tail(13, 33), tail(14, 60), tail(15, 43))),
        ("SETTING", format!("postgres://app:{}@db.example.com:5432/shop", tail(16, 12))),
        ("SETTING", "amqp://guest:guest@rabbitmq:5672/".to_owned()),
        ("SETTING", format!("mongodb+srv://app:{}@cluster0.example.net/shop", tail(17, 14))),
        ("SETTING", format!("app:{}@tcp(db.example.com:3306)/shop", tail(18, 14))),
        ("SETTING", format!("Authorization: Bearer {}", tail(19, 40))),
        ("SETTING", "Authorization: Basic YXBwOmNvcnJlY3QtaG9yc2U=".to_owned()),
        ("DB_PASSWORD", "correct-horse".to_owned()),
        ("PGPASSWORD", "hunter2".to_owned()),
        ("SMTP_PASS", "hunter2".to_owned()),
        ("REDIS_PASSWORD", "123456".to_owned()),
        ("ADMIN_PASSWORD", "changeme".to_owned()),
        ("SETTING", format!("npm_{}", tail(20, 36))),
        ("SETTING", format!("//registry.npmjs.org/:_authToken={}", tail(21, 36))),
        ("SETTING", format!("pypi-AgEIcHlwaS5vcmc{}", tail(22, 80))),
        ("SETTING", format!("SG.{}.{}", tail(23, 22), tail(24, 43))),
        ("SETTING", format!("SK{}", random(25, HEX, 32))),
        ("TWILIO_AUTH_TOKEN", random(26, HEX, 32)),
        (
            "SETTING",
            format!(
                "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={}==;EndpointSuffix=core.windows.net",
                tail(27, 86)
            ),
        ),
        (
            "SETTING",
            format!("Endpoint=sb://shop.example.net/;SharedAccessKeyName=root;SharedAccessKey={}=", tail(28, 43)),
        ),
        ("SETTING", format!("Server=db;Database=shop;User Id=app;Password={};", tail(29, 12))),
        ("SETTING", r#"{"auths": {"registry.example.com": {"auth": "YXBwOmNvcnJlY3QtaG9yc2U="}}}"#.to_owned()),
        ("SETTING", format!("sk-ant-api03-{}", tail(30, 90))),
        ("SETTING", format!("sk-proj-{}", tail(31, 48))),
        ("SETTING", format!("sk-{}", tail(32, 48))),
        ("SETTING", format!("hvs.{}", tail(33, 90))),
        ("SETTING", format!("dop_v1_{}", random(34, HEX, 64))),
        ("SETTING", format!("hf_{}", tail(35, 34))),
        ("SETTING", format!("AIza{}", tail(36, 35))),
        ("SETTING", format!("GOCSPX-{}", tail(37, 28))),
        (
            "SETTING",
            format!(
                "https://hooks.slack.com/services/T{}/B{}/{}",
                random(38, UPPER, 8),
                random(39, UPPER, 8),
                tail(40, 24)
            ),
        ),
        ("SETTING", format!("shpat_{}", random(41, HEX, 32))),
        ("SETTING", format!("dckr_pat_{}", tail(42, 27))),
        ("SETTING", format!("123456789:AA{}", tail(43, 33))),
        ("SETTING", format!("glsa_{}_{}", tail(44, 32), random(45, HEX, 8))),
        ("API_KEY", random(46, HEX, 32)),
        ("CLIENT_SECRET", format!("{}~{}", tail(47, 8), tail(48, 31))),
        ("SECRET_KEY_BASE", tail(49, 64)),
        ("JWT_SECRET", tail(50, 32)),
        ("ENCRYPTION_KEY", format!("{}=", tail(51, 43))),
        ("DATADOG_APP_KEY", random(52, HEX, 40)),
        ("SESSION_TOKEN", tail(53, 40)),
        ("SETTING", "jdbc:mysql://db.example.com/shop?user=app&password=hunter2".to_owned()),
        ("SETTING", "export DB_PASSWORD=hunter2; exec serve".to_owned()),
        ("SETTING", "curl -u admin:hunter2 https://api.example.com".to_owned()),
        ("SETTING", "mysql --user app --password hunter2".to_owned()),
        ("SETTING", "user: app\npassword: hunter2 # for now\n".to_owned()),
        ("SETTING", "[db]\nuser = app\npassword = hunter2\n".to_owned()),
        ("SETTING", r#"{"db": {"user": "app", "password": "hunter2"}}"#.to_owned()),
        ("SETTING", "<settings><password>hunter2</password></settings>".to_owned()),
        ("SETTING", "- name: DB_PASSWORD\n  value: hunter2\n".to_owned()),
        ("SETTING", "machine api.example.com login app password hunter2".to_owned()),
        ("SETTING", "port 6379\nrequirepass hunter2\n".to_owned()),
    ]
}
