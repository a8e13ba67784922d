//! One GET over HTTP/1.1, with or without TLS: a new connection each time, no redirects, a bounded answer.

use super::unknown;
use crate::domain::fault::Result;
use crate::domain::percent::decoded;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::rt::{Read, Write};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Most bytes of an answer.
const MOST: usize = 1 << 20;

/// A URL. Printed, it is scheme, host and port alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    tls: bool,
    host: String,
    port: u16,
    target: String,
    authorization: Option<String>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// What came with it.
    pub body: Bytes,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Address {
    /// Reads `http://user:password@host:port/path?parameters`.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text
            .trim()
            .parse()
            .map_err(|_| "is no URL that begins with http:// or https://")?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("is no URL that begins with http:// or https://"),
        };
        let authority = uri.authority().ok_or("names no host")?;
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() {
            return Err("names no host");
        }
        let authorization = match authority.as_str().rsplit_once('@') {
            Some((user, _)) => {
                let user = decoded(user).ok_or("has a \"%\" that encodes nothing")?;
                Some(format!("Basic {}", STANDARD.encode(user)))
            }
            None => None,
        };
        Ok(Self {
            tls,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            target: uri
                .path_and_query()
                .map_or("/", |target| target.as_str())
                .to_owned(),
            authorization,
        })
    }

    /// The same, with a token to show there (RFC 6750).
    ///
    /// # Errors
    /// A token that can't be one, a URL with a user of its own: without repeating either.
    pub fn bearing(self, token: &str) -> Result<Self, &'static str> {
        if self.authorization.is_some() {
            return Err("goes with a URL without a user: who asks is said once");
        }
        let token = token.trim();
        if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
            return Err("is no token: visible ASCII characters, and no space");
        }
        Ok(Self {
            authorization: Some(format!("Bearer {token}")),
            ..self
        })
    }

    /// Path and parameters.
    pub fn target(&self) -> &str {
        &self.target
    }

    fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// Gets what stands there.
    ///
    /// # Errors
    /// No way there, or another answer than 200.
    pub async fn get(&self, target: &str) -> Result<Bytes> {
        let answer = self.read(target).await?;
        match answer.status {
            200 => Ok(answer.body),
            status @ 300..=399 => Err(unknown(format!("{self} answered {status}"))
                .hint("redirects are not followed: give the URL that it leads to")),
            status @ (401 | 403) => Err(unknown(format!("{self} answered {status}"))
                .hint("a user and password may stand in the URL, or a token in bearer, from ${NAME} or ${file:PATH}")),
            status => Err(unknown(format!("{self} answered {status}"))),
        }
    }

    /// Gets what stands there, whatever the status.
    ///
    /// # Errors
    /// No way there, or no answer in HTTP.
    pub async fn read(&self, target: &str) -> Result<Answer> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|cause| unknown(format!("{self} can't be reached")).cause(cause))?;
        if !self.tls {
            return self.ask(TokioIo::new(stream), target).await;
        }
        let name = ServerName::try_from(self.host.clone())
            .map_err(|cause| unknown(format!("{self} has no name that TLS knows")).cause(cause))?;
        let stream = TlsConnector::from(trusting()?)
            .connect(name, stream)
            .await
            .map_err(|cause| {
                unknown(format!("{self} offers no TLS that is trusted here")).cause(cause)
            })?;
        self.ask(TokioIo::new(stream), target).await
    }

    async fn ask(&self, io: impl Read + Write + Unpin, target: &str) -> Result<Answer> {
        let lost =
            |cause: &dyn fmt::Display| unknown(format!("{self} gave no answer")).cause(cause);
        let request = self.request(target)?;
        let (mut sender, connection) = http1::handshake(io).await.map_err(|c| lost(&c))?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|c| lost(&c))?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), MOST).collect().await;
            let body = body.map_err(|c| lost(&c))?.to_bytes();
            Ok(Answer { status, body })
        };
        let driven = async {
            // Its end, good or bad, is told by the answer.
            let _ = connection.await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answer = answer => answer,
            () = driven => Err(lost(&"the connection ended")),
        }
    }

    fn request(&self, target: &str) -> Result<Request<Empty<Bytes>>> {
        let wrong =
            |cause: hyper::http::Error| unknown(format!("{self} can't be asked")).cause(cause);
        let mut request = Request::get(target)
            .header(HOST, self.authority())
            .header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json, text/plain, */*")
            .header(CONNECTION, "close")
            .body(Empty::new())
            .map_err(wrong)?;
        if let Some(authorization) = &self.authorization {
            let mut value = HeaderValue::from_str(authorization).map_err(|c| wrong(c.into()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }
}

/// Whom the machine trusts, asked once.
fn trusting() -> Result<Arc<ClientConfig>> {
    static TRUSTING: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = TRUSTING.get() {
        return Ok(Arc::clone(config));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| unknown("TLS can't be spoken here").cause(cause))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(TRUSTING.get_or_init(|| Arc::new(config))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_without_anything_that_may_be_secret() {
        let at = Address::parse("https://ana:s3c%40ret@db1:9100/s3cret/cpu?token=s3cret").unwrap();
        assert_eq!(format!("{at} {at:?}"), "https://db1:9100 https://db1:9100");
        assert_eq!(at.target(), "/s3cret/cpu?token=s3cret");
        let authorization = at.request(at.target()).unwrap();
        let value = &authorization.headers()[AUTHORIZATION];
        assert_eq!(value, &format!("Basic {}", STANDARD.encode("ana:s3c@ret")));
        assert!(!format!("{authorization:?}").contains(value.to_str().unwrap()));
        assert!(at.bearing("s3cret").is_err());
        let bearing = Address::parse("https://db1/")
            .unwrap()
            .bearing("s3cret\n")
            .unwrap();
        assert_eq!(format!("{bearing} {bearing:?}"), "https://db1 https://db1");
        let request = bearing.request("/").unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer s3cret");
        assert!(!format!("{request:?}").contains("s3cret"));
        for wrong in ["", " ", "a b", "ä"] {
            assert!(
                Address::parse("http://db1/")
                    .unwrap()
                    .bearing(wrong)
                    .is_err()
            );
        }
        let plain = Address::parse("http://[::1]/").unwrap();
        assert_eq!(
            (plain.to_string().as_str(), plain.port),
            ("http://[::1]", 80)
        );
        for wrong in [
            "ftp://db1/x",
            "db1:9100",
            "http://",
            "http:///x",
            "not a url",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
