//! Who is let in, and over what.

use super::super::super::place::Place;
use super::super::super::replication::Replication;
use super::super::super::wire;
use super::private::{Private, as_server};
use super::*;
use std::path::Path;

/// Names of what a test makes in its server's folder.
const AUTHORITY: &str = "authority";
const OTHER: &str = "other";

impl Bed {
    /// A feed of this database by another way to it.
    async fn feed_by(&self, url: &str) -> Result<PgFeed> {
        let server = Server::at(url, Side::Source).unwrap();
        let (plan, fence) = (Arc::clone(&self.plan), Arc::clone(&self.fence));
        PgFeed::open(server, plan, Position::START, fence, Spill::default()).await
    }
}

/// Runs openssl in the server's folder, as its user: the key must be its own.
fn openssl(server: &Private, args: &str) {
    let program = as_server(Path::new("openssl"))
        .args(args.split(' '))
        .current_dir(server.dir())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&program.stderr);
    assert!(program.status.success(), "openssl {args}: {words}");
}

/// An authority, and what it says of `localhost`; another one that says nothing of it.
fn certificates(server: &Private) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -config openssl.cnf";
    std::fs::write(
        server.dir().join("openssl.cnf"),
        "[req]\ndistinguished_name = name\n[name]\n\
         [authority]\nbasicConstraints = critical, CA:TRUE\n\
         [leaf]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = DNS:localhost\n",
    )
    .unwrap();
    for name in [AUTHORITY, OTHER] {
        openssl(
            server,
            &format!(
                "req -x509 {key} -extensions authority -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
            ),
        );
    }
    for name in ["localhost", "card"] {
        openssl(
            server,
            &format!("req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr"),
        );
        openssl(
            server,
            &format!(
                "x509 -req -in {name}.csr -CA {AUTHORITY}.pem -CAkey {AUTHORITY}.key -CAcreateserial -days 2 \
                 -extfile openssl.cnf -extensions leaf -out {name}.pem"
            ),
        );
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_password_opens_the_stream() {
    let server = Private::made().await;
    server.run(
        "local all guest scram-sha-256\nlocal all old md5\nlocal all clear password\nlocal all all trust",
        "listen_addresses = ''",
    );
    let bed = Bed::at(&server.url("postgres")).await;
    for (role, kept) in [
        ("guest", "scram-sha-256"),
        ("old", "md5"),
        ("clear", "scram-sha-256"),
    ] {
        bed.run(&format!(
            "SET password_encryption = '{kept}'; CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'p%/ ä'; \
             GRANT SELECT ON t, u TO {role}"
        ))
        .await;
    }
    bed.run("INSERT INTO t VALUES (1, 1)").await;
    for role in ["guest", "old", "clear"] {
        let url = |password: &str| {
            let url = server.url(&format!("{role}:{password}"));
            url.replace("/postgres?", &format!("/{}?", bed.name))
        };
        let open = async |password: &str| bed.feed_by(&url(password)).await;
        let refused = open("wrong").await.err().unwrap();
        assert_eq!(refused.code, "LOGIN", "{role}");
        assert!(!format!("{refused:?}").contains("wrong"));
        let mut feed = open("p%25%2F%20%C3%A4").await.unwrap();
        assert_eq!(
            txn(&mut feed).await.changes,
            [t(1, Image::Inserted(row(1, 1, "")))],
            "{role}"
        );
    }
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn the_stream_goes_over_tls_as_the_sessions_do() {
    let server = Private::made().await;
    certificates(&server);
    let port = free_port();
    let folder = server.dir().display().to_string();
    server.run(
        "hostssl all card all cert\nhostssl all all all trust\nlocal all all trust",
        &format!(
            "listen_addresses = 'localhost'\nport = {port}\nssl = on\nssl_cert_file = '{folder}/localhost.pem'\n\
             ssl_key_file = '{folder}/localhost.key'\nssl_ca_file = '{folder}/{AUTHORITY}.pem'"
        ),
    );
    let bed = Bed::at(&format!("{}&port={port}", server.url("postgres"))).await;
    bed.run("CREATE ROLE card LOGIN REPLICATION; GRANT SELECT ON t, u TO card; INSERT INTO t VALUES (1, 1)")
        .await;
    let url = |who: &str, host: &str, mode: &str, root: &str| {
        let name = &bed.name;
        format!(
            "postgres://{who}@{host}:{port}/{name}?sslmode={mode}&sslrootcert={folder}/{root}.pem"
        )
    };
    let card = format!("&sslcert={folder}/card.pem&sslkey={folder}/card.key");

    let taken = [
        url("postgres", "localhost", "require", OTHER),
        url("postgres", "localhost", "verify-full", AUTHORITY),
        url("postgres", "localhost", "verify-ca", AUTHORITY),
        url("card", "localhost", "verify-full", AUTHORITY) + &card,
    ];
    for url in taken {
        let mut feed = bed.feed_by(&url).await.unwrap();
        let row = [t(1, Image::Inserted(row(1, 1, "")))];
        assert_eq!(txn(&mut feed).await.changes, row, "{url}");
        let streams = "SELECT string_agg(DISTINCT s.ssl::text, ' ') FROM pg_stat_ssl s JOIN pg_stat_replication r USING (pid)";
        assert_eq!(bed.text(streams).await, "true", "{url}");
    }

    let refused = [
        // Stricter than libpq: both clients ask for the name here too.
        url("postgres", "127.0.0.1", "verify-ca", AUTHORITY),
        url("postgres", "127.0.0.1", "verify-full", AUTHORITY),
        url("postgres", "localhost", "verify-full", OTHER),
        url("postgres", "localhost", "verify-ca", OTHER),
    ];
    for url in refused {
        let session = bed.feed_by(&url).await.err().unwrap();
        assert_eq!(session.code, "TLS", "{url}");
        // The stream by itself, too.
        let there = Server::at(&url, Side::Source).unwrap();
        let config = wire::config(&there, &bed.slot(), 0).unwrap();
        let stream = Replication::open(&config).await.err().unwrap();
        let place: &Place = &there.place;
        assert_eq!(
            wire::fault(place, "open the stream", &stream).code,
            "TLS",
            "{url}"
        );
    }
    // Whoever is asked for a certificate is not let in without one.
    let without = url("card", "localhost", "verify-full", AUTHORITY);
    assert_eq!(bed.feed_by(&without).await.err().unwrap().code, "LOGIN");
    bed.end().await;
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
