//! The worker's way to Postgres, as environment variables and a volume.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector, SecretVolumeSource, Volume, VolumeMount};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::config::{
    pod_config::InjectPgConfig,
    settings::{DbSettings, PasswordSecret, SslPaths},
};

/// The volume with the certificates, under the original's name.
const CERT_VOLUME: &str = "db-ssl-certs";

/// Read for owner and group: libpq refuses a key that others may read.
const CERT_MODE: i32 = 0o440;

/// What a worker needs to reach Postgres.
#[derive(Clone, Debug)]
pub struct PgAccess {
    host: String,
    port: u16,
    user: String,
    password: SecretString,
    password_secret: Option<PasswordSecret>,
    database: String,
    schema: String,
    ssl: Option<(SslPaths, String)>,
}

impl PgAccess {
    /// The same way that we take ourselves.
    pub fn of(db: &DbSettings) -> Self {
        Self {
            host: db.host.clone(),
            port: db.port,
            user: db.user.clone(),
            password: db.password.clone(),
            password_secret: db.password_secret.clone(),
            database: db.database.clone(),
            schema: db.schema.clone(),
            ssl: db.enable_ssl_auth.then(|| (db.ssl_paths.clone(), db.cert_secret_name.clone())),
        }
    }

    /// What the settings say of it.
    pub(super) fn written(&self) -> Value {
        let password = match &self.password_secret {
            Some(PasswordSecret { name, key }) => json!({ "secret": name, "key": key }),
            None => json!(self.password.expose_secret()),
        };
        let ssl = self.ssl.as_ref().map(|(SslPaths { ca, cert, key }, secret)| json!([ca, cert, key, secret]));
        let Self { host, port, user, database, schema, .. } = self;
        json!({
            "host": host, "port": port, "user": user, "password": password, "database": database, "schema": schema, "ssl": ssl,
        })
    }

    /// The variables, in the original's order.
    pub fn env(&self, inject: InjectPgConfig) -> Vec<EnvVar> {
        match inject {
            InjectPgConfig::No => vec![],
            InjectPgConfig::Db => self.db_env(),
            InjectPgConfig::Libpq => [self.db_env(), self.libpq_env()].concat(),
        }
    }

    fn db_env(&self) -> Vec<EnvVar> {
        let mut env = vec![
            literal("DB_HOST", &self.host),
            literal("DB_PORT", &self.port.to_string()),
            literal("DB_USERNAME", &self.user),
            self.password("DB_PASSWORD"),
            literal("DB_NAME", &self.database),
            literal("DB_SCHEMA", &self.schema),
        ];
        if let Some((paths, _)) = &self.ssl {
            env.push(literal("DB_ENABLE_SSL_AUTH", "true"));
            env.push(literal("DB_CA_PATH", &paths.ca));
            env.push(literal("DB_CERT_PATH", &paths.cert));
            env.push(literal("DB_KEY_PATH", &paths.key));
        }
        env
    }

    fn libpq_env(&self) -> Vec<EnvVar> {
        let mut env = vec![
            literal("PGHOST", &self.host),
            literal("PGPORT", &self.port.to_string()),
            literal("PGUSER", &self.user),
            self.password("PGPASSWORD"),
            literal("PGDATABASE", &self.database),
        ];
        if let Some((paths, _)) = &self.ssl {
            env.push(literal("PGSSLMODE", "verify-full"));
            env.push(literal("PGSSLROOTCERT", &paths.ca));
            if !paths.cert.is_empty() {
                env.push(literal("PGSSLCERT", &paths.cert));
                env.push(literal("PGSSLKEY", &paths.key));
            }
        }
        env
    }

    fn password(&self, name: &str) -> EnvVar {
        let Some(secret) = &self.password_secret else { return literal(name, self.password.expose_secret()) };
        let selector = SecretKeySelector { name: secret.name.clone(), key: secret.key.clone(), optional: None };
        EnvVar {
            name: name.into(),
            value: None,
            value_from: Some(EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() }),
        }
    }

    /// The certificates where the paths say they are, if there are any.
    pub fn volume(&self, inject: InjectPgConfig) -> Option<(Volume, VolumeMount)> {
        let (paths, secret) = self.ssl.as_ref().filter(|_| inject != InjectPgConfig::No)?;
        let directory = paths.ca.rsplit_once('/').map_or("/", |(directory, _)| directory);
        let source = SecretVolumeSource {
            secret_name: Some(secret.clone()),
            default_mode: (inject == InjectPgConfig::Libpq).then_some(CERT_MODE),
            ..SecretVolumeSource::default()
        };
        let volume = Volume { name: CERT_VOLUME.into(), secret: Some(source), ..Volume::default() };
        let mount = VolumeMount {
            name: CERT_VOLUME.into(),
            mount_path: if directory.is_empty() { "/".into() } else { directory.into() },
            read_only: Some(true),
            ..VolumeMount::default()
        };
        Some((volume, mount))
    }
}

/// A variable with its value.
pub fn literal(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.into(), value: Some(value.into()), value_from: None }
}
