//! The engine over real SQLite files, with an application that writes all the while, and everything that can go wrong.

#[path = "../support/mod.rs"]
mod support;

mod differences;
mod flow;
mod interrupts;
mod signals;
mod steering;

/// Not a test by itself: other tests start this file again and land here.
#[test]
fn application() {
    support::app::be_the_application();
}

/// Not a test by itself: other tests start this file again and land here.
#[test]
fn an_engine() {
    support::child::be_the_engine();
}
