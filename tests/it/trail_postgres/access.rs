//! Who may do what, and who is believed to be the database.

use portcullis::trail::Class;
use portcullis::trail::sink::Batch;
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;

use super::{Carried, events};
use crate::postgres::{PASSWORD, Postgres};
use crate::serve::pki::Authority;

/// The error of a sink that cannot deliver.
async fn failure(settings: Value) -> String {
    let mut sink = Postgres::sink(settings).await.expect("a sink");
    let batch = Batch { stream: "a", class: Class::Allow, first: 0, bytes: b"{}\n" };
    let error = sink.deliver(&batch).await.expect_err("it must fail").to_string();
    assert!(!error.contains(PASSWORD), "{error}");
    error
}

/// Why settings are refused.
async fn refusal(settings: Value) -> String {
    Postgres::sink(settings).await.map(|_| ()).expect_err("it must be refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_that_writes_can_do_nothing_else() {
    let postgres = Postgres::start();
    let carried = Carried::to(Postgres::sink(postgres.settings(postgres.port, json!({}))).await.expect("a sink"));
    carried.record(Class::Allow, events()[0].clone()).await;
    carried.finish().await;
    let client = postgres.superuser().await;
    let part =
        client.query_one("SELECT min(tableoid::regclass::text) FROM portcullis.trail", &[]).await.expect("a row");
    let part: String = part.get(0);
    for role in ["writing", "reading"] {
        client.batch_execute(&format!("SET ROLE {role}")).await.expect("a role");
        for table in ["portcullis.trail", &part, "portcullis.conflicts"] {
            let mut statements = vec![
                format!("UPDATE {table} SET line = ''"),
                format!("DELETE FROM {table}"),
                format!("TRUNCATE {table}"),
                format!("DROP TABLE {table}"),
                format!("ALTER TABLE {table} ADD COLUMN other text"),
                format!("INSERT INTO {table} (class, line) VALUES ('allow', '{{}}')"),
                format!(
                    "CREATE TRIGGER other BEFORE INSERT ON {table} EXECUTE FUNCTION suppress_redundant_updates_trigger()"
                ),
            ];
            if role == "writing" || table == part {
                statements.push(format!("SELECT line FROM {table}"));
            }
            for statement in statements {
                let error = client.batch_execute(&statement).await.expect_err(&statement);
                assert_eq!(error.code().map(SqlState::code), Some("42501"), "{role}: {statement}: {error:?}");
            }
        }
        let mut others = vec![
            "SELECT portcullis.forget('allow', now())",
            "SELECT portcullis.partition('allow', now())",
            "CREATE TABLE portcullis.other ()",
            "CREATE OR REPLACE FUNCTION portcullis.fields(line text) RETURNS jsonb LANGUAGE sql RETURN '{}'::jsonb",
        ];
        if role == "reading" {
            others.push("SELECT portcullis.append('allow', '{}')");
        }
        for statement in others {
            let error = client.batch_execute(statement).await.expect_err(statement);
            assert_eq!(error.code().map(SqlState::code), Some("42501"), "{role}: {statement}: {error:?}");
        }
        client.batch_execute("RESET ROLE").await.expect("a role");
    }
    let member = "SELECT pg_has_role('writing', 'portcullis_owner', 'MEMBER') OR pg_has_role('reading', 'portcullis_owner', 'MEMBER')";
    assert!(!client.query_one(member, &[]).await.expect("a row").get::<_, bool>(0));
    let count = client.query_one("SELECT count(*) FROM portcullis.trail", &[]).await.expect("a row");
    assert!(count.get::<_, i64>(0) > 3);
}

/// A type in the caller's temporary schema, which comes before all others, with a check that says who runs it.
const SNARE: &str = "CREATE FUNCTION pg_temp.snare(value pg_catalog.jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
      IF current_user = 'portcullis_owner' THEN RAISE EXCEPTION 'the snare runs as the owner'; END IF;
      RETURN true;
    END $$;
    CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (pg_temp.snare(VALUE))";
/// Another collation than any other call has: so the functions are compiled for this session under its path, as for `append`.
const CALLS: [&str; 3] = [
    r#"SELECT portcullis.policies('{"findings":[]}' COLLATE "C")"#,
    r#"SELECT portcullis.moment('{"time":"2026-01-01T00:00:00Z"}' COLLATE "C")"#,
    r#"SELECT portcullis.fields('{}' COLLATE "C")"#,
];

fn appending(seq: u8) -> String {
    let line =
        format!(r#"{{"stream":"aa","seq":{seq},"time":"2025-11-22T00:00:00.000000Z","findings":[],"hash":"h"}}"#);
    format!("SELECT portcullis.append('allow', ARRAY['{line}'])")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_caller_runs_as_the_owner() {
    let postgres = Postgres::start();
    for role in ["writing", "reading"] {
        let client = postgres.superuser().await;
        client.batch_execute(&format!("SET SESSION AUTHORIZATION {role}; {SNARE}")).await.expect("a snare");
        for call in CALLS {
            let error = client.batch_execute(call).await.expect_err(call);
            assert_eq!(error.code().map(SqlState::code), Some("42501"), "{role}: {call}: {error:?}");
        }
        match (role, client.batch_execute(&appending(0)).await) {
            ("writing", result) => result.expect("appended"),
            (_, result) => {
                assert_eq!(result.expect_err("reading").code().map(SqlState::code), Some("42501"));
            }
        }
    }
    // Even where somebody may call them: each has its own path.
    postgres.sql("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA portcullis TO writing");
    let client = postgres.superuser().await;
    client.batch_execute(&format!("SET SESSION AUTHORIZATION writing; {SNARE}")).await.expect("a snare");
    for call in CALLS {
        client.batch_execute(call).await.expect(call);
    }
    client.batch_execute(&appending(1)).await.expect("appended");
    let count = postgres.superuser().await.query_one("SELECT count(*) FROM portcullis.trail", &[]).await;
    assert_eq!(count.expect("a row").get::<_, i64>(0), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_applied_again_takes_back_what_was_granted() {
    let postgres = Postgres::start();
    let client = postgres.superuser().await;
    client.batch_execute(&format!("SET SESSION AUTHORIZATION writing; {}", appending(0))).await.expect("appended");
    // As it once was, and what somebody made of that.
    postgres.sql(
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA portcullis TO PUBLIC;
         GRANT ALL ON ALL TABLES IN SCHEMA portcullis TO PUBLIC, portcullis_writer, portcullis_reader;
         ALTER FUNCTION portcullis.policies(text) RESET ALL",
    );
    client.batch_execute("DELETE FROM portcullis.trail WHERE seq = 7").await.expect("still granted");
    postgres.apply("portcullis");
    for role in ["writing", "reading"] {
        client.batch_execute(&format!("SET SESSION AUTHORIZATION {role}")).await.expect("a role");
        for statement in CALLS.into_iter().chain([
            "DELETE FROM portcullis.trail",
            "DELETE FROM portcullis.trail_allow_20251122",
            "UPDATE portcullis.forgotten SET next = 0",
            "TRUNCATE portcullis.conflicts",
        ]) {
            let error = client.batch_execute(statement).await.expect_err(statement);
            assert_eq!(error.code().map(SqlState::code), Some("42501"), "{role}: {statement}: {error:?}");
        }
    }
    client.batch_execute("SELECT line FROM portcullis.trail").await.expect("reading reads");
    client.batch_execute(&format!("SET SESSION AUTHORIZATION writing; {}", appending(1))).await.expect("appended");
    let open = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'portcullis'::regnamespace AND prolang <> 14 AND proconfig IS NULL";
    assert_eq!(client.query_one(open, &[]).await.expect("a row").get::<_, i64>(0), 0, "a function without a path");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_keeps_a_partition_from_being_dropped() {
    let postgres = Postgres::start();
    let client = postgres.superuser().await;
    client.batch_execute(&format!("SET SESSION AUTHORIZATION writing; {}", appending(0))).await.expect("appended");
    for role in ["writing", "reading"] {
        client.batch_execute(&format!("SET SESSION AUTHORIZATION {role}")).await.expect("a role");
        for table in ["trail", "trail_allow", "trail_allow_20251122", "conflicts", "forgotten"] {
            let statement = format!("CREATE TEMP TABLE held_{table} (held portcullis.{table})");
            let error = client.batch_execute(&statement).await.expect_err(&statement);
            assert_eq!(error.code().map(SqlState::code), Some("42501"), "{role}: {statement}: {error:?}");
        }
    }
    postgres.sql("SELECT portcullis.forget('allow', now())");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_server_is_believed() {
    let postgres = Postgres::start();
    let with = |changed: Value| postgres.settings(postgres.port, changed);
    let other = postgres.path("other.pem");
    std::fs::write(&other, &Authority::new("other").pem).expect("written");
    let error = failure(with(json!({"caFile": other}))).await;
    assert!(error.contains("UnknownIssuer") || error.contains("BadSignature"), "{error}");
    // Its certificate is for localhost alone.
    let error = failure(with(json!({"host": "127.0.0.1"}))).await;
    assert!(error.contains("not valid for name"), "{error}");
    // The server itself takes nobody without TLS.
    let error = failure(with(json!({"tls": "disable", "insecure": true}))).await;
    assert!(error.contains("no encryption") && error.contains("28000"), "{error}");
    let (code, said) = postgres.verify(&["--insecure"]);
    assert_eq!(code, Some(2), "{said}");
    // And the right one is: nothing is wrong but the record.
    let error = failure(with(json!({}))).await;
    assert!(error.contains("SQLSTATE"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_a_missing_schema_is_said_and_no_secret() {
    let postgres = Postgres::start();
    let with = |changed: Value| postgres.settings(postgres.port, changed);
    let wrong = postgres.path("wrong");
    std::fs::write(&wrong, "not-the-password").expect("written");
    let error = failure(with(json!({"passwordFile": wrong}))).await;
    assert!(error.contains("password authentication failed") && !error.contains("not-the-password"), "{error}");
    let error = failure(with(json!({"schema": "elsewhere"}))).await;
    assert!(error.contains("portcullis trail schema postgres"), "{error}");
    let error = failure(with(json!({"user": "reading"}))).await;
    assert!(error.contains("permission denied") && error.contains("_writer"), "{error}");
    let (code, said) = postgres.verify(&["--schema", "elsewhere"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("portcullis trail schema postgres") && !said.contains(PASSWORD), "{said}");
}

#[tokio::test]
async fn settings_that_can_never_work_are_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("ca"), &Authority::new("any").pem).expect("written");
    std::fs::write(file("password"), PASSWORD).expect("written");
    std::fs::write(file("empty"), "").expect("written");
    let with = |changed: Value| {
        let mut settings = json!({"type": "postgres", "host": "localhost", "database": "trail", "user": "writing",
            "passwordFile": file("password"), "caFile": file("ca")});
        settings.as_object_mut().expect("a map").extend(changed.as_object().expect("a map").clone());
        settings
    };
    // Nobody is there: that is no reason.
    assert!(Postgres::sink(with(json!({"port": 1}))).await.is_ok());
    let cases = [
        (json!({"passwordFile": file("none")}), "passwordFile"),
        (json!({"passwordFile": file("empty")}), "is empty"),
        (json!({"caFile": file("none")}), "caFile"),
        (json!({"caFile": file("password")}), "caFile"),
        (json!({"tls": "disable"}), "insecure: true"),
        (json!({"tls": "prefer"}), "verify-full"),
        (json!({"password": "plain"}), "unknown field"),
        (json!({"schema": "a\"; DROP TABLE b"}), "schema: must be"),
    ];
    for (changed, wanted) in cases {
        let error = refusal(with(changed)).await;
        assert!(
            error.contains(wanted) && !error.contains(PASSWORD) && !error.contains("\"plain\""),
            "{wanted}: {error}"
        );
    }
}
