//! Who may do what, and who is believed to be the database.

use portcullis::trail::Class;
use portcullis::trail::sink::Batch;
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;

use super::{Carried, events};
use crate::postgres::{PASSWORD, Postgres};
use crate::serve::pki::Authority;

/// What a sink says that cannot deliver.
async fn failure(settings: Value) -> String {
    let mut sink = Postgres::sink(settings).await.expect("a sink");
    let batch = Batch { stream: "a", class: Class::Allow, first: 0, bytes: b"{}\n" };
    let error = sink.deliver(&batch).await.expect_err("it must fail");
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
