//! A connection in the replication mode: how it is opened, read and answered.
//!
//! The protocol's parts are the library's. What is put together here is what it keeps to itself: the socket. The server sends each
//! change by itself, and where the reader's socket has room, each crosses the network by itself too, which costs both more
//! than to decode it. Where the server is near, the socket has room for little: what does not fit waits in the server's, and comes
//! in large pieces. Far away it has all the room that the system gives it, for there a round trip must be filled.

use super::assemble::PROTOCOL;
use super::names::literal;
use bytes::{Buf as _, Bytes, BytesMut};
use pgwire_replication::auth::ScramClient;
use pgwire_replication::protocol::framing::{
    self, BackendMessage, MAX_MESSAGE_SIZE, read_backend_message, write_password_message,
};
use pgwire_replication::protocol::messages::{auth, parse_auth_request, parse_error_response};
use pgwire_replication::protocol::replication::{
    ReplicationCopyData, encode_standby_status_update, parse_copy_data, unix_to_pg_timestamp,
};
use pgwire_replication::tls::rustls::maybe_upgrade_to_tls;
use pgwire_replication::{Lsn, PgWireError, ReplicationConfig, Result};
use std::io::ErrorKind;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// Version 3.0 of the wire's protocol.
const WIRE: i32 = 3 << 16;
/// A server is near where it takes a connection in less than this.
const NEAR: Duration = Duration::from_millis(1);
/// Bytes that the socket has room for then; the system doubles them, for what it keeps with them. With twice as many each message still
/// comes by itself half of the time.
const ROOM: usize = 32 << 10;
/// Bytes that are read at once, and the room at which there is more made.
const READ: usize = 64 << 10;
const LEFT: usize = 16 << 10;
/// Bytes before a message's own: what it is, and its length, which counts itself.
const HEAD: usize = 5;
const LENGTH: usize = 4;

/// What comes over it.
#[derive(Debug)]
pub(super) enum Told {
    /// A message of the output plugin's.
    Data(Bytes),
    /// Nothing for us up to this place; whether the server asks how far we are.
    Alive { end: u64, asks: bool },
}

/// A stream that is being sent.
pub(super) struct Replication {
    stream: Box<dyn Socket>,
    unread: BytesMut,
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

impl Replication {
    /// Connects, logs in and has the stream begin.
    ///
    /// # Errors
    /// What the network, TLS or the server says to that.
    pub(super) async fn open(config: &ReplicationConfig) -> Result<Self> {
        let mut stream = connect(config).await?;
        log_in(&mut stream, config).await?;
        begin(&mut stream, config).await?;
        Ok(Self {
            stream,
            unread: BytesMut::new(),
        })
    }

