//! Both ends of what a command is about: opened, told apart, looked at.

use crate::config::url::Url;
use crate::db::spill::Spill;
use crate::db::{Endpoint, IDENTITY, Sizes, Survey};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::plan::Side;
use crate::wiring;
use std::sync::Arc;

/// Both ends.
pub struct Ends {
    /// The source's URL.
    pub from: Url,
    /// The target's.
    pub to: Url,
    /// The way to the source.
    pub source: Arc<dyn Endpoint>,
    /// The way to the target.
    pub target: Arc<dyn Endpoint>,
    /// What the source holds.
    pub ours: Survey,
    /// What the target holds.
    pub theirs: Survey,
}

impl Ends {
    /// Opens both and looks at them; changes nothing.
    ///
    /// # Errors
    /// The same database twice, or one that can't be read.
    pub async fn open(from: Url, to: Url) -> Result<Self> {
        Self::open_with(from, to, Spill::default()).await
    }

    /// The same with a place for large transactions.
    ///
    /// # Errors
    /// As for [`Ends::open`].
    pub async fn open_with(from: Url, to: Url, spill: Spill) -> Result<Self> {
        different(&from, &to)?;
        let source = wiring::open(&from, Side::Source, spill.clone()).await?;
        let target = wiring::open(&to, Side::Target, spill).await?;
        let (ours, theirs) =
            tokio::try_join!(source.survey(Sizes::Told), target.survey(Sizes::Told))?;
        apart((&from, &ours), (&to, &theirs))?;
        Ok(Self {
            from,
            to,
            source,
            target,
            ours,
            theirs,
        })
    }

    /// What changes whenever somebody commits to the source, and to the target; none where only its server knows.
    pub fn stamps(&self) -> [Option<String>; 2] {
        [&self.from, &self.to].map(wiring::stamp)
    }
}

/// The same file twice would be equal to itself, which nobody wants to know, and must never be copied into itself.
fn different(from: &Url, to: &Url) -> Result<()> {
    let same =
        from == to || wiring::identity(from).is_some_and(|ours| Some(ours) == wiring::identity(to));
    if !same {
        return Ok(());
    }
    let what = format!("source and target are the same database: {from}");
    let fault = Fault::new(Kind::Usage, what).code("SAME-DATABASE");
    Err(if from == to {
        fault
    } else {
        fault.cause(format!("{to} leads to the same one"))
    })
}

/// One server can be reached by many names: what both say of themselves tells.
fn apart(from: (&Url, &Survey), to: (&Url, &Survey)) -> Result<()> {
    let identity = |survey: &Survey| {
        let found = survey.properties.iter().find(|(name, _)| name == IDENTITY);
        found.map(|(_, value)| value.clone())
    };
    match (identity(from.1), identity(to.1)) {
        (Some(ours), Some(theirs)) if ours == theirs => Err(Fault::new(
            Kind::Usage,
            format!("source and target are the same database: {}", from.0),
        )
        .code("SAME-DATABASE")
        .cause(format!("{} leads to it as well", to.0))),
        _ => Ok(()),
    }
}
