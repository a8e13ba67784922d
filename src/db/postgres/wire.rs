//! The replication connection: how it is made as the ordinary sessions are, and how its errors are told.

use super::connect::{Server, database, host};
use super::place::Place;
use crate::domain::fault::{Fault, Kind, Result};
use pgwire_replication::{Lsn, PgWireError, ReplicationConfig, SslMode, TlsConfig};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgSslMode;
use std::path::{Path, PathBuf};

/// Where systems keep the certificates they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What the replication connection is made with: host, user, password, TLS and settings as the ordinary sessions have them.
/// The stream starts after `from`.
///
/// # Errors
/// Certificates that are written into the URL instead of being named by path.
pub(super) fn config(server: &Server, name: &str, from: u64) -> Result<ReplicationConfig> {
    let options = &server.options;
    let mut config = ReplicationConfig::new(
        host(options),
        options.get_username(),
        password(server).unwrap_or_default(),
        database(options),
        name,
        name,
    )
    .with_port(options.get_port())
    .with_start_lsn(Lsn(from))
    .with_application_name("tidegate");
    if !config.is_unix_socket() {
        config = config.with_tls(tls(server)?);
    }
    if let Some(settings) = options.get_options() {
        config = config.with_options(settings);
    }
    Ok(config)
}

/// The password that was found: in the URL, the environment or the password file.
///
/// sqlx tells it in a URL only. Host and user are replaced in that, because not every one of them can be written there.
fn password(server: &Server) -> Option<String> {
    let told = server.options.clone().host("host").username("user");
    let url = told.to_url_lossy();
    Some(unescape(url.password()?))
}

/// Decodes `%41`. What is no such escape stays.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%')
            .then(|| std::str::from_utf8(after.get(..2)?).ok())
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(code.unwrap_or(*first));
        rest = match code {
            Some(_) => &after[2..],
            None => after,
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn tls(server: &Server) -> Result<TlsConfig> {
    let options = &server.options;
    let mode = match options.get_ssl_mode() {
        // sqlx takes `allow` for `disable`, and both connections must be the same.
        PgSslMode::Disable | PgSslMode::Allow => SslMode::Disable,
        PgSslMode::Prefer => SslMode::Prefer,
        PgSslMode::Require => SslMode::Require,
        PgSslMode::VerifyCa => SslMode::VerifyCa,
        PgSslMode::VerifyFull => SslMode::VerifyFull,
    };
    let told = options.clone().host("host").username("user").to_url_lossy();
    let named = |parameter: &str| -> Result<Option<PathBuf>> {
        let Some((_, value)) = told.query_pairs().find(|(name, _)| name == parameter) else {
            return Ok(None);
        };
        match value.strip_prefix("file: ") {
            Some(path) => Ok(Some(PathBuf::from(path))),
            None => Err(Fault::new(
                Kind::Usage,
                format!("{parameter} must name a file: {}", server.place),
            )
            .code("TLS")),
        }
    };
    let root = match named("sslrootcert")? {
        Some(path) => Some(path),
        // The ordinary sessions trust what the system trusts.
        None => std::env::var_os("SSL_CERT_FILE")
            .map(PathBuf::from)
            .or_else(|| {
                BUNDLES
                    .iter()
                    .map(PathBuf::from)
                    .find(|path| path.is_file())
            })
            .filter(|path: &PathBuf| Path::is_file(path)),
    };
    Ok(TlsConfig {
        mode,
        ca_pem_path: root,
        // Also for an address instead of a name: the certificate is asked for it all the same.
        sni_hostname: Some(options.get_host().to_owned()),
        client_cert_pem_path: named("sslcert")?,
        client_key_pem_path: named("sslkey")?,
    })
}

/// Tells an error of the replication connection as the ordinary sessions' are told.
pub(super) fn fault(place: &Place, doing: &str, error: &PgWireError) -> Fault {
    match error {
        PgWireError::Server(text) => {
            let (words, state) = match text.rsplit_once(" (SQLSTATE ") {
                Some((words, state)) => (words, state.trim_end_matches(')')),
                None => (text.as_str(), ""),
            };
            match state {
                // The slot or publication is gone, is not usable any more, or the log before it was removed.
                "42704" | "55000" | "58P01" => place.capture_lost(words),
                _ => place.told(doing, state, words),
            }
        }
        PgWireError::Auth(words) => place.told(doing, "28000", words),
        PgWireError::Tls(words) => place.fault(doing, &sqlx::Error::Tls(words.clone().into())),
        PgWireError::MessageTooLarge { .. } => too_large(place).cause(error),
        PgWireError::Protocol(words) => {
            Fault::new(Kind::Own, format!("could not {doing}: {place}")).cause(words)
        }
        _ => lost(place, doing).cause(error),
    }
}

/// The connection is gone.
pub(super) fn lost(place: &Place, doing: &str) -> Fault {
    place.told(doing, "08006", "the connection was closed")
}

/// A row that the protocol's client takes no message for.
fn too_large(place: &Place) -> Fault {
    Fault::new(
        Kind::Blocked,
        format!("a row in the stream is too large to be taken: {place}"),
    )
    .code("ROW-TOO-LARGE")
    .hint("abort, and copy again after it: the copy reads the row as it is then")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::Side;

    #[test]
    fn the_password_comes_through() {
        let url = "postgres://u%40x:p%25%2F%20%C3%A4@localhost:5433/db?sslmode=require";
        let server = Server::at(url, Side::Source).unwrap();
        let config = config(&server, "tidegate_x", 1).unwrap();
        assert_eq!(config.password, "p%/ ä");
        assert_eq!((config.user.as_str(), config.port), ("u@x", 5433));
        assert_eq!(config.tls.mode, SslMode::Require);
        assert!(
            !format!(
                "{:?}",
                fault(&server.place, "x", &PgWireError::Auth("no".into()))
            )
            .contains("p%")
        );
    }

    #[test]
    fn hosts_and_certificates_come_through() {
        let url = "postgres://u@[::1]/db?sslmode=verify-full&sslrootcert=/x/ca.pem&sslcert=/x/c&sslkey=/x/k";
        let server = Server::at(url, Side::Source).unwrap();
        let config = config(&server, "tidegate_x", 1).unwrap();
        assert_eq!(
            config.tls.ca_pem_path.as_deref(),
            Some(Path::new("/x/ca.pem"))
        );
        assert!(config.tls.is_mtls());
        let server = Server::at("postgres:///db?host=/tmp/x&user=u", Side::Source).unwrap();
        let socket = super::config(&server, "tidegate_x", 1).unwrap();
        assert!(socket.is_unix_socket() && socket.tls == TlsConfig::disabled());
        assert!(socket.options.unwrap().contains("-c search_path= -c"));
    }
}
