//! Against a server: each test makes databases of its own and drops them.

mod findings;
mod ground;
mod pulse;
mod schema;
