//! Consoles on a running engine: the lines they exchange, the end at the console, the end at the engine.
//!
//! A console is a cursor on the journal and the latest measurement. It can come, go, hang and crash without the migration
//! taking notice: nothing is buffered for it but the one piece that is being written to it.
//!
//! # The protocol, by hand
//!
//! One JSON object a line, both ways ([`wire`]). Who only wants to look needs not say anything:
//!
//! ```text
//! $ socat -u UNIX-CONNECT:control.sock - | jq -c '.event.body.fact // empty'
//! {"chunk-landed":{"chunk":{"table":0,"no":41},"rows":10000,...}}
//! ```
//!
//! Who wants to act says hello first, with the engine's own protocol and version (a console of another version may only
//! look):
//!
//! ```text
//! $ (echo '{"hello":{"proto":1,"version":"0.1.0","role":"operator"}}'
//!    echo '{"command":{"id":1,"seen":0,"command":"pause"}}'; sleep 1) | socat - UNIX-CONNECT:control.sock | jq -c '.reply // empty'
//! ```
//!
//! Identity is the uid at the other end of the socket; nothing that a console says about itself is believed.
//!
//! Architecture invariant: `wire` and `client` are L4, beside the console; `server` and `session` are L5.

pub mod client;
pub mod server;
mod session;
pub mod wire;

#[cfg(test)]
mod tests;
