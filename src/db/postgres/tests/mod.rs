//! Against a server: each test makes databases of its own and drops them.

mod ground;
mod schema;
