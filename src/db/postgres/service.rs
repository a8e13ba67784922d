//! What a URL leaves to its surroundings: connection service files (`?service=NAME`, `PGSERVICE`), read as libpq reads them.
//!
//! A parameter comes from the URL, else from the service, else from the environment. A parameter that would be passed over in
//! silence is refused by its name: it may be one that was to make the connection safer, and its value may be a secret.

use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::plan::Side;
use std::path::PathBuf;

/// Parameters that the driver heeds.
const HEEDED: [&str; 14] = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "options",
    "application_name",
    "statement-cache-capacity",
];
/// Parameters that change nothing for us: our connections have their own way of it.
const IDLE: [&str; 14] = [
    "connect_timeout",
    "fallback_application_name",
    "client_encoding",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "target_session_attrs",
    "gssencmode",
    "krbsrvname",
    "sslcompression",
    "sslsni",
    "load_balance_hosts",
];
/// Where libpq of the usual packages looks for the file of the whole machine.
const OF_THE_MACHINE: [&str; 3] = ["/etc/postgresql-common", "/etc", "/usr/local/pgsql/etc"];
const FILE: &str = "pg_service.conf";

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The URL with what its service adds, and without what the driver would not heed.
///
/// # Errors
/// A service that is in no file; a parameter that can't be heeded, by its name.
pub(super) fn complete(url: &str, side: Side, env: Env<'_>) -> Result<String> {
    let (front, query) = url.split_once('?').unwrap_or((url, ""));
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut service = env("PGSERVICE").filter(|name| !name.is_empty());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == "service" {
            service = decoded(value);
        } else if heeded(side, "URL", name)? {
            pairs.push((name.to_owned(), value.to_owned()));
        }
    }
    if let Some(service) = service {
        let given =
            |name: &str| in_front(front, name) || pairs.iter().any(|(known, _)| known == name);
        let found = lookup(&service, side, env)?;
        let host =
            given("host") || given("hostaddr") || found.iter().any(|(name, _)| name == "host");
        let mut added = Vec::new();
        for (name, value) in found {
            let passed = given(&name)
                || (host && name == "hostaddr")
                || (given("hostaddr") && name == "host");
            if heeded(side, "service", &name)? && !passed {
                added.push((name, encoded(&value)));
            }
        }
        pairs.extend(added);
    }
    let query: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Ok(match query.is_empty() {
        true => front.to_owned(),
        false => format!("{front}?{}", query.join("&")),
    })
}

fn heeded(side: Side, place: &str, name: &str) -> Result<bool> {
    if HEEDED.contains(&name) || name.starts_with("options[") {
        return Ok(true);
    }
    if IDLE.contains(&name) {
        return Ok(false);
    }
    // Only what can be a name is said: the rest may be part of a secret.
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let what = match plain {
        true => format!(
            "the {}'s {place} has a parameter that tidegate can't heed: {name}",
            side.label()
        ),
        false => format!(
            "the {}'s {place} has something that is no parameter",
            side.label()
        ),
    };
    Err(Fault::new(Kind::Usage, what).code("URL").hint(
        "take it out. Heeded are host, port, dbname, user, password, sslmode, sslrootcert, sslcert, sslkey, options and service",
    ))
}

/// Whether the part of the URL before its parameters says it.
fn in_front(front: &str, name: &str) -> bool {
    let rest = front.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (host, ""),
    };
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    !match name {
        "user" => user,
        "password" => password,
        "host" => host,
        "port" => port,
        "dbname" => path,
        _ => "",
    }
    .is_empty()
}

/// The service's parameters: from the user's own file, else from that of the machine.
fn lookup(service: &str, side: Side, env: Env<'_>) -> Result<Vec<(String, String)>> {
    let own = env("PGSERVICEFILE").map(PathBuf::from);
    let own = own.or_else(|| env("HOME").map(|home| PathBuf::from(home).join(".pg_service.conf")));
    let shared: Vec<PathBuf> = match env("PGSYSCONFDIR") {
        Some(dir) => vec![PathBuf::from(dir).join(FILE)],
        None => OF_THE_MACHINE
            .iter()
            .map(|dir| PathBuf::from(dir).join(FILE))
            .collect(),
    };
    let mut looked = Vec::new();
    for path in own.into_iter().chain(shared) {
        let shown = path.display();
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                if let Some(found) = section(&text, service) {
                    return found.map_err(|line| {
                        Fault::new(Kind::Usage, format!("{shown}:{line}: the service {service} of the {} can't be read", side.label()))
                            .code("SERVICE")
                            .cause("a line there is no name=value, or leads on to another service or to LDAP")
                    });
                }
                looked.push(format!("{shown} (no [{service}])"));
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                looked.push(format!("{shown} (not there)"))
            }
            Err(cause) => looked.push(format!("{shown} ({cause})")),
        }
    }
    let what = format!(
        "there is no service \"{service}\", which the {} names",
        side.label()
    );
    Err(Fault::new(Kind::Usage, what)
        .code("SERVICE")
        .cause(format!("looked in {}", looked.join(", ")))
        .hint("write its section into ~/.pg_service.conf, or name the file by PGSERVICEFILE"))
}

