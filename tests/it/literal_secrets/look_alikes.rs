//! What looks like a credential and is none.

/// Names whose values are never credentials, whatever they hold.
const NAMES: [&str; 14] = [
    "PASSWORD_FILE",
    "TOKEN_PATH",
    "SECRET_NAME",
    "PASSWORD_MIN_LENGTH",
    "TOKEN_TTL",
    "API_KEY_HEADER",
    "TOKEN_URL",
    "AUTH_MODE",
    "SECRET_KEY_REF",
    "GIT_COMMIT",
    "CHECKSUM",
    "REQUEST_ID",
    "PUBLIC_KEY",
    "IMAGE",
];
/// Values that stand under them.
const UNDER_THEM: [&str; 8] = [
    "/run/secrets/db/password",
    "shop-db",
    "3600",
    "true",
    "9fceb02d0ae598e95dc970b74767f19372d61af8",
    "8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc",
    "123e4567-e89b-12d3-a456-426614174000",
    "registry.example.com/web@sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc",
];
/// Names of credentials.
const CREDENTIALS: [&str; 6] =
    ["DB_PASSWORD", "API_KEY", "CLIENT_SECRET", "AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "SMTP_PASS"];
/// Values that are not one.
const NOT_WRITTEN: [&str; 16] = [
    "",
    "$(DB_PASSWORD)",
    "${DB_PASSWORD}",
    "$DB_PASSWORD",
    "{{ .Values.password }}",
    "%(password)s",
    "<password>",
    "/run/secrets/db/password",
    "file:/run/secrets/password",
    "vault:secret/data/shop#password",
    "true",
    "false",
    "null",
    "********",
    "sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc",
    "https://vault.example.com/v1/secret",
];
/// Under a name that says nothing.
const OTHERS: [&str; 26] = [
    "https://api.example.com:8443/v1?limit=10&token_type=bearer",
    "postgres://db.example.com/shop?sslmode=verify-full",
    "postgres://app@db.example.com/shop",
    "postgres://$(USER):$(PASSWORD)@db.example.com/shop",
    "postgres://{{ user }}:{{ password }}@db.example.com/shop",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUYmFzZTY0IG9mIG5vdGhpbmcgc2VjcmV0\n-----END CERTIFICATE-----\n",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEbm90aGluZyBzZWNyZXQ\n-----END PUBLIC KEY-----\n",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG5vdGhpbmdzZWNyZXRoZXJlYXRhbGwhIQ app@example.com",
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJzekNDQVZtZ0F3SUJBZ0lV",
    "bm90aGluZyBzZWNyZXQgaGVyZSwganVzdCBhIHNlbnRlbmNlIGluIGJhc2U2NA==",
    "password: ${DB_PASSWORD}",
    "password: {{ .Values.password }}",
    "passwordFile: /run/secrets/password",
    "password:\n  valueFrom: secret\n",
    "port: 8080\n# password: hunter2",
    "token: \"\"",
    "export PASSWORD=$(cat /run/secrets/password)",
    "if [ \"$PASSWORD\" = \"none\" ]; then exit 1; fi",
    "db.password = os.environ[\"DB_PASSWORD\"]",
    "password = config.password",
    "auth: basic",
    "imagePullSecrets: shop-registry",
    "{\"tokenUrl\": \"https://id.example.com/token\", \"secretName\": \"shop-tls\"}",
    "registry.example.com/token-service:1.4.2",
    "2026-11-27T07:00:00Z",
    "npm_config_cache=/tmp/npm",
];

/// Name and value, of each.
pub(super) fn all() -> Vec<(&'static str, &'static str)> {
    let named = NAMES.iter().flat_map(|name| UNDER_THEM.iter().map(move |value| (*name, *value)));
    let credentials = CREDENTIALS.iter().flat_map(|name| NOT_WRITTEN.iter().map(move |value| (*name, *value)));
    let others = OTHERS.iter().map(|value| ("SETTING", *value));
    let secrets = [
        ("AUTH_SECRET", "shop-auth-secret"),
        ("SESSION_TOKEN", "123e4567-e89b-12d3-a456-426614174000"),
        ("PWD", "/srv/app"),
    ];
    named.chain(credentials).chain(others).chain(secrets).collect()
}