    /// Reads what has come, once something has. Dropped, it loses nothing.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) async fn more(&mut self) -> Result<()> {
        let room = self.unread.capacity() - self.unread.len();
        if room < LEFT {
            // The rest of a large message at once, so that its beginning is not moved again and again.
            let rest = self
                .length()?
                .map_or(0, |whole| whole - self.unread.len().min(whole));
            self.unread.reserve(READ.max(rest));
        }
        match self.stream.read_buf(&mut self.unread).await? {
            0 => Err(std::io::Error::from(ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }

    /// The next message of what was read; none where it is not all there.
    ///
    /// # Errors
    /// What the server says in its place, and what can't be read.
    pub(super) fn next(&mut self) -> Result<Option<Told>> {
        loop {
            let Some(whole) = self.length()?.filter(|whole| *whole <= self.unread.len()) else {
                return Ok(None);
            };
            let mut message = self.unread.split_to(whole).freeze();
            let tag = message[0];
            message.advance(HEAD);
            match tag {
                b'd' => {
                    return Ok(Some(match parse_copy_data(message)? {
                        ReplicationCopyData::XLogData { data, .. } => Told::Data(data),
                        ReplicationCopyData::KeepAlive {
                            wal_end,
                            reply_requested,
                            ..
                        } => Told::Alive {
                            end: wal_end.as_u64(),
                            asks: reply_requested,
                        },
                    }));
                }
                b'E' => return Err(PgWireError::Server(parse_error_response(&message))),
                // Notices and settings; and the stream's end, which the connection's follows.
                _ => {}
            }
        }
    }

    /// The length of the message that begins what was read, once it has said so.
    fn length(&self) -> Result<Option<usize>> {
        let Some(head) = self.unread.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let told = i32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        match usize::try_from(told) {
            Ok(length) if length > MAX_MESSAGE_SIZE + LENGTH => Err(PgWireError::MessageTooLarge {
                payload_bytes: length - LENGTH,
                limit_bytes: MAX_MESSAGE_SIZE,
            }),
            Ok(length) if length >= LENGTH => Ok(Some(HEAD - LENGTH + length)),
            _ => Err(PgWireError::Protocol(format!(
                "a message has the length {told}"
            ))),
        }
    }

    /// Tells the server up to where it may forget.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) async fn tell(&mut self, held: u64) -> Result<()> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        let status = encode_standby_status_update(Lsn(held), unix_to_pg_timestamp(now), false);
        framing::write_copy_data(&mut self.stream, &status).await
    }

    /// Ends the stream and the connection, and waits until the server has ended it too: it has heard everything then.
    ///
    /// # Errors
    /// The connection had ended already.
    pub(super) async fn end(mut self) -> Result<()> {
        /// What ends the session.
        const TERMINATE: &[u8] = &[b'X', 0, 0, 0, 4];
        framing::write_copy_done(&mut self.stream).await?;
        self.stream.write_all(TERMINATE).await?;
        self.stream.flush().await?;
        loop {
            self.unread.clear();
            self.unread.reserve(READ);
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Ok(());
            }
        }
    }
}

async fn connect(config: &ReplicationConfig) -> Result<Box<dyn Socket>> {
    if config.is_unix_socket() {
        let path = config.unix_socket_path();
        return Ok(Box::new(UnixStream::connect(path).await?));
    }
    let begun = Instant::now();
    let tcp = TcpStream::connect((config.host.as_str(), config.port)).await?;
    let near = begun.elapsed() < NEAR;
    tcp.set_nodelay(true)?;
    if near {
        // It is quicker with it, and works without.
        let _ = socket2::SockRef::from(&tcp).set_recv_buffer_size(ROOM);
    }
    let tls = maybe_upgrade_to_tls(tcp, &config.tls, &config.host).await?;
    Ok(Box::new(tls))
}

async fn log_in(stream: &mut impl Socket, config: &ReplicationConfig) -> Result<()> {
    let mut settings = vec![
        ("user", config.user.as_str()),
        ("database", config.database.as_str()),
        ("replication", "database"),
        ("client_encoding", "UTF8"),
    ];
    let name = config.application_name.as_deref();
    settings.extend(name.map(|name| ("application_name", name)));
    let options = config.options.as_deref();
    settings.extend(options.map(|options| ("options", options)));
    framing::write_startup_message(stream, WIRE, &settings).await?;
    loop {
        let message = read(stream).await?;
        match message.tag {
            b'R' => prove(stream, config, &message).await?,
            b'Z' => return Ok(()),
            _ => {}
        }
    }
}

/// The next message of a conversation, where an error ends it.
async fn read(stream: &mut impl Socket) -> Result<BackendMessage> {
    let message = read_backend_message(stream).await?;
    match message.is_error() {
        true => Err(PgWireError::Server(parse_error_response(&message.payload))),
        false => Ok(message),
    }
}

/// Answers the question who we are.
async fn prove(
    stream: &mut impl Socket,
    config: &ReplicationConfig,
    asked: &BackendMessage,
) -> Result<()> {
    let (how, with) = parse_auth_request(&asked.payload)?;
    let password = config.password.as_str();
    let answer = match how {
        auth::OK => return Ok(()),
        auth::CLEARTEXT_PASSWORD => password.to_owned(),
        auth::MD5_PASSWORD => {
            let of_both = md5::compute(format!("{password}{}", config.user));
            let mut salted = format!("{of_both:x}").into_bytes();
            salted.extend_from_slice(with);
            format!("md5{:x}", md5::compute(salted))
        }
        auth::SASL => return scram(stream, config, with).await,
        other => {
            return Err(PgWireError::Auth(format!(
                "the server asks for a proof of kind {other}, which is not known here"
            )));
        }
    };
    let mut answer = answer.into_bytes();
    answer.push(0);
    write_password_message(stream, &answer).await
}

/// SCRAM-SHA-256 (RFC 5802, 7677), without binding it to TLS.
async fn scram(stream: &mut impl Socket, config: &ReplicationConfig, offered: &[u8]) -> Result<()> {
    const HOW: &[u8] = b"SCRAM-SHA-256";
    if !offered.split(|byte| *byte == 0).any(|name| name == HOW) {
        return Err(PgWireError::Auth(
            "the server does not offer SCRAM-SHA-256".to_owned(),
        ));
    }
    let client = ScramClient::new(&config.user);
    let first = client.client_first.as_bytes();
    let mut answer = [HOW, &[0]].concat();
    answer.extend_from_slice(&(first.len() as i32).to_be_bytes());
    answer.extend_from_slice(first);
    write_password_message(stream, &answer).await?;
    let challenge = step(stream, auth::SASL_CONTINUE).await?;
    let (last, whole, salted) = client.client_final(&config.password, &challenge)?;
    write_password_message(stream, last.as_bytes()).await?;
    let proof = step(stream, auth::SASL_FINAL).await?;
    ScramClient::verify_server_final(&proof, &salted, &whole)
}

/// What the server says at this step of the proof.
async fn step(stream: &mut impl Socket, step: i32) -> Result<String> {
    loop {
        let message = read(stream).await?;
        if message.is_auth_request() {
            return match parse_auth_request(&message.payload)? {
                (told, words) if told == step => Ok(String::from_utf8_lossy(words).into_owned()),
                (told, _) => Err(PgWireError::Auth(format!(
                    "the server's proof took a turn to {told} where {step} was due"
                ))),
            };
        }
    }
}

async fn begin(stream: &mut impl Socket, config: &ReplicationConfig) -> Result<()> {
    let (slot, from) = (&config.slot, config.start_lsn);
    let publications = literal(&config.publication.names().join(","));
    let sql = format!(
        "START_REPLICATION SLOT {slot} LOGICAL {from} \
         (proto_version '{PROTOCOL}', publication_names {publications}, messages 'true')"
    );
    framing::write_query(stream, &sql).await?;
    while !read(stream).await?.is_copy_both_response() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, payload: &[u8]) -> Vec<u8> {
        let length = i32::try_from(LENGTH + payload.len()).unwrap();
        [&[tag], &length.to_be_bytes()[..], payload].concat()
    }