/// A section's parameters, the first of that name; none when there is none. The error is a line's number.
fn section(text: &str, service: &str) -> Option<std::result::Result<Vec<(String, String)>, usize>> {
    let mut found: Option<Vec<(String, String)>> = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if name.strip_suffix(']') == Some(service) {
                found = Some(Vec::new());
            }
            continue;
        }
        let Some(found) = &mut found else { continue };
        match line.split_once('=') {
            Some((name, value)) if name != "service" && !line.starts_with("ldap") => {
                // The first that is said holds.
                if !found.iter().any(|(known, _)| known == name) {
                    found.push((name.to_owned(), value.to_owned()));
                }
            }
            _ => return Some(Err(at + 1)),
        }
    }
    found.map(Ok)
}

fn encoded(value: &str) -> String {
    value
        .bytes()
        .map(|b| match b.is_ascii_alphanumeric() {
            true => char::from(b).to_string(),
            false => format!("%{b:02X}"),
        })
        .collect()
}

/// A parameter's value as it was meant; none when it is no text.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(b) = rest.next() {
        match b {
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'+' => bytes.push(b' '),
            b => bytes.push(b),
        }
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::postgres::connect::Server;

    const CONF: &str = "# the shop\n\n[shop_old]\nhost=db1\n  port=5433\ndbname=shop\nuser=tidegate\npassword=s3 c/r&t\nsslmode=require\n\n\
                        [other]\nhost=db9\n[far]\nldap://ldap.example/x\n[odd]\npassfile=/x\n";

    fn with(env: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
        let env: Vec<(String, String)> = env
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        move |name| {
            env.iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        }
    }

    fn file() -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("services");
        std::fs::write(&path, CONF).unwrap();
        (dir, path.display().to_string())
    }

    #[test]
    fn a_service_gives_what_the_url_leaves_out() {
        let (_dir, file) = file();
        let env = with(&[("PGSERVICEFILE", &file)]);
        let url = complete("postgres://?service=shop_old", Side::Source, &env).unwrap();
        let server = Server::of(&url, Side::Source).unwrap();
        assert_eq!(server.options.get_host(), "db1");
        assert_eq!(server.options.get_port(), 5433);
        assert_eq!(server.options.get_username(), "tidegate");
        assert_eq!(server.options.get_database(), Some("shop"));
        assert!(
            url.ends_with("&password=s3%20c%2Fr%26t&sslmode=require"),
            "{url}"
        );

        let own = "postgres://ana:mine@db2:5434/shop2?service=shop_old&sslmode=verify-full";
        let url = complete(own, Side::Source, &env).unwrap();
        assert_eq!(
            url,
            "postgres://ana:mine@db2:5434/shop2?sslmode=verify-full"
        );
    }

    #[test]
    fn pgservice_names_it_and_the_users_file_comes_first() {
        let (dir, _) = file();
        let home = dir.path().display().to_string();
        std::fs::write(dir.path().join(".pg_service.conf"), "[mine]\nhost=own\n").unwrap();
        std::fs::write(
            dir.path().join(FILE),
            "[mine]\nhost=shared\n[all]\nhost=machine\n",
        )
        .unwrap();
        let host = |service: &str| {
            let env = with(&[
                ("PGSERVICE", service),
                ("HOME", &home),
                ("PGSYSCONFDIR", &home),
            ]);
            complete("postgres:///shop", Side::Target, &env)
        };
        assert_eq!(host("mine").unwrap(), "postgres:///shop?host=own");
        assert_eq!(host("all").unwrap(), "postgres:///shop?host=machine");
        let fault = host("none").unwrap_err();
        assert_eq!(fault.code, "SERVICE");
        assert!(
            fault
                .cause
                .unwrap_or_default()
                .contains(".pg_service.conf (no [none])")
        );
    }

    #[test]
    fn what_can_not_be_heeded_is_refused_by_name_alone() {
        let (_dir, file) = file();
        let env = with(&[("PGSERVICEFILE", &file)]);
        for (url, told) in [
            ("postgres://db1/shop?sslpassword=s3cret", "sslpassword"),
            (
                "postgres://db1/shop?channel_binding=require",
                "channel_binding",
            ),
            ("postgres://db1/shop?s3c:ret=1", "no parameter"),
            ("postgres://?service=odd", "passfile"),
            ("postgres://?service=far", ":14:"),
        ] {
            let fault = complete(url, Side::Source, &env).unwrap_err();
            let all = format!("{fault} {:?} {:?}", fault.cause, fault.hint);
            assert!(all.contains(told) && !all.contains("s3c"), "{all}");
        }
        let url = "postgres://db1/shop?connect_timeout=10&target_session_attrs=read-write";
        assert_eq!(
            complete(url, Side::Source, &env).unwrap(),
            "postgres://db1/shop"
        );
    }
}
