//! L2: figures from outside of both databases: what a command prints, what a URL answers, what Prometheus knows.
//!
//! A figure is a number or it is not known; nothing is taken for it. What is said of an address never holds what may be
//! secret in it: neither its user, nor its path, nor its parameters.

pub mod command;
pub mod http;
mod pick;

use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::plan::Side;
use crate::domain::signal::Figure;

/// How one signal of the plan is read.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The signal's name.
    pub name: String,
    /// Where its figure is.
    pub from: From,
}

/// Where a figure is.
#[derive(Debug, Clone)]
pub enum From {
    /// A read on one of the databases, by way of its adapter.
    Sql {
        /// Which database.
        on: Side,
        /// The read; its first row's first column is the figure.
        sql: String,
    },
    /// Somewhere else.
    Outside(Outside),
}

/// Where a figure is that no database has.
#[derive(Debug, Clone)]
pub enum Outside {
    /// A program prints it.
    Command(command::Program),
    /// A URL answers with it.
    Http {
        /// The URL.
        at: http::Address,
        /// A JSON pointer to it; none: the whole answer is the number.
        pick: Option<String>,
    },
    /// A Prometheus server knows it.
    Prometheus {
        /// The server.
        at: http::Address,
        /// Asked in its own language; gives one number.
        query: String,
    },
}

/// A sentence about a figure that could not be had.
pub(crate) fn unknown(what: impl Into<String>) -> Fault {
    Fault::new(Kind::Transient, what).code("SIGNAL-UNKNOWN")
}

impl Outside {
    /// Reads the figure. Dropped, it stops: a program is ended, a connection is closed.
    ///
    /// # Errors
    /// Why it is not known, without anything secret.
    pub async fn read(&self) -> Result<Figure> {
        match self {
            Self::Command(program) => pick::number(&program.run().await?).ok_or_else(|| {
                unknown(format!("{program} printed no number"))
                    .hint("it prints one number and nothing else")
            }),
            Self::Http { at, pick: None } => {
                pick::number(&at.get(at.target()).await?).ok_or_else(|| {
                    unknown(format!("{at} answered with something that is no number"))
                        .hint("pick = \"/path/to/it\" takes one number out of JSON")
                })
            }
            Self::Http {
                at,
                pick: Some(pointer),
            } => pick::pointed(&at.get(at.target()).await?, pointer)
                .map_err(|why| unknown(format!("{at} answered {why}"))),
            Self::Prometheus { at, query } => {
                let target = pick::prometheus_target(at.target(), query);
                let answer = at.read(&target).await?;
                pick::prometheus(&answer.body).map_err(|why| match answer.status {
                    200 => unknown(format!("Prometheus at {at} {why}")),
                    status => unknown(format!("Prometheus at {at} answered {status}: it {why}")),
                })
            }
        }
    }
}