    fn data(of: &[u8]) -> Vec<u8> {
        message(b'd', &[&b"w"[..], &[0; 24], of].concat())
    }

    /// All that comes of these bytes, sent so many at a time, and how it ends.
    async fn read(bytes: Vec<u8>, at_once: usize) -> (Vec<Told>, PgWireError) {
        let (mut server, stream) = tokio::io::duplex(at_once);
        let mut stream = Replication {
            stream: Box::new(stream),
            unread: BytesMut::new(),
        };
        let all = async {
            let mut all = Vec::new();
            loop {
                match stream.next() {
                    Ok(Some(told)) => all.push(told),
                    Ok(None) => {
                        if let Err(error) = stream.more().await {
                            return (all, error);
                        }
                    }
                    Err(error) => return (all, error),
                }
            }
        };
        let sent = async {
            // Whoever reads ends early where it can't read on.
            let _ = server.write_all(&bytes).await;
            drop(server);
        };
        tokio::join!(all, sent).0
    }

    #[tokio::test]
    async fn messages_come_whole_however_they_are_cut() {
        let large = vec![7; 3 * READ];
        let alive = [&b"k"[..], &[0, 0, 0, 0, 0, 0, 1, 2], &[0; 8], &[1]].concat();
        let bytes = [
            data(b"one"),
            message(b'N', b"a notice"),
            data(&large),
            message(b'd', &alive),
            data(b""),
            message(b'c', b""),
        ]
        .concat();
        for at_once in [1, 7, 1_000, 1 << 20] {
            let (all, ended) = read(bytes.clone(), at_once).await;
            let [
                Told::Data(one),
                Told::Data(two),
                Told::Alive {
                    end: 258,
                    asks: true,
                },
                Told::Data(last),
            ] = &all[..]
            else {
                panic!("{at_once}: {} messages", all.len())
            };
            assert!(one == "one" && *two == large && last.is_empty());
            assert!(matches!(ended, PgWireError::Io(_)));
        }
    }

    #[tokio::test]
    async fn what_is_no_message_ends_the_stream() {
        let error = message(b'E', b"SERROR\0C55000\0Mslot \"x\" is gone\0\0");
        let (all, ended) = read([data(b"a"), error, data(b"b")].concat(), 64).await;
        assert_eq!(all.len(), 1);
        assert!(matches!(ended, PgWireError::Server(words) if words.contains("is gone")));
        for length in [-1, 3, i32::MAX] {
            let head = [&b"d"[..], &length.to_be_bytes()].concat();
            let (all, ended) = read([data(b"a"), head].concat(), 64).await;
            assert_eq!(all.len(), 1);
            match length {
                i32::MAX => assert!(matches!(ended, PgWireError::MessageTooLarge { .. })),
                _ => assert!(matches!(ended, PgWireError::Protocol(_))),
            }
        }
    }
}
